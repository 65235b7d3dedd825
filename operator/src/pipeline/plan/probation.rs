//! A change that has taken over is watched for a while. One that does not work is taken back: the revision before it takes over
//! again. Where it has another plan it goes back to its own state, processes again what the change has processed, and goes on
//! behind that.

use super::{Phase, Planner};
use crate::pipeline::observe::{Facts, Generation, PodSeen, Trouble};
use crate::pipeline::validate::{Desired, Watch};
use ::pipeline::plan::PROBATION_WITHOUT_TRAFFIC_MS;
use control::PodStatus;
use control::call::bounded_message;
use crds::pipeline::{Probation, RolledBack, TransitionKind, TransitionStep};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// Restarts of one container in a probation from which on the change does not work. One or two happen to any pod.
const RESTARTS_MAX: i64 = 3;
/// How long nothing may be committed although there is something to be processed, in milliseconds.
const STUCK_MS: i64 = 60_000;
/// Dead letters of a thousand records that a change may make more than there were before.
const DEAD_LETTERS_MORE: u64 = 50;
/// Dead letters below which nothing is concluded from their share.
const DEAD_LETTERS_MIN: u64 = 20;

/// What a look at a watched change says.
enum Judgement {
    /// It does not work, and why.
    Fails(String),
    /// Its time is over.
    Passed,
    /// It has to be watched on.
    Open,
}

impl Planner<'_> {
    /// The generation `number` takes over from `before`: another revision is watched from then on. The same one goes on with
    /// the probation that there is, in other pods, and so does the plan that is watched already.
    pub(super) fn put_on_probation(
        &mut self,
        number: u64,
        before: Option<u64>,
        (revision_hash, plan_hash): (&str, &str),
    ) {
        let facts = before.and_then(|before| self.observed.facts(before));
        let (Some(before), Some(facts)) = (before, facts) else { return };
        // Nobody could go back to a generation that never had pods.
        if facts.file.restore.is_some() {
            return;
        }
        let same_plan = facts.file.plan_hash == plan_hash;
        if facts.revision_hash == revision_hash || same_plan && self.intent.probation.is_some() {
            return;
        }
        let watched =
            self.desired.is_some_and(|desired| desired.watch.is_some() && desired.reverted.is_none());
        let pods = self.observed.generation(before).map(|old| old.pods.as_slice()).unwrap_or_default();
        self.intent.probation = watched.then(|| Probation {
            generation: number,
            before,
            until: None,
            restarts: 0,
            dead_letters_per_mille: dead_letters_per_mille(pods).and_then(|share| i64::try_from(share).ok()),
        });
    }

    /// Looks at what is watched while nothing is being changed. True when it is taken back.
    pub(super) fn is_failing(&mut self, number: u64, desired: &Desired) -> bool {
        let now = self.observed.now;
        let Some(current) = self.observed.generation(number) else { return false };
        let Some(probation) = self.intent.probation.as_mut() else { return false };
        let Some(watch) = desired.watch else {
            self.intent.probation = None;
            return false;
        };
        if probation.until.is_none() {
            probation.until = Some(Time(super::later(now, watch.seconds)));
            probation.restarts = most_restarts(&current.pods);
        }
        match judge(current, probation, watch, now.as_millisecond()) {
            Judgement::Open => false,
            Judgement::Passed => {
                self.intent.probation = None;
                false
            }
            Judgement::Fails(_) if !watch.takes_back => false,
            Judgement::Fails(why) => self.take_back_failed(number, desired, &why),
        }
    }

    /// A change that has claimed and will never be live as a whole. True when it is taken back.
    pub(super) fn has_failed_at_once(&mut self, number: u64) -> bool {
        let Some(desired) = self.desired.filter(|desired| desired.reverted.is_none()) else { return false };
        let watched = self.intent.probation.as_ref().is_some_and(|probation| probation.generation == number);
        let takes_back = desired.watch.is_some_and(|watch| watch.takes_back);
        let problem = self.observed.generation(number).and_then(permanent_problem);
        let wanted = self.is_current(number, desired);
        match problem.filter(|_| watched && takes_back && wanted) {
            Some(why) => self.take_back_failed(number, desired, &why),
            None => false,
        }
    }

    /// The way back that cannot be gone is given up: the change goes on, unwatched.
    pub(super) fn gives_up_going_back(&mut self, successor: u64) -> bool {
        let hopeless = self.intent.rolled_back.as_ref().is_some_and(|back| back.rewinds)
            && self.observed.generation(successor).and_then(permanent_problem).is_some();
        if hopeless {
            self.intent.rolled_back = None;
        }
        hopeless
    }

    fn take_back_failed(&mut self, number: u64, desired: &Desired, why: &str) -> bool {
        self.take_back_after_all(desired, format!("generation {number} does not work: {why}"), false)
    }

    /// Back to what was before the change, with its state when that has another plan. False when there is no record of it.
    fn take_back_after_all(&mut self, desired: &Desired, message: String, asked: bool) -> bool {
        let Some(probation) = self.intent.probation.take() else { return false };
        let before = self.observed.facts(probation.before);
        if before.is_none_or(|facts| facts.image.is_none()) {
            return false;
        }
        let plan_of = |facts: &Facts| facts.file.plan_hash.clone();
        let now = self.current().and_then(|current| current.facts.as_ref()).map(plan_of);
        let rewinds = before.map(plan_of) != now;
        self.intent.priors = self.priors();
        let step = if desired.handover { TransitionStep::StandingBy } else { self.first_step() };
        self.begin(TransitionKind::Rollback, step);
        let successor = Some(self.next_number()).filter(|_| desired.handover);
        if let Some(transition) = self.intent.transition.as_mut() {
            transition.successor = successor;
        }
        self.intent.rolled_back = Some(RolledBack {
            generation: probation.generation,
            to: Some(probation.before),
            rewinds,
            asked,
            hash: desired.attempt_hash.clone(),
            message: bounded_message(message),
        });
        true
    }

    /// The user asks for an earlier revision. True when it is gone back to. During the probation of a change the state goes back
    /// with the plan, else the plan alone.
    pub(super) fn goes_back(&mut self, number: u64, desired: &Desired) -> bool {
        let Some((revision, to)) = desired.asks_for else { return false };
        self.intent.rollback_to = Some(revision);
        let hash_of = |number: u64| self.observed.facts(number).map(|facts| facts.revision_hash.as_str());
        if hash_of(number) == hash_of(to) {
            return false;
        }
        let message = format!("revision {revision} runs, as `spec.rollbackTo` asks");
        let before = self.intent.probation.as_ref().map(|probation| probation.before);
        if before.is_some_and(|before| hash_of(before) == hash_of(to)) {
            return self.take_back_after_all(desired, message, true);
        }
        self.intent.probation = None;
        self.intent.rolled_back = Some(RolledBack {
            generation: number,
            to: Some(to),
            rewinds: false,
            asked: true,
            hash: desired.attempt_hash.clone(),
            message,
        });
        true
    }

    /// Plan and state of before a change are wanted again, and the pods of the change are still there.
    pub(super) fn rolls_back(&self, number: u64) -> bool {
        let rewinds = |desired: &Desired| desired.reverted.is_some_and(|reverted| reverted.undone.is_some());
        self.desired.is_some_and(|desired| rewinds(desired) && !self.has_plan_of(number, desired))
    }

    /// What a change that was taken back has given out is processed again.
    pub(super) fn is_reprocessing(&self) -> bool {
        let units = self.current().into_iter().flat_map(|current| &current.pods);
        let mut units = units.filter_map(|pod| pod.report.as_ref()).flat_map(|report| &report.units);
        units.any(|unit| unit.reprocessing)
    }

    /// Nothing is being changed, and what was taken back stays so.
    pub(super) fn stays_back(&mut self, number: u64, desired: &Desired) -> Phase {
        self.keep(number, desired);
        Phase::RolledBack
    }
}

fn judge(current: &Generation, probation: &Probation, watch: Watch, now_ms: i64) -> Judgement {
    let Some(until) = probation.until.as_ref().map(|until| until.0.as_millisecond()) else {
        return Judgement::Open;
    };
    // Too late to judge: it was suspended, or nobody has looked.
    if now_ms >= until + PROBATION_WITHOUT_TRAFFIC_MS {
        return Judgement::Passed;
    }
    if let Some(why) = failure(current, probation, until - watch.seconds * 1_000, now_ms) {
        return Judgement::Fails(why);
    }
    // What nothing has gone through has shown nothing; but nobody waits for ever.
    let has_worked = reports(&current.pods).any(|report| report.records > 0);
    let end_ms = if has_worked { until } else { until + PROBATION_WITHOUT_TRAFFIC_MS };
    if now_ms >= end_ms { Judgement::Passed } else { Judgement::Open }
}

/// Why a change does not work that is watched since `since_ms`.
fn failure(current: &Generation, probation: &Probation, since_ms: i64, now_ms: i64) -> Option<String> {
    // Other pods of the same plan begin at none.
    let before = if current.number == probation.generation { probation.restarts } else { 0 };
    let crashes = most_restarts(&current.pods) - before;
    if crashes >= RESTARTS_MAX {
        let said = current.pods.iter().find_map(|pod| match &pod.trouble {
            Some(Trouble::Ends { said, .. }) if !said.is_empty() => Some(format!(": {said}")),
            _ => None,
        });
        return Some(format!("a pod has restarted {crashes} times{}", said.unwrap_or_default()));
    }
    if let Some(problem) = permanent_problem(current) {
        return Some(problem);
    }
    // Records that a producer has not committed are no input: what counts is what was read.
    let is_stuck = |report: &&PodStatus| {
        let waits = report.queue_records.is_some_and(|records| records > 0);
        let last_ms = report.last_commit_ms.unwrap_or(report.started_at_ms).max(since_ms);
        waits && now_ms - last_ms >= STUCK_MS
    };
    if reports(&current.pods).any(|report| is_stuck(&report)) {
        return Some(format!("nothing was committed for {} s, and there is input", STUCK_MS / 1_000));
    }
    let letters: u64 = reports(&current.pods).map(|report| report.dead_letters).sum();
    let now = dead_letters_per_mille(&current.pods)?;
    let before = u64::try_from(probation.dead_letters_per_mille?).ok()?;
    (letters >= DEAD_LETTERS_MIN && now > before + DEAD_LETTERS_MORE)
        .then(|| format!("{now} of 1000 records are dead letters, with the version before it were {before}"))
}

/// What a pod says does not pass by itself.
fn permanent_problem(generation: &Generation) -> Option<String> {
    let mut problems = reports(&generation.pods).flat_map(|report| &report.problems);
    problems.find(|problem| problem.permanent).map(|problem| problem.message.clone())
}

fn reports(pods: &[PodSeen]) -> impl Iterator<Item = &PodStatus> {
    pods.iter().filter_map(|pod| pod.report.as_ref())
}

fn most_restarts(pods: &[PodSeen]) -> i64 {
    pods.iter().map(|pod| i64::from(pod.restarts)).max().unwrap_or(0)
}

/// None when nothing has gone through them, or nobody answers.
fn dead_letters_per_mille(pods: &[PodSeen]) -> Option<u64> {
    let (letters, records) = reports(pods)
        .fold((0, 0), |(letters, records), report| (letters + report.dead_letters, records + report.records));
    (letters * 1_000).checked_div(records)
}
