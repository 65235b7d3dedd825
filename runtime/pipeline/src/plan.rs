//! The plan: what a pipeline means, valid by construction.
//!
//! A [`Plan`] is made by [`Plan::build`] (all problems at once) and is immutable. It names the stages between Kafka
//! topics, the nodes that a unit of each stage runs, and every default, resolved. The operator, `weir lint` and the
//! worker all make it from the same text by the same function.
//!
//! ```text
//!  stage 0: source -> filter -> assign windows ~> (repartition topic) ~> stage 1: merge windows -> map -> sink
//! ```

mod access;
mod affinity;
mod build;
pub(crate) mod compatibility;
mod connector;
mod field;
mod flow;
mod hash;
mod keys;
mod load;
mod mask;
mod problems;
mod projection;
mod resource;
mod rows;
mod setting;
mod stage;
mod step;
mod storage;

pub use access::{KafkaAccess, KafkaCertificate, KafkaLogin, KafkaTls, SecretKey};
pub use compatibility::{Incompatible, StateChanges, compatibility, state_changes};
pub(crate) use keys::MaskKey;
pub use keys::{KeyError, MASK_KEY_BYTES_MIN, MaskKeys, SecretsHash};
pub use load::{Loaded, LoadedPipeline, from_yaml, load};
pub use mask::{Keep, Mask, Masking};
pub use storage::{Bucket, Cloud, Storage, check_savepoint, storage};

use crate::column::{FieldPath, Projection};
use crate::expression::Expression;
use crate::schema::Schema;
use std::sync::Arc;

/// Index into [`Plan::stages`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StageId(pub u16);

/// Index into [`Plan::sinks`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SinkId(pub u16);

/// Index into [`Plan::sources`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceId(pub u16);

/// Index into [`Stage::nodes`]; a node reads only nodes before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u16);

/// A valid pipeline. See the module for who makes it.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) hash: PlanHash,
    pub(crate) sources: Vec<Source>,
    pub(crate) stages: Vec<Stage>,
    pub(crate) sinks: Vec<Sink>,
    pub(crate) dead_letter_sink: Option<SinkId>,
    pub(crate) settings: Settings,
    /// Values of Secrets, see `plan/keys.rs`.
    pub(crate) keys: MaskKeys,
}

/// A 128-bit xxh3 of what a plan means; two plans with one hash give the same rows. `plan/hash.rs` says what is in it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PlanHash(pub [u8; 16]);

impl std::fmt::Display for PlanHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl std::fmt::Debug for PlanHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

/// Settings of the whole pipeline, defaults filled in. Times are milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Pods.
    pub replicas: u32,
    /// Units per stage, when the user fixed it; else the widest source topic decides.
    pub partitions: Option<u32>,
    /// Exactly once, or at least once.
    pub guarantee: Guarantee,
    /// Between commits while there is output.
    pub commit_interval_ms: u64,
    /// Between commits while there is none.
    pub idle_commit_interval_ms: u64,
    /// Between snapshots.
    pub checkpoint_interval_ms: u64,
    /// Where snapshots go; none is internal Kafka topics.
    pub checkpoint_storage: Option<Storage>,
    /// Where a source without committed position starts, unless it says so itself ([`Source::start_from`]).
    pub start_from: StartFrom,
    /// No unit runs.
    pub suspend: bool,
    /// How long a change of the plan is watched; 0 is not at all.
    pub probation_ms: i64,
    /// A change that does not work in that time is taken back.
    pub auto_rollback: bool,
}

/// How much longer a probation lasts when nothing comes to be processed in it, in milliseconds.
pub const PROBATION_WITHOUT_TRAFFIC_MS: i64 = 600_000;
/// Time for the rollback itself, behind the end of a probation, in milliseconds.
const ROLLBACK_MS: i64 = 600_000;

impl Settings {
    /// How long the state before a change of the plan is kept, in milliseconds; none when it is not.
    pub fn rollback_window_ms(&self) -> Option<i64> {
        let watched = self.probation_ms + PROBATION_WITHOUT_TRAFFIC_MS;
        (self.probation_ms > 0).then_some(watched + ROLLBACK_MS)
    }
}

/// The delivery guarantee of the whole pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guarantee {
    /// Every record has its effect once.
    ExactlyOnce,
    /// Every record has its effect once or more often.
    AtLeastOnce,
}

/// Where reading starts the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartFrom {
    /// At the oldest record.
    Earliest,
    /// After the newest record.
    Latest,
    /// At the first record with this timestamp (milliseconds) or a later one.
    Timestamp(i64),
}

/// One source.
#[derive(Clone, Debug)]
pub struct Source {
    /// Name in the manifest.
    pub name: String,
    /// Where records come from.
    pub connector: SourceConnector,
    /// How values are decoded.
    pub format: Format,
    /// What a value must fulfil; the rest is a dead letter.
    pub schema: Option<Arc<Schema>>,
    /// Event time and watermarks.
    pub time: EventTime,
    /// Where reading starts when no position is committed.
    pub start_from: StartFrom,
}

/// Where records come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceConnector {
    /// A Kafka topic. `access` is none when neither source nor pipeline says it, which only a local run with input
    /// files can use.
    Kafka {
        /// Topic.
        topic: String,
        /// Cluster.
        access: Option<Arc<KafkaAccess>>,
    },
}

impl SourceConnector {
    /// The topic that is read.
    pub fn topic(&self) -> &str {
        let Self::Kafka { topic, .. } = self;
        topic
    }
}

/// How values are decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON value per record.
    Json,
}

/// Event time of a source. All durations in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventTime {
    /// The field that holds it; none is the record's timestamp.
    pub field: Option<FieldPath>,
    /// Unit of an integer field.
    pub unit: TimeUnit,
    /// Watermark = highest event time seen in the partition − this.
    pub max_out_of_orderness_ms: i64,
    /// Silence at the end of a partition after which it no longer holds back the watermark.
    pub idle_timeout_ms: i64,
    /// A record further ahead of the batch clock is a dead letter; none is off.
    pub max_future_ms: Option<i64>,
}

/// Unit of an integer event time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeUnit {
    /// Seconds since the epoch.
    Seconds,
    /// Milliseconds since the epoch.
    Milliseconds,
    /// Microseconds since the epoch.
    Microseconds,
}

/// One run of nodes between Kafka topics. Unit `p` of the stage owns partition `p` of its inputs.
#[derive(Clone, Debug)]
pub struct Stage {
    /// Name of its first step, or of its source when it has no step of its own.
    pub name: String,
    /// What it reads.
    pub inputs: Vec<Input>,
    /// In topological order.
    pub nodes: Vec<Node>,
    /// True when it keeps state beyond watermarks.
    pub keyed: bool,
}

/// What a stage reads; channel `(input, partition)` has its own watermark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// A source: the decoder, time and projection belong to its `NodeKind::Source`.
    Source(SourceId),
    /// The blocks that node `node` of stage `stage` (a `NodeKind::AssignWindows`) writes for this stage.
    Repartition {
        /// The stage that writes.
        stage: StageId,
        /// The node there.
        node: NodeId,
    },
}

/// One node: an operator on batches.
#[derive(Clone, Debug)]
pub struct Node {
    /// Name of the step, source or sink in the manifest.
    pub name: String,
    /// What it reads; several are merged in arrival order. Empty for `Source` and `MergeWindows`.
    pub from: Vec<Edge>,
    /// What it does.
    pub kind: NodeKind,
    /// The fields that it and everything behind it, up to the next `Map`, `Mask` or window, read of its *output*
    /// records: what a node that makes new records has to decode.
    pub projection: Projection,
}

/// Where a node reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Edge {
    /// The node.
    pub node: NodeId,
    /// The branch of a `Route` (index into `branches`; `branches.len()` is `default`), 0 for every other node.
    pub branch: u16,
}

/// What a node does with records. Expressions are compiled; each `Expression` is bound to the projection of the node
/// that makes its records.
#[derive(Clone, Debug)]
pub enum NodeKind {
    /// Decodes input `input` of the stage (index into `Stage::inputs`).
    Source {
        /// Index into `Stage::inputs`.
        input: u16,
    },
    /// Keeps records for which the expression is true; an error is a dead letter. Tombstones pass.
    Filter(Expression),
    /// Replaces the value by what the expression gives (a map, encoded as JSON). Tombstones pass.
    Map(Expression),
    /// Makes fields of the value unreadable. Tombstones pass.
    Mask(Arc<Mask>),
    /// Sends a record to the first branch whose expression is true, else to `default`. Tombstones go to `default`.
    Route {
        /// Name and condition, in order.
        branches: Vec<(String, Expression)>,
    },
    /// The source side of a window: key, lateness, pre-aggregation, blocks for stage `to`.
    AssignWindows {
        /// The window.
        window: Arc<Window>,
        /// The stage that merges.
        to: StageId,
    },
    /// The merging side of a window: input `input` of this stage carries its blocks; output rows are JSON.
    MergeWindows {
        /// The window.
        window: Arc<Window>,
        /// Index into `Stage::inputs`.
        input: u16,
    },
    /// Gives records to a sink.
    Sink(SinkId),
}

/// A window and its aggregates. All durations in milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// Name of the step.
    pub name: String,
    /// Key fields, in order: name in the output row and path in the input.
    pub key_by: Vec<(String, FieldPath)>,
    /// How event time is cut.
    pub kind: WindowKind,
    /// How long after its end a window stays open.
    pub allowed_lateness_ms: i64,
    /// What is computed.
    pub aggregates: Vec<Aggregate>,
    /// Who takes late records; none only counts them.
    pub late_sink: Option<SinkId>,
}

/// How event time is cut into windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowKind {
    /// `[n × size, (n + 1) × size)`, aligned to the epoch in UTC.
    Tumbling {
        /// Length in milliseconds.
        size_ms: i64,
    },
}

/// One aggregate of a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aggregate {
    /// Name in the output row.
    pub name: String,
    /// What is computed.
    pub function: AggregateFunction,
    /// The field; none for `Count` of records.
    pub field: Option<FieldPath>,
}

/// What an aggregate computes; all but `Count` without a field skip null and missing values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AggregateFunction {
    /// Number of records, or of values that are not null.
    Count,
    /// Integers: exact 64 bits, overflow is a dead letter. Doubles: correctly rounded, whatever the order.
    Sum,
    /// Sum divided by count, as a double.
    Average,
    /// Smallest value.
    Min,
    /// Largest value.
    Max,
}

/// One sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sink {
    /// Name in the manifest; `deadLetterSink`, or `<step>.lateSink`, when it is written in place.
    pub name: String,
    /// What it is for.
    pub role: SinkRole,
    /// Where records go.
    pub connector: SinkConnector,
}

/// What a sink is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SinkRole {
    /// Named under `sinks`; it may take late records and dead letters besides.
    User,
    /// A `lateSink` written in place.
    Late,
    /// A `deadLetterSink` written in place.
    DeadLetter,
}

/// Where records go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SinkConnector {
    /// A Kafka topic.
    Kafka {
        /// Topic.
        topic: String,
        /// Cluster, see [`SourceConnector::Kafka`].
        access: Option<Arc<KafkaAccess>>,
    },
    /// JSON lines in a file.
    File {
        /// Path.
        path: String,
    },
    /// The log of the pod.
    Log,
}

impl Plan {
    /// How each source and each sink in Kafka reaches it, with the word for it and its name; none where nobody says.
    pub fn kafka_accesses(&self) -> impl Iterator<Item = (&'static str, &str, Option<&KafkaAccess>)> {
        let sources = self.sources().iter().map(|source| {
            let SourceConnector::Kafka { access, .. } = &source.connector;
            ("source", source.name.as_str(), access.as_deref())
        });
        let sinks = self.sinks().iter().filter_map(|sink| match &sink.connector {
            SinkConnector::Kafka { access, .. } => Some(("sink", sink.name.as_str(), access.as_deref())),
            SinkConnector::File { .. } | SinkConnector::Log => None,
        });
        sources.chain(sinks)
    }

    /// Name of the pipeline.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Namespace, `default` when the manifest has none.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Identity of the meaning.
    pub fn hash(&self) -> PlanHash {
        self.hash
    }

    /// All sources.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// All stages, writers before readers.
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }

    /// One stage.
    pub fn stage(&self, id: StageId) -> &Stage {
        &self.stages[usize::from(id.0)]
    }

    /// All sinks, those in place included.
    pub fn sinks(&self) -> &[Sink] {
        &self.sinks
    }

    /// One sink.
    pub fn sink(&self, id: SinkId) -> &Sink {
        &self.sinks[usize::from(id.0)]
    }

    /// Who takes dead letters; none only counts them.
    pub fn dead_letter_sink(&self) -> Option<SinkId> {
        self.dead_letter_sink
    }

    /// Settings of the whole pipeline.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}

#[cfg(test)]
mod tests;
