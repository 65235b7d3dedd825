//! One operator of several does the work: the one that holds a Lease of `coordination.k8s.io/v1`.
//!
//! ```text
//!   elector ──reads, writes──> Lease          term ──> may a reconcile go on? (controller, each poll of a reconcile)
//!      │  ^                                     ^
//!      v  └── election: what to do next (pure)  │
//!      └──────── until when we lead ────────────┘
//! ```
//!
//! The algorithm is the one of client-go. What it rests on:
//! - A Lease is only written with the version that was read, so of two candidates one is refused.
//! - Nobody reads the clock of another machine. A candidate takes over when it has seen no change of the Lease for as
//!   long as the Lease says it is good for, by its own clock, counted from when it saw the last change.
//! - A leader counts from before it sent its last successful write, and gives up a third earlier. So it has ended all
//!   work before anybody else can begin, as long as the clocks of two machines run at about the same speed.
//!
//! A reconcile that is paused in the middle of a request (a stopped process, a machine that hangs) can still send it.
//! That is why intents are written with the version of the object that they were decided from.

mod elector;
mod election;
mod term;

pub use elector::{Elector, Handles};
pub use term::Term;

use std::time::Duration;

/// How a lease is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How long the others wait for a sign of life of the leader.
    pub lease: Duration,
    /// How long the leader works on without having renewed. Shorter than `lease`.
    pub renew_deadline: Duration,
    /// Longest pause between two looks.
    pub retry: Duration,
    /// Longest wait for one answer of the API server.
    pub call: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry: Duration::from_secs(2),
            call: Duration::from_secs(5),
        }
    }
}

impl Timing {
    /// A pause before the next look, a fifth shorter at most: candidates do not come in step. `chance` is within 0–1.
    pub fn pause(&self, chance: f64) -> Duration {
        self.retry.mul_f64(1.0 - 0.2 * chance.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests;
