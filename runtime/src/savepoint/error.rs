//! Why a savepoint was not taken, restored or deleted.

use connect::door::IoError;
use connect::snapshot::SnapshotError;
use control::Reason;
use protocol::format::DecodeError;
use protocol::identity::UnitId;
use protocol::journal::ownership::SequenceBroken;
use protocol::savepoint::Unusable;

/// Why a savepoint was not taken, restored or deleted.
#[derive(Debug, thiserror::Error)]
pub enum SavepointError {
    /// The log.
    #[error(transparent)]
    Io(#[from] IoError),
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
    /// Records are missing in a journal.
    #[error("journal of {unit}")]
    Journal {
        /// Of which unit.
        unit: UnitId,
        /// What.
        #[source]
        source: SequenceBroken,
    },
    /// The pipeline has never run.
    #[error("topic `{topic}` does not exist: the pipeline has never worked, so there is nothing to save")]
    NeverRan {
        /// A journal of it.
        topic: String,
    },
    /// A snapshot of the pipeline, or its store.
    #[error("snapshot of {unit}")]
    Snapshot {
        /// Of which unit.
        unit: UnitId,
        /// Why.
        #[source]
        source: SnapshotError,
    },
    /// A snapshot of the pipeline is not what it was.
    #[error("snapshot of {unit}")]
    State {
        /// Of which unit.
        unit: UnitId,
        /// Why.
        #[source]
        source: protocol::snapshot::SnapshotError,
    },
    /// The folder of the savepoint.
    #[error("savepoint")]
    Folder(#[source] SnapshotError),
    /// There is no savepoint there, or it was never finished.
    #[error("there is no complete savepoint")]
    None {
        /// What the store said.
        #[source]
        source: SnapshotError,
    },
    /// The folder holds a savepoint already.
    #[error("there is a savepoint already, of {pipeline}: choose another address")]
    Occupied {
        /// Namespace and name of the pipeline that it is of.
        pipeline: String,
    },
    /// It is not what was written.
    #[error(transparent)]
    Unusable(#[from] Unusable),
    /// Somebody said which savepoint is meant, and it is another one.
    #[error("the manifest has the hash {found}, and {wanted} was asked for")]
    Other {
        /// Its hash.
        found: String,
        /// The hash that was asked for.
        wanted: String,
    },
    /// A topic of a source is gone, or another one has its name.
    #[error(
        "topic `{topic}` is not the one that the savepoint has positions of ({found}): its state cannot go on from there"
    )]
    OtherTopic {
        /// Its name.
        topic: String,
        /// What is there.
        found: String,
    },
    /// Records that the state has not seen are gone.
    #[error("offset {position} of {topic}/{partition} is not in the log, which has {low} to {high}")]
    OutOfLog {
        /// The topic.
        topic: String,
        /// The partition.
        partition: u32,
        /// Where the state stands.
        position: i64,
        /// Begin of the log.
        low: i64,
        /// End of the log.
        high: i64,
    },
    /// The pipeline has worked already.
    #[error("the pipeline has journals of its own: a savepoint is restored into a new pipeline only")]
    NotNew,
    /// A topic of the pipeline has another width.
    #[error("topic `{topic}` has {found} partitions, the savepoint {wanted}")]
    Width {
        /// The topic.
        topic: String,
        /// Its partitions.
        found: u32,
        /// Those of the savepoint.
        wanted: u32,
    },
    /// The transaction with everything was not committed for certain.
    #[error("the journals were not committed")]
    NotCommitted,
    /// What was sent between units can only be consumed by the plan that it was made by.
    #[error(
        "the savepoint was taken while the pipeline worked, with records on their way from one step to the next: it can be restored by the very plan that it was taken of ({saved}), and this pipeline has plan {own}; restore it with that plan first, or take one of the suspended pipeline"
    )]
    OtherPlan {
        /// The plan of the savepoint.
        saved: String,
        /// That of the pipeline.
        own: String,
    },
}

impl SavepointError {
    /// To try again changes nothing until somebody changes something.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Io(error) => matches!(error, IoError::Refused { .. }),
            Self::Snapshot { source, .. } | Self::Folder(source) => source.needs_somebody(),
            Self::NeverRan { .. } | Self::NotCommitted => false,
            Self::Record { .. }
            | Self::Journal { .. }
            | Self::State { .. }
            | Self::None { .. }
            | Self::Occupied { .. }
            | Self::Unusable(_)
            | Self::Other { .. }
            | Self::OtherTopic { .. }
            | Self::OutOfLog { .. }
            | Self::NotNew
            | Self::Width { .. }
            | Self::OtherPlan { .. } => true,
        }
    }

    /// The word for it.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Io(IoError::Unreachable { .. }) => Reason::BrokerUnreachable,
            Self::Io(IoError::LoginFailed { .. } | IoError::Denied { .. }) => Reason::AuthFailed,
            Self::Io(IoError::TopicNotFound { .. }) => Reason::TopicNotFound,
            Self::Snapshot { source, .. } | Self::Folder(source) if source.is_refusal() => Reason::AuthFailed,
            Self::None { .. } => Reason::RefNotFound,
            Self::Unusable(_)
            | Self::Other { .. }
            | Self::OtherTopic { .. }
            | Self::OutOfLog { .. }
            | Self::NotNew
            | Self::Width { .. }
            | Self::OtherPlan { .. } => Reason::StateIncompatible,
            _ => Reason::SavepointFailed,
        }
    }
}
