//! Evaluates one row: all of the language, at the speed of a tree walk. `kernel` comes here for what has no loop of
//! its own.

mod loops;
mod message;

use super::call;
use super::describe;
use super::function::Signature;
use super::json;
use super::kernel::{Context, Source};
use super::operate::{self, Wrong};
use super::program::{Arithmetic, Entry, Node, Program};
use super::value::{Fault, Val};
use crate::column::{Frame, Tag, TextRef, Value};
use crate::record::RecordBatch;
use std::cell::Cell;
use std::rc::Rc;

/// What one row may cost: about one per loop turn, and one per 64 bytes of text that is looked through.
const MAX_STEPS: u64 = 1 << 20;

/// One row to evaluate on.
pub(super) struct Row<'a> {
    program: &'a Program,
    sources: &'a [Source],
    context: &'a Context<'a>,
    frame: &'a Frame,
    row: usize,
    steps: Cell<u64>,
}

/// Variables by slot.
type Variables<'a> = Vec<Val<'a>>;

/// Reads a value of a column; none is a missing field.
pub(super) fn read<'a>(
    frame: &'a Frame,
    batch: &'a RecordBatch,
    value: Value,
) -> Result<Option<Val<'a>>, Fault> {
    let text = || {
        let bytes = frame.text(batch, TextRef::from_bits(value.bits));
        std::str::from_utf8(bytes).map_err(|_| Fault::text("the record is not valid UTF-8"))
    };
    Ok(Some(match value.tag {
        Tag::Missing => return Ok(None),
        Tag::Null => Val::Null,
        Tag::Bool => Val::Bool(value.bits != 0),
        Tag::Int => Val::Int(value.bits as i64),
        Tag::Double => Val::Double(f64::from_bits(value.bits)),
        Tag::Decimal => Val::Decimal(text()?),
        Tag::String => Val::str(text()?),
        Tag::Json => Val::Json(text()?),
        Tag::Timestamp => Val::Timestamp(value.bits as i64),
        Tag::Duration => Val::Duration(value.bits as i64),
        Tag::Error => {
            return Err(Fault::Text(frame.errors.get(value.bits as usize).cloned().unwrap_or_default()));
        }
    }))
}

impl<'a> Row<'a> {
    /// A row of a frame.
    pub fn new(
        program: &'a Program,
        sources: &'a [Source],
        context: &'a Context<'a>,
        frame: &'a Frame,
        row: usize,
    ) -> Self {
        Self { program, sources, context, frame, row, steps: Cell::new(0) }
    }

    /// The value of a node on this row.
    pub fn evaluate(&self, node: &'a Node) -> Result<Val<'a>, Fault> {
        self.eval(node, &mut vec![Val::Null; self.program.variables.len()])
    }

    fn eval(&self, node: &'a Node, vars: &mut Variables<'a>) -> Result<Val<'a>, Fault> {
        match node {
            Node::Literal(literal) => Ok(literal.val()),
            Node::Field(index) => self.field(*index)?.ok_or(Fault::Missing(*index)),
            Node::OptionalField(index) => self.field(*index).map(Val::optional),
            Node::HasField(index) => Ok(Val::Bool(self.field(*index)?.is_some())),
            Node::Meta(meta) => self.meta(*meta),
            Node::Header(name) => {
                self.header(name)?.ok_or_else(|| Fault::text(format!("header `{name}` is missing")))
            }
            Node::OptionalHeader(name) => self.header(name).map(Val::optional),
            Node::HasHeader(name) => Ok(Val::Bool(self.header(name)?.is_some())),
            Node::Now => Ok(Val::Timestamp(message::millis(self.context.clock_ms)?)),
            Node::Variable(slot) => Ok(vars[*slot].clone()),
            Node::Not(inner) => Ok(Val::Bool(!self.condition(inner, vars)?)),
            Node::And(sides) => self.connect(sides, false, vars),
            Node::Or(sides) => self.connect(sides, true, vars),
            Node::If(parts) => {
                let branch = if self.condition(&parts[0], vars)? { &parts[1] } else { &parts[2] };
                self.eval(branch, vars)
            }
            Node::List(items) => self.list(items, vars),
            Node::Map(entries) => self.map(entries, vars),
            Node::Call(signature, arguments) => self.call(signature, arguments, vars),
            Node::Macro(it) => self.run(it, vars),
            Node::Optional(inner) => Ok(Val::optional(Some(self.eval(inner, vars)?))),
            Node::None => Ok(Val::Optional(None)),
            _ => self.operator(node, vars),
        }
    }

    /// The operators on one or two values.
    fn operator(&self, node: &'a Node, vars: &mut Variables<'a>) -> Result<Val<'a>, Fault> {
        match node {
            Node::Negate(inner) => {
                let value = self.eval(inner, vars)?;
                operate::negate(&value)
                    .map_err(|wrong| describe::unary("-", inner, &value, wrong, self.program))
            }
            Node::Arithmetic(op, sides) => self.arithmetic(*op, sides, vars),
            Node::Order(op, sides) => {
                let values = self.both(sides, vars)?;
                let ordering = operate::order(&values[0], &values[1])
                    .map_err(|wrong| self.binary(op.symbol(), sides, &values, wrong))?;
                Ok(Val::Bool(op.holds(ordering)))
            }
            Node::Equal(negated, sides) => {
                let values = self.both(sides, vars)?;
                Ok(Val::Bool(operate::equal(&values[0], &values[1])? != *negated))
            }
            Node::In(sides) => {
                let values = self.both(sides, vars)?;
                operate::is_in(&values[0], &values[1])
                    .map(Val::Bool)
                    .map_err(|wrong| self.binary("in", sides, &values, wrong))
            }
            Node::InSet(inner, literals) => {
                let value = self.eval(inner, vars)?;
                for literal in literals {
                    if operate::equal(&value, &literal.val())? {
                        return Ok(Val::Bool(true));
                    }
                }
                Ok(Val::Bool(false))
            }
            Node::Matches(inner, regex) => match self.eval(inner, vars)? {
                Val::String(text) => {
                    self.charge(text.len() as u64 / 16)?;
                    Ok(Val::Bool(regex.is_match(text.as_bytes())))
                }
                other => Err(describe::unary("matches", inner, &other, Wrong::Types, self.program)),
            },
            _ => self.access(node, vars),
        }
    }

    /// Fields of values and optional values.
    fn access(&self, node: &'a Node, vars: &mut Variables<'a>) -> Result<Val<'a>, Fault> {
        match node {
            Node::Select(inner, name) => {
                let container = self.eval(inner, vars)?;
                self.item(inner, &container, &Val::str(name))
            }
            Node::Index(sides) => {
                let values = self.both(sides, vars)?;
                self.item(&sides[0], &values[0], &values[1])
            }
            Node::Has(inner, name) => {
                let container = self.eval(inner, vars)?;
                Ok(Val::Bool(self.optional_item(&container, &Val::str(name))?.is_some()))
            }
            Node::OptionalSelect(inner, name) => {
                let container = self.eval(inner, vars)?;
                self.optional_item(&container, &Val::str(name)).map(Val::optional)
            }
            Node::OptionalIndex(sides) => {
                let values = self.both(sides, vars)?;
                self.optional_item(&values[0], &values[1]).map(Val::optional)
            }
            Node::OrValue(sides) => match self.eval(&sides[0], vars)? {
                Val::Optional(Some(value)) => Ok(Rc::unwrap_or_clone(value)),
                Val::Optional(None) => self.eval(&sides[1], vars),
                other => Ok(other),
            },
            Node::OrOptional(sides) => match self.eval(&sides[0], vars)? {
                Val::Optional(None) => self.eval(&sides[1], vars),
                other => Ok(other),
            },
            _ => Err(Fault::text("the expression cannot be evaluated")),
        }
    }

    fn charge(&self, steps: u64) -> Result<(), Fault> {
        self.steps.set(self.steps.get() + steps);
        if self.steps.get() > MAX_STEPS {
            return Err(Fault::text(format!(
                "the expression takes more than {MAX_STEPS} steps on this record"
            )));
        }
        Ok(())
    }

    fn charge_for(&self, value: &Val<'a>) -> Result<(), Fault> {
        self.charge(match value {
            Val::String(text) => text.len() as u64 / 64,
            Val::Json(text) => text.len() as u64 / 64 + 1,
            Val::List(items) => items.len() as u64 / 8,
            Val::Map(entries) => entries.len() as u64 / 8,
            _ => 0,
        })
    }

    fn both(&self, sides: &'a [Node; 2], vars: &mut Variables<'a>) -> Result<[Val<'a>; 2], Fault> {
        let values = [self.eval(&sides[0], vars)?, self.eval(&sides[1], vars)?];
        self.charge_for(&values[0])?;
        self.charge_for(&values[1])?;
        Ok(values)
    }

    fn binary(&self, symbol: &str, sides: &[Node; 2], values: &[Val<'a>; 2], wrong: Wrong) -> Fault {
        describe::binary(symbol, [&sides[0], &sides[1]], [&values[0], &values[1]], wrong, self.program)
    }

    fn arithmetic(
        &self,
        op: Arithmetic,
        sides: &'a [Node; 2],
        vars: &mut Variables<'a>,
    ) -> Result<Val<'a>, Fault> {
        let values = self.both(sides, vars)?;
        operate::arithmetic(op, &values[0], &values[1])
            .map_err(|wrong| self.binary(op.symbol(), sides, &values, wrong))
    }

    fn condition(&self, node: &'a Node, vars: &mut Variables<'a>) -> Result<bool, Fault> {
        match self.eval(node, vars)? {
            Val::Bool(b) => Ok(b),
            other => Err(describe::not_bool(node, &other, self.program)),
        }
    }

    /// `&&` and `||`: the side that decides wins over a fault of the other, whichever comes first.
    fn connect(
        &self,
        sides: &'a [Node; 2],
        decides: bool,
        vars: &mut Variables<'a>,
    ) -> Result<Val<'a>, Fault> {
        let left = self.condition(&sides[0], vars);
        if left == Ok(decides) {
            return Ok(Val::Bool(decides));
        }
        match (left, self.condition(&sides[1], vars)) {
            (Ok(_), right) => right.map(Val::Bool),
            (Err(_), Ok(right)) if right == decides => Ok(Val::Bool(decides)),
            (Err(fault), _) => Err(fault),
        }
    }

    fn item(&self, node: &Node, container: &Val<'a>, key: &Val<'a>) -> Result<Val<'a>, Fault> {
        self.charge_for(container)?;
        match operate::lookup(container, key) {
            Ok(Some(value)) => Ok(value),
            Ok(None) => Err(describe::no_item(node, key, self.program)),
            Err(wrong) => {
                let key_node = Node::None;
                Err(describe::binary("[…]", [node, &key_node], [container, key], wrong, self.program))
            }
        }
    }

    /// An item, or none when there is no such item or the value has none at all.
    fn optional_item(&self, container: &Val<'a>, key: &Val<'a>) -> Result<Option<Val<'a>>, Fault> {
        self.charge_for(container)?;
        match container {
            Val::Optional(None) => Ok(None),
            Val::Optional(Some(inner)) => self.optional_item(inner, key),
            container => match operate::lookup(container, key) {
                Ok(found) => Ok(found),
                Err(Wrong::Fault(fault)) => Err(fault),
                Err(_) => Ok(None),
            },
        }
    }

    fn field(&self, index: usize) -> Result<Option<Val<'a>>, Fault> {
        let source = &self.sources[index];
        let value = self.frame.columns[source.column].value(self.row);
        let mut found = read(self.frame, self.context.batch, value)?;
        for name in &source.rest {
            found = match found {
                Some(Val::Json(text)) if !json::is_list(text) => json::member(text, name)?,
                _ => return Ok(None),
            };
        }
        Ok(found)
    }

    fn list(&self, items: &'a [(Node, bool)], vars: &mut Variables<'a>) -> Result<Val<'a>, Fault> {
        let mut list = Vec::with_capacity(items.len());
        for (node, optional) in items {
            match self.eval(node, vars)? {
                Val::Optional(value) if *optional => list.extend(value.map(Rc::unwrap_or_clone)),
                value => list.push(value),
            }
        }
        Ok(Val::list(list))
    }

    fn map(&self, entries: &'a [Entry], vars: &mut Variables<'a>) -> Result<Val<'a>, Fault> {
        let mut map: Vec<(Val<'a>, Val<'a>)> = Vec::with_capacity(entries.len());
        for entry in entries {
            let key = self.eval(&entry.key, vars)?;
            if !matches!(key, Val::String(_) | Val::Int(_) | Val::Bool(_)) {
                return Err(Fault::text(format!("the key of a map must be a string, not {}", key.kind())));
            }
            let value = match self.eval(&entry.value, vars)? {
                Val::Optional(None) if entry.optional => continue,
                Val::Optional(Some(value)) if entry.optional => Rc::unwrap_or_clone(value),
                value => value,
            };
            for (other, _) in &map {
                if call::to_string(other) == call::to_string(&key) {
                    return Err(Fault::text(format!("the map has two entries `{}`", call::to_string(&key))));
                }
            }
            map.push((key, value));
        }
        Ok(Val::Map(Rc::new(map)))
    }

    fn call(
        &self,
        signature: &Signature,
        nodes: &'a [Node],
        vars: &mut Variables<'a>,
    ) -> Result<Val<'a>, Fault> {
        let mut arguments = [const { Val::Null }; call::MAX_ARGUMENTS];
        for (position, node) in nodes.iter().enumerate() {
            let value = self.eval(node, vars)?;
            self.charge_for(&value)?;
            if !value.types().may_be(signature.arguments[position]) {
                return Err(describe::argument(signature, position, node, &value, self.program));
            }
            arguments[position] = value;
        }
        call::call(signature, &arguments[..nodes.len()])
    }
}
