//! Which keywords of JSON Schema the fast checks know, and what they mean to them.

use super::fast::{Additional, Array, Check, CheckId, Object, Options, Property, Types};
use serde_json::{Map, Number, Value};

/// Schemas inside each other, through references too, at most.
const NESTED_MAX: usize = 32;
/// Schemas in all, at most: references may repeat one many times.
const CHECKS_MAX: usize = 1_024;

/// What is allowed for numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Limits {
    /// Integers, both ends included.
    integers: (i64, i64),
    /// `minimum` and `maximum` for doubles.
    included: (f64, f64),
    /// `exclusiveMinimum` and `exclusiveMaximum` for doubles, which leave out NaN and the infinities in any case.
    excluded: (f64, f64),
}

impl Limits {
    const NONE: Limits = Limits {
        integers: (i64::MIN, i64::MAX),
        included: (f64::NEG_INFINITY, f64::INFINITY),
        excluded: (f64::NEG_INFINITY, f64::INFINITY),
    };

    pub fn allow_int(&self, value: i64) -> bool {
        self.integers.0 <= value && value <= self.integers.1
    }

    pub fn allow_double(&self, value: f64) -> bool {
        let included = self.included.0 <= value && value <= self.included.1;
        included && self.excluded.0 < value && value < self.excluded.1
    }

    fn at_least(&mut self, limit: &Number) -> Option<()> {
        self.included.0 = exact_double(limit)?;
        self.integers.0 = self.integers.0.max(self.included.0.ceil() as i64);
        Some(())
    }

    fn at_most(&mut self, limit: &Number) -> Option<()> {
        self.included.1 = exact_double(limit)?;
        self.integers.1 = self.integers.1.min(self.included.1.floor() as i64);
        Some(())
    }

    fn above(&mut self, limit: &Number) -> Option<()> {
        self.excluded.0 = exact_double(limit)?;
        self.integers.0 = self.integers.0.max(self.excluded.0.floor() as i64 + 1);
        Some(())
    }

    fn below(&mut self, limit: &Number) -> Option<()> {
        self.excluded.1 = exact_double(limit)?;
        self.integers.1 = self.integers.1.min(self.excluded.1.ceil() as i64 - 1);
        Some(())
    }
}

/// A limit that a double holds exactly, and between integers that it holds exactly too.
fn exact_double(limit: &Number) -> Option<f64> {
    let value = limit.as_f64()?;
    (value.abs() <= 9_007_199_254_740_991.0).then_some(value)
}

/// The drafts differ in what is fast only in `format`, which is an assertion up to draft 7.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Draft {
    FormatAsserts,
    FormatInforms,
}

/// The checks of a schema and of those inside it, and which is that of the schema itself; none when there is an unknown
/// keyword.
pub(super) fn compile(schema: &Value) -> Option<(Vec<Check>, CheckId)> {
    let draft = match schema.get("$schema").map(Value::as_str) {
        None => Draft::FormatInforms,
        Some(uri) => match uri?.trim_end_matches('#') {
            "https://json-schema.org/draft/2020-12/schema"
            | "https://json-schema.org/draft/2019-09/schema" => Draft::FormatInforms,
            "http://json-schema.org/draft-07/schema" | "http://json-schema.org/draft-06/schema" => {
                Draft::FormatAsserts
            }
            _ => return None,
        },
    };
    let mut compiler = Compiler { root: schema, draft, checks: Vec::new() };
    let root = compiler.schema(schema, 0)?;
    Some((compiler.checks, root))
}

struct Compiler<'a> {
    root: &'a Value,
    draft: Draft,
    checks: Vec<Check>,
}

impl Compiler<'_> {
    fn schema(&mut self, schema: &Value, nested: usize) -> Option<CheckId> {
        if nested > NESTED_MAX || self.checks.len() >= CHECKS_MAX {
            return None;
        }
        let keywords = match schema {
            Value::Object(keywords) => keywords,
            Value::Bool(all) => {
                let types = if *all { Types::ALL } else { Types(0) };
                return Some(self.add(Check { types, ..anything() }));
            }
            _ => return None,
        };
        if let Some(reference) = keywords.get("$ref") {
            let alone = keywords.keys().all(|key| key == "$ref" || self.informs(key, nested));
            // A pointer inside the schema, without percent-encoding.
            let pointer = reference.as_str()?.strip_prefix('#').filter(|pointer| !pointer.contains('%'))?;
            let target = self.root.pointer(pointer)?;
            return if alone { self.schema(target, nested + 1) } else { None };
        }
        let mut check = anything();
        for (key, value) in keywords {
            self.keyword(&mut check, key, value, keywords, nested)?;
        }
        Some(self.add(check))
    }

    fn add(&mut self, check: Check) -> CheckId {
        self.checks.push(check);
        CheckId(self.checks.len() as u32 - 1)
    }

    /// True for keywords that allow and forbid nothing.
    fn informs(&self, key: &str, nested: usize) -> bool {
        match key {
            "$schema" | "$id" => nested == 0,
            "format" => self.draft == Draft::FormatInforms,
            "title" | "description" | "default" | "examples" | "$comment" | "$defs" | "definitions"
            | "deprecated" | "readOnly" | "writeOnly" => true,
            _ => key.starts_with("x-"),
        }
    }

    fn keyword(
        &mut self,
        check: &mut Check,
        key: &str,
        value: &Value,
        keywords: &Map<String, Value>,
        nested: usize,
    ) -> Option<()> {
        match (key, value) {
            ("type", _) => check.types = types(value)?,
            ("enum", Value::Array(values)) => check.options = Some(options(values, check.options.as_ref())?),
            ("const", _) => {
                check.options = Some(options(std::slice::from_ref(value), check.options.as_ref())?);
            }
            ("minimum", Value::Number(limit)) => check.limits.at_least(limit)?,
            ("exclusiveMinimum", Value::Number(limit)) => check.limits.above(limit)?,
            ("maximum", Value::Number(limit)) => check.limits.at_most(limit)?,
            ("exclusiveMaximum", Value::Number(limit)) => check.limits.below(limit)?,
            ("minLength" | "maxLength", _) => {
                check.length =
                    Some((count(keywords, "minLength", 0)?, count(keywords, "maxLength", usize::MAX)?));
            }
            ("properties" | "required" | "additionalProperties", _) => {
                if check.object.is_none() {
                    check.object = Some(self.object(keywords, nested)?);
                }
            }
            ("items" | "minItems" | "maxItems", _) => {
                if check.array.is_none() {
                    let items = keywords
                        .get("items")
                        .map_or(Some(Additional::Anything), |items| self.member(items, nested))?;
                    let counts = (count(keywords, "minItems", 0)?, count(keywords, "maxItems", usize::MAX)?);
                    check.array = Some(Array { items, count: counts });
                }
            }
            ("anyOf", Value::Array(options)) => {
                check.any_of =
                    options.iter().map(|option| self.schema(option, nested + 1)).collect::<Option<_>>()?;
            }
            _ => return self.informs(key, nested).then_some(()),
        }
        Some(())
    }

    fn object(&mut self, keywords: &Map<String, Value>, nested: usize) -> Option<Object> {
        let mut properties = Vec::new();
        if let Some(all) = keywords.get("properties") {
            for (name, schema) in all.as_object()? {
                properties.push(Property::new(name, self.member(schema, nested)?));
            }
        }
        let additional = keywords
            .get("additionalProperties")
            .map_or(Some(Additional::Anything), |all| self.member(all, nested))?;
        let mut required = 0_u128;
        if let Some(names) = keywords.get("required") {
            for name in names.as_array()? {
                let name = name.as_str()?;
                let known = properties.iter().position(|property| *property.name == *name.as_bytes());
                let at = known.unwrap_or_else(|| {
                    properties.push(Property::new(name, additional));
                    properties.len() - 1
                });
                if at >= Object::PROPERTIES_MAX {
                    return None;
                }
                required |= 1 << at;
            }
        }
        Object::new(properties, required, additional)
    }

    fn member(&mut self, schema: &Value, nested: usize) -> Option<Additional> {
        match schema {
            Value::Bool(true) => Some(Additional::Anything),
            Value::Bool(false) => Some(Additional::Nothing),
            _ => self.schema(schema, nested + 1).map(Additional::Check),
        }
    }
}

fn anything() -> Check {
    Check {
        types: Types::ALL,
        limits: Limits::NONE,
        length: None,
        options: None,
        object: None,
        array: None,
        any_of: Vec::new(),
    }
}

fn types(value: &Value) -> Option<Types> {
    let one = |name: &Value| match name.as_str()? {
        "null" => Some(Types::NULL),
        "boolean" => Some(Types::BOOLEAN),
        "integer" => Some(Types::INTEGER),
        "number" => Some(Types::INTEGER | Types::FRACTION),
        "string" => Some(Types::STRING),
        "array" => Some(Types::ARRAY),
        "object" => Some(Types::OBJECT),
        _ => None,
    };
    match value {
        Value::Array(names) => names.iter().try_fold(0, |all, name| Some(all | one(name)?)).map(Types),
        name => one(name).map(Types),
    }
}

/// The values of `enum` or `const`; none when both are there, or when one is a fraction, object or array.
fn options(values: &[Value], others: Option<&Options>) -> Option<Options> {
    if others.is_some() {
        return None;
    }
    let mut options = Options::default();
    for value in values {
        match value {
            Value::Null => options.null = true,
            Value::Bool(truth) => options.truth[usize::from(*truth)] = true,
            Value::Number(number) => options.integers.push(number.as_i64()?),
            Value::String(string) => options.strings.push(string.as_bytes().into()),
            Value::Array(_) | Value::Object(_) => return None,
        }
    }
    Some(options)
}

fn count(keywords: &Map<String, Value>, key: &str, default: usize) -> Option<usize> {
    match keywords.get(key) {
        Some(value) => usize::try_from(value.as_u64()?).ok(),
        None => Some(default),
    }
}
