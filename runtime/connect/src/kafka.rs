//! The log on a real Kafka, by librdkafka.
//!
//! ```text
//!  Io ── Reader   one consumer: manual assignment, read committed, one queue per partition
//!     ├─ Writer   one transactional producer; commits run on a thread of its own
//!     ├─ Lookup   offsets by time, watermarks (read uncommitted)
//!     ├─ Topics   make, verify, delete, trim
//!     └─ Wire     topic ids, which librdkafka's safe interface does not tell
//! ```
//! Nothing here decides anything, and no payload is ever logged. Only plaintext is spoken so far.

mod context;
mod error;
mod io;
mod lookup;
mod reader;
pub mod secret;
mod settings;
mod topics;
mod wire;
mod writer;

pub use io::Io;
pub use settings::{Settings, transaction_timeout_ms};
