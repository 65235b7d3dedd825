//! Counters that go on when pods restart: a pod counts since its own start, the status since the pipeline was made.

use control::PodStatus;
use std::collections::BTreeMap;

/// Counters of every pod when the status was last written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted(BTreeMap<String, Counters>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Counters {
    started_at_ms: i64,
    dead_letters: u64,
    late: BTreeMap<String, u64>,
}

/// What was counted since the status was last written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Growth {
    pub(super) dead_letters: u64,
    pub(super) late: BTreeMap<String, u64>,
}

impl Counted {
    /// The counters of these pods now.
    pub(super) fn of<'a>(pods: impl Iterator<Item = (&'a str, &'a PodStatus)>) -> Self {
        Self(pods.map(|(name, report)| (name.to_owned(), Counters::of(report))).collect())
    }

    /// What has been added to `self` to give `now`. A pod that `self` does not know counts in full when it was started
    /// after the status was last written; else what it has counted so far may be in the status already.
    pub(super) fn growth(&self, now: &Counted, written_at_ms: Option<i64>) -> Growth {
        let mut growth = Growth::default();
        for (pod, counters) in &now.0 {
            let before = match self.0.get(pod) {
                Some(before) if before.started_at_ms == counters.started_at_ms => before.clone(),
                Some(_) => Counters::default(),
                None if written_at_ms.is_none_or(|written| counters.started_at_ms > written) => {
                    Counters::default()
                }
                None => counters.clone(),
            };
            growth.dead_letters += counters.dead_letters.saturating_sub(before.dead_letters);
            for (step, late) in &counters.late {
                let added = late.saturating_sub(before.late.get(step).copied().unwrap_or(0));
                *growth.late.entry(step.clone()).or_default() += added;
            }
        }
        growth
    }
}

impl Counters {
    fn of(report: &PodStatus) -> Self {
        Self {
            started_at_ms: report.started_at_ms,
            dead_letters: report.dead_letters,
            late: report.windows.iter().map(|window| (window.step.clone(), window.late)).collect(),
        }
    }
}
