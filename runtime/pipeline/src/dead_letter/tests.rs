use super::*;

const NAMES: SinkNames<'static> = SinkNames { pipeline: "p", sink: "out", topic: "t" };

fn record(key: usize, value: usize, headers: &[(&str, usize)]) -> RecordBatch {
    let (key, value) = ("k".repeat(key), "v".repeat(value));
    let mut batch = RecordBatch::new();
    let (key, value) = (Some(key.as_bytes()), Some(value.as_bytes()));
    batch.push(NewRecord { offset: 3, timestamp_ms: 7, key, value });
    for (name, len) in headers {
        batch.push_header(name.as_bytes(), Some("h".repeat(*len).as_bytes()));
    }
    batch
}

fn header(batch: &RecordBatch, name: &str) -> Option<String> {
    let found = batch.headers(0).find(|(header, _)| *header == name.as_bytes());
    found.and_then(|(_, value)| value).map(|value| String::from_utf8_lossy(value).into_owned())
}

fn lens(batch: &RecordBatch) -> (usize, usize) {
    (batch.key(0).map_or(0, <[u8]>::len), batch.value(0).map_or(0, <[u8]>::len))
}

#[test]
fn a_letter_becomes_as_short_as_its_topic_wants() {
    // Limit, and what is left: key, value, the header of the user.
    let whole = record(10, 200_000, &[("user", 100)]);
    for (limit, key, value, user) in [
        (usize::MAX, 10, 200_000, true),
        (whole.log_bytes(0), 10, 200_000, true),
        (whole.log_bytes(0) - 1, 10, 64 << 10, true),
        // 128 for the batch, 114 for the header of the user, 138 for those that say what the whole was.
        (10_000, 10, 10_000 - 128 - 114 - 138 - 10, true),
        (500, 10, 110, true),
        (385, 5, 0, true),
        (300, 10, 24, false),
        (267, 1, 0, false),
        (266, 0, 0, false),
    ] {
        let mut letters = RecordBatch::new();
        assert!(push_letter(&mut letters, &whole, 0, limit), "{limit}");
        assert_eq!((lens(&letters), header(&letters, "user").is_some()), ((key, value), user), "{limit}");
        assert!(letters.log_bytes(0) <= limit, "{limit}: {}", letters.log_bytes(0));
        let is_stub = value != 200_000;
        assert_eq!(header(&letters, "weir.truncated").is_some(), is_stub, "{limit}");
        assert_eq!(header(&letters, "weir.size"), is_stub.then(|| "200000".to_owned()), "{limit}");
        assert_eq!((letters.records()[0].offset, letters.records()[0].timestamp_ms), (3, 7));
    }
    let mut letters = RecordBatch::new();
    assert!(!push_letter(&mut letters, &whole, 0, 265));
    assert!(letters.is_empty(), "nothing half-way is left");
}

#[test]
fn a_stub_of_a_stub_says_what_the_whole_record_was() {
    let whole = record(10, 200_000, &[]);
    let (mut once, mut twice) = (RecordBatch::new(), RecordBatch::new());
    assert!(push_letter(&mut once, &whole, 0, 100_000));
    assert!(push_letter(&mut twice, &once, 0, 1_000));
    for name in ["weir.truncated", "weir.sha256", "weir.size"] {
        assert_eq!(header(&twice, name), header(&once, name), "{name}");
        assert_eq!(twice.headers(0).filter(|(header, _)| *header == name.as_bytes()).count(), 1);
    }
}

#[test]
fn large_headers_go_before_the_body_and_ours_stay() {
    let whole = record(10, 20, &[("user", 2 << 20), ("__connect.errors.stage", 5)]);
    let mut letters = RecordBatch::new();
    assert!(push_letter(&mut letters, &whole, 0, 1 << 20));
    assert_eq!(lens(&letters), (10, 20));
    assert_eq!(header(&letters, "user"), None);
    assert_eq!(header(&letters, "__connect.errors.stage").unwrap(), "hhhhh");
}

#[test]
fn what_a_sink_cannot_take_says_why_and_where() {
    let whole = record(10, 2_000, &[]);
    let mut letters = RecordBatch::new();
    assert!(push_refused(&mut letters, (&whole, 0), Refusal::TooLarge { limit: 1_000 }, &NAMES, 1 << 20));
    assert_eq!(lens(&letters), (10, 2_000), "the dead-letter topic takes it whole");
    assert_eq!(header(&letters, "__connect.errors.exception.class.name").unwrap(), "RecordTooLarge");
    assert_eq!(
        header(&letters, "__connect.errors.exception.message").unwrap(),
        "the record takes 2138 bytes, topic `t` of sink `out` takes 1000 (max.message.bytes)"
    );
    assert_eq!(header(&letters, "__connect.errors.stage").unwrap(), "out");
    assert_eq!(header(&letters, "weir.sink").unwrap(), "out");
    assert_eq!(header(&letters, "weir.truncated"), None);
    let mut letters = RecordBatch::new();
    assert!(push_refused(&mut letters, (&whole, 0), Refusal::NoKey, &NAMES, 1_000));
    assert_eq!(header(&letters, "__connect.errors.exception.class.name").unwrap(), "KeyMissing");
    assert_eq!(header(&letters, "weir.truncated").unwrap(), "true");
    assert!(letters.log_bytes(0) <= 1_000);
}

#[test]
fn messages_are_cut_between_characters() {
    assert_eq!(cut_text("größe", 4), "gr\u{f6}");
    assert_eq!(cut_text("größe", 3), "gr");
    assert_eq!(cut_text("abc", 3), "abc");
}
