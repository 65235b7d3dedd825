//! Scaling policies against the same API server and pods: what is measured becomes a number of pods by `/scale` and by
//! nothing else, and what is in the way is said.

use crate::api::Fault;
use crate::{World, prepare};
use crds::ScalingPolicy;
use crds::scaling::ScalingPolicyStatus;
use jiff::{SignedDuration, Timestamp};
use kube::core::DeserializeGuard;
use kube::runtime::reflector::Lookup;
use kube::runtime::{reflector::store, watcher};
use operator::context::Context;
use operator::scaling::controller::{ScalingContext, step};
use serde_json::{Value, json};
use std::sync::Arc;

const POLICIES: &str = "apis/weir.dev/v1alpha1/namespaces/shop/scalingpolicies";
/// Seconds between two looks.
const LOOK: i64 = 15;

type Policy = DeserializeGuard<ScalingPolicy>;

/// A cluster with policies, and its own clock for them.
struct Scaled {
    world: World,
    context: Arc<Context>,
    now: Timestamp,
}

fn policy(name: &str, spec: &Value) -> Value {
    let mut all = json!({
        "scaleTargetRef": {"name": "clicks"}, "maxReplicas": 2, "metrics": [{"consumerLag": {"averageValue": 100}}],
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 60, "cooldownSeconds": 120}},
    });
    for (field, value) in spec.as_object().expect("fields") {
        all[field] = value.clone();
    }
    json!({
        "apiVersion": "weir.dev/v1alpha1", "kind": "ScalingPolicy",
        "metadata": {"name": name, "namespace": "shop", "uid": format!("uid-{name}"), "generation": 1},
        "spec": all,
    })
}

impl Scaled {
    /// A running pipeline with one pod, and this policy.
    async fn new(spec: &Value) -> Self {
        prepare();
        let mut world = World::new();
        world.edit(|spec| spec["replicas"] = json!(1));
        world.until(|world| world.is("Running")).await;
        world.api.objects().put(POLICIES, policy("clicks", spec));
        let context = world.operator();
        // Whole seconds, as statuses have them.
        let now = Timestamp::from_second(Timestamp::now().as_second()).expect("a time");
        Self { world, context, now }
    }

    fn measure(&self, fields: &Value) {
        let fields = fields.as_object().expect("fields").clone();
        self.world.kubelet.kafka.lock().expect("free").measured = fields.into_iter().collect();
    }

    fn policies(&self) -> Vec<Policy> {
        let objects = self.world.api.objects().all("scalingpolicies");
        objects.into_iter().map(|object| serde_json::from_value(object).expect("an object")).collect()
    }

    /// Every policy is looked at once, as often as it is said, a while apart.
    async fn looks(&mut self, times: usize) {
        for _ in 0..times {
            self.now = self.now.checked_add(SignedDuration::from_secs(LOOK)).expect("in range");
            let policies = self.policies();
            let (reader, mut writer) = store::<Policy>();
            writer.apply_watcher_event(&watcher::Event::Init);
            for policy in policies.iter().cloned() {
                writer.apply_watcher_event(&watcher::Event::InitApply(policy));
            }
            writer.apply_watcher_event(&watcher::Event::InitDone);
            let context = ScalingContext { shared: self.context.clone(), policies: reader };
            for policy in &policies {
                if let Err(error) = step(policy, &context, self.now).await {
                    println!("{:?}: {error}", policy.name());
                }
            }
        }
    }

    /// The pipeline becomes what its spec says.
    async fn settle(&mut self) {
        self.world.until(|world| world.is("Running") && world.status().transition.is_none()).await;
    }

    fn status(&self) -> ScalingPolicyStatus {
        let object = self.world.api.objects().all("scalingpolicies").remove(0);
        serde_json::from_value(object["status"].clone()).unwrap_or_default()
    }

    fn condition(&self, kind: &str) -> (String, String) {
        let status = self.status();
        let found = status.conditions.iter().find(|condition| condition.type_ == kind).expect(kind);
        (found.status.clone(), found.reason.clone())
    }

    fn replicas(&self) -> Value {
        self.world.pipeline().expect("it exists")["spec"]["replicas"].clone()
    }

    fn writes(&self) -> usize {
        self.world.api.objects().writes
    }

    fn scales(&self) -> usize {
        self.world.api.objects().scales
    }

    fn said(&self, words: &str) -> bool {
        self.world.api.objects().notes.iter().any(|note| note.contains(words))
    }
}

fn pair(status: &str, reason: &str) -> (String, String) {
    (status.to_owned(), reason.to_owned())
}

#[tokio::test]
async fn load_is_scaled_up_and_down_again_and_explained() {
    let mut scaled = Scaled::new(&json!({})).await;
    scaled.measure(&json!({"lag": {"records": 90}}));
    scaled.looks(1).await;
    assert_eq!((scaled.replicas(), scaled.scales()), (json!(1), 0));

    scaled.measure(&json!({"lag": {"records": 900}}));
    scaled.looks(1).await;
    assert_eq!((scaled.replicas(), scaled.scales()), (json!(2), 1));
    assert!(
        scaled.said("1 -> 2 pods of clicks: consumerLag 900 / 100 = 9; at most 2 (maxReplicas)"),
        "the arithmetic"
    );
    let status = scaled.status();
    assert_eq!((status.current_replicas, status.desired_replicas), (Some(2), Some(2)));
    assert_eq!(status.last_scale_time.map(|time| time.0), Some(scaled.now));

    scaled.looks(1).await;
    assert_eq!(scaled.condition("AbleToScale"), pair("False", "TargetChanging"));
    scaled.world.until(|world| world.status().transition.is_some()).await;
    scaled.looks(1).await;
    scaled.settle().await;
    assert_eq!(scaled.world.status().ready.as_deref(), Some("2/2"));

    scaled.measure(&json!({"lag": {"records": 0}}));
    scaled.looks(1).await;
    assert_eq!(scaled.condition("ScalingLimited"), pair("True", "Stabilization"));
    assert!(scaled.status().last_pause_seconds.is_some(), "the change was timed");
    scaled.looks(8).await;
    assert_eq!((scaled.replicas(), scaled.scales()), (json!(1), 2));
    let violations = scaled.world.kubelet.kafka.lock().expect("free").violations.clone();
    assert_eq!(violations, Vec::<String>::new());
}

#[tokio::test]
async fn nothing_moves_while_a_pod_does_not_say_what_it_measures() {
    let mut scaled = Scaled::new(&json!({"minReplicas": 2})).await;
    scaled.measure(&json!({}));
    scaled.looks(8).await;
    assert_eq!((scaled.replicas(), scaled.scales()), (json!(1), 0));
    assert_eq!(scaled.condition("ScalingActive"), pair("False", "MetricsUnavailable"));
    assert!(scaled.said("consumerLag is not known"));
    scaled.measure(&json!({"lag": {"records": 0}}));
    scaled.looks(1).await;
    assert_eq!(scaled.replicas(), json!(2), "known again: the bounds hold");
}

#[tokio::test]
async fn what_does_not_change_is_not_written() {
    let mut scaled = Scaled::new(&json!({})).await;
    scaled.measure(&json!({"lag": {"records": 0}}));
    scaled.looks(2).await;
    let before = scaled.writes();
    scaled.looks(40).await;
    assert_eq!(scaled.writes(), before);
}

#[tokio::test]
async fn of_two_policies_with_one_target_neither_scales_and_both_say_so() {
    let mut scaled = Scaled::new(&json!({})).await;
    scaled.world.api.objects().put(POLICIES, policy("other", &json!({"maxReplicas": 2})));
    scaled.measure(&json!({"lag": {"records": 900}}));
    scaled.looks(2).await;
    assert_eq!((scaled.replicas(), scaled.scales()), (json!(1), 0));
    for object in scaled.world.api.objects().all("scalingpolicies") {
        let conditions = object["status"]["conditions"].as_array().expect("conditions").clone();
        assert!(conditions.iter().all(|condition| condition["reason"] == "ConflictingPolicies"), "{object}");
    }
    scaled.world.api.objects().delete(POLICIES, "other");
    scaled.looks(1).await;
    assert_eq!(scaled.scales(), 1, "the one that is left scales");
}

#[tokio::test]
async fn a_dry_run_says_what_it_would_do_and_a_suspended_policy_nothing() {
    let mut scaled = Scaled::new(&json!({"dryRun": true})).await;
    scaled.measure(&json!({"lag": {"records": 900}}));
    scaled.looks(3).await;
    assert_eq!((scaled.replicas(), scaled.scales()), (json!(1), 0));
    assert_eq!(scaled.status().desired_replicas, Some(2));
    assert!(scaled.said("1 -> 2 pods of clicks"));

    let mut scaled = Scaled::new(&json!({"suspend": true})).await;
    scaled.measure(&json!({"lag": {"records": 900}}));
    scaled.looks(3).await;
    assert_eq!((scaled.scales(), scaled.condition("ScalingActive")), (0, pair("False", "Suspended")));
}

#[tokio::test]
async fn a_missing_and_a_suspended_target_are_left_alone_and_told() {
    let mut scaled = Scaled::new(&json!({"scaleTargetRef": {"name": "nobody"}})).await;
    scaled.looks(2).await;
    assert_eq!(scaled.condition("AbleToScale"), pair("False", "TargetNotFound"));

    let mut scaled = Scaled::new(&json!({})).await;
    scaled.measure(&json!({"lag": {"records": 900}}));
    scaled.world.edit(|spec| spec["suspend"] = json!(true));
    scaled.world.until(|world| world.is("Suspended")).await;
    scaled.looks(4).await;
    assert_eq!((scaled.replicas(), scaled.scales()), (json!(1), 0));
    assert_eq!(scaled.condition("ScalingActive"), pair("False", "TargetSuspended"));
}

#[tokio::test]
async fn a_policy_that_makes_no_sense_says_what_is_wrong() {
    let schedule = json!({"name": "a", "schedule": "0 25 * * *", "duration": "1h", "minReplicas": 2});
    let mut scaled = Scaled::new(&json!({"schedules": [schedule]})).await;
    scaled.measure(&json!({"lag": {"records": 900}}));
    scaled.looks(2).await;
    assert_eq!(scaled.condition("Stalled"), pair("True", "ConfigInvalid"));
    assert!(scaled.said("spec.schedules[0].schedule: `25` is not an hour"));
    assert_eq!(scaled.scales(), 0);
}

#[tokio::test]
async fn a_new_operator_keeps_the_cooldown_of_the_one_before() {
    for fault in [None, Some(())] {
        let mut scaled = Scaled::new(&json!({})).await;
        scaled.measure(&json!({"lag": {"records": 900}}));
        scaled.looks(1).await;
        scaled.settle().await;
        if fault.is_some() {
            // The one before was killed between the change and its status.
            let mut policy = scaled.world.api.objects().all("scalingpolicies").remove(0);
            policy["status"]["currentReplicas"] = json!(1);
            policy["status"].as_object_mut().expect("a status").remove("lastScaleTime");
            scaled.world.api.objects().put(POLICIES, policy);
        }
        scaled.context = scaled.world.operator();
        scaled.measure(&json!({"lag": {"records": 0}}));
        scaled.looks(1).await;
        let since = scaled.status().last_scale_time.expect("a time").0;
        let expected = if fault.is_some() { 0 } else { LOOK };
        assert_eq!(scaled.now.duration_since(since).as_secs(), expected);
        assert_eq!(scaled.scales(), 1);
    }
}

#[tokio::test]
async fn every_write_may_fail_and_the_number_of_pods_is_right_in_the_end() {
    for number in 0..4 {
        for fault in [Fault::Before, Fault::After] {
            let mut scaled = Scaled::new(&json!({})).await;
            scaled.measure(&json!({"lag": {"records": 900}}));
            let begun = scaled.writes();
            scaled.world.api.objects().fault = Some(fault(begun + number));
            scaled.looks(6).await;
            scaled.settle().await;
            scaled.looks(3).await;
            assert_eq!(scaled.replicas(), json!(2), "{:?}", fault(number));
            assert_eq!(scaled.status().current_replicas, Some(2));
            assert!(scaled.status().last_scale_time.is_some());
        }
    }
}
