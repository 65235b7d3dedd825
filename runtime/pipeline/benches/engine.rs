//! The engine against `serde_json` into a struct, in one process, on the same buffers: the peer only decodes, we decode and
//! do the work; see `pair`.
//!
//! Run it with `cargo bench -p pipeline --bench engine`; an argument chooses pairs by a part of their name. The first three
//! are the acceptance of the engine.

mod pair;

use pair::{Pair, ROUNDS, ROWS, bids, each};
use pipeline::column::{FieldPath, Frame, Projection};
use pipeline::effect::Effects;
use pipeline::format::json::Decoder;
use pipeline::plan::{StageId, from_yaml};
use pipeline::record::RecordBatch;
use pipeline::unit::{Channel, Topology, Unit};
use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;

/// 2024-01-01T00:00:00Z.
const CLOCK_MS: i64 = 1_704_067_200_000;
const CHANNEL: Channel = Channel { input: 0, partition: 0 };

fn main() -> ExitCode {
    let bids = bids();
    println!("{ROWS} bids of {} bytes on average, {ROUNDS} rounds", bids.byte_len() / ROWS);
    pair::run([
        projection(0.7, &bids),
        pair("decode + filter", 0.8, FILTER, &bids),
        pair("decode + tumbling count of 1000 keys", 1.1, COUNT, &bids),
        pair("pass", 1.0, PASS, &bids),
        pair("map", 1.5, MAP, &bids),
        pair("tumbling sum and more of 1000 keys", 1.3, AGGREGATES, &bids),
        pair("tumbling count of 100 000 keys", 1.5, MANY_KEYS, &bids),
    ])
}

const PASS: &str = "steps: []";
/// Half of the bids.
const FILTER: &str = "steps: [{name: dear, filter: {expression: event.price > 5000100}}]";
const MAP: &str =
    "steps: [{name: shape, map: {expression: \"{'auction': event.auction, 'euros': event.price * 0.9}\"}}]";
const COUNT: &str = "steps: [{name: w, window: {keyBy: [auction], tumbling: {size: 10s}, aggregates: [
    {name: 'n', function: Count}]}}]";
const AGGREGATES: &str = "steps: [{name: w, window: {keyBy: [auction], tumbling: {size: 10s}, aggregates: [
    {name: 'n', function: Count}, {name: total, function: Sum, field: price}, {name: mean, function: Average, field: price},
    {name: least, function: Min, field: price}, {name: most, function: Max, field: price}]}}]";
const MANY_KEYS: &str = "steps: [{name: w, window: {keyBy: [bidder], tumbling: {size: 10s}, aggregates: [
    {name: 'n', function: Count}]}}]";

fn pair<'a>(name: &'static str, limit: f64, steps: &str, bids: &'a RecordBatch) -> Pair<'a> {
    let text = format!(
        "apiVersion: weir.dev/v1alpha1\nkind: StreamPipeline\nmetadata: {{name: bench}}\nspec:\n  sources: [{{name: bids, kafka: \
         {{topic: bids}}, eventTime: {{field: dateTime}}}}]\n  {steps}\n  sinks: [{{name: out, kafka: {{topic: out}}}}]\n"
    );
    let plan = Arc::new(from_yaml(&text).expect("a plan"));
    let topology = Topology { units: vec![1; plan.stages().len()], source_partitions: vec![1] };
    let unit = |stage| Unit::new(Arc::clone(&plan), &topology, StageId(stage), 0).expect("a unit");
    let mut units: Vec<Unit> = (0..plan.stages().len() as u16).map(unit).collect();
    let mut passes = 0;
    let ours = Box::new(move || {
        let mut out = Effects::default();
        units[0].on_batch(CHANNEL, bids, CLOCK_MS, &mut out);
        passes += 1;
        // A commit every 64 batches: 25 ms of 10 million records a second.
        if passes % 64 == 0 {
            units[0].on_commit(&mut out);
            for block in std::mem::take(&mut out.blocks) {
                units[1].on_block(CHANNEL, &block.payload, CLOCK_MS, &mut out).expect("a block");
            }
        }
        assert_eq!(out.counters.dead_letters, 0);
        black_box(out);
    });
    Pair { name, limit, ours, peer: Box::new(|| each::<Bid>(bids, |bid| _ = black_box(bid))) }
}

/// The decoder alone, of the fields that the peer decodes too.
fn projection(limit: f64, bids: &RecordBatch) -> Pair<'_> {
    let mut projection = Projection::default();
    for field in ["auction", "price", "channel", "dateTime"] {
        projection.column(&FieldPath(vec![field.to_owned()]));
    }
    let mut decoder = Decoder::new(&projection);
    let (mut frame, mut rejects) = (Frame::default(), Vec::new());
    let ours = Box::new(move || {
        decoder.decode(bids, &mut frame, &mut rejects);
        assert!(rejects.is_empty());
        black_box(&frame);
    });
    let peer = Box::new(|| each::<Bid>(bids, |bid| _ = black_box(bid)));
    Pair { name: "decode with projection", limit, ours, peer }
}

/// What the peer decodes.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "decoding is what is measured")]
struct Bid<'a> {
    auction: i64,
    price: i64,
    channel: &'a str,
    date_time: i64,
}
