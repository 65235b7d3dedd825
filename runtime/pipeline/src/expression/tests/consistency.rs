//! Generated expressions over all of the language: columns and rows agree, whatever the selection, and nothing panics.

use super::results;
use crate::expression::Expression;
use proptest::prelude::*;

fn one_of(texts: &'static [&'static str]) -> BoxedStrategy<String> {
    proptest::sample::select(texts).prop_map(str::to_owned).boxed()
}

/// Fields of all types, some of which are missing or something else in some rows.
fn leaf() -> BoxedStrategy<String> {
    one_of(&[
        "event.i",
        "event.d",
        "event.s",
        "event.u",
        "event.b",
        "event.n",
        "event.x",
        "event.l",
        "event.m",
        "event.m.a",
        "event.m.l[0]",
        "event.huge",
        "event.t",
        "event.?x",
        "event.?i",
        "event.?m.a",
        "event[?'x']",
        "has(event.x)",
        "has(event.m.a)",
        "now",
        "meta.offset",
        "meta.key",
        "meta.timestamp",
        "meta.topic",
        "meta.headers",
        "meta.headers.source",
        "meta.headers.?none",
        "0",
        "1",
        "-7",
        "2.5",
        "9223372036854775807",
        "'a'",
        "'ü'",
        "''",
        "true",
        "false",
        "null",
        "[1, 'a']",
        "{'a': 1}",
        "duration('90s')",
        "timestamp('2026-01-31T08:00:00Z')",
        "event",
    ])
}

fn expression() -> impl Strategy<Value = String> {
    leaf().prop_recursive(4, 24, 3, |inner| {
        let two = (inner.clone(), inner.clone());
        let operator = one_of(&["+", "-", "*", "/", "%", "<", "<=", ">", ">=", "==", "!=", "&&", "||", "in"]);
        let method = one_of(&[
            "size()",
            "lowerAscii()",
            "trim()",
            "getHours()",
            "getDayOfYear()",
            "hasValue()",
            "value()",
            "join('-')",
            "split('a')",
            "charAt(1)",
            "substring(1)",
            "matches('^[a-zü]')",
            "startsWith('a')",
            "contains('b')",
            "exists(q, q == 1)",
            "all(q, q > 0)",
            "map(q, q)",
            "filter(q, q != 'a')",
            "map(q, string(q))",
            "exists_one(q, q == 'a')",
            "orValue(3)",
            "or(event.?i)",
            "indexOf('b')",
            "replace('a', 'bb')",
        ]);
        let function = one_of(&[
            "string",
            "int",
            "double",
            "bool",
            "timestamp",
            "duration",
            "size",
            "dyn",
            "optional.of",
        ]);
        let argument =
            one_of(&["startsWith", "endsWith", "contains", "orValue", "indexOf", "charAt", "join", "split"]);
        prop_oneof![
            6 => (two.clone(), operator).prop_map(|((l, r), op)| format!("({l} {op} {r})")),
            2 => inner.clone().prop_map(|x| format!("!{x}")),
            1 => inner.clone().prop_map(|x| format!("(-{x})")),
            3 => (inner.clone(), method).prop_map(|(x, method)| format!("{x}.{method}")),
            2 => (inner.clone(), function).prop_map(|(x, function)| format!("{function}({x})")),
            1 => (two.clone(), argument).prop_map(|((l, r), f)| format!("{l}.{f}({r})")),
            1 => (two.clone(), inner.clone()).prop_map(|((l, r), c)| format!("({c} ? {l} : {r})")),
            1 => two.clone().prop_map(|(l, r)| format!("{l}[{r}]")),
            1 => two.clone().prop_map(|(l, r)| format!("{{'k': {l}, 'j': {r}, ?'o': event.?x}}")),
            1 => two.prop_map(|(l, r)| format!("[{l}, {r}]")),
        ]
    })
}

const RECORDS: [&str; 9] = [
    r#"{"i":1,"d":1.5,"s":"abc","u":"üb","b":true,"n":null,"x":3,"l":[1,2],"m":{"a":1,"l":["a"]},"huge":18446744073709551616,"t":"2026-11-21T08:00:00Z"}"#,
    r#"{"i":0,"d":0.0,"s":"","u":"ü","b":false,"n":null,"l":[],"m":{"a":"a","l":[]},"huge":1,"t":"no"}"#,
    r#"{"i":"1","d":1,"s":1,"u":null,"b":1,"x":"a","l":{"a":1},"m":[1],"huge":-18446744073709551616}"#,
    r#"{"i":-9223372036854775808,"d":-2.5,"s":"a\"b\\","u":"\u00fc","b":true,"x":[1],"l":["a","b"],"m":{}}"#,
    r#"{"i":9223372036854775807,"d":1e300,"s":"abc","b":false,"x":true,"l":[{"a":1},null],"m":{"a":null,"l":[2.5]}}"#,
    r#"{"x":null}"#,
    "{}",
    "[1]",
    r#"{"i":2.0,"d":2,"s":"b","u":"a","b":null,"n":1,"x":{"a":1},"l":[1.0,"1"],"m":{"a":true},"t":"2026-11-21T08:00:00.123456789+01:00"}"#,
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, max_global_rejects: 1_000_000, ..ProptestConfig::default() })]

    #[test]
    fn columns_and_rows_agree(text in expression()) {
        // Most of what is generated has types that cannot fit; what is refused has no meaning to compare.
        prop_assume!(Expression::compile(&text).is_ok());
        results(&text, &RECORDS);
    }
}
