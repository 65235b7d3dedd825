//! The source side of a window: finds late and unusable records, adds the others up by (key, slice), and cuts what it
//! has into blocks at every flush. Between a flush and the next record nothing is left here but what was said last.

mod flush;
mod inherit;
mod large;
mod values;

use crate::aggregate::{self, Input};
use crate::column::{Column, FieldPath, Projection};
use crate::dead_letter::Fault;
use crate::effect::Effects;
use crate::expression::BindError;
use crate::plan::{Aggregate, AggregateFunction, NodeId, Window};
use crate::record::RecordBatch;
use crate::state::bytes::{Malformed, Reader};
use crate::state::groups::{Groups, key_hash, owner};
use crate::state::page::{Page, PageIds};
use crate::unit::flow::{Flow, Round};
use crate::watermark::{Channels, Combined, START_OF_TIME, Status};
use crate::window::block::Writer;
use crate::window::whole::{Origin, Whole};
use crate::window::{Slices, block, key};
pub(crate) use flush::Destination;
use flush::{Outbox, Thrift};
use inherit::Past;
pub(crate) use inherit::Predecessor;
use large::LargeGroups;
use std::sync::Arc;

/// More groups than this are flushed before the next commit.
const GROUPS_MAX: usize = 64 << 10;
/// More bytes of keys and whole records than this are flushed before the next commit.
const BYTES_MAX: usize = 4 << 20;

/// The source side of one window step in one unit.
#[derive(Debug)]
pub(crate) struct Assign {
    window: Arc<Window>,
    slices: Slices,
    /// By the node whose records come in: where key fields and aggregated fields are.
    columns: Vec<(NodeId, Columns)>,
    combined: Combined,
    buffer: Buffer,
    large: LargeGroups,
    past: Past,
    outbox: Outbox,
    thrift: Thrift,
    key: Vec<u8>,
}

/// The columns of key fields and of aggregated fields.
#[derive(Clone, Debug)]
struct Columns {
    keys: Vec<usize>,
    aggregates: Vec<Option<usize>>,
}

/// Groups by slice, in the order in which slices were first seen, and rows on their way into the current one.
#[derive(Debug)]
struct Buffer {
    slices: Vec<(i64, Groups)>,
    spare: Vec<Groups>,
    current: usize,
    rows: Vec<u32>,
    groups: Vec<u32>,
}

/// What is the same for all rows of one call.
struct Task<'a> {
    round: &'a Round<'a>,
    flow: &'a Flow<'a>,
    input: Input<'a>,
    columns: &'a Columns,
    /// Some value may be of a type that an aggregate does not take.
    check: bool,
    /// Some row may have to travel whole.
    careful: bool,
    /// The watermark that rows without a channel are judged by.
    before_ms: i64,
}

impl Assign {
    pub(crate) fn new(
        writer: Writer,
        window: &Arc<Window>,
        to: Destination,
        units: u32,
        combined: Combined,
    ) -> Self {
        Self {
            window: Arc::clone(window),
            slices: Slices::of(window),
            columns: Vec::new(),
            combined,
            buffer: Buffer {
                slices: Vec::new(),
                spare: Vec::new(),
                current: 0,
                rows: Vec::new(),
                groups: Vec::new(),
            },
            large: LargeGroups::default(),
            past: Past::new(Slices::of(window)),
            outbox: Outbox::new(writer, to, units, block::shape(window)),
            thrift: Thrift::default(),
            key: Vec::new(),
        }
    }

    /// Learns where the fields are in the records of a node, which decodes all of them.
    pub(crate) fn bind(&mut self, maker: NodeId, projection: &Projection) -> Result<(), BindError> {
        let find = |path: &FieldPath| projection.find(path).ok_or_else(|| BindError { path: path.clone() });
        let keys = self.window.key_by.iter().map(|(_, path)| find(path)).collect::<Result<_, _>>()?;
        let column = |aggregate: &Aggregate| aggregate.field.as_ref().map(find).transpose();
        let aggregates = self.window.aggregates.iter().map(column).collect::<Result<_, _>>()?;
        self.columns.push((maker, Columns { keys, aggregates }));
        Ok(())
    }

    /// What its readers were told last.
    pub(crate) fn said(&self) -> Status {
        self.outbox.said()
    }

    pub(crate) fn combined(&self) -> &Combined {
        &self.combined
    }

    /// Looks at the watermarks of the channels again.
    pub(crate) fn advance(&mut self, channels: &Channels) {
        self.combined.update(channels);
    }

    /// True when a flush would write something.
    pub(crate) fn has_news(&self) -> bool {
        !self.buffer.slices.is_empty() || !self.outbox.is_empty() || self.said() != self.combined.status()
    }

    /// Takes rows of one flow, in order.
    pub(crate) fn take(&mut self, round: &Round<'_>, flow: &Flow<'_>, rows: &[u32], out: &mut Effects) {
        let Some(at) = self.columns.iter().position(|(maker, _)| *maker == flow.maker) else { return };
        let columns = self.columns[at].1.clone();
        let input = Input { frame: &flow.frame, batch: &flow.batch };
        let mut task = Task {
            round,
            flow,
            input,
            columns: &columns,
            check: false,
            careful: false,
            before_ms: self.combined.watermark_ms(),
        };
        task.check = values::must_check(&self.window, task.input, &columns.aggregates);
        task.careful = self.must_be_careful(&task, rows);
        for row in rows {
            if flow.has_tombstones && flow.batch.records()[*row as usize].value.is_none() {
                continue;
            }
            self.key.clear();
            match self.read_row(&task, *row) {
                Ok(()) => self.place_row(&task, *row, out),
                Err(fault) => round.refuse(out, &self.window.name, &fault, flow.origin(*row)),
            }
        }
        self.buffer.add_pending(&task, &self.window.aggregates);
        if self.buffer.is_large() || self.outbox.whole_bytes() > BYTES_MAX {
            self.flush(out);
        }
    }

    /// Encodes the key and looks at the types of the values.
    #[inline]
    fn read_row(&mut self, task: &Task<'_>, row: u32) -> Result<(), Fault> {
        let fields = self.window.key_by.len();
        for (at, column) in task.columns.keys.iter().enumerate() {
            let value = task.input.frame.columns[*column].value(row as usize);
            key::put_field(&mut self.key, &self.window.key_by[at].0, task.input, value, at + 1 == fields)?;
        }
        if task.check {
            values::check(&self.window, task.input, &task.columns.aggregates, row)
        } else {
            Ok(())
        }
    }

    /// Decides what becomes of a row whose key is in `self.key`.
    #[inline]
    fn place_row(&mut self, task: &Task<'_>, row: u32, out: &mut Effects) {
        let origin = task.flow.origin(row);
        let before_ms = task.watermark_before(origin);
        let start_ms = self.buffer.start_near(self.slices, task.round.event_time(origin));
        if self.slices.closes_at(start_ms) <= before_ms || self.past.has_left(task.round.channel, start_ms) {
            return late(&self.window, &task.flow.batch, row, out);
        }
        let hash = key_hash(&self.key);
        if task.careful {
            let held = self.is_held(task, row, start_ms);
            if held || before_ms < task.round.catch_up_ms {
                let whole = whole(&self.window, task, row, start_ms, &self.key, held);
                return self.outbox.push_whole(hash, &whole);
            }
        }
        self.buffer.enter(start_ms, task, &self.window.aggregates);
        self.buffer.push(row, hash, &self.key, self.thrift.adds_up());
    }

    fn must_be_careful(&self, task: &Task<'_>, rows: &[u32]) -> bool {
        let catching_up = |row: &u32| task.watermark_before(task.flow.origin(*row)) < task.round.catch_up_ms;
        // Watermarks only grow along a partition, so the first row tells.
        rows.first().is_some_and(catching_up)
            || !self.large.is_empty()
            || self.sum_columns(task).any(|column| rows.iter().any(|row| is_large(task, column, *row)))
    }

    fn sum_columns<'a>(&'a self, task: &'a Task<'_>) -> impl Iterator<Item = &'a Column> {
        let sums = self.window.aggregates.iter().zip(&task.columns.aggregates);
        sums.filter(|(aggregate, _)| aggregate.function == AggregateFunction::Sum)
            .filter_map(|(_, column)| column.map(|column| &task.input.frame.columns[column]))
    }

    /// True when the record has to wait for the end of its window: it has a large term, or one came before it in its
    /// group and partition. So what overflows a sum is decided in the order of the log.
    fn is_held(&mut self, task: &Task<'_>, row: u32, start_ms: i64) -> bool {
        let large = self.sum_columns(task).any(|column| is_large(task, column, row));
        let Some(channel) = task.round.channel else { return large };
        if large {
            self.large.insert(start_ms, channel, &self.key);
        }
        large || self.large.contains(start_ms, channel, &self.key)
    }

    /// Cuts everything that is here into blocks, and says the watermark.
    pub(crate) fn flush(&mut self, out: &mut Effects) {
        self.thrift.learn(self.buffer.slices.iter().map(|(_, groups)| groups.len()).sum());
        self.outbox.send(&self.buffer.slices, self.combined.status(), out);
        self.buffer.recycle();
    }

    /// A commit: everything goes out, and what is over is forgotten. [`Assign::advance`] comes before.
    pub(crate) fn commit(&mut self, channels: &Channels, out: &mut Effects) {
        self.flush(out);
        let slices = self.slices;
        self.large.retain(|start_ms, channel| {
            channels.get(channel).is_some_and(|state| slices.closes_at(start_ms) > state.watermark_ms)
        });
        let combined_ms = self.combined.watermark_ms();
        self.past.forget(slices, |channel| match channel {
            Some(channel) => channels.get(channel).map_or(START_OF_TIME, |state| state.watermark_ms),
            None => combined_ms,
        });
    }

    /// True when only [`Assign::snapshot`] is needed to go on elsewhere.
    pub(crate) fn is_flushed(&self) -> bool {
        self.buffer.slices.is_empty() && self.outbox.is_empty()
    }

    /// Appends what has to survive and is no page, and gives the pages; the buffers are empty at a commit.
    pub(crate) fn snapshot(&mut self, ids: &mut PageIds, head: &mut Vec<u8>, pages: &mut Vec<Arc<dyn Page>>) {
        self.combined.status().encode(head);
        self.outbox.said().encode(head);
        self.thrift.encode(head);
        self.large.snapshot(ids, head, pages);
        self.past.encode(head);
    }

    /// Takes in what [`Assign::snapshot`] gave.
    pub(crate) fn restore<'a>(
        &mut self,
        reader: &mut Reader<'_>,
        pages: &mut impl Iterator<Item = &'a [u8]>,
    ) -> Result<(), Malformed> {
        self.restore_with(reader, |reader| LargeGroups::restore(reader, pages))
    }

    /// The same of a release before there were pages.
    pub(crate) fn restore_unpaged(&mut self, reader: &mut Reader<'_>) -> Result<(), Malformed> {
        self.restore_with(reader, LargeGroups::restore_unpaged)
    }

    fn restore_with<'b>(
        &mut self,
        reader: &mut Reader<'b>,
        large: impl FnOnce(&mut Reader<'b>) -> Result<LargeGroups, Malformed>,
    ) -> Result<(), Malformed> {
        self.combined.restore(Status::decode(reader)?);
        self.outbox.restore(Status::decode(reader)?);
        self.thrift = Thrift::decode(reader)?;
        self.large = large(reader)?;
        self.past = Past::decode(reader)?;
        Ok(())
    }

    /// Heap bytes, roughly.
    pub(crate) fn heap_bytes(&self) -> usize {
        let slices = self.buffer.slices.iter().map(|(_, groups)| groups.heap_bytes());
        slices.sum::<usize>() + self.outbox.whole_bytes() + self.large.heap_bytes()
    }
}

impl Task<'_> {
    #[inline]
    fn watermark_before(&self, origin: usize) -> i64 {
        self.round.watermark_before(origin).unwrap_or(self.before_ms)
    }
}

impl Buffer {
    /// The start of the slice around a time; the current slice is tried first.
    #[inline]
    fn start_near(&self, slices: Slices, event_ms: i64) -> i64 {
        if let Some((start_ms, _)) = self.slices.get(self.current)
            && (*start_ms..slices.end_of(*start_ms)).contains(&event_ms)
        {
            return *start_ms;
        }
        slices.start_of(event_ms)
    }

    /// Makes a slice the current one.
    #[inline]
    fn enter(&mut self, start_ms: i64, task: &Task<'_>, aggregates: &[Aggregate]) {
        if self.slices.get(self.current).is_some_and(|(current, _)| *current == start_ms) {
            return;
        }
        self.add_pending(task, aggregates);
        self.current = self.slices.iter().position(|(start, _)| *start == start_ms).unwrap_or_else(|| {
            let groups = self.spare.pop().unwrap_or_else(|| Groups::new(aggregates));
            self.slices.push((start_ms, groups));
            self.slices.len() - 1
        });
    }

    #[inline]
    fn push(&mut self, row: u32, hash: u64, key: &[u8], find: bool) {
        let groups = &mut self.slices[self.current].1;
        let group = if find { groups.find_or_insert(hash, key) } else { groups.append(hash, key) };
        self.rows.push(row);
        self.groups.push(group);
    }

    /// Adds the values of the rows that wait to the current slice.
    fn add_pending(&mut self, task: &Task<'_>, aggregates: &[Aggregate]) {
        if self.rows.is_empty() {
            return;
        }
        let groups = &mut self.slices[self.current].1;
        groups.settle();
        for at in 0..aggregates.len() {
            let column = task.columns.aggregates[at].map(|column| &task.input.frame.columns[column]);
            groups.accumulators.add(at, column, task.input, &self.rows, &self.groups);
        }
        self.rows.clear();
        self.groups.clear();
    }

    fn is_large(&self) -> bool {
        self.slices.iter().map(|(_, groups)| groups.len()).sum::<usize>() > GROUPS_MAX
            || self.slices.iter().map(|(_, groups)| groups.key_bytes()).sum::<usize>() > BYTES_MAX
    }

    fn recycle(&mut self) {
        for (_, mut groups) in self.slices.drain(..) {
            groups.clear();
            self.spare.push(groups);
        }
        self.spare.truncate(4);
        self.current = 0;
    }
}

/// A record that no window takes any more goes to the `lateSink` as it is.
pub(crate) fn late(window: &Window, batch: &RecordBatch, row: u32, out: &mut Effects) {
    out.counters.late += 1;
    if let Some(sink) = window.late_sink {
        out.output(sink).push_from(batch, row as usize);
    }
}

fn is_large(task: &Task<'_>, column: &Column, row: u32) -> bool {
    aggregate::is_large(task.input, column.value(row as usize))
}

fn whole(window: &Window, task: &Task<'_>, row: u32, start_ms: i64, key: &[u8], held: bool) -> Whole {
    let value =
        |column: &Option<usize>| column.map(|column| task.input.frame.columns[column].value(row as usize));
    let values = window.aggregates.iter().zip(&task.columns.aggregates);
    let origin = task.flow.origin(row);
    let mut records = RecordBatch::new();
    records.push_from(&task.flow.batch, row as usize);
    if task.flow.is_changed() {
        records.push_from(task.round.input, origin);
    }
    let place = task.round.place(origin);
    Whole {
        start_ms,
        key: key.to_vec(),
        values: values
            .map(|(aggregate, column)| aggregate::scalar(aggregate, task.input, value(column)))
            .collect(),
        held,
        origin: Origin { source: task.round.source, partition: place.partition, offset: place.offset },
        records,
    }
}

/// The unit of the merging stage that owns a key.
fn unit_of(hash: u64, units: u32) -> usize {
    owner(hash, units) as usize
}
