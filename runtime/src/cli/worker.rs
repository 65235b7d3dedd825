//! `weir worker`: some workers of one generation, as a process of its own: the pods of a cluster, or by hand.

use super::Exit;
use super::input::{fail, load_texts};
use super::logs::{LogFormat, start_logs};
use crate::cluster::{Reach, SecretsFrom, StartError};
use crate::http::{Served, control_routes, metrics_routes};
use crate::pod::{Pod, Report};
use crate::secrets::Secrets;
use crate::worker::Setup;
use crate::{clock, cluster, local, savepoint, signal};
use control::call::bounded_message;
use control::generation::{
    FILE_VERSION, GenerationFile, POD_NAME_VARIABLE, Placement, Ports, SECRETS_DIRECTORY, Shape,
};
use control::savepoint::SavepointPlace;
use control::status::Problem;
use control::{Condition, Reason};
use pipeline::manifest::SecretData;
use pipeline::plan::{Plan, from_yaml};
use protocol::going_live::Promotion;
use protocol::identity::{Generation, PipelineIdentity, WorkerIndex, Writer};
use protocol::restore::Rewind;
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Run some workers of a pipeline on Kafka
///
/// By hand, every process gets the same manifest, the same number of workers, and a number of its own; any of them may be
/// killed and started again at any time. In a pod the operator says everything in a generation file.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
#[command(after_help = "Examples:
  weir worker pipeline.yaml --kafka 127.0.0.1:9092 --workers 3 --worker 0
  weir worker pipeline.yaml windows.yaml --workers 1 --metrics-address 127.0.0.1:8000
  weir worker --generation-file /etc/weir/generation.yaml

A Secret that the manifest refers to is a document of the files, the variables WEIR_SECRET_<NAME>_<KEY>, or a folder below
--secrets. --kafka is reached in plain text, whatever the manifest says.
SIGTERM finishes the commit and ends.

Exit codes: 0 stopped, 2 wrong usage, 78 wrong configuration.")]
pub struct Args {
    /// Files with the manifest of one pipeline and with what it refers to
    #[arg(
        value_name = "FILE",
        required_unless_present = "generation_file",
        conflicts_with = "generation_file"
    )]
    files: Vec<PathBuf>,
    /// The facts of the generation, as the operator writes them
    #[arg(long, value_name = "FILE")]
    generation_file: Option<PathBuf>,
    /// Name of the pod, whose number says which workers it runs
    #[arg(long, env = POD_NAME_VARIABLE, value_name = "NAME")]
    pod: Option<String>,
    /// Use this Kafka instead of the one in the manifest
    #[arg(long, value_name = "HOST:PORT")]
    kafka: Option<String>,
    /// Where Secrets are mounted, each in a folder of its name, with a file for each key; changes are taken up
    ///
    /// Without it a Secret is a document of the files, or the variables WEIR_SECRET_<NAME>_<KEY>.
    #[arg(long, value_name = "DIRECTORY", conflicts_with = "generation_file")]
    secrets: Option<PathBuf>,
    /// How many workers the pipeline has, in all processes together
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    workers: u32,
    /// Number of this worker, from 0
    #[arg(long, value_name = "I", default_value_t = 0)]
    worker: u32,
    /// Where the control API, /health and /ready are served; by hand nowhere when it is not given
    #[arg(long, value_name = "ADDRESS")]
    control_address: Option<SocketAddr>,
    /// Where /metrics is served; by hand nowhere when it is not given
    #[arg(long, value_name = "ADDRESS")]
    metrics_address: Option<SocketAddr>,
    /// How the log looks; by hand text, with a generation file json
    #[arg(long, value_enum, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
    /// How much is logged: error, warn, info, debug
    #[arg(long, env = "WEIR_LOG", value_name = "LEVEL", default_value = "info")]
    log: String,
}

/// How long the savepoint that a pipeline began with may be out of reach when a pod starts.
const ORIGIN_WAIT: Duration = Duration::from_mins(1);
/// How often a Secret that is missing is looked for.
const SECRET_LOOK: Duration = Duration::from_secs(2);

/// What a process is to run.
struct Job {
    setup: Setup,
    workers: std::ops::Range<u32>,
    file: GenerationFile,
    reach: Reach,
    /// Where the status looks for Secrets.
    mounted: PathBuf,
    /// A Secret that is missing may be made later.
    waits: bool,
    /// The savepoint that the pipeline was made of, as long as its state may be of the plan that stands there.
    origin: Option<SavepointPlace>,
}

pub fn run(args: &Args) -> Exit {
    let usual = if args.generation_file.is_some() { LogFormat::Json } else { LogFormat::Text };
    start_logs(&args.log, args.log_format.unwrap_or(usual));
    let job = match &args.generation_file {
        Some(path) => from_generation(path, args),
        None => by_hand(args),
    };
    let job = match job {
        Ok(job) => job,
        Err(exit) => return exit,
    };
    let pod = Arc::new(Pod::default());
    signal::stop_on_signal(&pod);
    if let Err(error) = serve(args, &job, &pod) {
        return refuse(&crate::worker::chain(&error));
    }
    let threads = match start(&job, &pod) {
        Ok(threads) => threads,
        Err(error) => return refuse(&crate::worker::chain(&error)),
    };
    tracing::info!(
        pipeline = job.file.pipeline,
        generation = job.file.generation,
        plan = %job.setup.plan.hash(),
        workers = ?job.workers,
        "started"
    );
    while threads.iter().any(|thread| !thread.is_finished()) {
        std::thread::park_timeout(Duration::from_millis(50));
    }
    Exit::Done
}

/// Starts the workers. In a pod a Secret that is missing, or lacks a key, is waited for: it may be made later, and the
/// pod says meanwhile what it lacks.
fn start(job: &Job, pod: &Arc<Pod>) -> Result<Vec<JoinHandle<()>>, StartError> {
    let setup = with_origin(job, pod);
    loop {
        let error = match cluster::start(&setup, job.workers.clone(), 0, &job.reach, pod) {
            Err(error @ (StartError::Secret { .. } | StartError::StorageSecret { .. }))
                if job.waits && !pod.intents().stop =>
            {
                error
            }
            started => return started,
        };
        let message = bounded_message(crate::worker::chain(&error));
        let since_ms =
            pod.reports().iter().flat_map(|report| &report.problems).map(|problem| problem.since_ms).min();
        if since_ms.is_none() {
            tracing::warn!("waiting: {message}");
        }
        let problem = Problem {
            reason: Some(reason(&error)),
            condition: Condition::ConfigValid,
            component: None,
            message,
            permanent: false,
            since_ms: since_ms.unwrap_or_else(clock::wall_ms),
        };
        pod.report(job.workers.start, Report { problems: vec![problem], ..Report::default() });
        std::thread::park_timeout(SECRET_LOOK);
    }
}

/// What a process runs, with the plan of the savepoint that its pipeline was made of. Who cannot be reached is asked again for a
/// while. Then it goes on without: only a unit that nobody has saved since needs that plan, and says so.
fn with_origin(job: &Job, pod: &Pod) -> Setup {
    let mut setup = job.setup.clone();
    let Some(origin) = &job.origin else { return setup };
    let deadline = Instant::now() + ORIGIN_WAIT;
    loop {
        match plan_of(origin, &job.reach.secrets) {
            Ok(plan) => {
                setup.earlier_plans.insert(plan.hash(), Arc::new(plan));
                return setup;
            }
            Err(error) => {
                let (message, gone) = (crate::worker::chain(&*error), is_gone(&*error));
                if gone || pod.intents().stop || Instant::now() >= deadline {
                    tracing::warn!("the savepoint that this pipeline began with cannot be read: {message}");
                    return setup;
                }
            }
        }
        std::thread::park_timeout(SECRET_LOOK);
    }
}

/// To ask again is of no use.
fn is_gone(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref::<savepoint::SavepointError>().is_some_and(savepoint::SavepointError::is_permanent)
}

/// The plan that a savepoint was taken of.
fn plan_of(place: &SavepointPlace, secrets: &SecretsFrom) -> Result<Plan, Box<dyn std::error::Error>> {
    let (savepoint, _) = savepoint::open(secrets.savepoint(place)?.as_mut())?;
    let plan = from_yaml(&savepoint.manifest).map_err(|problems| {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        problems.join("; ")
    })?;
    if plan.hash() == savepoint.plan {
        Ok(plan)
    } else {
        let (found, wanted) = (plan.hash(), savepoint.plan);
        Err(format!("its manifest makes plan {found} in this release, its state is of plan {wanted}").into())
    }
}

/// A key may be missing, or what is there cannot be used.
fn reason(error: &StartError) -> Reason {
    match error {
        StartError::Secret { source, .. } if source.missing_key().is_none() => Reason::ConfigInvalid,
        StartError::StorageSecret { source, .. } if !source.is_missing_key() => Reason::ConfigInvalid,
        _ => Reason::SecretKeyMissing,
    }
}

pub(super) fn refuse(message: &str) -> Exit {
    tracing::error!("{message}");
    Exit::Configuration
}

fn by_hand(args: &Args) -> Result<Job, Exit> {
    if args.worker >= args.workers {
        eprintln!("weir: --worker {} is not one of 0 to {}", args.worker, args.workers - 1);
        return Err(Exit::Usage);
    }
    let mut texts = Vec::new();
    for file in &args.files {
        let text = std::fs::read_to_string(file).map_err(|error| {
            eprintln!("weir: failed to read {}: {error}", file.display());
            Exit::Usage
        })?;
        texts.push((file.display().to_string(), text));
    }
    let (plan, secrets) = only_pipeline(&texts)?;
    let plan = Arc::new(plan);
    let (secrets, mounted) = match &args.secrets {
        Some(directory) => (SecretsFrom::Mounted(directory.clone()), directory.clone()),
        None => (SecretsFrom::Documents(secrets), SECRETS_DIRECTORY.into()),
    };
    let file = GenerationFile {
        version: FILE_VERSION,
        namespace: plan.namespace().to_owned(),
        pipeline: plan.name().to_owned(),
        uid8: "local".to_owned(),
        generation: 1,
        plan_hash: plan.hash().to_string(),
        shape: Shape { replicas: args.workers, workers_per_replica: 1, placement: Placement::Modulo },
        priors: Vec::new(),
        rewinds: None,
        restore: None,
        rollback_window_ms: None,
        ports: Ports::default(),
        manifest: String::new(),
    };
    let setup = Setup {
        rewind: None,
        rollback_window_ms: None,
        generation: None,
        promotion: Promotion::Myself,
        ..local::setup(&plan, args.worker, args.workers)
    };
    let reach = Reach { given: args.kafka.clone(), secrets };
    let waits = args.secrets.is_some();
    Ok(Job { setup, workers: args.worker..args.worker + 1, file, reach, mounted, waits, origin: None })
}

fn from_generation(path: &Path, args: &Args) -> Result<Job, Exit> {
    let file = generation_file(path)?;
    let pod = args.pod.as_deref().unwrap_or_default();
    let workers = file.workers_of_pod(pod).map_err(|error| refuse(&error.to_string()))?;
    let plan = Arc::new(only_plan(&[(path.display().to_string(), file.manifest.clone())])?);
    if plan.hash().to_string() != file.plan_hash {
        let hash = plan.hash();
        return Err(refuse(&format!(
            "the manifest makes plan {hash}, the generation file says {}",
            file.plan_hash
        )));
    }
    let mut earlier_plans = BTreeMap::new();
    let mut prior = Vec::new();
    for old in &file.priors {
        let generation = Generation(old.generation as u32);
        prior.extend(Writer::all(generation, old.shape.workers()));
        if let Some(text) = &old.manifest {
            let plan =
                only_plan(&[(format!("{} (generation {})", path.display(), old.generation), text.clone())])?;
            earlier_plans.insert(plan.hash(), Arc::new(plan));
        }
    }
    let rewind = file.rewinds.map(|undone| Rewind { undone: Generation(undone as u32), plan: plan.hash() });
    let setup = Setup {
        plan,
        earlier_plans,
        identity: PipelineIdentity {
            namespace: file.namespace.clone(),
            pipeline: file.pipeline.clone(),
            uid8: file.uid8.clone(),
        },
        generation: Some(Generation(file.generation as u32)),
        worker: WorkerIndex(workers.start),
        workers: file.shape.workers(),
        prior,
        rewind,
        rollback_window_ms: file.rollback_window_ms,
        promotion: Promotion::Operator,
        defences: protocol::defences::Defences::ALL,
        snapshots: protocol::snapshot::Limits::USUAL,
    };
    let secrets = SecretsFrom::Mounted(SECRETS_DIRECTORY.into());
    let reach = Reach { given: args.kafka.clone(), secrets };
    let origin = file.priors.iter().find_map(|old| old.restore.clone());
    Ok(Job { setup, workers, file, reach, mounted: SECRETS_DIRECTORY.into(), waits: true, origin })
}

/// Reads the facts of a generation.
pub(super) fn generation_file(path: &Path) -> Result<GenerationFile, Exit> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| refuse(&format!("failed to read {}: {error}", path.display())))?;
    let file: GenerationFile =
        serde_saphyr::from_str(&text).map_err(|error| refuse(&format!("{}: {error}", path.display())))?;
    file.check().map_err(|error| refuse(&format!("{}: {error}", path.display())))?;
    Ok(file)
}

pub(super) fn only_plan(texts: &[(String, String)]) -> Result<Plan, Exit> {
    only_pipeline(texts).map(|(plan, _)| plan)
}

/// The plan of the one pipeline of some texts, and the Secrets beside it.
fn only_pipeline(texts: &[(String, String)]) -> Result<(Plan, BTreeMap<String, SecretData>), Exit> {
    let loaded = load_texts(texts).map_err(|error| fail(&error))?;
    match &loaded.pipelines[..] {
        [pipeline] => Ok((pipeline.plan.clone(), loaded.secrets(pipeline.plan.namespace()))),
        others => {
            let found = others.len();
            Err(refuse(&format!(
                "a worker runs exactly one StreamPipeline, and there are {found}; see `weir run`"
            )))
        }
    }
}

/// Serves what the operator or the user wants to be served, on a thread of its own until the process ends.
fn serve(args: &Args, job: &Job, pod: &Arc<Pod>) -> Result<(), ServeError> {
    let file = job.file.clone();
    let in_a_pod = |port: u16| {
        let all = SocketAddr::new([0, 0, 0, 0].into(), port);
        args.generation_file.is_some().then_some(all)
    };
    let control = args.control_address.or(in_a_pod(file.ports.control)).map(listen).transpose()?;
    let metrics = args.metrics_address.or(in_a_pod(file.ports.metrics)).map(listen).transpose()?;
    let owner = format!("{}/{}/{}", file.namespace, file.pipeline, file.uid8);
    let served = Served {
        pod: pod.clone(),
        secrets: Arc::new(Secrets::of(&job.setup.plan, &job.mounted, owner)),
        generation: Arc::new(file),
        started_at_ms: clock::wall_ms(),
    };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ServeError::Thread)?;
    let serve = async move |listener: Option<TcpListener>, routes: axum::Router| match listener {
        Some(listener) => axum::serve(tokio::net::TcpListener::from_std(listener)?, routes).await,
        None => Ok(()),
    };
    let both = async move {
        let (control, metrics) =
            (serve(control, control_routes(served.clone())), serve(metrics, metrics_routes(served)));
        tokio::try_join!(control, metrics).map(|_| ())
    };
    let thread = std::thread::Builder::new().name("http".to_owned()).spawn(move || runtime.block_on(both));
    thread.map(|_| ()).map_err(ServeError::Thread)
}

/// Why nothing can be served.
#[derive(Debug, thiserror::Error)]
enum ServeError {
    /// The address.
    #[error("failed to listen on {address}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The operating system.
    #[error("failed to start a thread")]
    Thread(#[source] std::io::Error),
}

fn listen(address: SocketAddr) -> Result<TcpListener, ServeError> {
    let listener = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    listener.map_err(|source| ServeError::Listen { address, source })
}
