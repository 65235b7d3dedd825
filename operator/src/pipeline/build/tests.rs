//! The objects of a generation, word by word.

use super::{Work, build};
use crate::pipeline::fixture::{
    carried_out, created, decide, desired, edited, live, recreate, settings, with_pods,
};
use crate::pipeline::observe::Observed;
use ::pipeline::spec::{NameRef, TopologySpread, WhenUnsatisfiable};
use control::GenerationFile;
use control::generation::FILE_KEY;
use control::status::UnitState;
use k8s_openapi::api::core::v1::PodSpec;

fn work(observed: &Observed) -> Vec<Work> {
    build(observed, &desired(observed), &decide(observed), &settings()).expect("everything is there")
}

fn started(observed: &Observed) -> super::Manifests {
    let started = work(observed).into_iter().find_map(|work| match work {
        Work::Start(manifests) => Some(*manifests),
        _ => None,
    });
    started.expect("a generation starts")
}

fn pod(observed: &Observed) -> PodSpec {
    started(observed).stateful_set.spec.and_then(|spec| spec.template.spec).expect("a pod")
}

fn file(observed: &Observed) -> GenerationFile {
    let map = started(observed).config_map.expect("a new generation");
    serde_saphyr::from_str(&map.data.expect("data")[FILE_KEY]).expect("a generation file")
}

/// The reference pipeline, drained, with the old pods gone.
fn second_generation() -> Observed {
    let observed = recreate(edited(live(created(), 1), |pipeline| {
        pipeline.spec.sinks[0].kafka.as_mut().expect("a topic").topic = "elsewhere".to_owned();
    }));
    let draining = carried_out(observed.clone(), &decide(&observed));
    let cut = with_pods(draining, 1, UnitState::Cut);
    carried_out(cut.clone(), &decide(&cut))
}

#[test]
fn the_first_generation_of_the_reference_pipeline() {
    insta::assert_yaml_snapshot!(started(&created()));
}

#[test]
fn the_job_that_deletes_internal_topics() {
    let observed = edited(live(created(), 1), |pipeline| {
        pipeline.metadata.deletion_timestamp =
            Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(crate::pipeline::fixture::noon()));
    });
    let removed = carried_out(observed.clone(), &decide(&observed));
    let Some(Work::Clean(job)) = work(&removed).into_iter().next() else { panic!("a job") };
    insta::assert_yaml_snapshot!(job);
}

#[test]
fn pods_fulfil_the_restricted_standard() {
    let pod = pod(&created());
    let context = pod.security_context.expect("a context");
    assert_eq!((context.run_as_non_root, context.run_as_user), (Some(true), Some(65_532)));
    assert_eq!(context.seccomp_profile.expect("a profile").type_, "RuntimeDefault");
    assert_eq!(pod.automount_service_account_token, Some(false));
    for container in pod.containers {
        let context = container.security_context.expect("a context");
        assert_eq!(context.allow_privilege_escalation, Some(false));
        assert_eq!(context.read_only_root_filesystem, Some(true));
        assert_eq!(
            context.capabilities.and_then(|capabilities| capabilities.drop),
            Some(vec!["ALL".to_owned()])
        );
    }
}

#[test]
fn the_generation_file_is_what_a_worker_can_read() {
    let file = file(&created());
    assert_eq!(file.check(), Ok(()));
    assert_eq!(file.workers_of_pod("clicks-g1-1"), Ok(1..2));
    let plan = ::pipeline::plan::from_yaml(&file.manifest).expect("the manifest has all that it refers to");
    assert_eq!(plan.hash().to_string(), file.plan_hash, "both sides make the same plan");
    for word in ["replicas:", "suspend:", "windowRef"] {
        assert!(!file.manifest.contains(word), "{word} in\n{}", file.manifest);
    }
}

#[test]
fn the_next_generation_knows_whom_to_fence_and_the_plan_whose_state_it_takes() {
    let file = file(&second_generation());
    assert_eq!((file.generation, file.priors.len()), (2, 1));
    assert_eq!((file.priors[0].generation, file.priors[0].shape.replicas), (1, 2));
    let manifest = file.priors[0].manifest.as_deref().expect("the plan has changed");
    assert_eq!(
        ::pipeline::plan::from_yaml(manifest).expect("valid").hash().to_string(),
        file.priors[0].plan_hash
    );
}

#[test]
fn a_config_map_that_exists_is_never_written_again() {
    let starting = carried_out(created(), &decide(&created()));
    let mut lost = starting;
    lost.generations[0].replicas = None;
    assert!(started(&lost).config_map.is_none());
}

#[test]
fn secrets_are_mounted_whether_they_exist_or_not() {
    let pod = pod(&created());
    let volume = pod.volumes.into_iter().flatten().find_map(|volume| volume.secret).expect("a secret");
    assert_eq!((volume.secret_name.as_deref(), volume.optional), (Some("my-kafka-access"), Some(true)));
    let mounts = pod.containers[0].volume_mounts.clone().expect("mounts");
    assert!(mounts.iter().any(|mount| mount.mount_path == "/etc/weir-secrets/my-kafka-access"));
}

#[test]
fn every_secret_of_the_way_to_kafka_is_mounted() {
    let observed = edited(created(), |pipeline| {
        let key = |name: &str| serde_json::json!({"name": name, "key": "k"});
        let kafka = serde_json::json!({
            "bootstrapServers": "kafka:9093",
            "tls": {"caSecretKeyRef": key("ca"), "certSecretKeyRef": key("cert"), "keySecretKeyRef": key("key")},
            "sasl": {"mechanism": "ScramSha512", "username": "u", "passwordSecretKeyRef": key("user")},
        });
        pipeline.spec.kafka = Some(serde_json::from_value(kafka).expect("a way to Kafka"));
    });
    let volumes = pod(&observed).volumes.into_iter().flatten();
    let mounted: Vec<_> = volumes.filter_map(|volume| volume.secret?.secret_name).collect();
    assert_eq!(mounted, ["ca", "cert", "key", "user"]);
}

#[test]
fn the_secret_of_the_storage_of_snapshots_is_mounted() {
    let observed = edited(created(), |pipeline| {
        let checkpoint =
            serde_json::json!({"storage": {"uri": "s3://state/weir", "secretRef": {"name": "s3"}}});
        pipeline.spec.checkpoint = Some(serde_json::from_value(checkpoint).expect("a storage"));
    });
    let pod = pod(&observed);
    let mounts = pod.containers[0].volume_mounts.clone().expect("mounts");
    assert!(mounts.iter().any(|mount| mount.mount_path == "/etc/weir-secrets/s3"));
}

#[test]
fn the_job_has_the_labels_that_give_pods_their_identity() {
    let observed = edited(live(created(), 1), |pipeline| {
        pipeline.metadata.deletion_timestamp =
            Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(crate::pipeline::fixture::noon()));
        pipeline.spec.pod_labels.insert("azure.workload.identity/use".to_owned(), "true".to_owned());
    });
    let removed = carried_out(observed.clone(), &decide(&observed));
    let Some(Work::Clean(job)) = work(&removed).into_iter().next() else { panic!("a job") };
    let labels = job.spec.and_then(|spec| spec.template.metadata?.labels).expect("labels");
    assert_eq!(labels.get("azure.workload.identity/use").map(String::as_str), Some("true"));
    assert_eq!(labels.get(crate::pipeline::GENERATION_LABEL), None, "it is no pod of a generation");
}

#[test]
fn the_secret_of_a_mask_is_mounted() {
    let observed = edited(created(), |pipeline| {
        let mask = serde_json::json!({
            "name": "masked",
            "mask": {"fields": ["user"], "method": "Hash", "secretKeyRef": {"name": "salt", "key": "value"}},
        });
        pipeline.spec.steps.insert(0, serde_json::from_value(mask).expect("a step"));
    });
    let volumes = pod(&observed).volumes.into_iter().flatten();
    let mounted: Vec<_> = volumes.filter_map(|volume| volume.secret).collect();
    let salt = mounted.iter().find(|secret| secret.secret_name.as_deref() == Some("salt")).expect("salt");
    assert_eq!(salt.optional, Some(true));
}

/// Every word that `affinity` has.
const AFFINITY: &str = "
nodeAffinity:
  requiredDuringSchedulingIgnoredDuringExecution:
    nodeSelectorTerms:
      - matchExpressions:
          - {key: kubernetes.io/arch, operator: In, values: [amd64, arm64]}
          - {key: node-role.kubernetes.io/control-plane, operator: DoesNotExist}
          - {key: cores, operator: Gt, values: ['7']}
          - {key: cores, operator: Lt, values: ['65']}
        matchFields:
          - {key: metadata.name, operator: NotIn, values: [node-1]}
      - matchFields:
          - {key: metadata.name, operator: In, values: [node-2.example.com]}
  preferredDuringSchedulingIgnoredDuringExecution:
    - weight: 100
      preference:
        matchExpressions:
          - {key: disk, operator: Exists}
          - {key: disk, operator: NotIn, values: [slow, '']}
podAffinity:
  requiredDuringSchedulingIgnoredDuringExecution:
    - topologyKey: topology.kubernetes.io/zone
      labelSelector: {matchLabels: {strimzi.io/cluster: my-kafka}}
      namespaces: [kafka]
  preferredDuringSchedulingIgnoredDuringExecution:
    - weight: 1
      podAffinityTerm:
        topologyKey: topology.kubernetes.io/region
        labelSelector: {}
        namespaceSelector: {matchExpressions: [{key: team, operator: Exists}]}
        mismatchLabelKeys: [team]
podAntiAffinity:
  requiredDuringSchedulingIgnoredDuringExecution:
    - topologyKey: kubernetes.io/hostname
      labelSelector: {matchLabels: {weir.dev/pipeline: clicks}}
      matchLabelKeys: [weir.dev/generation]
  preferredDuringSchedulingIgnoredDuringExecution:
    - weight: 50
      podAffinityTerm:
        topologyKey: kubernetes.io/hostname
        labelSelector:
          matchExpressions:
            - {key: app, operator: In, values: [noisy]}
            - {key: app, operator: NotIn, values: [quiet]}
            - {key: batch, operator: DoesNotExist}
        namespaceSelector: {}
";

fn with_affinity(observed: Observed) -> Observed {
    edited(observed, |pipeline| {
        pipeline.spec.affinity = Some(serde_saphyr::from_str(AFFINITY).expect("an affinity"));
    })
}

#[test]
fn the_stateful_set_of_a_pipeline_with_affinity() {
    insta::assert_yaml_snapshot!(started(&with_affinity(created())).stateful_set);
}

#[test]
fn affinity_reaches_the_pods_word_by_word() {
    let written: serde_json::Value = serde_saphyr::from_str(AFFINITY).expect("an affinity");
    let affinity = pod(&with_affinity(created())).affinity.expect("an affinity");
    assert_eq!(serde_json::to_value(affinity).expect("encodes"), written);
    assert_eq!(pod(&created()).affinity, None);
}

#[test]
fn the_job_that_deletes_internal_topics_runs_on_the_nodes_of_the_pipeline() {
    let job = |observed: Observed| {
        let deleted = edited(observed, |pipeline| {
            pipeline.metadata.deletion_timestamp =
                Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(crate::pipeline::fixture::noon()));
        });
        let removed = carried_out(deleted.clone(), &decide(&deleted));
        let Some(Work::Clean(job)) = work(&removed).into_iter().next() else { panic!("a job") };
        job.spec.and_then(|spec| spec.template.spec).expect("a pod").affinity
    };
    let affinity = job(live(with_affinity(created()), 1)).expect("an affinity");
    assert_eq!(affinity.node_affinity, pod(&with_affinity(created())).affinity.expect("one").node_affinity);
    assert_eq!((affinity.pod_affinity, affinity.pod_anti_affinity), (None, None));
    assert_eq!(job(live(created(), 1)), None);
}

#[test]
fn the_fields_of_the_user_reach_the_pods_and_cannot_replace_ours() {
    let observed = edited(created(), |pipeline| {
        let spec = &mut pipeline.spec;
        spec.pod_labels.insert("team".to_owned(), "web".to_owned());
        spec.pod_labels.insert("weir.dev/pipeline".to_owned(), "another".to_owned());
        spec.pod_annotations.insert("note".to_owned(), "x".to_owned());
        spec.node_selector.insert("disk".to_owned(), "fast".to_owned());
        spec.size = Some(::pipeline::spec::Size::Large);
        spec.priority_class_name = Some("high".to_owned());
        spec.image_pull_secrets = vec![NameRef { name: "registry".to_owned() }];
        spec.topology_spread_constraints = vec![TopologySpread {
            topology_key: "topology.kubernetes.io/zone".to_owned(),
            max_skew: None,
            when_unsatisfiable: Some(WhenUnsatisfiable::DoNotSchedule),
        }];
    });
    let template = started(&observed).stateful_set.spec.expect("a spec").template;
    let labels = template.metadata.as_ref().and_then(|metadata| metadata.labels.clone()).expect("labels");
    assert_eq!((labels["team"].as_str(), labels["weir.dev/pipeline"].as_str()), ("web", "clicks"));
    let pod = template.spec.expect("a pod");
    assert_eq!(pod.node_selector.expect("a selector")["disk"], "fast");
    assert_eq!(pod.priority_class_name.as_deref(), Some("high"));
    assert_eq!(pod.image_pull_secrets.expect("a secret")[0].name, "registry");
    let spread = &pod.topology_spread_constraints.expect("a constraint");
    assert_eq!((spread.len(), spread[0].max_skew), (1, 1));
    assert_eq!(spread[0].when_unsatisfiable, "DoNotSchedule");
    let limits = pod.containers[0].resources.clone().and_then(|resources| resources.limits).expect("limits");
    assert_eq!((limits["cpu"].0.as_str(), limits["memory"].0.as_str()), ("2", "4Gi"));
    assert_eq!(file(&observed).shape.workers_per_replica, 2);
}

/// The reference pipeline, of which the Job that restores has just ended.
fn restored() -> Observed {
    use crate::job::{End, JobSeen};
    use control::savepoint::{JobResult, Restored};
    let restoring = carried_out(beginning(), &decide(&beginning()));
    let said = Ok(JobResult::Restored(Restored {
        plan_hash: "0c".repeat(16),
        units: 4,
        manifest_hash: "1d".repeat(16),
    }));
    Observed { restore: Some(JobSeen::Ended(End { at: None, said })), ..restoring }
}

fn beginning() -> Observed {
    edited(created(), |pipeline| {
        let from = "{uri: 's3://state/savepoints/a', secretRef: {name: other-bucket}}";
        pipeline.spec.restore_from = Some(serde_saphyr::from_str(from).expect("a place"));
    })
}

#[test]
fn the_job_that_restores_a_savepoint_and_the_generation_that_stands_for_it() {
    let Some(Work::Restore(restoring)) = work(&beginning()).into_iter().next() else { panic!("a job") };
    let map = restoring.config_map.expect("a new generation");
    let file: GenerationFile = serde_saphyr::from_str(&map.data.expect("data")[FILE_KEY]).expect("a file");
    assert_eq!(file.check(), Ok(()));
    assert_eq!((file.generation, file.shape.workers(), file.priors.len()), (1, 1, 0));
    let place = file.restore.expect("a place");
    assert_eq!(
        (place.uri.as_str(), place.secret.as_deref()),
        ("s3://state/savepoints/a", Some("other-bucket"))
    );
    assert!(!file.manifest.contains("restoreFrom"), "{}", file.manifest);
    insta::assert_yaml_snapshot!(restoring.job);
}

#[test]
fn the_first_pods_after_a_savepoint_know_where_it_is_and_can_read_it() {
    let observed = restored();
    let file = file(&observed);
    assert_eq!((file.generation, &file.restore), (2, &None));
    let prior = &file.priors[0];
    assert_eq!((prior.generation, prior.manifest.as_ref()), (1, None), "its plan stands in the savepoint");
    assert_eq!(prior.plan_hash, "0c".repeat(16));
    assert_eq!(prior.restore.as_ref().map(|place| place.uri.as_str()), Some("s3://state/savepoints/a"));
    let secrets = |observed: &Observed| {
        let volumes = pod(observed).volumes.into_iter().flatten();
        volumes.filter_map(|volume| volume.secret?.secret_name).collect::<Vec<_>>()
    };
    assert_eq!(secrets(&observed), ["my-kafka-access", "other-bucket"]);
    let mut again = carried_out(observed.clone(), &decide(&observed));
    let starting = again.generations.last_mut().expect("the second generation");
    starting.replicas = None;
    starting.facts.as_mut().expect("facts").file = file;
    assert_eq!(secrets(&again), ["my-kafka-access", "other-bucket"], "made anew, too");
}
