//! The command line: one file per command. A command reads its arguments, calls what decides, and prints; it ends with
//! an [`Exit`].

mod input;
mod logs;
mod run;
mod lint;
mod explain;
mod topics;
mod worker;
mod savepoint;
mod cleanup;

use clap::{CommandFactory, Parser, Subcommand};
use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It did what was asked.
    Done,
    /// It failed.
    Failed,
    /// It was asked in a way that it does not understand.
    Usage,
    /// A manifest, or what it needs from outside, is not right (`EX_CONFIG`).
    Configuration,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Configuration => 78,
        })
    }
}

/// Streaming pipelines on Kafka, from one manifest: on this machine or on a cluster.
#[derive(Debug, Parser)]
#[command(name = "weir", version, propagate_version = true, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage, 78 wrong configuration.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// Commands in the order in which a user meets them.
#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Args),
    Lint(lint::Args),
    Explain(explain::Args),
    Topics(topics::Args),
    Worker(worker::Args),
    Savepoint(savepoint::Args),
    Cleanup(cleanup::Args),
}

/// What can be written on the command line, for its reference.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the command that the arguments of the process name.
pub fn main() -> ExitCode {
    let exit = match Cli::parse().command {
        Command::Run(args) => run::run(&args),
        Command::Lint(args) => lint::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Topics(args) => topics::run(&args),
        Command::Worker(args) => worker::run(&args),
        Command::Savepoint(args) => savepoint::run(&args),
        Command::Cleanup(args) => cleanup::run(&args),
    };
    exit.into()
}
