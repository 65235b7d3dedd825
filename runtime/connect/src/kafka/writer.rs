//! The writing side: one transactional producer. Commits block in the client, so they run on a thread of their own.
//!
//! A commit is `Committed` only when every attempt to end the transaction was answered. The client sends `EndTxn` again by
//! itself after a time-out or a disconnect, and says "done" when any copy was answered; an earlier copy may then still be
//! in the network and end the *next* transaction of this producer half-way. So a commit that needed more than answered
//! attempts is `Unknown`: the caller drops this producer, and the next one has a new epoch.

use super::context::{Context, Undelivered};
use super::error::Origin;
use super::settings::Settings;
use crate::door::{CommitOutcome, IoError};
use pipeline::record::RecordBatch;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a wait for the client's queue lasts before the queue is looked at again.
const STEP: Duration = Duration::from_millis(1);

pub(super) struct Writer {
    client: Client,
    state: State,
    commits: Option<Sender<Order>>,
    outcomes: Receiver<Result<CommitOutcome, IoError>>,
    thread: Option<JoinHandle<()>>,
}

/// What both threads need.
#[derive(Clone)]
struct Client {
    producer: Arc<BaseProducer<Context>>,
    id: String,
    bootstrap: String,
    /// For a whole call, in which requests are repeated.
    timeout: Duration,
    /// For the delivery of everything queued: later the broker has aborted the transaction anyway.
    delivery_timeout: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    New,
    Ready,
    Open {
        touched: bool,
    },
    Committing,
    /// Only dropping is left.
    Unsure,
}

/// End the open transaction.
struct Order {
    touched: bool,
}

impl Writer {
    pub fn new(settings: &Settings, transactional_id: &str) -> Result<Self, IoError> {
        let client = Client::new(settings, transactional_id)?;
        let (commits, ordered) = channel::<Order>();
        let (told, outcomes) = channel();
        let theirs = client.clone();
        let thread = std::thread::Builder::new()
            .name("kafka-commit".to_owned())
            .spawn(move || {
                for order in ordered {
                    if told.send(theirs.commit(order.touched)).is_err() {
                        return;
                    }
                }
            })
            .map_err(|error| lost("start the commit thread", &error.to_string()))?;
        Ok(Self { client, state: State::New, commits: Some(commits), outcomes, thread: Some(thread) })
    }

    pub fn init_transactions(&mut self) -> Result<(), IoError> {
        if self.state != State::New {
            return Err(lost("init_transactions", "this producer was initialised before"));
        }
        self.state = State::Unsure;
        self.client.init()?;
        self.state = State::Ready;
        Ok(())
    }

    pub fn begin(&mut self) -> Result<(), IoError> {
        if self.state != State::Ready {
            return Err(lost("begin", self.state.trouble()));
        }
        self.client.producer.context().forget_undelivered();
        self.client.producer.begin_transaction().map_err(|error| self.client.error("begin", &error))?;
        self.state = State::Open { touched: false };
        Ok(())
    }

    /// Queues one record; a record that the client refuses shows in the outcome of the commit.
    pub fn produce(
        &mut self,
        topic: &str,
        partition: u32,
        batch: &RecordBatch,
        row: usize,
    ) -> Result<(), IoError> {
        let State::Open { .. } = self.state else { return Err(lost("produce", self.state.trouble())) };
        self.state = State::Open { touched: true };
        let deadline = Instant::now() + self.client.delivery_timeout;
        let mut record = BaseRecord::<[u8], [u8]>::to(topic)
            .partition(partition as i32)
            // To the client 0 means now, which no replay would repeat; the broker takes nothing negative.
            .timestamp(batch.records()[row].timestamp_ms.max(1));
        record.key = batch.key(row);
        record.payload = batch.value(row);
        record.headers = headers(batch, row);
        loop {
            match self.client.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((error, back)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => {
                    if Instant::now() >= deadline {
                        return Err(self.client.error("produce", &error));
                    }
                    self.client.producer.poll(STEP);
                    record = back;
                }
                Err((error, _)) => {
                    let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
                    let bytes =
                        batch.key(row).map_or(0, <[u8]>::len) + batch.value(row).map_or(0, <[u8]>::len);
                    let undelivered = Undelivered { code, topic: topic.to_owned(), bytes };
                    self.client.producer.context().note_undelivered(undelivered);
                    return Ok(());
                }
            }
        }
    }

    /// Waits until everything queued was answered: for topics that take less than the client puts into one request.
    pub fn flush(&self) -> Result<(), IoError> {
        let flushed = self.client.flush();
        flushed.map_err(|error| self.client.error("flush", &error))
    }

    /// Serves what the client has to say, so that its queue does not grow.
    pub fn serve(&self) {
        self.client.drain();
    }

    pub fn start_commit(&mut self) -> Result<(), IoError> {
        let State::Open { touched } = self.state else {
            return Err(lost("commit", self.state.trouble()));
        };
        self.state = State::Committing;
        let sent = self.commits.as_ref().is_some_and(|commits| commits.send(Order { touched }).is_ok());
        if sent { Ok(()) } else { Err(lost("commit", "the commit thread has ended")) }
    }

    pub fn commit_outcome(&mut self, wait: Duration) -> Result<Option<CommitOutcome>, IoError> {
        if self.state != State::Committing {
            return Err(lost("commit_outcome", "no commit was started"));
        }
        let outcome = match self.outcomes.recv_timeout(wait) {
            Err(RecvTimeoutError::Timeout) => return Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(lost("commit", "the commit thread has ended")),
            Ok(outcome) => outcome,
        };
        self.state = match outcome {
            Ok(CommitOutcome::Committed | CommitOutcome::Aborted) => State::Ready,
            _ => State::Unsure,
        };
        outcome.map(Some)
    }

    pub fn abort(&mut self) -> Result<(), IoError> {
        let State::Open { touched } = self.state else {
            return Err(lost("abort", self.state.trouble()));
        };
        self.state = State::Unsure;
        if self.client.abort(touched)? {
            self.state = State::Ready;
            return Ok(());
        }
        Err(lost("abort", "the answer did not come in time"))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.commits.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl State {
    fn trouble(self) -> &'static str {
        match self {
            Self::New => "init_transactions is needed first",
            Self::Ready => "no transaction is open",
            Self::Open { .. } => "a transaction is open",
            Self::Committing => "a commit is in flight",
            Self::Unsure => "what happened before is not known",
        }
    }
}

impl Client {
    fn new(settings: &Settings, transactional_id: &str) -> Result<Self, IoError> {
        let producer: Result<BaseProducer<Context>, KafkaError> =
            settings.writer(transactional_id).create_with_context(Context::default());
        let producer = producer.map_err(|error| lost("make a producer", &error.to_string()))?;
        Ok(Self {
            producer: Arc::new(producer),
            id: transactional_id.to_owned(),
            bootstrap: settings.bootstrap_servers.clone(),
            timeout: Duration::from_millis(u64::from(settings.request_timeout_ms)),
            delivery_timeout: Duration::from_millis(u64::from(settings.transaction_timeout_ms)),
        })
    }

    fn init(&self) -> Result<(), IoError> {
        let done = self.producer.init_transactions(self.timeout);
        self.drain();
        done.map_err(|error| self.error("init_transactions", &error))
    }

    /// Flush, then end the transaction. See the module for what counts as committed.
    fn commit(&self, touched: bool) -> Result<CommitOutcome, IoError> {
        let context = self.producer.context();
        if self.flush().is_err() || context.undelivered().is_some() {
            return self.give_up(touched);
        }
        context.begin_end_txn();
        let done = self.producer.commit_transaction(self.timeout);
        self.drain();
        match done {
            Ok(()) if !touched || context.end_txn_is_certain() => Ok(CommitOutcome::Committed),
            Ok(()) => Ok(CommitOutcome::Unknown),
            Err(error) => match self.error("commit", &error) {
                known @ (IoError::Fenced { .. } | IoError::Denied { .. }) => Err(known),
                other => {
                    tracing::warn!(target: "kafka", id = self.id, "commit: {other}");
                    Ok(CommitOutcome::Unknown)
                }
            },
        }
    }

    /// A record was not delivered, so the transaction is aborted.
    fn give_up(&self, touched: bool) -> Result<CommitOutcome, IoError> {
        let cause = self.producer.context().undelivered();
        tracing::warn!(target: "kafka", id = self.id, ?cause, "records were not delivered: abort");
        if !self.abort(touched)? {
            return Ok(CommitOutcome::Unknown);
        }
        // The abort gives up what was still on its way.
        match cause.or_else(|| self.producer.context().undelivered()) {
            Some(Undelivered { code: RDKafkaErrorCode::MessageSizeTooLarge, topic, bytes }) => {
                Err(IoError::TooLarge { topic, bytes })
            }
            Some(Undelivered { code, topic, .. }) => {
                match self.origin("produce", Some(&topic)).code(
                    code,
                    &code.to_string(),
                    self.producer.context(),
                ) {
                    known @ (IoError::Denied { .. }
                    | IoError::TopicNotFound { .. }
                    | IoError::Refused { .. }) => Err(known),
                    _ => Err(IoError::Undelivered { topic, detail: code.to_string() }),
                }
            }
            None => Ok(CommitOutcome::Aborted),
        }
    }

    /// True when the transaction is aborted for certain and the producer can go on.
    fn abort(&self, touched: bool) -> Result<bool, IoError> {
        let context = self.producer.context();
        // Records still on their way would come after the abort.
        let _ = self.flush();
        context.begin_end_txn();
        let done = self.producer.abort_transaction(self.timeout);
        self.drain();
        match done {
            Ok(()) => Ok(!touched || context.end_txn_is_certain()),
            Err(error) => match self.error("abort", &error) {
                IoError::Lost { .. } | IoError::Unreachable { .. } => Ok(false),
                known => Err(known),
            },
        }
    }

    /// Waits for the delivery of everything queued. The library's own flush would sleep in steps of 100 ms.
    fn flush(&self) -> Result<(), KafkaError> {
        let deadline = Instant::now() + self.delivery_timeout;
        loop {
            match self.producer.flush(Duration::ZERO) {
                Err(error) if Instant::now() >= deadline => return Err(error),
                Err(_) => self.producer.poll(STEP),
                Ok(()) => {
                    self.drain();
                    return Ok(());
                }
            }
        }
    }

    /// Serves everything in the client's queue: one call serves one event.
    fn drain(&self) {
        loop {
            let before = self.producer.context().events();
            self.producer.poll(Duration::ZERO);
            if self.producer.context().events() == before {
                return;
            }
        }
    }

    fn origin<'a>(&'a self, operation: &'static str, topic: Option<&'a str>) -> Origin<'a> {
        Origin { operation, bootstrap: &self.bootstrap, topic, transactional_id: &self.id }
    }

    /// A fatal error of the client says more than the error of the call.
    fn error(&self, operation: &'static str, error: &KafkaError) -> IoError {
        let origin = self.origin(operation, None);
        let context = self.producer.context();
        match self.producer.client().fatal_error() {
            Some((code, detail)) => origin.code(code, &detail, context),
            None => origin.error(error, context),
        }
    }
}

fn headers(batch: &RecordBatch, row: usize) -> Option<OwnedHeaders> {
    let mut headers = batch.headers(row).peekable();
    headers.peek()?;
    Some(headers.fold(OwnedHeaders::new(), |all, (name, value)| {
        all.insert(Header { key: &String::from_utf8_lossy(name), value })
    }))
}

fn lost(operation: &'static str, detail: &str) -> IoError {
    IoError::Lost { operation, detail: detail.to_owned() }
}
