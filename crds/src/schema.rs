//! From a Rust type to a schema that the API server accepts ("structural"), with the field docs as descriptions.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps;
use kube::core::schema::StructuralSchemaRewriter;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use schemars::transform::{AddNullable, Transform, transform_subschemas};
use serde_json::{Map, Value};

/// Formats that the API server knows; it warns about every other.
const FORMATS: [&str; 3] = ["int32", "int64", "date-time"];

/// The schema could not be made; a mistake in the types, which the test of freshness finds.
#[derive(Debug, thiserror::Error)]
#[error("the schema of {kind} is not one of a custom resource")]
pub struct SchemaError {
    /// Name of the type.
    kind: String,
    #[source]
    source: serde_json::Error,
}

/// The structural schema of a type.
pub(crate) fn structural<T: JsonSchema>() -> Result<JSONSchemaProps, SchemaError> {
    let generator = SchemaSettings::openapi3()
        .with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = None;
        })
        .with_transform(AddNullable::default())
        .with_transform(StructuralSchemaRewriter)
        .with_transform(Structural)
        .into_generator();
    let mut schema = generator.into_root_schema_for::<T>().to_value();
    if let Some(root) = schema.as_object_mut() {
        root.remove("title");
    }
    serde_json::from_value(schema)
        .map_err(|source| SchemaError { kind: T::schema_name().into_owned(), source })
}

/// What is left to do on every level:
/// - an optional block is the block itself, described by the field that holds it and not by its type;
/// - null is the same as absent for the API server as long as nothing is `nullable`;
/// - formats that the API server does not know go;
/// - lines of a description that only the width of the source has broken are joined.
#[derive(Clone, Debug)]
struct Structural;

impl Transform for Structural {
    fn transform(&mut self, schema: &mut schemars::Schema) {
        transform_subschemas(self, schema);
        let Some(object) = schema.as_object_mut() else { return };
        if let Some(block) = optional_block(object) {
            object.remove("anyOf");
            for (key, value) in block {
                object.entry(key).or_insert(value);
            }
        }
        object.remove("nullable");
        object.remove("title");
        if object.get("additionalProperties") == Some(&Value::Bool(false)) {
            object.remove("additionalProperties");
        }
        if let Some(Value::String(description)) = object.get_mut("description") {
            let paragraphs = description.split("\n\n").map(|paragraph| paragraph.replace('\n', " "));
            *description = paragraphs.collect::<Vec<_>>().join("\n\n");
        }
        if object.get("format").and_then(Value::as_str).is_some_and(|format| !FORMATS.contains(&format)) {
            object.remove("format");
        }
    }
}

/// `anyOf: [block, null]`, the way in which an `Option` of a struct or an enum is written.
fn optional_block(object: &Map<String, Value>) -> Option<Map<String, Value>> {
    match object.get("anyOf")?.as_array()?.as_slice() {
        [block, null] if null.get("enum") == Some(&Value::Array(vec![Value::Null])) => {
            block.as_object().cloned()
        }
        _ => None,
    }
}
