//! Going live: the only way in.
//!
//! ```text
//!  Standby ─> Initialise ─> Claim ─> await Released ─> Fence ─> measure ends ─> read to them, look ─> Live
//!     ^          (own init)                              ^______ an id nobody fenced ______|
//!     └── lost, twin, drained, superseded: see [`Action`]
//! ```
//!
//! The order claim, fence, read is the whole safety argument: after the fence an older worker cannot commit with its
//! epoch; if it initialises again, that happens after the Claim is visible, and it reads before it works.
//!
//! [`GoingLive`] decides from [`JournalFacts`]; the worker reads, replays and executes the [`Action`]s.

mod look;
mod promotion;

pub use promotion::{Comeback, Promotion, back_off_ms, own_generation};

use crate::defences::Defences;
use crate::identity::{DrainId, Generation, Incarnation, Owner, PlacementHash, Seq, Writer};
use crate::journal::Ownership;
use pipeline::plan::PlanHash;

/// Index of a journal in the list that the worker passes to [`GoingLive::next`]; it never changes in one life.
pub type Slot = u32;

/// What a worker is; fixed for one life.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Me {
    /// Generation, worker and the incarnation of this life.
    pub owner: Owner,
    /// Hash of the plan that I run.
    pub plan: PlanHash,
    /// Hash of the placement of my generation.
    pub placement: PlacementHash,
    /// Who decides that my generation goes live.
    pub promotion: Promotion,
    /// Every id of earlier generations that may write my journals, as far back as the last fully live one.
    pub prior: Vec<Writer>,
    /// Why this life began.
    pub comeback: Comeback,
    /// How long to wait for `Released`: two commit intervals.
    pub release_wait_ms: u64,
}

impl Me {
    fn generation(&self) -> Generation {
        self.owner.generation()
    }
}

/// What is known of one journal at the moment of a decision.
#[derive(Clone, Copy, Debug)]
pub struct JournalFacts<'a> {
    /// It belongs to a unit that the placement gives to me; else it is one of the other journals of the pipeline.
    pub own: bool,
    /// Its fold as far as it was read.
    pub ownership: &'a Ownership,
    /// The position of the reader: everything committed below it was folded. The larger of the offset of an
    /// end-of-partition event and the last record's offset + 1; none before the first end-of-partition event.
    pub read_to: Option<i64>,
    /// The last commit that the unit's state has replayed; none while its snapshot is not loaded. Own journals only.
    pub replayed: Option<Seq>,
}

/// What the worker does next. It asks again after every event and after everything it read.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Read the journals, replay, keep standing by; nothing may be written.
    Follow(WaitingFor),
    /// Open the own producer and call its `init_transactions`; tell [`Event::Initialised`].
    Initialise,
    /// One transaction with a Claim in each of these journals; tell [`Event::Claimed`].
    Claim(Vec<ClaimOrder>),
    /// `init_transactions` for each of these ids, in parallel; tell [`Event::Fenced`].
    Fence(Vec<Writer>),
    /// Ask for the high watermarks (open transactions included) of these journals; tell [`Event::Ends`].
    MeasureEnds(Vec<Slot>),
    /// Live. Only who holds the grant may commit.
    Live(LiveGrant),
    /// A life of my own id is newer, or goes on: drop everything and begin a new life at this time.
    StandAside {
        /// When.
        until_ms: u64,
    },
    /// Drop producer and memory; begin a new life at once.
    StartOver(Lost),
    /// Nothing is left to do for this generation: stay in the process, not ready.
    Superseded,
    /// My generation number is taken by another plan or placement: never claim.
    GenerationCollision,
}

/// What a standby waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WaitingFor {
    /// The first end-of-partition event of every journal.
    JournalEnd,
    /// The replay of my units.
    Replay,
    /// The operator's `promote`.
    Promotion,
    /// Older plans are still running: every journal has to be drained.
    Drain,
    /// My units are drained: `resume`.
    Resume(DrainId),
    /// `Released` of the older owner, until the deadline.
    Released {
        /// The deadline.
        until_ms: u64,
    },
    /// The end of the journals as measured after the fence.
    HighWatermark,
}

/// One Claim to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClaimOrder {
    /// Where.
    pub slot: Slot,
    /// Which drain it ends.
    pub resume: Option<DrainId>,
}

/// Why a life is over before it went live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lost {
    /// An older or newer life of my id has taken it.
    Fenced,
    /// The outcome of the Claim is not known, or it was aborted.
    ClaimNotCommitted,
    /// A call failed, so that what the broker did is not known.
    CallFailed,
}

/// What happened. Times are milliseconds of one monotonic clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The operator promoted this generation.
    Promoted(Generation),
    /// The operator resumes a drain.
    Resume(DrainId),
    /// The own `init_transactions` succeeded.
    Initialised,
    /// The transaction of the Claims ended; true when it committed and every request was answered in time.
    Claimed {
        /// Committed for certain.
        committed: bool,
        /// When.
        now_ms: u64,
    },
    /// All ids asked for are fenced.
    Fenced,
    /// High watermarks, in the order asked.
    Ends(Vec<i64>),
    /// My own id was fenced.
    OwnIdFenced,
    /// Any call failed with an unknown result.
    CallFailed,
}

/// Where a life is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Following; not claimed.
    Standby,
    /// About to initialise and claim.
    Initialising(Vec<ClaimOrder>),
    /// The own producer is ready; the Claims are being written.
    Claiming(Vec<ClaimOrder>),
    /// Claimed; giving the older owner time to let go.
    Releasing {
        /// Own journals claimed.
        orders: Vec<ClaimOrder>,
        /// Until when.
        until_ms: u64,
    },
    /// These ids are being fenced.
    Fencing {
        /// Own journals claimed.
        orders: Vec<ClaimOrder>,
        /// Ids fenced before.
        fenced: Vec<Writer>,
        /// Ids being fenced.
        fencing: Vec<Writer>,
    },
    /// Fenced; the ends are being measured.
    Measuring {
        /// Own journals claimed.
        orders: Vec<ClaimOrder>,
        /// Ids fenced.
        fenced: Vec<Writer>,
    },
    /// Reading up to the ends, then the last look.
    Reading {
        /// Own journals claimed.
        orders: Vec<ClaimOrder>,
        /// Ids fenced.
        fenced: Vec<Writer>,
        /// Journal and its high watermark.
        ends: Vec<(Slot, i64)>,
    },
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
        match (event, &mut self.phase) {
            (Event::Promoted(generation), _) => self.promoted |= generation == me.generation(),
            (Event::Resume(drain), _) => self.resume = Some(drain),
            (_, Phase::Granted | Phase::Lost(_)) => {}
            (Event::OwnIdFenced, _) => self.phase = Phase::Lost(Lost::Fenced),
            (Event::CallFailed, _) => self.phase = Phase::Lost(Lost::CallFailed),
            (Event::Initialised, Phase::Initialising(orders)) => {
                self.phase = Phase::Claiming(std::mem::take(orders));
            }
            (Event::Claimed { committed: false, .. }, Phase::Claiming(_)) => {
                self.phase = Phase::Lost(Lost::ClaimNotCommitted);
            }
            (Event::Claimed { now_ms, .. }, Phase::Claiming(orders)) => {
                let until_ms = now_ms.saturating_add(me.release_wait_ms);
                self.phase = Phase::Releasing { orders: std::mem::take(orders), until_ms };
            }
            (Event::Fenced, Phase::Fencing { orders, fenced, fencing }) => {
                let mut fenced = std::mem::take(fenced);
                fenced.append(fencing);
                fenced.sort_unstable();
                self.phase = Phase::Measuring { orders: std::mem::take(orders), fenced };
            }
            (Event::Ends(ends), Phase::Measuring { orders, fenced }) => {
                self.phase = Phase::Reading {
                    orders: std::mem::take(orders),
                    fenced: std::mem::take(fenced),
                    ends: (0..).zip(ends).collect(),
                };
            }
            (Event::Initialised | Event::Claimed { .. } | Event::Fenced | Event::Ends(_), _) => {}
        }
    }

    /// Decides. `journals` holds every journal of the pipeline, each at its slot; asking twice gives the same answer,
    /// except for the grant, which is given once.
    pub fn next(
        &mut self,
        me: &Me,
        defences: &Defences,
        now_ms: u64,
        journals: &[JournalFacts<'_>],
    ) -> Action {
        let look = look::Look { me, defences, now_ms, journals };
        match &self.phase {
            Phase::Lost(why) => return Action::StartOver(*why),
            Phase::Granted => return Action::Follow(WaitingFor::HighWatermark),
            _ => {}
        }
        if let Some(end) = look.end_of_generation() {
            return end;
        }
        self.caught_up |= look.all_replayed(&look.own_slots());
        match std::mem::replace(&mut self.phase, Phase::Standby) {
            Phase::Standby => self.standby(&look),
            Phase::Initialising(orders) => {
                self.phase = Phase::Initialising(orders);
                Action::Initialise
            }
            Phase::Claiming(orders) => {
                let action = Action::Claim(orders.clone());
                self.phase = Phase::Claiming(orders);
                action
            }
            Phase::Releasing { orders, until_ms } => self.releasing(&look, orders, until_ms),
            Phase::Fencing { orders, fenced, fencing } => {
                let action = Action::Fence(fencing.clone());
                self.phase = Phase::Fencing { orders, fenced, fencing };
                action
            }
            Phase::Measuring { orders, fenced } => {
                self.phase = Phase::Measuring { orders, fenced };
                Action::MeasureEnds((0..journals.len() as Slot).collect())
            }
            Phase::Reading { orders, fenced, ends } => self.reading(&look, orders, fenced, ends),
            other @ (Phase::Granted | Phase::Lost(_)) => {
                self.phase = other;
                Action::Follow(WaitingFor::HighWatermark)
            }
        }
    }

    /// Steps 1 and 2.
    fn standby(&mut self, look: &look::Look<'_>) -> Action {
        if look.journals.iter().any(|journal| journal.read_to.is_none()) {
            return Action::Follow(WaitingFor::JournalEnd);
        }
        if let Some(until_ms) = look.twin_back_off() {
            return Action::StandAside { until_ms };
        }
        if !look.promoted(self.promoted) {
            return Action::Follow(WaitingFor::Promotion);
        }
        if !look.older_plans_drained() {
            return Action::Follow(WaitingFor::Drain);
        }
        let own = look.own_slots();
        let (free, locked) = look.claimable(&own, self.resume);
        let Some(orders) = free else {
            return locked.map_or(Action::Superseded, |drain| Action::Follow(WaitingFor::Resume(drain)));
        };
        if !self.caught_up {
            return Action::Follow(WaitingFor::Replay);
        }
        self.phase = Phase::Initialising(orders);
        Action::Initialise
    }

    /// Step 4, first half.
    fn releasing(&mut self, look: &look::Look<'_>, orders: Vec<ClaimOrder>, until_ms: u64) -> Action {
        let orders = look.not_superseded(orders);
        if orders.is_empty() {
            return Action::Superseded;
        }
        if look.now_ms < until_ms && look.somebody_to_wait_for(&orders) {
            self.phase = Phase::Releasing { orders, until_ms };
            return Action::Follow(WaitingFor::Released { until_ms });
        }
        self.fence(look, orders, Vec::new())
    }

    /// Step 4, second half; without an id to fence it goes straight on.
    fn fence(&mut self, look: &look::Look<'_>, orders: Vec<ClaimOrder>, fenced: Vec<Writer>) -> Action {
        let fencing = look.to_be_fenced(&orders, &fenced);
        if fencing.is_empty() {
            self.phase = Phase::Measuring { orders, fenced };
            return Action::MeasureEnds((0..look.journals.len() as Slot).collect());
        }
        let action = Action::Fence(fencing.clone());
        self.phase = Phase::Fencing { orders, fenced, fencing };
        action
    }

    /// Step 5: the last look.
    fn reading(
        &mut self,
        look: &look::Look<'_>,
        orders: Vec<ClaimOrder>,
        fenced: Vec<Writer>,
        ends: Vec<(Slot, i64)>,
    ) -> Action {
        if !look.read_to(&ends) {
            self.phase = Phase::Reading { orders, fenced, ends };
            return Action::Follow(WaitingFor::HighWatermark);
        }
        let orders = look.not_superseded(orders);
        if orders.is_empty() {
            return Action::Superseded;
        }
        if !look.to_be_fenced(&orders, &fenced).is_empty() {
            return self.fence(look, orders, fenced);
        }
        match look.newest_claims(&orders) {
            look::Newest::Mine => {}
            look::Newest::Twin => return Action::StandAside { until_ms: look.back_off_end() },
            look::Newest::Older => {
                self.phase = Phase::Initialising(orders);
                return Action::Initialise;
            }
        }
        if !look.older_plans_drained() {
            self.phase = Phase::Standby;
            return Action::Follow(WaitingFor::Drain);
        }
        let (orders, locked) = look.not_locked(orders);
        if let (true, Some(drain)) = (orders.is_empty(), locked) {
            self.phase = Phase::Standby;
            return Action::Follow(WaitingFor::Resume(drain));
        }
        let slots: Vec<Slot> = orders.iter().map(|order| order.slot).collect();
        if !look.all_replayed(&slots) {
            self.phase = Phase::Reading { orders, fenced, ends };
            return Action::Follow(WaitingFor::Replay);
        }
        self.phase = Phase::Granted;
        Action::Live(LiveGrant { owner: look.me.owner, slots })
    }
}

/// Two lives of one id differ in this only.
impl Me {
    /// The same worker in its next life.
    #[must_use]
    pub fn reborn(&self, incarnation: Incarnation, comeback: Comeback) -> Self {
        Self { owner: Owner { incarnation, ..self.owner }, comeback, ..self.clone() }
    }
}
