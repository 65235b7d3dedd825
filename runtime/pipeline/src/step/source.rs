//! Sources: a batch of one partition becomes rows with event times, and the channel's watermark moves.

use crate::column::{Frame, Projection};
use crate::dead_letter::{Desk, Fault, Place, RECORD_BYTES_MAX, Reason};
use crate::effect::Effects;
use crate::format::json::{Decoder, Reject};
use crate::plan::{EventTime, NodeId, Source, SourceConnector, SourceId};
use crate::record::RecordBatch;
use crate::schema::Schema;
use crate::time::event_time;
use crate::unit::flow::Timing;
use crate::watermark::ChannelState;
use std::borrow::Cow;
use std::sync::Arc;

/// One source in one unit.
#[derive(Clone, Debug)]
pub(crate) struct SourceStep {
    pub(crate) id: NodeId,
    pub(crate) input: u16,
    pub(crate) source: SourceId,
    pub(crate) topic: String,
    name: String,
    decoder: Decoder,
    schema: Option<Arc<Schema>>,
    time: EventTime,
    time_column: Option<usize>,
    rejects: Vec<Reject>,
}

/// What reading a batch gives.
pub(crate) struct Reading<'a> {
    /// The batch without records that are too large to be looked at.
    pub(crate) batch: Cow<'a, RecordBatch>,
    pub(crate) frame: Frame,
    /// Rows that are not dead letters.
    pub(crate) rows: Vec<u32>,
    pub(crate) has_tombstones: bool,
}

/// What a source needs to know of the moment.
pub(crate) struct Moment<'a> {
    pub(crate) desk: Desk<'a>,
    pub(crate) clock_ms: i64,
}

impl SourceStep {
    /// `projection` has a column for the field of the event time.
    pub(crate) fn new(
        id: NodeId,
        input: u16,
        source: SourceId,
        definition: &Source,
        projection: &Projection,
    ) -> Self {
        let SourceConnector::Kafka { topic, .. } = &definition.connector;
        Self {
            id,
            input,
            source,
            topic: topic.clone(),
            name: definition.name.clone(),
            decoder: Decoder::new(projection),
            schema: definition.schema.clone(),
            time: definition.time.clone(),
            time_column: definition.time.field.as_ref().and_then(|field| projection.find(field)),
            rejects: Vec::new(),
        }
    }

    /// Decodes and validates a batch, and moves the watermark of its channel record by record. `frame` lends its
    /// allocations; `times` gets one entry per row.
    pub(crate) fn read<'a>(
        &mut self,
        channel: &mut ChannelState,
        batch: &'a RecordBatch,
        moment: &Moment<'_>,
        mut frame: Frame,
        times: &mut Vec<Timing>,
        out: &mut Effects,
    ) -> Reading<'a> {
        let partition = channel.channel.partition;
        let batch = self.without_oversized(batch, partition, moment, out);
        self.rejects.clear();
        self.decoder.decode(&batch, &mut frame, &mut self.rejects);
        let mut rows = Vec::with_capacity(batch.len());
        let mut rejects = self.rejects.iter().peekable();
        let mut has_tombstones = false;
        times.clear();
        for row in 0..batch.len() as u32 {
            let before_ms = channel.watermark_ms;
            let mut timing = Timing { event_ms: batch.records()[row as usize].timestamp_ms, before_ms };
            let rejected = rejects.next_if(|reject| reject.row == row);
            let judged = match (batch.value(row as usize), rejected) {
                (None, _) => {
                    has_tombstones = true;
                    Ok(None)
                }
                (Some(_), Some(reject)) => Err(Fault::new(Reason::Undecodable, reject.reason.to_string())),
                (Some(value), None) => {
                    self.judge(value, &frame, &batch, row as usize, moment.clock_ms).map(Some)
                }
            };
            match judged {
                Ok(event_ms) => {
                    if let Some(event_ms) = event_ms {
                        timing.event_ms = event_ms;
                        let watermark_ms = event_ms.saturating_sub(self.time.max_out_of_orderness_ms);
                        channel.watermark_ms = before_ms.max(watermark_ms);
                    }
                    rows.push(row);
                }
                Err(fault) => self.refuse(&fault, &batch, row as usize, partition, moment, out),
            }
            times.push(timing);
        }
        Reading { batch, frame, rows, has_tombstones }
    }

    /// The event time of a value that can be used.
    #[inline]
    fn judge(
        &self,
        value: &[u8],
        frame: &Frame,
        batch: &RecordBatch,
        row: usize,
        clock_ms: i64,
    ) -> Result<i64, Fault> {
        if let Some(schema) = &self.schema
            && let Err(violation) = schema.validate(value)
        {
            return Err(Fault::new(Reason::SchemaInvalid, violation.to_string()));
        }
        let column = self.time_column.map(|column| &frame.columns[column]);
        event_time(&self.time, column, frame, batch, row, clock_ms)
    }

    /// Records beyond the bound are dead letters before anything looks inside.
    fn without_oversized<'a>(
        &self,
        batch: &'a RecordBatch,
        partition: u32,
        moment: &Moment<'_>,
        out: &mut Effects,
    ) -> Cow<'a, RecordBatch> {
        let oversized = |row: usize| batch.record_bytes(row) > RECORD_BYTES_MAX;
        if batch.byte_len() <= RECORD_BYTES_MAX || !(0..batch.len()).any(oversized) {
            return Cow::Borrowed(batch);
        }
        let mut kept = RecordBatch::new();
        for row in 0..batch.len() {
            if oversized(row) {
                let bytes = batch.record_bytes(row);
                let message = format!("the record has {bytes} bytes, at most {RECORD_BYTES_MAX} are allowed");
                self.refuse(&Fault::new(Reason::RecordTooLarge, message), batch, row, partition, moment, out);
            } else {
                kept.push_from(batch, row);
            }
        }
        Cow::Owned(kept)
    }

    #[cold]
    fn refuse(
        &self,
        fault: &Fault,
        batch: &RecordBatch,
        row: usize,
        partition: u32,
        moment: &Moment<'_>,
        out: &mut Effects,
    ) {
        let place = Place { topic: Some(&self.topic), partition, offset: batch.records()[row].offset };
        moment.desk.take(out, &self.name, fault, place, (batch, row));
    }
}
