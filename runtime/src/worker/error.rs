//! Why a worker stops what it does, and what helps.

use connect::door::IoError;
use connect::snapshot::SnapshotError;
use control::{Condition, Reason};
use pipeline::plan::{Incompatible, KeyError, PlanHash, SecretKey};
use pipeline::unit::{
    BlockError, BuildError, MigrateError, RestoreError as StateError, SnapshotError as TakeError,
};
use protocol::format::DecodeError;
use protocol::identity::{Generation, UnitId};
use protocol::journal::ownership::SequenceBroken;
use protocol::restore::RestoreError;

/// The roles of topics of the user.
pub(super) const SOURCE: &str = "source";
pub(super) const SINK: &str = "sink";

/// One failure of a worker. All end the life that met it.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The log.
    #[error(transparent)]
    Io(IoError),
    /// A topic of the user.
    #[error("{role} '{name}': topic `{topic}` was not found{place}{hint}")]
    NoTopic {
        /// Source or sink.
        role: &'static str,
        /// Its name.
        name: String,
        /// The topic.
        topic: String,
        /// On which Kafka, if it has an address.
        place: String,
        /// What was probably meant.
        hint: String,
    },
    /// What was to be written.
    #[error(transparent)]
    Write(IoError),
    /// The engine panicked over these records, and would again.
    #[error("{place}: the engine failed: {cause}; this is a bug of weir: report it with these records")]
    Poison {
        /// Unit, topic and offsets.
        place: String,
        /// What the panic said.
        cause: String,
    },
    /// Something else panicked.
    #[error("the worker failed: {cause}; this is a bug of weir")]
    Panic {
        /// What the panic said.
        cause: String,
    },
    /// Records that the engine refuses as a whole.
    #[error("{place}")]
    Batch {
        /// Unit, topic and offsets.
        place: String,
        /// Why.
        #[source]
        source: Box<WorkerError>,
    },
    /// The journal, or what it points to, cannot give back the state.
    #[error(transparent)]
    Restore(RestoreError),
    /// A rollback whose state before is gone.
    #[error(
        "{unit}: what was before generation {undone} is not kept any more, so there is no way back to it; change the pipeline instead"
    )]
    PastNotKept {
        /// Of which unit.
        unit: UnitId,
        /// Whose change of plan was to be taken back.
        undone: Generation,
    },
    /// A journal that no correct writer could have written.
    #[error("journal of {unit} is broken")]
    Journal {
        /// Of which unit.
        unit: UnitId,
        /// How.
        #[source]
        source: SequenceBroken,
    },
    /// A journal record of another version, or damaged.
    #[error("journal of {unit} cannot be read at offset {offset}")]
    Record {
        /// Of which unit.
        unit: UnitId,
        /// Where.
        offset: i64,
        /// Why.
        #[source]
        source: DecodeError,
    },
    /// A repartition record of another version, or damaged.
    #[error("repartition record at offset {offset} cannot be read")]
    Envelope {
        /// Where.
        offset: i64,
        /// Why.
        #[source]
        source: DecodeError,
    },
    /// A block that the engine cannot read.
    #[error("block at offset {offset} cannot be read")]
    Block {
        /// Where.
        offset: i64,
        /// Why.
        #[source]
        source: BlockError,
    },
    /// State that the engine cannot take.
    #[error("state of {unit} cannot be used")]
    State {
        /// Of which unit.
        unit: UnitId,
        /// Why.
        #[source]
        source: StateError,
    },
    /// The plan does not make a unit.
    #[error("{unit} cannot be made")]
    Build {
        /// Which.
        unit: UnitId,
        /// Why.
        #[source]
        source: BuildError,
    },
    /// The state cannot be taken.
    #[error("state of {unit} cannot be taken")]
    Snapshot {
        /// Of which unit.
        unit: UnitId,
        /// Why.
        #[source]
        source: TakeError,
    },
    /// A snapshot could not be read or written.
    #[error("snapshot `{key}` failed")]
    Store {
        /// Its name.
        key: String,
        /// Why.
        #[source]
        source: SnapshotError,
    },
    /// Commits of a plan that this generation does not carry.
    #[error("journal of {unit} was written with plan {plan}, which is not known here")]
    UnknownPlan {
        /// Of which unit.
        unit: UnitId,
        /// The plan.
        plan: PlanHash,
    },
    /// A stage that a plan does not have.
    #[error("plan {plan} has no stage for {unit}")]
    NoStage {
        /// The unit.
        unit: UnitId,
        /// The plan.
        plan: PlanHash,
    },
    /// Steps whose state means something else under the new plan.
    #[error("{}", steps.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Incompatible {
        /// Which, and what differs.
        steps: Vec<Incompatible>,
    },
    /// State cannot be carried over to the new plan.
    #[error("state of {unit} cannot be carried over to the new plan")]
    Migrate {
        /// Of which unit.
        unit: UnitId,
        /// Why.
        #[source]
        source: MigrateError,
    },
    /// The units of the pipeline were drained under different plans: none of them is the one before.
    #[error("{unit} was drained under another plan than the others, which followed {others}")]
    TwoPlans {
        /// The unit.
        unit: UnitId,
        /// The plan of the others.
        others: PlanHash,
    },
    /// The state of another unit is needed, and its drain was not completed.
    #[error("{unit} takes over state of {of}, which was drained but has not saved it yet")]
    NotCut {
        /// The unit.
        unit: UnitId,
        /// Whose state it needs.
        of: UnitId,
    },
    /// The state of another unit was taken over, and that unit went on.
    #[error("{unit} took over state of {of}, which went on with its plan afterwards")]
    WentOn {
        /// The unit.
        unit: UnitId,
        /// Whose state it took over.
        of: UnitId,
    },
    /// A mask has no key.
    #[error("key `{}` of Secret `{}` is missing in {place}: a mask needs it", at.key, at.name)]
    KeyMissing {
        /// What is missing.
        at: SecretKey,
        /// Where it was looked for.
        place: String,
    },
    /// A key cannot be read.
    #[error("failed to read {at}")]
    KeyUnread {
        /// Where it is.
        at: SecretKey,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A value that cannot be a key.
    #[error("{at}")]
    KeyUnfit {
        /// Where it is.
        at: SecretKey,
        /// Why.
        #[source]
        source: KeyError,
    },
    /// Values were masked with other keys, and nobody has said that this may change.
    #[error(
        "{unit} masks with another value of {} than is there now: put the old value back; to go on with the new one, suspend the pipeline and resume it",
        keys.join(" or ")
    )]
    OtherSecrets {
        /// Whose journal says it.
        unit: UnitId,
        /// The keys, one of which has changed.
        keys: Vec<String>,
    },
    /// Work before the first Claim: the protocol excludes it.
    #[error("{unit} has no state yet")]
    NoState {
        /// The unit.
        unit: UnitId,
    },
}

impl WorkerError {
    /// True when only a change by somebody helps: the worker stops for good, it never resets.
    pub fn fails_closed(&self) -> bool {
        match self {
            Self::Io(error) => matches!(error, IoError::OffsetOutOfRange { .. }),
            // Looked at again with each life: a topic or a Secret is made meanwhile, or put back.
            Self::Write(_)
            | Self::NoTopic { .. }
            | Self::NotCut { .. }
            | Self::KeyMissing { .. }
            | Self::KeyUnread { .. }
            | Self::KeyUnfit { .. }
            | Self::OtherSecrets { .. } => false,
            Self::Store { source, .. } => source.is_loss(),
            _ => true,
        }
    }

    /// The condition and reason that show it.
    pub fn shown_as(&self) -> (Condition, Reason) {
        match self {
            Self::NoTopic { role: SINK, .. } | Self::Write(IoError::TopicNotFound { .. }) => {
                (Condition::SinksConnected, Reason::TopicNotFound)
            }
            Self::NoTopic { .. } | Self::Io(IoError::TopicNotFound { .. }) => {
                (Condition::SourcesConnected, Reason::TopicNotFound)
            }
            Self::Io(IoError::Denied { .. } | IoError::LoginFailed { .. }) => {
                (Condition::SourcesConnected, Reason::AuthFailed)
            }
            Self::Io(IoError::Refused { .. }) => (Condition::ConfigValid, Reason::ConfigInvalid),
            Self::Io(IoError::OffsetOutOfRange { .. }) => {
                (Condition::Checkpointed, Reason::StateIncompatible)
            }
            Self::Io(_) => (Condition::SourcesConnected, Reason::BrokerUnreachable),
            Self::Write(IoError::Denied { .. } | IoError::LoginFailed { .. }) => {
                (Condition::SinksConnected, Reason::AuthFailed)
            }
            Self::Write(_) => (Condition::SinksConnected, Reason::SinkUnavailable),
            Self::KeyMissing { .. } | Self::KeyUnread { .. } => {
                (Condition::ConfigValid, Reason::SecretKeyMissing)
            }
            Self::KeyUnfit { .. } | Self::OtherSecrets { .. } => {
                (Condition::ConfigValid, Reason::ConfigInvalid)
            }
            Self::Poison { .. } | Self::Panic { .. } => (Condition::Ready, Reason::CrashLooping),
            Self::Batch { source, .. } => source.shown_as(),
            Self::Store { source, .. } if source.is_refusal() => {
                (Condition::Checkpointed, Reason::AuthFailed)
            }
            Self::Store { .. } => (Condition::Checkpointed, Reason::CheckpointFailing),
            _ => (Condition::Checkpointed, Reason::StateIncompatible),
        }
    }

    /// The source or sink that it is about.
    pub fn component(&self) -> Option<&str> {
        match self {
            Self::NoTopic { name, .. } => Some(name),
            _ => None,
        }
    }
}
