//! What the topic of a sink takes, record by record, decided when the outputs of a commit are written.
//!
//! Outputs are hashed as the engine made them, so nothing here changes a digest, and a replay, which writes nothing, need
//! not know what a topic took at the time. A commit is written once: so is each decision.

use crate::worker::tally::Tally;
use connect::door::{TimestampBounds, TopicInfo};
use pipeline::dead_letter::{Refusal, SinkNames, push_letter, push_refused};
use pipeline::plan::{Plan, SinkConnector, SinkId, SinkRole};
use pipeline::record::{NewRecord, RecordBatch};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Clocks of brokers differ from ours by less than this; else the broker refuses, and the worker tries again.
const CLOCK_MARGIN_MS: i64 = 10_000;
/// The timestamp that a record had before its topic would not take it.
const TIMESTAMP_HEADER: &[u8] = b"weir.timestamp";

/// The outputs of one unit in one commit on their way out.
pub(super) struct Fit<'a> {
    plan: &'a Plan,
    /// By sink; none for a sink that is no topic.
    topics: &'a [Option<TopicInfo>],
    now_ms: i64,
    /// Dead letters of records that their topic cannot take.
    letters: RecordBatch,
    refused: Refused,
}

/// What becomes of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Taken,
    /// With the time of writing instead of its own.
    Redated,
    Refused(Refusal),
}

impl<'a> Fit<'a> {
    pub(super) fn new(plan: &'a Plan, topics: &'a [Option<TopicInfo>], now_ms: i64) -> Self {
        Self { plan, topics, now_ms, letters: RecordBatch::new(), refused: Refused::default() }
    }

    /// What of a batch the sink can be given; the rest is kept as dead letters.
    pub(super) fn take<'b>(&mut self, sink: SinkId, batch: &'b RecordBatch) -> Cow<'b, RecordBatch> {
        let Some(topic) = self.topic(sink) else { return Cow::Borrowed(batch) };
        let surely = batch.is_surely_within(topic.message_bytes_max)
            && topic.timestamps == TimestampBounds::NONE
            && !topic.compacted;
        let verdict = |row: usize| self.judge(topic, batch, row);
        if surely || (0..batch.len()).all(|row| verdict(row) == Verdict::Taken) {
            return Cow::Borrowed(batch);
        }
        let verdicts: Vec<_> = (0..batch.len()).map(verdict).collect();
        let mut fitting = RecordBatch::new();
        for (row, verdict) in verdicts.into_iter().enumerate() {
            match verdict {
                Verdict::Taken => fitting.push_from(batch, row),
                Verdict::Redated => push_redated(&mut fitting, batch, row, self.now_ms),
                Verdict::Refused(refusal) => self.refuse(sink, refusal, (batch, row), &mut fitting),
            }
        }
        Cow::Owned(fitting)
    }

    /// The dead letters, and what they change in the counts of the unit.
    pub(super) fn letters(mut self) -> (RecordBatch, Refused) {
        let letters = std::mem::take(&mut self.letters);
        let letters = match self.plan.dead_letter_sink() {
            // They were made to fit, but for their time.
            Some(desk) => self.take(desk, &letters).into_owned(),
            None => letters,
        };
        (letters, self.refused)
    }

    fn topic(&self, sink: SinkId) -> Option<&'a TopicInfo> {
        self.topics.get(usize::from(sink.0)).and_then(Option::as_ref)
    }

    fn judge(&self, topic: &TopicInfo, batch: &RecordBatch, row: usize) -> Verdict {
        let limit = topic.message_bytes_max;
        let timestamp_ms = batch.records()[row].timestamp_ms;
        if topic.compacted && batch.key(row).is_none() {
            return Verdict::Refused(Refusal::NoKey);
        }
        let taken = topic.timestamps.takes(timestamp_ms, self.now_ms, CLOCK_MARGIN_MS);
        let header = if taken { 0 } else { redated_bytes(timestamp_ms) };
        if batch.log_bytes(row) + header > limit {
            return Verdict::Refused(Refusal::TooLarge { limit });
        }
        if taken { Verdict::Taken } else { Verdict::Redated }
    }

    /// A dead letter that does not fit becomes a stub where it is; everything else goes to the dead-letter sink.
    fn refuse(
        &mut self,
        sink: SinkId,
        refusal: Refusal,
        record: (&RecordBatch, usize),
        fitting: &mut RecordBatch,
    ) {
        let (batch, row) = record;
        let definition = self.plan.sink(sink);
        let desk = self.plan.dead_letter_sink();
        let limit = desk.map_or(0, |desk| self.letter_bytes_max(desk));
        if desk == Some(sink) && is_letter(batch, row) {
            let mut letter = RecordBatch::new();
            let fits = refusal != Refusal::NoKey && push_letter(&mut letter, batch, row, limit);
            (0..letter.len()).for_each(|row| self.push_in_time(sink, &letter, row, fitting));
            if !fits {
                tracing::warn!(
                    sink = definition.name,
                    ?refusal,
                    "a dead letter is lost: its topic cannot take it"
                );
            }
            return;
        }
        *self.refused.by_sink.entry(definition.name.clone()).or_default() += 1;
        self.refused.of_users += u64::from(definition.role == SinkRole::User);
        let SinkConnector::Kafka { topic, .. } = &definition.connector else { return };
        let names = SinkNames { pipeline: self.plan.name(), sink: &definition.name, topic };
        let kept = desk.is_some() && push_refused(&mut self.letters, record, refusal, &names, limit);
        if !kept {
            tracing::warn!(
                sink = definition.name,
                ?refusal,
                "a record was not written, and is no dead letter either"
            );
        }
    }

    fn push_in_time(&self, sink: SinkId, batch: &RecordBatch, row: usize, to: &mut RecordBatch) {
        let timestamp_ms = batch.records()[row].timestamp_ms;
        let bounds = self.topic(sink).map_or(TimestampBounds::NONE, |topic| topic.timestamps);
        if bounds.takes(timestamp_ms, self.now_ms, CLOCK_MARGIN_MS) {
            to.push_from(batch, row);
        } else {
            push_redated(to, batch, row, self.now_ms);
        }
    }

    /// What a dead letter may take in the log, with room for a header that says another time.
    fn letter_bytes_max(&self, desk: SinkId) -> usize {
        let limit = self.topic(desk).map_or(usize::MAX, |topic| topic.message_bytes_max);
        limit.saturating_sub(redated_bytes(i64::MIN))
    }
}

/// What the counts of a unit have to learn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Refused {
    /// Records, by the name of the sink.
    by_sink: BTreeMap<String, u64>,
    /// Of these, records that were counted as given to a sink of the user.
    of_users: u64,
}

impl Refused {
    /// Corrects what the engine counted.
    pub(super) fn correct(&self, tally: &mut Tally) {
        for (sink, records) in &self.by_sink {
            tally.counters.dead_letters += records;
            tally.nodes.entry(sink.clone()).or_default().dead_letters += records;
        }
        tally.counters.records_out = tally.counters.records_out.saturating_sub(self.of_users);
    }
}

/// A record that became a dead letter before it came here.
fn is_letter(batch: &RecordBatch, row: usize) -> bool {
    batch.headers(row).any(|(name, _)| name.starts_with(b"__connect.errors."))
}

fn push_redated(to: &mut RecordBatch, batch: &RecordBatch, row: usize, now_ms: i64) {
    let record = &batch.records()[row];
    let (key, value) = (batch.key(row), batch.value(row));
    to.push(NewRecord { offset: record.offset, timestamp_ms: now_ms, key, value });
    batch.headers(row).for_each(|(name, value)| to.push_header(name, value));
    to.push_header(TIMESTAMP_HEADER, Some(record.timestamp_ms.to_string().as_bytes()));
}

/// Bytes in the log of the header that keeps a timestamp.
fn redated_bytes(timestamp_ms: i64) -> usize {
    TIMESTAMP_HEADER.len() + timestamp_ms.to_string().len() + 10
}
