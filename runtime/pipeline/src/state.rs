//! Keyed state: groups of rows by key with dense accumulators, the pages that they lie in where snapshots are taken of
//! them, and the bytes that state is written as.
//!
//! Nothing here knows windows, time or Kafka. Whatever is kept here is kept in the order of insertion; the order of a
//! hash table decides nothing and is never written.

pub(crate) mod bytes;
pub(crate) mod groups;
pub(crate) mod page;
pub(crate) mod paged;
