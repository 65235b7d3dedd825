//! A run without Kafka: the same workers over the log in memory, fed from files, printed as it commits.
//!
//! ```text
//!  file ──feeder──> topic ──workers──> topic ──printer──> file, stdout
//! ```

mod given;
mod bounds;
mod feeder;
mod printer;
mod first;
mod error;

pub use bounds::Bounds;
pub use error::LocalError;
pub use feeder::InputError;

use first::First;

use crate::clock;
use crate::drive::drive;
use crate::pod::{Pod, Report};
use crate::topology::{first_topology, source_topic};
use crate::worker::{Environment, Setup, Worker};
use connect::door::{IoError, TopicPartition};
use connect::envelope::LineForm;
use connect::memory::{Io, Log, Settings};
use connect::sink::{FileMode, LineSink, SinkError};
use connect::snapshot::{MemoryStore, Uploads};
use pipeline::effect::Counters;
use pipeline::plan::{Plan, SinkConnector, SinkId, SinkRole, SourceConnector, SourceId};
use pipeline::record::RecordBatch;
use protocol::commit::Timing;
use protocol::defences::Defences;
use protocol::going_live::Promotion;
use protocol::identity::{Generation, Incarnation, PipelineIdentity, WorkerIndex};
use protocol::snapshot::Limits;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Between looks at the workers.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What a local run is told besides the manifests.
#[derive(Clone, Debug)]
pub struct Options {
    /// Source name and path; `-` is standard input.
    pub inputs: Vec<(String, String)>,
    /// Sink name, `lateSink` or `deadLetterSink`, and path; `-` is standard output.
    pub outputs: Vec<(String, String)>,
    /// Worker threads per pipeline.
    pub workers: u32,
    /// Partitions of each topic of the user.
    pub partitions: u32,
    /// Lines are envelopes, in and out.
    pub envelope: bool,
    /// Where the manifests were read from; `-` is standard input.
    pub manifests: Vec<String>,
}

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Per pipeline, in their order.
    pub pipelines: Vec<PipelineSummary>,
    /// It was told to stop before the end of its input.
    pub stopped: bool,
}

/// What came of one pipeline.
#[derive(Clone, Debug)]
pub struct PipelineSummary {
    /// Its name.
    pub name: String,
    /// What it counted.
    pub counters: Counters,
    /// Dead letters go to a sink.
    pub keeps_dead_letters: bool,
    /// Why the first dead letter is one; none without dead letters, and without a topic that keeps them.
    pub first_dead_letter: Option<String>,
}

/// The world of a worker of a local run.
pub struct LocalEnvironment {
    log: Log,
    uploads: Uploads,
    bounds: Bounds,
    sinks: Arc<BTreeMap<SinkId, Mutex<LineSink>>>,
    broken: First<SinkError>,
}

impl LocalEnvironment {
    /// Over a log whose bounded inputs are known to `bounds`.
    pub fn new(log: Log, uploads: Uploads, bounds: Bounds) -> Self {
        Self { log, uploads, bounds, sinks: Arc::default(), broken: First::default() }
    }
}

impl Environment for LocalEnvironment {
    type Io = Io;

    fn connect(&mut self, transactional_id: &str) -> Result<Io, IoError> {
        Ok(self.log.connect(transactional_id))
    }

    fn incarnation(&mut self) -> Incarnation {
        Incarnation(u128::from(clock::random()) << 64 | u128::from(clock::random()))
    }

    fn store(&mut self) -> &mut Uploads {
        &mut self.uploads
    }

    fn emit(&mut self, sink: SinkId, records: &RecordBatch) -> Result<(), IoError> {
        let Some(sink) = self.sinks.get(&sink) else { return Ok(()) };
        let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
        let written = sink.write(None, records).and_then(|()| sink.flush());
        written.map_err(|error| {
            let detail = error.to_string();
            self.broken.set(error);
            IoError::Lost { operation: "writing to a sink", detail }
        })
    }

    fn end_of_input(&self, partition: &TopicPartition) -> Option<i64> {
        self.bounds.end(partition)
    }

    fn is_bounded(&self) -> bool {
        true
    }

    fn elapsed(&self) -> Duration {
        clock::elapsed()
    }
}

/// Runs pipelines until all input is processed, or `pod` is told to stop. `watch` is called a few times a second with
/// the reports of all workers.
pub fn run(
    plans: &[Arc<Plan>],
    options: &Options,
    pod: &Arc<Pod>,
    mut watch: impl FnMut(&[Report]),
) -> Result<Summary, LocalError> {
    given::check(plans, options)?;
    let log = Log::new(Settings { wait: true, ..Settings::default() });
    make_topics(plans, options, &log);
    // Everything that may be missing is opened before the first output file is emptied.
    let inputs = feeder::open(plans, options)?;
    let printers = printer::open(plans, options, &log)?;
    let run = Run { log, bounds: Bounds::default(), broken: First::default(), pod: pod.clone() };
    let mut pipelines = Vec::new();
    for (plan, first) in plans.iter().zip((0..).step_by(options.workers as usize)) {
        run.bounds.begin(sink_topics(plan));
        pipelines.push(Running { plan: plan.clone(), threads: run.workers(plan, first, options)?, first });
    }
    let unread = feeder::start(inputs, options, &run.log, &run.bounds)?;
    let printing = printer::start(printers, &run.broken)?;
    let failed = run.until_the_end(&mut pipelines, &unread, &mut watch);
    let stopped = pod.intents().stop;
    printing.finish();
    let output = run.broken.take().map(LocalError::Output);
    output.or(unread.take().map(LocalError::Input)).or(failed).map_or(Ok(()), Err)?;
    let pipelines = pipelines.iter().map(|pipeline| run.summary(pipeline, options)).collect();
    Ok(Summary { pipelines, stopped })
}

/// One pipeline of a run.
struct Running {
    plan: Arc<Plan>,
    /// Empty once they have ended.
    threads: Vec<JoinHandle<()>>,
    /// Number of its first worker.
    first: u32,
}

/// What the parts of a run share.
struct Run {
    log: Log,
    bounds: Bounds,
    broken: First<SinkError>,
    pod: Arc<Pod>,
}

impl Run {
    /// Waits for all workers. The first failure stops them all.
    fn until_the_end(
        &self,
        pipelines: &mut [Running],
        unread: &First<InputError>,
        watch: &mut impl FnMut(&[Report]),
    ) -> Option<LocalError> {
        let mut failed = None;
        while pipelines.iter().any(|pipeline| !pipeline.threads.is_empty()) {
            std::thread::park_timeout(LOOK_EVERY);
            for pipeline in pipelines.iter_mut() {
                if !pipeline.threads.is_empty() && pipeline.threads.iter().all(JoinHandle::is_finished) {
                    let name = pipeline.plan.name();
                    let panicked = pipeline.threads.drain(..).any(|thread| thread.join().is_err());
                    failed = failed.or(panicked.then(|| LocalError::Panicked(name.to_owned())));
                    self.bounds.done(&self.log, sink_topics(&pipeline.plan));
                }
            }
            let reports = self.pod.reports();
            failed = failed.or_else(|| failure(&reports).map(LocalError::Failed));
            if failed.is_some() || unread.is_set() || self.broken.is_set() {
                self.pod.intend(|intents| intents.stop = true);
            } else {
                watch(&reports);
            }
        }
        failed
    }

    fn summary(&self, pipeline: &Running, options: &Options) -> PipelineSummary {
        PipelineSummary {
            name: pipeline.plan.name().to_owned(),
            counters: self.pod.counters(pipeline.first..pipeline.first + options.workers),
            keeps_dead_letters: pipeline.plan.dead_letter_sink().is_some(),
            first_dead_letter: first_dead_letter(&self.log, &pipeline.plan),
        }
    }

    fn workers(
        &self,
        plan: &Arc<Plan>,
        first: u32,
        options: &Options,
    ) -> Result<Vec<JoinHandle<()>>, LocalError> {
        let store = MemoryStore::new();
        let sinks = Arc::new(line_sinks(plan, options)?);
        let start = |number: u32| {
            let uploads = Uploads::background(store.clone()).map_err(LocalError::Snapshots)?;
            let environment = LocalEnvironment {
                sinks: sinks.clone(),
                broken: self.broken.clone(),
                ..LocalEnvironment::new(self.log.clone(), uploads, self.bounds.clone())
            };
            let mut worker = Worker::new(setup(plan, number, options.workers), environment, timing(plan));
            let pod = self.pod.clone();
            std::thread::Builder::new()
                .name(format!("worker-{number}"))
                .spawn(move || drive(&mut worker, first + number, &pod))
                .map_err(LocalError::Thread)
        };
        (0..options.workers).map(start).collect()
    }
}

/// The first problem that no retry helps.
fn failure(reports: &[Report]) -> Option<String> {
    reports.iter().flat_map(|report| &report.problems).find(|p| p.permanent).map(|p| p.message.clone())
}

/// Where and why, in the words of its headers.
fn first_dead_letter(log: &Log, plan: &Plan) -> Option<String> {
    let SinkConnector::Kafka { topic, .. } = &plan.sink(plan.dead_letter_sink()?).connector else {
        return None;
    };
    let letters = log.reader(topic).ok()?.read().ok()?;
    let of_plan = |batch: &RecordBatch, row: usize| {
        let header = |wanted: &str| {
            let mut all = batch.headers(row);
            let found = all.find(|(name, _)| *name == format!("__connect.errors.{wanted}").as_bytes());
            found.and_then(|(_, value)| value).map(|value| String::from_utf8_lossy(value).into_owned())
        };
        let from = match (header("topic"), header("partition"), header("offset")) {
            (Some(topic), Some(partition), Some(offset)) => format!("{topic}/{partition} offset {offset}, "),
            _ => String::new(),
        };
        let said = format!("{from}step {}: {}", header("stage")?, header("exception.message")?);
        (header("connector.name")? == plan.name()).then_some(said)
    };
    letters.iter().find_map(|(_, batch)| (0..batch.len()).find_map(|row| of_plan(batch, row)))
}

/// Topics of the user, and journals: there are at least as many units as workers, so that none is without work behind
/// the first window. How many there are changes no result.
fn make_topics(plans: &[Arc<Plan>], options: &Options, log: &Log) {
    for plan in plans {
        for source in plan.sources() {
            let SourceConnector::Kafka { topic, .. } = &source.connector;
            log.create_topic(topic, options.partitions);
        }
        for topic in sink_topics(plan) {
            log.create_topic(&topic, options.partitions);
        }
        let first = first_topology(plan, vec![options.partitions; plan.sources().len()]);
        let identity = identity(plan);
        for (stage, units) in plan.stages().iter().zip(first.units) {
            let units = if plan.settings().partitions.is_some() { units } else { units.max(options.workers) };
            log.create_topic(&identity.commits_topic(&stage.name), units);
        }
    }
}

fn sink_topics(plan: &Plan) -> BTreeSet<String> {
    plan.sinks()
        .iter()
        .filter_map(|sink| match &sink.connector {
            SinkConnector::Kafka { topic, .. } => Some(topic.clone()),
            SinkConnector::File { .. } | SinkConnector::Log => None,
        })
        .collect()
}

/// Names in the log of a local run.
pub fn identity(plan: &Plan) -> PipelineIdentity {
    PipelineIdentity {
        namespace: plan.namespace().to_owned(),
        pipeline: plan.name().to_owned(),
        uid8: "local".to_owned(),
    }
}

/// The facts of worker `worker` of a local run.
pub fn setup(plan: &Arc<Plan>, worker: u32, workers: u32) -> Setup {
    Setup {
        plan: plan.clone(),
        earlier_plans: BTreeMap::new(),
        identity: identity(plan),
        generation: Some(Generation(1)),
        worker: WorkerIndex(worker),
        workers,
        prior: Vec::new(),
        rewind: None,
        rollback_window_ms: None,
        promotion: Promotion::Myself,
        defences: Defences::ALL,
        snapshots: Limits::USUAL,
    }
}

/// When to commit and to take snapshots.
pub fn timing(plan: &Plan) -> Timing {
    let settings = plan.settings();
    Timing {
        commit_interval_ms: settings.commit_interval_ms,
        idle_commit_interval_ms: settings.idle_commit_interval_ms,
        bytes_max: crate::worker::COMMIT_BYTES,
        snapshot_interval_ms: settings.checkpoint_interval_ms,
        trim_interval_ms: crate::worker::TRIM_EVERY_MS,
    }
}

/// Sinks that are no topic. The log of a pod is standard output here, as for every other sink of the user.
fn line_sinks(plan: &Plan, options: &Options) -> Result<BTreeMap<SinkId, Mutex<LineSink>>, LocalError> {
    let form = line_form(options);
    let mut sinks = BTreeMap::new();
    for (index, sink) in plan.sinks().iter().enumerate() {
        let path = match (printer::output_of(sink, options), &sink.connector) {
            (_, SinkConnector::Kafka { .. }) | (None, SinkConnector::Log) => continue,
            (Some(path), _) => path,
            (None, SinkConnector::File { path }) => path.as_str(),
        };
        let opened = LineSink::file(path, FileMode::Replace, form).map_err(LocalError::Output)?;
        sinks.insert(SinkId(index as u16), Mutex::new(opened));
    }
    Ok(sinks)
}

/// True when records go to standard output.
pub fn prints(plans: &[Arc<Plan>], options: &Options) -> bool {
    let mut sinks = plans.iter().flat_map(|plan| plan.sinks());
    sinks.any(|sink| printer::output_of(sink, options) == Some(given::STANDARD))
}

fn line_form(options: &Options) -> LineForm {
    if options.envelope { LineForm::Envelope } else { LineForm::Plain }
}

/// The name under which a sink is known on the command line.
fn is_called(role: SinkRole, name: &str, given: &str) -> bool {
    match role {
        SinkRole::User => name == given,
        SinkRole::Late => name == given || given == "lateSink",
        SinkRole::DeadLetter => name == given || given == "deadLetterSink",
    }
}

/// Name and topic of every source.
fn sources(plan: &Plan) -> impl Iterator<Item = (&str, &str)> {
    let ids = (0..plan.sources().len() as u16).map(SourceId);
    ids.map(|id| (plan.sources()[usize::from(id.0)].name.as_str(), source_topic(plan, id)))
}
