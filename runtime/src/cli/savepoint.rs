//! `weir savepoint`: takes, shows, restores and deletes savepoints. The operator runs it in Jobs, because it has no
//! credentials itself; by hand it serves workers that are started by hand.

use super::Exit;
use super::input::load_texts;
use super::logs::{LogFormat, start_logs};
use super::worker::{generation_file, only_plan, refuse};
use crate::clock;
use crate::cluster::{PlaceError, Reach, SecretsFrom, StartError, Visit};
use crate::savepoint::{Complete, Destination, SavepointError, Subject, Taker, open, restore};
use crate::worker::chain;
use connect::snapshot::Folder;
use control::Reason;
use control::generation::SECRETS_DIRECTORY;
use control::savepoint::{
    JobResult, RESTORED_DRAIN, RESTORED_GENERATION, RESULT_PATH, Restored, SavepointPlace, Taken,
};
use pipeline::plan::Plan;
use protocol::identity::{DrainId, Generation, PipelineIdentity, WorkerIndex, Writer};
use protocol::savepoint::Savepoint;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long one look at the journals waits for something new.
const LOOK: Duration = Duration::from_millis(200);

/// Take, show, restore and delete savepoints: everything that a pipeline needs to go on elsewhere
///
/// A savepoint is a folder of its own, in a bucket or a directory, and needs nothing outside of it. It is taken by reading:
/// the pipeline may be suspended or at work, and notices nothing. Of a suspended pipeline it is where the pipeline stopped, and
/// who goes on from there repeats nothing. Of one at work it is a moment of the past: who goes on from there gives out again what
/// the pipeline has given out since.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true, subcommand_required = true)]
#[command(after_help = "Examples:
  weir savepoint take pipeline.yaml --kafka 127.0.0.1:9092 --uri file:///var/lib/weir/before-the-move
  weir savepoint show --uri s3://my-bucket/savepoints/shop.nightly.0a1b2c3d --secret bucket-access
  weir savepoint restore other.yaml --kafka 127.0.0.1:9092 --uri file:///var/lib/weir/before-the-move

Exit codes: 0 done, 1 it did not work, 2 wrong usage, 78 wrong configuration.")]
pub struct Args {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, clap::Subcommand)]
enum Act {
    Take(Take),
    /// Say what a savepoint holds, and check that its manifest is whole
    Show(Place),
    Restore(Restore),
    Delete(Delete),
}

/// Take a savepoint of a pipeline, suspended or at work
///
/// What it needs besides the pipeline's own rights is nothing: it only reads. Of a pipeline at work it waits until there are
/// snapshots that fit together, at most a checkpoint interval for each step that groups records.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
struct Take {
    #[command(flatten)]
    pipeline: Pipeline,
    #[command(flatten)]
    place: Place,
    /// How long it may take, in seconds; by default nine minutes, or more where snapshots are rare
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
}

/// Restore a savepoint into a new pipeline, before its workers start
///
/// Makes the internal topics of the pipeline and writes where its units stand; to do it again changes nothing. The topics that
/// the savepoint has positions of must be the same, so it is for the Kafka that it was taken on. The workers that are started
/// then go on from there.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
struct Restore {
    #[command(flatten)]
    pipeline: Pipeline,
    /// The folder of the savepoint; with a generation file it stands there
    #[arg(long, value_name = "URI", required_unless_present = "generation_file")]
    uri: Option<String>,
    #[command(flatten)]
    access: Access,
    /// The hash that the manifest of the savepoint must have
    #[arg(long, value_name = "HASH")]
    manifest_hash: Option<String>,
}

/// Delete a savepoint: everything in its folder
///
/// A folder without a complete savepoint is left alone: it may be something else.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
struct Delete {
    #[command(flatten)]
    place: Place,
    /// Delete the folder although the savepoint in it was never finished
    #[arg(long)]
    unfinished: bool,
}

/// The pipeline that is saved or restored.
#[derive(Debug, clap::Args)]
struct Pipeline {
    /// Files with the manifest of one pipeline and with what it refers to
    #[arg(
        value_name = "FILE",
        required_unless_present = "generation_file",
        conflicts_with = "generation_file"
    )]
    files: Vec<PathBuf>,
    /// The facts of a generation, as the operator writes them
    #[arg(long, value_name = "FILE")]
    generation_file: Option<PathBuf>,
    /// Use this Kafka instead of the one in the manifest
    #[arg(long, value_name = "HOST:PORT")]
    kafka: Option<String>,
}

/// A savepoint, by its folder.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
struct Place {
    /// The folder of the savepoint, and of nothing else: s3://BUCKET/NAME, gs://…, az://… or file:///…
    #[arg(long, value_name = "URI")]
    uri: String,
    #[command(flatten)]
    access: Access,
}

/// How the folder of a savepoint is reached, and what is said of it.
#[derive(Debug, clap::Args)]
struct Access {
    /// The Secret with the credentials of the bucket
    #[arg(long, value_name = "NAME")]
    secret: Option<String>,
    /// Address of the store in place of that of the cloud
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// Region of the bucket
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// Where Secrets are mounted, each in a folder of its name, with a file for each key
    ///
    /// By hand, without it, a Secret is a document of the files, or the variables WEIR_SECRET_<NAME>_<KEY>.
    #[arg(long, value_name = "DIRECTORY")]
    secrets: Option<PathBuf>,
    /// Where the result is written, as a line of JSON; in a pod its termination message
    #[arg(long, value_name = "FILE")]
    result: Option<PathBuf>,
    /// How the log looks; by hand text, with a generation file json
    #[arg(long, value_enum, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
    /// How much is logged: error, warn, info, debug
    #[arg(long, env = "WEIR_LOG", value_name = "LEVEL", default_value = "info")]
    log: String,
}

/// Why it did not work.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Savepoint(#[from] SavepointError),
    #[error("the place of the savepoint")]
    Place(#[from] PlaceError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("it was not done within {seconds} s; the last that was waited for: {waited}")]
    Late { seconds: u64, waited: String },
}

impl From<connect::door::IoError> for Trouble {
    fn from(error: connect::door::IoError) -> Self {
        Self::Savepoint(error.into())
    }
}

impl Trouble {
    fn result(&self) -> JobResult {
        let (reason, permanent) = match self {
            Self::Savepoint(error) => (error.reason(), error.is_permanent()),
            Self::Place(error) if error.is_missing_key() => (Reason::SecretKeyMissing, false),
            Self::Start(StartError::Secret { source, .. }) if source.missing_key().is_some() => {
                (Reason::SecretKeyMissing, false)
            }
            Self::Start(StartError::StorageSecret { source, .. }) if source.is_missing_key() => {
                (Reason::SecretKeyMissing, false)
            }
            Self::Place(PlaceError::Store { .. }) | Self::Start(StartError::Storage(_)) => {
                (Reason::SavepointFailed, false)
            }
            Self::Place(_) | Self::Start(_) => (Reason::ConfigInvalid, true),
            Self::Late { .. } => (Reason::SavepointFailed, false),
        };
        JobResult::failed(Some(reason), chain(self), permanent)
    }
}

/// The pipeline as it was given.
struct Given {
    plan: Arc<Plan>,
    identity: PipelineIdentity,
    manifest: String,
    reach: Reach,
    /// Where the savepoint is that it is restored from.
    restore: Option<SavepointPlace>,
}

pub fn run(args: &Args) -> Exit {
    let (access, pipeline) = match &args.act {
        Act::Take(take) => (&take.place.access, Some(&take.pipeline)),
        Act::Restore(restore) => (&restore.access, Some(&restore.pipeline)),
        Act::Show(place) => (&place.access, None),
        Act::Delete(delete) => (&delete.place.access, None),
    };
    let in_a_pod = pipeline.is_some_and(|pipeline| pipeline.generation_file.is_some());
    let usual = if in_a_pod { LogFormat::Json } else { LogFormat::Text };
    start_logs(&access.log, access.log_format.unwrap_or(usual));
    let done = match &args.act {
        Act::Take(take) => given(&take.pipeline, access).map(|given| taken(take, &given)),
        Act::Restore(restore) => given(&restore.pipeline, access).map(|given| restored(restore, &given)),
        Act::Show(place) => Ok(shown(place)),
        Act::Delete(delete) => Ok(deleted(delete)),
    };
    let (result, exit) = match done {
        Err(exit) => return exit,
        Ok(Ok(result)) => (result, Exit::Done),
        Ok(Err(trouble)) => {
            tracing::error!("{}", chain(&trouble));
            (trouble.result(), Exit::Failed)
        }
    };
    let of_pod = Some(PathBuf::from(RESULT_PATH)).filter(|path| path.exists());
    match access.result.clone().or(of_pod).map(|path| std::fs::write(path, result.encode())) {
        Some(Err(error)) => refuse(&format!("failed to write the result: {error}")),
        _ => exit,
    }
}

fn taken(args: &Take, given: &Given) -> Result<JobResult, Trouble> {
    let place = args.place.access.place(&args.place.uri);
    let mut folder = given.reach.secrets.savepoint(&place)?;
    let repeats = args.pipeline.generation_file.is_some();
    if let Some(complete) = already(folder.as_mut(), &given.identity, repeats)? {
        return Ok(JobResult::Taken(summary(&complete)));
    }
    let visit = Visit::new(given.plan.clone(), given.identity.clone(), &given.reach)?;
    let mut snapshots = visit.snapshots()?;
    let (plan, identity) = (given.plan.clone(), given.identity.clone());
    let tag = format!("{:016x}", clock::random());
    let subject = Subject { plan, identity, manifest: given.manifest.clone(), tag };
    // An id of its own, that fences nobody.
    let id = format!("{}.savepoint.{:016x}", given.identity.group_id(), clock::random());
    let mut taker = Taker::begin(subject, visit.connect(&id)?)?;
    let seconds = args.timeout.unwrap_or_else(|| patience(&given.plan));
    let deadline = Instant::now() + Duration::from_secs(seconds);
    let mut said = None;
    let complete = loop {
        if let Some(complete) = taker.step(snapshots.as_mut(), folder.as_mut(), clock::wall_ms(), LOOK)? {
            break complete;
        }
        let waits = taker.waits().map(ToString::to_string);
        if waits != said {
            if let Some(waits) = &waits {
                tracing::info!("waiting: {waits}");
            }
            said = waits;
        }
        if Instant::now() >= deadline {
            let waited = said.unwrap_or_else(|| "the journals to be read".to_owned());
            return Err(Trouble::Late { seconds, waited });
        }
    };
    let taken = summary(&complete);
    tracing::info!(
        uri = place.uri,
        bytes = taken.bytes,
        units = taken.units,
        drained = taken.drained,
        "taken"
    );
    Ok(JobResult::Taken(taken))
}

/// Every stage may wait for a snapshot of its own.
fn patience(plan: &Plan) -> u64 {
    let snapshots = (plan.stages().len() as u64 + 1) * plan.settings().checkpoint_interval_ms / 1_000;
    540.max(snapshots + 60)
}

/// The savepoint that an attempt before this one has finished, where attempts are repeated; every other one is in the way.
fn already(
    folder: &mut dyn Folder,
    identity: &PipelineIdentity,
    repeats: bool,
) -> Result<Option<Complete>, SavepointError> {
    let (savepoint, hash) = match open(folder) {
        Err(SavepointError::None { .. }) => return Ok(None),
        found => found?,
    };
    let of = (&savepoint.namespace, &savepoint.pipeline, &savepoint.uid8);
    if repeats && of == (&identity.namespace, &identity.pipeline, &identity.uid8) {
        tracing::info!("it was taken before");
        return Ok(Some(Complete { savepoint, hash }));
    }
    let pipeline = format!("{}/{}", savepoint.namespace, savepoint.pipeline);
    Err(SavepointError::Occupied { pipeline })
}

fn summary(Complete { savepoint, hash }: &Complete) -> Taken {
    Taken {
        manifest_hash: format!("{hash:032x}"),
        bytes: savepoint.bytes(),
        units: savepoint.units().count() as u32,
        plan_hash: savepoint.plan.to_string(),
        generation: u64::from(savepoint.generation.0),
        taken_at_ms: savepoint.taken_at_ms,
        drained: savepoint.drained,
    }
}

fn restored(args: &Restore, given: &Given) -> Result<JobResult, Trouble> {
    let named = args.uri.as_ref().map(|uri| args.access.place(uri));
    let Some(place) = named.or_else(|| given.restore.clone()) else {
        let said = "the generation file has no savepoint to restore".to_owned();
        return Err(PlaceError::Address(said).into());
    };
    let mut folder = given.reach.secrets.savepoint(&place)?;
    let visit = Visit::new(given.plan.clone(), given.identity.clone(), &given.reach)?;
    let mut snapshots = visit.snapshots()?;
    let generation = Generation(RESTORED_GENERATION as u32);
    let writer = Writer { generation, worker: WorkerIndex(0) };
    let mut io = visit.connect(&given.identity.transactional_id(writer))?;
    let destination = Destination {
        identity: given.identity.clone(),
        plan: given.plan.hash(),
        generation,
        drain: DrainId::of(RESTORED_DRAIN),
        manifest_hash: args.manifest_hash.clone(),
    };
    let (savepoint, hash) = restore(&destination, &mut io, folder.as_mut(), snapshots.as_mut())?;
    let units = savepoint.units().count() as u32;
    tracing::info!(uri = place.uri, units, plan = %savepoint.plan, "restored");
    let (plan_hash, manifest_hash) = (savepoint.plan.to_string(), format!("{hash:032x}"));
    Ok(JobResult::Restored(Restored { plan_hash, units, manifest_hash }))
}

fn shown(place: &Place) -> Result<JobResult, Trouble> {
    let mut folder = place.access.secrets_from(BTreeMap::new()).savepoint(&place.access.place(&place.uri))?;
    let (savepoint, hash) = open(folder.as_mut())?;
    super::input::print(&description(&savepoint, hash));
    Ok(JobResult::Taken(summary(&Complete { savepoint, hash })))
}

fn description(savepoint: &Savepoint, hash: u128) -> String {
    let stages = savepoint.stages.iter().map(|stage| {
        let blocks: usize = stage.units.iter().map(|unit| unit.blocks.len()).sum();
        let on_the_way = if blocks > 0 { ", records on their way to it" } else { "" };
        format!("  {}: {} units{on_the_way}\n", stage.name, stage.units.len())
    });
    let state = if savepoint.drained {
        "suspended: who goes on from here repeats nothing"
    } else {
        "at work: who goes on from here gives out again what was given out since"
    };
    format!(
        "pipeline     {}/{}\nuid          {}\ngeneration   {}\nplan         {}\nbytes        {}\nmanifest     {hash:032x}\ntaken while  {state}\nstages\n{}",
        savepoint.namespace,
        savepoint.pipeline,
        savepoint.uid8,
        savepoint.generation,
        savepoint.plan,
        savepoint.bytes(),
        stages.collect::<String>(),
    )
}

fn deleted(Delete { place, unfinished }: &Delete) -> Result<JobResult, Trouble> {
    let mut folder = place.access.secrets_from(BTreeMap::new()).savepoint(&place.access.place(&place.uri))?;
    if !unfinished {
        open(folder.as_mut())?;
    }
    let objects = folder.clear().map_err(SavepointError::Folder)?;
    tracing::info!(objects, uri = place.uri, "deleted");
    Ok(JobResult::Deleted)
}

impl Access {
    fn place(&self, uri: &str) -> SavepointPlace {
        SavepointPlace {
            uri: uri.to_owned(),
            secret: self.secret.clone(),
            endpoint: self.endpoint.clone(),
            region: self.region.clone(),
        }
    }

    fn secrets_from(&self, documents: BTreeMap<String, pipeline::manifest::SecretData>) -> SecretsFrom {
        match &self.secrets {
            Some(directory) => SecretsFrom::Mounted(directory.clone()),
            // In the pods of the operator they are mounted there.
            None if std::path::Path::new(SECRETS_DIRECTORY).is_dir() => {
                SecretsFrom::Mounted(SECRETS_DIRECTORY.into())
            }
            None => SecretsFrom::Documents(documents),
        }
    }
}

fn given(args: &Pipeline, access: &Access) -> Result<Given, Exit> {
    let Some(path) = &args.generation_file else { return by_hand(args, access) };
    let file = generation_file(path)?;
    let plan = only_plan(&[(path.display().to_string(), file.manifest.clone())])?;
    let secrets = SecretsFrom::Mounted(access.secrets.clone().unwrap_or_else(|| SECRETS_DIRECTORY.into()));
    Ok(Given {
        plan: Arc::new(plan),
        identity: PipelineIdentity { namespace: file.namespace, pipeline: file.pipeline, uid8: file.uid8 },
        manifest: file.manifest,
        reach: Reach { given: args.kafka.clone(), secrets },
        restore: file.restore,
    })
}

fn by_hand(args: &Pipeline, access: &Access) -> Result<Given, Exit> {
    let mut texts = Vec::new();
    for file in &args.files {
        let text = std::fs::read_to_string(file).map_err(|error| {
            eprintln!("weir: failed to read {}: {error}", file.display());
            Exit::Usage
        })?;
        texts.push((file.display().to_string(), text));
    }
    let loaded = load_texts(&texts).map_err(|error| super::input::fail(&error))?;
    let [pipeline] = &loaded.pipelines[..] else {
        let found = loaded.pipelines.len();
        return Err(refuse(&format!("a savepoint is of exactly one StreamPipeline, and there are {found}")));
    };
    let manifest = pipeline.resolved.to_yaml().map_err(|error| refuse(&chain(&error)))?;
    let secrets = access.secrets_from(loaded.secrets(pipeline.plan.namespace()));
    Ok(Given {
        identity: crate::local::identity(&pipeline.plan),
        plan: Arc::new(pipeline.plan.clone()),
        manifest,
        reach: Reach { given: args.kafka.clone(), secrets },
        restore: None,
    })
}
