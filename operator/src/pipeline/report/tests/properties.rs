//! What holds in any status, whatever was seen before.

use super::situations::problem;
use crate::pipeline::fixture::{carried_out, created, decide, desired};
use crate::pipeline::observe::{Observed, PodSeen};
use crate::pipeline::plan::tests::{Event, event, happens};
use crate::pipeline::report::{Counted, Facts, events, merge_patch, status};
use control::status::{MESSAGE_BYTES_MAX, UnitState};
use control::{Condition as Kind, Reason};
use crds::StreamPipelineStatus;
use crds::condition::find;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::SignedDuration;
use proptest::prelude::*;

/// Something that the pods say is wrong: condition, reason, and whether a retry can help.
type Wrong = (usize, usize, bool);

/// What happens between two looks, and what is wrong at the second.
#[derive(Clone, Debug)]
struct Turn {
    event: Event,
    wrong: Option<Wrong>,
    ready: bool,
    failure: bool,
}

fn turn() -> impl Strategy<Value = Turn> {
    let wrong = (0..Kind::ALL.len(), 0..Reason::ALL.len(), any::<bool>());
    let parts = (event(), prop::option::weighted(0.2, wrong), any::<bool>(), prop::bool::weighted(0.1));
    parts.prop_map(|(event, wrong, ready, failure)| Turn { event, wrong, ready, failure })
}

fn pods(observed: &mut Observed) -> impl Iterator<Item = &mut PodSeen> {
    observed.generations.iter_mut().flat_map(|generation| &mut generation.pods)
}

/// The situation at the next look.
fn next(observed: Observed, turn: &Turn) -> Observed {
    let spec = matches!(turn.event, Event::Topic(_) | Event::Replicas(_) | Event::Suspend(_));
    let mut observed = happens(observed, &turn.event);
    if spec {
        let generation = observed.pipeline.metadata.generation.unwrap_or_default();
        observed.pipeline.metadata.generation = Some(generation + 1);
    }
    for pod in pods(&mut observed) {
        pod.ready = turn.ready;
        let Some(report) = &mut pod.report else { continue };
        report.problems = turn.wrong.iter().map(said).collect();
    }
    observed.now = observed.now.checked_add(SignedDuration::from_secs(1)).expect("in range");
    observed
}

fn said((kind, reason, permanent): &Wrong) -> control::status::Problem {
    problem(Kind::ALL[*kind], Some(Reason::ALL[*reason]), *permanent, &"what and where ".repeat(80))
}

fn conditions_keep_the_rules(
    before: &StreamPipelineStatus,
    after: &StreamPipelineStatus,
    observed: &Observed,
) {
    let generation = observed.pipeline.metadata.generation;
    assert_eq!(Some(after.observed_generation), generation, "the generation that was judged");
    let has = |kind| find(&after.conditions, kind).is_some();
    assert!(!(has(Kind::Reconciling) && has(Kind::Stalled)));
    let ready = find(&after.conditions, Kind::Ready).expect("always there");
    assert_eq!(ready.status == "True", !has(Kind::Reconciling) && !has(Kind::Stalled));
    assert!(after.conditions.len() <= Kind::ALL.len());
    for condition in &after.conditions {
        let kind = Kind::parse(&condition.type_).expect("one of the closed list");
        assert!(Reason::parse(&condition.reason).is_some(), "{}", condition.reason);
        assert!(matches!(condition.message.len(), 1..=MESSAGE_BYTES_MAX), "{condition:?}");
        assert_eq!(condition.observed_generation, generation);
        let same = find(&after.conditions, kind).expect("it is there");
        assert!(std::ptr::eq(same, condition), "each once");
        let old = find(&before.conditions, kind).filter(|old| old.status == condition.status);
        let since = old.map_or(Time(observed.now), |old| old.last_transition_time.clone());
        assert_eq!(condition.last_transition_time, since, "a time changes only with its status");
    }
}

/// `Ready` is never True while a unit is known not to be live, or a pod is missing.
fn ready_is_true(after: &StreamPipelineStatus, observed: &Observed, wanted: i32) {
    let ready = find(&after.conditions, Kind::Ready).expect("always there");
    if ready.status != "True" {
        return;
    }
    let current = after.generation.and_then(|number| observed.generation(number));
    let pods = current.map(|generation| generation.pods.as_slice()).unwrap_or_default();
    if ready.reason == "Suspended" {
        assert!(observed.pipeline.spec.suspend == Some(true) && pods.is_empty());
        return;
    }
    assert_eq!((ready.reason.as_str(), pods.len()), ("Running", usize::try_from(wanted).expect("few")));
    for pod in pods {
        let live = pod.report.as_ref().is_none_or(|report| {
            report.is_complete() && report.units.iter().all(|unit| unit.state == UnitState::Live)
        });
        assert!(live && (pod.report.is_some() || pod.ready), "{}", pod.name);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_status_breaks_the_rules(turns in prop::collection::vec(turn(), 1..24)) {
        let mut observed = created();
        for turn in &turns {
            observed = next(observed, turn);
            let (desired, decision) = (desired(&observed), decide(&observed));
            let failure = turn.failure.then_some("failed to apply StatefulSet clicks-g1: quota exceeded");
            let facts = Facts { observed: &observed, desired: &desired, decision: &decision, failure };
            let before = observed.status();
            let (after, counted) = status(&facts, &Counted::default());
            conditions_keep_the_rules(&before, &after, &observed);
            let wanted = desired.as_ref().map_or(0, |desired| desired.shape.replicas);
            ready_is_true(&after, &observed, i32::try_from(wanted).expect("few"));
            let ready = find(&after.conditions, Kind::Ready).expect("always there");
            prop_assert!(!turn.failure || ready.status == "False", "what could not be done is said");
            let told = events::events(&before, &after, &decision);
            prop_assert!(told.len() <= 4, "{} events", told.len());
            // The same look again has nothing to add.
            let mut written = observed.clone();
            written.pipeline.status = Some(after.clone());
            let facts = Facts { observed: &written, ..facts };
            let again = status(&facts, &counted).0;
            prop_assert_eq!(merge_patch(&after, &again).expect("encodes"), None);
            prop_assert_eq!(events::events(&after, &again, &decision).len(), usize::from(decision.note.is_some()));
            observed = carried_out(written, &decision);
        }
    }
}
