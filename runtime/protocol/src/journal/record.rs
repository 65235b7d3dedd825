//! What may stand in a journal. Positions are offsets of the next record to be read; clocks are milliseconds since the
//! epoch.

use crate::identity::{DrainId, Generation, Lineage, Owner, PlacementHash, Seq, UnitId};
use crate::schedule::{OutputDigest, Scheduled};
use crate::snapshot::SnapshotPointer;
use pipeline::plan::{PlanHash, SecretsHash};
use pipeline::unit::{Channel, Tick};
use std::sync::Arc;

/// A partition of the *topic* that an input reads. For repartitioned inputs this is the unit's own partition, in which
/// the blocks of all upstream units are mixed; cutting them into channels is the same pure act live and in replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InputPartition {
    /// Index into the inputs of the stage.
    pub input: u16,
    /// Partition of its topic.
    pub partition: u32,
}

/// One record of a journal.
#[derive(Clone, Debug, PartialEq)]
pub enum JournalRecord {
    /// Somebody is going to own the unit.
    Claim(Box<Claim>),
    /// The unit advanced.
    Commit(Box<Commit>),
    /// Keep what a restore at this point would need.
    Hold(Hold),
    /// The hold of this name is over.
    Unhold {
        /// Its name.
        name: String,
    },
    /// The owner let go.
    Released(Released),
    /// The state at a drain is durable.
    Cut(Cut),
    /// The unit has processed again what a rollback gave it: from here on its outputs go out.
    Reprocessed(Reprocessed),
}

/// The way in, see *Going live*.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// Who claims.
    pub owner: Owner,
    /// The plan that its commits will follow.
    pub plan: PlanHash,
    /// The placement of its generation.
    pub placement: PlacementHash,
    /// The meaning of plans in its release; another number may compute other state from the same plan.
    pub semantics: u32,
    /// The repartition topics it reads and writes.
    pub lineage: Lineage,
    /// The drain that it ends, when it was told so.
    pub resume: Option<DrainId>,
    /// The stage is not in the claimant's plan: it only keeps older generations out.
    pub retired: bool,
    /// The Secrets that its commits are made with; none when their outputs depend on none, and from releases that did
    /// not say it.
    pub secrets: Option<SecretsHash>,
    /// Where state restarts instead of the newest pointer: a rollback. It counts in a Claim that changes the plan.
    pub base: Option<Base>,
    /// What the unit processes again with its outputs suppressed, as long as it has not said [`Reprocessed`]. Later Claims
    /// with the same plan leave it as it is.
    pub reprocess: Option<Reprocess>,
    /// When the Claim changes the plan: what stood here before is kept for a rollback until the batch clock passes this.
    pub rollback_until_ms: Option<i64>,
    /// What the unit takes over from units of the plan before, when the Claim changes the plan.
    pub heritage: Option<Heritage>,
    /// The inputs of the unit, in the order of the plan.
    pub inputs: Vec<ClaimedInput>,
    /// Names of all stages of the plan: a later plan has to know which journals belong to this one, those in which
    /// nobody has claimed yet included.
    pub stages: Vec<Arc<str>>,
}

/// What a unit takes over at a change of plan, besides its own state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heritage {
    /// The plan that was drained.
    pub plan: PlanHash,
    /// Other units of that plan that had a part of what this one has now, with their state at the cut.
    pub units: Vec<(UnitId, SnapshotPointer)>,
}

/// State to start from: the one that stood here when generation `undone` changed the plan. What it and later ones wrote
/// does not count any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// The snapshot that it is restored from; none is the empty state.
    pub pointer: Option<SnapshotPointer>,
    /// The last commit that still counts.
    pub through: Seq,
    /// The generation whose change of plan is undone.
    pub undone: Generation,
}

/// What a unit processes again after a rollback: records that the plan which was taken back has given out already.
///
/// Source units read up to the end of each leg and apply its ticks, so that their watermarks come to where they were; then
/// they say `End` to their readers, as in a drain. A unit without source has no legs: it is done with the last `End`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reprocess {
    /// What the `End`s are called.
    pub id: DrainId,
    /// In order.
    pub legs: Vec<Leg>,
}

/// A part of the way: read to these positions, then apply these ticks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leg {
    /// By partition of a source; one that is missing is not read in it.
    pub until: Vec<(InputPartition, i64)>,
    /// What happened there without a record.
    pub ticks: Vec<Tick>,
}

/// A unit has processed again what it had to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reprocessed {
    /// Who.
    pub owner: Owner,
    /// Of [`Reprocess::id`].
    pub id: DrainId,
}

/// One input as a Claim knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedInput {
    /// Name of the source, or of the upstream stage.
    pub name: Arc<str>,
    /// Its topic.
    pub topic: Arc<str>,
    /// Kafka's id of that topic; another id is another topic.
    pub topic_id: Arc<str>,
    /// Partition and first offset, for partitions that this journal has no position of yet.
    pub starts: Vec<(u32, i64)>,
}

/// One commit of a unit.
#[derive(Clone, Debug, PartialEq)]
pub struct Commit {
    /// Who commits.
    pub owner: Owner,
    /// Its number.
    pub seq: Seq,
    /// The batch clock at the commit; no later batch has a lower one.
    pub clock_ms: i64,
    /// Every position of the unit after this commit, sorted.
    pub positions: Vec<(InputPartition, i64)>,
    /// What was applied since the previous commit, in order.
    pub schedule: Vec<Scheduled>,
    /// Watermarks per channel, for who looks at the pipeline.
    pub watermarks: Vec<(Channel, i64)>,
    /// Count and hash of everything the unit wrote in it.
    pub outputs: OutputDigest,
    /// A snapshot of an earlier commit of the same incarnation that has become durable.
    pub snapshot: Option<SnapshotPointer>,
    /// Stands beside every pointer: what trimming may not lose.
    pub renewal: Option<Renewal>,
    /// How far sinks outside Kafka are.
    pub sinks: Vec<SinkProgress>,
}

/// A Claim said again, with the Holds open at that point.
#[derive(Clone, Debug, PartialEq)]
pub struct Renewal {
    /// The Claim of the owner; its `resume`, `base`, `heritage` and `rollback_until_ms` are none, for they have
    /// happened.
    pub claim: Claim,
    /// Open holds.
    pub holds: Vec<Hold>,
}

/// Progress of one sink that follows the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkProgress {
    /// Name of the sink.
    pub sink: Arc<str>,
    /// The last commit that it holds.
    pub seq: Seq,
}

/// Keep what a restore at this record would need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Its name.
    pub name: String,
    /// The generation that wrote it first.
    pub generation: Generation,
    /// Void once the batch clock passes it.
    pub until_ms: i64,
}

/// The owner has stopped and will not commit again for this unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Released {
    /// Who lets go.
    pub owner: Owner,
    /// Its last commit, 0 when the journal has none.
    pub seq: Seq,
    /// When it was drained: a lock, see [`Ownership::lock`](super::Ownership::lock).
    pub drain: Option<DrainId>,
}

/// The state at the end of a drain, uploaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Who uploaded it.
    pub owner: Owner,
    /// The drain.
    pub drain: DrainId,
    /// The state at the seq of that drain's `Released`.
    pub pointer: SnapshotPointer,
}
