//! Who is who: pipelines, generations, workers, lives of workers, units; and the names in Kafka made from them.
//!
//! Every name is a pure function of numbers that somebody wrote down before: an id that nobody wrote down could not be
//! fenced.

use std::fmt::{self, Write as _};
use std::sync::Arc;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

number! {
    /// One immutable set of plan, image, replicas and placement. Counts from 1; an empty journal counts as 0.
    Generation(u32)
}
number! {
    /// A worker within a generation, over all its pods.
    WorkerIndex(u32)
}
number! {
    /// A commit of a unit. Counts from 1 and never goes back; 0 is "no commit yet".
    Seq(u64)
}
number! {
    /// A set of repartition topics that belong together: the generation that opened it.
    Lineage(u32)
}
number! {
    /// One request to drain; chosen by who asks, the same in every repetition.
    DrainId(u64)
}

impl DrainId {
    /// The number of a drain from its name: the same in every pod and every repetition.
    pub fn of(name: &str) -> Self {
        Self(xxhash_rust::xxh3::xxh3_64(name.as_bytes()))
    }
}

impl Seq {
    /// The one behind it.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// One life of a worker: a random number drawn at each start of *Going live* that drops memory.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Incarnation(pub u128);

impl fmt::Debug for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

/// Which unit is placed on which worker, as a hash: two generations with one number must agree on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PlacementHash(pub u64);

impl PlacementHash {
    /// Of a table in any order; it does not depend on the order.
    pub fn of<'a>(table: impl IntoIterator<Item = (&'a UnitId, WorkerIndex)>) -> Self {
        let mut rows: Vec<_> = table.into_iter().collect();
        rows.sort_unstable();
        let mut text = String::new();
        for (unit, worker) in rows {
            let _ = writeln!(text, "{unit}={worker}");
        }
        Self(xxhash_rust::xxh3::xxh3_64(text.as_bytes()))
    }
}

/// Partition `index` of stage `stage`: what owns state and moves between workers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UnitId {
    /// Name of the stage.
    pub stage: Arc<str>,
    /// The partition, also that of its journal.
    pub index: u32,
}

impl fmt::Display for UnitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.stage, self.index)
    }
}

/// A worker of a generation: one transactional id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Writer {
    /// Its generation.
    pub generation: Generation,
    /// Its number there.
    pub worker: WorkerIndex,
}

impl Writer {
    /// All of a generation with so many workers.
    pub fn all(generation: Generation, workers: u32) -> impl Iterator<Item = Self> {
        (0..workers).map(move |worker| Self { generation, worker: WorkerIndex(worker) })
    }
}

/// One life of a worker: what a journal record says of who wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Owner {
    /// The transactional id.
    pub writer: Writer,
    /// The life.
    pub incarnation: Incarnation,
}

impl Owner {
    /// Short for its generation.
    pub fn generation(&self) -> Generation {
        self.writer.generation
    }
}

/// The names of one pipeline in Kafka.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PipelineIdentity {
    /// Kubernetes namespace, or `default`.
    pub namespace: String,
    /// Name of the pipeline.
    pub pipeline: String,
    /// First eight characters of its uid: another pipeline of the same name later shares nothing with this one.
    pub uid8: String,
}

impl PipelineIdentity {
    fn prefix(&self) -> String {
        format!("weir.{}.{}.{}", self.namespace, self.pipeline, self.uid8)
    }

    /// True for a topic that was made for this pipeline.
    pub fn made(&self, topic: &str) -> bool {
        topic.strip_prefix(&self.prefix()).is_some_and(|rest| rest.starts_with('.'))
    }

    /// `weir.<namespace>.<pipeline>.<uid8>.<generation>.<worker>`.
    pub fn transactional_id(&self, writer: Writer) -> String {
        format!("{}.{}.{}", self.prefix(), writer.generation, writer.worker)
    }

    /// The group whose offsets lag tools look at.
    pub fn group_id(&self) -> String {
        format!("weir.{}.{}", self.namespace, self.pipeline)
    }

    /// The journals of a stage: partition p is that of unit p.
    pub fn commits_topic(&self, stage: &str) -> String {
        format!("{}.{stage}.commits", self.prefix())
    }

    /// The snapshots of a stage, when they are kept in Kafka: partition p is that of unit p.
    pub fn snapshots_topic(&self, stage: &str) -> String {
        format!("{}.{stage}.snapshots", self.prefix())
    }

    /// The folder of the pipeline where several keep files.
    pub fn folder(&self) -> String {
        format!("{}.{}.{}", self.namespace, self.pipeline, self.uid8)
    }

    /// The blocks that units of `stage` read: partition p is for unit p.
    pub fn repartition_topic(&self, stage: &str, lineage: Lineage) -> String {
        format!("{}.{stage}.repartition.e{lineage}", self.prefix())
    }

    /// The lineage of a repartition topic of this pipeline; none for every other topic.
    pub fn lineage_of(&self, topic: &str) -> Option<Lineage> {
        let rest = topic.strip_prefix(&self.prefix())?.strip_prefix('.')?;
        let (_, number) = rest.split_once(".repartition.e")?;
        number.parse().ok().map(Lineage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_repartition_topics_of_the_pipeline_itself_have_a_lineage() {
        let named = |uid8: &str| PipelineIdentity {
            namespace: "shop".into(),
            pipeline: "clicks".into(),
            uid8: uid8.into(),
        };
        let (mine, other) = (named("0a1b2c3d"), named("0a1b2c3e"));
        let topic = mine.repartition_topic("per-user", Lineage(12));
        assert_eq!(mine.lineage_of(&topic), Some(Lineage(12)));
        assert_eq!(other.lineage_of(&topic), None);
        for topic in [
            mine.commits_topic("per-user"),
            mine.snapshots_topic("per-user"),
            format!("{topic}x"),
            "per-user.repartition.e1".to_owned(),
        ] {
            assert_eq!(mine.lineage_of(&topic), None, "{topic}");
        }
    }
}
