//! Bad input against a real broker, with the real program: `KAFKA=host:port cargo test --features e2e/kafka-tests`.
//!
//! Each bad record lies between good ones; all that is good comes out exactly once, though the worker is killed on the
//! way, and what is bad lies in the dead-letter topic with the reason. `docs/reference/bad-input.md` is the table of it.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends at the first surprise")]

#[path = "../../../runtime/connect/tests/conformance/proxy.rs"]
#[expect(dead_code, reason = "other suites use the rest of it")]
mod proxy;
#[expect(dead_code, reason = "other suites use the rest of it")]
mod world;

use control::{Condition, Reason};
use proxy::Proxy;
use std::time::{SystemTime, UNIX_EPOCH};
use world::{Got, Sent, World};

/// Any timestamp is taken, and 20 MB.
const TAKES_ALL: &[(&str, &str)] =
    &[("max.message.bytes", "20000000"), ("message.timestamp.after.max.ms", "9223372036854775807")];
/// 2200-01-01T00:00:00Z.
const FAR_FUTURE_MS: i64 = 7_258_118_400_000;

fn wall_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

/// What becomes of a record: it is in `out`, it is a dead letter for this reason, a window counts it or finds it late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Fate {
    out: bool,
    dead: Option<&'static str>,
    counted: bool,
    late: bool,
}

const GOOD: Fate = Fate { out: true, dead: None, counted: true, late: false };
const LATE: Fate = Fate { counted: false, late: true, ..GOOD };
/// A tombstone: it passes, and no window counts it.
const PASSES: Fate = Fate { counted: false, ..GOOD };

/// Not taken by anybody.
fn dead(reason: &'static str) -> Fate {
    Fate { dead: Some(reason), ..Fate::default() }
}

/// Not taken by the window only.
fn no_window(reason: &'static str) -> Fate {
    Fate { out: true, ..dead(reason) }
}

struct Case {
    name: &'static str,
    sent: Sent,
    fate: Fate,
}

fn case(name: &'static str, value: impl Into<Vec<u8>>, fate: Fate) -> Case {
    let sent = Sent { key: Some(name.into()), value: Some(value.into()), timestamp_ms: None };
    Case { name, sent, fate }
}

/// The table. `base` is the event time of all that is good.
fn table(base: i64) -> Vec<Case> {
    let with = |rest: &str| format!(r#"{{"ts":{base},"n":1,{rest}}}"#);
    let padded = |len: usize| with(&format!(r#""k":"g","x":"{}""#, "x".repeat(len)));
    let deep = |depth: usize| with(&format!(r#""k":"g","x":{}{}"#, "[".repeat(depth), "]".repeat(depth)));
    let mut invalid_utf8 = with(r#""k":"g?""#).into_bytes();
    let at = invalid_utf8.iter().position(|byte| *byte == b'?').unwrap();
    invalid_utf8[at] = 0xff;
    let good = || with(r#""k":"g""#);
    let at_ts = |ts: &str| format!(r#"{{"ts":{ts},"n":1,"k":"g"}}"#);
    let mut all = vec![
        case("invalid JSON", r#"{"ts":"#, dead("Undecodable")),
        case("no JSON at all", "hello", dead("Undecodable")),
        case("invalid UTF-8", invalid_utf8, dead("Undecodable")),
        case("JSON 10 000 deep", deep(10_000), dead("Undecodable")),
        case("JSON 100 deep", deep(100), GOOD),
        case("10 MB", padded(10_000_000), dead("RecordTooLarge")),
        case("wrong type for CEL", format!(r#"{{"ts":{base},"n":"one","k":"g"}}"#), dead("ExpressionFailed")),
        case("no field for CEL", format!(r#"{{"ts":{base},"k":"g"}}"#), dead("ExpressionFailed")),
        case("key field missing", with(r#""x":1"#), no_window("KeyMissing")),
        case("key field null", with(r#""k":null"#), no_window("KeyMissing")),
        case("key field an object", with(r#""k":{}"#), no_window("KeyUnusable")),
        case(
            "key field of 100 KB",
            with(&format!(r#""k":"{}""#, "k".repeat(100_000))),
            no_window("KeyTooLarge"),
        ),
        case("event time missing", r#"{"n":1,"k":"g"}"#, dead("EventTimeMissing")),
        case("event time null", at_ts("null"), dead("EventTimeMissing")),
        case("event time a boolean", at_ts("true"), dead("EventTimeUnreadable")),
        case("event time in 2200", at_ts(&FAR_FUTURE_MS.to_string()), dead("EventTimeInFuture")),
        case("event time in 1970", at_ts("1"), LATE),
        case("event time before 1970", at_ts("-86400000"), LATE),
    ];
    let mut special = |name, key: Option<Vec<u8>>, value: Option<Vec<u8>>, timestamp_ms, fate| {
        all.push(Case { name, sent: Sent { key, value, timestamp_ms }, fate });
    };
    special("null value", Some(b"null value".to_vec()), None, None, PASSES);
    special("null key", None, Some(good().into()), None, GOOD);
    special("message key of 1 MB", Some(vec![b'k'; 1_000_000]), Some(good().into()), None, GOOD);
    special(
        "message key of 2 MB",
        Some(vec![b'k'; 2_000_000]),
        Some(good().into()),
        None,
        dead("RecordTooLarge"),
    );
    special("timestamp in 2200", Some(b"t".to_vec()), Some(good().into()), Some(FAR_FUTURE_MS), GOOD);
    special("timestamp in 1970", Some(b"t".to_vec()), Some(good().into()), Some(1), GOOD);
    special(
        "bad, timestamp in 2200",
        Some(b"t".to_vec()),
        Some(b"{".to_vec()),
        Some(FAR_FUTURE_MS),
        dead("Undecodable"),
    );
    all
}

fn pipeline(world: &World, steps: &str, sinks: &[&str]) -> String {
    let sinks = format!("    - {}\n", sinks.join("\n    - "));
    format!(
        "apiVersion: weir.dev/v1alpha1
kind: StreamPipeline
metadata: {{name: {}}}
spec:
  sources:
    - {{name: in, kafka: {{topic: {}}}, eventTime: {{field: ts, maxOutOfOrderness: 0s}}}}
  steps:
{steps}
  sinks:
{sinks}  deadLetterSink: {{kafka: {{topic: {}}}}}
",
        world.unique,
        world.name("in"),
        world.name("dlq")
    )
}

#[test]
fn every_bad_record_is_a_dead_letter_and_every_good_one_comes_once() {
    let world = World::new("records");
    let input = world.topic("in", TAKES_ALL);
    let [out, dlq, late, rows] = ["out", "dlq", "late", "rows"].map(|topic| world.topic(topic, &[]));
    let steps = format!(
        "    - {{name: positive, filter: {{expression: event.n > 0}}}}
    - {{name: per-k, window: {{keyBy: [k], tumbling: {{size: 1m}}, aggregates: [{{name: count, function: Count}}], lateSink: {{kafka: {{topic: {late}}}}}}}}}"
    );
    let sinks = [
        format!("{{name: out, from: [positive], kafka: {{topic: {out}}}}}"),
        format!("{{name: rows, from: [per-k], kafka: {{topic: {rows}}}}}"),
    ];
    let manifest = pipeline(&world, &steps, &[&sinks[0], &sinks[1]]);
    let base = (wall_ms() - 3_600_000) / 60_000 * 60_000;
    let good = |n: usize| case("good", format!(r#"{{"ts":{base},"n":{},"k":"g"}}"#, n + 1), GOOD);
    let mut cases = vec![good(0)];
    for bad in table(base) {
        cases.push(bad);
        cases.push(good(cases.len()));
    }
    // Closes the window of all others.
    cases.push(case("last", format!(r#"{{"ts":{},"n":1,"k":"last"}}"#, base + 600_000), PASSES));
    let count = |is: fn(&Fate) -> bool| cases.iter().filter(|case| is(&case.fate)).count();
    let (outs, deads) = (count(|fate| fate.out), count(|fate| fate.dead.is_some()));

    let worker = world.worker(&manifest, &world.bootstrap);
    let half = cases.len() / 2;
    world.send(&input, &cases[..half].iter().map(|case| case.sent.clone()).collect::<Vec<_>>());
    worker.until_status("a dead letter", |status| status.dead_letters > 0);
    worker.kill();
    world.send(&input, &cases[half..].iter().map(|case| case.sent.clone()).collect::<Vec<_>>());
    let mut worker = world.worker(&manifest, &world.bootstrap);
    let came = world.read_until(&out, outs, &worker);
    let letters = world.read_until(&dlq, deads, &worker);
    let rows = world.read_until(&rows, 1, &worker);
    let late = world.read_until(&late, count(|fate| fate.late), &worker);
    let status = worker.until_status("no problem", |status| status.problems.is_empty());
    // Only what this process has committed: the first one had committed some of the first half.
    let later = cases[half..].iter().filter(|case| case.fate.dead.is_some()).count();
    assert!((later..deads).contains(&(status.dead_letters as usize)), "{}", status.dead_letters);
    assert!((cases.len() - half..cases.len()).contains(&(status.records as usize)), "{}", status.records);
    assert!(worker.is_running());
    assert_eq!(worker.stop(), Some(0));

    let wanted: Vec<_> = cases.iter().filter(|case| case.fate.out).collect();
    assert_eq!(came.len(), wanted.len(), "none is lost, none comes twice");
    for (got, case) in came.iter().zip(&wanted) {
        assert!(got.key == case.sent.key && got.value == case.sent.value, "{}", case.name);
    }
    let redated: Vec<_> = came.iter().filter(|got| got.header("weir.timestamp").is_some()).collect();
    assert_eq!(redated.len(), 1, "the topic takes no record that is more than an hour ahead");
    assert_eq!(redated[0].header("weir.timestamp").unwrap(), FAR_FUTURE_MS.to_string());
    assert!(redated[0].timestamp_ms.unwrap() <= wall_ms());
    assert!(came.iter().any(|got| got.timestamp_ms == Some(1)), "the past is taken as it is");

    assert_eq!(late.len(), count(|fate| fate.late));
    let counted = count(|fate| fate.counted);
    assert_eq!(rows.len(), 1);
    assert!(rows[0].text().contains(&format!(r#""count":{counted}}}"#)), "{} of {counted}", rows[0].text());
    check_letters(&world, &cases, &letters);
}

fn check_letters(world: &World, cases: &[Case], letters: &[Got]) {
    let wanted: Vec<_> = cases.iter().enumerate().filter(|(_, case)| case.fate.dead.is_some()).collect();
    let mut letters: Vec<_> = letters.iter().collect();
    letters.sort_by_key(|letter| letter.offset());
    assert_eq!(letters.len(), wanted.len());
    for (letter, (offset, case)) in letters.iter().zip(&wanted) {
        let name = case.name;
        assert_eq!((letter.offset(), letter.reason().as_str()), (*offset, case.fate.dead.unwrap()), "{name}");
        assert_eq!(letter.header("__connect.errors.topic").unwrap(), world.name("in"), "{name}");
        assert_eq!(letter.header("__connect.errors.partition").unwrap(), "0", "{name}");
        assert_eq!(letter.header("__connect.errors.connector.name").unwrap(), world.unique, "{name}");
        assert!(!letter.message().is_empty() && letter.header("__connect.errors.stage").is_some(), "{name}");
        let (key, value) = (case.sent.key.as_deref().unwrap(), case.sent.value.as_deref().unwrap());
        let stub = letter.header("weir.truncated").is_some();
        assert_eq!(stub, case.fate.dead == Some("RecordTooLarge"), "{name}");
        let kept = |part: &[u8]| if stub { part[..part.len().min(64 << 10)].to_vec() } else { part.to_vec() };
        assert_eq!(letter.key.as_deref().unwrap(), kept(key), "{name}");
        assert_eq!(letter.value.as_deref().unwrap(), kept(value), "{name}");
        if stub {
            assert_eq!(letter.header("weir.size").unwrap(), value.len().to_string(), "{name}");
            assert_eq!(letter.header("weir.sha256").unwrap().len(), 64, "{name}");
        }
    }
}

#[test]
fn what_the_topic_of_a_sink_cannot_take_is_a_dead_letter() {
    let world = World::new("sinks");
    let input = world.topic("in", TAKES_ALL);
    let small = world.topic("small", &[("max.message.bytes", "10000")]);
    let compacted =
        world.topic("compacted", &[("cleanup.policy", "compact"), ("max.message.bytes", "1048588")]);
    let dlq = world.topic("dlq", &[("max.message.bytes", "100000")]);
    let steps = "    - {name: all, filter: {expression: event.n >= 0}}";
    let sinks = [
        format!("{{name: small, from: [all], kafka: {{topic: {small}}}}}"),
        format!("{{name: compacted, from: [all], kafka: {{topic: {compacted}}}}}"),
    ];
    let manifest = pipeline(&world, steps, &[&sinks[0], &sinks[1]]);
    let record = |n: usize, key: Option<&str>, padding: usize| Sent {
        key: key.map(Into::into),
        value: Some(format!(r#"{{"ts":{},"n":{n},"x":"{}"}}"#, wall_ms(), "x".repeat(padding)).into_bytes()),
        timestamp_ms: None,
    };
    let records = [
        record(0, Some("a"), 10),
        record(1, Some("b"), 20_000),
        record(2, None, 10),
        record(3, Some("c"), 500_000),
        record(4, Some("d"), 1_048_440),
        record(5, Some("e"), 10),
    ];
    world.send(&input, &records);
    let worker = world.worker(&manifest, &world.bootstrap);
    let kept = world.read_until(&small, 3, &worker);
    let keyed = world.read_until(&compacted, 4, &worker);
    let mut letters = world.read_until(&dlq, 5, &worker);
    let status = worker.until_status("the counts", |status| status.dead_letters == 5);
    assert!(status.problems.is_empty());
    let restarts = status.worker_restarts;
    assert_eq!((worker.stop(), restarts), (Some(0), 0));

    let ns = |got: &[Got]| -> Vec<String> {
        got.iter().map(|got| got.text().split_once(r#""n":"#).unwrap().1[..1].to_owned()).collect()
    };
    assert_eq!(ns(&kept), ["0", "2", "5"]);
    assert_eq!(ns(&keyed), ["0", "1", "3", "5"]);
    letters.sort_by_key(|letter| (letter.header("weir.sink"), ns(std::slice::from_ref(letter))));
    let seen: Vec<_> = letters
        .iter()
        .map(|letter| {
            let stub = letter.header("weir.truncated").is_some();
            (
                letter.header("weir.sink").unwrap(),
                ns(std::slice::from_ref(letter)).remove(0),
                letter.reason(),
                stub,
            )
        })
        .collect();
    let line =
        |sink: &str, n: &str, reason: &str, stub| (sink.to_owned(), n.to_owned(), reason.to_owned(), stub);
    assert_eq!(
        seen,
        [
            line("compacted", "2", "KeyMissing", false),
            line("compacted", "4", "RecordTooLarge", true),
            line("small", "1", "RecordTooLarge", false),
            line("small", "3", "RecordTooLarge", true),
            line("small", "4", "RecordTooLarge", true),
        ]
    );
    assert!(
        letters[2]
            .message()
            .ends_with(&format!("topic `{small}` of sink `small` takes 10000 (max.message.bytes)"))
    );
    assert_eq!(letters[3].header("weir.size").unwrap(), records[3].value.as_ref().unwrap().len().to_string());
}

const COPY: &str = "    - {name: all, filter: {expression: event.n >= 0}}";

fn copying(world: &World) -> String {
    pipeline(world, COPY, &[&format!("{{name: out, from: [all], kafka: {{topic: {}}}}}", world.name("out"))])
}

/// Numbered records.
fn numbers(range: std::ops::Range<usize>) -> Vec<Sent> {
    let value = |n: usize| format!(r#"{{"ts":{},"n":{n}}}"#, wall_ms()).into_bytes();
    range.map(|n| Sent { key: Some(b"k".to_vec()), value: Some(value(n)), timestamp_ms: None }).collect()
}

fn assert_once(got: &[Got], count: usize) {
    let numbers: Vec<String> = got
        .iter()
        .map(|got| got.text().split_once(r#""n":"#).unwrap().1.trim_end_matches('}').to_owned())
        .collect();
    assert_eq!(numbers, (0..count).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[test]
fn a_missing_topic_is_named_and_waited_for() {
    let world = World::new("missing");
    let manifest = copying(&world);
    let alike = world.topic("inn", &[]);
    let worker = world.worker(&manifest, &world.bootstrap);
    let problem = |reason: Reason| {
        let status = worker.until_status(reason.as_str(), |status| {
            status.problems.iter().any(|problem| problem.reason == Some(reason))
        });
        status.problems[0].clone()
    };
    let first = problem(Reason::TopicNotFound);
    assert_eq!((first.condition, first.component.as_deref()), (Condition::SourcesConnected, Some("in")));
    let wanted = format!(
        "source 'in': topic `{}` was not found on {}; did you mean `{alike}`?",
        world.name("in"),
        world.bootstrap
    );
    assert_eq!((first.message, first.permanent), (wanted, false));
    let input = world.topic("in", &[]);
    let second = worker.until("the sink's problem", || {
        let problems = worker.status()?.problems;
        problems.into_iter().find(|problem| problem.condition == Condition::SinksConnected)
    });
    assert_eq!((second.reason, second.component.as_deref()), (Some(Reason::TopicNotFound), Some("out")));
    let wanted = format!("sink 'out': topic `{}` was not found on {}", world.name("out"), world.bootstrap);
    assert!(second.message.starts_with(&wanted), "{}", second.message);
    let out = world.topic("out", &[]);
    world.topic("dlq", &[]);
    world.send(&input, &numbers(0..10));
    assert_once(&world.read_until(&out, 10, &worker), 10);
    worker.until_status("an end of the problem", |status| status.problems.is_empty());
}

#[test]
fn a_broker_that_is_down_at_the_start_is_waited_for() {
    let world = World::new("start");
    let proxy = Proxy::to(&world.bootstrap);
    let [input, out, _dlq] = ["in", "out", "dlq"].map(|topic| world.topic(topic, &[]));
    world.send(&input, &numbers(0..10));
    proxy.close(true);
    let mut worker = world.worker(&copying(&world), &proxy.address());
    let status = worker.until_status("problem", |status| !status.problems.is_empty());
    let problem = &status.problems[0];
    assert_eq!((problem.reason, problem.permanent), (Some(Reason::BrokerUnreachable), false));
    assert_eq!(problem.condition, Condition::SourcesConnected);
    let start = format!("broker {} cannot be reached: ", proxy.address());
    assert!(problem.message.starts_with(&start), "{}", problem.message);
    assert!(worker.is_running(), "it waits");
    proxy.close(false);
    assert_once(&world.read_until(&out, 10, &worker), 10);
    worker.until_status("an end of the problem", |status| status.problems.is_empty());
}

#[test]
fn a_broker_that_goes_down_in_the_middle_costs_and_repeats_nothing() {
    let world = World::new("middle");
    let proxy = Proxy::to(&world.bootstrap);
    let [input, out, _dlq] = ["in", "out", "dlq"].map(|topic| world.topic(topic, &[]));
    let worker = world.worker(&copying(&world), &proxy.address());
    let mut sent = 0;
    for _outage in 0..2 {
        world.send(&input, &numbers(sent..sent + 50));
        world.read_until(&out, sent + 50, &worker);
        // These meet an outage somewhere between fetch and commit.
        world.send(&input, &numbers(sent + 50..sent + 100));
        proxy.close(true);
        sent += 100;
        worker.until_status("problem", |status| {
            status.problems.iter().any(|problem| problem.reason == Some(Reason::BrokerUnreachable))
        });
        proxy.close(false);
        world.read_until(&out, sent, &worker);
        worker.until_status("an end of the problem", |status| status.problems.is_empty());
    }
    assert_once(&world.read(&out), sent);
    assert_eq!(worker.stop(), Some(0));
    assert_once(&world.read(&out), sent);
}

#[test]
fn weir_run_says_what_is_missing() {
    let world = World::new("run");
    world.topic("inn", &[]);
    let path = world.manifest(&copying(&world));
    let arguments = ["run", path.to_str().unwrap(), "--kafka", &world.bootstrap];
    let weir = world::Weir::start(&arguments, 1);
    weir.until_said(&format!(
        "weir: source 'in': topic `{}` was not found on {}",
        world.name("in"),
        world.bootstrap
    ));
    assert_eq!(weir.stop(), Some(0));
}
