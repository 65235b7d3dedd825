//! Who may write a unit: the small fold over a journal that *Going live* decides on.
//!
//! It keeps claims, releases and the drain lock; what is needed to rebuild state is in [`super::view`]. Order is log
//! order, counted as records are applied.

use super::record::{Claim, JournalRecord};
use crate::identity::{DrainId, Generation, Owner, PlacementHash, Seq, Writer};
use pipeline::plan::{PlanHash, SecretsHash};

/// The part of a record that decides ownership.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Head {
    /// A Claim.
    Claim(ClaimHead),
    /// A Commit, with the Claim that it renews.
    Commit {
        /// Who.
        owner: Owner,
        /// Its number.
        seq: Seq,
        /// Renewed claim.
        renewal: Option<ClaimHead>,
    },
    /// A release.
    Released {
        /// Who.
        owner: Owner,
        /// Its last commit.
        seq: Seq,
        /// Drained.
        drain: Option<DrainId>,
    },
    /// A cut.
    Cut {
        /// Of which drain.
        drain: DrainId,
        /// State at which seq.
        seq: Seq,
    },
    /// Nothing to do with ownership.
    Other,
}

/// The part of a Claim that decides ownership.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClaimHead {
    /// Who claims.
    pub owner: Owner,
    /// Its plan.
    pub plan: PlanHash,
    /// Its placement.
    pub placement: PlacementHash,
    /// The drain that it ends.
    pub resume: Option<DrainId>,
    /// Its plan does not have the stage.
    pub retired: bool,
    /// The Secrets that its commits are made with.
    pub secrets: Option<SecretsHash>,
}

impl From<&Claim> for ClaimHead {
    fn from(claim: &Claim) -> Self {
        Self {
            owner: claim.owner,
            plan: claim.plan,
            placement: claim.placement,
            resume: claim.resume,
            retired: claim.retired,
            secrets: claim.secrets,
        }
    }
}

impl From<&JournalRecord> for Head {
    fn from(record: &JournalRecord) -> Self {
        match record {
            JournalRecord::Claim(claim) => Self::Claim(ClaimHead::from(&**claim)),
            JournalRecord::Commit(commit) => Self::Commit {
                owner: commit.owner,
                seq: commit.seq,
                renewal: commit.renewal.as_ref().map(|renewal| ClaimHead::from(&renewal.claim)),
            },
            JournalRecord::Released(released) => {
                Self::Released { owner: released.owner, seq: released.seq, drain: released.drain }
            }
            JournalRecord::Cut(cut) => Self::Cut { drain: cut.drain, seq: cut.pointer.seq },
            JournalRecord::Hold(_) | JournalRecord::Unhold { .. } | JournalRecord::Reprocessed(_) => {
                Self::Other
            }
        }
    }
}

/// A drained unit: generations up to `generation` may claim it only when told to resume this drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lock {
    /// The drain.
    pub drain: DrainId,
    /// Who drained it.
    pub generation: Generation,
    /// The last commit.
    pub seq: Seq,
    /// The state is uploaded.
    pub cut: bool,
}

/// The journal shows something that the protocol excludes: two writers, or records lost in the middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the journal goes from commit {last} to commit {found}")]
pub struct SequenceBroken {
    /// The last commit.
    pub last: Seq,
    /// The one that came.
    pub found: Seq,
}

/// What a journal says of its owners. A fold in log order; see the module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ownership {
    touched: bool,
    /// The newest Claim of each generation, in log order; true when its generation has released behind it.
    claims: Vec<(ClaimHead, bool)>,
    in_force: Option<PlanHash>,
    before: Option<PlanHash>,
    /// The generation whose Claim put the plan in force and retired the unit.
    retired: Option<Generation>,
    lock: Option<Lock>,
    commit: Option<(Owner, Seq)>,
    writers: Vec<Writer>,
}

impl Ownership {
    /// Takes the next record.
    pub fn apply(&mut self, head: &Head) -> Result<(), SequenceBroken> {
        self.touched = true;
        match *head {
            Head::Claim(claim) => self.claim(claim),
            Head::Commit { owner, seq, renewal } => {
                if let Some((_, last)) = self.commit
                    && seq != last.next()
                {
                    return Err(SequenceBroken { last, found: seq });
                }
                self.wrote(owner.writer);
                self.commit = Some((owner, seq));
                self.lock = None;
                if let Some(claim) = renewal {
                    self.claim(claim);
                }
            }
            Head::Released { owner, seq, drain } => self.released(owner, seq, drain),
            Head::Cut { drain, seq } => {
                if let Some(lock) = &mut self.lock
                    && lock.drain == drain
                    && lock.seq == seq
                {
                    lock.cut = true;
                }
            }
            Head::Other => {}
        }
        Ok(())
    }

    fn claim(&mut self, claim: ClaimHead) {
        self.wrote(claim.owner.writer);
        self.claims.retain(|(old, _)| old.owner.generation() != claim.owner.generation());
        self.claims.push((claim, false));
        let lifted = self.lock.is_some_and(|lock| {
            claim.owner.generation() > lock.generation || claim.resume == Some(lock.drain)
        });
        // Nobody works on a retired unit: whoever comes later and has the stage again needs no drain.
        let vacant = self.retired.is_some_and(|by| claim.owner.generation() >= by);
        if lifted || vacant || self.in_force.is_none() {
            self.retired = claim.retired.then_some(claim.owner.generation());
            if self.in_force != Some(claim.plan) {
                self.before = self.in_force;
            }
            self.in_force = Some(claim.plan);
            self.lock = None;
        }
    }

    fn released(&mut self, owner: Owner, seq: Seq, drain: Option<DrainId>) {
        self.wrote(owner.writer);
        let generation = owner.generation();
        let of_it = self.claims.iter_mut().filter(|(claim, _)| claim.owner.generation() == generation);
        of_it.for_each(|(_, released)| *released = true);
        // Only an owner that follows the plan in force can drain it, and only at the journal's last commit.
        let owns = self.claim_of(generation).is_some_and(|claim| self.in_force == Some(claim.plan));
        if let Some(drain) = drain
            && owns
            && seq == self.seq()
        {
            self.lock = Some(Lock { drain, generation, seq, cut: false });
        }
    }

    fn wrote(&mut self, writer: Writer) {
        if let Err(at) = self.writers.binary_search(&writer) {
            self.writers.insert(at, writer);
        }
    }

    /// True before the first record.
    pub fn is_empty(&self) -> bool {
        !self.touched
    }

    /// The last commit, 0 when there is none.
    pub fn seq(&self) -> Seq {
        self.commit.map_or(Seq(0), |(_, seq)| seq)
    }

    /// Who wrote the last commit.
    pub fn last_committer(&self) -> Option<Owner> {
        self.commit.map(|(owner, _)| owner)
    }

    /// The highest generation that has written here, 0 when none has.
    pub fn highest_generation(&self) -> Generation {
        self.writers.last().map(|writer| writer.generation).unwrap_or_default()
    }

    /// The newest Claim of the highest generation.
    pub fn highest_claim(&self) -> Option<&ClaimHead> {
        self.claims.iter().map(|(claim, _)| claim).max_by_key(|claim| claim.owner.generation())
    }

    /// The newest Claim in log order.
    pub fn newest_claim(&self) -> Option<&ClaimHead> {
        self.claims.last().map(|(claim, _)| claim)
    }

    /// The newest Claim of a generation.
    pub fn claim_of(&self, generation: Generation) -> Option<&ClaimHead> {
        self.claims.iter().map(|(claim, _)| claim).find(|claim| claim.owner.generation() == generation)
    }

    /// The newest Claim below a generation whose owner has not released since: the one worth waiting for.
    pub fn unreleased_below(&self, generation: Generation) -> Option<&ClaimHead> {
        let (claim, released) =
            self.claims.iter().rev().find(|(claim, _)| claim.owner.generation() < generation)?;
        (!released).then_some(claim)
    }

    /// The drain that holds this unit, if one does.
    ///
    /// A Claim that neither resumes it nor is of a higher generation does not lift it: such a claimant finds the lock at
    /// step 5 and gives way.
    pub fn lock(&self) -> Option<&Lock> {
        self.lock.as_ref()
    }

    /// The plan that the last rightful owners followed; none before the first Claim.
    pub fn in_force(&self) -> Option<PlanHash> {
        self.in_force
    }

    /// True when an owner with this plan may take over: nobody was here, the last owners followed the same plan, or
    /// they are drained, or the unit is retired.
    pub fn open_to(&self, plan: PlanHash) -> bool {
        self.in_force.is_none_or(|in_force| in_force == plan) || self.lock.is_some() || self.is_retired()
    }

    /// True when the plan in force does not have the stage: the state that stands here is of the past.
    pub fn is_retired(&self) -> bool {
        self.retired.is_some()
    }

    /// The Secrets that owners with this plan have to have, because others work here with them or may have to be
    /// replayed; none when the unit is drained, retired, or was never claimed with this plan.
    pub fn secrets_in_use(&self, plan: PlanHash) -> Option<SecretsHash> {
        let claim = self.highest_claim().filter(|claim| claim.plan == plan && !claim.retired)?;
        if self.lock.is_some() { None } else { claim.secrets }
    }

    /// True when owners with another plan are or were here.
    pub fn knows_other_than(&self, plan: PlanHash) -> bool {
        [self.in_force, self.before].into_iter().flatten().any(|known| known != plan)
    }

    /// True when nobody has ever been live here: there is no Claim but those of this plan, and no commit.
    pub fn untouched_but_by(&self, plan: PlanHash) -> bool {
        !self.knows_other_than(plan) && self.commit.is_none()
    }

    /// Every transactional id that the journal names, sorted.
    pub fn writers(&self) -> &[Writer] {
        &self.writers
    }
}
