//! What a worker remembers of the snapshots of a unit: the journal holds only pointers to them.

use connect::door::TopicPartition;
use pipeline::plan::PlanHash;
use protocol::snapshot::SnapshotHeader;
use std::sync::Arc;

/// Most snapshots of one unit that are remembered: the newest durable one, those that Holds pin, and one on its way. What
/// is forgotten only keeps its records longer.
const SNAPSHOTS_MAX: usize = 64;

/// Snapshots of one unit, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    snapshots: Vec<Snapshot>,
}

#[derive(Clone, Debug)]
struct Snapshot {
    hash: u128,
    plan: PlanHash,
    taken_ms: i64,
    positions: Vec<(TopicPartition, i64)>,
    oldest: Arc<str>,
}

impl Kept {
    /// Remembers a snapshot by the hash that its pointer has; `oldest` is the oldest object that it needs.
    pub fn add(&mut self, hash: u128, header: &SnapshotHeader, taken_ms: i64, oldest: Arc<str>) {
        let positions = header.positions.iter().filter_map(|(at, next)| {
            let topic = header.inputs.get(usize::from(at.input))?.topic.to_string();
            Some((TopicPartition { topic, partition: at.partition }, *next))
        });
        let positions = positions.collect();
        let snapshot = Snapshot { hash, plan: header.plan, taken_ms, positions, oldest };
        self.snapshots.retain(|known| known.hash != hash);
        if self.snapshots.len() >= SNAPSHOTS_MAX {
            self.snapshots.remove(0);
        }
        self.snapshots.push(snapshot);
    }

    /// When the snapshot was taken, on the wall clock; for one of an earlier life the batch clock at its commit.
    pub fn taken_ms(&self, hash: u128) -> Option<i64> {
        self.find(hash).map(|snapshot| snapshot.taken_ms)
    }

    /// Which plan the unit followed.
    pub fn plan(&self, hash: u128) -> Option<PlanHash> {
        self.find(hash).map(|snapshot| snapshot.plan)
    }

    /// The store's name of the oldest object that a restore of it needs.
    pub fn oldest(&self, hash: u128) -> Option<&Arc<str>> {
        self.find(hash).map(|snapshot| &snapshot.oldest)
    }

    /// Where the unit stood in a partition.
    pub fn position(&self, hash: u128, of: &TopicPartition) -> Option<i64> {
        let positions = &self.find(hash)?.positions;
        positions.iter().find(|(at, _)| at == of).map(|(_, next)| *next)
    }

    /// Forgets those before this one.
    pub fn forget_before(&mut self, hash: u128) {
        if let Some(at) = self.snapshots.iter().position(|snapshot| snapshot.hash == hash) {
            self.snapshots.drain(..at);
        }
    }

    fn find(&self, hash: u128) -> Option<&Snapshot> {
        self.snapshots.iter().find(|snapshot| snapshot.hash == hash)
    }
}
