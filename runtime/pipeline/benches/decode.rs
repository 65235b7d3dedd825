//! The hot path against `serde_json` into a struct, in one process, on the same buffers.
//!
//! Run it with `cargo bench -p pipeline --bench decode`; an argument chooses pairs by a part of their name. One function
//! below is one pair: it gives what we do and what the peer does with the same batch. They run in turns, ours, peer, peer,
//! ours; the result is the median of the ratios of such rounds with its 95 % interval. A limit is met when the
//! whole interval is below it; the process fails when one is not met.

use pipeline::column::{FieldPath, Frame, Projection};
use pipeline::format::json::Decoder;
use pipeline::record::{NewRecord, RecordBatch};
use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const ROWS: usize = 4_096;
const ROUNDS: usize = 101;

fn main() -> ExitCode {
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let bids = bids();
    println!("{ROWS} bids of {} bytes on average, {ROUNDS} rounds", bids.byte_len() / ROWS);
    let pairs: [fn(&RecordBatch) -> Pair<'_>; 1] = [decode_with_projection];
    let mut all_met = true;
    for pair in pairs {
        let pair = pair(&bids);
        if pair.name.contains(&wanted) {
            all_met &= pair.run();
        }
    }
    if all_met { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Three fields of seven, from the batch into columns and from each record into a struct.
fn decode_with_projection(bids: &RecordBatch) -> Pair<'_> {
    let mut decoder = Decoder::new(&projection(&["auction", "price", "channel"]));
    let (mut frame, mut rejects) = (Frame::default(), Vec::new());
    Pair {
        name: "decode with projection",
        limit: 0.7,
        ours: Box::new(move || {
            decoder.decode(bids, &mut frame, &mut rejects);
            assert!(rejects.is_empty());
            black_box(&frame);
        }),
        peer: Box::new(move || each_bid(bids, |bid| drop(black_box(bid)))),
    }
}

/// What the peer decodes.
#[derive(serde::Deserialize)]
#[expect(dead_code, reason = "some pairs read only a part of the fields")]
struct Bid<'a> {
    auction: i64,
    price: i64,
    channel: &'a str,
}

fn each_bid<'a>(bids: &'a RecordBatch, mut use_bid: impl FnMut(Bid<'a>)) {
    for row in 0..bids.len() {
        let bid = bids.value(row).and_then(|value| serde_json::from_slice(value).ok());
        use_bid(bid.expect("every value is a bid"));
    }
}

fn projection(fields: &[&str]) -> Projection {
    let mut projection = Projection::default();
    for field in fields {
        projection.column(&FieldPath(vec![(*field).to_owned()]));
    }
    projection
}

/// Bids as the Nexmark benchmark has them.
fn bids() -> RecordBatch {
    let channels = ["Google", "Facebook", "Baidu", "Apple"];
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut random = |bound: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % bound
    };
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
        let mut time = |work: &mut dyn FnMut()| {
            let start = Instant::now();
            (0..PASSES).for_each(|_| work());
            start.elapsed()
        };
        (0..10).for_each(|_| drop((time(&mut self.ours), time(&mut self.peer))));
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
