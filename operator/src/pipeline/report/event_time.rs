//! Does event time move? Judged by the watermark that the status says and the one that the pods say now: the pods know only
//! how far it is. It informs, and never makes a pipeline not ready.

use super::Facts;
use super::numbers::{PAUSE, watermark};
use crate::pipeline::observe::PodSeen;
use control::{Condition as Kind, Reason};
use crds::condition::{Verdict, find};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::SignedDuration;

/// Numbers are written when they have moved, at most every [`PAUSE`]: twice that without one, and they stand.
const STANDS_AFTER: SignedDuration = SignedDuration::from_secs(2 * PAUSE.as_secs());

/// What is known of it while every pod is live.
pub(super) fn moves(facts: &Facts<'_>, pods: &[PodSeen]) -> Verdict {
    let verdict =
        |holds: Option<bool>, reason, message| Verdict::new(Kind::WatermarkAdvancing, holds, reason, message);
    let reports: Vec<_> = pods.iter().filter_map(|pod| pod.report.as_ref()).collect();
    let Some(now) = watermark(reports.iter().copied()) else {
        let message = "no record with an event time has been read yet".to_owned();
        return verdict(None, Reason::IdleSource, message);
    };
    if !stands(facts, &now) {
        return verdict(Some(true), Reason::Running, "event time moves".to_owned());
    }
    let text = format!("event time stands at {}", now.0);
    let waiting = reports.iter().map(|report| report.lag.records).sum::<Option<u64>>();
    if waiting == Some(0) {
        return verdict(Some(false), Reason::IdleSource, format!("{text}: no source has newer records"));
    }
    verdict(None, Reason::Running, format!("{text}, and it is not known that no record is waiting"))
}

/// It is where it was when the numbers were written long enough ago, or where it stood at the last look.
fn stands(facts: &Facts<'_>, now: &Time) -> bool {
    let before = facts.observed.status();
    if before.watermark.as_ref() != Some(now) {
        return false;
    }
    let old = before.measured_at.is_some_and(|at| facts.observed.now.duration_since(at.0) >= STANDS_AFTER);
    let stood = find(&before.conditions, Kind::WatermarkAdvancing).is_some_and(|condition| {
        condition.status == "False"
            || condition.status == "Unknown" && condition.reason == Reason::Running.as_str()
    });
    old || stood
}
