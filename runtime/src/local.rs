//! A run without Kafka: the same workers over the log in memory, fed from files, printed as it commits.
//!
//! ```text
//!  file ──feeder──> topic ──workers──> topic ──printer──> file, stdout
//! ```

mod bounds;
mod feeder;
mod printer;

pub use bounds::Bounds;
pub use feeder::InputError;

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
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::thread::JoinHandle;

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
}

/// A local run that cannot begin, or that failed.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// A source without data.
    #[error(
        "source `{name}` reads topic `{topic}`: give it a file with --input {name}=FILE, or a broker with --kafka HOST:PORT"
    )]
    NoInput {
        /// The source.
        name: String,
        /// Its topic.
        topic: String,
    },
    /// An option that names nothing.
    #[error("{option} {name}: there is no such {what}; {known}")]
    UnknownName {
        /// The option.
        option: &'static str,
        /// What was given.
        name: String,
        /// Source or sink.
        what: &'static str,
        /// What there is.
        known: String,
    },
    /// Input.
    #[error(transparent)]
    Input(InputError),
    /// Output.
    #[error(transparent)]
    Output(SinkError),
    /// A thread or the log in memory.
    #[error("{0}")]
    Failed(String),
}

/// What came of it, per pipeline.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Name of the pipeline and what it counted.
    pub pipelines: Vec<(String, Counters)>,
}

/// The world of a worker of a local run.
pub struct LocalEnvironment {
    log: Log,
    uploads: Uploads,
    bounds: Bounds,
    sinks: Arc<BTreeMap<SinkId, std::sync::Mutex<LineSink>>>,
}

impl LocalEnvironment {
    /// Over a log whose bounded inputs are known to `bounds`.
    pub fn new(log: Log, uploads: Uploads, bounds: Bounds) -> Self {
        Self { log, uploads, bounds, sinks: Arc::default() }
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
        let mut sink = sink.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let written = sink.write(None, records).and_then(|()| sink.flush());
        written.map_err(|error| IoError::Lost { operation: "writing to a sink", detail: error.to_string() })
    }

    fn end_of_input(&self, partition: &TopicPartition) -> Option<i64> {
        self.bounds.end(partition)
    }

    fn is_bounded(&self) -> bool {
        true
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
    let log = Log::new(Settings { wait: true, ..Settings::default() });
    let bounds = Bounds::default();
    make_topics(plans, options, &log);
    let inputs = feeder::resolve(plans, options)?;
    let printers = printer::resolve(plans, options, &log)?;
    let feeders = feeder::start(inputs, options, &log, &bounds)?;
    let mut pipelines = Vec::new();
    for (index, plan) in plans.iter().enumerate() {
        let threads = start_workers(plan, index as u32 * options.workers, options, &log, &bounds, pod)?;
        pipelines.push((plan.clone(), threads));
    }
    let printing = printer::start(printers)?;
    let (mut summary, mut failed) = (Summary::default(), None);
    for (index, (plan, threads)) in pipelines.into_iter().enumerate() {
        while threads.iter().any(|thread| !thread.is_finished()) {
            std::thread::park_timeout(std::time::Duration::from_millis(20));
            let reports = pod.reports();
            watch(&reports);
            failed = failed.or_else(|| failure(&reports));
            if failed.is_some() || feeders.failed() {
                pod.intend(|intents| intents.stop = true);
            }
        }
        bounds.end_topics(&log, sink_topics(&plan));
        let first = index as u32 * options.workers;
        summary.pipelines.push((plan.name().to_owned(), pod.counters(first..first + options.workers)));
    }
    printing.finish().map_err(LocalError::Output)?;
    feeders.finish().map_err(LocalError::Input)?;
    failed.map_or(Ok(summary), |message| Err(LocalError::Failed(message)))
}

/// The first problem that no retry helps.
fn failure(reports: &[Report]) -> Option<String> {
    reports.iter().flat_map(|report| &report.problems).find(|p| p.permanent).map(|p| p.message.clone())
}

/// Topics of the user, and journals: there are at least as many units as workers, so that none is without work behind
/// the first window. How many there are changes no result.
fn make_topics(plans: &[Arc<Plan>], options: &Options, log: &Log) {
    for plan in plans {
        for source in plan.sources() {
            let SourceConnector::Kafka { topic, .. } = &source.connector;
            log.create_topic(topic, options.partitions);
        }
        sink_topics(plan).iter().for_each(|topic| log.create_topic(topic, options.partitions));
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
        promotion: Promotion::Myself,
        defences: Defences::ALL,
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
    }
}

fn start_workers(
    plan: &Arc<Plan>,
    first: u32,
    options: &Options,
    log: &Log,
    bounds: &Bounds,
    pod: &Arc<Pod>,
) -> Result<Vec<JoinHandle<()>>, LocalError> {
    let store = MemoryStore::new();
    let sinks = Arc::new(line_sinks(plan, options)?);
    (0..options.workers)
        .map(|worker| {
            let uploads =
                Uploads::background(store.clone()).map_err(|e| LocalError::Failed(e.to_string()))?;
            let mut environment = LocalEnvironment::new(log.clone(), uploads, bounds.clone());
            environment.sinks = sinks.clone();
            let mut worker =
                (Worker::new(setup(plan, worker, options.workers), environment, timing(plan)), worker);
            let pod = pod.clone();
            std::thread::Builder::new()
                .name(format!("worker-{}", worker.1))
                .spawn(move || drive(&mut worker.0, first + worker.1, &pod))
                .map_err(|error| LocalError::Failed(format!("failed to start a thread: {error}")))
        })
        .collect()
}

/// Sinks that are no topic.
fn line_sinks(
    plan: &Plan,
    options: &Options,
) -> Result<BTreeMap<SinkId, std::sync::Mutex<LineSink>>, LocalError> {
    let form = line_form(options);
    let mut sinks = BTreeMap::new();
    for (index, sink) in plan.sinks().iter().enumerate() {
        let target = printer::output_of(plan, sink, options);
        let opened = match (&sink.connector, target) {
            (SinkConnector::Kafka { .. }, _) => continue,
            (_, Some(path)) => LineSink::file(&path, FileMode::Replace, form),
            (SinkConnector::File { path }, None) => LineSink::file(path, FileMode::Replace, form),
            (SinkConnector::Log, None) => Ok(LineSink::log(&sink.name, form)),
        };
        sinks.insert(SinkId(index as u16), std::sync::Mutex::new(opened.map_err(LocalError::Output)?));
    }
    Ok(sinks)
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
