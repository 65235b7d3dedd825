//! From a syntax tree to a program: names are resolved, types that cannot fit are refused, constants are computed.
//!
//! A field of the record may be of any JSON type, so the check refuses only what is certainly wrong.

mod access;
mod calls;

use super::operate::{self, Wrong};
use super::parse::Parsed;
use super::program::{Arithmetic, Entry, Literal, Node, Order, Program};
use super::types::Types;
use super::value::Val;
use super::{CompileError, Expected, json};
use crate::column::FieldPath;
use cel::IdedExpr;
use cel::common::ast::{CallExpr, EntryExpr, Expr, ListExpr, LiteralValue, MapExpr, operators};

/// Operators inside each other.
const MAX_DEPTH: usize = 128;

/// Checks a tree for a place.
pub(super) fn check(parsed: &Parsed<'_>, expected: Expected) -> Result<Program, CompileError> {
    let mut check = Check { parsed, fields: Vec::new(), variables: Vec::new(), scope: Vec::new(), depth: 0 };
    let root = check.node(&parsed.tree)?;
    let wrong = |wanted: &str| {
        let message = format!("the expression gives {}, but {wanted} is needed here", article(root.types));
        Err(CompileError { position: 0, message })
    };
    match expected {
        Expected::Bool if !root.types.may_be(Types::BOOL) => return wrong("true or false"),
        Expected::Map if !root.types.may_be(Types::MAP) => return wrong("a map such as {'id': event.id}"),
        _ => {}
    }
    Ok(Program { root: root.node, fields: check.fields, variables: check.variables })
}

/// `a string`, `an int or double`, `null`.
fn article(types: Types) -> String {
    let text = types.to_string();
    match text.as_bytes().first() {
        _ if types == Types::NULL || text == "anything" => text,
        Some(b'a' | b'e' | b'i' | b'o' | b'u') => format!("an {text}"),
        _ => format!("a {text}"),
    }
}

/// A node, its possible types and where it stands.
struct Typed {
    node: Node,
    types: Types,
    position: usize,
}

struct Check<'p> {
    parsed: &'p Parsed<'p>,
    fields: Vec<FieldPath>,
    /// Names by slot.
    variables: Vec<String>,
    /// Slots that are visible here.
    scope: Vec<usize>,
    depth: usize,
}

/// Refuses a value that is certainly not of these types.
fn need(typed: &Typed, wanted: Types, who: &str) -> Result<(), CompileError> {
    if typed.types.may_be(wanted) {
        return Ok(());
    }
    refuse(
        typed.position,
        format!("`{who}` needs {wanted}, this is {}{}", article(typed.types), hint(typed, wanted)),
    )
}

/// What stands in a list or map: a value; an optional one exactly where a `?` says so.
fn content(typed: &Typed, optional: bool) -> Result<(), CompileError> {
    if optional {
        return need(typed, Types::OPTIONAL, "?");
    }
    if typed.types.may_be(Types::OPTIONAL) {
        let message = "an optional value needs `.orValue(…)`, or `?` before the key to leave it out";
        return refuse(typed.position, message);
    }
    Ok(())
}

fn refuse<T>(position: usize, message: impl Into<String>) -> Result<T, CompileError> {
    Err(CompileError { position, message: message.into() })
}

impl Check<'_> {
    fn node(&mut self, tree: &IdedExpr) -> Result<Typed, CompileError> {
        let position = self.parsed.position(tree.id);
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return refuse(position, format!("more than {MAX_DEPTH} operators inside each other"));
        }
        let typed = match self.field(tree) {
            Some(field) => field?,
            None => self.inner(tree, position)?,
        };
        self.depth -= 1;
        Ok(typed)
    }

    fn inner(&mut self, tree: &IdedExpr, position: usize) -> Result<Typed, CompileError> {
        let (node, types) = match &tree.expr {
            Expr::Literal(literal) => literal_node(literal, position)?,
            Expr::Ident(name) => self.variable(name, position)?,
            Expr::Select(select) => self.select(select, position)?,
            Expr::Call(call) => self.call(tree.id, call, position)?,
            Expr::List(list) => self.list(list)?,
            Expr::Map(map) => self.map(map)?,
            Expr::Struct(made) => {
                let message =
                    format!("`{}{{…}}` is not supported; a map is written {{'name': value}}", made.type_name);
                return refuse(position, message);
            }
            Expr::Comprehension(_) | Expr::Unspecified => {
                return refuse(position, "this is not an expression");
            }
        };
        Ok(Typed { node, types, position })
    }

    /// Operators have names that no function can have; the rest are functions.
    fn call(&mut self, id: u64, call: &CallExpr, position: usize) -> Result<(Node, Types), CompileError> {
        let arithmetic = match call.func_name.as_str() {
            operators::ADD => Arithmetic::Add,
            operators::SUBSTRACT => Arithmetic::Subtract,
            operators::MULTIPLY => Arithmetic::Multiply,
            operators::DIVIDE => Arithmetic::Divide,
            operators::MODULO => Arithmetic::Modulo,
            _ => return self.logic(id, call, position),
        };
        let [left, right] = self.sides(call, position)?;
        Self::arithmetic(arithmetic, left, right, position)
    }

    fn logic(&mut self, id: u64, call: &CallExpr, position: usize) -> Result<(Node, Types), CompileError> {
        let order = match call.func_name.as_str() {
            operators::LESS => Order::Less,
            operators::LESS_EQUALS => Order::LessOrEqual,
            operators::GREATER => Order::Greater,
            operators::GREATER_EQUALS => Order::GreaterOrEqual,
            operators::EQUALS => return self.equality(false, call, position),
            operators::NOT_EQUALS => return self.equality(true, call, position),
            operators::LOGICAL_AND | operators::LOGICAL_OR => {
                let [left, right] = self.sides(call, position)?;
                let is_and = call.func_name == operators::LOGICAL_AND;
                let symbol = if is_and { "&&" } else { "||" };
                need(&left, Types::BOOL, symbol)?;
                need(&right, Types::BOOL, symbol)?;
                let sides = Box::new([left.node, right.node]);
                return Ok((if is_and { Node::And(sides) } else { Node::Or(sides) }, Types::BOOL));
            }
            operators::LOGICAL_NOT => {
                let inner = self.argument(call, 0, position)?;
                need(&inner, Types::BOOL, "!")?;
                return Ok((Node::Not(Box::new(inner.node)), Types::BOOL));
            }
            operators::NEGATE => return self.negation(call, position),
            operators::CONDITIONAL => return self.conditional(call, position),
            operators::IN => return self.membership(call, position),
            operators::INDEX => return self.index(call, false, position),
            operators::OPT_INDEX | operators::OPT_SELECT => return self.index(call, true, position),
            _ => return self.function(id, call),
        };
        let [left, right] = self.sides(call, position)?;
        Self::order(order, left, right, position)
    }

    fn argument(&mut self, call: &CallExpr, at: usize, position: usize) -> Result<Typed, CompileError> {
        match call.args.get(at) {
            Some(argument) => self.node(argument),
            None => refuse(position, "an operand is missing"),
        }
    }

    fn sides(&mut self, call: &CallExpr, position: usize) -> Result<[Typed; 2], CompileError> {
        Ok([self.argument(call, 0, position)?, self.argument(call, 1, position)?])
    }

    fn arithmetic(
        op: Arithmetic,
        left: Typed,
        right: Typed,
        position: usize,
    ) -> Result<(Node, Types), CompileError> {
        let types = arithmetic_types(op, left.types, right.types);
        if types.is_none() {
            let allowed = match op {
                Arithmetic::Add => {
                    "it adds numbers, joins strings or lists, and moves timestamps by durations"
                }
                Arithmetic::Subtract => "it takes numbers, timestamps and durations",
                Arithmetic::Modulo => "it takes ints",
                Arithmetic::Multiply | Arithmetic::Divide => "it takes numbers",
            };
            let (symbol, left, right) = (op.symbol(), article(left.types), article(right.types));
            return refuse(position, format!("`{symbol}` cannot take {left} and {right}: {allowed}"));
        }
        if let (Node::Literal(l), Node::Literal(r)) = (&left.node, &right.node) {
            let folded = operate::arithmetic(op, &l.val(), &r.val());
            return constant(folded.as_ref(), position, types);
        }
        Ok((Node::Arithmetic(op, Box::new([left.node, right.node])), types))
    }

    fn negation(&mut self, call: &CallExpr, position: usize) -> Result<(Node, Types), CompileError> {
        let inner = self.argument(call, 0, position)?;
        need(&inner, Types::NUMBER, "-")?;
        let types = inner.types.and(Types::NUMBER);
        if let Node::Literal(literal) = &inner.node {
            return constant(operate::negate(&literal.val()).as_ref(), position, types);
        }
        Ok((Node::Negate(Box::new(inner.node)), types))
    }

    fn order(
        order: Order,
        left: Typed,
        right: Typed,
        position: usize,
    ) -> Result<(Node, Types), CompileError> {
        let ordered =
            Types::NUMBER.or(Types::STRING).or(Types::BOOL).or(Types::TIMESTAMP).or(Types::DURATION);
        if !left.types.and(ordered).may_equal(right.types.and(ordered)) {
            let symbol = order.symbol();
            let message = format!(
                "`{symbol}` cannot compare {} with {}{}",
                article(left.types),
                article(right.types),
                time_hint(&left, &right)
            );
            return refuse(position, message);
        }
        Ok((Node::Order(order, Box::new([left.node, right.node])), Types::BOOL))
    }

    fn equality(
        &mut self,
        negated: bool,
        call: &CallExpr,
        position: usize,
    ) -> Result<(Node, Types), CompileError> {
        let [left, right] = self.sides(call, position)?;
        if left.types.may_be(Types::OPTIONAL) || right.types.may_be(Types::OPTIONAL) {
            return refuse(
                position,
                "an optional value has no `==`; use `.orValue(…)`, `.hasValue()` or has(…)",
            );
        }
        if !left.types.may_equal(right.types) {
            let (l, r) = (article(left.types), article(right.types));
            let hint = time_hint(&left, &right);
            return refuse(position, format!("{l} never equals {r}{hint}"));
        }
        Ok((Node::Equal(negated, Box::new([left.node, right.node])), Types::BOOL))
    }

    fn conditional(&mut self, call: &CallExpr, position: usize) -> Result<(Node, Types), CompileError> {
        let condition = self.argument(call, 0, position)?;
        need(&condition, Types::BOOL, "?")?;
        let yes = self.argument(call, 1, position)?;
        let no = self.argument(call, 2, position)?;
        if yes.types.may_be(Types::OPTIONAL) != no.types.may_be(Types::OPTIONAL) {
            return refuse(
                position,
                "both sides of `:` must be optional values, or neither; `.orValue(…)` gives a value",
            );
        }
        let types = yes.types.or(no.types);
        Ok((Node::If(Box::new([condition.node, yes.node, no.node])), types))
    }

    fn membership(&mut self, call: &CallExpr, position: usize) -> Result<(Node, Types), CompileError> {
        let [value, container] = self.sides(call, position)?;
        need(&container, Types::LIST.or(Types::MAP), "in")?;
        content(&value, false)?;
        let literals = match &container.node {
            Node::List(items) => items
                .iter()
                .map(|(item, optional)| match item {
                    Node::Literal(literal) if !optional => Some(literal.clone()),
                    _ => None,
                })
                .collect::<Option<Vec<Literal>>>(),
            _ => None,
        };
        let node = match literals {
            Some(literals) => Node::InSet(Box::new(value.node), literals),
            None => Node::In(Box::new([value.node, container.node])),
        };
        Ok((node, Types::BOOL))
    }

    fn list(&mut self, list: &ListExpr) -> Result<(Node, Types), CompileError> {
        let mut items = Vec::with_capacity(list.elements.len());
        for (at, element) in list.elements.iter().enumerate() {
            let optional = list.optional_indices.contains(&at);
            let item = self.node(element)?;
            content(&item, optional)?;
            items.push((item.node, optional));
        }
        Ok((Node::List(items), Types::LIST))
    }

    fn map(&mut self, map: &MapExpr) -> Result<(Node, Types), CompileError> {
        let mut entries: Vec<Entry> = Vec::with_capacity(map.entries.len());
        for entry in &map.entries {
            let EntryExpr::MapEntry(entry) = &entry.expr else {
                return refuse(self.parsed.position(entry.id), "a map is written {'name': value}");
            };
            let key = self.node(&entry.key)?;
            need(&key, Types::STRING.or(Types::INT).or(Types::BOOL), "key")?;
            let value = self.node(&entry.value)?;
            content(&value, entry.optional)?;
            let json_key = match &key.node {
                Node::Literal(literal) => {
                    let mut text = Vec::new();
                    json::write_key(&literal.val(), &mut text).ok().map(|()| text)
                }
                _ => None,
            };
            // As JSON the keys 1 and '1' are the same.
            if json_key.is_some() && entries.iter().any(|entry| entry.json_key == json_key) {
                return refuse(key.position, "this key is already in the map");
            }
            entries.push(Entry { key: key.node, json_key, value: value.node, optional: entry.optional });
        }
        Ok((Node::Map(entries), Types::MAP))
    }
}

/// Why a value of the record does not fit, in the commonest case.
fn hint(typed: &Typed, wanted: Types) -> &'static str {
    if wanted.may_be(Types::TIMESTAMP) && typed.types.may_be(Types::STRING) {
        "; timestamp(…) reads one from a string"
    } else if typed.types == Types::OPTIONAL {
        "; `.orValue(…)` gives its value"
    } else {
        ""
    }
}

fn time_hint(left: &Typed, right: &Typed) -> &'static str {
    let both = left.types.or(right.types);
    if both.may_be(Types::TIMESTAMP) && both.may_be(Types::STRING) {
        "; timestamp(…) reads one from a string"
    } else if both.may_be(Types::DURATION) && both.may_be(Types::STRING) {
        "; duration(…) reads one from a string"
    } else if both.may_be(Types::OPTIONAL) {
        "; `.orValue(…)` gives the value of an optional one"
    } else {
        ""
    }
}

/// What an operator may give.
fn arithmetic_types(op: Arithmetic, left: Types, right: Types) -> Types {
    let mut result = Types::NULL.and(Types::BOOL);
    for l in left.each() {
        for r in right.each() {
            result = result.or(match (op, l, r) {
                (_, Types::INT, Types::INT) => Types::INT,
                (Arithmetic::Modulo, ..) => continue,
                (_, Types::INT | Types::DOUBLE, Types::INT | Types::DOUBLE) => Types::DOUBLE,
                (Arithmetic::Add, Types::STRING, Types::STRING) => Types::STRING,
                (Arithmetic::Add, Types::LIST, Types::LIST) => Types::LIST,
                (Arithmetic::Add, Types::DURATION, Types::TIMESTAMP)
                | (Arithmetic::Add | Arithmetic::Subtract, Types::TIMESTAMP, Types::DURATION) => {
                    Types::TIMESTAMP
                }
                (Arithmetic::Add | Arithmetic::Subtract, Types::DURATION, Types::DURATION)
                | (Arithmetic::Subtract, Types::TIMESTAMP, Types::TIMESTAMP) => Types::DURATION,
                _ => continue,
            });
        }
    }
    result
}

fn literal_node(literal: &LiteralValue, position: usize) -> Result<(Node, Types), CompileError> {
    Ok(match literal {
        LiteralValue::Null => (Node::Literal(Literal::Null), Types::NULL),
        LiteralValue::Boolean(b) => (Node::Literal(Literal::Bool(*b.inner())), Types::BOOL),
        LiteralValue::Int(i) => (Node::Literal(Literal::Int(*i.inner())), Types::INT),
        LiteralValue::Double(d) => (Node::Literal(Literal::Double(*d.inner())), Types::DOUBLE),
        LiteralValue::String(s) => (Node::Literal(Literal::String(s.inner().to_owned())), Types::STRING),
        LiteralValue::UInt(_) => {
            return refuse(position, "unsigned numbers are not supported; leave the `u` out");
        }
        LiteralValue::Bytes(_) => {
            return refuse(position, "bytes are not supported; leave the `b` out for a string");
        }
    })
}

/// What was computed at compile time, or why it cannot be.
fn constant(
    computed: Result<&Val<'_>, &Wrong>,
    position: usize,
    types: Types,
) -> Result<(Node, Types), CompileError> {
    match computed.map(Literal::of) {
        Ok(Some(literal)) => Ok((Node::Literal(literal), types)),
        Err(Wrong::DivisionByZero) => refuse(position, "this divides by zero"),
        Err(Wrong::Overflow) => refuse(position, "this overflows 64 bits"),
        _ => refuse(position, "this cannot be computed"),
    }
}
