//! Everything that is needed to decide, read once. Nothing is decided here.

mod pod;

pub use pod::{PodSeen, Trouble};

use super::{
    GENERATION_ANNOTATION, GENERATION_LABEL, IMAGE_ANNOTATION, PIPELINE_LABEL, RESTARTED_AT_ANNOTATION,
    REVISION_ANNOTATION, references,
};
use crate::context::{Context, with_causes};
use crate::job::{self, JobSeen};
use ::pipeline::spec::{StreamWindowSpec, TerminationPolicy};
use control::GenerationFile;
use control::generation::FILE_KEY;
use control::savepoint::RESTORED_GENERATION;
use crds::{StreamPipeline, StreamPipelineStatus, StreamSavepoint, StreamSavepointStatus, StreamWindow};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::api::ListParams;
use kube::core::DeserializeGuard;
use kube::core::error_boundary::InvalidObject;
use kube::{Api, ResourceExt};
use std::collections::{BTreeMap, BTreeSet};

/// References of one pipeline that are read at the same time.
const READS_AT_ONCE: usize = 8;

/// What the cluster looks like for one pipeline.
#[derive(Clone, Debug)]
pub struct Observed {
    /// When it was looked at.
    pub now: Timestamp,
    /// The object, as it is now.
    pub pipeline: StreamPipeline,
    /// The StreamWindows that it refers to and that exist and can be read.
    pub windows: BTreeMap<String, StreamWindowSpec>,
    /// The StreamWindows that exist and cannot be read, with the reason.
    pub unreadable_windows: BTreeMap<String, String>,
    /// The ConfigMaps that it refers to and that exist.
    pub config_maps: BTreeMap<String, BTreeMap<String, String>>,
    /// Its generations of which anything exists, oldest first.
    pub generations: Vec<Generation>,
    /// The Job that deletes internal topics.
    pub cleanup: Option<Cleanup>,
    /// The StreamSavepoint that keeps the state of a pipeline that is deleted; none for every other one.
    pub last: Option<SavepointSeen>,
    /// The StreamSavepoint that keeps the state of before the change that is being carried out; none for every other one.
    pub before: Option<SavepointSeen>,
    /// The StreamSavepoint that a new pipeline begins with; none when it names none, or has begun.
    pub savepoint: Option<SavepointSeen>,
    /// The Job that makes the journals of a new pipeline of a savepoint.
    pub restore: Option<JobSeen>,
}

/// What is seen of a StreamSavepoint.
#[derive(Clone, Debug)]
pub enum SavepointSeen {
    /// There is none.
    Missing,
    /// It cannot be read, and why.
    Unreadable(String),
    /// What it says.
    Here(Box<StreamSavepointStatus>),
}

/// One generation of which anything exists.
#[derive(Clone, Debug, Default)]
pub struct Generation {
    /// Its number.
    pub number: u64,
    /// What its ConfigMap says; none while there is none.
    pub facts: Option<Facts>,
    /// Wanted number of pods of its StatefulSet; none while there is none.
    pub replicas: Option<i32>,
    /// Its pods, by name.
    pub pods: Vec<PodSeen>,
}

/// What the ConfigMap of a generation says.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The file for the pods.
    pub file: GenerationFile,
    /// Hash of the revision.
    pub revision_hash: String,
    /// Hash of revision and shape.
    pub generation_hash: String,
    /// Image of the pods; none when an older operator wrote it.
    pub image: Option<String>,
}

/// How far the Job that deletes internal topics is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cleanup {
    /// It works, or waits for a node.
    Running,
    /// It has deleted them.
    Succeeded,
    /// It has given up.
    Failed,
}

/// What a look at a pipeline gives.
#[derive(Debug)]
pub enum Outcome {
    /// It no longer exists.
    Gone,
    /// It exists and cannot be read.
    Unreadable(Box<InvalidObject>),
    /// It exists.
    Seen(Box<Observed>),
}

/// Which read failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The pipeline itself.
    #[error("failed to read StreamPipeline {0}")]
    Pipeline(String, #[source] kube::Error),
    /// A window.
    #[error("failed to read StreamWindow {0}")]
    Window(String, #[source] kube::Error),
    /// A ConfigMap that the spec refers to.
    #[error("failed to read ConfigMap {0}")]
    ConfigMap(String, #[source] kube::Error),
    /// What was made for the pipeline.
    #[error("failed to list the {kind} of pipeline {pipeline}")]
    List {
        /// What was listed.
        kind: &'static str,
        /// For which pipeline.
        pipeline: String,
        /// Why it failed.
        #[source]
        source: kube::Error,
    },
    /// A Job of the pipeline.
    #[error("failed to read Job {0}")]
    Job(String, #[source] kube::Error),
    /// A savepoint.
    #[error("failed to read StreamSavepoint {0}")]
    Savepoint(String, #[source] kube::Error),
}

impl Observed {
    /// Name of the pipeline.
    pub fn name(&self) -> String {
        self.pipeline.name_any()
    }

    /// The status as it was read, or the one of an object that was never seen.
    pub fn status(&self) -> StreamPipelineStatus {
        self.pipeline.status.clone().unwrap_or_default()
    }

    /// True once the user has deleted the pipeline.
    pub fn deleting(&self) -> bool {
        self.pipeline.metadata.deletion_timestamp.is_some()
    }

    /// When a restart was asked for, as the user wrote it: another text is another restart.
    pub fn restarted_at(&self) -> Option<&str> {
        self.pipeline.annotations().get(RESTARTED_AT_ANNOTATION).map(String::as_str)
    }

    /// The generation with this number, if anything of it exists.
    pub fn generation(&self, number: u64) -> Option<&Generation> {
        self.generations.iter().find(|generation| generation.number == number)
    }

    /// What the ConfigMap of the generation with this number says, while there is one.
    pub fn facts(&self, number: u64) -> Option<&Facts> {
        self.generation(number)?.facts.as_ref()
    }
}

impl Generation {
    /// True while a StatefulSet or a pod of it exists.
    pub fn runs(&self) -> bool {
        self.replicas.is_some() || !self.pods.is_empty()
    }
}

/// Looks at one pipeline. The object is read again, because the cache may lag behind our own last write.
pub async fn observe(cached: &DeserializeGuard<StreamPipeline>, context: &Context) -> Result<Outcome, Error> {
    let (namespace, name) = (cached.namespace().unwrap_or_default(), cached.name_any());
    let api: Api<DeserializeGuard<StreamPipeline>> = Api::namespaced(context.client.clone(), &namespace);
    let pipeline = match api.get_opt(&name).await.map_err(|source| Error::Pipeline(name.clone(), source))? {
        None => return Ok(Outcome::Gone),
        Some(DeserializeGuard(Err(unreadable))) => return Ok(Outcome::Unreadable(Box::new(unreadable))),
        Some(DeserializeGuard(Ok(pipeline))) => pipeline,
    };
    let reader = Reader { context, namespace: &namespace, pipeline: &name };
    let (windows, unreadable_windows) = reader.windows(references::windows(&pipeline.spec)).await?;
    let config_maps = reader.config_maps(references::config_maps(&pipeline.spec)).await?;
    let generations = reader.generations().await?;
    let cleanup = if pipeline.metadata.deletion_timestamp.is_some() { reader.cleanup().await? } else { None };
    let from = pipeline.spec.restore_from.as_ref().filter(|_| may_be_restoring(&pipeline));
    let restore = if from.is_some() { reader.restore().await? } else { None };
    let savepoint = match from.and_then(|from| from.savepoint_ref.as_ref()) {
        Some(savepoint) => Some(reader.savepoint(&savepoint.name).await?),
        None => None,
    };
    let keeps = pipeline.metadata.deletion_timestamp.is_some()
        && pipeline.spec.termination_policy == Some(TerminationPolicy::Savepoint);
    let last = if keeps { Some(reader.savepoint(&super::build::last_name(&pipeline)).await?) } else { None };
    let before = match super::build::upgrade_name(&pipeline).filter(|_| !keeps) {
        Some(name) => Some(reader.savepoint(&name).await?),
        None => None,
    };
    Ok(Outcome::Seen(Box::new(Observed {
        now: Timestamp::now(),
        last,
        before,
        savepoint,
        restore,
        pipeline,
        windows,
        unreadable_windows,
        config_maps,
        generations,
        cleanup,
    })))
}

/// No generation with pods is known.
fn may_be_restoring(pipeline: &StreamPipeline) -> bool {
    let generation = pipeline.status.as_ref().and_then(|status| status.generation);
    generation.is_none_or(|generation| generation <= RESTORED_GENERATION)
}

/// Reads what belongs to one pipeline.
struct Reader<'a> {
    context: &'a Context,
    namespace: &'a str,
    pipeline: &'a str,
}

type Windows = (BTreeMap<String, StreamWindowSpec>, BTreeMap<String, String>);

impl Reader<'_> {
    async fn windows(&self, names: BTreeSet<String>) -> Result<Windows, Error> {
        let api: Api<DeserializeGuard<StreamWindow>> =
            Api::namespaced(self.context.client.clone(), self.namespace);
        let api = &api;
        let read = async |name: String| match api.get_opt(&name).await {
            Ok(found) => Ok((name, found)),
            Err(source) => Err(Error::Window(name, source)),
        };
        let found: Vec<_> =
            futures::stream::iter(names).map(read).buffered(READS_AT_ONCE).try_collect().await?;
        let mut windows = Windows::default();
        for (name, window) in found {
            match window {
                Some(DeserializeGuard(Ok(window))) => drop(windows.0.insert(name, window.spec)),
                Some(DeserializeGuard(Err(unreadable))) => drop(windows.1.insert(name, unreadable.error)),
                None => {}
            }
        }
        Ok(windows)
    }

    async fn config_maps(
        &self,
        names: BTreeSet<String>,
    ) -> Result<BTreeMap<String, BTreeMap<String, String>>, Error> {
        let api: Api<ConfigMap> = Api::namespaced(self.context.client.clone(), self.namespace);
        let api = &api;
        let read = async |name: String| match api.get_opt(&name).await {
            Ok(found) => Ok(found.map(|map| (name, map.data.unwrap_or_default()))),
            Err(source) => Err(Error::ConfigMap(name, source)),
        };
        let found: Vec<_> =
            futures::stream::iter(names).map(read).buffered(READS_AT_ONCE).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    async fn list<K>(&self, kind: &'static str) -> Result<Vec<K>, Error>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>
            + Clone
            + serde::de::DeserializeOwned
            + std::fmt::Debug,
    {
        let api: Api<K> = Api::namespaced(self.context.client.clone(), self.namespace);
        let parameters =
            ListParams::default().labels(&format!("{PIPELINE_LABEL}={},{GENERATION_LABEL}", self.pipeline));
        let failed = |source| Error::List { kind, pipeline: self.pipeline.to_owned(), source };
        Ok(api.list(&parameters).await.map_err(failed)?.items)
    }

    /// Everything that exists of the generations, with the reports of the pods.
    async fn generations(&self) -> Result<Vec<Generation>, Error> {
        let mut found: BTreeMap<u64, Generation> = BTreeMap::new();
        for map in self.list::<ConfigMap>("ConfigMaps").await? {
            if let Some(generation) = of_generation(&map, &mut found) {
                generation.facts = facts(&map);
            }
        }
        for set in self.list::<StatefulSet>("StatefulSets").await? {
            if let Some(generation) = of_generation(&set, &mut found) {
                generation.replicas = Some(set.spec.and_then(|spec| spec.replicas).unwrap_or(1));
            }
        }
        for pod in self.list::<Pod>("Pods").await? {
            if let Some(generation) = of_generation(&pod, &mut found) {
                generation.pods.push(PodSeen::from(&pod));
            }
        }
        let mut generations: Vec<Generation> = found.into_values().collect();
        for generation in &mut generations {
            generation.pods.sort_by(|a, b| a.name.cmp(&b.name));
        }
        self.ask(&mut generations).await;
        Ok(generations)
    }

    /// Asks every pod that has an address. Who does not answer stays silent.
    async fn ask(&self, generations: &mut [Generation]) {
        let pods = generations.iter_mut().flat_map(|generation| &mut generation.pods);
        let mut pods: Vec<&mut PodSeen> = pods.filter(|pod| pod.address.is_some()).collect();
        let addresses: Vec<_> = pods.iter().filter_map(|pod| pod.address.clone()).collect();
        let answers = self.context.pods.statuses(&addresses).await;
        for (pod, answer) in pods.iter_mut().zip(answers) {
            match answer {
                Ok(status) => pod.report = Some(status),
                Err(error) => {
                    tracing::debug!(pod = pod.name, error = with_causes(&error), "a pod does not answer");
                }
            }
        }
    }

    async fn restore(&self) -> Result<Option<JobSeen>, Error> {
        let name = super::build::restore_name(self.pipeline);
        let seen = job::look(&self.context.client, self.namespace, &name).await;
        seen.map_err(|source| Error::Job(name, source))
    }

    async fn savepoint(&self, name: &str) -> Result<SavepointSeen, Error> {
        let api: Api<DeserializeGuard<StreamSavepoint>> =
            Api::namespaced(self.context.client.clone(), self.namespace);
        let found = api.get_opt(name).await.map_err(|source| Error::Savepoint(name.to_owned(), source))?;
        Ok(match found {
            None => SavepointSeen::Missing,
            Some(DeserializeGuard(Err(unreadable))) => SavepointSeen::Unreadable(unreadable.error),
            Some(DeserializeGuard(Ok(savepoint))) => {
                SavepointSeen::Here(Box::new(savepoint.status.unwrap_or_default()))
            }
        })
    }

    async fn cleanup(&self) -> Result<Option<Cleanup>, Error> {
        let api: Api<Job> = Api::namespaced(self.context.client.clone(), self.namespace);
        let name = super::build::cleanup_name(self.pipeline);
        let job = api.get_opt(&name).await.map_err(|source| Error::Job(name, source))?;
        Ok(job.map(|job| {
            let conditions = job.status.and_then(|status| status.conditions).unwrap_or_default();
            let has = |kind: &str| conditions.iter().any(|c| c.type_ == kind && c.status == "True");
            match (has("Complete"), has("Failed")) {
                (true, _) => Cleanup::Succeeded,
                (_, true) => Cleanup::Failed,
                _ => Cleanup::Running,
            }
        }))
    }
}

/// The generation that an object belongs to, by its label.
fn of_generation<'a, K: ResourceExt>(
    object: &K,
    found: &'a mut BTreeMap<u64, Generation>,
) -> Option<&'a mut Generation> {
    let number: u64 = object.labels().get(GENERATION_LABEL)?.parse().ok()?;
    Some(found.entry(number).or_insert_with(|| Generation { number, ..Generation::default() }))
}

/// What a ConfigMap of a generation says; none when somebody else wrote it.
pub(crate) fn facts(map: &ConfigMap) -> Option<Facts> {
    let text = map.data.as_ref()?.get(FILE_KEY)?;
    let file: GenerationFile = serde_saphyr::from_str(text).ok()?;
    let annotation = |name: &str| map.annotations().get(name).cloned();
    Some(Facts {
        file,
        revision_hash: annotation(REVISION_ANNOTATION)?,
        generation_hash: annotation(GENERATION_ANNOTATION)?,
        image: annotation(IMAGE_ANNOTATION),
    })
}
