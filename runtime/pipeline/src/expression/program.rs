//! The checked form of an expression: a tree whose names are resolved. It is made by `check` and never changes.

use super::function::Signature;
use super::types::Types;
use super::value::Val;
use crate::column::FieldPath;
use std::borrow::Cow;

/// A checked expression.
#[derive(Debug)]
pub(super) struct Program {
    /// The value.
    pub root: Node,
    /// What `Node::Field` and its kin index.
    pub fields: Vec<FieldPath>,
    /// Names of comprehension variables, by slot.
    pub variables: Vec<String>,
}

/// One operation.
#[derive(Debug)]
pub(super) enum Node {
    /// A constant.
    Literal(Literal),
    /// A field of the record; missing is an error.
    Field(usize),
    /// A field as an optional value.
    OptionalField(usize),
    /// Whether a field is there.
    HasField(usize),
    /// Something of the message.
    Meta(Meta),
    /// A header by name; missing is an error.
    Header(String),
    /// A header as an optional value.
    OptionalHeader(String),
    /// Whether a header is there.
    HasHeader(String),
    /// The clock of the batch.
    Now,
    /// A comprehension variable, by slot.
    Variable(usize),
    /// `!x`
    Not(Box<Node>),
    /// `-x`
    Negate(Box<Node>),
    /// `a + b` and so on.
    Arithmetic(Arithmetic, Box<[Node; 2]>),
    /// `a < b` and so on.
    Order(Order, Box<[Node; 2]>),
    /// `a == b`, or `a != b` when the flag is set.
    Equal(bool, Box<[Node; 2]>),
    /// `a && b`
    And(Box<[Node; 2]>),
    /// `a || b`
    Or(Box<[Node; 2]>),
    /// `a ? b : c`
    If(Box<[Node; 3]>),
    /// `a in b`
    In(Box<[Node; 2]>),
    /// `a in [constants]`
    InSet(Box<Node>, Vec<Literal>),
    /// `a.matches("…")`
    Matches(Box<Node>, regex::bytes::Regex),
    /// `[a, ?b]`; the flag marks an optional element.
    List(Vec<(Node, bool)>),
    /// `{a: b, ?c: d}`
    Map(Vec<Entry>),
    /// A strict function; the receiver is the first argument.
    Call(&'static Signature, Vec<Node>),
    /// `a.name` or `a["name"]` where `a` is not a path of the record.
    Select(Box<Node>, String),
    /// `a.?name`, and `a.name` where `a` is optional.
    OptionalSelect(Box<Node>, String),
    /// `has(a.name)`
    Has(Box<Node>, String),
    /// `a[b]`
    Index(Box<[Node; 2]>),
    /// `a[?b]`, and `a[b]` where `a` is optional.
    OptionalIndex(Box<[Node; 2]>),
    /// `optional.of(a)`
    Optional(Box<Node>),
    /// `optional.none()`
    None,
    /// `a.orValue(b)`
    OrValue(Box<[Node; 2]>),
    /// `a.or(b)`
    OrOptional(Box<[Node; 2]>),
    /// `a.all(x, p)` and so on.
    Macro(Box<Macro>),
}

impl Node {
    /// True when the value may be, or come out of, a list or map that the expression builds. Such a value may hold what
    /// JSON has no type for, as a timestamp, so that it cannot go through a column on its way to an operator.
    pub fn builds(&self) -> bool {
        match self {
            Self::List(_) | Self::Map(_) | Self::Macro(_) => true,
            Self::If(parts) => parts[1].builds() || parts[2].builds(),
            Self::Arithmetic(Arithmetic::Add, sides)
            | Self::OrValue(sides)
            | Self::OrOptional(sides)
            | Self::Index(sides)
            | Self::OptionalIndex(sides) => sides.iter().any(Self::builds),
            Self::Select(inner, _) | Self::OptionalSelect(inner, _) | Self::Optional(inner) => inner.builds(),
            Self::Call(_, arguments) => arguments.iter().any(Self::builds),
            _ => false,
        }
    }

    /// True when an operator gets such a value.
    pub fn takes_built(&self) -> bool {
        match self {
            Self::Arithmetic(_, sides) | Self::Order(_, sides) | Self::Equal(_, sides) => {
                sides.iter().any(Self::builds)
            }
            Self::InSet(inner, _) | Self::Matches(inner, _) => inner.builds(),
            Self::Call(_, arguments) => arguments.iter().any(Self::builds),
            _ => false,
        }
    }
}

/// A loop over a list.
#[derive(Debug)]
pub(super) struct Macro {
    /// Which.
    pub kind: MacroKind,
    /// What is looped over.
    pub range: Node,
    /// The slot of the variable.
    pub variable: usize,
    /// The condition; none for `map` without one.
    pub condition: Option<Node>,
    /// What `map` gives; none for the others.
    pub transform: Option<Node>,
}

/// Which macro.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MacroKind {
    All,
    Exists,
    ExistsOne,
    Map,
    Filter,
}

impl MacroKind {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Exists => "exists",
            Self::ExistsOne => "exists_one",
            Self::Map => "map",
            Self::Filter => "filter",
        }
    }
}

/// One entry of a map literal.
#[derive(Debug)]
pub(super) struct Entry {
    /// The key.
    pub key: Node,
    /// The key as JSON with its colon, when it is a constant.
    pub json_key: Option<Vec<u8>>,
    /// The value.
    pub value: Node,
    /// `?key: value`: left out when the optional value is none.
    pub optional: bool,
}

/// Something of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meta {
    Topic,
    Partition,
    Offset,
    Timestamp,
    Key,
    Headers,
    Id,
}

impl Meta {
    /// All, as they are written after `meta.`.
    pub const ALL: [(&'static str, Meta); 7] = [
        ("topic", Meta::Topic),
        ("partition", Meta::Partition),
        ("offset", Meta::Offset),
        ("timestamp", Meta::Timestamp),
        ("key", Meta::Key),
        ("headers", Meta::Headers),
        ("id", Meta::Id),
    ];

    /// Its possible types.
    pub fn types(self) -> Types {
        match self {
            Self::Topic | Self::Id => Types::STRING,
            Self::Partition | Self::Offset => Types::INT,
            Self::Timestamp => Types::TIMESTAMP,
            Self::Key => Types::STRING.or(Types::NULL),
            Self::Headers => Types::MAP,
        }
    }
}

/// `+ - * / %`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

impl Arithmetic {
    /// As it is written.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Modulo => "%",
        }
    }
}

/// `< <= > >=`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Order {
    /// As it is written.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }

    /// Whether it holds; none is a comparison with NaN, which never does.
    pub fn holds(self, ordering: Option<std::cmp::Ordering>) -> bool {
        use std::cmp::Ordering;
        match self {
            Self::Less => ordering == Some(Ordering::Less),
            Self::LessOrEqual => matches!(ordering, Some(Ordering::Less | Ordering::Equal)),
            Self::Greater => ordering == Some(Ordering::Greater),
            Self::GreaterOrEqual => matches!(ordering, Some(Ordering::Greater | Ordering::Equal)),
        }
    }

    /// The same order with its sides exchanged.
    pub fn mirrored(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
        }
    }
}

/// A constant.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    String(String),
    Timestamp(i64),
    Duration(i64),
}

impl Literal {
    /// As a value.
    pub fn val(&self) -> Val<'_> {
        match self {
            Self::Null => Val::Null,
            Self::Bool(b) => Val::Bool(*b),
            Self::Int(i) => Val::Int(*i),
            Self::Double(d) => Val::Double(*d),
            Self::String(s) => Val::String(Cow::Borrowed(s)),
            Self::Timestamp(t) => Val::Timestamp(*t),
            Self::Duration(d) => Val::Duration(*d),
        }
    }

    /// A scalar value as a constant.
    pub fn of(val: &Val<'_>) -> Option<Self> {
        Some(match val {
            Val::Null => Self::Null,
            Val::Bool(b) => Self::Bool(*b),
            Val::Int(i) => Self::Int(*i),
            Val::Double(d) => Self::Double(*d),
            Val::String(s) => Self::String(s.clone().into_owned()),
            Val::Timestamp(t) => Self::Timestamp(*t),
            Val::Duration(d) => Self::Duration(*d),
            _ => return None,
        })
    }
}
