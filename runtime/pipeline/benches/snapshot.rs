//! What a snapshot costs the worker and how much of it has to be written, for growing state, beside the encoding of the
//! whole state in the worker's loop.
//!
//! Run it with `cargo bench -p pipeline --bench snapshot`. All is measured in turns in one process, on one window with
//! `Count` and `Sum` in which every key was seen again since the last snapshot. A line says medians, and the longest time.

use pipeline::effect::Effects;
use pipeline::plan::{StageId, from_yaml};
use pipeline::record::{NewRecord, RecordBatch};
use pipeline::unit::{Channel, Snapshot, Topology, Unit};
use std::collections::BTreeSet;
use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The allocator of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// 2024-01-01T00:00:00Z.
const CLOCK_MS: i64 = 1_704_067_200_000;
const CHANNEL: Channel = Channel { input: 0, partition: 0 };
const ROUNDS: usize = 15;
/// The worker may not be held up longer, whatever the state.
const BLOCKED_MAX: Duration = Duration::from_millis(5);

fn main() -> ExitCode {
    let met = [10_000, 100_000, 1_000_000].map(|keys| Bench::new(keys).run());
    if met.iter().all(|met| *met) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Both units of a pipeline with one window.
struct Bench {
    keys: u64,
    source: Unit,
    merging: Unit,
}

/// Times of one kind.
#[derive(Default)]
struct Times(Vec<Duration>);

impl Times {
    fn measure<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let done = work();
        self.0.push(start.elapsed());
        done
    }

    fn median(&mut self) -> Duration {
        self.0.sort();
        self.0[self.0.len() / 2]
    }

    fn longest(&self) -> Duration {
        self.0.iter().copied().max().unwrap_or_default()
    }
}

impl Bench {
    fn new(keys: u64) -> Self {
        let text = "apiVersion: weir.dev/v1alpha1\nkind: StreamPipeline\nmetadata: {name: bench}\nspec:\n  sources: [{name: in, kafka: {topic: \
                    in}, eventTime: {field: at}}]\n  steps: [{name: w, window: {keyBy: [user], tumbling: {size: 1d}, aggregates: [{name: 'n', \
                    function: Count}, {name: total, function: Sum, field: v}]}}]\n  sinks: [{name: out, kafka: {topic: out}}]\n";
        let plan = Arc::new(from_yaml(text).expect("a plan"));
        let topology = Topology { units: vec![1; 2], source_partitions: vec![1] };
        let unit = |stage| Unit::new(Arc::clone(&plan), &topology, StageId(stage), 0).expect("a unit");
        let mut bench = Self { keys, source: unit(0), merging: unit(1) };
        let all = bench.blocks(0..keys);
        bench.merge(&all);
        assert_eq!(bench.merging.open_groups() as u64, keys);
        bench
    }

    /// Blocks with one record of each of these keys.
    fn blocks(&mut self, keys: impl Iterator<Item = u64>) -> Vec<Vec<u8>> {
        let keys: Vec<u64> = keys.collect();
        let mut out = Effects::default();
        for some in keys.chunks(10_000) {
            let mut batch = RecordBatch::new();
            for key in some {
                let value = format!(r#"{{"user":"user-{key}","v":{},"at":1700000000000}}"#, key % 1000);
                batch.push(NewRecord { value: Some(value.as_bytes()), ..NewRecord::default() });
            }
            self.source.on_batch(CHANNEL, &batch, CLOCK_MS, &mut out);
            self.source.on_commit(&mut out);
        }
        out.blocks.into_iter().map(|block| block.payload).collect()
    }

    fn merge(&mut self, blocks: &[Vec<u8>]) {
        for block in blocks {
            self.merging.on_block(CHANNEL, block, CLOCK_MS, &mut Effects::default()).expect("a block");
        }
    }

    fn snapshot(&mut self) -> Snapshot {
        self.merging.snapshot().expect("a merging unit is always flushed")
    }

    fn run(mut self) -> bool {
        let keys = self.keys;
        let all = self.blocks(0..keys);
        let [mut whole, mut taken, mut copying, mut merging, mut elsewhere] =
            [(); 5].map(|()| Times::default());
        for _ in 0..ROUNDS {
            self.merge(&all);
            black_box(whole.measure(|| self.snapshot().to_bytes()));
            self.merge(&all);
            let held = taken.measure(|| self.snapshot());
            copying.measure(|| self.merge(&all));
            elsewhere.measure(|| black_box(written(&held, &BTreeSet::new())));
            merging.measure(|| self.merge(&all));
        }
        let (together, spread) = (self.blocks(0..keys / 100), self.blocks((0..keys).step_by(100)));
        let written = [all, together, spread].map(|blocks| {
            let known = self.snapshot().pages().iter().map(|page| page.id()).collect();
            self.merge(&blocks);
            written(&self.snapshot(), &known)
        });
        let met = taken.median() <= BLOCKED_MAX;
        println!("{keys} keys, {} pages", self.snapshot().pages().len());
        println!("  the whole state in the loop   {:9.1?} (longest {:.1?})", whole.median(), whole.longest());
        let verdict = if met { "PASS" } else { "FAIL" };
        println!(
            "  a snapshot                    {:9.1?} (longest {:.1?}), at most {BLOCKED_MAX:?}: {verdict}",
            taken.median(),
            taken.longest()
        );
        println!(
            "  the next write to every key   {:9.1?}, without a snapshot {:.1?}",
            copying.median(),
            merging.median()
        );
        println!("  to encode all, elsewhere      {:9.1?}", elsewhere.median());
        println!(
            "  bytes written                 {} for all keys, {} for 1 % that came together, {} for every 100th",
            written[0], written[1], written[2]
        );
        met
    }
}

/// Bytes of a snapshot without the pages that are known.
fn written(snapshot: &Snapshot, known: &BTreeSet<u64>) -> usize {
    let mut bytes = snapshot.head().to_vec();
    let new = snapshot.pages().iter().filter(|page| !known.contains(&page.id()));
    new.for_each(|page| page.encode(&mut bytes));
    bytes.len()
}
