//! The model: an exhaustive search over small worlds, driven by the decision functions of the crate itself.
//!
//! `model --short` takes the sizes that fit a few minutes, `--full` those that the design promises, `--mutants` switches
//! off each defence in turn and shows the shortest way to the harm that it does, `--only NAME` one configuration or
//! defence; `--commits`, `--crashes`, `--inits` and `--drains` change the sizes.

mod configs;
mod going;
mod invariants;
mod label;
mod live;
mod pure;
mod search;
mod step;
mod world;

use configs::Mutant;
use protocol::defences::Defences;
use search::{Report, search};
use std::process::ExitCode;
use std::time::Instant;
use step::{Config, Model};

const STATES_MAX: usize = 250_000_000;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    let only =
        arguments.iter().position(|argument| argument == "--only").and_then(|at| arguments.get(at + 1));
    let number = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)?.parse::<u8>().ok()
    };
    let mut good = true;
    if !has("--mutants") || has("--short") || has("--full") {
        let configs = if has("--full") { configs::full() } else { configs::short() };
        let chosen = |config: &Config| only.is_none_or(|name| config.name.starts_with(name));
        for mut config in configs.into_iter().filter(chosen) {
            config.commits = number("--commits").unwrap_or(config.commits);
            config.crashes = number("--crashes").unwrap_or(config.crashes);
            config.inits = number("--inits").unwrap_or(config.inits);
            config.drains = number("--drains").unwrap_or(config.drains);
            good &= holds(config);
        }
    }
    if !has("--full") || has("--mutants") {
        for mutant in
            configs::mutants().into_iter().filter(|mutant| only.is_none_or(|name| mutant.name == name))
        {
            good &= kills(mutant);
        }
    }
    println!("{}", if good { "model: ok" } else { "model: FAILED" });
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// With all defences no invariant breaks.
fn holds(config: Config) -> bool {
    let title = title(&config);
    let generations = config.workers.iter().map(|worker| worker.generation).max().unwrap_or(1);
    let (report, trace) = run(config, Defences::ALL);
    println!("{title}: {trace}");
    let everybody_was_live = report.grants[0] > 0 && (generations == 1 || report.grants[1] > 0);
    report.violation.is_none() && report.exhaustive && everybody_was_live
}

/// Without this defence one does.
fn kills(mutant: Mutant) -> bool {
    let mut defences = Defences::ALL;
    (mutant.off)(&mut defences);
    let title = title(&mutant.config);
    let (report, trace) = run(mutant.config, defences);
    println!("without {} in {title}: {trace}", mutant.name);
    report.violation.is_some()
}

fn title(config: &Config) -> String {
    format!(
        "({}) {}, {} commits, {} crashes, {} inits per id",
        config.name, config.about, config.commits, config.crashes, config.inits
    )
}

fn run(config: Config, defences: Defences) -> (Report, String) {
    let start = Instant::now();
    let mut model = Model::new(config, defences);
    let report = search(&mut model, STATES_MAX);
    let mut text = format!(
        "{} states, {} transitions, depth {}, {} + {} grants, {:.1} s, peak {} MiB: ",
        report.states,
        report.transitions,
        report.depth,
        report.grants[0],
        report.grants[1],
        start.elapsed().as_secs_f64(),
        peak_mib()
    );
    match &report.violation {
        None if report.exhaustive => text.push_str("exhaustive, no violation"),
        None => text.push_str("NOT exhaustive"),
        Some(violation) => {
            text.push_str(&format!("VIOLATION: {}", violation.what));
            for (at, label) in violation.trace.iter().enumerate() {
                text.push_str(&format!("\n    {:>2}. {label}", at + 1));
            }
        }
    }
    (report, text)
}

/// Highest resident set of this process so far.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0)
        / 1024
}
