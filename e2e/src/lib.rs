//! Tests on real parts: what only a real broker, a real cluster and real signals can show.

pub mod audit;
pub mod command_line;
pub mod simulation;
