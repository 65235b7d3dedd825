//! The configurations, and which of them shows what each defence is for.

use crate::pure::Worker;
use crate::step::{Config, Data};
use protocol::identity::{Generation, WorkerIndex, Writer};

fn worker(generation: u32, worker: u32, plan: u8, own: u8, prior: &[(u32, u32)]) -> Worker {
    let prior = prior
        .iter()
        .map(|(generation, worker)| Writer {
            generation: Generation(*generation),
            worker: WorkerIndex(*worker),
        })
        .collect();
    Worker { generation, worker, plan, own, prior }
}

const BASE: Config = Config {
    name: "",
    about: "",
    workers: Vec::new(),
    journals: 1,
    data: Data::None,
    commits: 2,
    crashes: 0,
    inits: 3,
    delays: 0,
    lost_claims: 0,
    aborts: 0,
    expiries: 0,
    drains: 0,
};

/// One unit; each of two generations has two processes with one id.
pub fn two_generations(commits: u8, crashes: u8, inits: u8) -> Config {
    let old = worker(1, 0, 1, 1, &[]);
    let new = worker(2, 0, 1, 1, &[(1, 0)]);
    Config {
        name: "a",
        about: "1 unit, 2 generations x 2 incarnations",
        workers: vec![old.clone(), old, new.clone(), new],
        commits,
        crashes,
        inits,
        ..BASE
    }
}

/// Two units; two workers of generation 1 hand over to one of generation 2. Process B is a second life of A's id.
pub fn two_to_one(commits: u8, crashes: u8, inits: u8) -> Config {
    Config {
        name: "b 2->1",
        about: "2 units, 2 workers -> 1 worker, one zombie",
        workers: vec![
            worker(1, 0, 1, 0b01, &[]),
            worker(1, 0, 1, 0b01, &[]),
            worker(1, 1, 1, 0b10, &[]),
            worker(2, 0, 1, 0b11, &[(1, 0), (1, 1)]),
        ],
        journals: 2,
        commits,
        crashes,
        inits,
        ..BASE
    }
}

/// Two units in one transaction with different new owners. Process B is a second life of A's id.
pub fn one_to_two(commits: u8, crashes: u8, inits: u8) -> Config {
    Config {
        name: "b 1->2",
        about: "2 units, 1 worker -> 2 workers, one zombie",
        workers: vec![
            worker(1, 0, 1, 0b11, &[]),
            worker(1, 0, 1, 0b11, &[]),
            worker(2, 0, 1, 0b01, &[(1, 0)]),
            worker(2, 1, 1, 0b10, &[(1, 0)]),
        ],
        journals: 2,
        commits,
        crashes,
        inits,
        ..BASE
    }
}

/// One unit, outputs and Commit in one transaction, an EndTxn that arrives late.
pub fn delayed_end(commits: u8, crashes: u8, inits: u8) -> Config {
    let old = worker(1, 0, 1, 1, &[]);
    Config {
        name: "c",
        about: "1 unit, outputs, one delayed EndTxn",
        workers: vec![old, worker(2, 0, 1, 1, &[(1, 0)])],
        data: Data::Outputs,
        commits,
        crashes,
        inits,
        delays: 1,
        ..BASE
    }
}

/// Two stages of one unit each, two plans, drain and resume at any time; two workers of the old plan, one of the new.
pub fn two_plans_two_to_one(commits: u8, crashes: u8, inits: u8, drains: u8) -> Config {
    Config {
        name: "d 2->1",
        about: "2 stages x 1 unit, 2 plans, drain, resume, 2 workers -> 1 worker",
        workers: vec![
            worker(1, 0, 1, 0b01, &[]),
            worker(1, 1, 1, 0b10, &[]),
            worker(2, 0, 2, 0b11, &[(1, 0), (1, 1)]),
        ],
        journals: 2,
        data: Data::Blocks,
        commits,
        crashes,
        inits,
        drains,
        ..BASE
    }
}

/// The same with one worker of the old plan and two of the new.
pub fn two_plans_one_to_two(commits: u8, crashes: u8, inits: u8, drains: u8) -> Config {
    Config {
        name: "d 1->2",
        about: "2 stages x 1 unit, 2 plans, drain, resume, 1 worker -> 2 workers",
        workers: vec![
            worker(1, 0, 1, 0b11, &[]),
            worker(2, 0, 2, 0b01, &[(1, 0)]),
            worker(2, 1, 2, 0b10, &[(1, 0)]),
        ],
        ..two_plans_two_to_one(commits, crashes, inits, drains)
    }
}

/// Two workers of one generation that were both given the unit, with different ids.
pub fn one_unit_placed_twice(commits: u8, crashes: u8, inits: u8) -> Config {
    Config {
        name: "e",
        about: "1 unit placed on two workers of one generation",
        workers: vec![worker(1, 0, 1, 1, &[]), worker(1, 1, 1, 1, &[])],
        commits,
        crashes,
        inits,
        ..BASE
    }
}

/// Faults of the broker and the client: a Claim acknowledged and lost, a client's abort, a transaction that expires.
pub fn faults(commits: u8, crashes: u8, inits: u8) -> Config {
    Config {
        name: "f",
        about: "1 unit, 2 generations; a lost Claim, an abort, an expired transaction",
        workers: vec![worker(1, 0, 1, 1, &[]), worker(2, 0, 1, 1, &[(1, 0)])],
        commits,
        crashes,
        inits,
        lost_claims: 1,
        aborts: 1,
        expiries: 1,
        ..BASE
    }
}

/// The sizes that the design promises, but for the two largest: those fit a few minutes together.
pub fn short() -> Vec<Config> {
    vec![
        two_generations(3, 3, 3),
        two_to_one(2, 2, 2),
        one_to_two(1, 1, 2),
        delayed_end(2, 3, 4),
        two_plans_two_to_one(1, 1, 2, 1),
        two_plans_one_to_two(2, 2, 2, 1),
        one_unit_placed_twice(3, 3, 4),
        faults(3, 2, 3),
    ]
}

/// The sizes that the design promises.
pub fn full() -> Vec<Config> {
    vec![
        two_generations(3, 3, 4),
        two_to_one(2, 2, 2),
        one_to_two(2, 2, 2),
        delayed_end(2, 3, 4),
        two_plans_two_to_one(2, 2, 2, 1),
        two_plans_one_to_two(2, 2, 2, 1),
        one_unit_placed_twice(3, 3, 4),
        faults(3, 2, 3),
    ]
}

/// Which of the short configurations shows what a defence is for. A counter-example counts because with all defences
/// the same configuration has none.
pub fn shows(defence: &str) -> Option<&'static str> {
    let config = match defence {
        "claim" | "fence" | "read_to_high_watermark" | "superseded" | "read_committed" => "a",
        "own_generation_fence" => "e",
        "own_claim_check" | "abort_drops_state" => "f",
        "c7" => "c",
        "released_lock" => "d 1->2",
        "end_marker" | "drained_everywhere" => "d 2->1",
        _ => return None,
    };
    Some(config)
}
