use super::*;

fn violation(schema: &str, value: &str) -> String {
    match Schema::compile(schema).unwrap().validate(value.as_bytes()) {
        Ok(()) => "valid".to_owned(),
        Err(violation) => format!("`{}`: {}", violation.path, violation.message),
    }
}

#[test]
fn violations_say_where_and_what() {
    let schema = r#"{
        "type": "object",
        "properties": {
            "id": {"type": "integer", "minimum": 1}, "kind": {"enum": ["a", "b"]}, "name": {"maxLength": 3},
            "tags": {"items": {"type": "string"}}, "u": {"properties": {"x": {"const": 5}}}
        },
        "required": ["id"], "additionalProperties": false
    }"#;
    let values = [
        r#"{"id":1,"kind":"a","name":"é€x","tags":["x"],"u":{"x":5.0}}"#,
        r#"{"id":1.0}"#,
        r#"{"id":1.5}"#,
        r#"{"id":0}"#,
        r#"{"id":"1"}"#,
        "{}",
        "[]",
        r#"{"id":1,"kind":"c"}"#,
        r#"{"id":1,"name":"abcd"}"#,
        r#"{"id":1,"tags":["a",1]}"#,
        r#"{"id":1,"u":{"x":6}}"#,
        r#"{"id":1,"more":6}"#,
        r#"{"id":1"#,
    ];
    insta::assert_snapshot!(values.map(|value| violation(schema, value)).join("\n"), @r#"
    valid
    valid
    `/id`: the value is not of type "integer"
    `/id`: the value is less than the minimum of 1
    `/id`: the value is not of type "integer"
    ``: "id" is a required property
    ``: the value is not of type "object"
    `/kind`: the value is not one of "a" or "b"
    `/name`: the value is longer than 3 characters
    `/tags/1`: the value is not of type "string"
    `/u/x`: 5 was expected
    ``: property `more` is not allowed
    ``: the value is not JSON
    "#);
}

#[test]
fn a_violation_holds_little_of_the_value() {
    let secret = "S".repeat(10_000);
    let schemas = [
        r#"{"additionalProperties": false}"#,
        r#"{"additionalProperties": {"type": "integer"}}"#,
        r#"{"additionalProperties": {"additionalProperties": false}}"#,
        r#"{"additionalProperties": {"maxLength": 5}}"#,
        r#"{"additionalProperties": {"enum": [1]}}"#,
        r#"{"additionalProperties": {"pattern": "^x"}}"#,
        r#"{"additionalProperties": {"not": {}}}"#,
        r#"{"propertyNames": {"maxLength": 5}}"#,
        r#"{"propertyNames": {"pattern": "^x"}}"#,
        r#"{"unevaluatedProperties": false}"#,
        r#"{"additionalProperties": {"uniqueItems": true, "unevaluatedItems": false}}"#,
        r#"{"additionalProperties": {"anyOf": [{"type": "null"}]}}"#,
        r#"{"additionalProperties": {"oneOf": [{"type": "null"}]}}"#,
        r#"{"additionalProperties": false, "minProperties": 7, "type": "array"}"#,
        r#"{"maxProperties": 0}"#,
        r#"{"dependentRequired": {"a": ["b"]}, "required": ["zz"]}"#,
        r#"{"$schema": "http://json-schema.org/draft-07/schema#",
            "additionalProperties": {"contentEncoding": "base64", "contentMediaType": "application/json", "format": "email"}}"#,
    ];
    let values = [
        format!(r#"{{"{secret}":"{secret}"}}"#),
        format!(r#"{{"{secret}":["{secret}","{secret}"]}}"#),
        format!(r#"{{"{secret}":{{"{secret}":1}}}}"#),
        format!(r#"{{"{secret}":"//79"}}"#),
    ];
    let mut violations = 0;
    for schema in schemas {
        let schema = Schema::compile(schema).unwrap();
        for value in &values {
            if let Err(violation) = schema.validate(value.as_bytes()) {
                violations += 1;
                let shown = violation.to_string();
                assert!(shown.matches('S').count() <= 100, "{shown}");
                assert!(shown.len() < 500, "{shown}");
            }
        }
    }
    assert!(violations > 40, "{violations}");
}

#[test]
fn a_schema_that_cannot_be_used_is_refused() {
    let refused = |text: &str| {
        let error = Schema::compile(text).unwrap_err();
        match std::error::Error::source(&error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        }
    };
    insta::assert_snapshot!(
        [
            "{", r#"{"type": "strin"}"#, r#"{"properties": {"a": {"minimum": "1"}}}"#, "3",
            r#"{"$ref": "https://example.com/other.json"}"#, r#"{"$ref": "file:///etc/passwd"}"#, r##"{"$ref": "#/$defs/none"}"##,
            r#"{"pattern": "(?=a)"}"#, r#"{"pattern": "("}"#, r#"{"$schema": "https://example.com/none"}"#,
        ]
        .map(refused)
        .join("\n"),
        @r#"
    failed to read the schema as JSON: EOF while parsing an object at line 1 column 1
    failed to compile the schema at `/type`: "strin" is not valid under any of the schemas listed in the 'anyOf' keyword
    failed to compile the schema at `/properties/a/minimum`: "1" is not of type "number"
    failed to compile the schema at ``: 3 is not of types "boolean", "object"
    failed to compile the schema at ``: Resource 'https://example.com/other.json' is not present in a registry and retrieving it failed: Retrieval is disabled, cannot fetch https://example.com/other.json
    failed to compile the schema at ``: Resource 'file:///etc/passwd' is not present in a registry and retrieving it failed: Retrieval is disabled, cannot fetch file:///etc/passwd
    failed to compile the schema at ``: Pointer '/$defs/none' does not exist
    failed to compile the schema at `/pattern`: "(?=a)" is not a "regex"
    failed to compile the schema at `/pattern`: "(" is not a "regex"
    failed to compile the schema at ``: Unknown meta-schema: 'https://example.com/none'. Custom meta-schemas must be registered in the registry before use
    "#
    );
}

#[test]
fn a_pattern_takes_linear_time() {
    let schema = Schema::compile(r#"{"pattern": "^(a+)+$"}"#).unwrap();
    let value = format!("\"{}b\"", "a".repeat(100_000));
    assert!(schema.validate(value.as_bytes()).is_err());
}

#[test]
fn a_schema_is_shared_between_threads() {
    fn shared<T: Clone + std::fmt::Debug + Send + Sync>() {}
    shared::<Schema>();
}
