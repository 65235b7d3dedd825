//! One worker's door to the in-memory log: positions, session, the commit in flight.

use super::coordinator::{Refusal, Session};
use super::fetch::Reading;
use super::{DelayedEnd, Fault, Log, Operation, State, out_of_range};
use crate::door::{
    CommitOutcome, Fetched, IoError, KafkaIo, NewTopic, Partitioning, TopicInfo, TopicPartition,
};
use pipeline::record::RecordBatch;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A door to a [`Log`]. Dropping it leaves its open transaction open, as a crash does.
pub struct Io {
    log: Log,
    id: String,
    pub(super) reading: BTreeMap<TopicPartition, Reading>,
    /// Where the next poll starts, so that no partition starves.
    pub(super) turn: usize,
    producer: Producer,
}

/// What the client knows of its own transaction.
#[derive(Default)]
struct Producer {
    session: Option<Session>,
    open: bool,
    added: Vec<TopicPartition>,
    touched: bool,
    delivery_error: Option<DeliveryError>,
    pending: Option<Pending>,
    /// Nothing can be begun before a new `init_transactions`.
    unsure: bool,
}

enum DeliveryError {
    Refused(Refusal),
    Network,
}

struct Pending {
    fault: Fault,
    not_yet: u32,
}

impl Io {
    pub(super) fn new(log: Log, id: &str) -> Self {
        Self { log, id: id.to_owned(), reading: BTreeMap::new(), turn: 0, producer: Producer::default() }
    }

    /// Asks for faults and serves the request: `serve` runs unless the request is lost.
    fn request<T>(
        &self,
        operation: Operation,
        name: &'static str,
        serve: impl FnOnce(&mut State) -> Result<T, IoError>,
    ) -> Result<T, IoError> {
        let mut state = self.log.lock();
        let fault = state.fault(&self.id, operation);
        let lost = |detail: &str| IoError::Lost { operation: name, detail: detail.to_owned() };
        let answer = match fault {
            Fault::None | Fault::Repeat | Fault::Slow(_) => serve(&mut state),
            Fault::LoseAnswer => serve(&mut state).and(Err(lost("the answer was lost"))),
            Fault::LoseRequest | Fault::Delay => Err(lost("the request was lost")),
            Fault::Unreachable => Err(IoError::Unreachable {
                bootstrap: "memory".to_owned(),
                detail: "the broker is away".to_owned(),
            }),
        };
        drop(state);
        self.log.shared.changed.notify_all();
        answer
    }

    fn session(&self, operation: &'static str) -> Result<Session, IoError> {
        let session = self.producer.session.filter(|_| !self.producer.unsure);
        session.ok_or_else(|| misuse(operation, "init_transactions is needed first"))
    }

    fn fenced(&self) -> IoError {
        IoError::Fenced { id: self.id.clone() }
    }

    /// The session, inside an open transaction with no commit in flight.
    fn in_transaction(&self, operation: &'static str) -> Result<Session, IoError> {
        let session = self.session(operation)?;
        match (&self.producer.pending, self.producer.open) {
            (Some(_), _) => Err(misuse(operation, "a commit is in flight")),
            (None, false) => Err(misuse(operation, "no transaction is open")),
            (None, true) => Ok(session),
        }
    }

    /// Flush, then `EndTxn`.
    fn finish_commit(&mut self, fault: Fault) -> Result<CommitOutcome, IoError> {
        let session = self.session("commit")?;
        self.producer.open = false;
        let mut state = self.log.lock();
        let outcome = match self.producer.delivery_error.take() {
            Some(DeliveryError::Refused(Refusal::Fenced)) => Err(self.fenced()),
            Some(_) if !self.producer.touched => Ok(CommitOutcome::Aborted),
            Some(DeliveryError::Refused(Refusal::InvalidState) | DeliveryError::Network) => {
                self.ended(state.end(&self.id, session, false), CommitOutcome::Aborted)
            }
            None if !self.producer.touched => Ok(CommitOutcome::Committed),
            None => match fault {
                Fault::LoseRequest | Fault::Unreachable | Fault::Delay => Ok(CommitOutcome::Unknown),
                Fault::LoseAnswer => {
                    let _ = state.end(&self.id, session, true);
                    Ok(CommitOutcome::Unknown)
                }
                Fault::Repeat => {
                    let told = state.settings.hide_repeats;
                    let told = if told { CommitOutcome::Committed } else { CommitOutcome::Unknown };
                    self.ended(state.end(&self.id, session, true), told)
                }
                Fault::None | Fault::Slow(_) => {
                    self.ended(state.end(&self.id, session, true), CommitOutcome::Committed)
                }
            },
        };
        drop(state);
        self.log.shared.changed.notify_all();
        self.producer.unsure = !matches!(outcome, Ok(CommitOutcome::Committed | CommitOutcome::Aborted));
        outcome
    }

    /// What the answer to an `EndTxn` means.
    fn ended(&self, answer: Result<bool, Refusal>, done: CommitOutcome) -> Result<CommitOutcome, IoError> {
        match answer {
            Ok(_) => Ok(done),
            Err(Refusal::Fenced) => Err(self.fenced()),
            Err(Refusal::InvalidState) => Ok(CommitOutcome::Unknown),
        }
    }

    fn leave_in_flight(&self, state: &mut State, session: Session, commit: bool) {
        state.delayed.push(DelayedEnd { id: self.id.clone(), session, commit });
    }
}

impl KafkaIo for Io {
    fn assign(&mut self, from: &[(TopicPartition, i64)]) -> Result<(), IoError> {
        self.request(Operation::Assign, "assign", |state| {
            from.iter().try_for_each(|(at, _)| state.partition(at).map(|_| ()))
        })?;
        for (at, position) in from {
            let reading = Reading { position: *position, paused: false, end_told: None };
            self.reading.insert(at.clone(), reading);
        }
        Ok(())
    }

    fn unassign(&mut self, partitions: &[TopicPartition]) -> Result<(), IoError> {
        self.reading.retain(|at, _| !partitions.contains(at));
        Ok(())
    }

    fn pause(&mut self, partitions: &[TopicPartition], paused: bool) -> Result<(), IoError> {
        for at in partitions {
            if let Some(reading) = self.reading.get_mut(at) {
                reading.paused = paused;
            }
        }
        Ok(())
    }

    fn poll(&mut self, wait: Duration, into: &mut Vec<Fetched>) -> Result<(), IoError> {
        let polled = self.request(Operation::Poll, "poll", |_| Ok(()));
        match polled {
            Ok(()) => {}
            Err(IoError::Lost { .. }) => return Ok(()),
            Err(error) => return Err(error),
        }
        let log = self.log.clone();
        let mut state = log.lock();
        let deadline = Instant::now() + if state.settings.wait { wait } else { Duration::ZERO };
        let before = into.len();
        loop {
            self.poll_once(&mut state, into)?;
            if into.len() > before || Instant::now() >= deadline {
                return Ok(());
            }
            state = log.wait_for_change(state, deadline);
        }
    }

    fn init_transactions(&mut self) -> Result<(), IoError> {
        let id = self.id.clone();
        self.producer = Producer::default();
        let session =
            self.request(Operation::InitTransactions, "init_transactions", |state| Ok(state.init(&id)))?;
        self.producer.session = Some(session);
        Ok(())
    }

    fn fence(&mut self, ids: &[String]) -> Result<(), IoError> {
        ids.iter().try_for_each(|id| {
            self.request(Operation::Fence, "fence", |state| {
                state.init(id);
                Ok(())
            })
        })
    }

    fn begin(&mut self) -> Result<(), IoError> {
        let session = self.session("begin")?;
        if self.producer.open {
            return Err(misuse("begin", "a transaction is open"));
        }
        self.producer = Producer { session: Some(session), open: true, ..Producer::default() };
        Ok(())
    }

    fn produce(&mut self, topic: &str, to: Partitioning, records: &RecordBatch) -> Result<(), IoError> {
        let session = self.in_transaction("produce")?;
        let mut state = self.log.lock();
        let routes = state.route(topic, to, records)?;
        for (partition, rows) in routes {
            if self.producer.delivery_error.is_some() {
                break;
            }
            let at = TopicPartition { topic: topic.to_owned(), partition };
            let fault = state.fault(&self.id, Operation::Produce);
            let arrives = !matches!(fault, Fault::LoseRequest | Fault::Unreachable | Fault::Delay);
            let answered = matches!(fault, Fault::None | Fault::Repeat | Fault::Slow(_));
            let served = if arrives {
                if !self.producer.added.contains(&at) {
                    let added = state.coordinator.add(&self.id, session, &at);
                    self.producer.delivery_error = added.err().map(DeliveryError::Refused);
                    self.producer.added.push(at.clone());
                    self.producer.touched = true;
                }
                state.write((&self.id, session), &at, records, &rows)
            } else {
                Ok(())
            };
            match served {
                Err(refusal) => self.producer.delivery_error = Some(DeliveryError::Refused(refusal)),
                Ok(()) if !answered => self.producer.delivery_error = Some(DeliveryError::Network),
                Ok(()) => {}
            }
        }
        drop(state);
        self.log.shared.changed.notify_all();
        Ok(())
    }

    fn start_commit(&mut self) -> Result<(), IoError> {
        let session = self.in_transaction("commit")?;
        let mut state = self.log.lock();
        let fault = state.fault(&self.id, Operation::Commit);
        // A request that cannot be: the records were refused, so no commit is sent.
        let sent = self.producer.touched && self.producer.delivery_error.is_none();
        if sent && matches!(fault, Fault::Delay | Fault::Repeat) {
            self.leave_in_flight(&mut state, session, true);
        }
        let not_yet = if let Fault::Slow(polls) = fault { polls } else { 0 };
        drop(state);
        self.producer.pending = Some(Pending { fault, not_yet });
        Ok(())
    }

    fn commit_outcome(&mut self, _wait: Duration) -> Result<Option<CommitOutcome>, IoError> {
        match self.producer.pending.take() {
            None => Err(misuse("commit_outcome", "no commit was started")),
            Some(Pending { fault, not_yet }) if not_yet > 0 => {
                self.producer.pending = Some(Pending { fault, not_yet: not_yet - 1 });
                Ok(None)
            }
            Some(Pending { fault, .. }) => self.finish_commit(fault).map(Some),
        }
    }

    fn abort(&mut self) -> Result<(), IoError> {
        let session = self.in_transaction("abort")?;
        let touched = self.producer.touched;
        self.producer.open = false;
        self.producer.unsure = true;
        let mut state = self.log.lock();
        let fault = state.fault(&self.id, Operation::Abort);
        if touched && matches!(fault, Fault::Delay | Fault::Repeat) {
            self.leave_in_flight(&mut state, session, false);
        }
        let applied = matches!(fault, Fault::None | Fault::Slow(_) | Fault::LoseAnswer | Fault::Repeat);
        let answer = if touched && applied { state.end(&self.id, session, false) } else { Ok(false) };
        drop(state);
        self.log.shared.changed.notify_all();
        if !matches!(fault, Fault::None | Fault::Slow(_)) {
            return Err(misuse("abort", "the answer did not come"));
        }
        match answer {
            Ok(_) => {
                self.producer.unsure = false;
                Ok(())
            }
            Err(Refusal::Fenced) => Err(self.fenced()),
            Err(Refusal::InvalidState) => Err(misuse("abort", "the transaction was ended otherwise")),
        }
    }

    fn commit_offsets(&mut self, offsets: &[(TopicPartition, i64)]) {
        // Nobody hears what came of it.
        let _ = self.request(Operation::CommitOffsets, "commit_offsets", |state| {
            state.group_offsets.extend(offsets.iter().cloned());
            Ok(())
        });
    }

    fn watermarks(&mut self, partitions: &[TopicPartition]) -> Result<Vec<(i64, i64)>, IoError> {
        self.request(Operation::Watermarks, "watermarks", |state| {
            let of = |at| state.partition(at).map(|p| (p.log_start(), p.high_watermark()));
            partitions.iter().map(of).collect()
        })
    }

    fn offset_at(&mut self, partition: &TopicPartition, timestamp_ms: i64) -> Result<i64, IoError> {
        self.request(Operation::OffsetAt, "offset_at", |state| {
            state.partition(partition).map(|p| p.offset_at(timestamp_ms))
        })
    }

    fn describe(&mut self, topic: &str) -> Result<Option<TopicInfo>, IoError> {
        self.request(Operation::Describe, "describe", |state| Ok(state.info(topic)))
    }

    fn address(&self) -> Option<&str> {
        None
    }

    fn topics(&mut self) -> Result<Vec<String>, IoError> {
        self.request(Operation::Describe, "topics", |state| Ok(state.topics.keys().cloned().collect()))
    }

    fn ensure_topics(&mut self, topics: &[NewTopic]) -> Result<(), IoError> {
        self.request(Operation::EnsureTopics, "ensure_topics", |state| {
            topics.iter().try_for_each(|wanted| state.ensure(wanted))
        })
    }

    fn delete_topics(&mut self, topics: &[String]) -> Result<(), IoError> {
        self.request(Operation::DeleteTopics, "delete_topics", |state| {
            for name in topics {
                state.topics.remove(name);
            }
            Ok(())
        })
    }

    fn delete_records(&mut self, below: &[(TopicPartition, i64)]) -> Result<(), IoError> {
        self.request(Operation::DeleteRecords, "delete_records", |state| {
            below.iter().try_for_each(|(at, offset)| {
                let deleted = state.partition_mut(at)?.delete_below(*offset);
                deleted.map_err(|_| out_of_range(at, *offset))
            })
        })
    }
}

/// The caller, or a request that went wrong: either way nobody knows what happened.
fn misuse(operation: &'static str, detail: &str) -> IoError {
    IoError::Lost { operation, detail: detail.to_owned() }
}
