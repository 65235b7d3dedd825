//! How a Job of the runtime image ended, by its own word: the termination message of its pod, which is all that it can
//! tell somebody who has no credentials.

use crate::pipeline::observe::{PodSeen, Trouble};
use control::savepoint::JobResult;
use k8s_openapi::api::batch::v1::{Job, JobCondition};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::api::ListParams;
use kube::{Api, Client};

/// Label that Kubernetes gives the pods of a Job.
const JOB_LABEL: &str = "batch.kubernetes.io/job-name";

/// What is seen of a Job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobSeen {
    /// It works, or waits for a node or an image; with what Kubernetes says is wrong with its pod.
    Running(Option<String>),
    /// It was deleted and is not gone yet, nor perhaps is its pod.
    Going,
    /// It has ended.
    Ended(End),
}

/// How a Job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// When, as far as it is known.
    pub at: Option<Timestamp>,
    /// What it said; or what Kubernetes says of one that was killed, evicted or too late.
    pub said: Result<JobResult, String>,
}

/// Looks at a Job; none when there is none.
pub async fn look(client: &Client, namespace: &str, name: &str) -> Result<Option<JobSeen>, kube::Error> {
    let jobs: Api<Job> = Api::namespaced(client.clone(), namespace);
    let Some(job) = jobs.get_opt(name).await? else { return Ok(None) };
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let parameters = ListParams::default().labels(&format!("{JOB_LABEL}={name}"));
    Ok(Some(seen(&job, &pods.list(&parameters).await?.items)))
}

fn seen(job: &Job, pods: &[Pod]) -> JobSeen {
    if job.metadata.deletion_timestamp.is_some() {
        return JobSeen::Going;
    }
    let conditions = job.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let end = |condition: &&JobCondition| {
        matches!(condition.type_.as_str(), "Complete" | "Failed") && condition.status == "True"
    };
    let trouble = || pods.iter().find_map(|pod| PodSeen::from(pod).trouble).map(|trouble| text(&trouble));
    let Some(end) = conditions.iter().find(end) else { return JobSeen::Running(trouble()) };
    let said = pods.iter().find_map(|pod| JobResult::decode(last_words(pod)?));
    let silent = || {
        let why = end.message.clone().or_else(|| end.reason.clone()).unwrap_or_default();
        let pod = trouble().map(|trouble| format!(": {trouble}")).unwrap_or_default();
        format!("its Job has ended without a word{pod} ({why})")
    };
    JobSeen::Ended(End {
        at: end.last_transition_time.as_ref().map(|time| time.0),
        said: said.ok_or_else(silent),
    })
}

fn last_words(pod: &Pod) -> Option<&str> {
    let container = pod.status.as_ref()?.container_statuses.as_ref()?.first()?;
    container.state.as_ref()?.terminated.as_ref()?.message.as_deref()
}

fn text(trouble: &Trouble) -> String {
    match trouble {
        Trouble::Unschedulable(why) => format!("its pod fits on no node: {why}"),
        Trouble::Image(why) => format!("its pod has no image: {why}"),
        Trouble::Ends { code, said } if said.is_empty() => format!("its pod ended with exit code {code}"),
        Trouble::Ends { code, said } => format!("its pod ended with exit code {code}: {said}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use control::savepoint::Restored;

    fn of(job: &str, pod: &str) -> JobSeen {
        let job = serde_saphyr::from_str::<Job>(job).expect("a job");
        let pod = format!(
            "metadata: {{name: p}}\nstatus:\n  containerStatuses:\n    - {{name: weir, image: w, imageID: '', ready: false, restartCount: 0, {pod}}}"
        );
        seen(&job, &[serde_saphyr::from_str::<Pod>(&pod).expect("a pod")])
    }

    const COMPLETE: &str = "status: {conditions: [{type: SuccessCriteriaMet, status: 'True'}, {type: Complete, status: 'True', lastTransitionTime: '2026-01-01T12:00:00Z'}]}";
    const FAILED: &str = "status: {conditions: [{type: FailureTarget, status: 'True'}, {type: Failed, status: 'True', reason: BackoffLimitExceeded, message: Job has reached the specified backoff limit}]}";

    #[test]
    fn a_job_that_ended_says_how_by_its_termination_message() {
        let result = JobResult::Restored(Restored {
            plan_hash: "0".repeat(32),
            units: 3,
            manifest_hash: "1".repeat(32),
        });
        let message = result.encode().replace('"', "\\\"");
        let ended = format!("state: {{terminated: {{exitCode: 0, message: \"{message}\"}}}}");
        let at = Some("2026-01-01T12:00:00Z".parse().expect("a time"));
        assert_eq!(of(COMPLETE, &ended), JobSeen::Ended(End { at, said: Ok(result) }));
    }

    #[test]
    fn a_job_that_was_killed_is_silent_and_what_kubernetes_says_is_told() {
        let killed = "state: {terminated: {exitCode: 137, reason: OOMKilled}}";
        let JobSeen::Ended(End { said: Err(why), .. }) = of(FAILED, killed) else { panic!("it has ended") };
        assert!(why.contains("exit code 137") && why.contains("backoff limit"), "{why}");
        let no_word = "state: {terminated: {exitCode: 1, message: 'panicked'}}";
        let JobSeen::Ended(End { said: Err(why), .. }) = of(FAILED, no_word) else { panic!("it has ended") };
        assert!(why.contains("panicked"), "{why}");
    }

    #[test]
    fn a_job_that_works_says_what_keeps_it_from_it() {
        let waits = "state: {waiting: {reason: ErrImagePull, message: no such image}}";
        assert_eq!(of("{}", waits), JobSeen::Running(Some("its pod has no image: no such image".to_owned())));
        assert_eq!(of("{}", "state: {running: {}}"), JobSeen::Running(None));
        let going = "metadata: {deletionTimestamp: '2026-01-01T12:00:00Z'}";
        assert_eq!(of(going, "state: {running: {}}"), JobSeen::Going);
    }
}
