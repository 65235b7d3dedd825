//! Conditions: each narrows an ascending list of rows, in place, to those for which it is true.

use super::loops::{Comparison, Constants, Pass, compare_columns, compare_constant};
use super::machine::{Errors, Machine, Operand, Raised};
use crate::column::{Tag, TextRef};
use crate::expression::describe;
use crate::expression::function::{Function, Signature};
use crate::expression::operate::{self, Wrong};
use crate::expression::program::{Literal, Node};
use memchr::memmem;

impl Machine<'_> {
    /// Keeps the rows for which the whole program is true.
    pub fn filter(&mut self, rows: &mut Vec<u32>, errors: &mut Errors) {
        let program = self.program;
        self.narrow(&program.root, rows, errors);
    }

    /// Keeps the rows for which a node is true; rows where it is neither true nor false go to `errors`.
    pub fn narrow(&mut self, node: &Node, rows: &mut Vec<u32>, errors: &mut Errors) {
        match node {
            _ if rows.is_empty() => {}
            _ if node.takes_built() => self.condition(node, rows, errors),
            Node::And(sides) => self.and(sides, rows, errors),
            Node::Or(sides) => self.or(sides, rows, errors),
            Node::Not(inner) => {
                let all = self.space.list_of(rows);
                let before = errors.len();
                self.narrow(inner, rows, errors);
                let mut mine = errors.split_off(before);
                let yes = std::mem::replace(rows, self.space.list());
                without(&all, &yes, &mut mine, rows);
                errors.append(&mut mine);
                self.space.put_list(all);
                self.space.put_list(yes);
            }
            Node::Order(op, sides) => self.compare(Comparison::Order(*op), sides, rows, errors),
            Node::Equal(negated, sides) => self.compare(Comparison::Equal(*negated), sides, rows, errors),
            Node::InSet(inner, literals) => self.in_set(inner, literals, rows, errors),
            Node::HasField(index) if self.sources[*index].rest.is_empty() => {
                let tags = self.frame.columns[self.sources[*index].column].tags();
                rows.retain(|row| tags[*row as usize] != Tag::Missing);
            }
            Node::Matches(inner, regex) => {
                let cold = |it: &Self, operand: &Operand, row| {
                    let val = it.read(inner, operand, row)?;
                    Err(Raised::Now(describe::unary("matches", inner, &val, Wrong::Types, it.program)))
                };
                self.strings(inner, rows, errors, |text| regex.is_match(text), cold);
            }
            Node::Call(signature, nodes) => match nodes.as_slice() {
                [text, Node::Literal(Literal::String(part))] if is_search(signature) => {
                    self.search(signature, text, part, rows, errors);
                }
                _ => self.condition(node, rows, errors),
            },
            _ => self.condition(node, rows, errors),
        }
    }

    /// A condition without a loop of its own.
    fn condition(&mut self, node: &Node, rows: &mut Vec<u32>, errors: &mut Errors) {
        let operand = self.load(node, rows);
        self.truth(node, &operand, rows, errors);
        self.release(operand);
    }

    /// `a && b`: the right side sees the rows that the left side leaves.
    fn and(&mut self, sides: &[Node; 2], rows: &mut Vec<u32>, errors: &mut Errors) {
        let before = errors.len();
        self.narrow(&sides[0], rows, errors);
        let mut failed = errors.split_off(before);
        self.narrow(&sides[1], rows, errors);
        if failed.is_empty() {
            return;
        }
        // A row that failed on the left is false, and no error, when the right side is false.
        failed.sort_unstable();
        let mut again = self.space.list();
        again.extend(failed.iter().map(|(row, _)| *row));
        let mut other = Errors::new();
        self.narrow(&sides[1], &mut again, &mut other);
        other.sort_unstable();
        let (mut holds, mut fails) = (again.iter().peekable(), other.iter().peekable());
        failed.retain(|(row, _)| {
            holds.next_if_eq(&row).is_some() || fails.next_if(|(other, _)| other == row).is_some()
        });
        errors.append(&mut failed);
        self.space.put_list(again);
    }

    /// `a || b`: the right side sees the rows that the left side did not decide.
    fn or(&mut self, sides: &[Node; 2], rows: &mut Vec<u32>, errors: &mut Errors) {
        let all = self.space.list_of(rows);
        let mut failed = Errors::new();
        self.narrow(&sides[0], rows, &mut failed);
        failed.sort_unstable();
        let mut open = self.space.list();
        without(&all, rows, &mut Errors::new(), &mut open);
        let mut other = Errors::new();
        self.narrow(&sides[1], &mut open, &mut other);
        other.sort_unstable();
        // A row that failed on the left keeps that error, unless the right side is true.
        let (mut holds, mut fails) = (open.iter().peekable(), failed.iter().peekable());
        other.retain(|(row, _)| {
            while fails.next_if(|(before, _)| before < row).is_some() {}
            fails.next_if(|(same, _)| same == row).is_none()
        });
        failed.retain(|(row, _)| {
            while holds.next_if(|before| *before < row).is_some() {}
            holds.next_if_eq(&row).is_none()
        });
        errors.append(&mut failed);
        errors.append(&mut other);
        merge(rows, &open);
        self.space.put_list(all);
        self.space.put_list(open);
    }

    /// Values as conditions.
    fn truth(&mut self, node: &Node, operand: &Operand, rows: &mut Vec<u32>, errors: &mut Errors) {
        let mut pass = Pass { rows, cold: self.space.list() };
        let frame = &*self.frame;
        pass.keep(|row| {
            let value = operand.get(frame, row as u32);
            (value.tag == Tag::Bool).then_some(value.bits != 0)
        });
        self.cold(pass, errors, |it, row| {
            let val = it.read(node, operand, row)?;
            Err(Raised::Now(describe::not_bool(node, &val, it.program)))
        });
    }

    /// Takes the cold rows of a pass one by one.
    fn cold(
        &mut self,
        pass: Pass<'_>,
        errors: &mut Errors,
        test: impl Fn(&Self, u32) -> Result<bool, Raised>,
    ) {
        let Pass { rows, mut cold } = pass;
        cold.retain(|row| match test(self, *row) {
            Ok(holds) => holds,
            Err(raised) => {
                let error = self.raised(raised);
                errors.push((*row, error));
                false
            }
        });
        merge(rows, &cold);
        self.space.put_list(cold);
    }

    fn compare(
        &mut self,
        comparison: Comparison,
        sides: &[Node; 2],
        rows: &mut Vec<u32>,
        errors: &mut Errors,
    ) {
        let [left, right] = [self.load(&sides[0], rows), self.load(&sides[1], rows)];
        let mut pass = Pass { rows, cold: self.space.list() };
        let batch = self.context.batch;
        match (left.column(self.frame), right.column(self.frame), &sides[0], &sides[1]) {
            (Some(column), None, _, Node::Literal(literal)) => {
                compare_constant(comparison, column, literal, self.frame, batch, &mut pass);
            }
            (None, Some(column), Node::Literal(literal), _) => {
                let mirrored = match comparison {
                    Comparison::Order(op) => Comparison::Order(op.mirrored()),
                    equal @ Comparison::Equal(_) => equal,
                };
                compare_constant(mirrored, column, literal, self.frame, batch, &mut pass);
            }
            (Some(l), Some(r), ..) => compare_columns(comparison, l, r, self.frame, batch, &mut pass),
            _ => pass.keep(|_| None),
        }
        self.cold(pass, errors, |it, row| {
            let (l, r) = (it.read(&sides[0], &left, row)?, it.read(&sides[1], &right, row)?);
            match comparison {
                Comparison::Equal(negated) => {
                    operate::equal(&l, &r).map(|equal| equal != negated).map_err(Raised::Now)
                }
                Comparison::Order(op) => {
                    operate::order(&l, &r).map(|ordering| op.holds(ordering)).map_err(|wrong| {
                        let nodes = [&sides[0], &sides[1]];
                        Raised::Now(describe::binary(op.symbol(), nodes, [&l, &r], wrong, it.program))
                    })
                }
            }
        });
        self.release(left);
        self.release(right);
    }

    fn in_set(&mut self, inner: &Node, literals: &[Literal], rows: &mut Vec<u32>, errors: &mut Errors) {
        let operand = self.load(inner, rows);
        let mut pass = Pass { rows, cold: self.space.list() };
        if let Some(column) = operand.column(self.frame) {
            let (frame, batch) = (&*self.frame, self.context.batch);
            let (tags, payload) = (column.tags(), column.payload());
            let set = Constants::of(literals);
            pass.keep(|row| match tags[row] {
                Tag::String => Some(set.has_string(frame.text(batch, TextRef::from_bits(payload[row])))),
                Tag::Int => set.has_int(payload[row] as i64),
                _ => None,
            });
        } else {
            pass.keep(|_| None);
        }
        self.cold(pass, errors, |it, row| {
            let val = it.read(inner, &operand, row)?;
            for literal in literals {
                if operate::equal(&val, &literal.val()).map_err(Raised::Now)? {
                    return Ok(true);
                }
            }
            Ok(false)
        });
        self.release(operand);
    }

    /// A test of strings; rows that hold none are cold.
    fn strings(
        &mut self,
        node: &Node,
        rows: &mut Vec<u32>,
        errors: &mut Errors,
        test: impl Fn(&[u8]) -> bool,
        cold: impl Fn(&Self, &Operand, u32) -> Result<bool, Raised>,
    ) {
        let operand = self.load(node, rows);
        let mut pass = Pass { rows, cold: self.space.list() };
        let (frame, batch) = (&*self.frame, self.context.batch);
        pass.keep(|row| {
            let value = operand.get(frame, row as u32);
            (value.tag == Tag::String).then(|| test(frame.text(batch, TextRef::from_bits(value.bits))))
        });
        self.cold(pass, errors, |it, row| cold(it, &operand, row));
        self.release(operand);
    }

    /// `contains`, `startsWith` and `endsWith`.
    fn search(
        &mut self,
        signature: &'static Signature,
        text: &Node,
        part: &str,
        rows: &mut Vec<u32>,
        errors: &mut Errors,
    ) {
        let cold = |it: &Self, operand: &Operand, row| {
            let val = it.read(text, operand, row)?;
            Err(Raised::Now(describe::argument(signature, 0, text, &val, it.program)))
        };
        match signature.function {
            Function::StartsWith => {
                self.strings(text, rows, errors, |t| t.starts_with(part.as_bytes()), cold);
            }
            Function::EndsWith => self.strings(text, rows, errors, |t| t.ends_with(part.as_bytes()), cold),
            _ => {
                let finder = memmem::Finder::new(part);
                self.strings(text, rows, errors, |t| finder.find(t).is_some(), cold);
            }
        }
    }
}

/// Adds to `rest` the rows of `all` that are neither in `yes` nor among the errors, which it sorts.
pub(super) fn without(all: &[u32], yes: &[u32], errors: &mut Errors, rest: &mut Vec<u32>) {
    errors.sort_unstable();
    let (mut yes, mut failed) = (yes.iter().peekable(), errors.iter().peekable());
    for row in all {
        if yes.next_if_eq(&row).is_none() && failed.next_if(|(f, _)| f == row).is_none() {
            rest.push(*row);
        }
    }
}

/// Adds the rows of another ascending list to an ascending list.
fn merge(rows: &mut Vec<u32>, more: &[u32]) {
    let (mut left, mut right) = (rows.len(), more.len());
    rows.extend_from_slice(more);
    // From the back, so that no row is overwritten before it is moved.
    for at in (0..rows.len()).rev() {
        if right == 0 {
            return;
        }
        if left > 0 && rows[left - 1] > more[right - 1] {
            left -= 1;
            rows[at] = rows[left];
        } else {
            right -= 1;
            rows[at] = more[right];
        }
    }
}

/// `contains`, `startsWith` or `endsWith`.
fn is_search(signature: &Signature) -> bool {
    matches!(signature.function, Function::Contains | Function::StartsWith | Function::EndsWith)
}

/// True for the conditions that have a loop here.
pub(super) fn has_loop(node: &Node) -> bool {
    match node {
        Node::Not(_)
        | Node::And(_)
        | Node::Or(_)
        | Node::Order(..)
        | Node::Equal(..)
        | Node::InSet(..)
        | Node::Matches(..) => true,
        Node::Call(signature, nodes) => {
            is_search(signature) && matches!(nodes.as_slice(), [_, Node::Literal(Literal::String(_))])
        }
        _ => false,
    }
}
