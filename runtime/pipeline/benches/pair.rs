//! What the benches share: their input, the peer, and how the two are measured side by side in one process.
//!
//! Both run in turns on the same batch, ours, peer, peer, ours; that is one round. A line says the medians, and the median
//! of the ratios of the rounds with its 95 % interval. A limit is met when the whole interval is below it.

use pipeline::record::{NewRecord, RecordBatch};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Both sides run with the allocator of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Records of a batch.
pub const ROWS: usize = 4_096;
/// Rounds of a pair.
pub const ROUNDS: usize = 101;

/// Measures the pairs whose name holds the argument of the process; fails when a limit is not met.
pub fn run<'a>(pairs: impl IntoIterator<Item = Pair<'a>>) -> ExitCode {
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let chosen = pairs.into_iter().filter(|pair| pair.name.contains(&wanted));
    let missed = chosen.map(Pair::run).filter(|met| !met).count();
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Two ways to do the same with one batch.
pub struct Pair<'a> {
    pub name: &'static str,
    /// Our time divided by that of the peer, at most.
    pub limit: f64,
    pub ours: Box<dyn FnMut() + 'a>,
    pub peer: Box<dyn FnMut() + 'a>,
}

impl Pair<'_> {
    /// Measures, prints a line, and says whether the limit is met.
    pub fn run(mut self) -> bool {
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
        let verdict = if met { "PASS" } else { "FAIL" };
        let rate = |ns: f64| format!("{ns:6.1} ns/event, {:5.1} M events/s", 1e3 / ns);
        println!("{:36} ours       {}", self.name, rate(ours));
        println!("{:36} serde_json {}", "", rate(peer));
        println!(
            "{:36} ratio      {ratio:.3} [{low:.3}, {high:.3}], at most {:.1}: {verdict}",
            "", self.limit
        );
        met
    }
}

/// Decodes every value of a batch with `serde_json`.
pub fn each<'a, T: serde::Deserialize<'a>>(batch: &'a RecordBatch, mut take: impl FnMut(T)) {
    for value in (0..batch.len()).filter_map(|row| batch.value(row)) {
        take(serde_json::from_slice(value).expect("every value has the fields"));
    }
}

/// Bids as the Nexmark benchmark has them.
pub fn bids() -> RecordBatch {
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
pub fn random() -> impl FnMut(u64) -> u64 {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    move |bound| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % bound
    }
}
