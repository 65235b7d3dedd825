//! The merging side of a window: the open windows of the keys that this unit owns, and their closing.

mod close;
mod inherit;

pub(crate) use inherit::Share;

use crate::aggregate::Scalar;
use crate::dead_letter::Desk;
use crate::effect::Effects;
use crate::format::json::write_string;
use crate::plan::{Aggregate, Source, Window};
use crate::record::RecordBatch;
use crate::state::bytes::{Malformed, Reader, put_slice, put_varint, put_zigzag};
use crate::state::groups::Groups;
use crate::state::page::{Page, PageIds};
use crate::state::paged::PagedGroups;
use crate::watermark::{Channels, Combined, START_OF_TIME, Status};
use crate::window::assign::late;
use crate::window::block::{self, BlockError, Writer};
use crate::window::held::Held;
use crate::window::whole::Whole;
use crate::window::{Slices, key};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Rows of closing windows that go through the nodes behind at once.
const ROWS_MAX: usize = 8 << 10;

/// The merging side of one window step in one unit.
#[derive(Debug)]
pub(crate) struct Merge {
    window: Arc<Window>,
    slices: Slices,
    writer: Writer,
    shape: Vec<u8>,
    /// Names of key fields and of aggregates as JSON strings.
    key_names: Vec<Vec<u8>>,
    aggregate_names: Vec<Vec<u8>>,
    combined: Combined,
    /// Slices that start before are closed whatever the watermark says: they were under an earlier plan.
    closed_before_ms: i64,
    /// By start, so in the order of closing.
    open: BTreeMap<i64, OpenWindow>,
    /// The window whose rows are being made; none between calls of the unit.
    closing: Option<Closing>,
    spare: Vec<OpenWindow>,
    ids: Vec<u32>,
}

/// A closed window that still has rows to make.
#[derive(Debug)]
struct Closing {
    start_ms: i64,
    window: OpenWindow,
    next_group: u32,
}

/// A window that takes records.
#[derive(Debug)]
struct OpenWindow {
    groups: PagedGroups,
    /// Records that are added when it closes.
    held: Held,
}

impl Merge {
    pub(crate) fn new(writer: Writer, window: &Arc<Window>, combined: Combined) -> Self {
        let json = |name: &str| {
            let mut out = Vec::new();
            write_string(name.as_bytes(), &mut out);
            out
        };
        Self {
            window: Arc::clone(window),
            slices: Slices::of(window),
            writer,
            shape: block::shape(window),
            key_names: window.key_by.iter().map(|(name, _)| json(name)).collect(),
            aggregate_names: window.aggregates.iter().map(|aggregate| json(&aggregate.name)).collect(),
            combined,
            closed_before_ms: START_OF_TIME,
            open: BTreeMap::new(),
            closing: None,
            spare: Vec::new(),
            ids: Vec::new(),
        }
    }

    /// Merges a block; gives what its writer says of its watermark.
    pub(crate) fn take(&mut self, payload: &[u8], out: &mut Effects) -> Result<Status, BlockError> {
        let mut reader = Reader::new(payload);
        let status = block::read_header(&mut reader, self.writer, &self.shape)?;
        self.take_slices(&mut reader, out).map_err(BlockError::Malformed)?;
        self.take_wholes(&mut reader, out).map_err(BlockError::Malformed)?;
        reader.end("end of the block").map_err(BlockError::Malformed)?;
        Ok(status)
    }

    fn take_slices(&mut self, reader: &mut Reader<'_>, out: &mut Effects) -> Result<(), Malformed> {
        let fields = self.window.key_by.len();
        for _ in 0..reader.count("number of slices")? {
            let start_ms = self.aligned(reader.zigzag("start of a slice")?)?;
            if self.is_closed(start_ms) {
                // Out of reach: a writer adds up only what its readers cannot have closed.
                let mut groups = Groups::new(&self.window.aggregates);
                groups.merge(reader, &mut self.ids, |bytes| key::is_valid(bytes, fields))?;
                out.counters.late += groups.len() as u64;
                continue;
            }
            let mut ids = std::mem::take(&mut self.ids);
            let merged =
                self.window_at(start_ms).groups.merge(reader, &mut ids, |bytes| key::is_valid(bytes, fields));
            self.ids = ids;
            merged?;
        }
        Ok(())
    }

    fn take_wholes(&mut self, reader: &mut Reader<'_>, out: &mut Effects) -> Result<(), Malformed> {
        for _ in 0..reader.count("number of records")? {
            let mut inner = Reader::new(reader.slice("record")?);
            let whole = self.read_whole(&mut inner)?;
            inner.end("end of a record")?;
            if self.is_closed(whole.start_ms) {
                late(&self.window, &whole.records, 0, out);
            } else if whole.held {
                self.window_at(whole.start_ms).held.push(whole);
            } else {
                self.window_at(whole.start_ms).add(&whole);
            }
        }
        Ok(())
    }

    fn read_whole(&self, reader: &mut Reader<'_>) -> Result<Whole, Malformed> {
        let whole = Whole::decode(reader, self.window.aggregates.len())?;
        self.aligned(whole.start_ms)?;
        if key::is_valid(&whole.key, self.window.key_by.len()) {
            Ok(whole)
        } else {
            Err(Malformed { what: "key" })
        }
    }

    fn aligned(&self, start_ms: i64) -> Result<i64, Malformed> {
        if self.slices.start_of(start_ms) == start_ms {
            Ok(start_ms)
        } else {
            Err(Malformed { what: "slice" })
        }
    }

    fn is_closed(&self, start_ms: i64) -> bool {
        start_ms < self.closed_before_ms || self.slices.closes_at(start_ms) <= self.combined.watermark_ms()
    }

    fn window_at(&mut self, start_ms: i64) -> &mut OpenWindow {
        let (spare, aggregates) = (&mut self.spare, &self.window.aggregates);
        self.open
            .entry(start_ms)
            .or_insert_with(|| spare.pop().unwrap_or_else(|| OpenWindow::new(aggregates)))
    }

    /// Looks at the watermarks again; true when windows may close.
    pub(crate) fn advance(&mut self, channels: &Channels) -> bool {
        self.combined.update(channels) || self.is_due()
    }

    /// A window is over and its rows were not made: only right behind a change to a plan that waits less for late
    /// records.
    pub(crate) fn is_due(&self) -> bool {
        self.open.first_key_value().is_some_and(|(start_ms, _)| self.is_closed(*start_ms))
    }

    /// Closes the windows that the watermark has passed; their rows are appended to `rows`, window by window, up to a
    /// number. True when there are more.
    pub(crate) fn close(
        &mut self,
        sources: &[Source],
        desk: Desk<'_>,
        rows: &mut RecordBatch,
        out: &mut Effects,
    ) -> bool {
        while rows.len() < ROWS_MAX {
            let Some(mut closing) = self.closing.take().or_else(|| self.next_to_close()) else {
                return false;
            };
            if closing.next_group == 0 {
                close::add_held(&mut closing.window, &self.window, sources, desk, out);
            }
            if self.write_rows(&mut closing, rows, desk, out) {
                self.closing = Some(closing);
            } else {
                self.recycle(closing.window);
            }
        }
        true
    }

    fn next_to_close(&mut self) -> Option<Closing> {
        if !self.is_due() {
            return None;
        }
        let (start_ms, window) = self.open.pop_first()?;
        Some(Closing { start_ms, window, next_group: 0 })
    }

    fn recycle(&mut self, mut window: OpenWindow) {
        window.groups.clear();
        if self.spare.len() < 2 {
            self.spare.push(window);
        }
    }

    /// The name of the step.
    pub(crate) fn name(&self) -> &str {
        &self.window.name
    }

    pub(crate) fn open_windows(&self) -> usize {
        self.open.len()
    }

    pub(crate) fn groups(&self) -> usize {
        self.open.values().map(|window| window.groups.len()).sum()
    }

    /// Appends what is no page, and gives the pages: those of the groups and of the held records of each window, in the
    /// order of closing.
    pub(crate) fn snapshot(&mut self, ids: &mut PageIds, head: &mut Vec<u8>, pages: &mut Vec<Arc<dyn Page>>) {
        self.combined.status().encode(head);
        put_zigzag(head, self.closed_before_ms);
        put_slice(head, &self.shape);
        put_varint(head, self.open.len() as u64);
        for (start_ms, window) in &mut self.open {
            put_zigzag(head, *start_ms);
            put_varint(head, window.groups.len() as u64);
            put_varint(head, window.held.len() as u64);
            window.groups.seal(ids, pages);
            window.held.seal(ids, pages);
        }
    }

    /// Takes in what [`Merge::snapshot`] gave.
    pub(crate) fn restore<'a>(
        &mut self,
        reader: &mut Reader<'_>,
        pages: &mut impl Iterator<Item = &'a [u8]>,
    ) -> Result<(), Malformed> {
        let fields = self.window.key_by.len();
        for _ in 0..self.restore_head(reader)? {
            let start_ms = self.new_start(reader)?;
            let groups = reader.varint32("number of groups")? as usize;
            let held = reader.varint32("number of held records")? as usize;
            let mut window = OpenWindow::new(&self.window.aggregates);
            window.groups.restore(groups, pages, |bytes| key::is_valid(bytes, fields))?;
            window.held.restore(held, pages, |reader| self.read_whole(reader))?;
            self.open.insert(start_ms, window);
        }
        Ok(())
    }

    /// The same of a release before there were pages.
    pub(crate) fn restore_unpaged(&mut self, reader: &mut Reader<'_>) -> Result<(), Malformed> {
        let fields = self.window.key_by.len();
        for _ in 0..self.restore_head(reader)? {
            let start_ms = self.new_start(reader)?;
            let mut window = OpenWindow::new(&self.window.aggregates);
            window.groups.merge(reader, &mut self.ids, |bytes| key::is_valid(bytes, fields))?;
            for _ in 0..reader.count("number of held records")? {
                window.held.push(self.read_whole(reader)?);
            }
            self.open.insert(start_ms, window);
        }
        Ok(())
    }

    /// Gives the number of windows that follow.
    fn restore_head(&mut self, reader: &mut Reader<'_>) -> Result<usize, Malformed> {
        self.combined.restore(Status::decode(reader)?);
        self.closed_before_ms = reader.zigzag("first slice that may be open")?;
        if reader.slice("shape of a window")? != self.shape {
            return Err(Malformed { what: "shape of a window" });
        }
        reader.count("number of windows")
    }

    /// The start of a window that is not open yet.
    fn new_start(&self, reader: &mut Reader<'_>) -> Result<i64, Malformed> {
        let start_ms = self.aligned(reader.zigzag("start of a window")?)?;
        if self.open.contains_key(&start_ms) {
            return Err(Malformed { what: "start of a window" });
        }
        Ok(start_ms)
    }

    /// Heap bytes, roughly.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.open.values().map(|window| window.groups.heap_bytes() + window.held.heap_bytes()).sum()
    }
}

impl OpenWindow {
    fn new(aggregates: &[Aggregate]) -> Self {
        Self { groups: PagedGroups::new(aggregates), held: Held::default() }
    }

    /// Adds one record.
    fn add(&mut self, whole: &Whole) {
        let hash = crate::state::groups::key_hash(&whole.key);
        let group = self.groups.find_or_insert(hash, &whole.key);
        self.groups.settle();
        let (accumulators, row) = self.groups.row_mut(group);
        let values: &[Scalar] = &whole.values;
        values.iter().enumerate().for_each(|(at, value)| accumulators.add_scalar(at, row, value));
    }
}
