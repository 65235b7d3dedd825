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

mod life;
mod look;
mod promotion;

pub use life::{Attempt, GoingLive, LiveGrant, Phase};
pub use promotion::{Comeback, Promotion, back_off_ms, own_generation};

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

    /// The same worker in its next life.
    #[must_use]
    pub fn reborn(&self, incarnation: Incarnation, comeback: Comeback) -> Self {
        Self { owner: Owner { incarnation, ..self.owner }, comeback, ..self.clone() }
    }
}

/// What is known of one journal at the moment of a decision.
#[derive(Clone, Copy, Debug)]
pub struct JournalFacts<'a> {
    /// It belongs to a unit that the placement gives to me; else it is one of the other journals of the pipeline.
    pub own: bool,
    /// Its stage is not in the plans that the Claims of other plans name, see
    /// [`Claim::stages`](crate::journal::Claim::stages): nobody was ever here.
    pub new_stage: bool,
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
