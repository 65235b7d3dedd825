//! Snapshots whose pages lie in several objects: a crash or a failure at each step of storing, pointing and trimming is
//! noticed by nobody, and what is kept stays bounded.

use super::{Rig, largest};
use connect::door::{KafkaIo, TopicPartition};
use connect::snapshot::{Shard, SnapshotError, SnapshotStore, TopicStore};
use protocol::snapshot::Limits;
use runtime::local::setup;
use runtime::pod::Intents;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Late records are waited for, so that many windows are open of which few change.
const PIPELINE: &str = r"apiVersion: weir.dev/v1alpha1
kind: StreamPipeline
metadata: {name: long}
spec:
  sources: [{name: in, kafka: {topic: in}, eventTime: {field: ts, maxOutOfOrderness: 1s, idleTimeout: 1h}}]
  steps:
    - name: per-user
      window:
        keyBy: [user, 'n']
        tumbling: {size: 5s}
        allowedLateness: 50s
        aggregates: [{name: clicks, function: Count}]
        lateSink: {kafka: {topic: late}}
  sinks: [{name: counts, kafka: {topic: counts}}]
";

/// So that little state, which is less than the list of its pages, is spread like a large one.
const SPREAD: Limits = Limits { whole_bytes: 0, space_times: 100, objects: 4 };

/// Most offsets in a partition of snapshots, markers included. The limit is one of bytes; this is what it comes to here.
const SNAPSHOTS_MAX: i64 = 64;

/// What happens to a call of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Passes,
    /// It fails, and nothing is done.
    Fails,
    /// It is done, and fails nevertheless.
    LosesItsAnswer,
    /// It is done, and everybody crashes before anything follows from it.
    ThenCrash,
}

/// Decides the fate of calls by their number.
#[derive(Debug)]
pub(super) struct Watch {
    put: fn(u64) -> Fate,
    trim: fn(u64) -> Fate,
    puts: AtomicU64,
    trims: AtomicU64,
    crash: AtomicBool,
}

impl Default for Watch {
    fn default() -> Self {
        Self::new(|_| Fate::Passes, |_| Fate::Passes)
    }
}

impl Watch {
    fn new(put: fn(u64) -> Fate, trim: fn(u64) -> Fate) -> Self {
        let (puts, trims) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { put, trim, puts, trims, crash: AtomicBool::new(false) }
    }

    /// Some calls do not pass.
    pub(super) fn fails(&self) -> bool {
        (0..100).any(|call| (self.put)(call) != Fate::Passes)
    }

    fn call<T>(
        &self,
        fate: Fate,
        key: &str,
        act: impl FnOnce() -> Result<T, SnapshotError>,
    ) -> Result<T, SnapshotError> {
        let failed = || SnapshotError::NotCommitted { key: key.to_owned(), topic: "watched".to_owned() };
        match fate {
            Fate::Passes => act(),
            Fate::Fails => Err(failed()),
            Fate::LosesItsAnswer => {
                act()?;
                Err(failed())
            }
            Fate::ThenCrash => {
                self.crash.store(true, Ordering::Relaxed);
                act()
            }
        }
    }
}

/// A store under watch.
pub(super) struct Watched {
    pub(super) store: TopicStore,
    pub(super) watch: std::sync::Arc<Watch>,
}

impl SnapshotStore for Watched {
    fn put(&mut self, shard: &Shard, key: &str, bytes: &[u8]) -> Result<String, SnapshotError> {
        let fate = (self.watch.put)(self.watch.puts.fetch_add(1, Ordering::Relaxed));
        self.watch.call(fate, key, || self.store.put(shard, key, bytes))
    }

    fn get(&mut self, name: &str) -> Result<Vec<u8>, SnapshotError> {
        self.store.get(name)
    }

    fn trim(&mut self, shard: &Shard, oldest: &str) -> Result<(), SnapshotError> {
        let fate = (self.watch.trim)(self.watch.trims.fetch_add(1, Ordering::Relaxed));
        self.watch.call(fate, oldest, || self.store.trim(shard, oldest))
    }

    fn list(&mut self, shard: &Shard) -> Result<Vec<String>, SnapshotError> {
        self.store.list(shard)
    }
}

/// What was written of snapshots, and what states they are of.
#[derive(Default)]
struct Volume {
    written: u64,
    state: u64,
}

/// Runs to the end; gives the number of crashes too.
fn run(workers: u32, watch: Watch, limits: Limits) -> (Rig, Volume, u64) {
    let mut rig = Rig::of(PIPELINE, limits, watch);
    let (mut running, mut volume, mut crashes) = (rig.workers(workers), Volume::default(), 0);
    loop {
        let finished = rig.step(&mut running, &Intents::default());
        let crashed = rig.watch.crash.swap(false, Ordering::Relaxed);
        if finished || crashed {
            for timings in running.iter().map(|worker| worker.report().timings) {
                volume.written += timings.snapshot_written;
                volume.state += timings.snapshot_state;
            }
        }
        if finished {
            return (rig, volume, crashes);
        }
        if crashed {
            crashes += 1;
            running = rig.workers(workers);
        }
    }
}

fn expected() -> BTreeMap<String, Vec<String>> {
    run(1, Watch::default(), Limits::USUAL).0.outputs()
}

#[test]
fn what_did_not_change_is_not_written_again_and_what_is_kept_is_bounded() {
    let (rig, volume, _) = run(1, Watch::default(), SPREAD);
    assert_eq!(rig.outputs(), expected());
    let (longest, highest) = largest(&rig, &rig.snapshots());
    assert!(longest <= SNAPSHOTS_MAX && highest > 5 * SNAPSHOTS_MAX, "{longest} offsets of {highest}");
    assert!(rig.watch.trims.load(Ordering::Relaxed) > 20);
    let (_, whole, _) = run(1, Watch::default(), Limits::USUAL);
    assert!(volume.written < whole.written, "{} bytes instead of {}", volume.written, whole.written);
    assert!(volume.state > 0);
}

/// What happens, and the watch for it.
type Case = (&'static str, fn() -> Watch);

#[test]
fn a_crash_or_failure_at_any_step_of_a_snapshot_is_noticed_by_nobody() {
    let expected = expected();
    let watches: [Case; 7] = [
        ("puts fail", || Watch::new(|n| fate(n, 3, Fate::Fails), |_| Fate::Passes)),
        ("most puts fail", || {
            Watch::new(
                |n| if mixed(n).is_multiple_of(4) { Fate::Passes } else { Fate::Fails },
                |_| Fate::Passes,
            )
        }),
        ("answers of puts are lost", || Watch::new(|n| fate(n, 3, Fate::LosesItsAnswer), |_| Fate::Passes)),
        ("crash before the pointer", || Watch::new(|n| fate(n, 7, Fate::ThenCrash), |_| Fate::Passes)),
        ("crash behind a trimming", || Watch::new(|_| Fate::Passes, |n| fate(n, 3, Fate::ThenCrash))),
        ("trimmings fail", || Watch::new(|_| Fate::Passes, |n| fate(n, 2, Fate::Fails))),
        ("all of it", || {
            Watch::new(
                |n| {
                    [Fate::Passes, Fate::LosesItsAnswer, Fate::Passes, Fate::ThenCrash, Fate::Fails]
                        [mixed(n) as usize % 5]
                },
                |n| [Fate::LosesItsAnswer, Fate::Passes, Fate::Fails, Fate::ThenCrash][mixed(n) as usize % 4],
            )
        }),
    ];
    for workers in [1, 2] {
        for (what, watch) in watches {
            let (rig, _, crashes) = run(workers, watch(), SPREAD);
            assert_eq!(rig.outputs(), expected, "{workers} workers, {what}, {crashes} crashes");
            assert_eq!(
                crashes > 5,
                what.contains("crash") || what == "all of it",
                "{what}: {crashes} crashes"
            );
            // Lives that end before they trim keep more; it is bounded nevertheless.
            let (longest, highest) = largest(&rig, &rig.snapshots());
            assert!(longest <= 3 * SNAPSHOTS_MAX && highest > longest, "{what}: {longest} of {highest}");
        }
    }
}

/// One of so many calls, here and there, so that no unit has all of them.
fn fate(call: u64, of: u64, fate: Fate) -> Fate {
    if mixed(call).is_multiple_of(of) { fate } else { Fate::Passes }
}

/// A number that looks like any other.
fn mixed(call: u64) -> u64 {
    call.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40
}

#[test]
fn a_page_that_is_really_lost_fails_closed_like_a_snapshot() {
    let mut rig = Rig::of(PIPELINE, SPREAD, Watch::default());
    let mut running = rig.workers(1);
    for _ in 0..600 {
        rig.step(&mut running, &Intents::default());
    }
    // All is saved, and the journals point to it.
    for _ in 0..200 {
        rig.moves(&mut running, &Intents::default());
    }
    let mut io = rig.log.connect("thief");
    for topic in rig.snapshots() {
        for (partition, (start, end)) in (0..).zip(rig.extent(&topic)) {
            // The newest object is a record and the end of its transaction: it stays, what it refers to goes.
            let newest = (end - 2).max(start);
            io.delete_records(&[(TopicPartition { topic: topic.clone(), partition }, newest)]).unwrap();
        }
    }
    let mut worker = rig.worker(setup(&rig.plan, 0, 1));
    let problem = rig.permanent_problem(&mut worker);
    let problem = problem.expect("it does not go on without a page");
    assert!(problem.message.contains("was not found in topic"), "{problem:?}");
}
