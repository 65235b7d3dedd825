//! `weir cleanup`: deletes the internal topics of a pipeline that is gone, and its snapshots in a bucket. The operator
//! starts it as a Job, because it has no credentials itself.

use super::Exit;
use super::logs::{LogFormat, start_logs};
use super::worker::{generation_file, only_plan, refuse};
use crate::clock;
use crate::cluster::{Reach, SecretsFrom, object_store};
use connect::door::{IoError, KafkaIo};
use connect::kafka::{Io, Settings};
use connect::snapshot::Folder;
use control::generation::SECRETS_DIRECTORY;
use pipeline::plan::{Plan, Storage};
use protocol::identity::PipelineIdentity;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long deleted topics may still be listed.
const GONE_WITHIN: Duration = Duration::from_mins(1);
/// How often they are looked for.
const LOOK: Duration = Duration::from_millis(500);

/// Delete the internal topics and snapshots of a pipeline that is gone
///
/// The operator runs this as a Job when a pipeline is deleted. Only the topics that `weir topics` shows as created by Weir
/// are deleted, and of a bucket in checkpoint.storage the objects of this pipeline; what the pipeline read and wrote for
/// its user stays. The workers of the pipeline must have ended.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
#[command(after_help = "Examples:
  weir cleanup --generation-file /etc/weir/generation.yaml

Exit codes: 0 done, 1 topics or objects are left, 78 the file or the address of Kafka is wrong.")]
pub struct Args {
    /// The facts of the newest generation, as the operator wrote them
    #[arg(long, value_name = "FILE")]
    generation_file: PathBuf,
    /// Use this Kafka instead of the one in the manifest
    #[arg(long, value_name = "HOST:PORT")]
    kafka: Option<String>,
    /// Text or JSON lines
    #[arg(long, value_enum, default_value = "json")]
    log_format: LogFormat,
    /// How much is logged: error, warn, info, debug
    #[arg(long, env = "WEIR_LOG", value_name = "LEVEL", default_value = "info")]
    log: String,
}

pub fn run(args: &Args) -> Exit {
    start_logs(&args.log, args.log_format);
    match cleaned(args) {
        Ok(()) => Exit::Done,
        Err(exit) => exit,
    }
}

fn cleaned(args: &Args) -> Result<(), Exit> {
    let file = generation_file(&args.generation_file)?;
    let plan = only_plan(&[(args.generation_file.display().to_string(), file.manifest.clone())])?;
    let secrets = SecretsFrom::Mounted(SECRETS_DIRECTORY.into());
    let identity = PipelineIdentity { namespace: file.namespace, pipeline: file.pipeline, uid8: file.uid8 };
    // Both are tried: that one is away keeps nothing of the other.
    let objects = objects_deleted(&plan, &identity, &secrets);
    let topics = topics_deleted(&plan, &identity, &Reach { given: args.kafka.clone(), secrets });
    topics.and(objects)
}

fn topics_deleted(plan: &Plan, identity: &PipelineIdentity, reach: &Reach) -> Result<(), Exit> {
    let access = reach.access(plan).map_err(|error| refuse(&crate::worker::chain(&error)))?;
    let mut settings = Settings::new(access.servers, "weir-cleanup", identity.group_id());
    settings.security = access.security;
    // An id of its own, that fences nobody.
    let id = format!("{}.cleanup.{:016x}", identity.group_id(), clock::random());
    match Io::connect(&settings, &id).and_then(|mut io| delete(&mut io, identity)) {
        Ok(left) if left.is_empty() => Ok(()),
        Ok(left) => {
            tracing::error!("these topics are still there: {}", left.join(", "));
            Err(Exit::Failed)
        }
        Err(error) => {
            tracing::error!("{}", crate::worker::chain(&error));
            Err(Exit::Failed)
        }
    }
}

/// Deletes the snapshots of the pipeline, if they are in a bucket.
fn objects_deleted(plan: &Plan, identity: &PipelineIdentity, secrets: &SecretsFrom) -> Result<(), Exit> {
    let Some(Storage::Bucket(bucket)) = &plan.settings().checkpoint_storage else { return Ok(()) };
    match object_store(bucket, identity.folder(), secrets).and_then(|mut store| store.clear()) {
        Ok(objects) => {
            tracing::info!(objects, bucket = %bucket, "deleted");
            Ok(())
        }
        Err(error) => {
            tracing::error!(
                "snapshots of the pipeline are left below {bucket}/{}: {}",
                identity.folder(),
                crate::worker::chain(&error)
            );
            Err(Exit::Failed)
        }
    }
}

/// Deletes what was made for the pipeline, and returns what is still listed at the end.
fn delete(io: &mut impl KafkaIo, identity: &PipelineIdentity) -> Result<Vec<String>, IoError> {
    let deadline = Instant::now() + GONE_WITHIN;
    loop {
        let left: Vec<String> = io.topics()?.into_iter().filter(|topic| identity.made(topic)).collect();
        if left.is_empty() || Instant::now() >= deadline {
            return Ok(left);
        }
        tracing::info!(topics = ?left, "deleting");
        io.delete_topics(&left)?;
        std::thread::park_timeout(LOOK);
    }
}
