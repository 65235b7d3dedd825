//! `simulate`: many seeds; prints the matrix of faults and steps, and ends with 0 only when no promise was broken.

use clap::Parser;
use e2e::simulation::{Matrix, mutants, simulate};
use protocol::defences::Defences;

/// Seeded simulation of the protocol over the log in memory.
#[derive(Parser, Debug)]
struct Arguments {
    /// How many seeds.
    #[arg(long, env = "SEEDS", default_value_t = 1_000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Run each seed twice and compare the traces.
    #[arg(long)]
    twice: bool,
    /// Switch each defence off in turn, and show the first schedule in which its absence does harm.
    #[arg(long)]
    mutants: bool,
}

/// So many seeds meet every fault at every step; fewer need not.
const SEEDS_THAT_MEET_ALL: u64 = 200;

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if arguments.mutants {
        return each_mutant(&arguments);
    }
    let (mut matrix, mut moves, mut violations) = (Matrix::default(), 0, 0);
    let (mut trimmed, mut changes, mut rollbacks, mut restored) = (0, 0, 0, 0);
    for seed in arguments.first..arguments.first + arguments.seeds {
        let outcome = simulate(seed, Defences::ALL);
        if arguments.twice {
            let again = simulate(seed, Defences::ALL);
            anyhow::ensure!(again.trace == outcome.trace, "seed {seed} gave two traces");
        }
        matrix.merge(&outcome.matrix);
        moves += outcome.moves;
        trimmed += outcome.trimmed;
        changes += outcome.changes;
        rollbacks += outcome.rollbacks;
        restored += u64::from(outcome.restored);
        if let Some(violation) = outcome.violation {
            violations += 1;
            println!("seed {seed}: {}", violation.what);
            violation.moves.iter().rev().take(20).rev().for_each(|line| println!("    {line}"));
        }
    }
    println!("{matrix}");
    let seeds = arguments.seeds;
    println!(
        "{seeds} seeds, {moves} moves, {trimmed} offsets trimmed, {changes} changes of plan, {rollbacks} taken back, {restored} restored from a savepoint: {violations} violations"
    );
    let zero = matrix.zero_cells();
    anyhow::ensure!(violations == 0, "{violations} seeds broke a promise");
    anyhow::ensure!(trimmed > 0 || arguments.seeds < 100, "nothing was ever trimmed");
    anyhow::ensure!(changes > 0 || arguments.seeds < 100, "no plan was ever changed");
    anyhow::ensure!(rollbacks > 0 || arguments.seeds < 100, "no change was ever taken back");
    anyhow::ensure!(restored > 0 || arguments.seeds < 100, "nothing was ever restored from a savepoint");
    anyhow::ensure!(zero.is_empty() || arguments.seeds < SEEDS_THAT_MEET_ALL, "never met: {zero:?}");
    Ok(())
}

fn each_mutant(arguments: &Arguments) -> anyhow::Result<()> {
    let seeds = arguments.first..arguments.first + arguments.seeds;
    let mut survivors = Vec::new();
    for defence in mutants() {
        let mut runs = seeds.clone().map(|seed| (seed, simulate(seed, defence.without())));
        match runs.find_map(|(seed, outcome)| outcome.violation.map(|violation| (seed, violation))) {
            None => survivors.push(defence.name),
            Some((seed, violation)) => {
                println!("without {}: seed {seed}: {}", defence.name, violation.what);
                violation.moves.iter().rev().take(8).rev().for_each(|line| println!("    {line}"));
            }
        }
    }
    anyhow::ensure!(survivors.is_empty(), "no harm found in {} seeds without {survivors:?}", arguments.seeds);
    Ok(())
}
