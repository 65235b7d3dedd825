//! The schema of the wire shape as plain JSON, and the check of a value against it that finds every problem at once.
//!
//! The schema is the one that the CRDs carry, so that what the API server accepts and what `weir lint` accepts cannot
//! drift apart. Only the words of JSON Schema that the spec types use are understood.

use super::affinity::{LABEL_KEY, LABEL_VALUE, NODE_NAME};
use super::delivery::{ENDPOINT, REGION};
use super::{ScalingPolicySpec, StreamPipelineSpec, StreamSavepointSpec, StreamWindowSpec};
use crate::problem::{Path, PathPart, ProblemKind, closest, suggest};
use serde_json::Value;
use std::sync::LazyLock;

static PIPELINE: LazyLock<Value> = LazyLock::new(schema_of::<StreamPipelineSpec>);
static WINDOW: LazyLock<Value> = LazyLock::new(schema_of::<StreamWindowSpec>);
static SCALING: LazyLock<Value> = LazyLock::new(schema_of::<ScalingPolicySpec>);
static SAVEPOINT: LazyLock<Value> = LazyLock::new(schema_of::<StreamSavepointSpec>);

/// The schema of `spec` of a StreamPipeline.
pub fn pipeline_schema() -> &'static Value {
    &PIPELINE
}

/// The schema of `spec` of a StreamWindow.
pub fn window_schema() -> &'static Value {
    &WINDOW
}

/// The schema of `spec` of a ScalingPolicy.
pub fn scaling_schema() -> &'static Value {
    &SCALING
}

/// The schema of `spec` of a StreamSavepoint.
pub fn savepoint_schema() -> &'static Value {
    &SAVEPOINT
}

fn schema_of<T: schemars::JsonSchema>() -> Value {
    let settings = schemars::generate::SchemaSettings::draft2020_12().with(|s| {
        s.inline_subschemas = true;
        s.meta_schema = None;
    });
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

/// Where a value is not of the wire shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// Kind of the problem.
    pub kind: ProblemKind,
    /// Where, below the value that was checked.
    pub path: Path,
    /// What is wrong and what is allowed.
    pub message: String,
}

/// Every place where a value does not have the shape that the schema says; `path` is where the value stands.
pub fn check(value: &Value, schema: &Value, path: &Path) -> Vec<Mismatch> {
    let mut found = Vec::new();
    walk(value, schema, path, &mut found);
    found
}

fn walk(value: &Value, schema: &Value, path: &Path, found: &mut Vec<Mismatch>) {
    let schema = without_null(schema);
    let wanted = type_of_schema(schema);
    // An explicit null is an absent field, as for the API server.
    if value.is_null() && allows_null(schema) {
        return;
    }
    if !wanted.is_empty() && !has_type(value, wanted) {
        found.push(Mismatch {
            kind: ProblemKind::WrongType,
            path: path.clone(),
            message: wrong_type(value, wanted, schema),
        });
        return;
    }
    match value {
        Value::Object(fields) => walk_object(fields, schema, path, found),
        Value::Array(items) => walk_array(items, schema, path, found),
        Value::String(text) => walk_text(text, schema, path, found),
        Value::Number(number) => walk_number(number, schema, path, found),
        Value::Null | Value::Bool(_) => {}
    }
}

/// The schema of an optional struct is `anyOf: [struct, null]`.
fn without_null(schema: &Value) -> &Value {
    let choices = schema.get("anyOf").and_then(Value::as_array);
    choices
        .and_then(|all| all.iter().find(|one| one.get("type").and_then(Value::as_str) != Some("null")))
        .unwrap_or(schema)
}

fn type_of_schema(schema: &Value) -> &str {
    match schema.get("type") {
        Some(Value::String(one)) => one,
        Some(Value::Array(several)) => {
            several.iter().filter_map(Value::as_str).find(|t| *t != "null").unwrap_or("")
        }
        // An enum whose values carry docs is a list of constants.
        _ if schema.get("oneOf").is_some() || schema.get("enum").is_some() => "string",
        _ => "",
    }
}

fn allows_null(schema: &Value) -> bool {
    schema.get("type").and_then(Value::as_array).is_some_and(|types| types.iter().any(|t| t == "null"))
}

fn has_type(value: &Value, wanted: &str) -> bool {
    match wanted {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        _ => true,
    }
}

fn wrong_type(value: &Value, wanted: &str, schema: &Value) -> String {
    let got = match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(b) => format!("the boolean `{b}`"),
        Value::Number(n) => format!("the number `{n}`"),
        Value::String(s) => format!("the text `{s}`"),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a block of fields".to_owned(),
    };
    let want = match wanted {
        "object" => "a block of fields",
        "array" => "a list",
        "string" => "text",
        "integer" => "a whole number",
        "number" => "a number",
        _ => "true or false",
    };
    format!("expected {want}, got {got}{}", mend(value, wanted, schema))
}

/// How the value becomes what is wanted, when that can be told.
fn mend(value: &Value, wanted: &str, schema: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => return String::new(),
    };
    let pattern = schema.get("pattern").and_then(Value::as_str);
    match (wanted, pattern) {
        ("string", Some(pattern)) if pattern.starts_with(DURATION) => {
            format!("; a duration has a unit, such as `{text}s` or `{text}m`")
        }
        ("string", _) => "; put it in quotes".to_owned(),
        ("array", _) => format!("; write `[{text}]`"),
        ("object", _) if value.is_string() => match required(schema).collect::<Vec<_>>()[..] {
            [field] => format!("; write `{{{field}: {text}}}`"),
            _ => String::new(),
        },
        _ => String::new(),
    }
}

/// How the pattern of a duration begins.
const DURATION: &str = "^([0-9]+d)?";

fn walk_object(
    fields: &serde_json::Map<String, Value>,
    schema: &Value,
    path: &Path,
    found: &mut Vec<Mismatch>,
) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        let of_values = schema.get("additionalProperties").filter(|s| s.is_object());
        limit(fields.len(), schema, ("minProperties", "maxProperties"), "entries", path, found);
        if let Some(of_values) = of_values {
            fields.iter().for_each(|(name, value)| walk(value, of_values, &path.field(name), found));
        }
        if schema.get("additionalProperties") == Some(&Value::Bool(false)) {
            fields.keys().for_each(|name| found.push(unknown_field(name, path, &[])));
        }
        return;
    };
    let known: Vec<&str> = properties.keys().map(String::as_str).collect();
    for (name, value) in fields {
        match properties.get(name) {
            Some(of_field) => {
                let required = required(schema).any(|r| r == name);
                if !value.is_null() || required {
                    walk(value, of_field, &path.field(name), found);
                }
            }
            None => found.push(unknown_field(name, path, &known)),
        }
    }
    // A misspelt field is told as such, not as missing too.
    let misspelt = |wanted: &str| {
        let mut unknown = fields.keys().filter(|name| !properties.contains_key(*name));
        unknown.any(|name| closest(name, known.iter().copied()) == Some(wanted))
    };
    for name in required(schema).filter(|name| !fields.contains_key(*name) && !misspelt(name)) {
        found.push(Mismatch {
            kind: ProblemKind::MissingField,
            path: path.clone(),
            message: format!("the field `{name}` is missing"),
        });
    }
}

fn required(schema: &Value) -> impl Iterator<Item = &str> {
    schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

fn unknown_field(name: &str, path: &Path, known: &[&str]) -> Mismatch {
    let message = if known.is_empty() {
        format!("unknown field `{name}`; this block has no fields")
    } else {
        format!("unknown field `{name}`{}", suggest(name, known.iter().copied(), "allowed are"))
    };
    Mismatch { kind: ProblemKind::UnknownField, path: path.field(name), message }
}

fn walk_array(items: &[Value], schema: &Value, path: &Path, found: &mut Vec<Mismatch>) {
    limit(items.len(), schema, ("minItems", "maxItems"), "entries", path, found);
    if let Some(of_items) = schema.get("items") {
        items.iter().enumerate().for_each(|(i, item)| walk(item, of_items, &path.index(i), found));
    }
}

fn walk_text(text: &str, schema: &Value, path: &Path, found: &mut Vec<Mismatch>) {
    let constants = constants(schema);
    if !constants.is_empty() {
        if !constants.contains(&text) {
            let message =
                format!("unknown value `{text}`{}", suggest(text, constants.iter().copied(), "allowed are"));
            found.push(Mismatch { kind: ProblemKind::UnknownValue, path: path.clone(), message });
        }
        return;
    }
    let length = text.chars().count();
    let before = found.len();
    limit(length, schema, ("minLength", "maxLength"), "characters", path, found);
    let pattern = schema.get("pattern").and_then(Value::as_str);
    if before == found.len()
        && let Some(pattern) = pattern
        && regex::Regex::new(pattern).is_ok_and(|pattern| !pattern.is_match(text))
    {
        let message = format!("`{text}` is not allowed here{}", explain_pattern(pattern));
        found.push(Mismatch { kind: ProblemKind::BadText, path: path.clone(), message });
    }
}

/// What a pattern means, in words, for those that the spec uses.
fn explain_pattern(pattern: &str) -> String {
    let words = match pattern {
        r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$" => {
            "a name is a DNS label: lower-case letters, digits and `-`, with a letter or digit at both ends"
        }
        r"^[a-zA-Z0-9._-]+$" => "a topic is made of letters, digits, `.`, `_` and `-`",
        r"^[a-zA-Z_][a-zA-Z0-9_]*$" => {
            "it starts with a letter or `_` and goes on with letters, digits and `_`"
        }
        r"^(0\.[0-9]*[1-9][0-9]*|1(\.0+)?)$" => "a health is a text from `0.1` to `1`, such as `0.8`",
        LABEL_KEY => {
            "the key of a label is a name of at most 63 letters, digits, `-`, `_` and `.`, or a DNS name, `/` and such a name"
        }
        LABEL_VALUE => {
            "the value of a label is made of letters, digits, `-`, `_` and `.`, with a letter or digit at both ends"
        }
        NODE_NAME => "the name of a node is a DNS name: lower-case letters, digits, `-` and `.`",
        ENDPOINT => "an endpoint is `https://host:port` or `http://host:port`, with a path or without",
        REGION => "a region is made of small letters, digits and `-`",
        p if p.starts_with(DURATION) => {
            "a duration is whole numbers with the units d, h, m, s, ms, the largest first, such as `5m` or `1h30m`"
        }
        p if p.starts_with("^(Earliest|") => "allowed are `Earliest`, `Latest` and RFC 3339 times",
        other => return format!("; it must match {other}"),
    };
    format!("; {words}")
}

fn constants(schema: &Value) -> Vec<&str> {
    let plain = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
    let documented = schema.get("oneOf").and_then(Value::as_array).into_iter().flatten();
    plain
        .chain(documented.filter_map(|one| one.get("const")))
        .chain(
            schema
                .get("oneOf")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(|one| one.get("enum").and_then(Value::as_array))
                .flatten(),
        )
        .filter_map(Value::as_str)
        .collect()
}

fn walk_number(number: &serde_json::Number, schema: &Value, path: &Path, found: &mut Vec<Mismatch>) {
    let Some(value) = number.as_f64() else { return };
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    let (min, max) = (bound("minimum"), bound("maximum"));
    if min.is_some_and(|min| value < min) || max.is_some_and(|max| value > max) {
        let text = |bound: Option<f64>| bound.map(|b| b.to_string());
        found.push(Mismatch {
            kind: ProblemKind::OutOfBounds,
            path: path.clone(),
            message: match (text(min), text(max)) {
                (Some(min), Some(max)) => format!("{number} is not from {min} to {max}"),
                (Some(min), None) => format!("{number} is less than {min}"),
                (_, max) => format!("{number} is more than {}", max.unwrap_or_default()),
            },
        });
    }
}

fn limit(
    count: usize,
    schema: &Value,
    (min, max): (&str, &str),
    what: &str,
    path: &Path,
    found: &mut Vec<Mismatch>,
) {
    let bound = |name: &str| schema.get(name).and_then(Value::as_u64).map(|n| n as usize);
    let message = match (bound(min), bound(max)) {
        (Some(min), _) if count < min => format!("has {count} {what}, at least {min} are needed"),
        (_, Some(max)) if count > max => format!("has {count} {what}, at most {max} are allowed"),
        _ => return,
    };
    found.push(Mismatch { kind: ProblemKind::OutOfBounds, path: path.clone(), message });
}

/// Takes a field out of a value; a path that does not exist is left alone.
pub fn remove(value: &mut Value, path: &[PathPart]) {
    let Some((last, way)) = path.split_last() else { return };
    let mut at = value;
    for part in way {
        let next = match part {
            PathPart::Field(name) => at.get_mut(name),
            PathPart::Index(index) => at.get_mut(index),
        };
        let Some(next) = next else { return };
        at = next;
    }
    if let (PathPart::Field(name), Value::Object(fields)) = (last, at) {
        fields.remove(name);
    }
}

#[cfg(test)]
mod tests;
