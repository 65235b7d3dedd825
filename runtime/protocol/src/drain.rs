//! Draining: how a pipeline comes to a consistent stop.
//!
//! ```text
//!  source unit      drain{id} ──> last Commit + Released{id} + End{id} into every partition it feeds   (one transaction)
//!  downstream unit  last End{id} of all its upstream units consumed ──> Commit + Released{id} (+ its own Ends)
//!  then             state uploaded ──> Cut{id, pointer}
//! ```
//!
//! `Released{id}` is a lock until `resume{id}`. A life that finds its unit locked and not cut restores it to the lock's
//! commit, uploads, and writes the Cut without going live ([`missing_cut`]).

use crate::block::End;
use crate::defences::Defences;
use crate::identity::{DrainId, Seq, UnitId};
use crate::journal::{Claim, Ownership};
use pipeline::plan::PlanHash;
use std::collections::BTreeSet;

/// How many drains a unit remembers Ends of: they are requests of a human or an upgrade, one at a time.
pub const DRAINS_MAX: usize = 8;

/// The Ends that a unit has consumed. Part of its state: it is filled by replay as well, and stands in snapshots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    /// In the order in which the first one of each came.
    seen: Vec<(DrainId, BTreeSet<UnitId>)>,
}

impl Ends {
    /// An End was applied.
    pub fn consume(&mut self, end: &End) {
        self.insert(end.drain, end.from.clone());
    }

    fn insert(&mut self, drain: DrainId, from: UnitId) {
        match self.seen.iter_mut().find(|(known, _)| *known == drain) {
            Some((_, units)) => drop(units.insert(from)),
            None => self.seen.push((drain, BTreeSet::from([from]))),
        }
        if self.seen.len() > DRAINS_MAX {
            self.seen.remove(0);
        }
    }

    /// True when every upstream unit has ended in this drain. A unit without upstream units reads sources only: it ends
    /// as soon as it is told.
    pub fn complete(&self, drain: DrainId, upstream: &[UnitId], defences: &Defences) -> bool {
        if !defences.end_marker {
            return true;
        }
        let seen = self.seen.iter().find(|(known, _)| *known == drain);
        upstream.iter().all(|unit| seen.is_some_and(|(_, seen)| seen.contains(unit)))
    }

    /// What a snapshot keeps.
    pub fn entries(&self) -> Vec<(DrainId, UnitId)> {
        let each =
            self.seen.iter().flat_map(|(drain, units)| units.iter().map(|unit| (*drain, unit.clone())));
        each.collect()
    }
}

impl FromIterator<(DrainId, UnitId)> for Ends {
    fn from_iter<T: IntoIterator<Item = (DrainId, UnitId)>>(entries: T) -> Self {
        let mut ends = Self::default();
        for (drain, unit) in entries {
            ends.insert(drain, unit);
        }
        ends
    }
}

/// The drain and the commit whose state has to be uploaded and cut, when a unit is locked without one and its replay has
/// reached that commit.
pub fn missing_cut(ownership: &Ownership, replayed: Option<Seq>) -> Option<(DrainId, Seq)> {
    let lock = ownership.lock()?;
    (!lock.cut && replayed == Some(lock.seq)).then_some((lock.drain, lock.seq))
}

/// True when no plan but mine that `claims` (the newest of every journal) tell of has this stage. Without any it is true.
pub fn is_new_stage<'a>(stage: &str, plan: PlanHash, claims: impl IntoIterator<Item = &'a Claim>) -> bool {
    claims
        .into_iter()
        .filter(|claim| claim.plan != plan)
        .all(|claim| claim.stages.iter().all(|old| &**old != stage))
}

/// True when every journal is drained by this request and cut: the pipeline may be stopped, or taken over by another
/// plan.
pub fn all_cut<'a>(journals: impl IntoIterator<Item = &'a Ownership>, drain: DrainId) -> bool {
    journals.into_iter().all(|journal| journal.lock().is_some_and(|lock| lock.drain == drain && lock.cut))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Lineage;
    use std::sync::Arc;

    #[test]
    fn of_many_drains_the_first_is_forgotten_and_never_the_one_that_ends() {
        let from = UnitId { stage: Arc::from("w"), index: 0 };
        let mut ends = Ends::default();
        // Their numbers are hashes: what came last may be the smallest.
        for drain in (1..=DRAINS_MAX as u64 + 3).rev().map(DrainId) {
            ends.consume(&End { lineage: Lineage(1), drain, from: from.clone(), seq: Seq(1) });
            assert!(ends.complete(drain, std::slice::from_ref(&from), &Defences::ALL));
            let restored: Ends = ends.entries().into_iter().collect();
            assert_eq!(restored, ends, "a snapshot keeps the order");
        }
        assert_eq!(ends.entries().len(), DRAINS_MAX);
    }
}
