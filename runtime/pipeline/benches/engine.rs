//! Whole units against `serde_json` into a struct, in one process, on the same buffers: the peer only decodes, we decode
//! and do the work.
//!
//! Run it with `cargo bench -p pipeline --bench engine`; an argument chooses pairs by a part of their name. Each line is
//! the median of the ratios of 101 rounds (ours, peer, peer, ours) with its 95 % interval; a limit is met when the whole
//! interval is below it. The process fails when one is not met.

use pipeline::effect::Effects;
use pipeline::plan::{StageId, from_yaml};
use pipeline::record::{NewRecord, RecordBatch};
use pipeline::unit::{Channel, Topology, Unit};
use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

const ROWS: usize = 4_096;
const ROUNDS: usize = 101;
/// 2024-01-01T00:00:00Z.
const CLOCK_MS: i64 = 1_704_067_200_000;
const CHANNEL: Channel = Channel { input: 0, partition: 0 };

fn main() -> ExitCode {
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let bids = bids();
    println!("{ROWS} bids of {} bytes on average, {ROUNDS} rounds", bids.byte_len() / ROWS);
    let pairs = [
        pair("pass", 1.0, PASS, &bids),
        pair("filter", 0.8, FILTER, &bids),
        pair("map", 1.5, MAP, &bids),
        pair("tumbling count of 1000 keys", 1.1, COUNT, &bids),
        pair("tumbling sum and more of 1000 keys", 1.3, AGGREGATES, &bids),
        pair("tumbling count of 100 000 keys", 1.5, MANY_KEYS, &bids),
    ];
    let chosen = pairs.into_iter().filter(|pair| pair.name.contains(&wanted));
    let missed = chosen.map(Pair::run).filter(|met| !met).count();
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
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
