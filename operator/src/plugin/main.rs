//! Wiring only.

use clap::Parser;
use operator::plugin::Plugin;
use std::process::ExitCode;

fn main() -> ExitCode {
    Plugin::parse().run()
}
