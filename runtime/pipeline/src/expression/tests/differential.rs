//! Generated expressions on generated records, against the interpreter of the `cel` crate, where we mean the same.
//!
//! Left out on purpose, because we decided otherwise: ints mixed with doubles in arithmetic, division of doubles by
//! zero, `has` below a missing field, comparisons that can never hold (we refuse them).

use super::results;
use cel::objects::{Key, Map};
use cel::{Env, Value};
use proptest::prelude::*;
use std::collections::HashMap;
use std::sync::Arc;

/// A JSON value of the kinds that both sides read alike.
#[derive(Clone, Debug)]
enum Json {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    String(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    fn text(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Bool(b) => b.to_string(),
            Self::Int(i) => i.to_string(),
            Self::Double(d) => format!("{d:?}"),
            Self::String(s) => serde_json::to_string(s).unwrap(),
            Self::List(items) => format!("[{}]", items.iter().map(Self::text).collect::<Vec<_>>().join(",")),
            Self::Object(entries) => {
                let entries: Vec<_> = entries.iter().map(|(k, v)| format!("{k:?}: {}", v.text())).collect();
                format!("{{{}}}", entries.join(","))
            }
        }
    }

    fn value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(b) => Value::Bool(*b),
            Self::Int(i) => Value::Int(*i),
            Self::Double(d) => Value::Float(*d),
            Self::String(s) => Value::String(Arc::new(s.clone())),
            Self::List(items) => Value::List(Arc::new(items.iter().map(Self::value).collect())),
            Self::Object(entries) => {
                let map: HashMap<Key, Value> =
                    entries.iter().map(|(k, v)| (Key::from(k.clone()), v.value())).collect();
                Value::Map(Map { map: Arc::new(map) })
            }
        }
    }
}

/// What the other interpreter gives, written as `results` writes it; errors without their words.
fn oracle(env: &Arc<Env>, text: &str, record: &Json) -> String {
    let program = env.compile(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    let mut context = cel::Context::with_env(Arc::clone(env));
    context.add_variable_from_value("event", record.value());
    match program.execute(&context) {
        Ok(value) => show(&value),
        Err(_) => "error".to_owned(),
    }
}

fn show(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(b) => b.to_string(),
        Value::Int(i) => i.to_string(),
        Value::Float(d) if d.is_finite() => serde_json::to_string(d).unwrap(),
        Value::Float(_) => "error".to_owned(),
        Value::String(s) => serde_json::to_string(&**s).unwrap(),
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(show).collect();
            if items.iter().any(|item| item == "error") {
                "error".to_owned()
            } else {
                format!("[{}]", items.join(","))
            }
        }
        other => format!("{other:?}"),
    }
}

/// No double: in arithmetic beside an int we promote, the other does not.
fn scalar() -> impl Strategy<Value = Json> {
    prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::Bool),
        int().prop_map(Json::Int),
        string().prop_map(Json::String),
    ]
}

fn int() -> impl Strategy<Value = i64> {
    prop_oneof![-3_i64..6, proptest::sample::select(vec![i64::MAX, i64::MIN, 1 << 53, 100])]
}

fn double() -> impl Strategy<Value = f64> {
    proptest::sample::select(vec![0.0, 0.5, -1.5, 2.0, 3.25, 1e10])
}

fn string() -> impl Strategy<Value = String> {
    proptest::sample::select(vec!["", "a", "ab", "abc", "b", "ü", "DE", "x\"y"]).prop_map(str::to_owned)
}

fn list() -> impl Strategy<Value = Json> {
    prop_oneof![
        4 => proptest::collection::vec(int().prop_map(Json::Int), 0..4).prop_map(Json::List),
        1 => proptest::collection::vec(scalar(), 0..4).prop_map(Json::List),
    ]
}

/// Mostly what the name says, sometimes something else, sometimes nothing.
fn field(usual: impl Strategy<Value = Json>) -> impl Strategy<Value = Option<Json>> {
    prop_oneof![16 => usual.prop_map(Some), 2 => scalar().prop_map(Some), 1 => list().prop_map(Some), 1 => Just(None)]
}

fn record() -> impl Strategy<Value = Json> {
    let fields = (
        field(int().prop_map(Json::Int)),
        field(int().prop_map(Json::Int)),
        prop_oneof![
            16 => double().prop_map(|d| Some(Json::Double(d))),
            1 => string().prop_map(|s| Some(Json::String(s))),
            1 => Just(Some(Json::Null)),
            1 => Just(None),
        ],
        field(string().prop_map(Json::String)),
        field(string().prop_map(Json::String)),
        field(any::<bool>().prop_map(Json::Bool)),
        field(any::<bool>().prop_map(Json::Bool)),
        field(list()),
    );
    fields.prop_map(|(i, j, d, s, t, b, c, l)| {
        let named = [("i", i), ("j", j), ("d", d), ("s", s), ("t", t), ("b", b), ("c", c), ("l", l)];
        Json::Object(named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect())
    })
}

/// Expressions by the type that they are meant to give.
struct Texts {
    int: BoxedStrategy<String>,
    double: BoxedStrategy<String>,
    string: BoxedStrategy<String>,
    bool: BoxedStrategy<String>,
}

fn texts(depth: u32) -> Texts {
    let pick =
        |texts: &[&str]| proptest::sample::select(texts.iter().map(ToString::to_string).collect::<Vec<_>>());
    if depth == 0 {
        return Texts {
            int: pick(&[
                "event.i",
                "event.j",
                "event['i']",
                "0",
                "1",
                "7",
                "size(event.s)",
                "event.l[0]",
                "size(event.l)",
            ])
            .boxed(),
            double: pick(&["event.d", "0.5", "2.0", "-1.25"]).boxed(),
            string: pick(&["event.s", "event.t", "'a'", "'ab'", "''", "'ü'"]).boxed(),
            bool: pick(&[
                "event.b",
                "event.c",
                "true",
                "event.i < 2",
                "has(event.s)",
                "event.l.exists(x, x == 1)",
                "event.l.all(x, x > 0)",
                "event.l.exists_one(x, x == 2)",
                "event.d > 0.5",
                "event.d == 2.0",
                "event.i == null",
                "event.s == null",
                "event.s == 1",
                "event.i in [1, 2, 3]",
                "event.s in ['a', 'ab']",
                "1 in event.l",
                "event.l == [1, 2]",
                "event.d < event.i",
                "event.i <= event.d",
                "event.d == event.i",
                "event.l == event.l",
            ])
            .boxed(),
        };
    }
    let Texts { int, double, string, bool } = texts(depth - 1);
    let operator = pick(&["+", "-", "*", "/", "%"]);
    let order = pick(&["<", "<=", ">", ">="]);
    let equality = pick(&["==", "!="]);
    let logic = pick(&["&&", "||"]);
    let search = pick(&["contains", "startsWith", "endsWith"]);
    Texts {
        int: prop_oneof![
            3 => (int.clone(), operator, int.clone()).prop_map(|(l, op, r)| format!("({l} {op} {r})")),
            1 => string.clone().prop_map(|s| format!("size({s})")),
            1 => int.clone().prop_map(|i| format!("(-{i})")),
            1 => (bool.clone(), int.clone(), int.clone()).prop_map(|(c, l, r)| format!("({c} ? {l} : {r})")),
            1 => pick(&["int(event.d)", "int(-2.75)"]),
            2 => int.clone(),
        ]
        .boxed(),
        double: prop_oneof![
            2 => (double.clone(), pick(&["+", "-", "*"]), double.clone())
                .prop_map(|(l, op, r)| format!("({l} {op} {r})")),
            1 => (double.clone(), pick(&["0.5", "4.0"])).prop_map(|(l, r)| format!("({l} / {r})")),
            1 => int.clone().prop_map(|i| format!("double({i})")),
        ]
        .boxed(),
        string: prop_oneof![
            2 => (string.clone(), string.clone()).prop_map(|(l, r)| format!("({l} + {r})")),
            1 => (bool.clone(), string.clone(), string.clone()).prop_map(|(c, l, r)| format!("({c} ? {l} : {r})")),
            1 => string.clone(),
        ]
        .boxed(),
        bool: prop_oneof![
            4 => (bool.clone(), logic, bool.clone()).prop_map(|(l, op, r)| format!("({l} {op} {r})")),
            2 => (int.clone(), order.clone(), int.clone()).prop_map(|(l, op, r)| format!("({l} {op} {r})")),
            1 => (double.clone(), order.clone(), double).prop_map(|(l, op, r)| format!("({l} {op} {r})")),
            1 => (string.clone(), order, string.clone()).prop_map(|(l, op, r)| format!("({l} {op} {r})")),
            2 => (int.clone(), equality.clone(), int).prop_map(|(l, op, r)| format!("({l} {op} {r})")),
            1 => (string.clone(), equality, string.clone()).prop_map(|(l, op, r)| format!("({l} {op} {r})")),
            2 => (string.clone(), search, string).prop_map(|(l, f, r)| format!("{l}.{f}({r})")),
            2 => bool.clone().prop_map(|b| format!("!{b}")),
            1 => bool,
        ]
        .boxed(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn both_interpreters_agree(
        text in prop_oneof![texts(1).bool, texts(2).bool, texts(3).bool, texts(2).int, texts(2).double, texts(2).string],
        records in proptest::collection::vec(record(), 1..20),
    ) {
        // What we refuse at compile time, such as 1 / 0, has no value to compare.
        prop_assume!(crate::expression::Expression::compile(&text).is_ok());
        let env = Arc::new(Env::stdlib());
        let values: Vec<String> = records.iter().map(Json::text).collect();
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        for (ours, record) in results(&text, &values).into_iter().zip(&records) {
            let ours = if ours.starts_with("error: ") { "error".to_owned() } else { ours };
            prop_assert_eq!(&ours, &oracle(&env, &text, record), "{} on {}", &text, record.text());
        }
    }
}
