//! What librdkafka says beside its answers: logs, errors, ends of partitions, and every attempt to end a transaction.

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{NoCustomPartitioner, ProducerContext};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Hears of one client. Callbacks run inside the polls of the thread that owns it.
#[derive(Default)]
pub(super) struct Context {
    /// Everything that was served, so that a queue is known to be empty when this stands still.
    events: AtomicU64,
    /// Where the partition ended whose end is told next.
    end: Mutex<Option<i64>>,
    /// The last trouble with a connection.
    trouble: Mutex<Option<String>>,
    end_txn: EndTxn,
    delivery: Mutex<Option<Undelivered>>,
    /// A topic that may not be written. The client tells it in its log only: to the records it says that they were purged.
    refused: Mutex<Option<String>>,
    group_commit: Mutex<GroupCommit>,
}

/// Offsets of the group that were sent outside of transactions.
#[derive(Default)]
struct GroupCommit {
    in_flight: bool,
    refused: Option<RDKafkaErrorCode>,
}

/// Attempts to end a transaction, as the client logs them (`debug=eos`).
#[derive(Default)]
struct EndTxn {
    confirmed: AtomicU64,
    /// Attempts without an answer: a copy of the request may still be in the network.
    unanswered: AtomicU64,
}

/// The first record that was not delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Undelivered {
    pub code: RDKafkaErrorCode,
    pub topic: String,
    pub bytes: usize,
}

impl Context {
    pub fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    /// The offset of the end that the consumer has just told.
    pub fn take_end(&self) -> Option<i64> {
        lock(&self.end).take()
    }

    /// What went wrong with connections last.
    pub fn trouble(&self) -> Option<String> {
        lock(&self.trouble).clone()
    }

    /// Forgets attempts to end earlier transactions.
    pub fn begin_end_txn(&self) {
        self.end_txn.confirmed.store(0, Ordering::Relaxed);
        self.end_txn.unanswered.store(0, Ordering::Relaxed);
    }

    /// True when every attempt since `begin_end_txn` was answered, the last one by yes.
    pub fn end_txn_is_certain(&self) -> bool {
        self.end_txn.confirmed.load(Ordering::Relaxed) > 0
            && self.end_txn.unanswered.load(Ordering::Relaxed) == 0
    }

    pub fn undelivered(&self) -> Option<Undelivered> {
        let undelivered = lock(&self.delivery).clone()?;
        let code = RDKafkaErrorCode::TopicAuthorizationFailed;
        Some(match lock(&self.refused).clone() {
            Some(topic) => Undelivered { code, topic, ..undelivered },
            None => undelivered,
        })
    }

    pub fn forget_undelivered(&self) {
        *lock(&self.delivery) = None;
        *lock(&self.refused) = None;
    }

    /// A record that the client did not even queue counts as one that was not delivered.
    pub fn note_undelivered(&self, undelivered: Undelivered) {
        lock(&self.delivery).get_or_insert(undelivered);
    }

    /// False while earlier offsets of the group are on their way.
    pub fn begin_group_commit(&self) -> bool {
        !std::mem::replace(&mut lock(&self.group_commit).in_flight, true)
    }

    /// The offsets of the group have arrived, or have not.
    pub fn end_group_commit(&self, error: Option<RDKafkaErrorCode>) {
        let rights = [RDKafkaErrorCode::GroupAuthorizationFailed, RDKafkaErrorCode::TopicAuthorizationFailed];
        let mut commit = lock(&self.group_commit);
        commit.in_flight = false;
        commit.refused = error.filter(|code| rights.contains(code));
    }

    /// Why the offsets of the group were refused, once.
    pub fn take_refused_group_commit(&self) -> Option<RDKafkaErrorCode> {
        lock(&self.group_commit).refused.take()
    }

    fn note_end_txn(&self, message: &str) {
        match end_txn_answer(message) {
            Some("NO_ERROR") => drop(self.end_txn.confirmed.fetch_add(1, Ordering::Relaxed)),
            Some(name) if !name.starts_with('_') => {}
            _ => drop(self.end_txn.unanswered.fetch_add(1, Ordering::Relaxed)),
        }
    }
}

/// `EndTxn returned <name> in state …`; names of errors that did not come from a broker start with `_`.
fn end_txn_answer(message: &str) -> Option<&str> {
    message.split_once("EndTxn returned ")?.1.split_whitespace().next()
}

/// `Failed to add partition "<topic>" [<n>] to transaction: Broker: Topic authorization failed`.
fn refused_topic(message: &str) -> Option<&str> {
    let (topic, rest) = message.split_once("Failed to add partition \"")?.1.split_once("\" [")?;
    rest.contains("Topic authorization failed").then_some(topic)
}

/// `… reached end of partition at offset <n> (…)`.
fn end_offset(reason: &str) -> Option<i64> {
    reason.split_once("end of partition at offset ")?.1.split_whitespace().next()?.parse().ok()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        self.events.fetch_add(1, Ordering::Relaxed);
        if fac == "ENDTXN" {
            self.note_end_txn(message);
        }
        if fac == "ADDPARTS"
            && let Some(topic) = refused_topic(message)
        {
            lock(&self.refused).get_or_insert_with(|| topic.to_owned());
        }
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error => {
                *lock(&self.trouble) = Some(message.to_owned());
                tracing::warn!(target: "kafka", fac, "{message}");
            }
            RDKafkaLogLevel::Warning => tracing::warn!(target: "kafka", fac, "{message}"),
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
                tracing::info!(target: "kafka", fac, "{message}");
            }
            RDKafkaLogLevel::Debug => tracing::trace!(target: "kafka", fac, "{message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.events.fetch_add(1, Ordering::Relaxed);
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::PartitionEOF) => {
                *lock(&self.end) = end_offset(reason);
                return;
            }
            // Says less than the error of the connection before it.
            Some(RDKafkaErrorCode::AllBrokersDown) => {}
            _ => *lock(&self.trouble) = Some(reason.to_owned()),
        }
        tracing::debug!(target: "kafka", "{error}: {reason}");
    }
}

impl ConsumerContext for Context {}

impl ProducerContext<NoCustomPartitioner> for Context {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        self.events.fetch_add(1, Ordering::Relaxed);
        if let Err((error, message)) = result {
            let bytes = message.key().map_or(0, <[u8]>::len) + message.payload().map_or(0, <[u8]>::len);
            let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
            self.note_undelivered(Undelivered { code, topic: message.topic().to_owned(), bytes });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_partition_is_read_from_the_reason() {
        let reason = "Fetch from broker 1 reached end of partition at offset 42 (HighwaterMark 44)";
        let context = Context::default();
        context.error(KafkaError::Global(RDKafkaErrorCode::PartitionEOF), reason);
        assert_eq!(context.take_end(), Some(42));
        context.error(KafkaError::Global(RDKafkaErrorCode::PartitionEOF), "another wording");
        assert_eq!(context.take_end(), None);
    }

    #[test]
    fn offsets_of_the_group_are_sent_one_after_another_and_a_missing_right_is_kept() {
        let context = Context::default();
        for (answer, refused) in [
            (None, None),
            (Some(RDKafkaErrorCode::NotCoordinator), None),
            (
                Some(RDKafkaErrorCode::GroupAuthorizationFailed),
                Some(RDKafkaErrorCode::GroupAuthorizationFailed),
            ),
        ] {
            assert!(context.begin_group_commit());
            assert!(!context.begin_group_commit(), "in flight");
            context.end_group_commit(answer);
            assert_eq!(context.take_refused_group_commit(), refused);
            assert_eq!(context.take_refused_group_commit(), None, "told once");
        }
    }

    #[test]
    fn a_topic_that_may_not_be_written_is_read_from_the_log() {
        let line = |why: &str| {
            format!("TxnCoordinator/1: Failed to add partition \"out\" [0] to transaction: Broker: {why}")
        };
        let purged =
            || Undelivered { code: RDKafkaErrorCode::PurgeQueue, topic: "first".to_owned(), bytes: 7 };
        for (why, code, topic) in [
            ("Topic authorization failed", RDKafkaErrorCode::TopicAuthorizationFailed, "out"),
            ("Operation not attempted", RDKafkaErrorCode::PurgeQueue, "first"),
        ] {
            let context = Context::default();
            context.log(RDKafkaLogLevel::Error, "ADDPARTS", &line(why));
            assert_eq!(context.undelivered(), None);
            context.note_undelivered(purged());
            assert_eq!(context.undelivered(), Some(Undelivered { code, topic: topic.to_owned(), bytes: 7 }));
            context.forget_undelivered();
            context.note_undelivered(purged());
            assert_eq!(context.undelivered(), Some(purged()));
        }
    }

    #[test]
    fn a_commit_is_certain_only_when_every_attempt_was_answered() {
        let answer =
            |name: &str| format!("EndTxn returned {name} in state CommittingTransaction (may_retry=true)");
        for (answers, certain) in [
            (&["NO_ERROR"][..], true),
            (&["CONCURRENT_TRANSACTIONS", "NO_ERROR"], true),
            (&["_TRANSPORT", "NO_ERROR"], false),
            (&["_TIMED_OUT", "NO_ERROR"], false),
            (&["NOT_COORDINATOR"], false),
            (&["NO_ERROR", ""], false),
            (&[], false),
        ] {
            let context = Context::default();
            context.log(RDKafkaLogLevel::Debug, "ENDTXN", &answer("_TIMED_OUT"));
            context.begin_end_txn();
            for name in answers {
                let line = if name.is_empty() { "another wording".to_owned() } else { answer(name) };
                context.log(RDKafkaLogLevel::Debug, "ENDTXN", &line);
            }
            assert_eq!(context.end_txn_is_certain(), certain, "{answers:?}");
        }
    }
}
