//! `kubectl weir plan`: what a change will do, before it is applied.

use super::Exit;
use super::files::{ReadError, documents, print};
use super::outlook::{Outlook, outlook};
use crate::context::with_causes;
use crate::pipeline::observe::{Facts, Generation, Observed, SavepointSeen};
use crate::pipeline::{references, validate::validate};
use crate::settings::Settings;
use ::pipeline::manifest::{Documents, Manifest};
use ::pipeline::problem::{Problem, ProblemKind};
use clap::Parser;
use control::GenerationFile;
use control::generation::{FILE_KEY, stateful_set};
use crds::{StreamPipeline, StreamSavepoint, StreamSavepointStatus, StreamWindow};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::jiff::Timestamp;
use kube::api::ObjectMeta;
use kube::{Api, Client, Config, Resource};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Say what a change will do, before it is applied
///
/// Reads the manifests and the pipelines of the same names in the cluster, changes nothing, and says for each StreamPipeline
/// whether it is handed over, drained and replaced, left as it is, or refused, and what becomes of its state. What the
/// manifests refer to and do not hold (StreamWindow, ConfigMap) is taken from the cluster.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
#[command(after_help = "Examples:
  kubectl weir plan pipeline.yaml
  kubectl kustomize overlays/production | kubectl weir plan -

Exit codes: 0 done, 1 the cluster does not answer, 2 a file cannot be read, 78 a manifest is wrong or a change is refused.")]
pub struct Args {
    /// Files with StreamPipelines and what they refer to (YAML, several documents in each if you like); `-` is stdin
    #[arg(value_name = "FILE", required = true)]
    files: Vec<String>,
    /// The namespace of objects that name none; that of the kubeconfig when it is not given
    #[arg(long, short, value_name = "NAMESPACE")]
    namespace: Option<String>,
}

/// What the command cannot go on with.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Problems(Vec<Problem>),
    #[error("there is no StreamPipeline in {0}")]
    NoPipeline(String),
    #[error("failed to start: {0}")]
    Start(#[from] std::io::Error),
    #[error("no way to the cluster: {}", with_causes(.0))]
    Access(#[from] kube::config::KubeconfigError),
    #[error("the cluster does not answer: {}", with_causes(.0))]
    Cluster(#[from] kube::Error),
}

pub fn run(args: &Args) -> Exit {
    match answer(args) {
        Ok((text, possible)) => match print(&text) {
            Exit::Done if !possible => Exit::Configuration,
            exit => exit,
        },
        Err(error) => {
            eprintln!("kubectl-weir: {error}");
            match error {
                Error::Read(_) => Exit::Usage,
                Error::Problems(_) | Error::NoPipeline(_) => Exit::Configuration,
                Error::Start(_) | Error::Access(_) | Error::Cluster(_) => Exit::Failed,
            }
        }
    }
}

fn answer(args: &Args) -> Result<(String, bool), Error> {
    let documents = documents(&args.files)?;
    let matters = |problem: &&Problem| problem.kind != ProblemKind::UnknownKind;
    let problems: Vec<Problem> = documents.problems().iter().filter(matters).cloned().collect();
    if !problems.is_empty() {
        return Err(Error::Problems(problems));
    }
    if documents.pipelines().next().is_none() {
        return Err(Error::NoPipeline(args.files.join(" and ")));
    }
    // An error means that somebody installed it before, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(say(args, &documents))
}

async fn say(args: &Args, documents: &Documents) -> Result<(String, bool), Error> {
    let config = Config::from_kubeconfig(&kube::config::KubeConfigOptions::default()).await?;
    let default = args.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
    let client = Client::try_from(config)?;
    let (mut text, mut possible) = (String::new(), true);
    for manifest in documents.pipelines() {
        let namespace = manifest.namespace.clone().unwrap_or_else(|| default.clone());
        let Outlook { lines, possible: this } = look(&client, documents, manifest, &namespace).await?;
        possible &= this;
        let _ = writeln!(text, "streampipeline/{} in {namespace}: {}", manifest.name, lines.join("\n  "));
    }
    Ok((text, possible))
}

/// What the operator would see and decide if the manifest were applied.
async fn look(
    client: &Client,
    documents: &Documents,
    manifest: &Manifest,
    namespace: &str,
) -> Result<Outlook, Error> {
    let spec = manifest.spec.clone();
    let pipelines: Api<StreamPipeline> = Api::namespaced(client.clone(), namespace);
    let live = pipelines.get_opt(&manifest.name).await?;
    let mut pipeline = live.clone().unwrap_or_else(|| StreamPipeline {
        api_version: StreamPipeline::api_version(&()).into_owned(),
        kind: StreamPipeline::kind(&()).into_owned(),
        metadata: ObjectMeta { name: Some(manifest.name.clone()), ..ObjectMeta::default() },
        spec: spec.clone(),
        status: None,
    });
    pipeline.metadata.namespace = Some(namespace.to_owned());
    pipeline.spec = spec;
    let mut given = documents.references(manifest.namespace());
    let all: Api<StreamWindow> = Api::namespaced(client.clone(), namespace);
    let mut windows = BTreeMap::new();
    for name in references::windows(&pipeline.spec) {
        let mut found = given.windows.remove(&name);
        if found.is_none() {
            found = all.get_opt(&name).await?.map(|window| window.spec);
        }
        windows.extend(found.map(|window| (name, window)));
    }
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let mut config_maps = BTreeMap::new();
    for name in references::config_maps(&pipeline.spec) {
        let mut found = given.config_maps.remove(&name);
        if found.is_none() {
            found = maps.get_opt(&name).await?.map(|map| map.data.unwrap_or_default());
        }
        config_maps.extend(found.map(|map| (name, map)));
    }
    let from = pipeline.spec.restore_from.as_ref().and_then(|from| from.savepoint_ref.as_ref());
    let savepoint = match from.filter(|_| live.is_none()) {
        Some(from) => Some(savepoint(client, documents, namespace, &from.name).await?),
        None => None,
    };
    let observed = Observed {
        last: None,
        before: None,
        savepoint,
        restore: None,
        now: Timestamp::now(),
        generations: working(&maps, &pipeline).await?.into_iter().collect(),
        pipeline,
        windows,
        unreadable_windows: BTreeMap::new(),
        config_maps,
        cleanup: None,
    };
    // Which images are allowed is the operator's to say.
    let settings = Settings::parse_from(["weir-operator", "--runtime-image=", "--allowed-images=*"]);
    Ok(outlook(live.as_ref(), &observed, &validate(&observed, &settings)))
}

/// The savepoint that a new pipeline begins with. One that is applied with it is not ready yet.
async fn savepoint(
    client: &Client,
    documents: &Documents,
    namespace: &str,
    name: &str,
) -> Result<SavepointSeen, Error> {
    let all: Api<StreamSavepoint> = Api::namespaced(client.clone(), namespace);
    let found = all.get_opt(name).await?.map(|savepoint| savepoint.status.unwrap_or_default());
    let given = documents.savepoints().any(|(_, other, _)| other == name);
    Ok(match found.or_else(|| given.then(StreamSavepointStatus::default)) {
        Some(status) => SavepointSeen::Here(Box::new(status)),
        None => SavepointSeen::Missing,
    })
}

/// The generation that works, as its ConfigMap tells.
async fn working(maps: &Api<ConfigMap>, pipeline: &StreamPipeline) -> Result<Option<Generation>, Error> {
    let Some(number) = pipeline.status.as_ref().and_then(|status| status.generation) else { return Ok(None) };
    let name = pipeline.metadata.name.clone().unwrap_or_default();
    let map = maps.get_opt(&stateful_set(&name, number)).await?;
    let text = map.and_then(|map| map.data?.remove(FILE_KEY));
    let file = text.and_then(|text| serde_saphyr::from_str::<GenerationFile>(&text).ok());
    let facts = file.map(|file| Facts {
        file,
        revision_hash: String::new(),
        generation_hash: String::new(),
        image: None,
    });
    Ok(facts.map(|facts| Generation { number, facts: Some(facts), ..Generation::default() }))
}
