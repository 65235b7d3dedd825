//! A savepoint that is taken at some moment of a run, and a pipeline that goes on from there when the run is over.
//!
//! What was taken when the log had given out some records has to give out every other one, and nothing that is not
//! expected: so a record that is missing, doubled, or made of half a state, is seen.

use super::Chance;
use super::world::{Ends, Outputs, SimEnvironment, World};
use connect::memory::Io;
use connect::snapshot::{MemoryStore, Uploads};
use control::savepoint::{RESTORED_DRAIN, RESTORED_GENERATION};
use pipeline::plan::Plan;
use protocol::going_live::Promotion;
use protocol::identity::{DrainId, Generation, PipelineIdentity, WorkerIndex, Writer};
use runtime::local::{identity, setup};
use runtime::pod::Intents;
use runtime::savepoint::{Complete, Destination, Subject, Taker, restore};
use runtime::worker::{Setup, Step, Worker};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Looks after which a savepoint that waits is begun anew: the plan may have changed.
const PATIENCE: u32 = 400;

/// Takes one savepoint in a run.
pub(super) struct Saver {
    chance: Chance,
    taking: Option<(Taker<Io>, MemoryStore, Arc<Plan>, u32)>,
    taken: Option<Taken>,
}

/// A savepoint, and where the outputs ended when it was complete.
struct Taken {
    complete: Complete,
    folder: MemoryStore,
    plan: Arc<Plan>,
    before: Ends,
}

impl Saver {
    pub fn new(seed: u64) -> Self {
        Self { chance: Chance::new(seed ^ 0x5a5e), taking: None, taken: None }
    }

    /// Maybe goes on with the savepoint; what cannot be read now is begun anew, what is wrong is told.
    pub fn look(&mut self, world: &World, plan: &Arc<Plan>) -> Result<(), String> {
        if self.taken.is_some() || !self.chance.one_in(6) {
            return Ok(());
        }
        let Some((taker, folder, of, looks)) = &mut self.taking else {
            if self.chance.one_in(40) {
                let names = identity(plan);
                let subject = Subject {
                    plan: plan.clone(),
                    manifest: String::new(),
                    identity: names,
                    tag: "s".to_owned(),
                };
                let begun = Taker::begin(subject, world.log.connect("savepoint"));
                self.taking = begun.ok().map(|taker| (taker, MemoryStore::new(), plan.clone(), 0));
            }
            return Ok(());
        };
        *looks += 1;
        match taker.step(&mut world.store.clone(), folder, 0, Duration::ZERO) {
            Ok(Some(complete)) => {
                let (folder, plan) = (folder.clone(), of.clone());
                self.taken = Some(Taken { complete, folder, plan, before: world.ends() });
                self.taking = None;
            }
            Ok(None) if *looks < PATIENCE => {}
            Err(error) if error.is_permanent() => return Err(format!("no savepoint: {error:?}")),
            Ok(None) | Err(_) => self.taking = None,
        }
        Ok(())
    }

    /// Restores it, and runs to the end. True when there was one.
    pub fn goes_on(&mut self, world: &mut World, expected: &Outputs) -> Result<bool, String> {
        let Some(taken) = self.taken.take() else { return Ok(false) };
        let (already, before) = (world.committed(), world.committed_below(&taken.before));
        world.run_restored(&taken.plan, &taken.folder)?;
        let after = world.committed();
        let how = if taken.complete.savepoint.is_cut() { "a cut" } else { "with blocks" };
        for (topic, lines) in expected {
            let of = |outputs: &Outputs| outputs.get(topic).cloned().unwrap_or_default();
            let given = minus(of(&after), &of(&already));
            let wanted = minus(lines.clone(), &of(&before));
            let lost = minus(wanted, &given);
            let more = minus(given, lines);
            if !lost.is_empty() || !more.is_empty() {
                let some = |lines: Vec<String>| lines.into_iter().take(3).collect::<Vec<_>>();
                let (lost, more) = (some(lost), some(more));
                return Err(format!("restored from {how}, topic {topic}: lost {lost:?}, too many {more:?}"));
            }
        }
        Ok(true)
    }
}

/// What is left of some lines without others, each as often as it is there.
fn minus(lines: Vec<String>, others: &[String]) -> Vec<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for line in others {
        *counts.entry(line).or_default() += 1;
    }
    let is_left = |line: &String| match counts.get_mut(line.as_str()) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        _ => true,
    };
    lines.into_iter().filter(is_left).collect()
}

impl World {
    /// Another pipeline goes on from a savepoint until it has processed everything, without a disturbance.
    fn run_restored(&mut self, plan: &Arc<Plan>, folder: &MemoryStore) -> Result<(), String> {
        let identity = PipelineIdentity {
            namespace: "elsewhere".to_owned(),
            pipeline: "again".to_owned(),
            uid8: "12345678".to_owned(),
        };
        let generation = Generation(RESTORED_GENERATION as u32);
        let writer = Writer { generation, worker: WorkerIndex(0) };
        let destination = Destination {
            identity: identity.clone(),
            plan: plan.hash(),
            generation,
            drain: DrainId::of(RESTORED_DRAIN),
            manifest_hash: None,
        };
        let store = MemoryStore::new();
        let mut io = self.log.connect(&identity.transactional_id(writer));
        restore(&destination, &mut io, &mut folder.clone(), &mut store.clone())
            .map_err(|error| format!("it is not restored: {error:?}"))?;
        let setup = Setup {
            identity,
            generation: Some(Generation(generation.0 + 1)),
            prior: vec![writer],
            promotion: Promotion::Operator,
            ..setup(plan, 0, 1)
        };
        let environment = SimEnvironment {
            log: self.log.clone(),
            uploads: Uploads::inline(store),
            bounds: self.bounds.clone(),
            chance: Chance::new(7),
        };
        let mut worker = Worker::new(setup, environment, super::world::TIMING);
        let promoted = Some(u64::from(generation.0) + 1);
        let intents = Intents { promoted, ..Intents::default() };
        for _ in 0..super::world::MOVES_MAX {
            self.now_ms += 5;
            let step = worker.step(self.now(), Duration::ZERO, &intents);
            if let Some(problem) = worker.report().problems.into_iter().find(|problem| problem.permanent) {
                return Err(format!("the restored pipeline failed closed: {}", problem.message));
            }
            if step == Step::Finished {
                return Ok(());
            }
        }
        Err(format!("the restored pipeline does not end: {}", worker.waiting()))
    }
}
