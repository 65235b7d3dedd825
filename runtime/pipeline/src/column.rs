//! Columns: one value per row of a batch, as a tag and 64 bits.
//!
//! JSON has no schema, so a column may mix types. Kernels look at [`Column::tags_seen`] once per batch: one tag means a
//! tight loop over `payload`, several mean the general loop by row.

use crate::record::{RecordBatch, Span};

/// The type of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Tag {
    /// The field is not in the record.
    Missing = 0,
    /// JSON `null`.
    Null = 1,
    /// Payload 0 or 1.
    Bool = 2,
    /// Payload is an `i64`.
    Int = 3,
    /// Payload is the bits of an `f64`.
    Double = 4,
    /// A number that neither `i64` nor `f64` holds exactly, as its text: payload is a [`TextRef`].
    Decimal = 5,
    /// UTF-8 text without escapes: payload is a [`TextRef`].
    String = 6,
    /// An object or array as its JSON text: payload is a [`TextRef`].
    Json = 7,
    /// Nanoseconds since the epoch, `i64`.
    Timestamp = 8,
    /// Nanoseconds, `i64`.
    Duration = 9,
    /// The expression failed on this row: payload is an index into [`Frame::errors`].
    Error = 10,
}

/// A set of [`Tag`]s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct TagSet(u16);

impl TagSet {
    /// Adds a tag.
    pub fn insert(&mut self, tag: Tag) {
        self.0 |= 1 << tag as u16;
    }

    /// Takes a tag out.
    pub fn remove(&mut self, tag: Tag) {
        self.0 &= !(1 << tag as u16);
    }

    /// True when the tag is in the set.
    pub fn contains(self, tag: Tag) -> bool {
        self.0 & (1 << tag as u16) != 0
    }

    /// True when the set is exactly this one tag.
    pub fn is_only(self, tag: Tag) -> bool {
        self.0 == 1 << tag as u16
    }

    /// The tags of both sets.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Where the text of a value lies: in the buffer of the batch, or in the frame's scratch buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextRef(u64);

const SCRATCH: u64 = 1 << 63;

impl TextRef {
    /// Text inside the batch's own buffer.
    pub fn input(span: Span) -> Self {
        Self(u64::from(span.start) << 32 | u64::from(span.len))
    }

    /// Text inside the frame's scratch buffer.
    pub fn scratch(span: Span) -> Self {
        Self(SCRATCH | u64::from(span.start) << 32 | u64::from(span.len))
    }

    /// The reference as a payload.
    pub fn bits(self) -> u64 {
        self.0
    }

    /// The reference in a payload of a text tag.
    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    fn span(self) -> Span {
        Span { start: ((self.0 & !SCRATCH) >> 32) as u32, len: self.0 as u32 }
    }
}

/// One value per row.
#[derive(Clone, Debug, Default)]
pub struct Column {
    tags: Vec<Tag>,
    payload: Vec<u64>,
    seen: TagSet,
}

impl Column {
    /// A column of `rows` missing values.
    pub fn missing(rows: usize) -> Self {
        let mut column = Self::default();
        column.reset(rows);
        column
    }

    /// Makes all `rows` values missing and keeps the allocations.
    pub fn reset(&mut self, rows: usize) {
        self.tags.clear();
        self.tags.resize(rows, Tag::Missing);
        self.payload.clear();
        self.payload.resize(rows, 0);
        self.seen = TagSet::default();
        self.seen.insert(Tag::Missing);
    }

    /// Makes the column empty; rows are then appended by [`Column::push`].
    pub fn clear(&mut self) {
        self.tags.clear();
        self.payload.clear();
        self.seen = TagSet::default();
    }

    /// Appends a row.
    #[inline]
    pub fn push(&mut self, tag: Tag, payload: u64) {
        self.tags.push(tag);
        self.payload.push(payload);
        self.seen.insert(tag);
    }

    /// Sets a row.
    #[inline]
    pub fn set(&mut self, row: usize, tag: Tag, payload: u64) {
        self.tags[row] = tag;
        self.payload[row] = payload;
        self.seen.insert(tag);
    }

    /// Takes [`Tag::Missing`] out of the tags seen when no row is missing: to be called when a column that was made
    /// by [`Column::reset`] is filled.
    pub fn settle(&mut self) {
        let missing = |tags: &[Tag]| tags.iter().map(|&tag| usize::from(tag == Tag::Missing)).sum::<usize>();
        if self.tags.chunks(256).all(|tags| missing(tags) == 0) {
            self.seen.remove(Tag::Missing);
        }
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.tags.len()
    }

    /// True when there are no rows.
    pub fn is_empty(&self) -> bool {
        self.tags.is_empty()
    }

    /// The tags that may occur: a superset of those that do.
    pub fn tags_seen(&self) -> TagSet {
        self.seen
    }

    /// All tags.
    pub fn tags(&self) -> &[Tag] {
        &self.tags
    }

    /// All payloads.
    pub fn payload(&self) -> &[u64] {
        &self.payload
    }

    /// The value of a row.
    #[inline]
    pub fn value(&self, row: usize) -> Value {
        Value { tag: self.tags[row], bits: self.payload[row] }
    }
}

/// One value: a tag and its payload. Text needs the [`Frame`] and the batch to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value {
    /// Type.
    pub tag: Tag,
    /// Payload, see [`Tag`].
    pub bits: u64,
}

/// The decoded columns of one batch, and the texts that decoding and expressions made.
///
/// A frame has no lifetime so that its allocations are reused from batch to batch; it is only meaningful together with
/// the batch it was decoded from.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    /// Rows in the batch.
    pub rows: usize,
    /// One column per path of the projection, in its order.
    pub columns: Vec<Column>,
    /// Unescaped or computed text.
    pub scratch: Vec<u8>,
    /// What [`Tag::Error`] payloads point at.
    pub errors: Vec<String>,
}

impl Frame {
    /// Forgets the last batch and keeps the allocations; all `columns` are missing in all `rows`.
    pub fn reset(&mut self, rows: usize, columns: usize) {
        self.rows = rows;
        self.columns.resize_with(columns, Column::default);
        for column in &mut self.columns {
            column.reset(rows);
        }
        self.scratch.clear();
        self.errors.clear();
    }

    /// The bytes of a text value.
    #[inline]
    pub fn text<'a>(&'a self, batch: &'a RecordBatch, text: TextRef) -> &'a [u8] {
        let buffer = if text.0 & SCRATCH == 0 { batch.bytes() } else { &self.scratch };
        &buffer[text.span().range()]
    }

    /// Copies text into the scratch buffer.
    pub fn intern(&mut self, text: &[u8]) -> TextRef {
        let start = self.scratch.len() as u32;
        self.scratch.extend_from_slice(text);
        TextRef::scratch(Span { start, len: text.len() as u32 })
    }

    /// Remembers an error and gives the value that stands for it.
    pub fn error(&mut self, message: String) -> Value {
        self.errors.push(message);
        Value { tag: Tag::Error, bits: self.errors.len() as u64 - 1 }
    }
}

/// The way to a field from the top of a record: `["user", "id"]` is `event.user.id`; empty is the whole record.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldPath(pub Vec<String>);

impl std::fmt::Display for FieldPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("event")?;
        self.0.iter().try_for_each(|part| write!(f, ".{part}"))
    }
}

/// The fields that a plan reads of one source: column `i` of the frame is `paths[i]`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Projection {
    paths: Vec<FieldPath>,
}

impl Projection {
    /// The column of a path; it is added when new.
    pub fn column(&mut self, path: &FieldPath) -> usize {
        self.paths.iter().position(|p| p == path).unwrap_or_else(|| {
            self.paths.push(path.clone());
            self.paths.len() - 1
        })
    }

    /// The column of a path that is already there.
    pub fn find(&self, path: &FieldPath) -> Option<usize> {
        self.paths.iter().position(|p| p == path)
    }

    /// All paths, in the order of the columns.
    pub fn paths(&self) -> &[FieldPath] {
        &self.paths
    }
}
