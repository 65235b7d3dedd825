use super::*;
use crate::record::NewRecord;

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

/// Whether the fast checks know the schema, and whether they and the general validator find the value valid.
fn verdicts(schema: &str, value: &[u8]) -> (Option<bool>, bool) {
    let schema = Schema::compile(schema).unwrap();
    // The bytes around a value in a batch are not looked at, and what was seen before changes nothing.
    let mut batch = RecordBatch::new();
    for value in [&b"{\"c\":1,\"b\":2,\"id\":1}"[..], value, b"\"}],1", value] {
        batch.push(NewRecord { value: Some(value), ..NewRecord::default() });
    }
    let fast =
        schema.compiled.fast.as_ref().map(|checks| checks.surely_valid(Text::new(value, value.len()), 0));
    for row in 0..batch.len() {
        let valid = schema.validate_row(&batch, row).is_ok();
        assert_eq!(valid, schema.validate(batch.value(row).unwrap()).is_ok());
    }
    let general = serde_json::from_slice(value).is_ok_and(|value| schema.compiled.general.is_valid(&value));
    assert_eq!(schema.validate(value).is_ok(), general);
    (fast, general)
}

#[test]
fn common_schemas_are_checked_without_a_tree() {
    let order = r##"{
        "$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "https://example.com/order", "title": "Order",
        "type": "object",
        "$defs": {"money": {"type": "number", "minimum": 0, "exclusiveMaximum": 1e6}},
        "properties": {
            "id": {"type": "integer", "minimum": 1}, "kind": {"type": "string", "enum": ["buy", "sell"]},
            "price": {"$ref": "#/$defs/money"}, "note": {"anyOf": [{"type": "string", "maxLength": 5}, {"type": "null"}]},
            "time": {"type": "string", "format": "date-time"}, "lines": {"type": "array", "minItems": 1, "items": {
                "type": "object", "properties": {"sku": {"type": "string"}, "gone": false}, "required": ["sku", "n"],
                "additionalProperties": {"type": ["integer", "null"]}
            }},
            "currency": {"const": "EUR"}, "paid": {"type": "boolean"}
        },
        "required": ["id", "kind"], "additionalProperties": false, "x-owner": "shop"
    }"##;
    let valid = [
        r#"{"id":1,"kind":"buy"}"#,
        r#" { "kind" : "sell" , "id" : 12.0 , "price" : 0.5 , "note" : null , "paid" : true } "#,
        r#"{"id":9223372036854775807,"kind":"buy","price":999999,"note":"äöüßé","currency":"EUR"}"#,
        r#"{"id":1,"kind":"buy","lines":[{"sku":"a","n":1},{"n":null,"sku":"b\n","m":2}],"time":"now"}"#,
    ];
    for value in valid {
        assert_eq!(verdicts(order, value.as_bytes()), (Some(true), true), "{value}");
    }
    let invalid = [
        r#"{"id":0,"kind":"buy"}"#,
        r#"{"id":1.5,"kind":"buy"}"#,
        r#"{"id":1}"#,
        r#"{"id":1,"kind":"by"}"#,
        "{}",
        "[]",
        "",
        r#"{"id":1,"kind":"buy","price":1e6}"#,
        r#"{"id":1,"kind":"buy","price":-0.1}"#,
        r#"{"id":1,"kind":"buy","note":"äöüßéx"}"#,
        r#"{"id":1,"kind":"buy","lines":[]}"#,
        r#"{"id":1,"kind":"buy","lines":[{"sku":"a"}]}"#,
        r#"{"id":1,"kind":"buy","x":1}"#,
        r#"{"id":1,"kind":"buy","lines":[{"sku":"a","n":1,"gone":1}]}"#,
        r#"{"id":1,"kind":"buy","id":0}"#,
        r#"{"id":1,"kind":"buy","paid":0}"#,
        r#"{"id":1,"kind":"buy"} x"#,
        r#"{"id":1,"kind":"buy""#,
        r#"{"id":1,"kind":"buy",}"#,
        r#"{"id":1,"kind":"buy","lines":[{"sku":"a","n":1.5}]}"#,
        r#"{"id":1,"kind":"buy","time":"\ud800"}"#,
    ];
    for value in invalid {
        assert_eq!(verdicts(order, value.as_bytes()), (Some(false), false), "{value}");
    }
    // Valid, but for the general validator to say.
    for value in [
        r#"{"id":0,"kind":"buy","id":1}"#,
        r#"{"id":1,"kind":"b\u0075y"}"#,
        r#"{"id":10000000000000000000,"kind":"buy"}"#,
    ] {
        assert_eq!(verdicts(order, value.as_bytes()), (Some(false), true), "{value}");
    }
}

#[test]
fn schemas_with_other_keywords_are_left_to_the_general_validator() {
    for schema in [
        r#"{"pattern": "a"}"#,
        r#"{"properties": {"a": {"not": {}}}}"#,
        r#"{"multipleOf": 2}"#,
        r#"{"enum": [1.5]}"#,
        r#"{"const": {}}"#,
        r#"{"minimum": 9007199254740993}"#,
        r#"{"prefixItems": [true], "items": false}"#,
        r#"{"$schema": "http://json-schema.org/draft-07/schema#", "format": "email"}"#,
        r#"{"$schema": "http://json-schema.org/draft-04/schema#", "type": "integer"}"#,
        r##"{"properties": {"next": {"$ref": "#"}}}"##,
        r##"{"$ref": "#/$defs/a", "type": "string", "$defs": {"a": {}}}"##,
    ] {
        assert_eq!(verdicts(schema, b"1").0, None, "{schema}");
    }
}

#[test]
fn deep_values_do_not_overflow_the_stack() {
    for schema in ["{}", r#"{"items": {"items": {}}}"#, r#"{"items": {"not": {"type": "null"}}}"#] {
        for depth in [127, 128, 10_000] {
            let value = "[".repeat(depth) + &"]".repeat(depth);
            let (fast, general) = verdicts(schema, value.as_bytes());
            assert_eq!(general, depth < 128);
            assert!(fast.is_none_or(|fast| fast == general));
        }
    }
}

mod differential {
    use super::verdicts;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn scalar() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(json!(null)),
            any::<bool>().prop_map(Value::from),
            (-3_i64..12).prop_map(Value::from),
            prop::sample::select(vec![0.0, -0.0, 1.0, 1.5, 2.5, -1.5, 1e15, 9e15, 1e300])
                .prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            prop::sample::select(vec!["", "a", "bb", "é", "ccc", "a\"b", "dddd", "\u{1f600}"])
                .prop_map(Value::from),
        ]
    }

    fn key() -> impl Strategy<Value = String> {
        prop::sample::select(vec!["a", "b", "c", "d", "é"]).prop_map(String::from)
    }

    fn value() -> impl Strategy<Value = Value> {
        scalar().prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                3 => prop::collection::btree_map(key(), inner.clone(), 0..4).prop_map(|all| json!(all)),
                1 => prop::collection::vec(inner, 0..4).prop_map(Value::from),
            ]
        })
    }

    fn limit() -> impl Strategy<Value = Value> {
        prop_oneof![
            (-3_i64..12).prop_map(Value::from),
            prop::sample::select(vec![0.5, 1.0, 1.5, -0.5, 1e15]).prop_map(Value::from)
        ]
    }

    fn keyword(
        inner: impl Strategy<Value = Value> + Clone + 'static,
    ) -> impl Strategy<Value = (String, Value)> {
        let kind =
            prop::sample::select(vec!["null", "boolean", "integer", "number", "string", "array", "object"]);
        let count = 0_u64..4;
        prop_oneof![
            3 => kind.clone().prop_map(|name| ("type".into(), json!(name))),
            2 => prop::collection::btree_set(kind, 1..7).prop_map(|names| ("type".into(), json!(names))),
            3 => (prop::sample::select(vec!["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"]), limit())
                .prop_map(|(name, limit)| (name.into(), limit)),
            2 => (prop::sample::select(vec!["minLength", "maxLength", "minItems", "maxItems"]), count)
                .prop_map(|(name, count)| (name.into(), json!(count))),
            1 => prop::collection::vec(scalar(), 1..4).prop_map(|options| ("enum".into(), json!(options))),
            1 => scalar().prop_map(|option| ("const".into(), option)),
            4 => prop::collection::btree_map(key(), inner.clone(), 0..4).prop_map(|all| ("properties".into(), json!(all))),
            2 => prop::collection::btree_set(key(), 0..3).prop_map(|names| ("required".into(), json!(names))),
            2 => inner.clone().prop_map(|schema| ("additionalProperties".into(), schema)),
            2 => inner.clone().prop_map(|schema| ("items".into(), schema)),
            1 => prop::collection::vec(inner, 1..3).prop_map(|all| ("anyOf".into(), json!(all))),
            1 => Just(("$ref".into(), json!("#/$defs/x"))),
        ]
    }

    fn schema() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![Just(json!(true)), Just(json!(false)), Just(json!({}))];
        let any = leaf.prop_recursive(3, 24, 4, |inner| {
            prop::collection::vec(keyword(inner), 0..4)
                .prop_map(|keywords| json!(keywords.into_iter().collect::<serde_json::Map<_, _>>()))
        });
        let draft = prop::sample::select(vec![
            None,
            Some("https://json-schema.org/draft/2020-12/schema"),
            Some("https://json-schema.org/draft/2019-09/schema"),
            Some("http://json-schema.org/draft-07/schema#"),
            Some("http://json-schema.org/draft-06/schema"),
            Some("http://json-schema.org/draft-04/schema#"),
        ]);
        (any.clone(), any, draft).prop_map(|(schema, definition, draft)| {
            let mut schema = match schema {
                Value::Object(keywords) => Value::Object(keywords),
                other => json!({"anyOf": [other]}),
            };
            schema["$defs"] = json!({"x": definition});
            if let Some(draft) = draft {
                schema["$schema"] = json!(draft);
            }
            schema.to_string()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 3_000, max_global_rejects: 100_000, ..ProptestConfig::default() })]

        #[test]
        fn what_is_surely_valid_is_valid(schema in schema(), values in prop::collection::vec(value(), 1..20), damage in any::<(prop::sample::Index, u8)>()) {
            // Not every draft takes every keyword, and a definition may refer to itself.
            prop_assume!(super::Schema::compile(&schema).is_ok());
            for value in values {
                let mut text = value.to_string().into_bytes();
                let (fast, general) = verdicts(&schema, &text);
                prop_assert!(fast != Some(true) || general, "{schema} {value}");
                // The other way round only values that need a second look are given to the general validator.
                let unusual = value.to_string().contains(['\\', '.', '-']) || value.to_string().len() > 300
                    || value.to_string().split(|c: char| !c.is_ascii_digit()).any(|digits| digits.len() > 15);
                prop_assert!(fast != Some(false) || !general || unusual, "{schema} {value}");
                let at = damage.0.index(text.len());
                text[at] = damage.1;
                let (fast, general) = verdicts(&schema, &text);
                prop_assert!(fast != Some(true) || general, "{schema} {:?}", String::from_utf8_lossy(&text));
            }
        }
    }
}
