//! What a pod says about itself: the answer to `GET /control/v1/status`.
//!
//! Unknown is not zero: what a pod cannot measure is absent (`None`), never 0.

use crate::reason::{Condition, Reason, known_condition, known_reason};
use serde::{Deserialize, Deserializer, Serialize};

/// Most problems that a pod lists; the rest is in its log.
pub const PROBLEMS_MAX: usize = 16;
/// Longest message of a problem, in bytes; cut at a character boundary.
pub const MESSAGE_BYTES_MAX: usize = 1_024;

/// One pod of one generation, at one moment. Counters count since `started_at_ms` (the process, not the pod).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodStatus {
    /// Version of this document, [`crate::call::API_VERSION`].
    pub api_version: String,
    /// First 8 hex digits of the pipeline's uid, as in the generation file.
    pub uid8: String,
    /// The generation that this pod belongs to.
    pub generation: u64,
    /// The plan that this pod runs, as 32 hex digits.
    pub plan_hash: String,
    /// Version of the `weir` program.
    pub version: String,
    /// Start of the process, milliseconds since the epoch. A newer value with equal pod name is a restart.
    pub started_at_ms: i64,
    /// The highest generation that any journal of the pipeline names in a Claim; 0 before the first Claim, absent
    /// before the journals were read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_generation: Option<u64>,
    /// A Claim of this pod's own generation exists with another plan or placement: the operator must take the next
    /// number.
    #[serde(default)]
    pub generation_collision: bool,
    /// The generation number that `promote` last named here; absent when it never did in this process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promoted: Option<u64>,
    /// The drain that is asked for and not resumed, absent when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<String>,
    /// The workers of this pod.
    pub workers: Vec<WorkerStatus>,
    /// The units that the placement gives to this pod, whatever their state. Empty until partition counts are known.
    pub units: Vec<UnitStatus>,
    /// True when `units` is complete: the partition counts of all stages are known, and every worker has a life.
    pub units_known: bool,
    /// Input not yet processed; unknown as soon as one worker is not live, or could not look.
    #[serde(default)]
    pub lag: Lag,
    /// Input records per second over the last 30 seconds; absent during the first 30.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_records_per_second: Option<f64>,
    /// Records that were read and are not committed yet; unknown as soon as one worker is not live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_records: Option<u64>,
    /// How long commits took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processing: Option<Processing>,
    /// From 0 to 1: the share of the units that are live; half of it while something is wrong that may pass, 0 when it
    /// does not pass by itself. Absent until the pod knows its units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<f64>,
    /// What the process uses; absent where the machine does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// The partition with most lag; absent when there is no lag, and when `lag.records` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub laggiest: Option<PartitionLag>,
    /// The lowest watermark of the live units, milliseconds since the epoch; absent before the first record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watermark_ms: Option<i64>,
    /// Input records processed, known to be committed.
    #[serde(default)]
    pub records: u64,
    /// Records sent to the dead-letter sink, or only counted when there is none.
    #[serde(default)]
    pub dead_letters: u64,
    /// Late records per window step.
    #[serde(default)]
    pub windows: Vec<WindowStatus>,
    /// The newest committed transaction, milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_commit_ms: Option<i64>,
    /// When the oldest of the newest durable snapshots of the units was taken, milliseconds since the epoch; absent
    /// while a unit that has committed has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_snapshot_ms: Option<i64>,
    /// Every unit of this pod that has committed has durable state that was written by the plan of this pod: a restore of
    /// it needs no other plan. Absent from older runtimes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled: Option<bool>,
    /// How often workers went back to *Going live* after having been live.
    #[serde(default)]
    pub worker_restarts: u64,
    /// What is wrong now, worst first, at most [`PROBLEMS_MAX`].
    #[serde(default)]
    pub problems: Vec<Problem>,
    /// The Secrets that the pipeline refers to, as mounted here.
    #[serde(default)]
    pub secrets: Vec<SecretStatus>,
}

/// One worker thread.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkerStatus {
    /// Number within the generation.
    pub worker: u32,
    /// Random id of this life of the worker, 32 hex digits; absent between two lives, when it knows nothing of its units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<String>,
}

/// One unit of one stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnitStatus {
    /// Name of the stage.
    pub stage: String,
    /// Partition number.
    pub unit: u32,
    /// The worker that the placement gives it to.
    pub worker: u32,
    /// How far it is on the way to live, or from it.
    pub state: UnitState,
    /// The newest committed seq that this unit wrote or replayed; absent before the first commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// It processes again what a change that was taken back has given out already; nothing that it makes goes out yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reprocessing: bool,
    /// The drain that `Released` and `Cut` belong to: the id, if this process was told it, because the journal holds
    /// only a hash of it; else absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<String>,
}

/// How far a unit is. `Restoring` to `Live` is the way in; `Superseded`, `Released` and `Cut` are ways out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub enum UnitState {
    /// Loads its snapshot, or replays and is not near the end of its journal yet.
    Restoring,
    /// Follows its journal; not yet near its end for long enough.
    Standby,
    /// Its replay lag has been at most two commit intervals for 5 seconds: it can be promoted.
    CaughtUp,
    /// Promoted; claims, fences and reads to the end.
    Claiming,
    /// Processes records and commits.
    Live,
    /// A higher generation has claimed it.
    Superseded,
    /// Its last commit under the drain is written, and released.
    Released,
    /// As `Released`, and its state is durable: the pod may go.
    Cut,
    /// Stopped; a problem says why.
    Failed,
    /// A word of a newer runtime.
    Unknown,
}

impl PodStatus {
    /// The pod knows all its units: what holds for each of `units` holds for the pod.
    pub fn is_complete(&self) -> bool {
        self.units_known
            && !self.workers.is_empty()
            && self.workers.iter().all(|worker| worker.incarnation.is_some())
    }

    /// The pod knows all its units, and each of them is as `good` says.
    pub fn every_unit(&self, good: impl Fn(&UnitStatus) -> bool) -> bool {
        self.is_complete() && self.units.iter().all(good)
    }
}

impl UnitState {
    const WORDS: [(&'static str, Self); 9] = [
        ("Restoring", Self::Restoring),
        ("Standby", Self::Standby),
        ("CaughtUp", Self::CaughtUp),
        ("Claiming", Self::Claiming),
        ("Live", Self::Live),
        ("Superseded", Self::Superseded),
        ("Released", Self::Released),
        ("Cut", Self::Cut),
        ("Failed", Self::Failed),
    ];
}

impl<'de> Deserialize<'de> for UnitState {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(Self::WORDS.iter().find(|(word, _)| *word == text).map_or(Self::Unknown, |(_, state)| *state))
    }
}

/// Input not yet processed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lag {
    /// Records between what is processed and the high watermarks of the partitions, looked up every 5 seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<u64>,
    /// Age of the oldest record not yet processed, in seconds, estimated; 0 when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
}

/// How long commits took, all of them since the process started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Processing {
    /// Seconds from the reading of the first record of a commit until it was committed, added up over commits.
    pub seconds: f64,
    /// How many commits.
    pub commits: u64,
}

/// What the process uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Processor time since the process started, in seconds.
    pub cpu_seconds: f64,
    /// Memory that it holds now.
    pub memory_bytes: u64,
}

/// The lag of one partition of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PartitionLag {
    /// Name of the topic.
    pub topic: String,
    /// Number of the partition.
    pub partition: u32,
    /// Records between what is processed and the high watermark.
    pub records: u64,
}

/// One window step, over the units of this pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WindowStatus {
    /// Name of the step.
    pub step: String,
    /// Windows with state now; absent as soon as one worker is not live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<u64>,
    /// Late records, whether a `lateSink` took them or not, known to be committed.
    #[serde(default)]
    pub late: u64,
}

/// Something is wrong now; it disappears from the list when it is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// Why; absent when it is a word of a newer runtime.
    #[serde(default, deserialize_with = "known_reason", skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// The condition that is False because of it.
    #[serde(deserialize_with = "known_condition")]
    pub condition: Condition,
    /// The source, step or sink, as named in the manifest; absent when it concerns the whole pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    /// What, where and what to do; at most [`MESSAGE_BYTES_MAX`] bytes; never contains a referred secret value.
    pub message: String,
    /// No retry can help: the user has to change something.
    #[serde(default)]
    pub permanent: bool,
    /// Since when, milliseconds since the epoch.
    pub since_ms: i64,
}

/// One Secret as mounted in the pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretStatus {
    /// Name of the Secret.
    pub name: String,
    /// Keys that the pipeline needs and the mount lacks; a missing Secret lacks all of them.
    #[serde(default)]
    pub missing_keys: Vec<String>,
    /// Hash of the content, 32 hex digits, keyed with the pipeline and the name: equal content of one Secret of one
    /// pipeline, equal hash. It is no proof against guessing a weak value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
}
