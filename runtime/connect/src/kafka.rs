//! The log on a real Kafka, by librdkafka.
//!
//! ```text
//!  Io ── Reader   one consumer: manual assignment, read committed, one queue per partition
//!     ├─ Writer   one transactional producer; commits run on a thread of its own
//!     ├─ Lookup   offsets by time, watermarks (read uncommitted)
//!     ├─ Topics   make, verify, delete, trim
//!     └─ Wire     topic ids, which librdkafka's safe interface does not tell; why a cluster does not let us in
//! ```
//! Nothing here decides anything, and no payload and no value of a Secret is ever logged. How a cluster is reached comes
//! from a manifest and its Secrets (`access`); what asks for TLS or a login never falls back to less.

pub mod access;
mod context;
mod error;
mod io;
mod lookup;
mod reader;
pub mod secret;
pub mod security;
mod settings;
mod tls;
mod topics;
mod wire;
mod writer;

pub use access::Access;
pub use io::Io;
pub use settings::{Settings, transaction_timeout_ms};
