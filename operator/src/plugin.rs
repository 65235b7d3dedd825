//! The program `kubectl-weir`, which kubectl runs as `kubectl weir`.

mod files;
mod outlook;
mod plan;
mod simulate_scaling;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Questions about Weir that kubectl alone does not answer; as `kubectl weir` when it is on the path.
#[derive(Debug, Parser)]
#[command(name = "kubectl-weir", version, propagate_version = true, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage, 78 wrong configuration.")]
pub struct Plugin {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Plan(plan::Args),
    SimulateScaling(simulate_scaling::Args),
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    /// It did what was asked.
    Done,
    /// It failed.
    Failed,
    /// A file cannot be read.
    Usage,
    /// A file holds what makes no sense (`EX_CONFIG`).
    Configuration,
}

impl Plugin {
    /// Does what the arguments say.
    pub fn run(self) -> ExitCode {
        let exit = match self.command {
            Command::Plan(args) => plan::run(&args),
            Command::SimulateScaling(args) => simulate_scaling::run(&args),
        };
        ExitCode::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Configuration => 78,
        })
    }
}
