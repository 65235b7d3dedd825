//! What the network does to requests, and the count of what was done when.

use super::Chance;
use connect::memory::{Call, Fault, Faults, Operation};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// How often each fault met a worker at each step of the protocol.
#[derive(Clone, Debug, Default)]
pub struct Matrix {
    counts: BTreeMap<(&'static str, &'static str), u64>,
}

/// The steps of the protocol, as rows of the matrix.
pub const STEPS: [&str; 5] = ["restore", "claim", "fence", "read", "live"];
/// The faults, as columns.
pub const FAULTS: [&str; 9] =
    ["lose-request", "lose-answer", "unreachable", "delay", "repeat", "slow", "kill", "freeze", "expire"];

impl Matrix {
    /// Counts one.
    pub fn add(&mut self, fault: &'static str, step: &'static str) {
        *self.counts.entry((fault, step)).or_default() += 1;
    }

    /// Adds the counts of another run.
    pub fn merge(&mut self, other: &Matrix) {
        for (cell, count) in &other.counts {
            *self.counts.entry(*cell).or_default() += count;
        }
    }

    /// Cells that were never hit, but for those that cannot be: only a commit can be delayed, repeated or slow, and
    /// nothing is committed in a restore, a fence or a read.
    pub fn zero_cells(&self) -> Vec<(&'static str, &'static str)> {
        let all = FAULTS.iter().flat_map(|fault| STEPS.iter().map(move |step| (*fault, *step)));
        all.filter(|cell| is_possible(cell.0, cell.1) && !self.counts.contains_key(cell)).collect()
    }
}

fn is_possible(fault: &str, step: &str) -> bool {
    let writes = matches!(step, "claim" | "live");
    match fault {
        "delay" | "repeat" | "slow" | "expire" => writes,
        _ => true,
    }
}

impl std::fmt::Display for Matrix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:14}", "")?;
        STEPS.iter().try_for_each(|step| write!(f, "{step:>10}"))?;
        for fault in FAULTS {
            write!(f, "\n{fault:14}")?;
            for step in STEPS {
                match self.counts.get(&(fault, step)) {
                    Some(count) => write!(f, "{count:>10}")?,
                    None if is_possible(fault, step) => write!(f, "{:>10}", 0)?,
                    None => write!(f, "{:>10}", "-")?,
                }
            }
        }
        Ok(())
    }
}

/// Where the worker that moves now is; set before each of its steps.
pub type Place = Arc<Mutex<&'static str>>;

/// The network of one run.
pub struct Network {
    chance: Chance,
    /// A fault once in so many requests.
    rate: u64,
    place: Place,
    matrix: Arc<Mutex<Matrix>>,
}

impl Network {
    /// A network that fails one request in `rate`.
    pub fn new(chance: Chance, rate: u64, place: Place, matrix: Arc<Mutex<Matrix>>) -> Self {
        Self { chance, rate, place, matrix }
    }
}

impl Faults for Network {
    fn fault(&mut self, call: &Call<'_>) -> Fault {
        let commit =
            matches!(call.operation, Operation::Commit | Operation::InitTransactions | Operation::Fence);
        let rate = if commit { self.rate / 8 } else { self.rate };
        if !self.chance.one_in(rate.max(2)) {
            return Fault::None;
        }
        let (fault, name) = match (call.operation, self.chance.below(6)) {
            (Operation::Commit, 0) => (Fault::Delay, "delay"),
            (Operation::Commit, 1) => (Fault::Repeat, "repeat"),
            (Operation::Commit, 2) => (Fault::Slow(1 + self.chance.below(20) as u32), "slow"),
            (_, 0 | 3) => (Fault::LoseRequest, "lose-request"),
            (_, 1 | 4) => (Fault::LoseAnswer, "lose-answer"),
            _ => (Fault::Unreachable, "unreachable"),
        };
        // A step goes from one place to the next; the request tells which of the two it belongs to.
        let place = match call.operation {
            Operation::Fence => "fence",
            Operation::InitTransactions => "claim",
            _ => *self.place.lock().unwrap_or_else(PoisonError::into_inner),
        };
        self.matrix.lock().unwrap_or_else(PoisonError::into_inner).add(name, place);
        fault
    }
}
