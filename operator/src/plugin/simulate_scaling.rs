//! `kubectl weir simulate-scaling`: what a policy would have done.

use super::Exit;
use super::files::{ReadError, documents, print, read, shown};
use crate::pipeline::validate::workers_per_replica;
use crate::scaling::Placement;
use crate::scaling::simulate::{Start, Trace, TraceError, csv, simulate};
use ::pipeline::manifest::Documents;
use ::pipeline::problem::{Problem, ProblemKind};
use ::pipeline::scaling::Policy;
use ::pipeline::spec::StreamPipelineSpec;
use jiff::Timestamp;

/// Show what a ScalingPolicy would have done with measurements of the past
///
/// No cluster is needed. The trace is CSV with a head: `seconds`, and any of `lag_records`, `lag_seconds`, `queue_size`,
/// `processing_seconds`, `health` (0 to 1), `cpu` and `memory` (percent of the request) and `throughput` (records per
/// second), each for the whole pipeline. An empty cell is not known, and while a metric of the policy is not known nothing
/// is scaled. One decision is made for each row, as the operator would make it at that time, and carried out at once.
///
/// Prints CSV: `seconds,replicas,limited_by,reason`.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
#[command(after_help = "Examples:
  kubectl weir simulate-scaling pipeline.yaml --metrics trace.csv
  kubectl weir simulate-scaling policy.yaml --metrics trace.csv --replicas 3 --partitions 12
  kubectl get scpol clicks -o yaml | kubectl weir simulate-scaling - --metrics trace.csv

Exit codes: 0 done, 1 failed, 2 a file cannot be read, 78 a manifest or the trace is wrong.")]
pub struct Args {
    /// Files with the ScalingPolicy (YAML, several documents in each if you like); `-` is stdin
    ///
    /// The StreamPipeline that it scales may stand beside it. Other kinds are passed over.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<String>,
    /// The trace (CSV); `-` is stdin
    #[arg(long, value_name = "TRACE")]
    metrics: String,
    /// Pods at the beginning; those of the StreamPipeline when it is not given, or the fewest that the policy allows
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    replicas: Option<u32>,
    /// Partitions that the work is divided into; those of the StreamPipeline when it is not given. When they are not known
    /// either, they limit nothing
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    partitions: Option<u32>,
    /// How long the output stands still at a change, in seconds: a change that gains less is not made
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32))]
    pause: Option<u32>,
    /// The time of second 0 (RFC 3339), for policies with schedules; 1970 when it is not given, so that seconds may be Unix
    /// time
    #[arg(long, value_name = "TIME")]
    start: Option<Timestamp>,
}

/// What the command cannot go on with.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Problems(Vec<Problem>),
    #[error("expected one ScalingPolicy in {files}, found {found}")]
    Policies { files: String, found: usize },
    #[error("{name}:{source}")]
    Trace { name: String, source: TraceError },
}

pub fn run(args: &Args) -> Exit {
    match output(args) {
        Ok(text) => print(&text),
        Err(error) => {
            eprintln!("kubectl-weir: {error}");
            if matches!(error, Error::Read(_)) { Exit::Usage } else { Exit::Configuration }
        }
    }
}

fn output(args: &Args) -> Result<String, Error> {
    let documents = documents(&args.files)?;
    let (policy, pipeline) = policy(&documents, args)?;
    let text = read(&args.metrics)?;
    let trace = Trace::parse(&text).map_err(|source| Error::Trace { name: shown(&args.metrics), source })?;
    let start = start(args, &policy, pipeline, &trace);
    Ok(csv(&trace, &simulate(&policy, &start, &trace)))
}

/// The one policy, and the pipeline that it scales if it is there.
fn policy<'a>(
    documents: &'a Documents,
    args: &Args,
) -> Result<(Policy, Option<&'a StreamPipelineSpec>), Error> {
    let ours = ["ScalingPolicy", "StreamPipeline"];
    let matters = |problem: &&Problem| {
        problem.kind != ProblemKind::UnknownKind
            && problem.object.as_ref().is_none_or(|object| ours.contains(&object.kind.as_str()))
    };
    let mut problems: Vec<Problem> = documents.problems().iter().filter(matters).cloned().collect();
    let policies: Vec<_> = documents.scaling_policies().collect();
    let [(namespace, name, spec)] = policies[..] else {
        if !problems.is_empty() {
            return Err(Error::Problems(problems));
        }
        return Err(Error::Policies { files: args.files.join(" and "), found: policies.len() });
    };
    let built = Policy::build(name, spec).map_err(|found| {
        for mut problem in found {
            documents.locate(namespace, &mut problem);
            let known = problems.iter().any(|known| known.path == problem.path);
            if !known {
                problems.push(problem);
            }
        }
    });
    let Ok(policy) = built else { return Err(Error::Problems(problems)) };
    if !problems.is_empty() {
        return Err(Error::Problems(problems));
    }
    let mut pipelines = documents.pipelines();
    let target = pipelines.find(|one| one.name == policy.target() && one.namespace() == namespace);
    Ok((policy, target.map(|manifest| &manifest.spec)))
}

fn start(args: &Args, policy: &Policy, pipeline: Option<&StreamPipelineSpec>, trace: &Trace) -> Start {
    let epoch = args.start.unwrap_or(Timestamp::UNIX_EPOCH);
    let first = trace.rows.first().map_or(0.0, |row| row.seconds);
    let began = epoch.checked_add(jiff::SignedDuration::from_secs(first as i64)).unwrap_or(epoch);
    let least = policy.bounds_at(began).0.min;
    let positive = |number: i32| u32::try_from(number).ok().filter(|number| *number > 0);
    let of_pipeline = pipeline.map(|spec| spec.replicas.and_then(positive).unwrap_or(1));
    let partitions = args.partitions.or_else(|| pipeline.and_then(|spec| spec.partitions).and_then(positive));
    Start {
        replicas: args.replicas.or(of_pipeline).unwrap_or(least),
        placement: Placement {
            units: partitions.into_iter().collect(),
            workers_per_replica: pipeline.map_or(1, workers_per_replica),
        },
        pause_seconds: args.pause.map(f64::from),
        epoch,
    }
}
