//! The conditions: what holds, why, and what it waits on.

use super::problems::{Problem, problems};
use super::{Facts, ending, event_time, restoring};
use crate::pipeline::observe::PodSeen;
use crate::pipeline::plan::Phase;
use control::call::bounded_message;
use control::status::{MESSAGE_BYTES_MAX, UnitState, UnitStatus};
use control::{Condition as Kind, Reason};
use crds::condition::Verdict;
use crds::pipeline::{RolledBack, Transition, TransitionKind, TransitionStep};

/// Pods that a message names; the rest is counted.
const PODS_NAMED: usize = 3;

/// All conditions, in the order in which kstatus reads them.
pub(super) fn verdicts(facts: &Facts<'_>, pods: &[PodSeen]) -> Vec<Verdict> {
    let successor = facts.decision.successor(facts.observed).map(|next| next.pods.as_slice());
    let problems = problems(pods.iter().chain(successor.unwrap_or_default()));
    let ready = ready(facts, pods, &problems);
    let stalled = stalled(facts, &problems);
    let reconciling = !stalled && ready.holds != Some(true);
    let mut verdicts = vec![
        Verdict::new(Kind::Reconciling, reconciling, ready.reason, ready.message.clone()),
        Verdict::new(Kind::Stalled, stalled, ready.reason, ready.message.clone()),
    ];
    let unknown = unknown(facts, pods, &ready);
    verdicts.push(ready);
    verdicts.push(config_valid(facts, &problems));
    for kind in [Kind::SourcesConnected, Kind::SinksConnected, Kind::Checkpointed] {
        verdicts.push(of_pods(kind, &problems, unknown.as_ref()));
    }
    let by_pods = of_pods(Kind::WatermarkAdvancing, &problems, unknown.as_ref());
    verdicts.push(if by_pods.holds == Some(true) { event_time::moves(facts, pods) } else { by_pods });
    verdicts
}

/// The summary.
fn ready(facts: &Facts<'_>, pods: &[PodSeen], problems: &[Problem]) -> Verdict {
    let verdict = |holds: bool, reason, message: String| Verdict::new(Kind::Ready, holds, reason, message);
    let phase = facts.decision.phase;
    if phase == Phase::Deleting {
        let message = bounded_message(format!("the pipeline is being deleted; {}", waits_on(facts, pods)));
        return verdict(false, ending::reason(facts, late(facts)), message);
    }
    if let Err(invalid) = facts.desired {
        return verdict(false, invalid.reason, with_what_runs(&invalid.message, facts, pods));
    }
    if let Some(failed) = restoring::failed_for_good(facts) {
        return verdict(false, failed.reason.unwrap_or(Reason::SavepointFailed), failed.message.clone());
    }
    if let Some(failure) = facts.failure {
        return verdict(false, Reason::Deploying, bounded_message(failure.to_owned()));
    }
    if phase == Phase::Suspended {
        return verdict(true, Reason::Suspended, suspended(facts).to_owned());
    }
    if phase == Phase::Waiting {
        return verdict(false, Reason::Deploying, restoring::waits_on(facts));
    }
    let mut blocking = problems.iter().filter(|problem| problem.condition != Kind::WatermarkAdvancing);
    if let Some(first) = blocking.next() {
        let more = blocking.count();
        let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
        return verdict(false, first.reason, with_more(&first.message, &more));
    }
    if let Some(transition) = &facts.decision.intent.transition {
        return verdict(false, reason(facts, transition), waits_on(facts, pods));
    }
    match &facts.decision.intent.rolled_back {
        Some(back) if phase == Phase::RolledBack && back.asked => {
            let running = running(facts, pods);
            if running.holds != Some(true) {
                return running;
            }
            verdict(true, Reason::RolledBack, format!("{}; {}", why(back), what_is_live(pods)))
        }
        Some(back) if phase == Phase::RolledBack => {
            let message = format!("{}; {TRY_AGAIN}", why(back));
            verdict(false, Reason::RolledBack, with_what_runs(&message, facts, pods))
        }
        _ => running(facts, pods),
    }
}

/// How much of the reason of a rollback stands before what is said besides.
const REASON_BYTES: usize = 400;

/// Why a change was taken back, short enough for what is said besides.
fn why(back: &RolledBack) -> String {
    let cut = back.message.floor_char_boundary(REASON_BYTES);
    if cut < back.message.len() { format!("{}…", &back.message[..cut]) } else { back.message.clone() }
}

/// What helps against a change that was taken back.
const TRY_AGAIN: &str =
    "change the spec, or set the annotation `weir.dev/restartedAt` to have it tried again as it is";

fn suspended(facts: &Facts<'_>) -> &'static str {
    match facts.decision.intent.generation {
        Some(_) => "suspended as asked; state and positions are kept",
        None => "suspended as asked; it has not run yet",
    }
}

/// Says the number of other problems, whatever has to be cut for it.
fn with_more(message: &str, more: &str) -> String {
    let room = MESSAGE_BYTES_MAX - more.len();
    format!("{}{more}", &message[..message.floor_char_boundary(room)])
}

/// Nothing is wrong and nothing is being changed: is every unit live?
fn running(facts: &Facts<'_>, pods: &[PodSeen]) -> Verdict {
    let wanted = facts.desired.as_ref().map_or(0, |desired| desired.shape.replicas as usize);
    let is_live = |unit: &UnitStatus| unit.state == UnitState::Live;
    let not_live = pods.iter().filter(|pod| !pod.live()).filter_map(|pod| rest(pod, &is_live));
    let not_live: Vec<String> = not_live.collect();
    if not_live.is_empty() && pods.len() == wanted {
        let probation = facts.decision.intent.probation.as_ref();
        let watched = probation.and_then(|probation| {
            let until = probation.until.as_ref()?;
            Some(format!("; generation {} is on probation until {}", probation.generation, until.0))
        });
        let message = what_is_live(pods) + &watched.unwrap_or_default();
        return Verdict::new(Kind::Ready, true, Reason::Running, message);
    }
    let missing = wanted.saturating_sub(pods.len());
    let message = format!("waits for pods to go on: {}", named(&not_live, missing));
    Verdict::new(Kind::Ready, false, Reason::Deploying, message)
}

/// What works, in numbers. How many units a pod has is known by its own word only.
fn what_is_live(pods: &[PodSeen]) -> String {
    let silent: Vec<String> = pods.iter().filter(|pod| pod.silent()).map(|pod| pod.name.clone()).collect();
    let units: usize =
        pods.iter().filter_map(|pod| pod.report.as_ref()).map(|report| report.units.len()).sum();
    let count = counted(pods.len(), "pod");
    if silent.is_empty() {
        return format!("{count}, {} live", counted(units, "unit"));
    }
    format!("{count} live; no answer just now, although ready: {}", named(&silent, 0))
}

/// A number with its word.
pub(crate) fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// What is wrong with the spec keeps nothing from running that runs already.
fn with_what_runs(message: &str, facts: &Facts<'_>, pods: &[PodSeen]) -> String {
    if !all_live(facts, pods) {
        return message.to_owned();
    }
    bounded_message(format!("{message}\nwhat ran before goes on: {}", what_is_live(pods)))
}

/// The reason of a change that goes on.
fn reason(facts: &Facts<'_>, transition: &Transition) -> Reason {
    match (transition.kind, transition.step) {
        (_, TransitionStep::Draining) if late(facts) && transition.successor.is_none() => {
            Reason::SavepointFailed
        }
        (_, TransitionStep::Saving) if ending::has_failed_before(facts) => Reason::SavepointFailed,
        (_, TransitionStep::Saving) | (TransitionKind::Suspend, _) => Reason::Savepointing,
        (TransitionKind::Scale, _) => Reason::Scaling,
        (TransitionKind::Rollback, _) => Reason::RollingBack,
        (TransitionKind::Handover | TransitionKind::Heal, _) => Reason::HandingOver,
        (TransitionKind::Resume, _) if facts.decision.intent.rolled_back.is_some() => Reason::RollingBack,
        (
            TransitionKind::Start
            | TransitionKind::Restore
            | TransitionKind::Recreate
            | TransitionKind::Resume
            | TransitionKind::Delete,
            _,
        ) => Reason::Deploying,
    }
}

fn late(facts: &Facts<'_>) -> bool {
    let transition = facts.decision.intent.transition.as_ref();
    transition.is_some_and(|transition| transition.deadline.0 < facts.observed.now)
}

/// The pods of one generation that are waited for.
#[derive(Clone, Copy)]
struct Side<'a> {
    number: u64,
    pods: &'a [PodSeen],
    /// Pods that are not there yet.
    missing: usize,
}

impl<'a> Side<'a> {
    fn new(number: u64, pods: &'a [PodSeen], wanted: usize) -> Self {
        Self { number, pods, missing: wanted.saturating_sub(pods.len()) }
    }

    /// What is left to do until every unit is as `good` says; none when nothing is.
    fn rest(&self, good: &dyn Fn(UnitState) -> bool) -> Option<String> {
        let good = |unit: &UnitStatus| good(unit.state);
        let rest: Vec<String> = self.pods.iter().filter_map(|pod| rest(pod, &good)).collect();
        (self.missing > 0 || !rest.is_empty()).then(|| named(&rest, self.missing))
    }

    fn named(&self, good: &dyn Fn(UnitState) -> bool) -> String {
        self.rest(good).unwrap_or_else(|| named(&[], 0))
    }
}

fn is_near(state: UnitState) -> bool {
    matches!(state, UnitState::CaughtUp | UnitState::Claiming | UnitState::Live)
}

fn is_live(state: UnitState) -> bool {
    state == UnitState::Live
}

/// What the change waits on.
fn waits_on(facts: &Facts<'_>, pods: &[PodSeen]) -> String {
    let intent = &facts.decision.intent;
    let Some(transition) = &intent.transition else { return "nothing is left to do".to_owned() };
    let wanted = facts.desired.as_ref().map_or(0, |desired| desired.shape.replicas as usize);
    let number = intent.generation.unwrap_or_default();
    let text = match transition.successor {
        Some(successor) => {
            let next = facts.decision.successor(facts.observed).map(|next| next.pods.as_slice());
            let next = Side::new(successor, next.unwrap_or_default(), wanted);
            between(transition.step, Side::new(number, pods, pods.len()), next)
        }
        None if transition.step == TransitionStep::Saving => ending::waits_on(facts),
        None if transition.step == TransitionStep::Restoring => restoring::waits_on(facts),
        None => alone(transition.step, number, pods, wanted),
    };
    let text = match &intent.rolled_back {
        Some(back) if transition.kind == TransitionKind::Rollback => {
            format!("{}; {text}", why(back))
        }
        None if transition.kind == TransitionKind::Heal => format!("{}; {text}", lost_pods(facts, pods)),
        _ => text,
    };
    if !late(facts) {
        return bounded_message(text);
    }
    let deleted = facts.decision.phase == Phase::Deleting && transition.step == TransitionStep::Draining;
    let way_out = if deleted { ending::way_out(facts) } else { String::new() };
    bounded_message(format!("{text}; this takes longer than expected{way_out}"))
}

/// The pods whose place others take.
fn lost_pods(facts: &Facts<'_>, pods: &[PodSeen]) -> String {
    let lost = pods.iter().filter(|pod| pod.is_lost(facts.observed.now));
    let names: Vec<String> = lost.map(|pod| pod.name.clone()).collect();
    if names.is_empty() {
        "pods were lost with their node".to_owned()
    } else {
        format!("the node of {} does not answer", named(&names, 0))
    }
}

/// One generation takes over from another that works.
fn between(step: TransitionStep, old: Side<'_>, next: Side<'_>) -> String {
    let number = next.number;
    match step {
        TransitionStep::Draining => {
            match old.rest(&|state| matches!(state, UnitState::Released | UnitState::Cut)) {
                Some(rest) => format!("waits for the old pods to finish: {rest}"),
                None => {
                    format!("waits for pods of generation {number} to take over: {}", next.named(&is_live))
                }
            }
        }
        TransitionStep::Promoting => {
            format!("generation {number} did not take over: waits for its pods to disappear")
        }
        _ => match next.rest(&is_near) {
            Some(rest) => format!(
                "the pods that work go on; waits for pods of generation {number} to start and to restore: {rest}"
            ),
            None => format!(
                "pods of generation {number} are ready; waits for the old pods to work: {}",
                old.named(&is_live)
            ),
        },
    }
}

/// There is one generation, or one after the other.
fn alone(step: TransitionStep, number: u64, pods: &[PodSeen], wanted: usize) -> String {
    let side = Side::new(number, pods, wanted);
    match step {
        TransitionStep::Draining => {
            let all = Side::new(number, pods, pods.len());
            let left = all.named(&|state| state == UnitState::Cut);
            format!("waits for pods to finish and to save their state: {left}")
        }
        TransitionStep::Removing => "waits for the old pods to disappear".to_owned(),
        TransitionStep::Restoring | TransitionStep::StandingBy | TransitionStep::Starting => {
            format!("waits for pods of generation {number} to start and to restore: {}", side.named(&is_near))
        }
        TransitionStep::Promoting => match (side.rest(&is_live), reprocessing(pods)) {
            (None, units) if units > 0 => format!(
                "generation {number} processes again what was processed after the change, without giving it out: {} left",
                counted(units, "unit")
            ),
            _ => format!("waits for pods of generation {number} to take over: {}", side.named(&is_live)),
        },
        TransitionStep::Saving | TransitionStep::Cleaning => {
            "waits for the Job that deletes the internal topics".to_owned()
        }
    }
}

/// Units that process again what a change that was taken back has processed.
fn reprocessing(pods: &[PodSeen]) -> usize {
    let units = pods.iter().filter_map(|pod| pod.report.as_ref()).flat_map(|report| &report.units);
    units.filter(|unit| unit.reprocessing).count()
}

/// What is left to do in a pod, if anything is.
fn rest(pod: &PodSeen, good: &dyn Fn(&UnitStatus) -> bool) -> Option<String> {
    let Some(report) = &pod.report else {
        let why = if pod.silent() { "does not answer" } else { "does not run yet" };
        return Some(format!("{} {why}", pod.name));
    };
    if !report.is_complete() {
        return Some(format!("{} has not read the topics yet", pod.name));
    }
    let done = report.units.iter().filter(|unit| good(unit)).count();
    let total = report.units.len();
    (done < total).then(|| format!("{} ({done} of {total} units)", pod.name))
}

fn named(pods: &[String], missing: usize) -> String {
    let mut parts: Vec<String> = pods.iter().take(PODS_NAMED).cloned().collect();
    if pods.len() > PODS_NAMED {
        parts.push(format!("{} more", pods.len() - PODS_NAMED));
    }
    if missing > 0 {
        parts.push(format!("{missing} not there yet"));
    }
    if parts.is_empty() { "all are there".to_owned() } else { parts.join(", ") }
}

/// The user has to act: the spec is wrong, a problem does not go away by itself, or a change does not get anywhere.
fn stalled(facts: &Facts<'_>, problems: &[Problem]) -> bool {
    let deleting = facts.decision.phase == Phase::Deleting;
    let hopeless = |problem: &Problem| problem.permanent && problem.condition != Kind::WatermarkAdvancing;
    let phase = facts.decision.phase;
    let asked = facts.decision.intent.rolled_back.as_ref().is_some_and(|back| back.asked);
    let refused = facts.desired.is_err() || phase == Phase::RolledBack && !asked;
    let restored = restoring::failed_for_good(facts).is_none();
    if deleting {
        return ending::reason(facts, late(facts)) == Reason::SavepointFailed;
    }
    refused || !restored || ending::has_failed_before(facts) || problems.iter().any(hopeless) || late(facts)
}

fn config_valid(facts: &Facts<'_>, problems: &[Problem]) -> Verdict {
    match facts.desired {
        // What is wrong is the step from the state that there is to this plan, not the plan.
        Err(invalid) if invalid.reason != Reason::StateIncompatible => {
            Verdict::new(Kind::ConfigValid, false, invalid.reason, invalid.message.clone())
        }
        _ => match problems.iter().find(|problem| problem.condition == Kind::ConfigValid) {
            Some(problem) => Verdict::new(Kind::ConfigValid, false, problem.reason, problem.message.clone()),
            None => Verdict::new(Kind::ConfigValid, true, Reason::Running, "the spec makes a valid plan"),
        },
    }
}

/// Why nobody can judge what only pods can; none while all of them are live.
fn unknown(facts: &Facts<'_>, pods: &[PodSeen], ready: &Verdict) -> Option<(Reason, &'static str)> {
    if facts.decision.phase == Phase::Suspended {
        return Some((Reason::Suspended, "not known while the pipeline is suspended"));
    }
    if pods.is_empty() {
        return Some((ready.reason, "not known while no pod runs"));
    }
    (!all_live(facts, pods)).then_some((Reason::Deploying, "not known while not every pod is live"))
}

/// Every pod that the StatefulSet wants is there and live.
fn all_live(facts: &Facts<'_>, pods: &[PodSeen]) -> bool {
    let number = facts.decision.intent.generation;
    let wanted = number.and_then(|number| facts.observed.generation(number)?.replicas).unwrap_or_default();
    !pods.is_empty()
        && pods.len() >= usize::try_from(wanted).unwrap_or_default()
        && pods.iter().all(PodSeen::live)
}

/// A condition that only pods can judge: False by a problem, else unknown or True.
fn of_pods(kind: Kind, problems: &[Problem], unknown: Option<&(Reason, &'static str)>) -> Verdict {
    match (problems.iter().find(|problem| problem.condition == kind), unknown) {
        (Some(problem), _) => Verdict::new(kind, false, problem.reason, problem.message.clone()),
        (None, Some((reason, why))) => Verdict::new(kind, None, *reason, *why),
        (None, None) => Verdict::new(kind, true, Reason::Running, "no pod reports a problem"),
    }
}
