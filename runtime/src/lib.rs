//! The program `weir` (see docs/ARCHITECTURE.md).

pub mod cli;
