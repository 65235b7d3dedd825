//! What expressions mean: golden tables.

use super::results;

/// Each expression on one record.
fn check(record: &str, table: &[(&str, &str)]) {
    for (text, expected) in table {
        assert_eq!(results(text, &[record]), [*expected], "{text} on {record}");
    }
}

const ORDER: &str = r#"{"id":7,"amount":12.5,"n":3,"zero":0,"big":9223372036854775807,"huge":92233720368547758080,
 "country":"DE","type":"order.paid","note":"Grüße \"x\"","none":null,"yes":true,"no":false,
 "ts":"2026-11-21T08:30:15.250Z","user":{"id":"u1","name":"Ann","tags":["a","b"]},
 "items":[{"sku":"a","price":2,"qty":3},{"sku":"b","price":0.5,"qty":10}],"empty":[],"words":["x","y"],"odd key":1}"#;

#[test]
fn fields_are_read_by_their_paths() {
    check(
        ORDER,
        &[
            ("event.id", "7"),
            ("event.user.id", r#""u1""#),
            (r#"event["user"]["name"]"#, r#""Ann""#),
            ("event['odd key']", "1"),
            ("event.user.tags", r#"["a","b"]"#),
            ("event.user.tags[1]", r#""b""#),
            ("event.items[1].sku", r#""b""#),
            ("event.items[0]['price']", "2"),
            ("event.none", "null"),
            ("event.huge", "92233720368547758080"),
            ("event.missing", "error: field `missing` is missing"),
            ("event.user.missing", "error: field `user.missing` is missing"),
            ("event.id.missing", "error: field `id.missing` is missing"),
            ("event.items[2]", "error: index 2 is outside of field `items`"),
            ("event.items[-1]", "error: index -1 is outside of field `items`"),
            ("event.items[0].color", "error: `color` is missing in the value"),
            ("event.country[0]", "error: `[…]` cannot take a string (field `country`) and an int"),
        ],
    );
}

#[test]
fn presence_and_optional_values() {
    check(
        ORDER,
        &[
            ("has(event.id)", "true"),
            ("has(event.none)", "true"),
            ("has(event.missing)", "false"),
            ("has(event.user.name)", "true"),
            ("has(event.user.missing)", "false"),
            ("has(event.missing.deep)", "false"),
            ("has(event.items[0].sku)", "true"),
            ("has(event.items[0].color)", "false"),
            ("event.?id.orValue(0)", "7"),
            ("event.?missing.orValue(0)", "0"),
            (r#"event[?"missing"].orValue("x")"#, r#""x""#),
            ("event.?user.name.orValue('?')", r#""Ann""#),
            ("event.?user.?missing.orValue('?')", r#""?""#),
            ("event.?missing.deep.orValue(1)", "1"),
            ("event.?none.orValue(1)", "null"),
            ("event.?missing.hasValue()", "false"),
            ("event.?id.hasValue()", "true"),
            ("event.?missing.or(event.?id).orValue(0)", "7"),
            ("event.?missing.or(optional.none()).or(optional.of(5)).value()", "5"),
            ("event.?missing.value()", "error: the optional value is not there"),
            ("event.?missing", "none"),
            ("event.?id", "7"),
            ("event.items[?5].sku.orValue('none')", r#""none""#),
            ("event.items[?0].sku.orValue('none')", r#""a""#),
            ("event.items[0].?color.orValue('grey')", r#""grey""#),
            ("event.?missing.orValue(event.?n.orValue(event.x))", "3"),
            ("event.?missing.orValue(event.x)", "error: field `x` is missing"),
            ("[1, ?event.?missing, ?event.?n]", "[1,3]"),
            ("{'a': 1, ?'b': event.?missing, ?'c': event.?n}", r#"{"a":1,"c":3}"#),
        ],
    );
}

#[test]
fn numbers_mix_and_are_exact() {
    check(
        ORDER,
        &[
            ("event.n + 1", "4"),
            ("event.n + 1.5", "4.5"),
            ("event.amount * event.n", "37.5"),
            ("event.amount - 0.5", "12.0"),
            ("event.n / 2", "1"),
            ("-event.n / 2", "-1"),
            ("event.n % 2", "1"),
            ("event.n / 2.0", "1.5"),
            ("-event.amount", "-12.5"),
            ("1000 * 60 + event.n", "60003"),
            ("event.big + 1", "error: `+` overflows (field `big`)"),
            ("-event.big - 2", "error: `-` overflows"),
            ("event.big * event.n", "error: `*` overflows (field `big`, field `n`)"),
            ("event.n / event.zero", "error: division by zero: field `zero` is 0"),
            ("event.n % event.zero", "error: division by zero: field `zero` is 0"),
            ("event.amount / event.zero", "error: division by zero: field `zero` is 0"),
            ("event.amount % 2", "error: `%` cannot take a double (field `amount`) and an int"),
            ("event.none + 1", "error: field `none` is null; `+` needs a value"),
            ("event.missing + 1", "error: field `missing` is missing"),
            ("event.country + 1", "error: `+` cannot take a string (field `country`) and an int"),
            (
                "event.huge + 1",
                "error: field `huge` is a number beyond 64 bits; use double(…) to round it before `+`",
            ),
            ("double(event.huge) + 1", "9.223372036854776e+19"),
            ("string(event.huge)", r#""92233720368547758080""#),
        ],
    );
}

#[test]
fn numbers_are_compared_as_numbers() {
    check(
        ORDER,
        &[
            ("event.n == 3.0", "true"),
            ("event.n < 3.5", "true"),
            ("event.amount > 12", "true"),
            ("event.amount == 12.5", "true"),
            ("12 < event.amount", "true"),
            ("event.big == 9223372036854775807", "true"),
            ("event.big == 9223372036854775808.0", "false"),
            ("event.big < 9223372036854775808.0", "true"),
            ("event.huge > event.big", "true"),
            ("event.huge == 92233720368547758080.0", "true"),
            ("event.huge == event.huge", "true"),
            ("event.huge > 1e300", "false"),
            ("event.n in [1, 2, 3.0]", "true"),
            ("event.n in [1, 2]", "false"),
            ("event.country in ['DE', 'AT']", "true"),
            ("event.country in ['FR', 1]", "false"),
            ("'DE' < event.country + 'x'", "true"),
            ("event.n < 'x'", "error: `<` cannot take an int (field `n`) and a string (\"x\")"),
            ("event.none < 3", "error: field `none` is null; `<` needs a value"),
            ("event.missing < 3", "error: field `missing` is missing"),
            ("event.yes > event.no", "true"),
        ],
    );
}

#[test]
fn equality_takes_all_types() {
    check(
        ORDER,
        &[
            ("event.none == null", "true"),
            ("event.id == null", "false"),
            ("event.id != null", "true"),
            ("event.id == 'x'", "false"),
            ("event.id != 'x'", "true"),
            ("event.country == 'DE'", "true"),
            ("event.country == 1", "false"),
            ("event.note == 'Grüße \"x\"'", "true"),
            ("event.words == ['x', 'y']", "true"),
            ("event.words == ['x']", "false"),
            ("event.user == {'name': 'Ann', 'id': 'u1', 'tags': ['a', 'b']}", "true"),
            ("event.user != {'name': 'Ann'}", "true"),
            ("event.items == event.items", "true"),
            ("event.yes == true", "true"),
            ("event.yes == 1", "false"),
            ("event.missing == null", "error: field `missing` is missing"),
            ("dyn(1) == 'a'", "false"),
        ],
    );
}

#[test]
fn logic_absorbs_errors_from_either_side() {
    check(
        ORDER,
        &[
            ("event.yes && event.no", "false"),
            ("event.missing && event.no", "false"),
            ("event.no && event.missing", "false"),
            ("event.missing || event.yes", "true"),
            ("event.yes || event.missing", "true"),
            ("event.missing && event.yes", "error: field `missing` is missing"),
            ("event.yes && event.missing", "error: field `missing` is missing"),
            ("event.missing || event.no", "error: field `missing` is missing"),
            ("event.missing > 1 || event.other > 1", "error: field `missing` is missing"),
            ("event.id && event.yes", "error: field `id` is an int, not true or false"),
            ("event.id && event.no", "false"),
            ("!(event.missing == 1) || event.yes", "true"),
            ("!event.no", "true"),
            ("!event.id", "error: field `id` is an int, not true or false"),
            ("has(event.missing) && event.missing > 1", "false"),
            ("event.yes ? event.n : event.missing", "3"),
            ("event.no ? event.missing : 'other'", r#""other""#),
            ("event.n > 2 ? 'many' : 'few'", r#""many""#),
            ("event.id ? 1 : 2", "error: field `id` is an int, not true or false"),
            ("(event.missing ? 1 : 2) == 1 || event.yes", "true"),
        ],
    );
}

#[test]
fn strings_count_code_points() {
    check(
        ORDER,
        &[
            ("event.country + '-' + event.type", r#""DE-order.paid""#),
            ("size(event.note)", "9"),
            ("event.note.size()", "9"),
            ("event.type.startsWith('order.')", "true"),
            ("event.type.endsWith('paid')", "true"),
            ("event.type.contains('der')", "true"),
            ("event.type.contains(event.country)", "false"),
            ("event.type.matches('^order\\\\.[a-z]+$')", "true"),
            (r"event.note.matches('ü.')", "true"),
            ("event.country.lowerAscii()", r#""de""#),
            ("event.type.upperAscii()", r#""ORDER.PAID""#),
            ("'  a b '.trim() + event.country", r#""a bDE""#),
            ("event.type.replace('.', '/')", r#""order/paid""#),
            ("event.type.replace('d', 'D', 1)", r#""orDer.paid""#),
            ("event.type.split('.')", r#"["order","paid"]"#),
            ("event.type.split('.')[0]", r#""order""#),
            ("event.country.split('')", r#"["D","E"]"#),
            ("'a,b,c'.split(',', 2)", r#"["a","b,c"]"#),
            ("event.note.substring(2)", r#""üße \"x\"""#),
            ("event.note.substring(2, 4)", r#""üß""#),
            ("event.note.substring(4, 2)", "error: substring ends at 2 before it starts at 4"),
            ("event.note.substring(99)", "error: position 99 is outside of the string"),
            ("event.note.indexOf('ß')", "3"),
            ("event.note.indexOf('q')", "-1"),
            ("event.note.lastIndexOf('\"')", "8"),
            ("event.note.charAt(2)", r#""ü""#),
            ("event.words.join('-')", r#""x-y""#),
            ("event.words.join()", r#""xy""#),
            ("event.items.join('')", "error: `join` takes a list of strings, item 0 is a map"),
            ("event.n.startsWith('x')", "error: field `n` is an int; `startsWith` needs string"),
            ("event.none.contains('x')", "error: field `none` is null; `contains` needs string"),
            ("event.n.matches('x')", "error: field `n` is an int; `matches` cannot take that"),
            ("event.n.lowerAscii()", "error: field `n` is an int; `lowerAscii` needs string"),
        ],
    );
}

#[test]
fn conversions_say_what_they_could_not_read() {
    check(
        ORDER,
        &[
            ("string(event.n) + string(event.amount) + string(event.yes)", r#""312.5true""#),
            ("int('42') + event.n", "45"),
            ("int(event.amount)", "12"),
            ("int(event.country)", "error: `DE` is not an int of 64 bits"),
            ("int(event.huge)", "error: `92233720368547758080` is not an int of 64 bits"),
            ("int(1e18)", "1000000000000000000"),
            ("double(event.n)", "3.0"),
            ("double('1.25') + event.n", "4.25"),
            ("double(event.country)", "error: `DE` is not a double"),
            ("bool('true') && event.yes", "true"),
            ("bool(event.country)", "error: `DE` is not a bool (`true` or `false`)"),
            ("event.words.map(w, string(w) + '!')", r#"["x!","y!"]"#),
            ("string(1e300)", r#""1e300""#),
            ("string(0.1)", r#""0.1""#),
        ],
    );
}

#[test]
fn time_is_nanoseconds_in_utc() {
    check(
        ORDER,
        &[
            ("timestamp(event.ts)", r#""2026-11-21T08:30:15.250Z""#),
            ("timestamp(event.ts) < now", "true"),
            ("now - timestamp(event.ts)", r#""5384.75s""#),
            ("now - timestamp(event.ts) > duration('1h')", "true"),
            ("timestamp(event.ts) + duration('90m')", r#""2026-11-21T10:00:15.250Z""#),
            ("timestamp('2026-11-21T10:00:00+02:00') == timestamp(1795248000)", "true"),
            ("timestamp(event.ts).getFullYear()", "2026"),
            ("timestamp(event.ts).getMonth()", "10"),
            ("timestamp(event.ts).getDate()", "21"),
            ("timestamp(event.ts).getDayOfMonth()", "20"),
            ("timestamp(event.ts).getDayOfWeek()", "6"),
            ("timestamp(event.ts).getDayOfYear()", "324"),
            ("timestamp(event.ts).getHours()", "8"),
            ("timestamp(event.ts).getHours('UTC')", "8"),
            ("timestamp(event.ts).getMinutes()", "30"),
            ("timestamp(event.ts).getSeconds()", "15"),
            ("timestamp(event.ts).getMilliseconds()", "250"),
            ("(now - timestamp(event.ts)).getMinutes()", "89"),
            ("int(timestamp(event.ts))", "1795249815"),
            ("string(duration('1h30m'))", r#""5400s""#),
            ("duration(event.country)", "error: `DE` is not a duration such as `1h30m` or `1.5s`"),
            ("timestamp(event.n) > now", "false"),
        ],
    );
    let [error] = results("timestamp(event.country)", &[ORDER]).try_into().unwrap();
    assert!(error.starts_with("error: `DE` is not an RFC 3339 timestamp"), "{error}");
}

#[test]
fn lists_and_maps() {
    check(
        ORDER,
        &[
            ("event.items.map(i, i.price * i.qty)", "[6,5.0]"),
            ("event.items.filter(i, i.qty > 5)", r#"[{"sku":"b","price":0.5,"qty":10}]"#),
            ("event.items.map(i, i.qty > 5, i.sku)", r#"["b"]"#),
            ("event.items.exists(i, i.sku == 'b')", "true"),
            ("event.items.all(i, i.qty > 2)", "true"),
            ("event.items.all(i, i.color == 'x')", "error: `color` is missing in `i`"),
            ("event.items.exists(i, i.color == 'x' || i.sku == 'b')", "true"),
            ("event.items.exists_one(i, i.qty == 3)", "true"),
            ("event.items.existsOne(i, i.qty > 1)", "false"),
            ("event.empty.all(i, i > 1)", "true"),
            ("event.empty.exists(i, i > 1)", "false"),
            ("event.user.all(k, k != 'x')", "true"),
            ("event.user.map(k, k)", r#"["id","name","tags"]"#),
            ("event.words.map(a, event.words.map(b, a + b))", r#"[["xx","xy"],["yx","yy"]]"#),
            ("event.id.map(i, i)", "error: field `id` is an int; `map` needs a list or a map"),
            ("size(event.items)", "2"),
            ("event.user.size()", "3"),
            ("'x' in event.words", "true"),
            ("'q' in event.words", "false"),
            ("'name' in event.user", "true"),
            ("'q' in event.user", "false"),
            ("1 in event.id", "error: `in` cannot take an int and an int (field `id`)"),
            ("event.words + ['z']", r#"["x","y","z"]"#),
            ("[1, 'a', null, event.n]", r#"[1,"a",null,3]"#),
            ("[1, 2, 3][event.n - 2]", "2"),
            ("{'a': {'b': event.n}}.a.b", "3"),
            ("{'a': 1}[event.country]", "error: `DE` is missing in the value"),
            ("{'DE': 49}[event.country]", "49"),
            ("{event.country: event.n}", r#"{"DE":3}"#),
            ("{event.country: 1, event.country: 2}", "error: the map has two entries `DE`"),
        ],
    );
}

#[test]
fn map_literals_are_written_as_json() {
    check(
        ORDER,
        &[
            (
                "{'id': event.id, 'total': event.n * event.amount, 'note': event.note, 'n': event.none}",
                r#"{"id":7,"total":37.5,"note":"Grüße \"x\"","n":null}"#,
            ),
            (
                "{'user': event.user, 'huge': event.huge}",
                r#"{"user":{"id":"u1","name":"Ann","tags":["a","b"]},"huge":92233720368547758080}"#,
            ),
            (
                "{'at': now, 'for': duration('90s'), 'big': event.n > 2}",
                r#"{"at":"2026-11-21T10:00:00Z","for":"90s","big":true}"#,
            ),
            ("{'a': {'b': [event.n]}, 'c\\n\"': 'x\\ty'}", r#"{"a":{"b":[3]},"c\n\"":"x\ty"}"#),
            ("{'x': event.missing}", "error: field `missing` is missing"),
            ("{'x': event.n / event.zero, 'y': event.missing}", "error: division by zero: field `zero` is 0"),
            ("{'x': event.amount * 1e308 * 1e308}", "error: inf cannot be written as JSON"),
            ("{}", "{}"),
            ("{1: 2, true: 3}", r#"{"1":2,"true":3}"#),
        ],
    );
}

#[test]
fn the_message_is_meta() {
    let two = [r#"{"a":1}"#, r#"{"a":2}"#];
    let table = [
        ("meta.topic", r#""orders""#, r#""orders""#),
        ("meta.partition", "7", "7"),
        ("meta.offset", "100", "101"),
        ("meta.timestamp", r#""2026-11-21T09:59:59Z""#, r#""2026-11-21T09:59:59Z""#),
        ("now - meta.timestamp", r#""1s""#, r#""1s""#),
        ("meta.key", r#""k1""#, "null"),
        ("has(meta.key)", "true", "false"),
        ("meta.key == 'k1'", "true", "false"),
        ("meta.headers.source", r#""web""#, r#""web""#),
        ("meta.headers['source'] + '!'", r#""web!""#, r#""web!""#),
        ("meta.headers", r#"{"source":"web","empty":null}"#, r#"{"source":"web","empty":null}"#),
        ("has(meta.headers.other)", "false", "false"),
        ("meta.headers.?other.orValue('x')", r#""x""#, r#""x""#),
        ("meta.headers.other", "error: header `other` is missing", "error: header `other` is missing"),
        ("'source' in meta.headers", "true", "true"),
        ("meta.id", r#""orders-7-100""#, r#""orders-7-101""#),
        ("now", r#""2026-11-21T10:00:00Z""#, r#""2026-11-21T10:00:00Z""#),
        ("event.a + meta.offset", "101", "103"),
    ];
    for (text, first, second) in table {
        assert_eq!(results(text, &two), [first, second], "{text}");
    }
}

#[test]
fn the_whole_record_is_a_value() {
    check(
        r#"{"b":1,"a":[1,2]}"#,
        &[
            ("event", r#"{"b":1,"a":[1,2]}"#),
            ("event == {'a': [1, 2], 'b': 1.0}", "true"),
            ("size(event)", "2"),
            ("'a' in event", "true"),
            ("event.map(k, event[k])", "[1,[1,2]]"),
            ("{'was': event}", r#"{"was":{"b":1,"a":[1,2]}}"#),
            ("event['b' + '']", "1"),
        ],
    );
    check(
        "5",
        &[
            ("event", "5"),
            ("event + 1", "6"),
            ("event.a", "error: field `a` is missing"),
            ("has(event.a)", "false"),
        ],
    );
}

#[test]
fn one_column_may_hold_many_types() {
    let rows = [
        r#"{"x":1}"#,
        r#"{"x":1.5}"#,
        r#"{"x":"1"}"#,
        r#"{"x":null}"#,
        "{}",
        r#"{"x":[1]}"#,
        r#"{"x":true}"#,
    ];
    let table: [(&str, [&str; 7]); 5] = [
        (
            "event.x == 1",
            ["true", "false", "false", "false", "error: field `x` is missing", "false", "false"],
        ),
        (
            "event.x > 1",
            [
                "false",
                "true",
                "error: `>` cannot take a string (field `x`) and an int",
                "error: field `x` is null; `>` needs a value",
                "error: field `x` is missing",
                "error: `>` cannot take a list (field `x`) and an int",
                "error: `>` cannot take a bool (field `x`) and an int",
            ],
        ),
        (
            "event.x + 1",
            [
                "2",
                "2.5",
                "error: `+` cannot take a string (field `x`) and an int",
                "error: field `x` is null; `+` needs a value",
                "error: field `x` is missing",
                "error: `+` cannot take a list (field `x`) and an int",
                "error: `+` cannot take a bool (field `x`) and an int",
            ],
        ),
        ("has(event.x)", ["true", "true", "true", "true", "false", "true", "true"]),
        ("event.?x.orValue('-')", ["1", "1.5", "\"1\"", "null", "\"-\"", "[1]", "true"]),
    ];
    for (text, expected) in table {
        assert_eq!(results(text, &rows), expected, "{text}");
    }
}

#[test]
fn a_loop_over_a_big_list_stops() {
    let long = format!(r#"{{"a":[{}1]}}"#, "1,".repeat(3000));
    let message = "error: the expression takes more than 1048576 steps on this record";
    assert_eq!(results("event.a.all(x, event.a.all(y, x == y))", &[&long]), [message]);
    assert_eq!(results("event.a.all(x, x in event.a)", &[&long]), ["true"]);
}

#[test]
fn a_string_does_not_grow_without_bound() {
    let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(600_000));
    let message = "error: a string would have 1200000 bytes, at most 1048576 are allowed";
    assert_eq!(results("event.a + event.a", &[&long]), [message]);
    assert_eq!(results("event.a.replace('x', 'yy')", &[&long]), [message]);
}

#[test]
fn big_sets_and_patterns_with_flags() {
    let rows = [r#"{"x":"k7"}"#, r#"{"x":"K77"}"#, r#"{"x":5}"#, r#"{"x":5.0}"#, r#"{"x":null}"#, "{}"];
    let set = (0..20).map(|i| format!("'k{i}'")).collect::<Vec<_>>().join(", ");
    let missing = "error: field `x` is missing";
    let results_of = |text: &str| results(text, &rows);
    assert_eq!(
        results_of(&format!("event.x in [{set}]")),
        ["true", "false", "false", "false", "false", missing]
    );
    assert_eq!(
        results_of(&format!("event.x in [{set}, 5]")),
        ["true", "false", "true", "true", "false", missing]
    );
    assert_eq!(results_of("event.x in [5.0, null]"), ["false", "false", "true", "true", "true", missing]);
    assert_eq!(results("event.x.matches('(?i)^k7+$')", &rows[..2]), ["true", "true"]);
}

#[test]
fn calls_on_computed_columns() {
    check(
        ORDER,
        &[
            ("string(event.n + 1) + event.country", r#""4DE""#),
            ("(event.country + event.type).size() + 1", "13"),
            ("(event.country + event.country + event.country).lowerAscii()", r#""dedede""#),
            ("event.type.substring(event.n, event.n + 2)", r#""er""#),
            ("event.type.contains(event.country.lowerAscii().substring(0, 1))", "true"),
            ("event.type.startsWith(event.none)", "error: field `none` is null; `startsWith` needs string"),
            ("event.missing.startsWith('a')", "error: field `missing` is missing"),
            ("string(event.n / event.zero) == 'x' || event.yes", "true"),
        ],
    );
}

#[test]
fn what_is_built_keeps_its_types() {
    check(
        ORDER,
        &[
            (
                "[event.country, now].join('-')",
                "error: `join` takes a list of strings, item 1 is a timestamp",
            ),
            ("[now][0] == now", "true"),
            ("{'t': now}.t.getFullYear() + event.n", "2029"),
            ("[now] == [now, now].filter(t, t < timestamp(event.ts)) + [now]", "true"),
            ("{1: 'a'}[event.n - 2].startsWith('a')", "true"),
            ("(event.yes ? [now] : []) == [now]", "true"),
            ("(event.words + [now]).exists(w, w == now)", "true"),
            ("[duration('1s')] == [event.country]", "false"),
        ],
    );
}
