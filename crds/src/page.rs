//! The reference page of all kinds, from the same schemas that the API server gets: what it says is what is checked.

use crate::definition::{Column, Definition, DefinitionError, all};
use crate::{GROUP, VERSION};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use std::collections::BTreeMap;

const HEAD: &str = "<!-- Generated from crds/src by `make generate`; do not edit. -->
# The kinds, field by field

`kubectl explain streampipeline.spec` says the same. A field in **bold** has to be given where the block around it is.
`[]` stands for the items of a list, `{}` for the values of a map. What is used for a field that is not given stands in
its description, and all of it in [defaults](defaults.md). A duration is a text such as `250ms`, `30s` or `1h30m`.
";

/// The page as Markdown.
pub fn page() -> Result<String, DefinitionError> {
    let mut text = HEAD.to_owned();
    for definition in all() {
        text.push_str(&kind(definition)?);
    }
    Ok(text)
}

fn kind(definition: &Definition) -> Result<String, DefinitionError> {
    let Definition { kind, plural, short_name, description, columns, rules, .. } = definition;
    let root = definition.root()?;
    let mut text = format!(
        "\n## {kind}\n\n{description}\n\n`apiVersion: {GROUP}/{VERSION}`; on the command line `{plural}` or `{short_name}`.\n"
    );
    for rule in *rules {
        text.push_str(&format!("\n- {}", rule.message));
    }
    if !rules.is_empty() {
        text.push('\n');
    }
    for part in ["spec", "status"] {
        let schema = root.properties.as_ref().and_then(|properties| properties.get(part));
        let mut rows = Vec::new();
        if let Some(schema) = schema {
            fields(schema, part, &mut rows);
        }
        text.push_str(&format!("\n### {kind}.{part}\n\n"));
        text.push_str("| field | type | bounds | what it means |\n|---|---|---|---|\n");
        text.push_str(&rows.concat());
    }
    text.push_str(&format!("\n### Columns of {kind}\n\n| column | value | shown |\n|---|---|---|\n"));
    text.extend(columns.iter().map(column));
    Ok(text)
}

fn column(column: &Column) -> String {
    let shown = if column.priority == 0 { "always" } else { "with `-o wide`" };
    format!("| {} | `{}` | {shown} |\n", column.name.to_uppercase(), column.path)
}

/// A row for each field below `schema`, and the rules of the blocks.
fn fields(schema: &JSONSchemaProps, path: &str, rows: &mut Vec<String>) {
    let nothing = BTreeMap::new();
    let required = schema.required.as_deref().unwrap_or_default();
    for (name, field) in schema.properties.as_ref().unwrap_or(&nothing) {
        let path = format!("{path}.{name}");
        let shown = if required.contains(name) { format!("**`{path}`**") } else { format!("`{path}`") };
        let mut meaning = vec![field.description.clone().unwrap_or_default()];
        let rules = field.x_kubernetes_validations.iter().flatten();
        meaning.extend(
            rules.filter_map(|rule| rule.message.as_ref().map(|message| format!("Rule: {message}."))),
        );
        rows.push(format!(
            "| {shown} | {} | {} | {} |\n",
            type_of(field),
            bounds(field),
            cell(&meaning.join(" "))
        ));
        inside(field, &path, rows);
    }
}

/// The fields of a block, of the items of a list, of the values of a map.
fn inside(field: &JSONSchemaProps, path: &str, rows: &mut Vec<String>) {
    fields(field, path, rows);
    if let Some(items) = items(field) {
        inside(items, &format!("{path}[]"), rows);
    }
    if let Some(values) = values(field) {
        inside(values, &format!("{path}{{}}"), rows);
    }
}

fn items(field: &JSONSchemaProps) -> Option<&JSONSchemaProps> {
    match field.items.as_ref()? {
        JSONSchemaPropsOrArray::Schema(schema) => Some(schema),
        JSONSchemaPropsOrArray::Schemas(_) => None,
    }
}

fn values(field: &JSONSchemaProps) -> Option<&JSONSchemaProps> {
    match field.additional_properties.as_ref()? {
        JSONSchemaPropsOrBool::Schema(schema) => Some(schema),
        JSONSchemaPropsOrBool::Bool(_) => None,
    }
}

fn type_of(field: &JSONSchemaProps) -> String {
    if is_duration(field) {
        return "duration".to_owned();
    }
    if let Some(items) = items(field) {
        return format!("list of {}", type_of(items));
    }
    if let Some(values) = values(field) {
        return format!("map of {}", type_of(values));
    }
    if let Some(words) = &field.enum_ {
        return words
            .iter()
            .map(|word| format!("`{}`", word.0.as_str().unwrap_or("?")))
            .collect::<Vec<_>>()
            .join(" or ");
    }
    match (field.type_.as_deref(), field.format.as_deref()) {
        (_, Some("date-time")) => "time".to_owned(),
        (Some("object"), _) => "block".to_owned(),
        (Some(other), _) => other.to_owned(),
        (None, _) => "any".to_owned(),
    }
}

/// Texts such as `1h30m`; the pattern that all of them share says nothing to a reader.
fn is_duration(field: &JSONSchemaProps) -> bool {
    field.pattern.as_ref().is_some_and(|pattern| pattern.starts_with("^([0-9]+d)?([0-9]+h)?"))
}

/// What the API server checks of one value, and of each item or value inside it.
fn bounds(field: &JSONSchemaProps) -> String {
    if is_duration(field) {
        return String::new();
    }
    let mut parts = Vec::new();
    let mut range = |from: Option<String>, to: Option<String>, unit: &str| match (from, to) {
        (Some(from), Some(to)) => parts.push(format!("{from}–{to}{unit}")),
        (Some(from), None) => parts.push(format!("≥ {from}{unit}")),
        (None, Some(to)) => parts.push(format!("≤ {to}{unit}")),
        (None, None) => {}
    };
    let number = |bound: Option<f64>| bound.map(|bound| bound.to_string());
    let count = |bound: Option<i64>| bound.map(|bound| bound.to_string());
    range(number(field.minimum), number(field.maximum), "");
    range(count(field.min_length), count(field.max_length), " characters");
    range(count(field.min_items), count(field.max_items), " items");
    range(count(field.min_properties), count(field.max_properties), " entries");
    parts.extend(field.pattern.as_ref().map(|pattern| format!("`{}`", cell(pattern))));
    parts.extend(field.default.as_ref().map(|default| format!("default `{}`", default.0)));
    for inner in [items(field), values(field)].into_iter().flatten() {
        let inner = bounds(inner);
        if !inner.is_empty() {
            parts.push(format!("each {inner}"));
        }
    }
    parts.join(", ")
}

/// Text that neither ends a cell nor a row.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace("\n\n", "<br>").replace('\n', " ")
}
