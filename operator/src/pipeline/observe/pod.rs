//! What is seen of one pod: what Kubernetes says, and what it says itself.

use crate::pods::Address;
use control::PodStatus;
use control::generation::Ports;
use control::status::UnitState;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodStatus as KubernetesStatus};
use kube::ResourceExt;

/// Reasons of a waiting container that say that its image cannot be had.
const IMAGE_REASONS: [&str; 5] = [
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "CreateContainerConfigError",
];

/// One pod.
#[derive(Clone, Debug, Default)]
pub struct PodSeen {
    /// Its name.
    pub name: String,
    /// Where its control API listens; none while it does not run.
    pub address: Option<Address>,
    /// Kubernetes says that it is ready: it answered its readiness probe a moment ago.
    pub ready: bool,
    /// Restarts of its container.
    pub restarts: i32,
    /// What Kubernetes says is wrong with it.
    pub trouble: Option<Trouble>,
    /// What it says itself; none when it does not run or did not answer.
    pub report: Option<PodStatus>,
}

/// What Kubernetes says is wrong with a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// No node has room for it.
    Unschedulable(String),
    /// Its image cannot be had.
    Image(String),
    /// It ends again and again; how it ended last.
    CrashLoop(String),
}

impl PodSeen {
    /// Every unit of it is live. Its own word counts; when it does not answer just now, its readiness probe does.
    pub fn live(&self) -> bool {
        match &self.report {
            Some(report) => {
                report.units_known && report.units.iter().all(|unit| unit.state == UnitState::Live)
            }
            None => self.silent() && self.ready,
        }
    }

    /// True for a pod that runs and does not answer: what it does is unknown.
    pub fn silent(&self) -> bool {
        self.address.is_some() && self.report.is_none()
    }
}

impl From<&Pod> for PodSeen {
    fn from(pod: &Pod) -> Self {
        let unknown = KubernetesStatus::default();
        let status = pod.status.as_ref().unwrap_or(&unknown);
        let container = status.container_statuses.as_ref().and_then(|all| all.first());
        let running = container
            .and_then(|container| container.state.as_ref())
            .is_some_and(|state| state.running.is_some());
        let address =
            status.pod_ip.as_ref().filter(|_| running).map(|ip| socket(ip, Ports::default().control));
        Self {
            name: pod.name_any(),
            address,
            ready: container.is_some_and(|container| container.ready),
            restarts: container.map_or(0, |container| container.restart_count),
            trouble: unschedulable(status).or_else(|| container.and_then(of_container)),
            report: None,
        }
    }
}

fn socket(ip: &str, port: u16) -> Address {
    Address(if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") })
}

fn unschedulable(status: &KubernetesStatus) -> Option<Trouble> {
    let condition = status.conditions.as_ref()?.iter().find(|condition| condition.type_ == "PodScheduled")?;
    (condition.status == "False" && condition.reason.as_deref() == Some("Unschedulable"))
        .then(|| Trouble::Unschedulable(condition.message.clone().unwrap_or_default()))
}

fn of_container(container: &ContainerStatus) -> Option<Trouble> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.as_deref()?;
    if IMAGE_REASONS.contains(&reason) {
        let message = waiting.message.clone().unwrap_or_else(|| reason.to_owned());
        return Some(Trouble::Image(message));
    }
    if reason != "CrashLoopBackOff" {
        return None;
    }
    let ended = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    Some(Trouble::CrashLoop(ended.map_or_else(String::new, |ended| {
        let said =
            ended.message.as_deref().map(|message| format!(": {}", message.trim())).unwrap_or_default();
        format!("exit code {}{said}", ended.exit_code)
    })))
}
