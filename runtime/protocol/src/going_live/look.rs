//! The questions that *Going live* asks of the journals. Each is a pure function of the facts.

use super::promotion::{Comeback, Promotion, back_off_ms};
use super::{Action, Attempt, ClaimOrder, JournalFacts, Me, Slot};
use crate::defences::Defences;
use crate::identity::{DrainId, Writer};
use crate::journal::Ownership;

/// Everything a decision looks at.
pub(super) struct Look<'a> {
    pub me: &'a Me,
    pub defences: &'a Defences,
    pub now_ms: u64,
    pub journals: &'a [JournalFacts<'a>],
}

/// Whose Claim is the newest in my journals.
pub(super) enum Newest {
    Mine,
    /// Another life of my generation claimed after me.
    Twin,
    /// A lower generation claimed after me, and will read my Claim; or my Claim is not there: claim again.
    Another,
}

impl Look<'_> {
    fn journal(&self, slot: Slot) -> &Ownership {
        self.journals[slot as usize].ownership
    }

    pub fn own_slots(&self) -> Vec<Slot> {
        let all = 0..self.journals.len() as Slot;
        all.filter(|slot| self.journals[*slot as usize].own).collect()
    }

    /// Collision, or a higher generation that leaves me nothing.
    pub fn end_of_generation(&self) -> Option<Action> {
        let mine = self.me.owner.generation();
        let collides = self
            .journals
            .iter()
            .filter_map(|journal| journal.ownership.claim_of(mine))
            .any(|claim| claim.plan != self.me.plan || claim.placement != self.me.placement);
        if collides {
            return Some(Action::GenerationCollision);
        }
        if !self.defences.superseded {
            return None;
        }
        let other_plan = self
            .journals
            .iter()
            .filter_map(|journal| journal.ownership.highest_claim())
            .any(|claim| claim.owner.generation() > mine && claim.plan != self.me.plan);
        let nothing_left = self.own_slots().iter().all(|slot| self.superseded_at(*slot));
        (other_plan || nothing_left).then_some(Action::Superseded)
    }

    fn superseded_at(&self, slot: Slot) -> bool {
        self.defences.superseded && self.journal(slot).highest_generation() > self.me.owner.generation()
    }

    pub fn drop_superseded(&self, orders: &mut Vec<ClaimOrder>) {
        orders.retain(|order| !self.superseded_at(order.slot));
    }

    /// Another life of my generation claimed while I was gone.
    pub fn twin_back_off(&self) -> Option<u64> {
        let Comeback::Lost { previous, attempt, since_ms } = self.me.comeback else { return None };
        let mine = self.me.owner;
        let newest = self
            .own_slots()
            .into_iter()
            .filter_map(|slot| self.journals[slot as usize].ownership.newest_claim());
        let twin = newest
            .filter(|claim| claim.owner.generation() == mine.generation())
            .any(|claim| claim.owner.incarnation != previous && claim.owner.incarnation != mine.incarnation);
        twin.then(|| since_ms.saturating_add(back_off_ms(attempt)))
    }

    pub fn back_off_end(&self) -> u64 {
        let attempt = match self.me.comeback {
            Comeback::Fresh => 0,
            Comeback::Lost { attempt, .. } => attempt,
        };
        self.now_ms.saturating_add(back_off_ms(attempt))
    }

    pub fn promoted(&self, told: bool) -> bool {
        let mine = self.me.owner.generation();
        told || self.me.promotion == Promotion::Myself
            || self.journals.iter().any(|journal| journal.ownership.claim_of(mine).is_some())
    }

    /// True when no journal of the pipeline is still worked on with another plan. Where another plan was, a journal that
    /// its owners never reached is not drained either: the unit has not consumed what others wrote for it. Only a stage
    /// that the other plan does not have is.
    pub fn older_plans_drained(&self) -> bool {
        if !self.defences.drained_everywhere {
            return true;
        }
        let plan = self.me.plan;
        let changed = self.journals.iter().any(|journal| journal.ownership.knows_other_than(plan));
        self.journals.iter().all(|journal| {
            let untouched = journal.ownership.untouched_but_by(plan);
            journal.ownership.open_to(plan) && (!untouched || !changed || journal.new_stage)
        })
    }

    /// Own journals that may be claimed, each with the drain that its Claim ends; and a drain that holds one back.
    pub fn claimable(&self, resume: Option<DrainId>) -> (Vec<ClaimOrder>, Option<DrainId>) {
        let mut held = None;
        let mut orders = Vec::new();
        for slot in self.own_slots().into_iter().filter(|slot| !self.superseded_at(*slot)) {
            match self.locked(slot) {
                Some(drain) if resume != Some(drain) => held = Some(drain),
                lock => orders.push(ClaimOrder { slot, resume: lock }),
            }
        }
        (orders, held)
    }

    /// Nothing is left to be worked on: journals of stages of the past alone are no reason to go live. Who went live with
    /// them while a drain holds the rest would not come back to claim it.
    pub fn only_retired(&self, orders: &[ClaimOrder]) -> bool {
        orders.iter().all(|order| self.journal(order.slot).is_retired())
    }

    /// See [`Attempt::everywhere`].
    pub fn has_to_look_everywhere(&self, orders: &[ClaimOrder]) -> bool {
        let plan = Some(self.me.plan);
        orders.iter().any(|order| order.resume.is_some() || self.journal(order.slot).in_force() != plan)
            || self.journals.iter().any(|journal| ![None, plan].contains(&journal.ownership.in_force()))
    }

    fn locked(&self, slot: Slot) -> Option<DrainId> {
        let lock = self.journal(slot).lock()?;
        let holds = self.defences.released_lock && lock.generation >= self.me.owner.generation();
        holds.then_some(lock.drain)
    }

    /// Journals that a drain locked between my decision to claim and my Claim are not mine.
    pub fn drop_locked(&self, orders: &mut Vec<ClaimOrder>) -> Option<DrainId> {
        let held = orders.iter().find_map(|order| self.locked(order.slot));
        orders.retain(|order| self.locked(order.slot).is_none());
        held
    }

    pub fn somebody_to_wait_for(&self, orders: &[ClaimOrder]) -> bool {
        let mine = self.me.owner.generation();
        orders.iter().any(|order| self.journal(order.slot).unreleased_below(mine).is_some())
    }

    /// Ids that may write my journals and are neither mine nor fenced yet, lowest first.
    pub fn to_be_fenced(&self, attempt: &Attempt) -> Vec<Writer> {
        if !self.defences.fence {
            return Vec::new();
        }
        let me = self.me.owner.writer;
        let named = attempt.orders.iter().flat_map(|order| self.journal(order.slot).writers()).copied();
        let mut ids: Vec<Writer> = self
            .me
            .prior
            .iter()
            .copied()
            .chain(named)
            .filter(|id| *id != me && id.generation <= me.generation)
            .filter(|id| self.defences.own_generation_fence || id.generation != me.generation)
            .filter(|id| attempt.fenced.binary_search(id).is_err())
            .collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// True when every journal was read up to its measured end.
    pub fn read_to(&self, ends: &[(Slot, i64)]) -> bool {
        !self.defences.read_to_high_watermark
            || ends.iter().all(|(slot, end)| {
                self.journals[*slot as usize].read_to.is_some_and(|read_to| read_to >= *end)
            })
    }

    pub fn newest_claims(&self, orders: &[ClaimOrder]) -> Newest {
        if !self.defences.own_claim_check || !self.defences.claim {
            return Newest::Mine;
        }
        let mine = self.me.owner;
        let mut newest = Newest::Mine;
        for order in orders {
            match self.journal(order.slot).newest_claim() {
                Some(claim) if claim.owner == mine => {}
                Some(claim) if claim.owner.generation() == mine.generation() => return Newest::Twin,
                _ => newest = Newest::Another,
            }
        }
        newest
    }

    pub fn all_replayed(&self, slots: &[Slot]) -> bool {
        slots.iter().filter(|slot| !self.superseded_at(**slot)).all(|slot| {
            let journal = &self.journals[*slot as usize];
            journal.replayed.is_some_and(|seq| seq == journal.ownership.seq())
        })
    }
}
