//! The Secrets of a plan as they are mounted now. Only names of keys and a hash of the content are ever told.

use connect::kafka::secret::look;
use control::status::SecretStatus;
use pipeline::plan::{KafkaAccess, Plan, SinkConnector, SourceConnector};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Names and where they are mounted.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    names: BTreeSet<String>,
    directory: PathBuf,
    /// Keys the hashes.
    owner: String,
}

impl Secrets {
    /// Those that the plan refers to, each mounted in a folder of its name below `directory`. `owner` tells pipelines
    /// apart: equal content of two owners has two hashes.
    pub fn of(plan: &Plan, directory: impl Into<PathBuf>, owner: impl Into<String>) -> Self {
        let sources = plan.sources().iter().map(|source| {
            let SourceConnector::Kafka { access, .. } = &source.connector;
            access.as_ref()
        });
        let sinks = plan.sinks().iter().map(|sink| match &sink.connector {
            SinkConnector::Kafka { access, .. } => access.as_ref(),
            SinkConnector::File { .. } | SinkConnector::Log => None,
        });
        let names = sources.chain(sinks).filter_map(|access| match access {
            Some(KafkaAccess::SecretRef(name)) => Some(name.clone()),
            Some(KafkaAccess::BootstrapServers(_)) | None => None,
        });
        Self { names: names.collect(), directory: directory.into(), owner: owner.into() }
    }

    /// What is mounted now: a Secret may be made, changed or rotated while the pod runs.
    pub fn look(&self) -> Vec<SecretStatus> {
        self.names
            .iter()
            .map(|name| {
                let mounted = look(&self.directory.join(name), &format!("{}/{name}", self.owner));
                SecretStatus {
                    name: name.clone(),
                    missing_keys: mounted.missing_keys.into_iter().map(str::to_owned).collect(),
                    hash: mounted.hash,
                }
            })
            .collect()
    }
}
