//! Faults in words: which field, what it is, what was needed.

use super::function::Signature;
use super::operate::Wrong;
use super::program::{Literal, Meta, Node, Program};
use super::value::{Fault, Val};

/// The name of what a node reads: ``field `user.id` ``; none for something computed.
fn name(node: &Node, program: &Program) -> Option<String> {
    Some(match node {
        Node::Field(index) | Node::OptionalField(index) => field(&program.fields[*index]),
        Node::Variable(slot) => format!("`{}`", program.variables[*slot]),
        Node::Meta(meta) => {
            let (written, _) = Meta::ALL.iter().find(|(_, m)| m == meta)?;
            format!("`meta.{written}`")
        }
        Node::Header(header) | Node::OptionalHeader(header) => format!("header `{header}`"),
        Node::Now => "`now`".to_owned(),
        Node::Literal(Literal::String(text)) if text.len() <= 32 => format!("{text:?}"),
        Node::Select(_, member) | Node::OptionalSelect(_, member) => format!("`{member}`"),
        Node::OrValue(sides) => return name(&sides[0], program),
        _ => return None,
    })
}

/// ``field `user.id` ``, or `the record`.
pub(super) fn field(path: &crate::column::FieldPath) -> String {
    if path.0.is_empty() { "the record".to_owned() } else { format!("field `{}`", path.0.join(".")) }
}

/// The message for a missing field.
pub(super) fn missing(path: &crate::column::FieldPath) -> String {
    if path.0.is_empty() {
        "the record has no value".to_owned()
    } else {
        format!("{} is missing", field(path))
    }
}

/// ``field `a` is a string``, or `the value is a string`.
fn says(node: &Node, value: &Val<'_>, program: &Program) -> String {
    format!("{} is {}", name(node, program).unwrap_or_else(|| "the value".to_owned()), value.kind())
}

/// A fault of `left symbol right`.
pub(super) fn binary(
    symbol: &str,
    nodes: [&Node; 2],
    values: [&Val<'_>; 2],
    wrong: Wrong,
    program: &Program,
) -> Fault {
    let message = match wrong {
        Wrong::Fault(fault) => return fault,
        Wrong::Overflow => format!("`{symbol}` overflows{}", between(nodes, program)),
        Wrong::DivisionByZero => match name(nodes[1], program) {
            Some(name) => format!("division by zero: {name} is 0"),
            None => "division by zero".to_owned(),
        },
        Wrong::Types => {
            for (node, value) in nodes.iter().zip(values) {
                match value {
                    Val::Null => {
                        return Fault::text(format!(
                            "{}; `{symbol}` needs a value",
                            says(node, value, program)
                        ));
                    }
                    Val::Decimal(_) => {
                        let hint = "use double(…) to round it";
                        return Fault::text(format!(
                            "{}; {hint} before `{symbol}`",
                            says(node, value, program)
                        ));
                    }
                    _ => {}
                }
            }
            let [left, right] = [0, 1].map(|i| match name(nodes[i], program) {
                Some(name) => format!("{} ({name})", values[i].kind()),
                None => values[i].kind().to_owned(),
            });
            format!("`{symbol}` cannot take {left} and {right}")
        }
    };
    Fault::Text(message)
}

/// ` (field a, field b)`, as far as they have names.
fn between(nodes: [&Node; 2], program: &Program) -> String {
    let fields: Vec<String> = nodes
        .iter()
        .filter(|node| !matches!(node, Node::Literal(_)))
        .filter_map(|node| name(node, program))
        .collect();
    if fields.is_empty() { String::new() } else { format!(" ({})", fields.join(", ")) }
}

/// A fault of `symbol value`.
pub(super) fn unary(symbol: &str, node: &Node, value: &Val<'_>, wrong: Wrong, program: &Program) -> Fault {
    match wrong {
        Wrong::Fault(fault) => fault,
        Wrong::Types => Fault::text(format!("{}; `{symbol}` cannot take that", says(node, value, program))),
        _ => Fault::text(format!("`{symbol}` overflows")),
    }
}

/// A value that should be true or false.
pub(super) fn not_bool(node: &Node, value: &Val<'_>, program: &Program) -> Fault {
    Fault::text(format!("{}, not true or false", says(node, value, program)))
}

/// An argument of a type that the function does not take.
pub(super) fn argument(
    signature: &Signature,
    position: usize,
    node: &Node,
    value: &Val<'_>,
    program: &Program,
) -> Fault {
    let wanted = signature.arguments[position];
    Fault::text(format!("{}; `{}` needs {wanted}", says(node, value, program), signature.name))
}

/// `container[key]` that is not there.
pub(super) fn no_item(container: &Node, key: &Val<'_>, program: &Program) -> Fault {
    let container = name(container, program).unwrap_or_else(|| "the value".to_owned());
    Fault::text(match key {
        Val::String(key) => format!("`{key}` is missing in {container}"),
        key => format!("index {} is outside of {container}", super::call::to_string(key)),
    })
}

/// A loop over something that is no list.
pub(super) fn not_list(macro_name: &str, range: &Node, value: &Val<'_>, program: &Program) -> Fault {
    Fault::text(format!("{}; `{macro_name}` needs a list or a map", says(range, value, program)))
}
