//! The journals as they are read: every one of the pipeline, because ownership is decided over all of them; those of the
//! own units with everything that a replay needs.

mod course;
mod progress;

pub use course::Course;
use progress::Progress;

use super::error::WorkerError;
use super::unit::Member;
use pipeline::plan::PlanHash;
use pipeline::record::RecordBatch;
use protocol::going_live::JournalFacts;
use protocol::identity::{Generation, Lineage};
use protocol::journal::ownership::Lock;
use protocol::journal::record::{Cut, JournalRecord};
use protocol::journal::{Head, Ownership};
use protocol::restore::Rewind;
use protocol::snapshot::SnapshotPointer;
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
    /// The lineage that the state of the newest durable pointer has read.
    durable: Option<Lineage>,
    /// Holds that nobody has ended, whatever their time.
    holds: BTreeSet<String>,
    /// Plans that were in force, each with the highest generation that followed it here.
    followed: BTreeMap<PlanHash, Generation>,
    /// The state at the end of the newest drain, and the plan that was drained.
    cut: Option<(PlanHash, SnapshotPointer)>,
    /// The unit took over state of others, and none of its own is durable yet.
    inherits: bool,
    /// It belongs to a unit that this worker keeps others out of.
    retires: bool,
    /// How far its unit is.
    pub progress: Progress,
}

/// What a record says of the plans before, besides what the fold keeps.
enum Note {
    Claim { plan: PlanHash, generation: Generation, retired: bool, inherits: bool },
    Renewal { plan: PlanHash, generation: Generation },
    Cut(Cut),
    Nothing,
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
            durable: None,
            holds: BTreeSet::new(),
            followed: BTreeMap::new(),
            cut: None,
            inherits: false,
            retires: false,
            progress: Progress::default(),
        }
    }

    /// The journal of a unit that only an earlier plan had; `own` when this worker claims it.
    pub fn of_retired(own: bool) -> Self {
        Self { retires: own, ..Self::new(None) }
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
            let before = (self.ownership(members).lock().copied(), self.ownership(members).in_force());
            self.note_durable(&record, before.0);
            self.note_lineage(&record);
            let note = Note::of(&record);
            let claim = match &record {
                JournalRecord::Claim(claim) => Some(claim.clone()),
                _ => None,
            };
            self.progress.apply(&record);
            let folded = match self.member {
                Some(at) => members[at].view.apply(offset, record),
                None => self.ownership.apply(&Head::from(&record)),
            };
            folded.map_err(|source| WorkerError::Journal {
                unit: self.member.map_or_else(unknown, |at| members[at].id.clone()),
                source,
            })?;
            self.note(note, before, members);
            if let Some(claim) = claim.filter(|claim| self.ownership(members).in_force() == Some(claim.plan))
            {
                self.progress.claimed(&claim, before.1);
            }
        }
        if let Some(next) = batch.next_offset() {
            self.read_to = Some(self.read_to.map_or(next, |known| known.max(next)));
        }
        Ok(())
    }

    /// A pointer in a Commit is of the owner that the renewal beside it names, and a Cut of the owner before it; one that
    /// comes behind the next Claim is of no use to anybody.
    fn note_durable(&mut self, record: &JournalRecord, lock: Option<Lock>) {
        match record {
            JournalRecord::Commit(commit) if commit.snapshot.is_some() => {
                self.durable = commit.renewal.as_ref().map(|renewal| renewal.claim.lineage);
                let holds = commit.renewal.iter().flat_map(|renewal| &renewal.holds);
                self.holds.extend(holds.map(|hold| hold.name.clone()));
            }
            JournalRecord::Cut(cut) if lock.is_some_and(|lock| ends(&lock, cut)) => {
                self.durable = self.lineage.map(|(_, _, lineage)| lineage);
            }
            JournalRecord::Claim(claim) if claim.base.is_some() => self.durable = None,
            JournalRecord::Hold(hold) => drop(self.holds.insert(hold.name.clone())),
            JournalRecord::Unhold { name } => drop(self.holds.remove(name)),
            _ => {}
        }
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

    fn note(&mut self, note: Note, before: (Option<Lock>, Option<PlanHash>), members: &[Member]) {
        let (in_force, locked) = {
            let ownership = self.ownership(members);
            (ownership.in_force(), ownership.lock().is_some())
        };
        match note {
            Note::Claim { plan, generation, retired, inherits } if in_force == Some(plan) => {
                if !retired {
                    self.followed_by(plan, generation);
                }
                self.inherits |= inherits;
                // The unit goes on with the plan that was drained: the cut was not its end.
                self.cut.take_if(|(drained, _)| *drained == plan && !locked);
            }
            Note::Cut(cut) => {
                let (Some(lock), Some(plan)) = before else { return };
                if ends(&lock, &cut) {
                    self.cut = Some((plan, cut.pointer));
                    self.inherits = false;
                }
            }
            // All that is left of the Claim where a journal was trimmed.
            Note::Renewal { plan, generation } => {
                self.followed_by(plan, generation);
                self.inherits = false;
            }
            Note::Claim { .. } | Note::Nothing => {}
        }
    }

    fn followed_by(&mut self, plan: PlanHash, generation: Generation) {
        let highest = self.followed.entry(plan).or_insert(generation);
        *highest = generation.max(*highest);
    }

    /// The state at the end of the drain of a plan.
    pub fn cut_of(&self, plan: PlanHash) -> Option<&SnapshotPointer> {
        self.cut.as_ref().filter(|(drained, _)| *drained == plan).map(|(_, pointer)| pointer)
    }

    /// True when nobody needs any more what stood here, or elsewhere, before the change to this plan.
    pub fn is_settled(&self, members: &[Member], plan: PlanHash) -> bool {
        self.ownership(members).in_force() == Some(plan) && !self.inherits
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
            own: self.member.is_some() || self.retires,
            new_stage,
            ownership: self.ownership(members),
            read_to: self.read_to.filter(|_| self.ended),
            replayed: match self.member {
                Some(at) => members[at].replayed(),
                // A unit that is only kept closed has no state.
                None => self.retires.then(|| self.ownership.seq()),
            },
        }
    }
}

/// The state that this Cut names is that at the end of the drain.
fn ends(lock: &Lock, cut: &Cut) -> bool {
    lock.drain == cut.drain && lock.seq == cut.pointer.seq
}

impl Note {
    fn of(record: &JournalRecord) -> Self {
        match record {
            JournalRecord::Claim(claim) => Self::Claim {
                plan: claim.plan,
                generation: claim.owner.generation(),
                retired: claim.retired,
                inherits: claim.heritage.is_some(),
            },
            JournalRecord::Commit(commit) => match &commit.renewal {
                Some(renewal) => {
                    let generation = renewal.claim.owner.generation();
                    Self::Renewal { plan: renewal.claim.plan, generation }
                }
                None => Self::Nothing,
            },
            JournalRecord::Cut(cut) => Self::Cut(cut.clone()),
            _ => Self::Nothing,
        }
    }
}

/// The plan that was drained before this one: of all others that were in force, the one of the highest generation.
pub fn plan_before(journals: &[Journal], mine: PlanHash) -> Option<PlanHash> {
    let all = journals.iter().flat_map(|journal| &journal.followed);
    all.filter(|(plan, _)| **plan != mine).max_by_key(|(_, generation)| **generation).map(|(plan, _)| *plan)
}

/// Stages of the plans that Claims of other plans name.
pub fn stages_of_others(journals: &[Journal], mine: PlanHash) -> BTreeSet<Arc<str>> {
    let plans = journals.iter().flat_map(|journal| &journal.plans);
    plans.filter(|(plan, _)| **plan != mine).flat_map(|(_, stages)| stages.iter().cloned()).collect()
}

/// True when no restore of any unit would read a lineage before this one: all have claimed it, hold nothing back, and have
/// a durable snapshot of it, or no commit at all, or no state that counts.
pub fn all_left(journals: &[Journal], members: &[Member], lineage: Lineage) -> bool {
    journals.iter().all(|journal| {
        let claimed = journal.lineage.is_some_and(|(_, _, claimed)| claimed == lineage);
        let ownership = journal.ownership(members);
        let empty = ownership.seq().0 == 0 || ownership.is_retired();
        claimed
            && journal.holds.is_empty()
            && !journal.progress.may_be_undone()
            && (empty || journal.durable == Some(lineage))
    })
}

/// True while a unit somewhere still processes again what a rollback gave it, or has not even begun: nobody reads on
/// meanwhile, so that everything behind it comes after everything that is suppressed.
pub fn is_reprocessed_elsewhere(journals: &[Journal], members: &[Member], rewind: Option<&Rewind>) -> bool {
    journals.iter().any(|journal| {
        journal.progress.is_reprocessing()
            || rewind.is_some_and(|rewind| rewind.is_open(journal.ownership(members)))
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use pipeline::record::NewRecord;
    use protocol::commit::cut_record;
    use protocol::identity::{DrainId, Incarnation, Owner, PlacementHash, Seq, WorkerIndex, Writer};
    use protocol::journal::record::{Base, Claim, Commit, Hold, Released, Renewal};
    use protocol::schedule::OutputHash;
    use protocol::snapshot::SnapshotPointer;

    fn claim(lineage: u32) -> Claim {
        let writer = Writer { generation: Generation(lineage), worker: WorkerIndex(0) };
        Claim {
            owner: Owner { writer, incarnation: Incarnation(1) },
            plan: PlanHash([lineage as u8; 16]),
            placement: PlacementHash(1),
            semantics: 1,
            lineage: Lineage(lineage),
            resume: None,
            retired: false,
            base: None,
            reprocess: None,
            rollback_until_ms: None,
            heritage: None,
            secrets: None,
            inputs: Vec::new(),
            stages: Vec::new(),
        }
    }

    fn commit(lineage: u32, seq: u64, holds: Option<Vec<Hold>>) -> JournalRecord {
        let claim = claim(lineage);
        JournalRecord::Commit(Box::new(Commit {
            owner: claim.owner,
            seq: Seq(seq),
            clock_ms: 0,
            positions: Vec::new(),
            schedule: Vec::new(),
            watermarks: Vec::new(),
            outputs: OutputHash::default().digest(),
            snapshot: holds.is_some().then(|| SnapshotPointer::to("x", b"", Seq(seq - 1))),
            renewal: holds.map(|holds| Renewal { claim, holds }),
            sinks: Vec::new(),
        }))
    }

    fn claimed(lineage: u32) -> JournalRecord {
        JournalRecord::Claim(Box::new(claim(lineage)))
    }

    fn hold() -> Hold {
        Hold { name: "h".into(), generation: Generation(1), until_ms: 0 }
    }

    fn left(records: &[JournalRecord]) -> bool {
        let mut batch = RecordBatch::new();
        for (offset, record) in (0..).zip(records) {
            let value = record.encode();
            batch.push(NewRecord { offset, value: Some(&value), ..NewRecord::default() });
        }
        let mut journal = Journal::new(None);
        journal.read(&batch, &mut [], "s").unwrap();
        all_left(&[journal], &[], Lineage(2))
    }

    #[test]
    fn a_lineage_is_left_when_the_newest_durable_state_has_not_read_it() {
        let old = [claimed(1), commit(1, 1, None), commit(1, 2, Some(Vec::new()))];
        let with = |more: &[JournalRecord]| left(&[&old, more].concat());
        assert!(!left(&old));
        assert!(!with(&[claimed(2)]), "the state is still of the old one");
        assert!(!with(&[claimed(2), commit(2, 3, None)]), "it is not durable");
        assert!(with(&[claimed(2), commit(2, 3, None), commit(2, 4, Some(Vec::new()))]));
    }

    #[test]
    fn a_cut_that_comes_behind_the_next_claim_leaves_nothing() {
        let owner = claim(1).owner;
        let drain = DrainId(7);
        let released = JournalRecord::Released(Released { owner, seq: Seq(1), drain: Some(drain) });
        let cut = cut_record(owner, drain, SnapshotPointer::to("x", b"", Seq(1)));
        let old = [claimed(1), commit(1, 1, None), released];
        let with = |more: &[JournalRecord]| left(&[&old, more].concat());
        assert!(!with(&[cut.clone(), claimed(2)]), "the state is still of the old lineage");
        assert!(!with(&[claimed(2), cut]), "and so it is when the cut comes late");
    }

    #[test]
    fn a_journal_without_commits_needs_nothing_once_it_is_claimed() {
        assert!(!left(&[]));
        assert!(!left(&[claimed(1)]));
        assert!(left(&[claimed(2)]));
    }

    #[test]
    fn a_hold_and_a_base_keep_older_lineages() {
        let durable = || commit(2, 2, Some(Vec::new()));
        let start = [claimed(2), commit(2, 1, None)];
        let with = |more: &[JournalRecord]| left(&[&start, more].concat());
        assert!(with(&[durable()]));
        assert!(!with(&[JournalRecord::Hold(hold()), durable()]));
        assert!(!with(&[commit(2, 2, Some(vec![hold()]))]), "a renewal repeats open holds");
        assert!(with(&[JournalRecord::Hold(hold()), JournalRecord::Unhold { name: "h".into() }, durable()]));
        let base = Base { pointer: None, through: Seq(2), undone: Generation(2) };
        let rolled_back = JournalRecord::Claim(Box::new(Claim { base: Some(base), ..claim(2) }));
        assert!(!with(&[durable(), rolled_back]));
    }
}
