//! Conditions by the rules of kstatus, which Argo, Flux and `kubectl wait` read.
//!
//! - `Ready` is always there and is the last word.
//! - `Reconciling` and `Stalled` are there only while True, and never both.
//! - Every condition says which `metadata.generation` it judges; its time changes only with its status.

use control::{Condition as Kind, Reason};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// What is known about one condition now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Which condition.
    pub kind: Kind,
    /// True, False, or unknown.
    pub holds: Option<bool>,
    /// Why, one of the closed list.
    pub reason: Reason,
    /// What, where and what to do.
    pub message: String,
}

impl Verdict {
    /// A verdict with all its parts.
    pub fn new(
        kind: Kind,
        holds: impl Into<Option<bool>>,
        reason: Reason,
        message: impl Into<String>,
    ) -> Self {
        Self { kind, holds: holds.into(), reason, message: message.into() }
    }
}

/// The conditions after `verdicts`, in their order. Times are kept where the status did not change; conditions without
/// a verdict disappear.
pub fn conditions(
    before: &[Condition],
    verdicts: &[Verdict],
    observed_generation: i64,
    now: &Time,
) -> Vec<Condition> {
    verdicts
        .iter()
        .filter(|verdict| !abnormal(verdict.kind) || verdict.holds == Some(true))
        .map(|verdict| {
            let (kind, reason) = (verdict.kind.as_str(), verdict.reason.as_str());
            condition(before, kind, verdict.holds, (reason, &verdict.message), observed_generation, now)
        })
        .collect()
}

/// One condition; its time is kept where the status did not change.
pub fn condition(
    before: &[Condition],
    kind: &str,
    holds: Option<bool>,
    (reason, message): (&str, &str),
    observed_generation: i64,
    now: &Time,
) -> Condition {
    let status = text(holds);
    let old = before.iter().find(|old| old.type_ == kind && old.status == status);
    Condition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        observed_generation: Some(observed_generation),
        last_transition_time: old.map_or(now, |old| &old.last_transition_time).clone(),
    }
}

/// The condition of this kind, if there is one.
pub fn find(conditions: &[Condition], kind: Kind) -> Option<&Condition> {
    conditions.iter().find(|condition| condition.type_ == kind.as_str())
}

/// Conditions that are there only while they are True.
fn abnormal(kind: Kind) -> bool {
    matches!(kind, Kind::Reconciling | Kind::Stalled)
}

fn text(holds: Option<bool>) -> &'static str {
    match holds {
        Some(true) => "True",
        Some(false) => "False",
        None => "Unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::jiff::Timestamp;

    fn at(second: i64) -> Time {
        Time(Timestamp::from_second(second).expect("in range"))
    }

    #[test]
    fn the_time_of_a_condition_changes_only_with_its_status() {
        let first = conditions(&[], &[Verdict::new(Kind::Ready, false, Reason::Deploying, "a")], 1, &at(1));
        let second = conditions(&first, &[Verdict::new(Kind::Ready, false, Reason::Scaling, "b")], 2, &at(2));
        assert_eq!((&second[0].last_transition_time, second[0].reason.as_str()), (&at(1), "Scaling"));
        let third = conditions(&second, &[Verdict::new(Kind::Ready, true, Reason::Running, "")], 2, &at(3));
        assert_eq!((&third[0].last_transition_time, third[0].observed_generation), (&at(3), Some(2)));
    }

    #[test]
    fn reconciling_and_stalled_are_there_only_while_true() {
        let verdicts = [
            Verdict::new(Kind::Reconciling, false, Reason::Running, ""),
            Verdict::new(Kind::Stalled, None, Reason::Running, ""),
            Verdict::new(Kind::Ready, None, Reason::Deploying, ""),
        ];
        let made = conditions(&[], &verdicts, 1, &at(1));
        assert_eq!(
            made.iter().map(|c| (c.type_.as_str(), c.status.as_str())).collect::<Vec<_>>(),
            [("Ready", "Unknown")]
        );
    }
}
