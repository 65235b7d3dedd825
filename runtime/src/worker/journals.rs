//! The journals as they are read: every one of the pipeline, because ownership is decided over all of them; those of the
//! own units with everything that a replay needs.

use super::error::WorkerError;
use super::unit::Member;
use pipeline::plan::PlanHash;
use pipeline::record::RecordBatch;
use protocol::going_live::JournalFacts;
use protocol::identity::{Generation, Lineage};
use protocol::journal::record::JournalRecord;
use protocol::journal::{Head, Ownership};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// One journal.
pub struct Journal {
    /// The own unit that it belongs to, by index; else its owners are folded here.
    member: Option<usize>,
    ownership: Ownership,
    /// Position of the reader, see [`JournalFacts::read_to`].
    read_to: Option<i64>,
    ended: bool,
    /// Plan and lineage of its highest Claim.
    lineage: Option<(Generation, PlanHash, Lineage)>,
    /// The stages of each plan that a Claim names.
    plans: BTreeMap<PlanHash, Vec<Arc<str>>>,
}

impl Journal {
    /// A journal that nothing was read of.
    pub fn new(member: Option<usize>) -> Self {
        Self {
            member,
            ownership: Ownership::default(),
            read_to: None,
            ended: false,
            lineage: None,
            plans: BTreeMap::new(),
        }
    }

    /// Folds records.
    pub fn read(
        &mut self,
        batch: &RecordBatch,
        members: &mut [Member],
        name: &str,
    ) -> Result<(), WorkerError> {
        let unknown = || protocol::identity::UnitId { stage: std::sync::Arc::from(name), index: 0 };
        for row in 0..batch.len() {
            let offset = batch.records()[row].offset;
            let unit = || self.member.map_or_else(unknown, |at| members[at].id.clone());
            let record = JournalRecord::decode(batch.value(row).unwrap_or_default())
                .map_err(|source| WorkerError::Record { unit: unit(), offset, source })?;
            self.note_lineage(&record);
            let folded = match self.member {
                Some(at) => members[at].view.apply(offset, record),
                None => self.ownership.apply(&Head::from(&record)),
            };
            folded.map_err(|source| WorkerError::Journal {
                unit: self.member.map_or_else(unknown, |at| members[at].id.clone()),
                source,
            })?;
        }
        if let Some(next) = batch.next_offset() {
            self.read_to = Some(self.read_to.map_or(next, |known| known.max(next)));
        }
        Ok(())
    }

    fn note_lineage(&mut self, record: &JournalRecord) {
        let claim = match record {
            JournalRecord::Claim(claim) => Some(&**claim),
            JournalRecord::Commit(commit) => commit.renewal.as_ref().map(|renewal| &renewal.claim),
            _ => None,
        };
        if let Some(claim) = claim {
            self.plans.entry(claim.plan).or_insert_with(|| claim.stages.clone());
            let generation = claim.owner.generation();
            if self.lineage.is_none_or(|(highest, _, _)| generation >= highest) {
                self.lineage = Some((generation, claim.plan, claim.lineage));
            }
        }
    }

    /// The reader has passed everything below `offset`.
    pub fn end(&mut self, offset: i64) {
        self.read_to = Some(self.read_to.map_or(offset, |known| known.max(offset)));
        self.ended = true;
    }

    /// Its owners.
    pub fn ownership<'a>(&'a self, members: &'a [Member]) -> &'a Ownership {
        self.member.map_or(&self.ownership, |at| members[at].view.ownership())
    }

    /// What a decision looks at.
    pub fn facts<'a>(&'a self, members: &'a [Member], new_stage: bool) -> JournalFacts<'a> {
        JournalFacts {
            own: self.member.is_some(),
            new_stage,
            ownership: self.ownership(members),
            read_to: self.read_to.filter(|_| self.ended),
            replayed: self.member.and_then(|at| members[at].replay.replayed()),
        }
    }
}

/// Stages of the plans that Claims of other plans name.
pub fn stages_of_others(journals: &[Journal], mine: PlanHash) -> BTreeSet<Arc<str>> {
    let plans = journals.iter().flat_map(|journal| &journal.plans);
    plans.filter(|(plan, _)| **plan != mine).flat_map(|(_, stages)| stages.iter().cloned()).collect()
}

/// True once every journal was read to an end.
pub fn all_ended(journals: &[Journal]) -> bool {
    journals.iter().all(|journal| journal.ended)
}

/// The repartition topics that a generation reads and writes: those of the generation before when it goes on with the
/// same plan, else its own.
pub fn lineage(journals: &[Journal], mine: Generation, plan: PlanHash) -> Lineage {
    let highest =
        journals.iter().filter_map(|journal| journal.lineage).max_by_key(|(generation, _, _)| *generation);
    match highest {
        Some((_, newest, lineage)) if newest == plan => lineage,
        _ => Lineage(mine.0),
    }
}
