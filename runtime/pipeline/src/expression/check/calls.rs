//! Functions and macros.

use super::access::ROOTS;
use super::{Check, Typed, content, need, refuse};
use crate::expression::CompileError;
use crate::expression::call;
use crate::expression::function::{self, Function, Signature};
use crate::expression::operate::Wrong;
use crate::expression::program::{Literal, Macro, MacroKind, Node};
use crate::expression::types::Types;
use crate::expression::value::{Fault, Val};
use cel::IdedExpr;
use cel::common::ast::{CallExpr, Expr};

/// The longest pattern of `matches`, in bytes.
const MAX_PATTERN_BYTES: usize = 1024;
/// What a compiled pattern may take, in bytes.
const MAX_REGEX_BYTES: usize = 1 << 20;

impl Check<'_> {
    /// A call that is not an operator.
    pub(super) fn function(&mut self, id: u64, call: &CallExpr) -> Result<(Node, Types), CompileError> {
        let position = self.parsed.call_position(id, &call.func_name);
        let name = call.func_name.as_str();
        let Some(target) = call.target.as_deref() else {
            return match (name, call.args.as_slice()) {
                ("has", [field]) => self.presence(field, position),
                ("has", _) => refuse(position, "`has` takes one field, such as has(event.user)"),
                ("matches", [text, pattern]) => self.matches(text, pattern, position),
                _ => self.plain(name, None, &call.args, position),
            };
        };
        if matches!(&target.expr, Expr::Ident(name) if name == "optional") {
            return self.optional(name, &call.args, position);
        }
        match (name, call.args.as_slice()) {
            ("matches", [pattern]) => self.matches(target, pattern, position),
            ("orValue", [other]) => {
                let (left, right) = (self.node(target)?, self.node(other)?);
                need(&left, Types::OPTIONAL, name)?;
                content(&right, false)?;
                Ok((Node::OrValue(Box::new([left.node, right.node])), Types::VALUE))
            }
            ("or", [other]) => {
                let (left, right) = (self.node(target)?, self.node(other)?);
                need(&left, Types::OPTIONAL, name)?;
                need(&right, Types::OPTIONAL, name)?;
                Ok((Node::OrOptional(Box::new([left.node, right.node])), Types::OPTIONAL))
            }
            _ => match macro_kind(name) {
                Some(kind) => self.comprehension(kind, target, &call.args, position),
                None => self.plain(name, Some(target), &call.args, position),
            },
        }
    }

    /// `optional.of(x)`, `optional.none()`
    fn optional(
        &mut self,
        name: &str,
        arguments: &[IdedExpr],
        position: usize,
    ) -> Result<(Node, Types), CompileError> {
        match (name, arguments) {
            ("of", [value]) => {
                let value = self.node(value)?;
                content(&value, false)?;
                Ok((Node::Optional(Box::new(value.node)), Types::OPTIONAL))
            }
            ("none", []) => Ok((Node::None, Types::OPTIONAL)),
            _ => refuse(position, "there are optional.of(value) and optional.none()"),
        }
    }

    /// A strict function.
    fn plain(
        &mut self,
        name: &str,
        target: Option<&IdedExpr>,
        arguments: &[IdedExpr],
        position: usize,
    ) -> Result<(Node, Types), CompileError> {
        let Some(signature) = function::find(name, target.is_some()) else {
            let written = if target.is_some() { format!("x.{name}(…)") } else { format!("{name}(…)") };
            let advice = function::nearest(name, target.is_some())
                .map_or_else(String::new, |known| format!("; did you mean `{known}`?"));
            return refuse(position, format!("there is no function `{written}`{advice}"));
        };
        let receiver = usize::from(signature.receiver);
        let count = arguments.len() + receiver;
        if count < signature.required || count > signature.arguments.len() {
            let (least, most) = (signature.required - receiver, signature.arguments.len() - receiver);
            let wanted = if least == most { least.to_string() } else { format!("{least} to {most}") };
            return refuse(position, format!("`{name}` takes {wanted} arguments, not {}", arguments.len()));
        }
        let mut typed = Vec::with_capacity(count);
        for (at, argument) in target.into_iter().chain(arguments).enumerate() {
            let argument = self.node(argument)?;
            need(&argument, signature.arguments[at], name)?;
            typed.push(argument);
        }
        fold(signature, typed, position)
    }

    fn matches(
        &mut self,
        text: &IdedExpr,
        pattern: &IdedExpr,
        position: usize,
    ) -> Result<(Node, Types), CompileError> {
        let text = self.node(text)?;
        need(&text, Types::STRING, "matches")?;
        let pattern = self.node(pattern)?;
        let Node::Literal(Literal::String(pattern_text)) = &pattern.node else {
            return refuse(pattern.position, "the pattern of `matches` must be a string in quotes");
        };
        if pattern_text.len() > MAX_PATTERN_BYTES {
            return refuse(pattern.position, format!("a pattern has at most {MAX_PATTERN_BYTES} bytes"));
        }
        match regex::bytes::RegexBuilder::new(pattern_text).size_limit(MAX_REGEX_BYTES).build() {
            Ok(regex) => Ok((Node::Matches(Box::new(text.node), regex), Types::BOOL)),
            Err(error) => {
                let reason = error.to_string();
                let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ");
                refuse(position, format!("the pattern of `matches` is not valid: {reason}"))
            }
        }
    }

    /// A macro: its variable is visible in its other arguments.
    fn comprehension(
        &mut self,
        kind: MacroKind,
        target: &IdedExpr,
        arguments: &[IdedExpr],
        position: usize,
    ) -> Result<(Node, Types), CompileError> {
        let (variable, condition, transform) = match (kind, arguments) {
            (MacroKind::Map, [variable, transform]) => (variable, None, Some(transform)),
            (MacroKind::Map, [variable, condition, transform]) => {
                (variable, Some(condition), Some(transform))
            }
            (MacroKind::Map, _) => {
                return refuse(position, "`map` is written list.map(x, f(x)) or list.map(x, p(x), f(x))");
            }
            (_, [variable, condition]) => (variable, Some(condition), None),
            (kind, _) => {
                return refuse(
                    position,
                    format!("`{0}` is written list.{0}(x, condition of x)", kind.name()),
                );
            }
        };
        let Expr::Ident(variable_name) = &variable.expr else {
            let position = self.parsed.position(variable.id);
            return refuse(position, format!("the first argument of `{}` must be a name", kind.name()));
        };
        if ROOTS.contains(&variable_name.as_str()) {
            let position = self.parsed.position(variable.id);
            return refuse(position, format!("`{variable_name}` is taken; choose another name"));
        }
        let range = self.node(target)?;
        need(&range, Types::LIST.or(Types::MAP), kind.name())?;
        let slot = self.variables.len();
        self.variables.push(variable_name.clone());
        self.scope.push(slot);
        let condition = condition.map(|condition| self.node(condition)).transpose()?;
        if let Some(condition) = &condition {
            need(condition, Types::BOOL, kind.name())?;
        }
        let transform = transform.map(|transform| self.node(transform)).transpose()?;
        if let Some(transform) = &transform {
            content(transform, false)?;
        }
        self.scope.pop();
        let types =
            if matches!(kind, MacroKind::Map | MacroKind::Filter) { Types::LIST } else { Types::BOOL };
        let it = Macro {
            kind,
            range: range.node,
            variable: slot,
            condition: condition.map(|c| c.node),
            transform: transform.map(|t| t.node),
        };
        Ok((Node::Macro(Box::new(it)), types))
    }
}

fn macro_kind(name: &str) -> Option<MacroKind> {
    Some(match name {
        "all" => MacroKind::All,
        "exists" => MacroKind::Exists,
        "exists_one" | "existsOne" => MacroKind::ExistsOne,
        "map" => MacroKind::Map,
        "filter" => MacroKind::Filter,
        _ => return None,
    })
}

/// A call, computed now when all arguments are constants.
fn fold(
    signature: &'static Signature,
    arguments: Vec<Typed>,
    position: usize,
) -> Result<(Node, Types), CompileError> {
    let types = signature.result;
    let literals: Option<Vec<Val<'_>>> = arguments
        .iter()
        .map(|argument| match &argument.node {
            Node::Literal(literal) => Some(literal.val()),
            _ => None,
        })
        .collect();
    if let Some(literals) =
        literals.filter(|_| signature.result != Types::LIST && signature.function != Function::Dyn)
    {
        return match call::call(signature, &literals) {
            Err(Fault::Text(message)) => refuse(position, message),
            computed => super::constant(computed.as_ref().map_err(|_| &Wrong::Types), position, types),
        };
    }
    Ok((Node::Call(signature, arguments.into_iter().map(|argument| argument.node).collect()), types))
}
