//! The hot path against `serde_json` into a struct, in one process, on the same buffers; see `pair`.
//!
//! Run it with `cargo bench -p pipeline --bench decode`; an argument chooses pairs by a part of their name. One function
//! below is one pair: it gives what we do and what the peer does with the same batch.

mod pair;

use pair::{Pair, ROUNDS, ROWS, bids, each, random};
use pipeline::column::{FieldPath, Frame, Projection};
use pipeline::format::json::Decoder;
use pipeline::record::{NewRecord, RecordBatch};
use pipeline::schema::Schema;
use std::hint::black_box;
use std::process::ExitCode;

fn main() -> ExitCode {
    let (bids, clicks) = (bids(), clicks());
    for (name, batch) in [("bids", &bids), ("clicks", &clicks)] {
        println!("{ROWS} {name} of {} bytes on average, {ROUNDS} rounds", batch.byte_len() / ROWS);
    }
    pair::run([decode_with_projection(&bids), decode_of_other_shapes(&clicks), validate_by_schema(&bids)])
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
