//! The YAML beside this folder is what the types say, small enough for client-side apply, and says what every field
//! means.

use crds::Definition;
use serde_json::Value;

/// Client-side `kubectl apply` keeps the object in an annotation of at most 262 144 bytes; half of it is our bound.
const BYTES_MAX: usize = 150_000;

fn json(definition: &Definition) -> Value {
    serde_json::to_value(definition.resource().expect("a definition")).expect("encodes")
}

/// Calls `visit` with the path, the name and the schema of every field below `schema`.
fn fields(schema: &Value, path: &str, visit: &mut impl FnMut(&str, &str, &Value)) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        visit(&path, name, field);
        fields(field, &path, visit);
    }
    for inner in ["items", "additionalProperties"] {
        if schema[inner].is_object() {
            fields(&schema[inner], &format!("{path}[]"), visit);
        }
    }
}

fn schema(definition: &Definition) -> Value {
    json(definition)["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

#[test]
fn the_yaml_files_are_fresh() {
    for definition in crds::all() {
        for folder in [".", "../charts/weir/files/crds", "../config/crd"] {
            let path = format!("{}/{folder}/{}.yaml", env!("CARGO_MANIFEST_DIR"), definition.plural);
            let found = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(found == crds::yaml(definition).expect("yaml"), "{path} is stale: run `make generate`");
        }
    }
}

#[test]
fn the_reference_page_is_fresh() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/crds.md");
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert!(found == crds::page::page().expect("page"), "{path} is stale: run `make generate`");
}

#[test]
fn client_side_apply_can_hold_every_definition() {
    for definition in crds::all() {
        let size = json(definition).to_string().len();
        println!("{}: {size} bytes of compact JSON", definition.kind);
        assert!(size < BYTES_MAX, "{} has {size} bytes", definition.kind);
    }
}

#[test]
fn every_field_is_described_in_other_words_than_its_name() {
    for definition in crds::all() {
        let (mut count, mut bad) = (0, Vec::new());
        fields(&schema(definition), definition.kind, &mut |path, name, field| {
            count += 1;
            // The API server describes `metadata` itself and ignores what a definition says about it.
            if path != format!("{}.metadata", definition.kind)
                && !says_more_than(name, field["description"].as_str())
            {
                bad.push(format!("{path}: {}", field["description"]));
            }
        });
        println!("{}: {count} fields", definition.kind);
        assert!(count > 30 && bad.is_empty(), "{} of {count} fields:\n{}", bad.len(), bad.join("\n"));
    }
}

/// True when at least three words are left without the words of the name and without words that say nothing.
fn says_more_than(name: &str, description: Option<&str>) -> bool {
    let mut spaced = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            spaced.push(' ');
        }
        spaced.push(c.to_ascii_lowercase());
    }
    let empty = ["the", "a", "an", "of", "this", "is", "field", "value", "for", "to", "its"];
    let text = description.unwrap_or_default().to_lowercase();
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.filter(|word| !empty.contains(word) && !spaced.split(' ').any(|part| part == *word)).count() >= 3
}

#[test]
fn no_field_is_unbounded_unknown_or_defaulted_below_spec() {
    for definition in crds::all() {
        let mut bad = Vec::new();
        fields(&schema(definition)["properties"]["spec"], "spec", &mut |path, _, field| {
            let unbounded = match field["type"].as_str() {
                Some("string") => field["maxLength"].is_null() && field["enum"].is_null(),
                Some("array") => field["maxItems"].is_null(),
                Some("object") => {
                    !field["additionalProperties"].is_null() && field["maxProperties"].is_null()
                }
                Some("integer" | "boolean") => false,
                _ => field["x-kubernetes-int-or-string"] != true,
            };
            if unbounded
                || !field["default"].is_null()
                || !field["nullable"].is_null()
                || field["type"] == "number"
            {
                bad.push(format!("{path}: {field}"));
            }
        });
        assert!(bad.is_empty(), "{}", bad.join("\n"));
    }
}

#[test]
fn a_status_that_nobody_wrote_has_seen_nothing() {
    for definition in crds::all() {
        assert_eq!(
            schema(definition)["properties"]["status"]["default"],
            serde_json::json!({"observedGeneration": -1})
        );
    }
}

#[test]
fn columns_read_fields_that_exist() {
    for definition in crds::all() {
        let schema = schema(definition);
        for column in definition.columns.iter().filter(|column| column.path.starts_with(".status")) {
            let first = column.path[".status.".len()..].split(['.', '[']).next().expect("a field");
            assert!(schema["properties"]["status"]["properties"][first].is_object(), "{}", column.path);
        }
    }
}

#[test]
fn an_object_without_status_can_be_read() {
    let text = r#"{"apiVersion":"weir.dev/v1alpha1","kind":"StreamWindow","metadata":{"name":"w"},
        "spec":{"keyBy":["user_id"],"tumbling":{"size":"5m"},"aggregates":[{"name":"clicks","function":"Count"}]}}"#;
    let window: crds::StreamWindow = serde_json::from_str(text).expect("decodes");
    assert_eq!((window.spec.key_by.len(), window.status), (1, None));
}
