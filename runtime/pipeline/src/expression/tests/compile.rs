//! What is refused, where, and with which words.

use crate::column::{FieldPath, Projection};
use crate::expression::{Expected, Expression, Kernel};
use proptest::prelude::*;

#[track_caller]
fn refused(text: &str, position: usize, message: &str) {
    let error = Expression::compile(text).expect_err(text);
    assert_eq!((error.position, error.message.as_str()), (position, message), "{text}");
}

#[test]
fn names_that_are_not_known_are_corrected() {
    refused("evnt.x == 1", 0, "`evnt` is not known; did you mean `event`?");
    refused(
        "amount > 1",
        0,
        "`amount` is not known; a field of the record is `event.amount`; there are also `meta` and `now`",
    );
    refused(
        "event.x.startswith('a')",
        8,
        "there is no function `x.startswith(…)`; did you mean `x.startsWith(…)`?",
    );
    refused("1 == sise(event.x)", 5, "there is no function `sise(…)`; did you mean `size(…)`?");
    refused("event.a == 1 && lower(event.x)", 16, "there is no function `lower(…)`");
    refused(
        "meta.tpic",
        4,
        "`meta.tpic` is not known; there are `meta.topic`, `meta.partition`, `meta.offset`, `meta.timestamp`, `meta.key`, `meta.headers`, `meta.id`",
    );
    refused("meta.topic.x", 10, "a string has no field `x`");
    refused("event.a.map(event, 1)", 12, "`event` is taken; choose another name");
    refused("event.a.exists(x, y > 1)", 18, "`y` is not known; did you mean `x`?");
    refused(
        "event.a.exists(x, true) && x",
        27,
        "`x` is not known; a field of the record is `event.x`; there are also `meta` and `now`",
    );
}

#[test]
fn types_that_cannot_fit_are_refused() {
    refused(
        "'a' + 1",
        4,
        "`+` cannot take a string and an int: it adds numbers, joins strings or lists, and moves timestamps by durations",
    );
    refused("event.x && 1", 11, "`&&` needs bool, this is an int");
    refused("!'a'", 1, "`!` needs bool, this is a string");
    refused(
        "now > event.ts",
        4,
        "`>` cannot compare a timestamp with a JSON value; timestamp(…) reads one from a string",
    );
    refused(
        "event.ts.getHours()",
        0,
        "`getHours` needs timestamp or duration, this is a JSON value; timestamp(…) reads one from a string",
    );
    refused("meta.topic == 1", 11, "a string never equals an int");
    refused(
        "event.?x + 1",
        9,
        "`+` cannot take an optional and an int: it adds numbers, joins strings or lists, and moves timestamps by durations",
    );
    refused(
        "{'a': event.?x}",
        6,
        "an optional value needs `.orValue(…)`, or `?` before the key to leave it out",
    );
    refused("{'a': 1, 'a': 2}", 9, "this key is already in the map");
    refused("{'1': 1, 1: 2}", 9, "this key is already in the map");
    refused("size(1)", 5, "`size` needs string or list or map, this is an int");
    refused("event.x.substring()", 8, "`substring` takes 1 to 2 arguments, not 0");
    refused("event.x in 5", 11, "`in` needs list or map, this is an int");
}

#[test]
fn optional_values_do_not_mix_with_others() {
    let mixed = "both sides of `:` must be optional values, or neither; `.orValue(…)` gives a value";
    refused("event.b ? event.?x : 5", 8, mixed);
    let equal = "an optional value has no `==`; use `.orValue(…)`, `.hasValue()` or has(…)";
    refused("event.?x == 5", 9, equal);
    let inside = "an optional value needs `.orValue(…)`, or `?` before the key to leave it out";
    refused("event.?x.orValue(event.?y)", 17, inside);
    refused("optional.of(event.?y)", 12, inside);
    refused("event.?y in [1]", 0, inside);
}

#[test]
fn constants_are_computed_at_once() {
    refused("1 / 0", 2, "this divides by zero");
    refused("9223372036854775807 + 1", 20, "this overflows 64 bits");
    refused("duration('5 minutes')", 0, "`5 minutes` is not a duration such as `1h30m` or `1.5s`");
    refused("event.x.matches('(')", 8, "the pattern of `matches` is not valid: unclosed group");
    refused("event.x.matches(event.y)", 16, "the pattern of `matches` must be a string in quotes");
}

#[test]
fn syntax_errors_have_a_place() {
    refused("event.x ==", 10, "the expression ends too early");
    refused("", 0, "the expression ends too early");
    refused("event.x == 1 2", 13, "unexpected `2`");
    refused("event.x == 1 and event.y == 2", 13, "unexpected `and`; write `&&`");
    refused("event.x = 1", 8, "`=` is not part of an expression; values are compared with `==`");
    refused("'ü' + event.größe", 15, "`ö` is not part of an expression; strings stand in quotes");
    refused("1u + 2", 0, "unsigned numbers are not supported; leave the `u` out");
    refused("b'x'", 0, "bytes are not supported; leave the `b` out for a string");
    refused("Foo{a: 1}", 3, "`Foo{…}` is not supported; a map is written {'name': value}");
}

#[test]
fn a_place_wants_a_type() {
    let refused = |text, expected| Expression::compile_for(text, expected).expect_err(text).message;
    assert_eq!(
        refused("event.x + 'a'", Expected::Bool),
        "the expression gives a string, but true or false is needed here"
    );
    assert_eq!(
        refused("event.x == 1", Expected::Map),
        "the expression gives a bool, but a map such as {'id': event.id} is needed here"
    );
    for text in ["event.x", "event.x == 1", "event.x.exists(y, y)", "true"] {
        Expression::compile_for(text, Expected::Bool).unwrap();
    }
    for text in ["event.x", "{'a': 1}", "event.x ? {} : event.y"] {
        Expression::compile_for(text, Expected::Map).unwrap();
    }
}

#[test]
fn the_fields_are_those_that_are_read() {
    let fields = |text: &str| {
        let expression = Expression::compile(text).unwrap();
        expression.fields().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        fields("event.user.id == 1 && has(event.a) && event.user.id > 2"),
        ["event.user.id", "event.a"]
    );
    assert_eq!(fields("event.items[0].sku + event['x'].y"), ["event.items", "event.x.y"]);
    assert_eq!(fields("event.?a.b.orValue(event[?'c'].orValue(1))"), ["event.a.b", "event.c"]);
    assert_eq!(fields("event[event.k]"), ["event", "event.k"]);
    assert_eq!(fields("meta.topic == 'x' && now > meta.timestamp"), Vec::<String>::new());
}

#[test]
fn a_kernel_needs_its_columns() {
    let expression = Expression::compile("event.user.id == event.x").unwrap();
    let mut projection = Projection::default();
    projection.column(&FieldPath(vec!["user".into()]));
    let error = Kernel::bind(&expression, &projection).unwrap_err();
    assert_eq!(error.to_string(), "no column has `event.x`");
    projection.column(&FieldPath(vec!["x".into()]));
    Kernel::bind(&expression, &projection).unwrap();
}

#[test]
fn bounds_hold() {
    let long = format!("'{}'", "x".repeat(1023));
    assert_eq!(
        Expression::compile(&long).unwrap_err().message,
        "the expression has 1025 bytes, at most 1024 are allowed"
    );
    for (open, inner, close) in
        [("(", "1", ")"), ("[", "", "]"), ("{'a':", "1", "}"), ("!(", "true", ")"), ("size(", "'a'", ")")]
    {
        let deep = format!("{}{inner}{}", open.repeat(100), close.repeat(100));
        assert!(Expression::compile(&deep).unwrap_err().message.contains("nested"), "{deep}");
    }
    for long in [
        format!("1{}", "+1".repeat(500)),
        format!("event{}", ".a".repeat(500)),
        format!("event.a{}", "[0]".repeat(300)),
        "!".repeat(1000) + "true",
        "-".repeat(1000) + "1",
        format!("true{}", "||true".repeat(150)),
        format!("true{}", "?1:true".repeat(140)),
        "[".repeat(1024),
        "(".repeat(1024),
        "event.a.map(x,".repeat(70),
        "'".repeat(1024),
        "a?b:".repeat(256),
    ] {
        // Either is fine; a crash is not.
        let _ = Expression::compile(&long);
    }
    let many = format!("event.a{}", " + event.b".repeat(100));
    Expression::compile(&many).unwrap();
    assert!(Expression::compile("event.x.matches('(a{1000}){1000}')").is_err());
}

#[test]
fn expressions_are_equal_by_text_and_can_be_sent() {
    fn sendable<T: Send + Sync + Clone + std::fmt::Debug>(_: &T) {}
    let expression = Expression::compile("event.x == 1").unwrap();
    sendable(&expression);
    assert_eq!(expression, Expression::compile("event.x == 1").unwrap());
    assert_ne!(expression, Expression::compile("event.x==1").unwrap());
    assert_eq!(format!("{expression:?}"), r#"Expression("event.x == 1")"#);
    let kernel = Kernel::bind(&Expression::compile("now").unwrap(), &Projection::default()).unwrap();
    sendable(&kernel);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,60}") {
        let _ = Expression::compile(&text);
    }

    #[test]
    fn no_sequence_of_tokens_makes_it_panic(
        tokens in proptest::collection::vec(
            proptest::sample::select(vec![
                "event", "meta", "now", ".", "?", "[", "]", "(", ")", "{", "}", ":", ",", "+", "-", "*", "/", "%", "!", "&&",
                "||", "==", "<", "in", "has", "map", "exists", "x", "'a'", "1", "1.5", "null", "true", ".?", "[?", "orValue",
                "timestamp", "matches", "optional", "of", "'\\", "\"", "r'", "b'", "0x", "1u", "`", "//", "\n", "ü",
            ]),
            0..30,
        ),
    ) {
        let text = tokens.concat();
        if let Err(error) = Expression::compile(&text) {
            prop_assert!(text.is_char_boundary(error.position), "{} at {}", text, error.position);
        }
        let _ = Expression::compile(&tokens.join(" "));
    }
}
