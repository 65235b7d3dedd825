//! Every case under `pipeline/cases` is run whole: with 1, 2 and 3 workers, and killed and restored at every commit. The
//! records that come out are the same each time.
//!
//! A case is a folder with `pipeline.yaml`, one `<source>.jsonl` (or `<source>.envelope.jsonl`) per source, and
//! `expected/<sink>.jsonl` (or `expected/<sink>.envelope.jsonl`) per sink, in any order of lines; a sink without a file
//! stays empty. `partitions` may hold the number of partitions of the topics.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends at the first surprise")]

use connect::door::Partitioning;
use connect::envelope::{LineForm, LineRead, LineReader, write_line};
use connect::memory::{Log, Settings};
use connect::snapshot::{MemoryStore, Uploads};
use pipeline::plan::{Plan, SinkConnector, SourceConnector};
use pipeline::record::RecordBatch;
use protocol::commit::Timing;
use runtime::cluster::SecretsFrom;
use runtime::local::{Bounds, LocalEnvironment, identity, setup};
use runtime::pod::Intents;
use runtime::worker::{Now, Step, Worker};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Steps without an end are a failure of the case.
const STEPS_MAX: u64 = 400_000;
/// The wall clock of all cases: 2026-11-21T00:00:00Z.
const WALL_MS: i64 = 1_795_219_200_000;

/// Lines per sink, sorted.
type Outputs = BTreeMap<String, Vec<String>>;

struct Case {
    folder: PathBuf,
    plan: Arc<Plan>,
    partitions: u32,
}

impl Case {
    fn open(folder: PathBuf) -> Self {
        let text = read(&folder.join("pipeline.yaml"));
        let loaded = pipeline::plan::load([("pipeline.yaml", text.as_str())])
            .unwrap_or_else(|problems| panic!("{}: {problems:#?}", folder.display()));
        let [pipeline] = loaded.pipelines.as_slice() else { panic!("{}: not one", folder.display()) };
        let secrets = SecretsFrom::Documents(loaded.secrets(pipeline.plan.namespace()));
        let plan = pipeline.plan.with_keys(secrets.mask_keys(&pipeline.plan).unwrap());
        let partitions =
            std::fs::read_to_string(folder.join("partitions")).map_or(1, |n| n.trim().parse().unwrap());
        Self { folder, plan: Arc::new(plan), partitions }
    }

    /// A log with the inputs of the case, small batches, and as many units as three workers can share.
    fn log(&self, bounds: &Bounds) -> Log {
        let log = Log::new(Settings { batch_records_max: 5, ..Settings::default() });
        for source in self.plan.sources() {
            let SourceConnector::Kafka { topic, .. } = &source.connector;
            log.create_topic(topic, self.partitions);
            self.feed(&log, &source.name, topic);
            bounds.end_topics(&log, [topic.clone()]);
        }
        for sink in self.plan.sinks() {
            if let SinkConnector::Kafka { topic, .. } = &sink.connector {
                log.create_topic(topic, self.partitions);
            }
        }
        for stage in self.plan.stages() {
            log.create_topic(&identity(&self.plan).commits_topic(&stage.name), self.partitions.max(3));
        }
        log
    }

    fn feed(&self, log: &Log, source: &str, topic: &str) {
        let (form, text) =
            lines_of(&self.folder, source).unwrap_or_else(|| panic!("no input for source {source}"));
        let mut reader = LineReader::new(form);
        for (number, line) in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).enumerate() {
            let mut record = RecordBatch::new();
            let LineRead::Record { partition } = reader.read(line, WALL_MS, &mut record).unwrap() else {
                continue;
            };
            let to = match partition {
                Some(partition) => Partitioning::Exact(partition),
                None if record.key(0).is_some() => Partitioning::ByKey { unkeyed: 0 },
                None => Partitioning::Exact(number as u32 % self.partitions),
            };
            log.append(topic, to, &record).unwrap();
        }
    }

    /// Runs to the end. After `kill_at` commits all workers are lost, and new ones take their place.
    fn run(&self, workers: u32, kill_at: Option<usize>) -> (Outputs, usize) {
        let bounds = Bounds::default();
        let log = self.log(&bounds);
        let store = MemoryStore::new();
        let start = || -> Vec<Worker<LocalEnvironment>> {
            (0..workers).map(|worker| self.worker(worker, workers, &log, &store, &bounds)).collect()
        };
        let (mut running, mut killed) = (start(), false);
        for step in 0..STEPS_MAX {
            let now = Now { monotonic_ms: step, wall_ms: WALL_MS + step as i64 };
            let mut finished = true;
            for worker in &mut running {
                finished &= worker.step(now, Duration::ZERO, &Intents::default()) == Step::Finished;
                let problems = worker.report().problems;
                assert!(problems.is_empty(), "{}: {problems:#?}", self.folder.display());
            }
            if finished {
                return (self.outputs(&log), self.commits(&log));
            }
            if !killed && kill_at.is_some_and(|at| self.commits(&log) >= at) {
                killed = true;
                running = start();
            }
        }
        let reports: Vec<_> = running.iter().map(Worker::report).collect();
        let folder = self.folder.display();
        panic!(
            "{folder}: {workers} workers, killed at {kill_at:?}: not finished after {STEPS_MAX} steps: {reports:#?}"
        );
    }

    fn worker(
        &self,
        worker: u32,
        workers: u32,
        log: &Log,
        store: &MemoryStore,
        bounds: &Bounds,
    ) -> Worker<LocalEnvironment> {
        let environment = LocalEnvironment::new(log.clone(), Uploads::inline(store.clone()), bounds.clone());
        let timing = Timing {
            commit_interval_ms: 3,
            idle_commit_interval_ms: 11,
            bytes_max: 1 << 20,
            snapshot_interval_ms: 17,
            trim_interval_ms: 13,
        };
        Worker::new(setup(&self.plan, worker, workers), environment, timing)
    }

    /// Committed records in all journals.
    fn commits(&self, log: &Log) -> usize {
        let journals = self.plan.stages().iter().map(|stage| identity(&self.plan).commits_topic(&stage.name));
        journals.map(|topic| log.committed(&topic).unwrap().iter().map(RecordBatch::len).sum::<usize>()).sum()
    }

    fn outputs(&self, log: &Log) -> Outputs {
        let mut outputs = Outputs::new();
        for sink in self.plan.sinks() {
            let SinkConnector::Kafka { topic, .. } = &sink.connector else { continue };
            let form =
                lines_of(&self.folder.join("expected"), &sink.name).map_or(LineForm::Plain, |(form, _)| form);
            let mut lines = Vec::new();
            for (partition, batch) in (0..).zip(log.committed(topic).unwrap()) {
                for row in 0..batch.len() {
                    let mut line = Vec::new();
                    write_line(form, &batch, row, Some(partition), &mut line);
                    lines.push(normal(&line));
                }
            }
            lines.sort();
            outputs.insert(sink.name.clone(), lines);
        }
        outputs
    }

    fn expected(&self) -> Outputs {
        let folder = self.folder.join("expected");
        let kafka =
            self.plan.sinks().iter().filter(|sink| matches!(sink.connector, SinkConnector::Kafka { .. }));
        kafka
            .map(|sink| {
                let text = lines_of(&folder, &sink.name).map(|(_, text)| text).unwrap_or_default();
                let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
                let mut lines: Vec<_> = lines.map(normal).collect();
                lines.sort();
                (sink.name.clone(), lines)
            })
            .collect()
    }
}

/// JSON without insignificant space, with sorted keys; other lines as they are.
fn normal(line: &[u8]) -> String {
    match serde_json::from_slice::<serde_json::Value>(line) {
        Ok(value) => value.to_string(),
        Err(_) => String::from_utf8_lossy(line).trim_end().to_owned(),
    }
}

fn lines_of(folder: &Path, name: &str) -> Option<(LineForm, Vec<u8>)> {
    let plain = std::fs::read(folder.join(format!("{name}.jsonl"))).map(|text| (LineForm::Plain, text));
    let envelope = || {
        std::fs::read(folder.join(format!("{name}.envelope.jsonl"))).map(|text| (LineForm::Envelope, text))
    };
    plain.or_else(|_| envelope()).ok()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn cases() -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipeline/cases");
    let mut folders: Vec<_> = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders.into_iter().filter(|folder| folder.is_dir()).map(Case::open).collect()
}

fn assert_same(case: &Case, how: &str, outputs: &Outputs, expected: &Outputs) {
    for (sink, lines) in expected {
        let found = &outputs[sink];
        let missing: Vec<_> = lines.iter().filter(|line| !found.contains(line)).collect();
        let extra: Vec<_> = found.iter().filter(|line| !lines.contains(line)).collect();
        assert!(
            found == lines,
            "{} {how}: sink {sink} has {} records instead of {};\nmissing {missing:#?}\nextra {extra:#?}",
            case.folder.display(),
            found.len(),
            lines.len()
        );
    }
}

#[test]
fn every_case_gives_what_it_expects_with_one_two_and_three_workers() {
    let cases = cases();
    assert!(!cases.is_empty());
    for case in cases {
        let expected = case.expected();
        for workers in 1..=3 {
            let (outputs, _) = case.run(workers, None);
            assert_same(&case, &format!("with {workers} workers"), &outputs, &expected);
        }
    }
}

#[test]
fn every_case_gives_the_same_when_killed_and_restored_at_every_commit() {
    for case in cases() {
        let expected = case.expected();
        for workers in [1, 2] {
            let (_, commits) = case.run(workers, None);
            for kill_at in 1..=commits {
                let (outputs, _) = case.run(workers, Some(kill_at));
                let how = format!(
                    "with {workers} workers, killed at record {kill_at} of {commits} of its journals"
                );
                assert_same(&case, &how, &outputs, &expected);
            }
        }
    }
}
