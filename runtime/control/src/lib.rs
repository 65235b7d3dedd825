//! The words that operator and runtime exchange; types only.
//!
//! ```text
//!  operator --(ConfigMap: GenerationFile)--------------------------> pods of one generation
//!  operator --(POST /control/v1/{promote,drain,resume})------------> each pod      `call`
//!  operator <-(GET  /control/v1/status: PodStatus)------------------ each pod      `status`
//!  operator <-(termination message: JobResult)---------------------- Jobs          `savepoint`
//! ```
//!
//! Both sides of neighbouring minor versions work together, so: a field is only added, an added field has a default,
//! an unknown field is ignored, and an unknown word decodes to "unknown" instead of failing the document. The golden
//! files under `tests/golden` hold every released shape. No I/O, no Kubernetes, no Kafka.

pub mod call;
pub mod generation;
pub mod reason;
pub mod savepoint;
pub mod status;

pub use generation::GenerationFile;
pub use reason::{Condition, Reason};
pub use status::PodStatus;
