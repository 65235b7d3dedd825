//! The pods: the workers of a generation, and the Job that deletes internal topics and snapshots. Both run under the restricted
//! standard of pod security: not root, nothing writable but /tmp, no capability, no token.

use super::task::Task;
use super::{Error, affinity, cleanup_name, labels, metadata, restore, shared_name, size};
use crate::pipeline::observe::Observed;
use crate::pipeline::plan::Intent;
use crate::pipeline::validate::Desired;
use crate::pipeline::{GENERATION_LABEL, references};
use crate::settings::Settings;
use ::pipeline::spec::{
    StreamPipelineSpec, Toleration as SpecToleration, TolerationOperator, WhenUnsatisfiable,
};
use control::generation::{FILE_KEY, FILE_PATH, POD_NAME_VARIABLE, Ports, SECRETS_DIRECTORY, stateful_set};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMapVolumeSource, Container, ContainerPort, EmptyDirVolumeSource, EnvVar,
    EnvVarSource, HTTPGetAction, KeyToPath, LocalObjectReference, ObjectFieldSelector, PodSecurityContext,
    PodSpec, PodTemplateSpec, Probe, SeccompProfile, SecretVolumeSource, SecurityContext, Toleration,
    TopologySpreadConstraint, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::collections::{BTreeMap, BTreeSet};

/// User and group of all pods; the images are built for it.
const USER: i64 = 65_532;
/// How long a pod may take to finish its transaction when it is told to go.
const GRACE_SECONDS: i64 = 30;
/// Times that the Job that deletes internal topics is tried.
const CLEANUP_RETRIES: i32 = 3;
/// How long the Job that deletes internal topics may run.
const CLEANUP_SECONDS: i64 = 110;
/// Folder of [`FILE_PATH`].
const FILE_DIRECTORY: &str = "/etc/weir";

/// The pods of one generation.
pub(super) fn template(
    observed: &Observed,
    desired: &Desired,
    (number, intent): (u64, &Intent),
    settings: &Settings,
) -> PodTemplateSpec {
    let name = observed.name();
    let spec = &*desired.spec;
    let mut pod_labels = spec.pod_labels.clone();
    pod_labels.extend(labels(&name));
    pod_labels.insert(GENERATION_LABEL.to_owned(), number.to_string());
    let mut secrets = desired.secrets.clone();
    secrets.extend(restore::secrets(observed, number, intent));
    let mut pod = pod_spec(&name, Some(number), &desired.image, &secrets, settings);
    pod.image_pull_secrets = pull_secrets(spec);
    place(&mut pod, spec, &pod_labels);
    for container in &mut pod.containers {
        container.args = Some(["worker", "--generation-file", FILE_PATH].map(str::to_owned).into());
        container.ports = Some(ports());
        container.liveness_probe = Some(probe("/health", 10, 6));
        container.readiness_probe = Some(probe("/ready", 2, 1));
        // Time to load the binary and to open the port; restoring is not part of being alive.
        container.startup_probe = Some(probe("/health", 2, 30));
        container.resources = Some(size::resources(spec));
    }
    let annotations = Some(spec.pod_annotations.clone()).filter(|annotations| !annotations.is_empty());
    PodTemplateSpec {
        metadata: Some(ObjectMeta { labels: Some(pod_labels), annotations, ..ObjectMeta::default() }),
        spec: Some(pod),
    }
}

/// The Job that deletes the internal topics, by the facts of a generation.
pub(super) fn cleanup_job(observed: &Observed, number: u64, settings: &Settings) -> Result<Job, Error> {
    let name = observed.name();
    let spec = &observed.pipeline.spec;
    let task = Task {
        pipeline: &name,
        spec: Some(spec),
        generation: Some(number),
        secrets: references::secrets(spec, &observed.windows),
        args: ["cleanup", "--generation-file", FILE_PATH].map(str::to_owned).into(),
        retries: CLEANUP_RETRIES,
        seconds: CLEANUP_SECONDS,
    };
    Ok(task.job(metadata(&observed.pipeline, cleanup_name(&name), None)?, settings))
}

/// Where the pod of a Job may run: as the user says of the workers, without what only spreads them.
pub(super) fn place_task(pod: &mut PodSpec, spec: &StreamPipelineSpec) {
    pod.node_selector = Some(spec.node_selector.clone()).filter(|selector| !selector.is_empty());
    pod.tolerations = tolerations(spec);
    pod.affinity = spec.affinity.as_ref().and_then(affinity::of_cleanup);
    pod.image_pull_secrets = pull_secrets(spec);
}

/// What workers and Jobs have in common.
pub(super) fn pod_spec(
    name: &str,
    number: Option<u64>,
    image: &str,
    secrets: &BTreeSet<String>,
    settings: &Settings,
) -> PodSpec {
    let (volumes, mounts) = volumes(name, number, secrets);
    PodSpec {
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        service_account_name: Some(shared_name(name)),
        termination_grace_period_seconds: Some(GRACE_SECONDS),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            run_as_group: Some(USER),
            fs_group: Some(USER),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".to_owned(),
                localhost_profile: None,
            }),
            ..PodSecurityContext::default()
        }),
        containers: vec![Container {
            name: "weir".to_owned(),
            image: Some(image.to_owned()),
            image_pull_policy: Some(settings.image_pull_policy.clone()),
            env: Some(vec![pod_name()]),
            security_context: Some(SecurityContext {
                allow_privilege_escalation: Some(false),
                read_only_root_filesystem: Some(true),
                capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
                ..SecurityContext::default()
            }),
            // The last lines of the log say why a container ended; they are shown in the status.
            termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
            volume_mounts: Some(mounts),
            ..Container::default()
        }],
        volumes: Some(volumes),
        ..PodSpec::default()
    }
}

/// Where the pods may run: as the user says, and spread over nodes as far as there are any.
fn place(pod: &mut PodSpec, spec: &StreamPipelineSpec, pod_labels: &BTreeMap<String, String>) {
    pod.node_selector = Some(spec.node_selector.clone()).filter(|selector| !selector.is_empty());
    pod.tolerations = tolerations(spec);
    pod.affinity = spec.affinity.as_ref().map(affinity::of_workers);
    pod.priority_class_name.clone_from(&spec.priority_class_name);
    pod.topology_spread_constraints = Some(spread(spec, pod_labels));
}

fn spread(spec: &StreamPipelineSpec, pod_labels: &BTreeMap<String, String>) -> Vec<TopologySpreadConstraint> {
    let over = |key: &str, max_skew: i32, unsatisfiable: &str| TopologySpreadConstraint {
        max_skew,
        topology_key: key.to_owned(),
        when_unsatisfiable: unsatisfiable.to_owned(),
        label_selector: Some(LabelSelector {
            match_labels: Some(pod_labels.clone()),
            ..LabelSelector::default()
        }),
        ..TopologySpreadConstraint::default()
    };
    if spec.topology_spread_constraints.is_empty() {
        return vec![over("kubernetes.io/hostname", 1, "ScheduleAnyway")];
    }
    let wanted = spec.topology_spread_constraints.iter().map(|wanted| {
        let unsatisfiable = match wanted.when_unsatisfiable {
            None | Some(WhenUnsatisfiable::ScheduleAnyway) => "ScheduleAnyway",
            Some(WhenUnsatisfiable::DoNotSchedule) => "DoNotSchedule",
        };
        over(&wanted.topology_key, wanted.max_skew.unwrap_or(1), unsatisfiable)
    });
    wanted.collect()
}

/// The Secrets of the pipeline with which its image is pulled.
fn pull_secrets(spec: &StreamPipelineSpec) -> Option<Vec<LocalObjectReference>> {
    let secrets = spec.image_pull_secrets.iter();
    let secrets = secrets.map(|secret| LocalObjectReference { name: secret.name.clone() });
    Some(secrets.collect()).filter(|secrets: &Vec<_>| !secrets.is_empty())
}

fn tolerations(spec: &StreamPipelineSpec) -> Option<Vec<Toleration>> {
    let one = |toleration: &SpecToleration| Toleration {
        key: toleration.key.clone(),
        operator: toleration.operator.map(|operator| match operator {
            TolerationOperator::Exists => "Exists".to_owned(),
            TolerationOperator::Equal => "Equal".to_owned(),
        }),
        value: toleration.value.clone(),
        effect: toleration.effect.clone(),
        toleration_seconds: toleration.toleration_seconds,
    };
    Some(spec.tolerations.iter().map(one).collect()).filter(|tolerations: &Vec<_>| !tolerations.is_empty())
}

fn pod_name() -> EnvVar {
    EnvVar {
        name: POD_NAME_VARIABLE.to_owned(),
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                field_path: "metadata.name".to_owned(),
                api_version: None,
            }),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    }
}

fn ports() -> Vec<ContainerPort> {
    let Ports { control, metrics } = Ports::default();
    [("control", control), ("metrics", metrics)]
        .map(|(name, number)| ContainerPort {
            name: Some(name.to_owned()),
            container_port: i32::from(number),
            ..ContainerPort::default()
        })
        .into()
}

fn probe(path: &str, period_seconds: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String("control".to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period_seconds),
        timeout_seconds: Some(2),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}

/// The generation file, a small /tmp, and every Secret in a folder of its name. A Secret that is missing does not keep
/// the pod from starting: the pod reports which key it lacks.
fn volumes(name: &str, number: Option<u64>, secrets: &BTreeSet<String>) -> (Vec<Volume>, Vec<VolumeMount>) {
    let mount = |name: &str, path: String, read_only: bool| VolumeMount {
        name: name.to_owned(),
        mount_path: path,
        read_only: Some(read_only),
        ..VolumeMount::default()
    };
    let (mut volumes, mut mounts) = (Vec::new(), Vec::new());
    if let Some(number) = number {
        let file = KeyToPath { key: FILE_KEY.to_owned(), path: FILE_KEY.to_owned(), mode: None };
        mounts.push(mount("generation", FILE_DIRECTORY.to_owned(), true));
        volumes.push(Volume {
            name: "generation".to_owned(),
            config_map: Some(ConfigMapVolumeSource {
                name: stateful_set(name, number),
                items: Some(vec![file]),
                ..ConfigMapVolumeSource::default()
            }),
            ..Volume::default()
        });
    }
    mounts.push(mount("tmp", "/tmp".to_owned(), false));
    volumes.push(Volume {
        name: "tmp".to_owned(),
        empty_dir: Some(EmptyDirVolumeSource { medium: None, size_limit: Some(Quantity("64Mi".to_owned())) }),
        ..Volume::default()
    });
    for (at, secret) in secrets.iter().enumerate() {
        let volume = format!("secret-{at}");
        mounts.push(mount(&volume, format!("{SECRETS_DIRECTORY}/{secret}"), true));
        volumes.push(Volume {
            name: volume,
            secret: Some(SecretVolumeSource {
                secret_name: Some(secret.clone()),
                optional: Some(true),
                ..SecretVolumeSource::default()
            }),
            ..Volume::default()
        });
    }
    (volumes, mounts)
}
