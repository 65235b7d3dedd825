//! The program `weir`: wiring, the worker loop, HTTP and the command line. What records mean is decided in `pipeline`,
//! what may be written when in `protocol`.

pub mod cli;
pub mod worker;
pub mod savepoint;
pub mod drive;
pub mod local;
pub mod cluster;
pub mod topology;
pub mod pod;
pub mod report;
mod usage;
pub mod secrets;
pub mod http;
pub mod metrics;
pub mod signal;
pub mod clock;
