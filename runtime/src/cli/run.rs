//! `weir run`: a manifest on this machine, over the log in memory or over a Kafka.

use super::Exit;
use super::input::{Manifests, count, fail};
use super::logs::{LogFormat, start_logs};
use crate::cluster::{self, Reach, SecretsFrom};
use crate::local::{self, LocalError, Options, PipelineSummary};
use crate::pod::{Pod, Report};
use crate::signal;
use crate::worker::WorkerError;
use connect::sink::SinkError;
use pipeline::effect::Counters;
use pipeline::plan::{Loaded, LoadedPipeline, Plan};
use protocol::going_live::Promotion;
use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Run pipelines on this machine
///
/// Without --kafka every source reads a file (--input) and the run ends when all of them are processed; the same workers,
/// journal and protocol run over a log in memory. With --kafka the pipelines run on that Kafka until they are stopped.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
#[command(after_help = "Examples:
  weir run pipeline.yaml --input clicks=clicks.jsonl
  weir run pipeline.yaml --input clicks=- --output counts=out.jsonl --output deadLetterSink=bad.jsonl
  weir run pipeline.yaml --kafka 127.0.0.1:9092 --workers 2
  weir run pipeline.yaml secrets.yaml --kafka manifest

Only records go to stdout; progress, problems and the summary go to stderr. Ctrl-C finishes the commit and ends, a second
one ends at once.

Exit codes: 0 all input is processed (dead letters are counted, not an error) or it was stopped, which the summary says;
1 it failed; 2 wrong usage, or a file that cannot be opened; 78 wrong configuration; 130 stopped by a second Ctrl-C.")]
pub struct Args {
    #[command(flatten)]
    manifests: Manifests,
    /// Feed a source from a file with one JSON value per line; `-` is stdin
    #[arg(long = "input", value_name = "SOURCE=FILE", value_parser = pair)]
    inputs: Vec<(String, String)>,
    /// Write the records of a sink, of `lateSink` or of `deadLetterSink` to a file; `-` is stdout
    ///
    /// Sinks under `spec.sinks` go to stdout when nothing is said.
    #[arg(long = "output", value_name = "SINK=FILE", value_parser = pair)]
    outputs: Vec<(String, String)>,
    /// Lines are envelopes {key, value | base64, headers, timestamp, partition}, in and out
    #[arg(long)]
    envelope: bool,
    /// Worker threads per pipeline
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    workers: u32,
    /// Partitions of each topic of a run without Kafka; lines without a key go round them in order
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=4096))]
    partitions: u32,
    /// Run on this Kafka instead of in memory; `manifest` is the one that the manifests name, with TLS and login
    ///
    /// An address is reached in plain text, whatever the manifests say. A Secret that they refer to is a document of the
    /// files, or the variables WEIR_SECRET_<NAME>_<KEY>.
    #[arg(long, value_name = "HOST:PORT|manifest", conflicts_with_all = ["inputs", "outputs", "partitions", "envelope"])]
    kafka: Option<String>,
    /// What is logged besides the problems that are told anyway: off, error, warn, info, debug
    #[arg(long, value_name = "LEVEL", default_value = "off")]
    log: String,
}

/// What `--kafka` says for the Kafka of the manifests.
const OF_MANIFEST: &str = "manifest";

/// `NAME=PATH`.
fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, path)) if !name.is_empty() && !path.is_empty() => Ok((name.to_owned(), path.to_owned())),
        _ => Err("expected NAME=FILE".to_owned()),
    }
}

pub fn run(args: &Args) -> Exit {
    // What goes to a `log` sink is data, however little else is logged.
    start_logs(&format!("{},weir::sink=info", args.log), LogFormat::Text);
    let loaded = match args.manifests.load() {
        Ok(loaded) => loaded,
        Err(error) => return fail(&error),
    };
    let keyed = loaded.pipelines.iter().map(|pipeline| keyed(&loaded, &pipeline.plan));
    let plans: Vec<_> = match keyed.collect::<Result<_, _>>() {
        Ok(plans) => plans,
        Err(error) => {
            eprintln!("weir: {}", crate::worker::chain(&error));
            return Exit::Configuration;
        }
    };
    if plans.is_empty() {
        eprintln!("weir: there is no StreamPipeline in these files");
        return Exit::Configuration;
    }
    for pipeline in loaded.pipelines.iter().filter(|pipeline| begins_elsewhere(pipeline)) {
        let name = pipeline.plan.name();
        eprintln!(
            "{name}: it begins empty here; spec.restoreFrom is for a cluster, and `weir savepoint restore` for workers by hand"
        );
    }
    let pod = Arc::new(Pod::default());
    signal::stop_on_signal(&pod);
    match &args.kafka {
        Some(kafka) => {
            let given = Some(kafka.clone()).filter(|kafka| kafka != OF_MANIFEST);
            let secrets = |plan: &Plan| SecretsFrom::Documents(loaded.secrets(plan.namespace()));
            let reach = |plan: &Plan| Reach { given: given.clone(), secrets: secrets(plan) };
            on_kafka(&plans, reach, args.workers, &pod)
        }
        None => in_memory(&plans, args, &pod),
    }
}

/// The manifest says to begin with a savepoint.
fn begins_elsewhere(pipeline: &LoadedPipeline) -> bool {
    pipeline.resolved.manifest().spec.restore_from.is_some()
}

/// The plan with the keys of its masks.
fn keyed(loaded: &Loaded, plan: &Plan) -> Result<Arc<Plan>, WorkerError> {
    let secrets = SecretsFrom::Documents(loaded.secrets(plan.namespace()));
    Ok(Arc::new(plan.with_keys(secrets.mask_keys(plan)?)))
}

fn in_memory(plans: &[Arc<Plan>], args: &Args, pod: &Arc<Pod>) -> Exit {
    let options = Options {
        inputs: args.inputs.clone(),
        outputs: args.outputs.clone(),
        workers: args.workers,
        partitions: args.partitions,
        envelope: args.envelope,
        manifests: args.manifests.names().to_vec(),
    };
    let began = Instant::now();
    let mut progress = Progress::new(local::prints(plans, &options));
    let result = local::run(plans, &options, pod, |reports| progress.show(reports, pod));
    progress.clear();
    match result {
        Ok(summary) => {
            summary.pipelines.iter().for_each(|pipeline| tell(pipeline, summary.stopped, began.elapsed()));
            Exit::Done
        }
        Err(LocalError::Output(error)) if error.is_closed_pipe() => Exit::Done,
        Err(error) => {
            eprintln!("weir: {}", crate::worker::chain(&error));
            exit_of(&error)
        }
    }
}

/// What came of one pipeline.
fn tell(pipeline: &PipelineSummary, stopped: bool, took: Duration) {
    let PipelineSummary { name, counters, keeps_dead_letters, first_dead_letter } = pipeline;
    let how = if stopped { "stopped before the end of its input: " } else { "" };
    eprintln!("{name}: {how}{}, {:.1} s", said(counters), took.as_secs_f64());
    match first_dead_letter {
        Some(first) => eprintln!("{name}: the first dead letter is {first}"),
        None if counters.dead_letters > 0 && !keeps_dead_letters => {
            eprintln!("{name}: dead letters were dropped; spec.deadLetterSink keeps them, with the reason");
        }
        None => {}
    }
}

fn exit_of(error: &LocalError) -> Exit {
    match error {
        LocalError::NoInput { .. } | LocalError::Circle { .. } => Exit::Configuration,
        LocalError::UnknownName { .. }
        | LocalError::Twice { .. }
        | LocalError::TwoFiles { .. }
        | LocalError::StandardInput { .. }
        | LocalError::Overwrites { .. }
        | LocalError::Open(_)
        | LocalError::Output(SinkError::Open { .. }) => Exit::Usage,
        LocalError::Input(_)
        | LocalError::Output(SinkError::Write { .. })
        | LocalError::Log(_)
        | LocalError::Snapshots(_)
        | LocalError::Thread(_)
        | LocalError::Failed(_)
        | LocalError::Panicked(_) => Exit::Failed,
    }
}

fn on_kafka(plans: &[Arc<Plan>], reach: impl Fn(&Plan) -> Reach, workers: u32, pod: &Arc<Pod>) -> Exit {
    let mut threads = Vec::new();
    let firsts = || (0..).step_by(workers as usize);
    for (plan, first) in plans.iter().zip(firsts()) {
        let setup = crate::worker::Setup {
            generation: None,
            promotion: Promotion::Myself,
            ..local::setup(plan, 0, workers)
        };
        match cluster::start(&setup, 0..workers, first, &reach(plan), pod) {
            Ok(more) => threads.extend(more),
            Err(error) => {
                eprintln!("weir: {}", crate::worker::chain(&error));
                return Exit::Configuration;
            }
        }
    }
    let mut progress = Progress::new(false);
    let mut failed = false;
    while threads.iter().any(|thread| !thread.is_finished()) {
        std::thread::park_timeout(Duration::from_millis(100));
        let reports = pod.reports();
        if !failed {
            progress.show(&reports, pod);
        }
        // What no retry helps ends the run: nobody is there who would mend it meanwhile.
        failed |= reports.iter().flat_map(|report| &report.problems).any(|problem| problem.permanent);
        if failed {
            pod.intend(|intents| intents.stop = true);
        }
    }
    progress.clear();
    for (plan, first) in plans.iter().zip(firsts()) {
        eprintln!("{}: {}", plan.name(), said(&pod.counters(first..first + workers)));
    }
    if failed { Exit::Failed } else { Exit::Done }
}

fn said(counters: &Counters) -> String {
    let Counters { records_in, records_out, late, dead_letters } = *counters;
    let (read, dead) = (count(records_in, "record"), count(dead_letters, "dead letter"));
    format!("{read} in, {records_out} out, {late} late, {dead}")
}

/// One line on a terminal that is written again and again; problems are said once.
struct Progress {
    /// On a terminal that shows nothing else meanwhile.
    shown: bool,
    shown_at: Option<Instant>,
    records: u64,
    problem: Option<String>,
    stopping: bool,
}

impl Progress {
    fn new(prints: bool) -> Self {
        let records_scroll = prints && std::io::stdout().is_terminal();
        let shown = std::io::stderr().is_terminal() && !records_scroll;
        Self { shown, shown_at: None, records: 0, problem: None, stopping: false }
    }

    fn show(&mut self, reports: &[Report], pod: &Pod) {
        if pod.intents().stop {
            self.stopping();
        }
        let problem = reports.iter().flat_map(|report| &report.problems).next().map(|p| p.message.clone());
        if problem.is_some() && problem != self.problem {
            self.clear();
            eprintln!("weir: {}", problem.as_deref().unwrap_or_default());
        }
        self.problem = problem;
        let elapsed = self.shown_at.map_or(Duration::MAX, |at| at.elapsed());
        if !self.shown || elapsed < Duration::from_millis(500) {
            return;
        }
        let mut sum = Counters::default();
        for report in reports {
            sum.add(report.counters);
        }
        let rate = match self.shown_at {
            Some(at) => (sum.records_in.saturating_sub(self.records)) as f64 / at.elapsed().as_secs_f64(),
            None => 0.0,
        };
        let lag: Option<u64> = reports.iter().map(|report| report.lag_records).sum();
        let lag = lag.map_or(String::new(), |lag| format!(", lag {lag}"));
        eprint!("\r\x1b[K{}, {rate:.0}/s{lag}", said(&sum));
        let _not_a_terminal_any_more = std::io::stderr().flush();
        (self.shown_at, self.records) = (Some(Instant::now()), sum.records_in);
    }

    /// Says once that the first signal was heard.
    fn stopping(&mut self) {
        if !std::mem::replace(&mut self.stopping, true) {
            self.clear();
            eprintln!("weir: stopping after this commit; Ctrl-C again ends at once");
        }
    }

    fn clear(&self) {
        if self.shown && self.shown_at.is_some() {
            eprint!("\r\x1b[K");
        }
    }
}
