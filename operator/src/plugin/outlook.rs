//! What a change will do to a pipeline, in words. Pure.

use crate::pipeline::observe::Observed;
use crate::pipeline::report;
use crate::pipeline::validate::{Desired, Invalid, Restoration};
use ::pipeline::plan::{Plan, from_yaml, state_changes};
use crds::StreamPipeline;
use std::collections::BTreeSet;

/// What will happen.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outlook {
    /// In a few words, then a line for each thing to know.
    pub lines: Vec<String>,
    /// The change is possible.
    pub possible: bool,
}

/// What will happen when `live`, the object as it is in the cluster, becomes that of `observed`, of which `desired` was made.
/// `observed` has the facts of the generation that works, if there is one.
pub(super) fn outlook(
    live: Option<&StreamPipeline>,
    observed: &Observed,
    desired: &Result<Desired, Invalid>,
) -> Outlook {
    let desired = match desired {
        Ok(desired) => desired,
        Err(invalid) => {
            let goes_on = live.map(|_| "what runs goes on unchanged".to_owned());
            let refused = format!("refused, {}: {}", invalid.reason.as_str(), invalid.message);
            return Outlook { lines: std::iter::once(refused).chain(goes_on).collect(), possible: false };
        }
    };
    let pods = counted(desired.shape.replicas);
    let Some(live) = live else {
        let made = if desired.suspend { "is made, suspended".to_owned() } else { format!("is made: {pods}") };
        let begins = desired.restore.as_ref().map(|restore| match restore {
            Restoration::Waits(what) => format!("{what}; it begins with what was saved there"),
            Restoration::From { place, .. } => {
                format!("begins with the state that was saved in {}", place.uri)
            }
        });
        return Outlook { lines: std::iter::once(made).chain(begins).collect(), possible: true };
    };
    let lines = match (live.spec.suspend.unwrap_or(false), desired.suspend) {
        (true, true) => vec!["stays suspended; the change takes effect when it is resumed".to_owned()],
        (false, true) => vec!["suspended: the pods finish, save their state and stop".to_owned()],
        (suspended, false) => change(live, observed, desired, suspended),
    };
    Outlook { lines, possible: true }
}

fn change(live: &StreamPipeline, observed: &Observed, desired: &Desired, suspended: bool) -> Vec<String> {
    let Some(facts) = observed.generations.last().and_then(|generation| generation.facts.as_ref()) else {
        return vec![format!("its first pods start: {}", counted(desired.shape.replicas))];
    };
    let before = facts.file.shape.replicas;
    let mut lines = Vec::new();
    let same_plan = facts.file.plan_hash == desired.plan_hash;
    let fields = fields_changed(live, &observed.pipeline);
    let what = match (same_plan, before == desired.shape.replicas, facts.file.manifest == desired.manifest) {
        (true, true, true) if fields.is_empty() && !suspended => return vec!["nothing changes".to_owned()],
        (true, true, true) if fields.iter().all(|field| field == "updateStrategy") && !suspended => {
            return vec!["no pod changes".to_owned()];
        }
        (true, false, _) => format!("the same plan, {} instead of {before}", counted(desired.shape.replicas)),
        (true, true, _) if fields.is_empty() => "the same plan".to_owned(),
        (true, true, _) => format!("the same plan, other pods ({})", list(fields.iter().cloned())),
        (false, _, _) => "another plan".to_owned(),
    };
    let how = match (suspended, desired.handover) {
        (true, _) => "resumed from the state that was saved",
        (false, true) => "handed over",
        (false, false) => "the old pods finish, save their state and go; then new ones start",
    };
    lines.push(format!("{how}: {what}"));
    if !suspended && desired.handover {
        let room = format!("{} stand by beside {}", counted(desired.shape.replicas), counted(before));
        lines.push(format!("{room}, if all of those work; the output goes on until they take over"));
    }
    if let (false, Ok(old), Ok(new)) =
        (same_plan, from_yaml(&facts.file.manifest), from_yaml(&desired.manifest))
    {
        lines.extend(state(&old, &new, desired.handover && !suspended));
    }
    lines
}

fn state(old: &Plan, new: &Plan, handover: bool) -> Vec<String> {
    let waits = "state or positions go from one stage to another: the output pauses until they are saved";
    let waits = (state_changes(old, new).moves && handover).then(|| waits.to_owned());
    std::iter::once(report::state(old, new)).chain(waits).collect()
}

fn counted(pods: u32) -> String {
    report::counted(pods as usize, "pod")
}

fn list(names: impl Iterator<Item = String>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

/// Fields of the spec that differ, and are not told of otherwise.
fn fields_changed(before: &StreamPipeline, after: &StreamPipeline) -> BTreeSet<String> {
    let fields = |pipeline: &StreamPipeline| {
        let spec = serde_json::to_value(&pipeline.spec).unwrap_or_default();
        spec.as_object().cloned().unwrap_or_default()
    };
    let (before, after) = (fields(before), fields(after));
    let names: BTreeSet<String> = before.keys().chain(after.keys()).cloned().collect();
    let told = ["suspend", "replicas"];
    names
        .into_iter()
        .filter(|name| !told.contains(&name.as_str()) && before.get(name) != after.get(name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::fixture::{created, desired, edited, live, recreate};

    fn says(before: &Observed, after: &Observed) -> String {
        let live = before.generations.last().map(|_| &before.pipeline);
        outlook(live, after, &desired(after)).lines.join(" / ")
    }

    #[test]
    fn what_a_change_will_do() {
        let running = live(created(), 1);
        let with = |edit: &dyn Fn(&mut StreamPipeline)| edited(running.clone(), edit);
        let suspended = with(&|pipeline| pipeline.spec.suspend = Some(true));
        let situations = vec![
            ("a new one", created(), created()),
            ("nothing", running.clone(), running.clone()),
            ("more pods", running.clone(), with(&|pipeline| pipeline.spec.replicas = Some(3))),
            (
                "a label",
                running.clone(),
                with(&|pipeline| {
                    pipeline.spec.pod_labels = [("team".to_owned(), "a".to_owned())].into();
                }),
            ),
            (
                "another topic",
                running.clone(),
                with(&|pipeline| {
                    pipeline.spec.sinks[0].kafka.as_mut().expect("a topic").topic = "elsewhere".to_owned();
                }),
            ),
            (
                "another topic without room",
                running.clone(),
                recreate(with(&|pipeline| {
                    pipeline.spec.sinks[0].kafka.as_mut().expect("a topic").topic = "elsewhere".to_owned();
                })),
            ),
            (
                "a step with another name",
                running.clone(),
                with(&|pipeline| {
                    pipeline.spec.steps[0].name = "per-user-and-more".to_owned();
                }),
            ),
            ("no room from now on", running.clone(), recreate(running.clone())),
            (
                "a mistake",
                running.clone(),
                with(&|pipeline| {
                    pipeline.spec.sinks[0].from = Some(vec!["nowhere".to_owned()]);
                }),
            ),
            ("another window", running.clone(), {
                let mut other = running.clone();
                let window = other.windows.get_mut("per-user-5m").expect("a window");
                window.tumbling.as_mut().expect("tumbling").size =
                    ::pipeline::spec::Duration("10m".to_owned());
                other
            }),
            ("suspend", running.clone(), suspended.clone()),
            ("resume", suspended.clone(), running.clone()),
            (
                "a change while it is suspended",
                suspended.clone(),
                edited(suspended, |pipeline| {
                    pipeline.spec.replicas = Some(3);
                }),
            ),
        ];
        let lines: Vec<String> = situations
            .iter()
            .map(|(name, before, after)| format!("{name}\n  {}", says(before, after)))
            .collect();
        insta::assert_snapshot!(lines.join("\n"));
    }
}
