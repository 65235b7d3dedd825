//! Workers over a real Kafka: a thread each, with one intent and one report list per process.

use crate::clock;
use crate::drive::drive;
use crate::pod::Pod;
use crate::worker::{Environment, Setup, Worker};
use connect::door::{IoError, TopicPartition};
use connect::envelope::LineForm;
use connect::kafka::{Io, Settings, secret, transaction_timeout_ms};
use connect::sink::{FileMode, LineSink, SinkError};
use connect::snapshot::{FileStore, SnapshotError, TopicStore, Uploads};
use control::generation::SECRETS_DIRECTORY;
use pipeline::manifest::SecretData;
use pipeline::plan::{KafkaAccess, Plan, SinkConnector, SinkId, SourceConnector};
use pipeline::record::RecordBatch;
use protocol::identity::{Incarnation, WorkerIndex};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

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
        "{what} `{name}` is on another Kafka ({other}) than the rest ({one}): one pipeline uses one cluster"
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
    /// The mounted Secret.
    #[error("secret `{name}`")]
    Secret {
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: secret::SecretError,
    },
    /// Where snapshots go.
    #[error("checkpoint storage")]
    Storage(#[source] SnapshotError),
    /// A file sink.
    #[error("sink `{name}`")]
    Sink {
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: SinkError,
    },
    /// The operating system.
    #[error("failed to start a thread")]
    Thread(#[source] std::io::Error),
}

/// The world of one worker on Kafka.
struct KafkaEnvironment {
    settings: Settings,
    uploads: Uploads,
    sinks: BTreeMap<SinkId, LineSink>,
}

impl Environment for KafkaEnvironment {
    type Io = Io;

    fn connect(&mut self, transactional_id: &str) -> Result<Io, IoError> {
        Io::connect(&self.settings, transactional_id)
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
    /// Mounted into the pod.
    Mounted,
    /// Secret documents beside the manifest, by name; a key that they lack is looked for in the environment.
    Documents(BTreeMap<String, SecretData>),
}

/// The address of the one Kafka of a plan. `given` beats the manifest.
pub fn bootstrap(plan: &Plan, given: Option<&str>, secrets: &SecretsFrom) -> Result<String, StartError> {
    if let Some(given) = given {
        return Ok(given.to_owned());
    }
    let sources = plan.sources().iter().map(|source| {
        let SourceConnector::Kafka { access, .. } = &source.connector;
        ("source", &source.name, access)
    });
    let sinks = plan.sinks().iter().filter_map(|sink| match &sink.connector {
        SinkConnector::Kafka { access, .. } => Some(("sink", &sink.name, access)),
        SinkConnector::File { .. } | SinkConnector::Log => None,
    });
    let mut one: Option<String> = None;
    for (what, name, access) in sources.chain(sinks) {
        let address = match access {
            None => return Err(StartError::NoKafka { what, name: name.clone() }),
            Some(KafkaAccess::BootstrapServers(servers)) => servers.clone(),
            Some(KafkaAccess::SecretRef(secret)) => secret_address(secret, secrets)?,
        };
        match &one {
            Some(one) if *one != address => {
                return Err(StartError::TwoClusters {
                    what,
                    name: name.clone(),
                    other: address,
                    one: one.clone(),
                });
            }
            _ => one = Some(address),
        }
    }
    Ok(one.unwrap_or_default())
}

fn secret_address(name: &str, secrets: &SecretsFrom) -> Result<String, StartError> {
    let found = match secrets {
        SecretsFrom::Mounted => secret::bootstrap_servers(&Path::new(SECRETS_DIRECTORY).join(name)),
        SecretsFrom::Documents(documents) => {
            let place = format!("the Secret documents, or in ${}", variable(name, "<KEY>"));
            secret::bootstrap_servers_by(&place, |key| {
                let given = documents.get(name).and_then(|data| data.get(key)).cloned();
                Ok(given.or_else(|| std::env::var(variable(name, key)).ok().map(String::into_bytes)))
            })
        }
    };
    found.map_err(|source| StartError::Secret { name: name.to_owned(), source })
}

/// The variable that holds a key of a Secret where there is no Kubernetes: `WEIR_SECRET_MY_KAFKA_BOOTSTRAP_SERVERS`.
fn variable(name: &str, key: &str) -> String {
    let letters =
        |c: char| if c.is_ascii_alphanumeric() || "<>".contains(c) { c.to_ascii_uppercase() } else { '_' };
    format!("WEIR_SECRET_{name}_{key}").chars().map(letters).collect()
}

/// Starts a thread for each of these workers. `setup` says everything but the number of the worker; worker 0 reports to the
/// pod as number `first`.
pub fn start(
    setup: &Setup,
    workers: std::ops::Range<u32>,
    first: u32,
    bootstrap: &str,
    pod: &Arc<Pod>,
) -> Result<Vec<JoinHandle<()>>, StartError> {
    workers
        .map(|number| {
            let setup = Setup { worker: WorkerIndex(number), ..setup.clone() };
            let timing = crate::local::timing(&setup.plan);
            let environment = environment(&setup, bootstrap, number)?;
            let mut worker = Worker::new(setup, environment, timing);
            let pod = pod.clone();
            std::thread::Builder::new()
                .name(format!("worker-{number}"))
                .spawn(move || drive(&mut worker, first + number, &pod))
                .map_err(StartError::Thread)
        })
        .collect()
}

fn environment(setup: &Setup, bootstrap: &str, number: u32) -> Result<KafkaEnvironment, StartError> {
    let plan = &setup.plan;
    let client = format!("weir-{}-{}", plan.name(), number);
    let mut settings = Settings::new(bootstrap, client, setup.identity.group_id());
    settings.transaction_timeout_ms = transaction_timeout_ms(plan.settings().commit_interval_ms);
    let uploads = match &plan.settings().checkpoint_storage {
        Some(address) => {
            let store = FileStore::open_address(address, setup.identity.folder());
            Uploads::background(store.map_err(StartError::Storage)?)
        }
        None => Uploads::background(topic_store(setup, &settings, number)),
    };
    Ok(KafkaEnvironment {
        settings,
        uploads: uploads.map_err(StartError::Storage)?,
        sinks: line_sinks(plan)?,
    })
}

fn topic_store(setup: &Setup, settings: &Settings, number: u32) -> TopicStore {
    let (identity, settings) = (setup.identity.clone(), settings.clone());
    // Not the worker's own id: opening the store must not fence the worker.
    let id = format!("{}.snapshots.{number}.{:016x}", identity.group_id(), clock::random());
    let topic_of = move |stage: &str| identity.snapshots_topic(stage);
    TopicStore::new(topic_of, move || Ok(Box::new(Io::connect(&settings, &id)?)))
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
