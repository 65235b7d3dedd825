//! The hot path against `serde_json` into a struct, in one process, on the same buffers.
//!
//! Run it with `cargo bench -p pipeline --bench decode`; an argument chooses pairs by a part of their name. One function
//! below is one pair: it gives what we do and what the peer does with the same batch. They run in turns, ours, peer, peer,
//! ours; the result is the median of the ratios of such rounds with its 95 % interval. A limit is met when the
//! whole interval is below it; the process fails when one is not met.

use pipeline::column::{FieldPath, Frame, Projection};
use pipeline::format::json::Decoder;
use pipeline::record::{NewRecord, RecordBatch};
use pipeline::schema::Schema;
use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const ROWS: usize = 4_096;
const ROUNDS: usize = 101;

fn main() -> ExitCode {
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let (bids, clicks) = (bids(), clicks());
    for (name, batch) in [("bids", &bids), ("clicks", &clicks)] {
        println!("{ROWS} {name} of {} bytes on average, {ROUNDS} rounds", batch.byte_len() / ROWS);
    }
    let pairs = [decode_with_projection(&bids), decode_of_other_shapes(&clicks), validate_by_schema(&bids)];
    let chosen = pairs.into_iter().filter(|pair| pair.name.contains(&wanted));
    let missed = chosen.map(Pair::run).filter(|met| !met).count();
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Three fields of seven, from the batch into columns and from each record into a struct.
fn decode_with_projection(bids: &RecordBatch) -> Pair<'_> {
    Pair {
        name: "decode with projection",
        limit: 0.7,
        ours: decode(bids, &["auction", "price", "channel"]),
        peer: Box::new(|| each::<Bid>(bids, |bid| _ = black_box(bid))),
    }
}

/// Spaces, objects inside, members that are left out, fractions, text that is not ASCII.
fn decode_of_other_shapes(clicks: &RecordBatch) -> Pair<'_> {
    Pair {
        name: "decode of other shapes",
        limit: 0.7,
        ours: decode(clicks, &["user.id", "amount", "page.title"]),
        peer: Box::new(|| each::<Click>(clicks, |click| _ = black_box(click))),
    }
}

/// A JSON Schema over all fields, against the same schema over the tree of `serde_json`.
fn validate_by_schema(bids: &RecordBatch) -> Pair<'_> {
    let text = r#"{
        "type": "object", "required": ["auction", "bidder", "price", "dateTime"], "additionalProperties": false,
        "properties": {
            "auction": {"type": "integer", "minimum": 0}, "bidder": {"type": "integer", "minimum": 0},
            "price": {"type": "number", "exclusiveMinimum": 0}, "channel": {"enum": ["Google", "Facebook", "Baidu", "Apple"]},
            "url": {"type": "string", "maxLength": 200}, "dateTime": {"type": "integer"}, "extra": {"type": "string"}
        }
    }"#;
    let schema = Schema::compile(text).expect("a schema");
    let tree = serde_json::from_str(text).ok().and_then(|schema| jsonschema::validator_for(&schema).ok());
    let tree = tree.expect("a schema");
    Pair {
        name: "validate by schema",
        limit: 0.5,
        ours: Box::new(move || {
            for row in 0..bids.len() {
                assert!(black_box(schema.validate_row(bids, row)).is_ok());
            }
        }),
        peer: Box::new(move || {
            each::<serde_json::Value>(bids, |bid| assert!(black_box(tree.is_valid(&bid))));
        }),
    }
}

fn decode<'a>(batch: &'a RecordBatch, fields: &[&str]) -> Box<dyn FnMut() + 'a> {
    let mut projection = Projection::default();
    for field in fields {
        projection.column(&FieldPath(field.split('.').map(str::to_owned).collect()));
    }
    let mut decoder = Decoder::new(&projection);
    let (mut frame, mut rejects) = (Frame::default(), Vec::new());
    Box::new(move || {
        decoder.decode(batch, &mut frame, &mut rejects);
        assert!(rejects.is_empty());
        black_box(&frame);
    })
}

/// What the peer decodes.
#[derive(serde::Deserialize)]
#[expect(dead_code, reason = "decoding is what is measured")]
struct Bid<'a> {
    auction: i64,
    price: i64,
    channel: &'a str,
}

#[derive(serde::Deserialize)]
#[expect(dead_code, reason = "decoding is what is measured")]
struct Click<'a> {
    #[serde(borrow)]
    user: User<'a>,
    amount: f64,
    #[serde(borrow)]
    page: Option<Page<'a>>,
}

#[derive(serde::Deserialize)]
#[expect(dead_code, reason = "decoding is what is measured")]
struct User<'a> {
    id: &'a str,
}

#[derive(serde::Deserialize)]
#[expect(dead_code, reason = "decoding is what is measured")]
struct Page<'a> {
    title: &'a str,
}

fn each<'a, T: serde::Deserialize<'a>>(batch: &'a RecordBatch, mut take: impl FnMut(T)) {
    for value in (0..batch.len()).filter_map(|row| batch.value(row)) {
        take(serde_json::from_slice(value).expect("every value has the fields"));
    }
}

/// Bids as the Nexmark benchmark has them.
fn bids() -> RecordBatch {
    let channels = ["Google", "Facebook", "Baidu", "Apple"];
    let mut random = random();
    let mut batch = RecordBatch::new();
    for row in 0..ROWS as u64 {
        let (auction, bidder, price) =
            (1_000 + random(1_000), 1_000 + random(100_000), 100 + random(10_000_000));
        let channel = channels[random(4) as usize];
        let time = 1_700_000_000_000 + row / 50;
        let extra = "abcdefghijklmnopqrstuvwxyz"
            .repeat(2)
            .chars()
            .skip(random(26) as usize)
            .take(18)
            .collect::<String>();
        let path = random(1 << 30);
        let value = format!(
            r#"{{"auction":{auction},"bidder":{bidder},"price":{price},"channel":"{channel}","url":"https://www.nexmark.com/{path:x}/item.htm?query=1","dateTime":{time},"extra":"{extra}"}}"#
        );
        batch.push(NewRecord { offset: row as i64, value: Some(value.as_bytes()), ..NewRecord::default() });
    }
    batch
}

/// Clicks as a service in Python might write them.
fn clicks() -> RecordBatch {
    let titles = ["Start", "Über uns", "Kontakt & Anfahrt", "商品一覧"];
    let mut random = random();
    let mut batch = RecordBatch::new();
    for row in 0..ROWS as u64 {
        let (user, cents, title) = (random(100_000), random(100_000), titles[random(4) as usize]);
        let referrer = if random(3) == 0 { r#""referrer": "https://example.com/", "# } else { "" };
        let page = if random(4) == 0 {
            String::new()
        } else {
            format!(r#""page": {{"title": "{title}", "path": "/p/{user}"}}, "#)
        };
        let value = format!(
            r#"{{"type": "click", {referrer}"user": {{"country": "DE", "id": "u-{user}"}}, {page}"tags": ["a", "b", 3], "amount": {}.{:02}, "at": "2026-01-01T00:{:02}:00Z"}}"#,
            cents / 100,
            cents % 100,
            row % 60
        );
        batch.push(NewRecord { offset: row as i64, value: Some(value.as_bytes()), ..NewRecord::default() });
    }
    batch
}

/// Numbers below a bound, the same ones in each run.
fn random() -> impl FnMut(u64) -> u64 {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    move |bound| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % bound
    }
}

/// Two ways to do the same with one batch.
struct Pair<'a> {
    name: &'static str,
    /// Our time divided by that of the peer, at most.
    limit: f64,
    ours: Box<dyn FnMut() + 'a>,
    peer: Box<dyn FnMut() + 'a>,
}

impl Pair<'_> {
    /// Measures, prints a line, and says whether the limit is met.
    fn run(mut self) -> bool {
        const PASSES: u32 = 4;
        let time = |work: &mut dyn FnMut()| {
            let start = Instant::now();
            (0..PASSES).for_each(|_| work());
            start.elapsed()
        };
        for _ in 0..10 {
            time(&mut self.ours);
            time(&mut self.peer);
        }
        let mut rounds: Vec<(Duration, Duration)> = (0..ROUNDS)
            .map(|_| {
                let [first, second, third, fourth] =
                    [time(&mut self.ours), time(&mut self.peer), time(&mut self.peer), time(&mut self.ours)];
                (first + fourth, second + third)
            })
            .collect();
        let nanoseconds = |total: Duration| total.as_nanos() as f64 / f64::from(2 * PASSES) / ROWS as f64;
        let mut median = |key: &dyn Fn(&(Duration, Duration)) -> f64| {
            rounds.sort_by(|a, b| key(a).total_cmp(&key(b)));
            // The ranks between which the median lies with 95 % probability.
            let spread = (0.98 * (ROUNDS as f64).sqrt()).ceil() as usize;
            [ROUNDS / 2 - spread, ROUNDS / 2, ROUNDS / 2 + spread].map(|rank| key(&rounds[rank]))
        };
        let [_, ours, _] = median(&|round| nanoseconds(round.0));
        let [_, peer, _] = median(&|round| nanoseconds(round.1));
        let [low, ratio, high] = median(&|round| round.0.as_secs_f64() / round.1.as_secs_f64());
        let met = high <= self.limit;
        println!(
            "{:32} ours {ours:6.1} ns  peer {peer:6.1} ns  ratio {ratio:.3} [{low:.3}, {high:.3}]  limit {:.1} {}",
            self.name,
            self.limit,
            if met { "met" } else { "MISSED" }
        );
        met
    }
}
