//! The command line.

use crate::release;
use crate::settings::Settings;
use clap::{Parser, Subcommand};

/// The operator of Weir.
#[derive(Debug, Parser)]
#[command(name = "weir-operator", version)]
pub struct Program {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Keeps the cluster as StreamPipeline, StreamWindow, ScalingPolicy and StreamSavepoint objects say.
    Run(Settings),
    /// Takes the finalizer off every pipeline, before Weir is uninstalled. Pods go on.
    Release(release::Options),
}
