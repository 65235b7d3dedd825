//! Situations: what was seen, made by few words, and what is reported of it.

mod savepoints;

use super::{Counted, Facts, events, status};
use crate::pipeline::RESTARTED_AT_ANNOTATION;
use crate::pipeline::fixture::{
    after, carried_out, created, decide, desired, edited, live, noon, of, recreate, with_lost_pod, with_pods,
    without_pods,
};
use crate::pipeline::observe::{Cleanup, Observed, Trouble};
use control::status::{Problem, SecretStatus, UnitState};
use control::{Condition as Kind, Reason};
use crds::{StreamPipeline, StreamPipelineStatus, StreamWindow};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::events::Event;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// One row of the table: an object as it is after the report, and the events that are written when it becomes so.
pub(super) struct Situation {
    pub(super) name: &'static str,
    pub(super) kind: &'static str,
    pub(super) object: Value,
    pub(super) now: Timestamp,
    pub(super) events: Vec<Event>,
}

pub(super) fn reported(observed: &Observed) -> StreamPipelineStatus {
    reported_with(observed, None).0
}

fn reported_with(observed: &Observed, failure: Option<&str>) -> (StreamPipelineStatus, Vec<Event>) {
    let (desired, decision) = (desired(observed), decide(observed));
    let facts = Facts { observed, desired: &desired, decision: &decision, failure };
    let after = status(&facts, &Counted::default()).0;
    let events = events::events(&observed.status(), &after, &decision);
    (after, events)
}

fn situation(name: &'static str, observed: Observed) -> Situation {
    failing(name, observed, None)
}

fn failing(name: &'static str, mut observed: Observed, failure: Option<&str>) -> Situation {
    let (status, events) = reported_with(&observed, failure);
    observed.pipeline.status = Some(status);
    let object = serde_json::to_value(&observed.pipeline).expect("encodes");
    as_stored(name, "StreamPipeline", object, observed.now, events)
}

/// An object of four days, as the API server gives it.
fn as_stored(
    name: &'static str,
    kind: &'static str,
    mut object: Value,
    now: Timestamp,
    events: Vec<Event>,
) -> Situation {
    object["metadata"]["creationTimestamp"] = json!("2025-12-28T12:00:00Z");
    Situation { name, kind, object, now, events }
}

pub(super) fn starting() -> Observed {
    carried_out(created(), &decide(&created()))
}

pub(super) fn running() -> Observed {
    live(created(), 1)
}

pub(super) fn problem(condition: Kind, reason: Option<Reason>, permanent: bool, message: &str) -> Problem {
    let component = Some("clicks".to_owned());
    Problem { reason, condition, component, message: message.to_owned(), permanent, since_ms: 0 }
}

pub(super) fn missing_topic() -> Problem {
    let message = "source 'clicks': topic `clickz` was not found on my-kafka:9092; did you mean `clicks`?";
    problem(Kind::SourcesConnected, Some(Reason::TopicNotFound), false, message)
}

/// Every pod of generation 1 says this.
pub(super) fn with_problems(mut observed: Observed, problems: &[Problem]) -> Observed {
    for pod in &mut of(&mut observed, 1).pods {
        pod.report.as_mut().expect("a report").problems = problems.to_vec();
    }
    observed
}

fn told(condition: Kind, reason: Reason, message: &str) -> Observed {
    with_problems(running(), &[problem(condition, Some(reason), false, message)])
}

pub(super) fn secret(missing: &[&str], hash: Option<&str>) -> SecretStatus {
    let missing_keys = missing.iter().map(|key| (*key).to_owned()).collect();
    SecretStatus { name: "my-kafka-access".to_owned(), missing_keys, hash: hash.map(str::to_owned) }
}

/// Every pod of generation 1 sees the Secret like this.
pub(super) fn with_secret(mut observed: Observed, secret: &SecretStatus) -> Observed {
    for pod in &mut of(&mut observed, 1).pods {
        pod.report.as_mut().expect("a report").secrets = vec![secret.clone()];
    }
    observed
}

fn with_trouble(mut observed: Observed, trouble: Trouble) -> Observed {
    let pod = &mut of(&mut observed, 1).pods[0];
    (pod.trouble, pod.report, pod.address) = (Some(trouble), None, None);
    observed
}

fn ends(code: i32, said: &str) -> Trouble {
    Trouble::Ends { code, said: said.to_owned() }
}

/// The last pod of generation 1 runs and does not answer.
pub(super) fn silent(mut observed: Observed, ready: bool) -> Observed {
    let pod = of(&mut observed, 1).pods.last_mut().expect("a pod");
    (pod.report, pod.ready) = (None, ready);
    observed
}

/// One look of the operator: decided and carried out.
fn look(observed: Observed) -> Observed {
    let decision = decide(&observed);
    carried_out(observed, &decision)
}

fn edit_topic(observed: Observed) -> Observed {
    edited(observed, |pipeline| {
        pipeline.metadata.generation = Some(2);
        pipeline.spec.sinks[0].kafka.as_mut().expect("a topic").topic = "elsewhere".to_owned();
    })
}

fn suspend(observed: Observed, suspend: bool) -> Observed {
    edited(observed, |pipeline| {
        pipeline.metadata.generation = pipeline.metadata.generation.map(|generation| generation + 1);
        pipeline.spec.suspend = Some(suspend);
    })
}

pub(super) fn draining() -> Observed {
    look(recreate(edit_topic(running())))
}

/// Pods of another plan stand by, have caught up, and everybody is told.
fn changing_over() -> Observed {
    let standing_by = look(edit_topic(running()));
    look(with_pods(standing_by, 2, UnitState::CaughtUp))
}

pub(super) fn suspended() -> Observed {
    let draining = look(suspend(running(), true));
    without_pods(look(with_pods(draining, 1, UnitState::Cut)), 1)
}

fn without_windows(observed: Observed) -> Observed {
    Observed { windows: BTreeMap::new(), ..observed }
}

/// The window gets another size.
fn resized(mut observed: Observed) -> Observed {
    let window = observed.windows.get_mut("per-user-5m").expect("a window");
    window.tumbling.as_mut().expect("tumbling").size = ::pipeline::spec::Duration("10m".to_owned());
    observed
}

fn misspelled(observed: Observed) -> Observed {
    edited(observed, |pipeline| pipeline.spec.sinks[0].from = Some(vec!["per-usr".to_owned()]))
}

fn deleted(observed: Observed) -> Observed {
    let now = Time(observed.now);
    edited(observed, |pipeline| pipeline.metadata.deletion_timestamp = Some(now))
}

/// Every situation of the table, by what the user did and what happened to it.
pub(super) fn situations() -> Vec<Situation> {
    let all =
        [life(), changes(), mistakes(), told_by_pods(), told_by_kubernetes(), ends_of_life(), windows()];
    let of_savepoints =
        [savepoints::restored(), savepoints::upgrading(), savepoints::ending(), savepoints::taken()];
    all.into_iter().chain(of_savepoints).flatten().collect()
}

/// From a new object to one that runs.
fn life() -> Vec<Situation> {
    let lost = with_lost_pod(running(), 1, 0, 15);
    let mut unseen = serde_json::to_value(&created().pipeline).expect("encodes");
    unseen["status"] = json!({"observedGeneration": -1});
    let mut blind = with_pods(starting(), 1, UnitState::Restoring);
    for pod in &mut of(&mut blind, 1).pods {
        let report = pod.report.as_mut().expect("a report");
        (report.units, report.workers[0].incarnation) = (Vec::new(), None);
    }
    let one = edited(created(), |pipeline| pipeline.spec.replicas = Some(1));
    let mut gone = running();
    of(&mut gone, 1).pods.pop();
    let promoting = look(with_pods(starting(), 1, UnitState::CaughtUp));
    vec![
        as_stored("the operator has not seen it yet", "StreamPipeline", unseen, noon(), Vec::new()),
        situation("created", created()),
        situation("created suspended", suspend(created(), true)),
        situation("starting, no pods yet", starting()),
        situation("the pods have not read the topics yet", blind),
        situation("restoring", with_pods(starting(), 1, UnitState::Restoring)),
        situation("restoring takes too long", after(with_pods(starting(), 1, UnitState::Restoring), 601)),
        situation("caught up", with_pods(starting(), 1, UnitState::CaughtUp)),
        situation("claiming", with_pods(promoting.clone(), 1, UnitState::Claiming)),
        situation("claiming takes too long", after(with_pods(promoting, 1, UnitState::Claiming), 61)),
        situation("running", running()),
        situation("running, one pod", live(one, 1)),
        situation("one pod is silent and its readiness probe succeeds", silent(running(), true)),
        situation("one pod is silent and not ready", silent(running(), false)),
        situation("one pod is gone", gone),
        situation("a node does not answer: its pod is lost", lost.clone()),
        situation("a node does not answer: others stand by", with_pods(look(lost), 2, UnitState::Restoring)),
    ]
}

/// A pipeline that runs is changed.
fn changes() -> Vec<Situation> {
    let mut unseen = running();
    unseen.pipeline.status = Some(reported(&unseen));
    unseen.pipeline.metadata.generation = Some(2);
    let unseen = serde_json::to_value(&unseen.pipeline).expect("encodes");
    let released = with_pods(draining(), 1, UnitState::Released);
    let removing = look(with_pods(draining(), 1, UnitState::Cut));
    let next = look(removing.clone());
    let standing_by = with_pods(look(edit_topic(running())), 2, UnitState::Restoring);
    let finished = with_pods(changing_over(), 1, UnitState::Cut);
    let mut refused = after(finished.clone(), 76);
    for pod in &mut of(&mut refused, 2).pods {
        let denied = "claim was denied: the right Write on topic `weir.shop.clicks.0a1b2c3d.per-user.commits` is missing";
        pod.report.as_mut().expect("a report").problems =
            vec![problem(Kind::SinksConnected, Some(Reason::AuthFailed), false, denied)];
    }
    let rolling_back = look(refused);
    let rolled_back = look(with_pods(look(rolling_back.clone()), 1, UnitState::Live));
    let watched = look(with_pods(with_pods(changing_over(), 1, UnitState::Released), 2, UnitState::Live));
    let mut crashed = with_pods(watched.clone(), 2, UnitState::Live);
    of(&mut crashed, 2).pods[1].restarts = 3;
    let failing_now = look(crashed);
    let stands_by = with_pods(look(failing_now.clone()), 3, UnitState::Restoring);
    let finishing = look(with_pods(stands_by.clone(), 3, UnitState::CaughtUp));
    let mut reprocessing =
        with_pods(with_pods(finishing.clone(), 2, UnitState::Released), 3, UnitState::Live);
    for pod in &mut of(&mut reprocessing, 3).pods {
        pod.report.as_mut().expect("a report").units.iter_mut().for_each(|unit| unit.reprocessing = true);
    }
    let back = look(look(with_pods(look(reprocessing.clone()), 3, UnitState::Live)));
    let scaling = look(edited(running(), |pipeline| pipeline.spec.replicas = Some(3)));
    let taking_over = look(with_pods(scaling.clone(), 2, UnitState::CaughtUp));
    let taking_over = with_pods(taking_over, 2, UnitState::Claiming);
    let mut no_room = after(with_pods(scaling.clone(), 2, UnitState::Restoring), 601);
    for pod in &mut of(&mut no_room, 2).pods {
        let why = "0/3 nodes are available: 3 Insufficient cpu.".to_owned();
        (pod.report, pod.address, pod.trouble) = (None, None, Some(Trouble::Unschedulable(why)));
    }
    let restarting = edited(running(), |pipeline| {
        pipeline.annotations_mut().insert(RESTARTED_AT_ANNOTATION.to_owned(), "now".to_owned());
    });
    let suspending = look(suspend(running(), true));
    let resuming = look(suspend(suspended(), false));
    vec![
        as_stored("the operator has not seen the new spec yet", "StreamPipeline", unseen, noon(), Vec::new()),
        situation("no room, another spec: draining", released.clone()),
        situation("draining takes too long", after(released, 61)),
        situation("the old pods go", removing),
        situation("the next generation restores", with_pods(next, 2, UnitState::Restoring)),
        situation("another spec: new pods stand by", standing_by),
        situation("another spec: the old pods finish", changing_over()),
        situation("another spec: new pods are to claim", finished.clone()),
        situation("another spec: new pods claim", with_pods(finished, 2, UnitState::Claiming)),
        situation("another spec: it is taken back", rolling_back.clone()),
        situation("another spec: the old pods are resumed", look(rolling_back)),
        situation("another spec: it was taken back", rolled_back),
        situation("another spec works: on probation", watched),
        situation("another spec does not work: it is to be taken back", failing_now),
        situation("another spec does not work: the version before stands by", stands_by),
        situation("another spec does not work: its pods finish", finishing),
        situation("another spec does not work: all is processed again", reprocessing),
        situation("another spec did not work: it was taken back", back),
        situation("more replicas: new pods stand by", with_pods(scaling.clone(), 2, UnitState::Restoring)),
        situation("more replicas: new pods take over", taking_over),
        situation("more replicas: no room for new pods", no_room),
        situation("restart asked for", restarting),
        situation("suspending", with_pods(suspending.clone(), 1, UnitState::Released)),
        situation("suspending, state is durable", with_pods(suspending, 1, UnitState::Cut)),
        situation("suspended", suspended()),
        situation("resuming", with_pods(resuming, 1, UnitState::Restoring)),
    ]
}

/// The user's mistakes.
fn mistakes() -> Vec<Situation> {
    let schemaless = edited(created(), |pipeline| {
        pipeline.spec.sources[0].schema =
            serde_saphyr::from_str("configMapKeyRef: {name: click-schema, key: a.json}").expect("a schema");
    });
    let unreadable = Observed {
        unreadable_windows: BTreeMap::from([("per-user-5m".to_owned(), "invalid type: string".to_owned())]),
        ..without_windows(created())
    };
    let image = edited(created(), |pipeline| pipeline.spec.image = Some("evil:1".to_owned()));
    let two = edited(misspelled(created()), |pipeline| pipeline.spec.image = Some("evil:1".to_owned()));
    vec![
        situation("window missing", without_windows(created())),
        situation("window deleted while it runs", without_windows(running())),
        situation("schema missing", schemaless),
        situation("spec invalid", misspelled(created())),
        situation("spec invalid while it runs", misspelled(running())),
        situation("two mistakes", two),
        situation("no Kafka", edited(created(), |pipeline| pipeline.spec.kafka = None)),
        situation("image not allowed", image),
        situation("window unreadable", unreadable),
        situation("another meaning of a window that has state", resized(running())),
    ]
}

/// What the pods say is wrong.
fn told_by_pods() -> Vec<Situation> {
    let topic = missing_topic();
    let sink = "sink 'counts': topic `clicks-per-user` was not found on my-kafka:9092";
    let diverged = "journal of per-user/3 is broken: seq 7 follows 5";
    let panicked = "per-user/1, clicks-per-user/1 at 7..9: the engine failed: index out of bounds; this is a bug of weir: report it with these records";
    let permanent = |condition, reason, message| problem(condition, Some(reason), true, message);
    let waits = problem(
        Kind::ConfigValid,
        Some(Reason::SecretKeyMissing),
        false,
        "secret `my-kafka-access`: key `bootstrap.servers` is missing in the Kafka access secret at /etc/weir",
    );
    let no_secret = secret(&["bootstrap.servers"], None);
    let no_key = secret(&["bootstrap.servers"], Some("00"));
    let restoring = with_pods(starting(), 1, UnitState::Restoring);
    vec![
        situation("topic missing", with_problems(running(), std::slice::from_ref(&topic))),
        situation(
            "topic missing while starting",
            with_problems(restoring.clone(), std::slice::from_ref(&topic)),
        ),
        situation("topic of a sink missing", told(Kind::SinksConnected, Reason::TopicNotFound, sink)),
        situation(
            "no right to read",
            told(
                Kind::SourcesConnected,
                Reason::AuthFailed,
                "reading was refused: topic `clicks`: Topic authorization failed",
            ),
        ),
        situation(
            "no broker",
            told(
                Kind::SourcesConnected,
                Reason::BrokerUnreachable,
                "broker my-kafka:9092 cannot be reached: Connection refused",
            ),
        ),
        situation(
            "a sink takes nothing",
            told(
                Kind::SinksConnected,
                Reason::SinkUnavailable,
                "writing failed: topic `clicks-per-user`: Not enough in-sync replicas",
            ),
        ),
        situation(
            "snapshots fail",
            told(Kind::Checkpointed, Reason::CheckpointFailing, "snapshot `per-user/0` failed: disk full"),
        ),
        situation(
            "state that cannot be used",
            with_problems(running(), &[permanent(Kind::Checkpointed, Reason::StateIncompatible, diverged)]),
        ),
        situation(
            "the engine panics",
            with_problems(running(), &[permanent(Kind::Ready, Reason::CrashLooping, panicked)]),
        ),
        situation("Secret missing", with_secret(with_problems(restoring, &[waits]), &no_secret)),
        situation("Secret without a key", with_secret(running(), &no_key)),
        situation("event time stands", standing(0)),
        situation("event time stands, and records wait", standing(50)),
        situation("no record has been read yet", unread()),
        situation(
            "a source is idle, by its own word",
            told(Kind::WatermarkAdvancing, Reason::IdleSource, "source 'clicks' has had no record for 30s"),
        ),
        situation(
            "a reason of a newer runtime",
            with_problems(
                running(),
                &[problem(Kind::SinksConnected, None, false, "sink 'counts': something new")],
            ),
        ),
        situation(
            "two problems",
            with_problems(
                running(),
                &[topic, permanent(Kind::Checkpointed, Reason::StateIncompatible, diverged)],
            ),
        ),
    ]
}

/// A minute after the numbers were written nothing has moved.
fn standing(lag: u64) -> Observed {
    let mut observed = running();
    for pod in &mut of(&mut observed, 1).pods {
        pod.report.as_mut().expect("a report").lag.records = Some(lag);
    }
    observed.pipeline.status = Some(reported(&observed));
    after(observed, 60)
}

fn unread() -> Observed {
    let mut observed = running();
    for pod in &mut of(&mut observed, 1).pods {
        pod.report.as_mut().expect("a report").watermark_ms = None;
    }
    observed
}

/// What Kubernetes says is wrong.
fn told_by_kubernetes() -> Vec<Situation> {
    let restoring = || with_pods(starting(), 1, UnitState::Restoring);
    let no_room = Trouble::Unschedulable("0/3 nodes are available: 3 Insufficient memory".to_owned());
    let no_image = Trouble::Image("weir:test: not found".to_owned());
    let quota = "failed to apply: failed to apply StatefulSet clicks-g1: quota exceeded";
    vec![
        situation("no room", with_trouble(restoring(), no_room)),
        situation("no image", with_trouble(restoring(), no_image)),
        situation("crash loop", with_trouble(running(), ends(137, "killed"))),
        situation(
            "the pods refuse what they are told to run",
            with_trouble(running(), ends(78, "step `w`: no")),
        ),
        failing("a quota keeps pods from being made", created(), Some(quota)),
    ]
}

/// It is deleted, or cannot be read any more.
fn ends_of_life() -> Vec<Situation> {
    let removing = look(deleted(running()));
    let cleaning = look(Observed { cleanup: Some(Cleanup::Running), ..removing.clone() });
    let failed = Observed { cleanup: Some(Cleanup::Failed), ..cleaning.clone() };
    let unreadable = unreadable("StreamPipeline", serde_json::to_value(running().pipeline).expect("encodes"));
    vec![
        situation("deleted", deleted(running())),
        situation("deleted, internal topics go", Observed { cleanup: Some(Cleanup::Running), ..cleaning }),
        situation("deleted, internal topics cannot be deleted", failed),
        as_stored("unreadable", "StreamPipeline", unreadable, noon(), Vec::new()),
    ]
}

/// The object after the operator met a spec that it cannot read.
fn unreadable(kind: &str, mut object: Value) -> Value {
    let kinds: &[Kind] =
        if kind == "StreamWindow" { &[Kind::Ready] } else { &[Kind::Ready, Kind::ConfigValid] };
    let error = "spec.keyBy: invalid type: string \"many\", expected a sequence";
    let said = crate::unreadable::status(&object["status"], error, kinds, 1, &Time(noon())).expect("news");
    for (field, value) in said.as_object().expect("fields") {
        object["status"][field] = value.clone();
    }
    object
}

/// The other kind.
fn windows() -> Vec<Situation> {
    let text = "
apiVersion: weir.dev/v1alpha1
kind: StreamWindow
metadata: {name: per-user-5m, namespace: shop, generation: 1}
spec:
  keyBy: [user_id]
  tumbling: {size: 5m}
  aggregates: [{name: clicks, function: Count}]
";
    let window: StreamWindow = serde_saphyr::from_str(text).expect("a window");
    let user = |observed: Observed| StreamPipeline {
        status: Some(reported(&observed)),
        ..observed.pipeline.clone()
    };
    let seen = |name, users: &[StreamPipeline]| {
        let status = crate::window::status(&window, users.iter(), &Time(noon()));
        let object = StreamWindow { status: Some(status), ..window.clone() };
        let object = serde_json::to_value(object).expect("encodes");
        as_stored(name, "StreamWindow", object, noon(), Vec::new())
    };
    let mut counting = running();
    for pod in &mut of(&mut counting, 1).pods {
        pod.report.as_mut().expect("a report").windows =
            vec![control::status::WindowStatus { step: "per-user".to_owned(), open: Some(20), late: 1 }];
    }
    let mut unseen = serde_json::to_value(&window).expect("encodes");
    unseen["status"] = json!({"observedGeneration": -1});
    let bad = unreadable("StreamWindow", unseen.clone());
    vec![
        as_stored("a window that the operator has not seen yet", "StreamWindow", unseen, noon(), Vec::new()),
        seen("a window that nobody uses", &[]),
        seen("a window that is used", &[user(counting)]),
        seen("a window of a pipeline that starts", &[user(starting())]),
        as_stored("a window that cannot be read", "StreamWindow", bad, noon(), Vec::new()),
    ]
}
