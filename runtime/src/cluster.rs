//! Workers over a real Kafka: a thread each, with one intent and one report list per process.

mod door;
mod storage;

use crate::clock;
use crate::drive::drive;
use crate::pod::Pod;
use crate::worker::{Environment, Setup, Worker, WorkerError};
use connect::door::{IoError, TopicPartition};
use connect::envelope::LineForm;
use connect::kafka::secret::{self, SecretError};
use connect::kafka::{Access, Io, Settings, transaction_timeout_ms};
use connect::sink::{FileMode, LineSink, SinkError};
use connect::snapshot::object::CredentialsError;
use connect::snapshot::{Folder, SnapshotError, SnapshotStore, Uploads};
use control::savepoint::SavepointPlace;
use door::Door;
use pipeline::manifest::SecretData;
use pipeline::plan::{KafkaAccess, MaskKeys, Plan, SinkConnector, SinkId};
use pipeline::record::RecordBatch;
use protocol::identity::{Incarnation, PipelineIdentity, WorkerIndex};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
pub use storage::PlaceError;
pub(crate) use storage::{credentials_mounted, object_store};
use storage::{savepoint_folder, snapshot_store, uploads};

/// Why workers cannot be started at all.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Nobody says where Kafka is.
    #[error("{what} `{name}` has no Kafka: set spec.kafka, or give --kafka HOST:PORT")]
    NoKafka {
        /// Source or sink.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// Exactly once needs one transaction, and a transaction one cluster.
    #[error(
        "{what} `{name}` is on another Kafka ({other}) than the rest ({one}): one pipeline uses one cluster, and reaches it in one way"
    )]
    TwoClusters {
        /// Source or sink.
        what: &'static str,
        /// Its name.
        name: String,
        /// Its cluster.
        other: String,
        /// The first one.
        one: String,
    },
    /// A Secret.
    #[error("{names}")]
    Secret {
        /// Those that the access refers to, in words.
        names: String,
        /// Why.
        #[source]
        source: Box<SecretError>,
    },
    /// Where snapshots go.
    #[error("checkpoint storage")]
    Storage(#[source] SnapshotError),
    /// The Secret of the place where snapshots go.
    #[error("secret `{name}`")]
    StorageSecret {
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: CredentialsError,
    },
    /// A file sink.
    #[error("sink `{name}`")]
    Sink {
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: SinkError,
    },
    /// The key of a mask.
    #[error("masks")]
    MaskKeys(#[source] Box<WorkerError>),
    /// The operating system.
    #[error("failed to start a thread")]
    Thread(#[source] std::io::Error),
}

/// The world of one worker on Kafka.
struct KafkaEnvironment {
    door: Door,
    uploads: Uploads,
    /// Opens the store of snapshots anew, for another way to reach Kafka.
    setup: Setup,
    sinks: BTreeMap<SinkId, LineSink>,
}

impl Environment for KafkaEnvironment {
    type Io = Io;

    fn connect(&mut self, transactional_id: &str) -> Result<Io, IoError> {
        if self.door.renew() {
            let uploads = uploads(&self.setup, &self.door);
            self.uploads = uploads.map_err(|error| IoError::Lost {
                operation: "opening the store of snapshots",
                detail: error.to_string(),
            })?;
        }
        Io::connect(&self.door.settings, transactional_id)
    }

    fn is_outdated(&mut self) -> bool {
        self.door.is_outdated()
    }

    fn mask_keys(&mut self, plan: &Plan) -> Result<Option<MaskKeys>, WorkerError> {
        self.door.secrets().mask_keys(plan).map(Some)
    }

    fn incarnation(&mut self) -> Incarnation {
        Incarnation(u128::from(clock::random()) << 64 | u128::from(clock::random()))
    }

    fn store(&mut self) -> &mut Uploads {
        &mut self.uploads
    }

    fn emit(&mut self, sink: SinkId, records: &RecordBatch) -> Result<(), IoError> {
        let Some(sink) = self.sinks.get_mut(&sink) else { return Ok(()) };
        let written = sink.write(None, records).and_then(|()| sink.sync());
        written.map_err(|error| IoError::Lost { operation: "writing to a sink", detail: error.to_string() })
    }

    fn end_of_input(&self, _partition: &TopicPartition) -> Option<i64> {
        None
    }

    fn is_bounded(&self) -> bool {
        false
    }

    fn elapsed(&self) -> Duration {
        clock::elapsed()
    }
}

/// Where Secrets are found.
#[derive(Clone, Debug)]
pub enum SecretsFrom {
    /// Mounted, each in a folder of its name below this one.
    Mounted(PathBuf),
    /// Secret documents beside the manifest, by name; a key that they lack is looked for in the environment.
    Documents(BTreeMap<String, SecretData>),
}

impl SecretsFrom {
    /// The value of a key; none when it does not exist.
    fn read(&self, name: &str, key: &str) -> std::io::Result<Option<Vec<u8>>> {
        match self {
            Self::Mounted(directory) => secret::read_mounted(directory, name, key),
            Self::Documents(documents) => {
                let given = documents.get(name).and_then(|data| data.get(key)).cloned();
                Ok(given.or_else(|| std::env::var(variable(name, key)).ok().map(String::into_bytes)))
            }
        }
    }

    /// Says to people where a Secret is.
    fn place(&self, name: &str, key: &str) -> String {
        match self {
            Self::Mounted(directory) => directory.join(name).display().to_string(),
            Self::Documents(_) => format!("the Secret documents, or in ${}", variable(name, key)),
        }
    }

    /// The keys of a plan's masks, as they are now.
    pub fn mask_keys(&self, plan: &Plan) -> Result<MaskKeys, WorkerError> {
        let mut values = Vec::new();
        for at in plan.mask_secrets().into_iter().cloned() {
            match self.read(&at.name, &at.key) {
                Ok(Some(value)) => values.push((at, value)),
                Ok(None) => {
                    let place = self.place(&at.name, &at.key);
                    return Err(WorkerError::KeyMissing { at, place });
                }
                Err(source) => return Err(WorkerError::KeyUnread { at, source }),
            }
        }
        MaskKeys::new(values).map_err(|(at, source)| WorkerError::KeyUnfit { at, source })
    }
}

/// How Kafka is reached, as far as somebody said it beside the manifest.
#[derive(Clone, Debug)]
pub struct Reach {
    /// An address that beats the manifest, in plain text.
    pub given: Option<String>,
    /// Where the Secrets of the manifest are.
    pub secrets: SecretsFrom,
}

impl Reach {
    /// The way to the one Kafka of a plan, with what the Secrets hold now.
    pub fn access(&self, plan: &Plan) -> Result<Access, StartError> {
        if let Some(given) = &self.given {
            return Ok(Access::plain_text(given));
        }
        let mut one: Option<Access> = None;
        for (what, name, access) in plan.kafka_accesses() {
            let name = || name.to_owned();
            let access = access.ok_or_else(|| StartError::NoKafka { what, name: name() })?;
            let other = self.resolve(access)?;
            match &one {
                Some(one) if *one != other => {
                    let (other, one) = (other.to_string(), one.to_string());
                    return Err(StartError::TwoClusters { what, name: name(), other, one });
                }
                _ => one = Some(other),
            }
        }
        Ok(one.unwrap_or_else(|| Access::plain_text("")))
    }

    fn resolve(&self, access: &KafkaAccess) -> Result<Access, StartError> {
        let read = |name: &str, key: &str| self.secrets.read(name, key);
        let place = |name: &str| self.secrets.place(name, "<KEY>");
        let resolved = Access::resolve(access, &secret::Secrets { read: &read, place: &place });
        resolved.map_err(|source| {
            let names: Vec<String> = access.secrets().into_iter().map(|name| format!("`{name}`")).collect();
            let names = match &names[..] {
                [one] => format!("secret {one}"),
                all => format!("secrets {}", all.join(", ")),
            };
            StartError::Secret { names, source: Box::new(source) }
        })
    }
}

/// Resolves with the Secrets that are mounted below a directory.
pub(crate) fn resolve_mounted(access: &KafkaAccess, directory: &Path) -> Result<Access, SecretError> {
    let read = |name: &str, key: &str| secret::read_mounted(directory, name, key);
    let place = |name: &str| directory.join(name).display().to_string();
    Access::resolve(access, &secret::Secrets { read: &read, place: &place })
}

/// The variable that holds a key of a Secret where there is no Kubernetes: `WEIR_SECRET_MY_KAFKA_BOOTSTRAP_SERVERS`.
fn variable(name: &str, key: &str) -> String {
    let letters =
        |c: char| if c.is_ascii_alphanumeric() || "<>".contains(c) { c.to_ascii_uppercase() } else { '_' };
    format!("WEIR_SECRET_{name}_{key}").chars().map(letters).collect()
}

/// A pipeline as a Job reaches it: no worker of it.
pub struct Visit {
    settings: Settings,
    door: Door,
    plan: Arc<Plan>,
    identity: PipelineIdentity,
}

impl Visit {
    /// Resolves the way to Kafka; nothing is asked yet.
    pub fn new(plan: Arc<Plan>, identity: PipelineIdentity, reach: &Reach) -> Result<Self, StartError> {
        let access = reach.access(&plan)?;
        storage::check(&plan, &reach.secrets)?;
        let mut settings = Settings::new(access.servers, "weir-savepoint", identity.group_id());
        settings.security = access.security;
        settings.transaction_timeout_ms = VISIT_TRANSACTION_MS;
        let door = Door::new(reach.clone(), plan.clone(), settings.clone());
        Ok(Self { settings, door, plan, identity })
    }

    /// A door to the log.
    pub fn connect(&self, transactional_id: &str) -> Result<Io, IoError> {
        Io::connect(&self.settings, transactional_id)
    }

    /// The store of the pipeline's snapshots.
    pub fn snapshots(&self) -> Result<Box<dyn SnapshotStore>, StartError> {
        snapshot_store(&self.plan, &self.identity, 0, &self.door)
    }
}

/// How long the one transaction of a restore may take, in milliseconds; below what brokers allow by default.
const VISIT_TRANSACTION_MS: u32 = 300_000;

impl SecretsFrom {
    /// The folder of a savepoint.
    pub fn savepoint(&self, place: &SavepointPlace) -> Result<Box<dyn Folder>, PlaceError> {
        savepoint_folder(place, self)
    }
}

/// Starts a thread for each of these workers. `setup` says everything but the number of the worker; worker 0 reports to the
/// pod as number `first`.
pub fn start(
    setup: &Setup,
    workers: std::ops::Range<u32>,
    first: u32,
    reach: &Reach,
    pod: &Arc<Pod>,
) -> Result<Vec<JoinHandle<()>>, StartError> {
    let access = reach.access(&setup.plan)?;
    if let SecretsFrom::Documents(_) = reach.secrets {
        // They do not change any more: what is missing stays missing.
        reach.secrets.mask_keys(&setup.plan).map_err(|error| StartError::MaskKeys(Box::new(error)))?;
    }
    storage::check(&setup.plan, &reach.secrets)?;
    tracing::info!(kafka = %access, "reaching Kafka");
    workers
        .map(|number| {
            let setup = Setup { worker: WorkerIndex(number), ..setup.clone() };
            let timing = crate::local::timing(&setup.plan);
            let environment = environment(&setup, reach, access.clone())?;
            let mut worker = Worker::new(setup, environment, timing);
            let pod = pod.clone();
            std::thread::Builder::new()
                .name(format!("worker-{number}"))
                .spawn(move || drive(&mut worker, first + number, &pod))
                .map_err(StartError::Thread)
        })
        .collect()
}

fn environment(setup: &Setup, reach: &Reach, access: Access) -> Result<KafkaEnvironment, StartError> {
    let plan = &setup.plan;
    let client = format!("weir-{}-{}", plan.name(), setup.worker.0);
    let mut settings = Settings::new(access.servers, client, setup.identity.group_id());
    settings.security = access.security;
    settings.transaction_timeout_ms = transaction_timeout_ms(plan.settings().commit_interval_ms);
    let door = Door::new(reach.clone(), plan.clone(), settings);
    Ok(KafkaEnvironment {
        uploads: uploads(setup, &door)?,
        door,
        setup: setup.clone(),
        sinks: line_sinks(plan)?,
    })
}

fn line_sinks(plan: &Plan) -> Result<BTreeMap<SinkId, LineSink>, StartError> {
    let mut sinks = BTreeMap::new();
    for (index, sink) in plan.sinks().iter().enumerate() {
        let opened = match &sink.connector {
            SinkConnector::Kafka { .. } => continue,
            SinkConnector::File { path } => LineSink::file(path, FileMode::Append, LineForm::Plain),
            SinkConnector::Log => Ok(LineSink::log(&sink.name, LineForm::Plain)),
        };
        let opened = opened.map_err(|source| StartError::Sink { name: sink.name.clone(), source })?;
        sinks.insert(SinkId(index as u16), opened);
    }
    Ok(sinks)
}
