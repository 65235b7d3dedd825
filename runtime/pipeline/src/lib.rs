//! The meaning of a pipeline: what the user writes ([`spec`]), what it means ([`plan`]), and the engine that
//! does it to batches of records ([`unit`]).
//!
//! ```text
//!  YAML -> spec -> plan -> unit:  RecordBatch -> format -> Frame -> time -> step/window -> Effects
//! ```
//!
//! No Kafka, no Kubernetes, no async, no clock, no randomness: time comes in with every call.

mod aggregate;
pub mod column;
pub mod dead_letter;
pub mod effect;
pub mod expression;
pub mod format;
pub mod manifest;
pub mod plan;
pub mod problem;
pub mod record;
pub mod scaling;
pub mod schema;
pub mod spec;
mod state;
mod step;
mod time;
pub mod unit;
mod watermark;
mod window;
