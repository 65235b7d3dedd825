use super::{pipeline_schema, scaling_schema, window_schema};
use serde_json::Value;

/// Calls `visit` with every schema of a field, entry or value, and its path.
fn each(schema: &Value, path: &str, visit: &mut impl FnMut(&str, &Value)) {
    let schema_of = super::without_null(schema);
    visit(path, schema);
    for (name, field) in schema_of.get("properties").and_then(Value::as_object).into_iter().flatten() {
        each(field, &format!("{path}.{name}"), visit);
    }
    if let Some(items) = schema_of.get("items") {
        each(items, &format!("{path}[]"), visit);
    }
    if let Some(values) = schema_of.get("additionalProperties").filter(|values| values.is_object()) {
        each(values, &format!("{path}{{}}"), visit);
    }
}

fn all(visit: &mut impl FnMut(&str, &Value)) {
    each(pipeline_schema(), "StreamPipeline", visit);
    each(window_schema(), "StreamWindow", visit);
    each(scaling_schema(), "ScalingPolicy", visit);
}

#[test]
fn every_field_is_described_by_more_than_its_name() {
    let mut fields = 0;
    all(&mut |path, schema| {
        if path.ends_with("[]") || path.ends_with("{}") {
            return;
        }
        fields += 1;
        let description = schema.get("description").and_then(Value::as_str).unwrap_or_default();
        assert!(description.len() >= 25, "{path}: {description:?}");
    });
    assert!(fields > 80, "only {fields} fields were looked at");
}

#[test]
fn every_text_list_and_map_is_bounded() {
    all(&mut |path, schema| {
        let schema = super::without_null(schema);
        let has = |name: &str| schema.get(name).is_some();
        match super::type_of_schema(schema) {
            "string" => assert!(has("maxLength") || !super::constants(schema).is_empty(), "{path}: {schema}"),
            "array" => {
                assert!(has("maxItems"), "{path}: {schema}");
                assert!(has("x-kubernetes-list-type"), "{path}: {schema}");
            }
            "object"
                if !has("properties") && schema.get("additionalProperties") != Some(&Value::Bool(false)) =>
            {
                assert!(has("maxProperties"), "{path}: {schema}");
            }
            _ => {}
        }
    });
}

#[test]
fn no_field_has_a_default_that_an_api_server_would_write_into_the_object() {
    all(&mut |path, schema| assert!(schema.get("default").is_none(), "{path}: {schema}"));
}

#[test]
fn lists_of_named_things_are_maps_by_name() {
    all(&mut |path, schema| {
        let schema = super::without_null(schema);
        let named = schema.pointer("/items/properties/name").is_some();
        if named {
            assert_eq!(schema.get("x-kubernetes-list-type"), Some(&Value::from("map")), "{path}");
        }
    });
}
