//! Which generation a process is, when it may claim, and when a life that lost its id comes back.

use crate::identity::{Generation, Incarnation, PlacementHash};
use crate::journal::Ownership;
use pipeline::plan::PlanHash;

/// Who decides that a generation goes live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Promotion {
    /// The operator, by `promote`; or a Claim of my generation that already stands in a journal.
    Operator,
    /// Nobody else: a process without an operator promotes itself.
    Myself,
}

/// Why a life began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Comeback {
    /// The process started, or the last life ended in a way that says nothing of a twin, or it stood aside long enough.
    Fresh,
    /// The last life was fenced or lost a transaction. If another life of my id has claimed since, it is the newer one:
    /// stand aside. If the newest Claim is still that of the last life, it was a time-out: go on at once.
    Lost {
        /// The last life.
        previous: Incarnation,
        /// How often this worker stood aside in a row.
        attempt: u32,
        /// When this life began, on the clock that is passed to every decision.
        since_ms: u64,
    },
}

/// How long to stand aside the n-th time in a row: 30 s, doubled each time, at most 8 min.
pub fn back_off_ms(attempt: u32) -> u64 {
    30_000 << attempt.min(4)
}

/// The generation of a process without an operator: that of the newest Claim when plan and placement are its own, else
/// the one behind it; 1 on empty journals. `journals` are all of the pipeline, read to their ends.
pub fn own_generation<'a>(
    journals: impl IntoIterator<Item = &'a Ownership>,
    plan: PlanHash,
    placement: PlacementHash,
) -> Generation {
    let highest = journals
        .into_iter()
        .filter_map(Ownership::highest_claim)
        .max_by_key(|claim| (claim.owner.generation(), claim.plan == plan && claim.placement == placement));
    match highest {
        None => Generation(1),
        Some(claim) if claim.plan == plan && claim.placement == placement => claim.owner.generation(),
        Some(claim) => Generation(claim.owner.generation().0 + 1),
    }
}
