//! What an expression costs per row, beside a closure that does the same on rows of a struct.
//!
//! `cargo bench -p pipeline --bench expression`; the columns are decoded before, so that only kernels are measured.

use pipeline::column::{Column, Frame, Projection};
use pipeline::expression::{Context, Expression, Kernel};
use pipeline::format::json::Decoder;
use pipeline::record::{NewRecord, RecordBatch};
use std::fmt::Write;
use std::hint::black_box;
use std::time::Instant;

const ROWS: usize = 4096;
const ROUNDS: usize = 300;

fn main() {
    let rows: Vec<Row> = (0..ROWS).map(Row::new).collect();
    let mut batch = RecordBatch::new();
    for (offset, row) in rows.iter().enumerate() {
        batch.push(NewRecord {
            offset: offset as i64,
            timestamp_ms: 0,
            key: None,
            value: Some(row.json().as_bytes()),
        });
    }
    println!("{:>10}  {:>8}  expression", "ns/row", "kept");
    let filters = [
        "event.amount > 100",
        "event.country == 'DE'",
        "event.amount > 100 && event.country == 'DE'",
        "event.amount > 100 || event.country == 'DE'",
        "!(event.amount > 100)",
        "event.country in ['DE', 'AT', 'CH']",
        "event.type.startsWith('order.')",
        "event.type.matches('^order[.](paid|sent)$')",
        "event.amount * 2 + 1 > event.limit",
        "event.?missing.orValue(0) > 100 || event.amount > 100",
        "event.missing > 100 || event.amount > 100",
        "has(event.missing) && event.missing > 1",
        "timestamp(event.ts) > timestamp('2026-01-01T00:00:00Z')",
        "event.items.exists(i, i > 2)",
    ];
    for text in filters {
        filter(text, &batch);
    }
    for text in
        ["event.amount * 2 + 1", "event.country + '-' + event.type", "event.amount > 100 ? 'big' : 'small'"]
    {
        values(text, &batch);
    }
    values(
        "{'id': event.id, 'country': event.country, 'total': event.amount * event.qty, 'type': event.type}",
        &batch,
    );
    closure("row.amount > 100", &rows, |row| row.amount > 100);
    closure("row.amount > 100 && row.country == \"DE\"", &rows, |row| {
        row.amount > 100 && row.country == "DE"
    });
    closure("row.type.starts_with(\"order.\")", &rows, |row| row.kind.starts_with("order."));
}

struct Row {
    id: i64,
    amount: i64,
    limit: i64,
    country: String,
    kind: String,
}

impl Row {
    fn new(index: usize) -> Self {
        // A fixed sequence without a pattern that a branch predictor learns.
        let mixed = (index as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33;
        let country = ["DE", "FR", "AT", "IT"][mixed as usize % 4].to_owned();
        let kind = ["order.paid", "order.sent", "refund", "invoice.made"][mixed as usize / 4 % 4].to_owned();
        Self { id: index as i64, amount: (mixed % 200) as i64, limit: (mixed % 300) as i64, country, kind }
    }

    fn json(&self) -> String {
        let Self { id, amount, limit, country, kind } = self;
        let mut text = String::new();
        let _ = write!(
            text,
            r#"{{"id":{id},"amount":{amount},"qty":3,"limit":{limit},"country":"{country}","type":"{kind}","ts":"2026-11-21T10:00:00Z","items":[1,2,3]}}"#
        );
        text
    }
}

/// A kernel and the frame that it reads.
fn bound(text: &str, batch: &RecordBatch) -> (Kernel, Frame) {
    let expression = Expression::compile(text).expect(text);
    let mut projection = Projection::default();
    for path in expression.fields() {
        projection.column(path);
    }
    let mut frame = Frame::default();
    Decoder::new(&projection).decode(batch, &mut frame, &mut Vec::new());
    (Kernel::bind(&expression, &projection).expect(text), frame)
}

/// The median time of a round, in nanoseconds per row.
fn measure(mut round: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            round();
            start.elapsed().as_nanos() as f64 / ROWS as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[ROUNDS / 2]
}

fn filter(text: &str, batch: &RecordBatch) {
    let (mut kernel, mut frame) = bound(text, batch);
    let context = Context { batch, topic: "orders", partition: 0, clock_ms: 0 };
    let all: Vec<u32> = (0..ROWS as u32).collect();
    let (mut selection, mut failed, scratch) = (Vec::new(), Vec::new(), frame.scratch.len());
    let time = measure(|| {
        frame.scratch.truncate(scratch);
        frame.errors.clear();
        selection.clear();
        selection.extend_from_slice(&all);
        kernel.filter(&context, &mut frame, &mut selection, &mut failed);
        black_box(&selection);
        failed.clear();
    });
    println!("{time:>10.2}  {:>8}  {text}", selection.len());
}

fn values(text: &str, batch: &RecordBatch) {
    let (mut kernel, mut frame) = bound(text, batch);
    let context = Context { batch, topic: "orders", partition: 0, clock_ms: 0 };
    let all: Vec<u32> = (0..ROWS as u32).collect();
    let (mut out, scratch) = (Column::default(), frame.scratch.len());
    let time = measure(|| {
        frame.scratch.truncate(scratch);
        frame.errors.clear();
        kernel.evaluate(&context, &mut frame, &all, &mut out);
        black_box(&out);
    });
    println!("{time:>10.2}  {:>8}  {text}", "");
}

fn closure(text: &str, rows: &[Row], keep: impl Fn(&Row) -> bool) {
    let mut kept: Vec<u32> = Vec::with_capacity(rows.len());
    let time = measure(|| {
        kept.clear();
        kept.extend((0..rows.len() as u32).filter(|row| keep(&rows[*row as usize])));
        black_box(&kept);
    });
    println!("{time:>10.2}  {:>8}  closure: {text}", kept.len());
}
