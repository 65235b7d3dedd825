//! One life of a worker on its way to live: the steps, and the grant at their end.

use super::look::{Look, Newest};
use super::{Action, ClaimOrder, Event, JournalFacts, Lost, Me, Slot, WaitingFor};
use crate::defences::Defences;
use crate::identity::{DrainId, Owner, Writer};

/// What one attempt to go live is about; made in step 2, and narrowed as others turn out to be ahead.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Attempt {
    /// Own journals to be claimed, sorted.
    pub orders: Vec<ClaimOrder>,
    /// The last look takes in every journal of the pipeline, not only those claimed: the attempt changes the plan, ends a
    /// drain, or is the first on a journal. Else a change of plan cannot be under way elsewhere, for it would have to be
    /// under way here.
    pub everywhere: bool,
    /// Ids fenced so far, sorted.
    pub fenced: Vec<Writer>,
}

/// Where a life is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Following; nothing is written.
    Standby,
    /// The own producer is being opened.
    Initialising(Attempt),
    /// The own producer is ready; the Claims are being written.
    Claiming(Attempt),
    /// Claimed; the older owner has until this time to let go.
    Releasing(Attempt, u64),
    /// These ids are being fenced.
    Fencing(Attempt, Vec<Writer>),
    /// Fenced; the ends of these journals are being measured.
    Measuring(Attempt, Vec<Slot>),
    /// Reading up to these ends, then the last look.
    Reading(Attempt, Vec<(Slot, i64)>),
    /// The grant was handed out.
    Granted,
    /// Over.
    Lost(Lost),
}

/// The proof that a life went through claim, fence and read for these journals. Made by [`GoingLive`] only, once.
#[derive(Debug, PartialEq, Eq)]
pub struct LiveGrant {
    owner: Owner,
    slots: Vec<Slot>,
}

impl LiveGrant {
    /// Who is live.
    pub fn owner(&self) -> Owner {
        self.owner
    }

    /// For which journals, sorted.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }
}

/// One life of a worker on its way to live.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GoingLive {
    promoted: bool,
    resume: Option<DrainId>,
    caught_up: bool,
    phase: Phase,
}

impl Default for GoingLive {
    fn default() -> Self {
        Self::new()
    }
}

impl GoingLive {
    /// A new life, standing by.
    pub fn new() -> Self {
        Self { promoted: false, resume: None, caught_up: false, phase: Phase::Standby }
    }

    /// Where it is.
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    /// True once the replay of all own units has met the end of their journals.
    pub fn caught_up(&self) -> bool {
        self.caught_up
    }

    /// Takes what happened. Events that do not belong to the phase are passed over: they are late.
    pub fn observe(&mut self, me: &Me, event: Event) {
        self.phase = match (event, std::mem::replace(&mut self.phase, Phase::Standby)) {
            (Event::Promoted(generation), phase) => {
                self.promoted |= generation == me.generation();
                phase
            }
            (Event::Resume(drain), phase) => {
                self.resume = Some(drain);
                phase
            }
            (_, phase @ (Phase::Granted | Phase::Lost(_))) => phase,
            (Event::OwnIdFenced, _) => Phase::Lost(Lost::Fenced),
            (Event::CallFailed, _) => Phase::Lost(Lost::CallFailed),
            (Event::Initialised, Phase::Initialising(attempt)) => Phase::Claiming(attempt),
            (Event::Claimed { committed: false, .. }, Phase::Claiming(_)) => {
                Phase::Lost(Lost::ClaimNotCommitted)
            }
            (Event::Claimed { now_ms, .. }, Phase::Claiming(attempt)) => {
                Phase::Releasing(attempt, now_ms.saturating_add(me.release_wait_ms))
            }
            (Event::Fenced, Phase::Fencing(mut attempt, mut fencing)) => {
                attempt.fenced.append(&mut fencing);
                attempt.fenced.sort_unstable();
                let slots = Vec::new();
                Phase::Measuring(attempt, slots)
            }
            (Event::Ends(ends), Phase::Measuring(attempt, slots)) => {
                Phase::Reading(attempt, slots.into_iter().zip(ends).collect())
            }
            (Event::Initialised | Event::Claimed { .. } | Event::Fenced | Event::Ends(_), phase) => phase,
        };
    }

    /// Decides. `journals` holds every journal of the pipeline, each at its slot. Asking twice gives the same answer,
    /// except for the grant, which is given once.
    pub fn next(
        &mut self,
        me: &Me,
        defences: &Defences,
        now_ms: u64,
        journals: &[JournalFacts<'_>],
    ) -> Action {
        let look = Look { me, defences, now_ms, journals };
        let (phase, action) = match std::mem::replace(&mut self.phase, Phase::Standby) {
            Phase::Lost(why) => (Phase::Lost(why), Action::StartOver(why)),
            Phase::Granted => (Phase::Granted, Action::Follow(WaitingFor::HighWatermark)),
            phase => {
                if let Some(end) = look.end_of_generation() {
                    (phase, end)
                } else {
                    self.caught_up |= look.all_replayed(&look.own_slots());
                    self.step(&look, phase)
                }
            }
        };
        self.phase = phase;
        action
    }

    fn step(&self, look: &Look<'_>, phase: Phase) -> (Phase, Action) {
        match phase {
            Phase::Standby => self.standby(look),
            Phase::Initialising(attempt) => (Phase::Initialising(attempt), Action::Initialise),
            Phase::Claiming(attempt) if !look.defences.claim => fence(look, attempt),
            Phase::Claiming(attempt) => {
                let orders = attempt.orders.clone();
                (Phase::Claiming(attempt), Action::Claim(orders))
            }
            Phase::Releasing(attempt, until_ms) => releasing(look, attempt, until_ms),
            Phase::Fencing(attempt, fencing) => {
                let action = Action::Fence(fencing.clone());
                (Phase::Fencing(attempt, fencing), action)
            }
            Phase::Measuring(attempt, _) => measure(look, attempt),
            Phase::Reading(attempt, ends) => reading(look, attempt, ends),
            phase @ (Phase::Granted | Phase::Lost(_)) => (phase, Action::Follow(WaitingFor::HighWatermark)),
        }
    }

    /// Steps 1 and 2.
    fn standby(&self, look: &Look<'_>) -> (Phase, Action) {
        let wait = |why| (Phase::Standby, Action::Follow(why));
        if look.journals.iter().any(|journal| journal.read_to.is_none()) {
            return wait(WaitingFor::JournalEnd);
        }
        if let Some(until_ms) = look.twin_back_off() {
            return (Phase::Standby, Action::StandAside { until_ms });
        }
        if !look.promoted(self.promoted) {
            return wait(WaitingFor::Promotion);
        }
        if !look.older_plans_drained() {
            return wait(WaitingFor::Drain);
        }
        let (orders, held) = look.claimable(self.resume);
        match held {
            Some(drain) if look.only_retired(&orders) => return wait(WaitingFor::Resume(drain)),
            _ if orders.is_empty() => return (Phase::Standby, Action::Superseded),
            _ => {}
        }
        if !self.caught_up {
            return wait(WaitingFor::Replay);
        }
        let everywhere = look.has_to_look_everywhere(&orders);
        let attempt = Attempt { orders, everywhere, fenced: Vec::new() };
        (Phase::Initialising(attempt), Action::Initialise)
    }
}

/// Step 4, first half: the older owner may let go.
fn releasing(look: &Look<'_>, mut attempt: Attempt, until_ms: u64) -> (Phase, Action) {
    look.drop_superseded(&mut attempt.orders);
    if look.now_ms < until_ms && look.somebody_to_wait_for(&attempt.orders) {
        let action = Action::Follow(WaitingFor::Released { until_ms });
        return (Phase::Releasing(attempt, until_ms), action);
    }
    fence(look, attempt)
}

/// Step 4, second half; without an id to fence it goes straight on.
fn fence(look: &Look<'_>, attempt: Attempt) -> (Phase, Action) {
    let fencing = look.to_be_fenced(&attempt);
    if fencing.is_empty() {
        return measure(look, attempt);
    }
    let action = Action::Fence(fencing.clone());
    (Phase::Fencing(attempt, fencing), action)
}

/// Step 5, first half.
fn measure(look: &Look<'_>, attempt: Attempt) -> (Phase, Action) {
    let slots: Vec<Slot> = if attempt.everywhere {
        (0..look.journals.len() as Slot).collect()
    } else {
        attempt.orders.iter().map(|order| order.slot).collect()
    };
    let action = Action::MeasureEnds(slots.clone());
    (Phase::Measuring(attempt, slots), action)
}

/// Step 5, second half: the last look.
fn reading(look: &Look<'_>, mut attempt: Attempt, ends: Vec<(Slot, i64)>) -> (Phase, Action) {
    if !look.read_to(&ends) {
        return (Phase::Reading(attempt, ends), Action::Follow(WaitingFor::HighWatermark));
    }
    look.drop_superseded(&mut attempt.orders);
    if attempt.orders.is_empty() {
        return (Phase::Standby, Action::Superseded);
    }
    if !look.to_be_fenced(&attempt).is_empty() {
        return fence(look, attempt);
    }
    match look.newest_claims(&attempt.orders) {
        Newest::Mine => {}
        Newest::Twin => return (Phase::Standby, Action::StandAside { until_ms: look.back_off_end() }),
        Newest::Another => {
            // What was fenced before the new Claim may have come back before it.
            attempt.fenced.clear();
            return (Phase::Initialising(attempt), Action::Initialise);
        }
    }
    if !look.older_plans_drained() {
        return (Phase::Standby, Action::Follow(WaitingFor::Drain));
    }
    if let Some(drain) = look.drop_locked(&mut attempt.orders)
        && attempt.orders.is_empty()
    {
        return (Phase::Standby, Action::Follow(WaitingFor::Resume(drain)));
    }
    let slots: Vec<Slot> = attempt.orders.iter().map(|order| order.slot).collect();
    if !look.all_replayed(&slots) {
        return (Phase::Reading(attempt, ends), Action::Follow(WaitingFor::Replay));
    }
    (Phase::Granted, Action::Live(LiveGrant { owner: look.me.owner, slots }))
}
