//! The model: an exhaustive search over small worlds, driven by the decision functions of the crate itself.
//!
//! `model --short` takes the sizes that fit a few minutes, `--full` those that the design promises, `--mutants` switches
//! off each defence in turn and shows the shortest way to the harm that it does, `--only NAME` one configuration or
//! defence; `--commits`, `--crashes`, `--inits` and `--drains` change the sizes. It ends with 0 only when every search
//! with all defences went through all states without a violation, and every search without one found one.

mod configs;
mod going;
mod invariants;
mod label;
mod live;
mod pure;
mod search;
mod settle;
mod step;
mod world;

use protocol::defences::{Defence, Defences, Shown};
use search::{Report, search};
use std::process::ExitCode;
use std::time::Instant;
use step::{Config, Model};

/// So many states, with their frontier, fit 8 GiB.
const STATES_MAX: usize = 180_000_000;

fn main() -> ExitCode {
    let arguments = Arguments(std::env::args().skip(1).collect());
    let mut good = true;
    let mut runs = 0;
    if arguments.has("--full") || arguments.has("--short") {
        let configs = if arguments.has("--full") { configs::full() } else { configs::short() };
        for config in configs.into_iter().filter(|config| arguments.chosen(config.name)) {
            good &= holds(arguments.sized(config));
            runs += 1;
        }
    }
    if arguments.has("--mutants") {
        let modelled = Defences::EACH
            .iter()
            .filter(|defence| matches!(defence.shown, Shown::Model | Shown::ModelAndSimulation));
        for defence in modelled.filter(|defence| arguments.chosen(defence.name)) {
            good &= kills(defence, &arguments);
            runs += 1;
        }
    }
    good &= runs > 0;
    println!("{}", if good { "model: ok" } else { "model: FAILED" });
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The command line.
struct Arguments(Vec<String>);

impl Arguments {
    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|argument| argument == name)
    }

    fn value(&self, name: &str) -> Option<&str> {
        let at = self.0.iter().position(|argument| argument == name)?;
        self.0.get(at + 1).map(String::as_str)
    }

    fn number(&self, name: &str) -> Option<u8> {
        self.value(name)?.parse().ok()
    }

    fn chosen(&self, name: &str) -> bool {
        self.value("--only").is_none_or(|only| name.starts_with(only))
    }

    fn sized(&self, config: Config) -> Config {
        Config {
            commits: self.number("--commits").unwrap_or(config.commits),
            crashes: self.number("--crashes").unwrap_or(config.crashes),
            inits: self.number("--inits").unwrap_or(config.inits),
            drains: self.number("--drains").unwrap_or(config.drains),
            ..config
        }
    }
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
fn kills(defence: &Defence, arguments: &Arguments) -> bool {
    let named = configs::shows(defence.name);
    let Some(config) = configs::short().into_iter().find(|config| Some(config.name) == named) else {
        println!("without {}: no configuration shows what it is for", defence.name);
        return false;
    };
    let config = arguments.sized(config);
    let title = title(&config);
    let (report, trace) = run(config, defence.without());
    println!("without {} in {title}: {trace}", defence.name);
    report.violation.is_some()
}

fn title(config: &Config) -> String {
    format!(
        "({}) {}, {} commits, {} crashes, {} own inits per id",
        config.name, config.about, config.commits, config.crashes, config.inits
    )
}

fn run(config: Config, defences: Defences) -> (Report, String) {
    let start = Instant::now();
    let mut model = Model::new(config, defences);
    let report = search(&mut model, STATES_MAX);
    let mut text = format!(
        "{} states, {} transitions, depth {}, {} + {} grants, {:.1} s, peak {} MiB, collision {:.0e}: ",
        report.states,
        report.transitions,
        report.depth,
        report.grants[0],
        report.grants[1],
        start.elapsed().as_secs_f64(),
        peak_mib(),
        collision(report.states)
    );
    match &report.violation {
        None if report.exhaustive => text.push_str("exhaustive, no violation"),
        None => text.push_str("NOT exhaustive"),
        Some(violation) => {
            text.push_str("VIOLATION: ");
            text.push_str(&violation.what);
            let steps = violation.trace.iter().enumerate();
            text.extend(steps.map(|(at, label)| format!("\n    {:>2}. {label}", at + 1)));
        }
    }
    (report, text)
}

/// At most how probable it is that two of these states shared a fingerprint of 128 bits, so that one was passed over.
fn collision(states: usize) -> f64 {
    (states as f64).powi(2) / 2f64.powi(129)
}

/// Highest resident set of this process so far.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0)
        / 1024
}
