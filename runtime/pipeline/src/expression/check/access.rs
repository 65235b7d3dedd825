//! Names and what is behind them: fields of the record, the message, variables, members and items.

use super::{Check, Typed, article, hint, need, refuse};
use crate::column::FieldPath;
use crate::expression::CompileError;
use crate::expression::program::{Literal, Meta, Node};
use crate::expression::types::Types;
use cel::IdedExpr;
use cel::common::ast::{CallExpr, Expr, LiteralValue, SelectExpr, operators};

/// The names that stand for something everywhere.
pub(super) const ROOTS: [&str; 3] = ["event", "meta", "now"];

/// A way from `event` or `meta` that is known at compile time.
pub(super) struct Path {
    root: &'static str,
    /// The node of the root.
    root_id: u64,
    parts: Vec<String>,
    /// True when a `?` is on the way.
    optional: bool,
}

impl Path {
    /// The path that a tree spells.
    pub fn of(tree: &IdedExpr) -> Option<Self> {
        match &tree.expr {
            Expr::Ident(name) => {
                let root = ["event", "meta"].into_iter().find(|root| root == name)?;
                Some(Self { root, root_id: tree.id, parts: Vec::new(), optional: false })
            }
            Expr::Select(select) if !select.test => {
                Some(Self::of(&select.operand)?.then(&select.field, false))
            }
            Expr::Call(call) => {
                let [operand, key] = call.args.as_slice() else { return None };
                let optional = match call.func_name.as_str() {
                    operators::INDEX => false,
                    operators::OPT_INDEX | operators::OPT_SELECT => true,
                    _ => return None,
                };
                match &key.expr {
                    Expr::Literal(LiteralValue::String(name)) => {
                        Some(Self::of(operand)?.then(name.inner(), optional))
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn then(mut self, name: &str, optional: bool) -> Self {
        self.parts.push(name.to_owned());
        self.optional |= optional;
        self
    }
}

/// A field, and what is asked of it.
enum Form {
    Value,
    Presence,
}

impl Check<'_> {
    /// The node of a path of the record or the message; none when the tree is no such path.
    pub(super) fn field(&mut self, tree: &IdedExpr) -> Option<Result<Typed, CompileError>> {
        let path = Path::of(tree)?;
        let position = self.parsed.position(path.root_id);
        let made = self.path_node(path, &Form::Value, self.parsed.position(tree.id));
        Some(made.map(|(node, types)| Typed { node, types, position }))
    }

    /// `has(tree)`
    pub(super) fn presence(
        &mut self,
        tree: &IdedExpr,
        position: usize,
    ) -> Result<(Node, Types), CompileError> {
        if let Some(path) = Path::of(tree).filter(|path| !path.parts.is_empty()) {
            return self.path_node(path, &Form::Presence, position);
        }
        let Expr::Select(select) = &tree.expr else {
            return refuse(position, "`has` takes a field, such as has(event.user)");
        };
        let inner = self.node(&select.operand)?;
        need(&inner, Types::MAP.or(Types::OPTIONAL), "has")?;
        Ok((Node::Has(Box::new(inner.node), select.field.clone()), Types::BOOL))
    }

    fn path_node(&mut self, path: Path, form: &Form, position: usize) -> Result<(Node, Types), CompileError> {
        if path.root == "meta" {
            return meta_node(&path, form, position);
        }
        let optional = path.optional;
        let path = FieldPath(path.parts);
        let index = self.fields.iter().position(|known| *known == path).unwrap_or_else(|| {
            self.fields.push(path);
            self.fields.len() - 1
        });
        Ok(match form {
            Form::Presence => (Node::HasField(index), Types::BOOL),
            Form::Value if optional => (Node::OptionalField(index), Types::OPTIONAL),
            Form::Value => (Node::Field(index), Types::JSON),
        })
    }

    /// A name by itself.
    pub(super) fn variable(&mut self, name: &str, position: usize) -> Result<(Node, Types), CompileError> {
        if name == "now" {
            return Ok((Node::Now, Types::TIMESTAMP));
        }
        if let Some(slot) = self.scope.iter().rev().find(|slot| self.variables[**slot] == name) {
            return Ok((Node::Variable(*slot), Types::VALUE));
        }
        let known = ROOTS.into_iter().chain(self.scope.iter().map(|slot| self.variables[*slot].as_str()));
        let near = known.map(|k| (strsim::damerau_levenshtein(name, k), k)).min().filter(|(d, _)| *d <= 2);
        let advice = match near {
            Some((_, known)) => format!("did you mean `{known}`?"),
            None => format!("a field of the record is `event.{name}`; there are also `meta` and `now`"),
        };
        refuse(position, format!("`{name}` is not known; {advice}"))
    }

    /// `operand.field` that is not a path.
    pub(super) fn select(
        &mut self,
        select: &SelectExpr,
        position: usize,
    ) -> Result<(Node, Types), CompileError> {
        let operand = self.node(&select.operand)?;
        member(operand, &select.field, position)
    }

    /// `operand[key]`, `operand[?key]` and `operand.?key` that are not a path.
    pub(super) fn index(
        &mut self,
        call: &CallExpr,
        optional: bool,
        position: usize,
    ) -> Result<(Node, Types), CompileError> {
        let [operand, key] = self.sides(call, position)?;
        let indexed = Types::LIST.or(Types::MAP).or(Types::OPTIONAL);
        if !operand.types.may_be(indexed) {
            let hint = hint(&operand, indexed);
            return refuse(position, format!("{} has no items{hint}", article(operand.types)));
        }
        need(&key, Types::STRING.or(Types::NUMBER).or(Types::BOOL), "[…]")?;
        let optional = optional || operand.types.may_be(Types::OPTIONAL);
        Ok(match key.node {
            Node::Literal(Literal::String(name)) if optional => {
                (Node::OptionalSelect(Box::new(operand.node), name), Types::OPTIONAL)
            }
            Node::Literal(Literal::String(name)) => {
                (Node::Select(Box::new(operand.node), name), Types::VALUE)
            }
            key if optional => (Node::OptionalIndex(Box::new([operand.node, key])), Types::OPTIONAL),
            key => (Node::Index(Box::new([operand.node, key])), Types::VALUE),
        })
    }
}

/// `meta` and what is behind it.
fn meta_node(path: &Path, form: &Form, position: usize) -> Result<(Node, Types), CompileError> {
    let names = || Meta::ALL.map(|(name, _)| format!("`meta.{name}`")).join(", ");
    let Some((name, rest)) = path.parts.split_first() else {
        return refuse(position, format!("`meta` by itself is not a value; there are {}", names()));
    };
    let Some((_, meta)) = Meta::ALL.into_iter().find(|(known, _)| known == name) else {
        return refuse(position, format!("`meta.{name}` is not known; there are {}", names()));
    };
    match (meta, rest) {
        (_, []) => Ok(match form {
            Form::Value if path.optional => (Node::Optional(Box::new(Node::Meta(meta))), Types::OPTIONAL),
            Form::Value => (Node::Meta(meta), meta.types()),
            Form::Presence if meta == Meta::Key => {
                let sides = Box::new([Node::Meta(meta), Node::Literal(Literal::Null)]);
                (Node::Equal(true, sides), Types::BOOL)
            }
            Form::Presence => (Node::Literal(Literal::Bool(true)), Types::BOOL),
        }),
        (Meta::Headers, [header]) => Ok(match form {
            Form::Value if path.optional => (Node::OptionalHeader(header.clone()), Types::OPTIONAL),
            Form::Value => (Node::Header(header.clone()), Types::STRING.or(Types::NULL)),
            Form::Presence => (Node::HasHeader(header.clone()), Types::BOOL),
        }),
        (_, [field, ..]) => refuse(position, format!("{} has no field `{field}`", article(meta.types()))),
    }
}

/// `operand.field`. What it gives comes from JSON, or is what the expression put there.
fn member(operand: Typed, field: &str, position: usize) -> Result<(Node, Types), CompileError> {
    if operand.types.may_be(Types::OPTIONAL) {
        return Ok((Node::OptionalSelect(Box::new(operand.node), field.to_owned()), Types::OPTIONAL));
    }
    if !operand.types.may_be(Types::MAP) {
        return refuse(position, format!("{} has no field `{field}`", article(operand.types)));
    }
    Ok((Node::Select(Box::new(operand.node), field.to_owned()), Types::VALUE))
}
