//! The program `weir-operator`: keeps the cluster as the custom resources say.
//!
//! ```text
//!  watch ──> controller ──> pipeline::reconcile: observe → validate → plan → build → apply → report
//!                      ├──> window::reconcile
//!                      ├──> savepoint::reconcile: observe → decide → report → apply
//!                      └──> scaling::controller::reconcile: collect → measure → decide → /scale → report
//!  lease: one of several operators works, the others stand by with what they watch
//!  release: before an uninstall, so that nothing waits for an operator that is gone
//!  serve: /health /ready /metrics
//! ```
//!
//! `plugin` is the other program, `kubectl-weir`.
//!
//! The operator holds no Kafka credential and has no right on Secrets: what is in Kafka it knows from the control API
//! of the pods. Nothing that decides is kept only in its memory: the status of each object is the journal.

pub mod backoff;
pub mod command;
pub mod context;
pub mod controller;
pub mod job;
pub mod lease;
pub mod metrics;
pub mod pipeline;
pub mod plugin;
pub mod pods;
pub mod release;
pub mod savepoint;
pub mod scaling;
pub mod serve;
pub mod settings;
pub mod unreadable;
pub mod window;
