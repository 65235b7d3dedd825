//! What is known of one generation: is it what is wanted, how far are its units, which number comes next.

use super::Planner;
use crate::pipeline::observe::{Facts, Generation, PodSeen};
use crate::pipeline::validate::Desired;
use control::generation::stateful_set;
use control::status::{PodStatus, UnitState};
use crds::pipeline::{HISTORY_MAX, HistoryEntry, Prior, RolledBack, TransitionKind, TransitionStep};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// Most generations that a new one is told to fence; more have never been live in a row.
const PRIORS_MAX: usize = 16;

impl Planner<'_> {
    /// The status was lost, and generations are there: the newest that runs goes on, told again to take over.
    pub(super) fn adopt(&mut self) {
        if self.intent.generation.is_some() {
            return;
        }
        // What stands for a savepoint has no pods: that is begun again, or goes on when its Job has said so.
        let found = self.observed.generations.iter().filter(|found| !found.is_restored());
        let found = found.filter_map(|found| Some((found, found.facts.as_ref()?)));
        // One that nobody has seen at work may be standing by.
        let newest = found.max_by_key(|(found, _)| {
            (found.runs(), found.runs() && self.somebody_read_a_claim_of(found.number), found.number)
        });
        let Some((generation, facts)) = newest else { return };
        self.intent.generation = Some(generation.number);
        self.intent.promoted = true;
        self.intent.revision = Some(1);
        self.intent.revision_hash = Some(facts.revision_hash.clone());
        self.intent.plan_hash = Some(facts.file.plan_hash.clone());
        self.intent.rolled_back = self.adopted_rollback(facts);
        if !self.observed.deleting() && !generation.is_live() {
            self.begin(TransitionKind::Resume, TransitionStep::Starting);
        }
    }

    /// The generation that is adopted takes back the very plan that is wanted: it stays taken back.
    fn adopted_rollback(&self, facts: &Facts) -> Option<RolledBack> {
        let (desired, undone) = (self.desired?, facts.file.rewinds?);
        let plan_of = |generation: &Generation| Some(generation.facts.as_ref()?.file.plan_hash.clone());
        self.observed.generation(undone).and_then(plan_of).filter(|plan| *plan == desired.plan_hash)?;
        let mut before =
            self.observed.generations.iter().filter(|generation| generation.number < undone).rev();
        let to = before.find(|generation| plan_of(generation).as_ref() == Some(&facts.file.plan_hash))?;
        Some(RolledBack {
            generation: undone,
            to: Some(to.number),
            rewinds: true,
            asked: false,
            hash: desired.attempt_hash.clone(),
            message: format!("generation {undone} was taken back; why is not known any more"),
        })
    }

    /// A pod says that the newest Claim in the journals is of this generation.
    pub(super) fn somebody_read_a_claim_of(&self, number: u64) -> bool {
        let mut pods = self.observed.generations.iter().flat_map(|generation| &generation.pods);
        pods.any(|pod| pod.report.as_ref().is_some_and(|report| report.newest_generation == Some(number)))
    }

    /// The next number, with everything that the status says about it. Nothing of it exists yet.
    pub(super) fn next_generation(&mut self, desired: &Desired) {
        let number = self.next_number();
        self.intent.priors = self.priors();
        let before = self.intent.generation.replace(number).filter(|_| self.intent.promoted);
        self.put_on_probation(number, before, (&desired.revision_hash, &desired.plan_hash));
        self.intent.promoted = false;
        self.take_revision(&desired.revision_hash, &desired.plan_hash);
    }

    /// A number that nobody has.
    pub(super) fn next_number(&self) -> u64 {
        let seen = self.observed.generations.iter().map(|generation| generation.number);
        let reports = self.observed.generations.iter().flat_map(|generation| &generation.pods);
        let reported = reports.filter_map(|pod| pod.report.as_ref()?.newest_generation);
        seen.chain(reported).chain(self.intent.generation).max().unwrap_or(0) + 1
    }

    /// The newest generation is of this revision.
    pub(super) fn take_revision(&mut self, revision_hash: &str, plan_hash: &str) {
        self.intent.plan_hash = Some(plan_hash.to_owned());
        if self.intent.revision_hash.as_deref() == Some(revision_hash) {
            return;
        }
        let revision = self.intent.revision.unwrap_or(0) + 1;
        self.intent.revision = Some(revision);
        self.intent.revision_hash = Some(revision_hash.to_owned());
        let entry = HistoryEntry {
            revision,
            hash: revision_hash.to_owned(),
            generation: self.intent.generation.unwrap_or_default(),
            started_at: Time(self.observed.now),
        };
        self.intent.history.insert(0, entry);
        self.intent.history.truncate(HISTORY_MAX);
    }

    /// Whose workers the next generation has to fence: back to the last generation that was live with every unit.
    /// A generation that was never told to take over has claimed nothing.
    pub(super) fn priors(&self) -> Vec<Prior> {
        let Some(number) = self.intent.generation.filter(|_| self.intent.promoted) else {
            return self.intent.priors.clone();
        };
        let restored = self.intent.restored_from.as_ref();
        let last = self.observed.facts(number).map(|facts| Prior {
            generation: number,
            // The state of a savepoint has the plan of the savepoint.
            plan_hash: match (&facts.file.restore, restored) {
                (Some(_), Some(restored)) => restored.plan_hash.clone(),
                _ => facts.file.plan_hash.clone(),
            },
            replicas: facts.file.shape.replicas,
            workers_per_replica: facts.file.shape.workers_per_replica,
        });
        // All its units were cut, or are live: it held every journal. And all state that counts is of its plan: no restore
        // has to follow an older one.
        let cut = self.intent.drained.as_ref().is_some_and(|drained| drained.generation == number);
        let live = self
            .observed
            .generation(number)
            .is_some_and(|generation| generation.is_live() && generation.is_settled());
        let before = if (cut || live) && last.is_some() { Vec::new() } else { self.intent.priors.clone() };
        let before = before.into_iter().filter(|prior| prior.generation != number);
        last.into_iter().chain(before).take(PRIORS_MAX).collect()
    }

    /// No pod of this generation is there, and none is wanted.
    pub(super) fn stopped(&self, number: u64) -> bool {
        self.observed
            .generation(number)
            .is_none_or(|generation| generation.replicas.unwrap_or(0) == 0 && generation.pods.is_empty())
    }

    /// This generation is what is wanted, and nobody has taken its number or a higher one.
    pub(super) fn is_current(&self, number: u64, desired: &Desired) -> bool {
        let Some(generation) = self.observed.generation(number) else { return false };
        if generation.is_restored() {
            return false;
        }
        let wanted =
            generation.facts.as_ref().is_some_and(|facts| facts.generation_hash == desired.generation_hash);
        wanted && !generation.is_overtaken()
    }

    /// Pods of this generation are on nodes that do not answer: others have to take their place.
    pub(super) fn has_lost_pods(&self, number: u64) -> bool {
        let generation = self.observed.generation(number);
        generation.is_some_and(|generation| generation.pods.iter().any(|pod| pod.is_lost(self.observed.now)))
    }

    /// Only the number of pods differs, or something else: a restart that is asked for, too.
    pub(super) fn kind_of_change(&self, number: u64, desired: &Desired) -> TransitionKind {
        match self.observed.facts(number) {
            Some(facts) if facts.file.restore.is_some() => TransitionKind::Restore,
            Some(facts)
                if facts.revision_hash == desired.revision_hash && facts.file.shape != desired.shape =>
            {
                TransitionKind::Scale
            }
            _ => TransitionKind::Recreate,
        }
    }
}

impl Generation {
    /// Somebody has taken its number, or a higher one.
    pub(super) fn is_overtaken(&self) -> bool {
        let higher = |report: &PodStatus| report.newest_generation.is_some_and(|newest| newest > self.number);
        let mut reports = self.pods.iter().filter_map(|pod| pod.report.as_ref());
        reports.any(|report| report.generation_collision || higher(report))
    }

    /// The pods that the StatefulSet wants, as far as they exist.
    fn wanted(&self) -> impl Iterator<Item = Option<&PodSeen>> {
        let replicas = self.replicas.unwrap_or(0);
        (0..replicas).map(|ordinal| self.pods.iter().find(|pod| pod.name.ends_with(&format!("-{ordinal}"))))
    }

    /// Every pod answers, and every unit of it is as `good` says. False without a pod, and without a unit: pods may
    /// have none, but no pipeline.
    pub fn every_unit(&self, good: impl Fn(&control::status::UnitStatus) -> bool) -> bool {
        let mut units = 0;
        let all = self.wanted().all(|pod| {
            let report = pod.and_then(|pod| pod.report.as_ref());
            units += report.map_or(0, |report| report.units.len());
            report.is_some_and(|report| report.every_unit(&good))
        });
        all && units > 0
    }

    /// Every unit is at work: it holds every journal.
    pub(super) fn is_live(&self) -> bool {
        self.every_unit(|unit| unit.state == UnitState::Live)
    }

    /// Every pod says that restores of its units need no older plan.
    fn is_settled(&self) -> bool {
        let report = |pod: Option<&PodSeen>| pod.and_then(|pod| pod.report.as_ref()?.settled);
        self.wanted().all(|pod| report(pod) == Some(true))
    }

    /// A pod may be at work: a unit says that it is, or a pod that runs says nothing.
    pub fn may_work(&self) -> bool {
        self.pods.iter().any(|pod| {
            pod.silent()
                || pod.report.as_ref().is_some_and(|report| {
                    report
                        .units
                        .iter()
                        .any(|unit| matches!(unit.state, UnitState::Live | UnitState::Released))
                })
        })
    }

    /// Name of its StatefulSet.
    pub fn set_name(&self, pipeline: &str) -> String {
        stateful_set(pipeline, self.number)
    }
}
