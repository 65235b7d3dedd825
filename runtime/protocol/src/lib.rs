//! Exactly-once: facts in, decisions out.
//!
//! A unit is a deterministic state machine whose log is Kafka. Its state after commit *n* follows from its last snapshot,
//! its input up to commit *n* and the schedule in its commit records. So recovery, hand-over and resume are one act:
//! load a snapshot, replay with outputs suppressed up to the last commit, go live.
//!
//! ```text
//!  journal ──fold──> JournalView ──> Replay (state)      ┐
//!                        └─ Ownership ──> GoingLive ──────┴──> LiveGrant ──> Live ──> CommitPermit ──> Commit records
//! ```
//!
//! Nothing here awaits, reads a clock, draws a random number or touches a log: times, ids and what was read come in with
//! every call. The worker executes the decisions.

pub mod format;

pub mod identity;

pub mod journal;

pub mod schedule;

pub mod block;

pub mod snapshot;

pub mod restore;

pub mod going_live;

pub mod commit;

pub mod drain;

pub mod trim;

pub mod savepoint;

pub mod defences;
