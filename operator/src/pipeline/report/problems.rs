//! What is wrong with the pods: what they say themselves, and what Kubernetes says of them.

use crate::pipeline::observe::{PodSeen, Trouble};
use control::status::SecretStatus;
use control::{Condition as Kind, Reason};

/// Exit code of `weir` for a configuration that cannot work.
const EXIT_CONFIGURATION: i32 = 78;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    /// The condition that is False because of it.
    pub(super) condition: Kind,
    pub(super) reason: Reason,
    pub(super) message: String,
    /// No retry can help.
    pub(super) permanent: bool,
}

/// Everything that is wrong, worst first, each once however many pods say it.
pub(super) fn problems<'a>(pods: impl Iterator<Item = &'a PodSeen>) -> Vec<Problem> {
    let mut found: Vec<Problem> = Vec::new();
    for pod in pods {
        let secrets: Vec<&SecretStatus> = pod.report.iter().flat_map(|report| &report.secrets).collect();
        let said = pod.report.iter().flat_map(|report| &report.problems);
        let said = said.filter(|problem| !is_of_a_missing_key(problem, &secrets)).map(said_by_pod);
        let secrets = secrets.iter().filter_map(|secret| missing_key(secret));
        let seen = pod.trouble.as_ref().map(|trouble| of_trouble(&pod.name, trouble));
        for problem in said.chain(secrets).chain(seen) {
            if !found.iter().any(|other| other.message == problem.message) {
                found.push(problem);
            }
        }
    }
    found.sort_by_key(|problem| (!problem.permanent, problem.condition == Kind::WatermarkAdvancing));
    found
}

/// A pod that waits for a Secret says so twice: as a problem, and in the list of Secrets, which names all keys.
fn is_of_a_missing_key(problem: &control::status::Problem, secrets: &[&SecretStatus]) -> bool {
    let mut lacking = secrets.iter().filter(|secret| !secret.missing_keys.is_empty());
    problem.reason == Some(Reason::SecretKeyMissing)
        && lacking.any(|secret| problem.message.contains(&format!("`{}`", secret.name)))
}

fn said_by_pod(problem: &control::status::Problem) -> Problem {
    Problem {
        condition: problem.condition,
        reason: problem.reason.unwrap_or_else(|| usual_reason(problem.condition)),
        message: control::call::bounded_message(problem.message.clone()),
        permanent: problem.permanent,
    }
}

/// The reason for a word of a newer runtime: what such a condition mostly means.
fn usual_reason(condition: Kind) -> Reason {
    match condition {
        Kind::ConfigValid => Reason::ConfigInvalid,
        Kind::SourcesConnected => Reason::BrokerUnreachable,
        Kind::SinksConnected => Reason::SinkUnavailable,
        Kind::Checkpointed => Reason::CheckpointFailing,
        Kind::WatermarkAdvancing => Reason::IdleSource,
        Kind::Ready | Kind::Reconciling | Kind::Stalled => Reason::Deploying,
    }
}

fn missing_key(secret: &SecretStatus) -> Option<Problem> {
    let keys: Vec<String> = secret.missing_keys.iter().map(|key| format!("`{key}`")).collect();
    let keys = format!("the {} {}", if keys.len() == 1 { "key" } else { "keys" }, keys.join(", "));
    let name = &secret.name;
    let message = match secret.hash {
        Some(_) => {
            format!("Secret `{name}` lacks {keys}: add what is missing; the pods see it by themselves")
        }
        None => format!(
            "Secret `{name}` was not found or is empty: create it with {keys}; the pods see it by themselves"
        ),
    };
    (!secret.missing_keys.is_empty()).then(|| Problem {
        condition: Kind::ConfigValid,
        reason: Reason::SecretKeyMissing,
        message: control::call::bounded_message(message),
        permanent: false,
    })
}

fn of_trouble(pod: &str, trouble: &Trouble) -> Problem {
    let (reason, message) = match trouble {
        Trouble::Unschedulable(why) => {
            (Reason::InsufficientCapacity, format!("pod {pod} fits on no node: {why}"))
        }
        Trouble::Image(why) => (Reason::Deploying, format!("pod {pod} has no image: {why}")),
        // What it was told to run is wrong; to try again changes nothing.
        Trouble::Ends { code: EXIT_CONFIGURATION, said } => {
            (Reason::ConfigInvalid, format!("pod {pod}: {said}"))
        }
        Trouble::Ends { code, said } => {
            (Reason::CrashLooping, format!("pod {pod} ends again and again, with exit code {code}: {said}"))
        }
    };
    Problem {
        condition: if reason == Reason::ConfigInvalid { Kind::ConfigValid } else { Kind::Ready },
        reason,
        message: control::call::bounded_message(message),
        permanent: false,
    }
}
