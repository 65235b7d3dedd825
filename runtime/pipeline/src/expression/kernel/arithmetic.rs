//! `+ - * / %` on columns.

use super::machine::{Machine, Operand, Raised};
use super::space::{Settled, settle};
use crate::column::{Column, Frame, Tag, TextRef, Value};
use crate::expression::program::{Arithmetic, Node};
use crate::expression::{describe, operate, text};

impl Machine<'_> {
    /// The values of `left op right`.
    pub(super) fn arithmetic(&mut self, op: Arithmetic, sides: &[Node; 2], rows: &[u32], out: &mut Column) {
        let operands = [self.load(&sides[0], rows), self.load(&sides[1], rows)];
        let mut cold = self.space.list();
        let (frame, pair) = (&*self.frame, (&operands[0], &operands[1]));
        match op {
            Arithmetic::Add => lift(frame, pair, rows, out, &mut cold, i64::checked_add, |l, r| Some(l + r)),
            Arithmetic::Subtract => {
                lift(frame, pair, rows, out, &mut cold, i64::checked_sub, |l, r| Some(l - r));
            }
            Arithmetic::Multiply => {
                lift(frame, pair, rows, out, &mut cold, i64::checked_mul, |l, r| Some(l * r));
            }
            Arithmetic::Divide => {
                lift(frame, pair, rows, out, &mut cold, i64::checked_div, |l, r| (r != 0.0).then(|| l / r));
            }
            Arithmetic::Modulo => lift(frame, pair, rows, out, &mut cold, i64::checked_rem, |_, _| None),
        }
        for &row in &cold {
            let values = (operands[0].get(self.frame, row), operands[1].get(self.frame, row));
            let settled = match (op, values.0.tag, values.1.tag) {
                (Arithmetic::Add, Tag::String, Tag::String) => self.concat(values.0, values.1),
                _ => self.arithmetic_on(op, sides, &operands, row),
            };
            self.store(row, settled, out);
        }
        self.space.put_list(cold);
        for operand in operands {
            self.release(operand);
        }
    }

    /// `left + right` of strings, without a string in between.
    fn concat(&mut self, left: Value, right: Value) -> Result<Settled, Raised> {
        let [left, right] =
            [left, right].map(|v| self.frame.text(self.context.batch, TextRef::from_bits(v.bits)));
        text::check_len(left.len() + right.len()).map_err(Raised::Now)?;
        self.space.spill.clear();
        self.space.spill.extend_from_slice(left);
        self.space.spill.extend_from_slice(right);
        Ok(Settled::Spilled(Tag::String))
    }

    fn arithmetic_on(
        &mut self,
        op: Arithmetic,
        sides: &[Node; 2],
        operands: &[Operand; 2],
        row: u32,
    ) -> Result<Settled, Raised> {
        let mut spill = std::mem::take(&mut self.space.spill);
        let settled = (|| {
            let (l, r) = (self.read(&sides[0], &operands[0], row)?, self.read(&sides[1], &operands[1], row)?);
            let val = operate::arithmetic(op, &l, &r).map_err(|wrong| {
                let nodes = [&sides[0], &sides[1]];
                Raised::Now(describe::binary(op.symbol(), nodes, [&l, &r], wrong, self.program))
            })?;
            settle(self.frame, self.context.batch, &mut spill, &val).map_err(Raised::Now)
        })();
        self.space.spill = spill;
        settled
    }
}

/// The loop over numbers; what has no result there is cold.
#[inline]
fn lift(
    frame: &Frame,
    (left, right): (&Operand, &Operand),
    rows: &[u32],
    out: &mut Column,
    cold: &mut Vec<u32>,
    int: impl Fn(i64, i64) -> Option<i64>,
    double: impl Fn(f64, f64) -> Option<f64>,
) {
    let as_double = |value: Value| match value.tag {
        Tag::Int => Some(value.bits as i64 as f64),
        Tag::Double => Some(f64::from_bits(value.bits)),
        _ => None,
    };
    for &row in rows {
        let (l, r) = (left.get(frame, row), right.get(frame, row));
        let result = if l.tag == Tag::Int && r.tag == Tag::Int {
            int(l.bits as i64, r.bits as i64).map(|i| (Tag::Int, i as u64))
        } else if let (Some(l), Some(r)) = (as_double(l), as_double(r)) {
            double(l, r).map(|d| (Tag::Double, d.to_bits()))
        } else {
            None
        };
        match result {
            Some((tag, bits)) => out.set(row as usize, tag, bits),
            None => cold.push(row),
        }
    }
}
