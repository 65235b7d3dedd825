//! Runs a program over the selected rows of a frame: values.

use super::predicate::{has_loop, without};
use super::space::{Settled, Space, append, settle};
use super::{Context, Source};
use crate::column::{Column, Frame, Tag, Value};
use crate::expression::describe;
use crate::expression::interpret::{Row, read};
use crate::expression::program::{Entry, Literal, Meta, Node, Program};
use crate::expression::value::{Fault, Val};

/// A program at work on a frame.
pub(super) struct Machine<'k> {
    pub program: &'k Program,
    pub sources: &'k [Source],
    pub context: &'k Context<'k>,
    pub frame: &'k mut Frame,
    pub space: &'k mut Space,
}

/// Rows that failed, each with its index into [`Frame::errors`].
pub(super) type Errors = Vec<(u32, u64)>;

/// The values of a node.
pub(super) enum Operand {
    /// The same in all rows.
    Constant(Value),
    /// A column of the frame, in which a missing field is [`Tag::Missing`].
    Frame(usize),
    /// A column of our own.
    Own(Column),
}

impl Operand {
    /// The value of a row.
    #[inline]
    pub fn get(&self, frame: &Frame, row: u32) -> Value {
        match self {
            Self::Constant(value) => *value,
            Self::Frame(index) => frame.columns[*index].value(row as usize),
            Self::Own(column) => column.value(row as usize),
        }
    }

    /// The column, unless it is a constant.
    pub fn column<'c>(&'c self, frame: &'c Frame) -> Option<&'c Column> {
        match self {
            Self::Constant(_) => None,
            Self::Frame(index) => Some(&frame.columns[*index]),
            Self::Own(column) => Some(column),
        }
    }
}

/// Why a row of an operand has no value.
pub(super) enum Raised {
    /// It failed before: an index into [`Frame::errors`].
    Before(u64),
    /// It fails now.
    Now(Fault),
}

impl Machine<'_> {
    /// The values of the whole program.
    pub fn evaluate(&mut self, rows: &[u32], out: &mut Column) {
        let program = self.program;
        self.values(&program.root, rows, out);
    }

    /// The values of a node on some rows.
    pub fn values(&mut self, node: &Node, rows: &[u32], out: &mut Column) {
        match node {
            _ if node.takes_built() => self.by_row(node, rows, out),
            Node::Literal(_) => {
                if let Operand::Constant(value) = self.load(node, rows) {
                    fill(rows, value, out);
                }
            }
            Node::Field(index) if self.sources[*index].rest.is_empty() => self.field(*index, rows, out),
            Node::Arithmetic(op, sides) => self.arithmetic(*op, sides, rows, out),
            Node::If(parts) => self.choose(parts, rows, out),
            Node::OrValue(sides) => match sides[0] {
                Node::OptionalField(index) if self.sources[index].rest.is_empty() => {
                    self.field_or(index, &sides[1], rows, out);
                }
                _ => self.by_row(node, rows, out),
            },
            Node::Map(entries) if entries.iter().all(|entry| entry.json_key.is_some()) => {
                self.object(entries, rows, out);
            }
            Node::Now | Node::Meta(Meta::Topic | Meta::Partition) => self.same(node, rows, out),
            Node::Meta(Meta::Offset) => {
                let records = self.context.batch.records();
                for row in rows {
                    out.set(*row as usize, Tag::Int, records[*row as usize].offset as u64);
                }
            }
            Node::HasField(index) if self.sources[*index].rest.is_empty() => self.truths(node, rows, out),
            _ if has_loop(node) => self.truths(node, rows, out),
            Node::Call(..) => self.call(node, rows, out),
            _ => self.by_row(node, rows, out),
        }
    }

    /// The values of a node, without a copy where they are already there.
    pub fn load(&mut self, node: &Node, rows: &[u32]) -> Operand {
        let (tag, bits) = match node {
            Node::Field(index) | Node::OptionalField(index) if self.sources[*index].rest.is_empty() => {
                return Operand::Frame(self.sources[*index].column);
            }
            Node::Literal(literal) => match literal {
                Literal::Null => (Tag::Null, 0),
                Literal::Bool(b) => (Tag::Bool, u64::from(*b)),
                Literal::Int(i) => (Tag::Int, *i as u64),
                Literal::Double(d) => (Tag::Double, d.to_bits()),
                Literal::Timestamp(t) => (Tag::Timestamp, *t as u64),
                Literal::Duration(d) => (Tag::Duration, *d as u64),
                Literal::String(text) => match append(self.frame, text.as_bytes()) {
                    Some(text) => (Tag::String, text.bits()),
                    None => (Tag::Error, self.raise(full())),
                },
            },
            _ => {
                let mut column = self.space.column(self.frame.rows);
                self.values(node, rows, &mut column);
                return Operand::Own(column);
            }
        };
        Operand::Constant(Value { tag, bits })
    }

    /// Gives the buffers of an operand back.
    pub fn release(&mut self, operand: Operand) {
        if let Operand::Own(column) = operand {
            self.space.put_column(column);
        }
    }

    /// The value of a row of an operand.
    pub fn read(&self, node: &Node, operand: &Operand, row: u32) -> Result<Val<'_>, Raised> {
        let value = operand.get(self.frame, row);
        if value.tag == Tag::Error {
            return Err(Raised::Before(value.bits));
        }
        match read(self.frame, self.context.batch, value) {
            Ok(Some(val)) => Ok(val),
            Ok(None) => Err(Raised::Now(absent(node))),
            Err(fault) => Err(Raised::Now(fault)),
        }
    }

    /// Remembers a fault; a missing field is remembered once for the batch.
    pub fn raise(&mut self, fault: Fault) -> u64 {
        match fault {
            Fault::Missing(field) => {
                if let Some(known) = self.space.missing[field] {
                    return known;
                }
                let index = self.frame.error(describe::missing(&self.program.fields[field])).bits;
                self.space.missing[field] = Some(index);
                index
            }
            Fault::Text(message) => self.frame.error(message).bits,
        }
    }

    /// The error of a row of an operand.
    pub fn raised(&mut self, raised: Raised) -> u64 {
        match raised {
            Raised::Before(index) => index,
            Raised::Now(fault) => self.raise(fault),
        }
    }

    /// Stores what a row gives.
    pub fn store(&mut self, row: u32, settled: Result<Settled, Raised>, out: &mut Column) {
        let error = match settled {
            Ok(Settled::Value(value)) => return out.set(row as usize, value.tag, value.bits),
            Ok(Settled::Spilled(tag)) => match append(self.frame, &self.space.spill) {
                Some(text) => return out.set(row as usize, tag, text.bits()),
                None => self.raise(full()),
            },
            Err(raised) => self.raised(raised),
        };
        out.set(row as usize, Tag::Error, error);
    }

    /// The general way: each row by itself.
    pub fn by_row(&mut self, node: &Node, rows: &[u32], out: &mut Column) {
        for &row in rows {
            let it = Row::new(self.program, self.sources, self.context, self.frame, row as usize);
            let settled = it
                .evaluate(node)
                .and_then(|val| settle(self.frame, self.context.batch, &mut self.space.spill, &val))
                .map_err(Raised::Now);
            self.store(row, settled, out);
        }
    }

    /// A node with one value for the batch.
    fn same(&mut self, node: &Node, rows: &[u32], out: &mut Column) {
        let Some((first, rest)) = rows.split_first() else { return };
        self.by_row(node, std::slice::from_ref(first), out);
        let value = out.value(*first as usize);
        fill(rest, value, out);
    }

    fn field(&mut self, index: usize, rows: &[u32], out: &mut Column) {
        let column = self.sources[index].column;
        for &row in rows {
            let value = self.frame.columns[column].value(row as usize);
            if value.tag == Tag::Missing {
                let error = self.raise(Fault::Missing(index));
                out.set(row as usize, Tag::Error, error);
            } else {
                out.set(row as usize, value.tag, value.bits);
            }
        }
    }

    /// `event.?a.orValue(other)`
    fn field_or(&mut self, index: usize, other: &Node, rows: &[u32], out: &mut Column) {
        let column = &self.frame.columns[self.sources[index].column];
        let mut absent = self.space.list();
        for &row in rows {
            let value = column.value(row as usize);
            if value.tag == Tag::Missing {
                absent.push(row);
            } else {
                out.set(row as usize, value.tag, value.bits);
            }
        }
        if !absent.is_empty() {
            self.values(other, &absent, out);
        }
        self.space.put_list(absent);
    }

    /// `a ? b : c`: each branch on its rows only.
    fn choose(&mut self, parts: &[Node; 3], rows: &[u32], out: &mut Column) {
        let (yes, no) = self.split(&parts[0], rows, out);
        self.values(&parts[1], &yes, out);
        self.values(&parts[2], &no, out);
        self.space.put_list(yes);
        self.space.put_list(no);
    }

    /// True and false of a condition as values.
    fn truths(&mut self, node: &Node, rows: &[u32], out: &mut Column) {
        let (yes, no) = self.split(node, rows, out);
        fill(&yes, Value { tag: Tag::Bool, bits: 1 }, out);
        fill(&no, Value { tag: Tag::Bool, bits: 0 }, out);
        self.space.put_list(yes);
        self.space.put_list(no);
    }

    /// The rows for which a condition is true, and those for which it is false; errors go to `out`.
    fn split(&mut self, condition: &Node, rows: &[u32], out: &mut Column) -> (Vec<u32>, Vec<u32>) {
        let mut yes = self.space.list_of(rows);
        let mut errors = Errors::new();
        self.narrow(condition, &mut yes, &mut errors);
        for (row, error) in &errors {
            out.set(*row as usize, Tag::Error, *error);
        }
        let mut no = self.space.list();
        without(rows, &yes, &mut errors, &mut no);
        (yes, no)
    }

    fn object(&mut self, entries: &[Entry], rows: &[u32], out: &mut Column) {
        super::object::write(self, entries, rows, out);
    }
}

/// The same value in all rows.
fn fill(rows: &[u32], value: Value, out: &mut Column) {
    for row in rows {
        out.set(*row as usize, value.tag, value.bits);
    }
}

/// The fault of an operand that is not there.
pub(super) fn absent(node: &Node) -> Fault {
    match node {
        Node::Field(index) | Node::OptionalField(index) => Fault::Missing(*index),
        _ => Fault::text("the value is not there"),
    }
}

/// The fault of a batch that computes too much text.
pub(super) fn full() -> Fault {
    Fault::text("the batch computes more text than fits")
}
