//! How far a unit came under the plan of its newest Claim, and by which way: what a rollback has to process again.

use protocol::identity::Generation;
use protocol::journal::record::{Claim, ClaimedInput, Commit, InputPartition, Leg};
use protocol::schedule::Scheduled;
use std::collections::BTreeMap;

/// Most legs that are remembered; of a longer way the beginning is one.
const LEGS_MAX: usize = 1_000;

/// The way of one unit since a change of plan that may be taken back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Course {
    /// The generation that changed the plan.
    since: Generation,
    inputs: Vec<ClaimedInput>,
    positions: BTreeMap<InputPartition, i64>,
    legs: Vec<Leg>,
}

impl Course {
    /// Nothing yet, behind the Claim that changes the plan, with these positions.
    pub fn behind(claim: &Claim, positions: BTreeMap<InputPartition, i64>) -> Self {
        Self { since: claim.owner.generation(), inputs: claim.inputs.clone(), positions, legs: Vec::new() }
    }

    /// The generation that changed the plan.
    pub fn since(&self) -> Generation {
        self.since
    }

    /// Passes a commit: each tick ends a leg.
    pub fn commit(&mut self, commit: &Commit) {
        for entry in &commit.schedule {
            match entry {
                Scheduled::Batch(batch) => drop(self.positions.insert(batch.at, batch.end)),
                Scheduled::Tick { tick, .. } => {
                    let until: Vec<_> = self.positions.iter().map(|(at, next)| (*at, *next)).collect();
                    match self.legs.last_mut() {
                        Some(leg) if leg.until == until => leg.ticks.push(*tick),
                        _ => self.legs.push(Leg { until, ticks: vec![*tick] }),
                    }
                }
            }
        }
        self.positions = commit.positions.iter().copied().collect();
        if self.legs.len() > LEGS_MAX {
            self.legs.remove(0);
        }
    }

    /// The inputs of the unit.
    pub fn inputs(&self) -> &[ClaimedInput] {
        &self.inputs
    }

    /// Where it stands.
    pub fn positions(&self) -> &BTreeMap<InputPartition, i64> {
        &self.positions
    }

    /// The legs that ended with ticks.
    pub fn legs(&self) -> &[Leg] {
        &self.legs
    }
}
