//! The decoder: from a batch of JSON texts to the columns of a projection.

use super::fields::{Node, Target};
use super::number::{Number, number};
use super::scan::{Scan, Text, deeper};
use super::{MAX_BYTES, Reject, RejectReason, SyntaxError, escape};
use crate::column::{Column, Frame, Projection, Tag, TextRef};
use crate::record::{RecordBatch, Span};

/// Decodes the fields of one projection. It learns how its records look, so keep one per source.
///
/// What it has learned changes how fast it is, never what it gives.
#[derive(Clone, Debug)]
pub struct Decoder {
    nodes: Vec<Node>,
    columns: usize,
    rows_decoded: u64,
}

impl Decoder {
    /// A decoder of the paths of a projection; column `i` is path `i`.
    pub fn new(projection: &Projection) -> Decoder {
        Decoder { nodes: Node::tree(projection), columns: projection.paths().len(), rows_decoded: 0 }
    }

    /// Makes `frame` the decoded columns of `batch`, and appends a reject for each row whose value is not JSON or is
    /// beyond a bound. All columns of a rejected row are missing, as are those of a tombstone, which is no reject.
    ///
    /// - The value is any JSON value; the fields of one that is not an object are missing, and so are fields inside of
    ///   members that are no objects. Elements of arrays have no path.
    /// - The empty path is the whole value.
    /// - Objects and arrays are their text; of repeated keys the last one counts.
    /// - Strings with escapes are unescaped into the scratch buffer of the frame; all other text refers to the batch.
    /// - A number without fraction and exponent is an integer when 64 bits hold it (`-0` is 0), else a decimal; all
    ///   others are the nearest double.
    pub fn decode(&mut self, batch: &RecordBatch, frame: &mut Frame, rejects: &mut Vec<Reject>) {
        frame.reset(batch.len(), self.columns);
        let root = self.nodes[0].target(0);
        let mut row = Row {
            nodes: &mut self.nodes,
            columns: &mut frame.columns,
            scratch: &mut frame.scratch,
            text: Text::new(batch.bytes(), 0),
            row: 0,
            id: self.rows_decoded,
        };
        for (index, record) in batch.records().iter().enumerate() {
            let Some(span) = record.value else { continue };
            row.text = Text::new(batch.bytes(), span.range().end);
            row.row = index;
            row.id += 1;
            let scratch_len = row.scratch.len();
            if let Err(reason) = row.decode(span, root) {
                row.columns.iter_mut().for_each(|column| column.set(index, Tag::Missing, 0));
                row.scratch.truncate(scratch_len);
                let reason = reason.map_position(|at| at - span.start);
                rejects.push(Reject { row: index as u32, reason });
            }
        }
        self.rows_decoded = row.id;
        frame.columns.iter_mut().for_each(Column::settle);
    }
}

/// The decoding of one row.
struct Row<'a> {
    nodes: &'a mut [Node],
    columns: &'a mut [Column],
    scratch: &'a mut Vec<u8>,
    text: Text<'a>,
    row: usize,
    /// Of this row among all that were decoded.
    id: u64,
}

impl Row<'_> {
    #[inline(always)]
    fn decode(&mut self, span: Span, root: Target) -> Scan<()> {
        if span.len as usize > MAX_BYTES {
            return Err(RejectReason::TooLarge { len: span.len });
        }
        let start = self.text.skip_space(span.start as usize);
        let end = self.value(root, start, 0)?;
        if end < self.text.end() {
            let end = self.text.skip_space(end);
            if end < self.text.end() {
                return Err(RejectReason::Trailing { at: end as u32 });
            }
        }
        Ok(())
    }

    #[inline(always)]
    fn value(&mut self, target: Target, p: usize, depth: u32) -> Scan<usize> {
        match target {
            Target::Skip => self.text.value(p, depth),
            Target::Leaf(column) => self.leaf(column, p, depth),
            Target::Inner(node) => self.inner(node, p, depth),
        }
    }

    /// A value of which a column is wanted, and nothing inside it.
    #[inline(always)]
    fn leaf(&mut self, column: u32, p: usize, depth: u32) -> Scan<usize> {
        let (end, tag, payload) = match self.text.at(p) {
            b'"' => {
                let string = self.text.string(p + 1)?;
                let raw = Span { start: p as u32 + 1, len: (string.end - p - 2) as u32 };
                let text = if string.escaped { self.unescape(raw)? } else { TextRef::input(raw) };
                (string.end, Tag::String, text.bits())
            }
            b'-' | b'0'..=b'9' => match number(self.text, p)? {
                (end, Number::Int(value)) => (end, Tag::Int, value as u64),
                (end, Number::Double(value)) => (end, Tag::Double, value.to_bits()),
                (end, Number::Decimal) => (end, Tag::Decimal, span(p, end)),
            },
            b't' => (self.text.literal(p, b"true")?, Tag::Bool, 1),
            b'f' => (self.text.literal(p, b"false")?, Tag::Bool, 0),
            b'n' => (self.text.literal(p, b"null")?, Tag::Null, 0),
            b'{' | b'[' => {
                let end = self.text.container(p, depth)?;
                (end, Tag::Json, span(p, end))
            }
            _ => return Err(self.text.unexpected(p, SyntaxError::ExpectedValue)),
        };
        self.columns[column as usize].set(self.row, tag, payload);
        Ok(end)
    }

    #[cold]
    fn unescape(&mut self, raw: Span) -> Scan<TextRef> {
        let start = self.scratch.len() as u32;
        escape::unescape(self.text.slice(raw.range().start, raw.range().end), self.scratch)?;
        Ok(TextRef::scratch(Span { start, len: self.scratch.len() as u32 - start }))
    }

    /// A value of which members are wanted. The recursion is as deep as the longest path.
    fn inner(&mut self, index: u32, p: usize, depth: u32) -> Scan<usize> {
        let node = &mut self.nodes[index as usize];
        if node.last_row.replace(self.id) == Some(self.id) {
            for &column in &node.columns_below {
                self.columns[column as usize].set(self.row, Tag::Missing, 0);
            }
        }
        let column = node.column;
        if self.text.at(p) != b'{' {
            return match column {
                Some(column) => self.leaf(column, p, depth),
                None => self.text.value(p, depth),
            };
        }
        let depth = deeper(p, depth)?;
        let end = self.object(index as usize, p + 1, depth)?;
        if let Some(column) = column {
            self.columns[column as usize].set(self.row, Tag::Json, span(p, end));
        }
        Ok(end)
    }

    /// The members of an object, and its closing brace; `p` is behind the opening one.
    fn object(&mut self, index: usize, mut p: usize, depth: u32) -> Scan<usize> {
        let mut next = 0;
        loop {
            let target;
            (p, target, next) = match self.nodes[index].expect(self.text, p, next) {
                // The key may have been remembered from a record with less space behind its colon.
                Some((p, target)) => (self.text.skip_space(p), target, next + 1),
                None if next == 0 && self.is_empty(p) => return Ok(self.text.skip_space(p) + 1),
                None => self.nodes[index].search(self.text, p, next)?,
            };
            p = self.value(target, p, depth)?;
            if self.text.at(p) != b',' {
                p = self.text.skip_space(p);
                match self.text.at(p) {
                    b',' => {}
                    b'}' => return Ok(p + 1),
                    _ => return Err(self.text.unexpected(p, SyntaxError::ExpectedCommaOrBrace)),
                }
            }
            p += 1;
        }
    }

    /// True when nothing but space is between the brace before `p` and the closing one.
    #[cold]
    fn is_empty(&self, p: usize) -> bool {
        let before = self.text.at(p - 1) == b'{';
        before && self.text.at(self.text.skip_space(p)) == b'}'
    }
}

#[inline(always)]
fn span(start: usize, end: usize) -> u64 {
    TextRef::input(Span { start: start as u32, len: (end - start) as u32 }).bits()
}
