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
    /// The change was taken back here.
    ended: bool,
}

impl Course {
    /// Nothing yet, behind the Claim that changes the plan, with these positions.
    pub fn behind(claim: &Claim, positions: BTreeMap<InputPartition, i64>) -> Self {
        Self {
            since: claim.owner.generation(),
            inputs: claim.inputs.clone(),
            positions,
            legs: Vec::new(),
            ended: false,
        }
    }

    /// The generation that changed the plan.
    pub fn since(&self) -> Generation {
        self.since
    }

    /// The change is taken back here: what comes is no part of it.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Passes a commit: each tick ends a leg.
    pub fn commit(&mut self, commit: &Commit) {
        if self.ended {
            return;
        }
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
        // A tick that comes later than it did is better than none: who fell silent then may be silent still.
        while self.legs.len() > LEGS_MAX {
            let Leg { mut ticks, .. } = self.legs.remove(0);
            ticks.append(&mut self.legs[0].ticks);
            self.legs[0].ticks = ticks;
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
