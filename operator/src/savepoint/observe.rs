//! Everything that is needed to decide about a savepoint, read once. Nothing is decided here.

use super::build::{delete_name, take_name};
use super::{FINALIZER, TRIGGER_LABEL};
use crate::context::Context;
use crate::job::{self, JobSeen};
use crate::pipeline::observe::{Facts, facts};
use control::generation::stateful_set;
use crds::savepoint::Trigger;
use crds::{StreamPipeline, StreamSavepoint, StreamSavepointStatus};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::jiff::Timestamp;
use kube::core::DeserializeGuard;
use kube::core::error_boundary::InvalidObject;
use kube::{Api, ResourceExt};

/// What the cluster looks like for one savepoint.
#[derive(Clone, Debug)]
pub struct Observed {
    /// When it was looked at.
    pub now: Timestamp,
    /// The object, as it is now.
    pub savepoint: StreamSavepoint,
    /// The pipeline that it is of.
    pub pipeline: PipelineSeen,
    /// The Job that saves, of the newest attempt.
    pub take: Option<JobSeen>,
    /// The Job that deletes what was saved.
    pub delete: Option<JobSeen>,
}

/// What is seen of the pipeline of a savepoint.
#[derive(Clone, Debug)]
pub enum PipelineSeen {
    /// There is none.
    Missing,
    /// It cannot be read, and why.
    Unreadable(String),
    /// It is there.
    Here {
        /// The object.
        pipeline: Box<StreamPipeline>,
        /// What the ConfigMap of its newest generation says.
        facts: Option<Box<Facts>>,
    },
}

impl PipelineSeen {
    /// The object, if there is one that can be read.
    pub fn object(&self) -> Option<&StreamPipeline> {
        match self {
            Self::Here { pipeline, .. } => Some(pipeline),
            Self::Missing | Self::Unreadable(_) => None,
        }
    }

    /// What its newest generation is made of.
    pub fn facts(&self) -> Option<&Facts> {
        match self {
            Self::Here { facts, .. } => facts.as_deref(),
            Self::Missing | Self::Unreadable(_) => None,
        }
    }
}

/// What a look at a savepoint gives.
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
    /// The savepoint itself.
    #[error("failed to read StreamSavepoint {0}")]
    Savepoint(String, #[source] kube::Error),
    /// Its pipeline.
    #[error("failed to read StreamPipeline {0}")]
    Pipeline(String, #[source] kube::Error),
    /// The ConfigMap of the generation of the pipeline.
    #[error("failed to read ConfigMap {0}")]
    ConfigMap(String, #[source] kube::Error),
    /// A Job, or its pods.
    #[error("failed to look at Job {0}")]
    Job(String, #[source] kube::Error),
}

impl Observed {
    /// The status as it was read, or the one of an object that was never seen.
    pub fn status(&self) -> StreamSavepointStatus {
        self.savepoint.status.clone().unwrap_or_default()
    }

    /// True once the user has deleted the savepoint.
    pub fn deleting(&self) -> bool {
        self.savepoint.metadata.deletion_timestamp.is_some()
    }

    /// It is to disappear only after what was saved.
    pub fn is_protected(&self) -> bool {
        self.savepoint.finalizers().iter().any(|name| name == FINALIZER)
    }

    /// Who wanted it.
    pub fn trigger(&self) -> Trigger {
        trigger(&self.savepoint)
    }
}

/// Who wanted a savepoint, as its label says; without one it was somebody.
pub fn trigger(savepoint: &StreamSavepoint) -> Trigger {
    match savepoint.labels().get(TRIGGER_LABEL).map(String::as_str) {
        Some("Schedule") => Trigger::Schedule,
        Some("Upgrade") => Trigger::Upgrade,
        Some("Termination") => Trigger::Termination,
        _ => Trigger::User,
    }
}

/// Looks at one savepoint. The object is read again, because the cache may lag behind our own last write.
pub async fn observe(
    cached: &DeserializeGuard<StreamSavepoint>,
    context: &Context,
) -> Result<Outcome, Error> {
    let (namespace, name) = (cached.namespace().unwrap_or_default(), cached.name_any());
    let api: Api<DeserializeGuard<StreamSavepoint>> = Api::namespaced(context.client.clone(), &namespace);
    let savepoint = match api.get_opt(&name).await.map_err(|source| Error::Savepoint(name.clone(), source))? {
        None => return Ok(Outcome::Gone),
        Some(DeserializeGuard(Err(unreadable))) => return Ok(Outcome::Unreadable(Box::new(unreadable))),
        Some(DeserializeGuard(Ok(savepoint))) => savepoint,
    };
    let look = async |name: Option<String>| match name {
        None => Ok(None),
        Some(name) => {
            job::look(&context.client, &namespace, &name).await.map_err(|source| Error::Job(name, source))
        }
    };
    let attempt = savepoint.status.as_ref().and_then(|status| status.attempts);
    let take = look(attempt.map(|attempt| take_name(&savepoint, attempt))).await?;
    let deleted = savepoint.metadata.deletion_timestamp.is_some();
    let delete = look(deleted.then(|| delete_name(&savepoint))).await?;
    let pipeline = pipeline(context, &namespace, &savepoint.spec.pipeline_ref.name).await?;
    Ok(Outcome::Seen(Box::new(Observed { now: Timestamp::now(), savepoint, pipeline, take, delete })))
}

async fn pipeline(context: &Context, namespace: &str, name: &str) -> Result<PipelineSeen, Error> {
    let api: Api<DeserializeGuard<StreamPipeline>> = Api::namespaced(context.client.clone(), namespace);
    let found = api.get_opt(name).await.map_err(|source| Error::Pipeline(name.to_owned(), source))?;
    let pipeline = match found {
        None => return Ok(PipelineSeen::Missing),
        Some(DeserializeGuard(Err(unreadable))) => return Ok(PipelineSeen::Unreadable(unreadable.error)),
        Some(DeserializeGuard(Ok(pipeline))) => pipeline,
    };
    let generation = pipeline.status.as_ref().and_then(|status| status.generation);
    let facts = match generation.map(|generation| stateful_set(name, generation)) {
        None => None,
        Some(map) => {
            let api: Api<ConfigMap> = Api::namespaced(context.client.clone(), namespace);
            let found = api.get_opt(&map).await.map_err(|source| Error::ConfigMap(map, source))?;
            found.as_ref().and_then(facts)
        }
    };
    Ok(PipelineSeen::Here { pipeline: Box::new(pipeline), facts: facts.map(Box::new) })
}
