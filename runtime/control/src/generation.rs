//! The facts of one generation: the file that its immutable ConfigMap holds and `weir worker --generation-file` and
//! `weir cleanup --generation-file` read.
//!
//! Nothing here is derived from the machine at run time: a worker that nobody wrote down cannot be fenced.
//!
//! ```yaml
//! version: 1
//! namespace: shop
//! pipeline: clicks-per-user
//! uid8: 0a1b2c3d
//! generation: 2
//! planHash: 8f0e…
//! shape: {replicas: 3, workersPerReplica: 1, placement: Modulo}
//! priors: [{generation: 1, planHash: 11aa…, shape: {…}, manifest: "…"}]
//! ports: {control: 8080, metrics: 8000}
//! manifest: |
//!   apiVersion: weir.dev/v1alpha1
//!   kind: StreamPipeline
//!   …
//! ```

use crate::savepoint::SavepointPlace;
use serde::{Deserialize, Serialize};

/// Version of the file that this program writes and the highest that it reads.
pub const FILE_VERSION: u32 = 1;
/// Where the pods of the operator find the file.
pub const FILE_PATH: &str = "/etc/weir/generation.yaml";
/// The key of the ConfigMap that holds the file.
pub const FILE_KEY: &str = "generation.yaml";
/// Where the pods of the operator find Secrets: `<this>/<secret name>/<key>`. A missing Secret is an empty directory.
pub const SECRETS_DIRECTORY: &str = "/etc/weir-secrets";
/// Environment variable with the pod's name, `<pipeline>-g<generation>-<ordinal>`.
pub const POD_NAME_VARIABLE: &str = "WEIR_POD_NAME";

/// One generation: immutable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GenerationFile {
    /// Version of the file, [`FILE_VERSION`]. A reader refuses a higher one.
    pub version: u32,
    /// Namespace of the pipeline.
    pub namespace: String,
    /// Name of the pipeline.
    pub pipeline: String,
    /// First 8 hex digits of the pipeline's uid: internal topics and transactional ids contain it, so that a pipeline
    /// that is deleted and made again never meets its former self.
    pub uid8: String,
    /// The number, from 1.
    pub generation: u64,
    /// Hash of the plan that `manifest` makes, 32 hex digits; the worker refuses the file when its own differs.
    pub plan_hash: String,
    /// How many workers there are and which units they own.
    pub shape: Shape,
    /// Generations whose workers may still write, or have written, the journals, newest first: back to the last one
    /// that was live with every unit, that one included. Empty for the first generation.
    #[serde(default)]
    pub priors: Vec<PriorGeneration>,
    /// The generation whose change of the plan this one takes back: its units go back to their state of before that, and
    /// process again what it has processed, without giving it out a second time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewinds: Option<u64>,
    /// How long the state before a change of the plan is kept, so that the change can be taken back, in milliseconds;
    /// absent when it is not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_window_ms: Option<i64>,
    /// The savepoint that the journals are made of before there are pods: of generation 1 of a pipeline with `restoreFrom`,
    /// which never has pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore: Option<SavepointPlace>,
    /// Where the pod listens.
    pub ports: Ports,
    /// The resolved manifests, as `weir run` takes them: the StreamPipeline first, then the StreamWindow and ConfigMap
    /// documents that it refers to (only the keys it refers to). No Secret.
    pub manifest: String,
}

/// The number of workers and the owner of each unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Shape {
    /// Pods of the StatefulSet.
    pub replicas: u32,
    /// Worker threads of each pod.
    pub workers_per_replica: u32,
    /// The rule that gives units to workers.
    pub placement: Placement,
}

/// The rule that gives units to workers; the same for every stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Placement {
    /// Unit `u` belongs to worker `u mod workers`. Needs no partition count, which only the pods know.
    Modulo,
}

/// A generation before this one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PriorGeneration {
    /// Its number.
    pub generation: u64,
    /// Hash of its plan, 32 hex digits.
    pub plan_hash: String,
    /// Its workers, which a successor fences.
    pub shape: Shape,
    /// Its resolved manifests, when a unit may have to restore what this plan wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<String>,
    /// The savepoint that it was made of: its plan, which a unit may have to restore, stands there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore: Option<SavepointPlace>,
}

/// Where a pod listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ports {
    /// Control API, `/health` and `/ready`.
    pub control: u16,
    /// `/metrics`.
    pub metrics: u16,
}

impl Default for Ports {
    fn default() -> Self {
        Self { control: 8080, metrics: 8000 }
    }
}

/// A generation file that cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidGeneration {
    /// Written by a newer program.
    #[error("the generation file has version {0}, this program reads up to {FILE_VERSION}")]
    Version(u32),
    /// Generation 0 means "no Claim yet".
    #[error("the generation must be 1 or higher")]
    Zero,
    /// No worker at all.
    #[error("`replicas` and `workersPerReplica` must be 1 or higher")]
    NoWorkers,
    /// A pod that this generation does not have.
    #[error("pod `{pod}` is not one of `{expected}-0` to `{expected}-{last}`")]
    Pod {
        /// The name that was given.
        pod: String,
        /// The name of the StatefulSet.
        expected: String,
        /// The highest ordinal.
        last: u32,
    },
}

impl GenerationFile {
    /// Refuses what no worker can run.
    pub fn check(&self) -> Result<(), InvalidGeneration> {
        if self.version > FILE_VERSION {
            return Err(InvalidGeneration::Version(self.version));
        }
        if self.generation == 0 {
            return Err(InvalidGeneration::Zero);
        }
        if self.shape.workers() == 0 {
            return Err(InvalidGeneration::NoWorkers);
        }
        Ok(())
    }

    /// Name of the StatefulSet, `<pipeline>-g<generation>`.
    pub fn stateful_set(&self) -> String {
        stateful_set(&self.pipeline, self.generation)
    }

    /// The workers of the pod with this name.
    pub fn workers_of_pod(&self, pod: &str) -> Result<std::ops::Range<u32>, InvalidGeneration> {
        let expected = self.stateful_set();
        pod.strip_prefix(expected.as_str())
            .and_then(|rest| rest.strip_prefix('-'))
            .and_then(|ordinal| ordinal.parse::<u32>().ok())
            .filter(|ordinal| *ordinal < self.shape.replicas)
            .map(|ordinal| self.shape.workers_of_replica(ordinal))
            .ok_or_else(|| InvalidGeneration::Pod {
                pod: pod.to_owned(),
                expected,
                last: self.shape.replicas.saturating_sub(1),
            })
    }
}

impl Shape {
    /// Number of workers.
    pub const fn workers(&self) -> u32 {
        self.replicas.saturating_mul(self.workers_per_replica)
    }

    /// The workers of replica `ordinal`.
    pub const fn workers_of_replica(&self, ordinal: u32) -> std::ops::Range<u32> {
        let first = ordinal.saturating_mul(self.workers_per_replica);
        first..first.saturating_add(self.workers_per_replica)
    }

    /// The worker that owns unit `unit`. The shape has at least one worker ([`GenerationFile::check`]).
    pub const fn owner(&self, unit: u32) -> u32 {
        match self.placement {
            Placement::Modulo => unit % self.workers(),
        }
    }
}

/// Name of the StatefulSet of generation `generation` of a pipeline.
pub fn stateful_set(pipeline: &str, generation: u64) -> String {
    format!("{pipeline}-g{generation}")
}
