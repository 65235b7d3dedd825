//! What is seen of one pod: what Kubernetes says, and what it says itself.

use crate::pipeline::plan::later;
use crate::pods::Address;
use control::PodStatus;
use control::generation::Ports;
use control::status::UnitState;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodStatus as KubernetesStatus};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

/// Reasons of a waiting container that say that its image cannot be had.
const IMAGE_REASONS: [&str; 5] = [
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "CreateContainerConfigError",
];

/// Kubernetes itself waits for most of a minute before it says that a node does not answer.
const LOST_SECONDS: i64 = 15;

/// One pod.
#[derive(Clone, Debug, Default)]
pub struct PodSeen {
    /// Its name.
    pub name: String,
    /// Where its control API listens; none while it does not run.
    pub address: Option<Address>,
    /// Kubernetes says that it is ready: it answered its readiness probe a moment ago.
    pub ready: bool,
    /// Since when Kubernetes has not heard of it, although it should: its node does not answer.
    pub lost: Option<Timestamp>,
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
    /// It ends again and again.
    Ends {
        /// How it ended last.
        code: i32,
        /// What it said last.
        said: String,
    },
}

impl PodSeen {
    /// Every unit of it is live. Its own word counts; when it does not answer just now, its readiness probe does.
    pub fn live(&self) -> bool {
        match &self.report {
            Some(report) => report.every_unit(|unit| unit.state == UnitState::Live),
            None => self.silent() && self.ready,
        }
    }

    /// Nobody has heard of it for so long that its node is taken for gone, and it does not answer either.
    pub fn is_lost(&self, now: Timestamp) -> bool {
        let late = |since| later(since, LOST_SECONDS) <= now;
        self.report.is_none() && self.lost.is_some_and(late)
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
        let address = status.pod_ip.as_ref().filter(|_| running).map(|ip| socket(ip, control_port(pod)));
        Self {
            name: pod.name_any(),
            address,
            ready: container.is_some_and(|container| container.ready) && not_ready_since(status).is_none(),
            lost: lost(pod, status, container),
            restarts: container.map_or(0, |container| container.restart_count),
            trouble: unschedulable(status).or_else(|| container.and_then(of_container)),
            report: None,
        }
    }
}

/// Since when the pod is not ready, by its condition.
fn not_ready_since(status: &KubernetesStatus) -> Option<Timestamp> {
    let conditions = status.conditions.as_ref()?;
    let ready =
        conditions.iter().find(|condition| condition.type_ == "Ready" && condition.status != "True")?;
    ready.last_transition_time.as_ref().map(|time| time.0)
}

/// A node that answers says of a pod what its container says, and lets it disappear in time. Of one that does not answer the
/// last word of the container stays, and the condition is changed by somebody else.
fn lost(pod: &Pod, status: &KubernetesStatus, container: Option<&ContainerStatus>) -> Option<Timestamp> {
    let gone = pod.metadata.deletion_timestamp.as_ref().map(|time| time.0);
    let contradicted = not_ready_since(status).filter(|_| container.is_some_and(|container| container.ready));
    [gone, contradicted].into_iter().flatten().min()
}

/// The port that the pod itself names, as it may be one of an older operator.
fn control_port(pod: &Pod) -> u16 {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let mut ports = containers.flat_map(|container| container.ports.iter().flatten());
    let named = ports.find(|port| port.name.as_deref() == Some("control"));
    named.and_then(|port| u16::try_from(port.container_port).ok()).unwrap_or(Ports::default().control)
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
    let state = container.state.as_ref()?;
    let waiting = state.waiting.as_ref();
    let reason = waiting.and_then(|waiting| waiting.reason.as_deref()).unwrap_or_default();
    if IMAGE_REASONS.contains(&reason) {
        let message = waiting.and_then(|waiting| waiting.message.clone());
        return Some(Trouble::Image(message.unwrap_or_else(|| reason.to_owned())));
    }
    let last = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    let ended = match &state.terminated {
        Some(ended) => ended,
        None if reason == "CrashLoopBackOff" => last?,
        None => return None,
    };
    // An end without a failure is a pod that is told to go.
    let said = said_last(ended.message.as_deref().unwrap_or_default());
    (ended.exit_code != 0).then_some(Trouble::Ends { code: ended.exit_code, said })
}

/// The last words of a container: the message of the last line of its log, if that is a line of structured log.
fn said_last(log: &str) -> String {
    let Some(line) = log.lines().rev().find(|line| !line.trim().is_empty()) else { return String::new() };
    let structured = serde_json::from_str::<serde_json::Value>(line).ok();
    let message = structured.as_ref().and_then(|line| line["fields"]["message"].as_str());
    message.unwrap_or(line.trim()).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(container: &str) -> PodSeen {
        let text = format!(
            "metadata: {{name: clicks-g1-0}}
status:
  podIP: 10.0.0.1
  containerStatuses:
    - {{name: weir, image: weir, imageID: '', ready: false, restartCount: 3, {container}}}"
        );
        PodSeen::from(&serde_saphyr::from_str::<Pod>(&text).expect("a pod"))
    }

    #[test]
    fn the_trouble_of_a_container_says_what_it_said_last() {
        let log = r#"{"level":"INFO","fields":{"message":"started"}}\n{"level":"ERROR","fields":{"message":"secret `pg`: no key"}}\n"#;
        let log = log.replace('"', "\\\"");
        let ended = format!("state: {{terminated: {{exitCode: 78, message: \"{log}\"}}}}");
        assert_eq!(
            pod(&ended).trouble,
            Some(Trouble::Ends { code: 78, said: "secret `pg`: no key".to_owned() })
        );
        let waits = "state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {exitCode: 137, message: killed}}";
        assert_eq!(pod(waits).trouble, Some(Trouble::Ends { code: 137, said: "killed".to_owned() }));
        let image = "state: {waiting: {reason: ErrImagePull, message: no such image}}";
        assert_eq!(pod(image).trouble, Some(Trouble::Image("no such image".to_owned())));
    }

    #[test]
    fn a_pod_is_lost_when_kubernetes_contradicts_its_last_word_or_waits_for_it_to_go() {
        let time = |text: &str| text.parse::<Timestamp>().expect("a time");
        let seen = |more: &str, ready: bool, condition: &str| {
            let text = format!(
                "metadata: {{name: clicks-g1-0{more}}}
status:
  podIP: 10.0.0.1
  conditions: [{{type: Ready, status: '{condition}', lastTransitionTime: '2026-01-01T00:00:00Z'}}]
  containerStatuses:
    - {{name: weir, image: weir, imageID: '', ready: {ready}, restartCount: 0, state: {{running: {{}}}}}}"
            );
            PodSeen::from(&serde_saphyr::from_str::<Pod>(&text).expect("a pod"))
        };
        let well = seen("", true, "True");
        assert_eq!((well.ready, well.lost), (true, None));
        let unready = seen("", false, "False");
        assert_eq!((unready.ready, unready.lost), (false, None), "its probe fails");
        let gone = seen("", true, "False");
        assert_eq!((gone.ready, gone.lost), (false, Some(time("2026-01-01T00:00:00Z"))));
        let going = seen(", deletionTimestamp: '2026-01-01T00:00:30Z'", true, "True");
        assert_eq!(going.lost, Some(time("2026-01-01T00:00:30Z")), "it should be gone by then");
        for (now, lost) in [("2026-01-01T00:00:14Z", false), ("2026-01-01T00:00:15Z", true)] {
            assert_eq!(gone.is_lost(time(now)), lost, "{now}");
        }
    }

    #[test]
    fn a_container_that_runs_can_be_asked_and_one_that_does_not_cannot() {
        let runs = pod("state: {running: {startedAt: '2026-01-01T00:00:00Z'}}");
        assert_eq!((runs.address, runs.trouble), (Some(Address("10.0.0.1:8080".to_owned())), None));
        let starts = pod("state: {waiting: {reason: ContainerCreating}}");
        assert_eq!((starts.address, starts.trouble), (None, None));
        let told_to_go = pod("state: {terminated: {exitCode: 0}}");
        assert_eq!((told_to_go.address, told_to_go.trouble), (None, None));
        assert_eq!(socket("fd00::1", 8080), Address("[fd00::1]:8080".to_owned()));
    }
}
