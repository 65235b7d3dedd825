//! Sources, sinks, logs and snapshot stores: bytes in, bytes out.
//!
//! Two doors lead out of the engine: [`door::KafkaIo`], the log with its transactions, and [`snapshot::SnapshotStore`].
//! Each has a real and an in-memory side.

pub mod door;
pub mod envelope;
pub mod kafka;
pub mod memory;
pub mod partitioner;
pub mod sink;
pub mod snapshot;
