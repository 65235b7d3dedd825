//! What tools that follow kstatus make of an object, written from its description of the standard fields and conditions:
//! the first rule that applies decides.
//!
//! 1. An object with `metadata.deletionTimestamp` is Terminating.
//! 2. A `status.observedGeneration` that is not `metadata.generation` means InProgress.
//! 3. Abnormal-true conditions: `Reconciling` means InProgress, `Stalled` means Failed; the first that is True decides.
//! 4. `Ready` True means Current, any other `Ready` InProgress.
//! 5. An object that says nothing of all that is Current.

use serde_json::Value;

/// What a tool says of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    InProgress,
    Failed,
    Current,
    Terminating,
}

/// Judges an object as the API server gives it.
pub(super) fn kstatus(object: &Value) -> Verdict {
    if !object["metadata"]["deletionTimestamp"].is_null() {
        return Verdict::Terminating;
    }
    let observed = &object["status"]["observedGeneration"];
    if !observed.is_null() && *observed != object["metadata"]["generation"] {
        return Verdict::InProgress;
    }
    let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let abnormal =
        conditions.iter().filter(|condition| condition["status"] == "True").find_map(|condition| {
            match condition["type"].as_str() {
                Some("Reconciling") => Some(Verdict::InProgress),
                Some("Stalled") => Some(Verdict::Failed),
                _ => None,
            }
        });
    let ready = conditions.iter().find(|condition| condition["type"] == "Ready");
    abnormal.unwrap_or(match ready {
        Some(ready) if ready["status"] != "True" => Verdict::InProgress,
        _ => Verdict::Current,
    })
}

#[test]
fn the_first_rule_that_applies_decides() {
    let judge = |text: &str| kstatus(&serde_saphyr::from_str(text).expect("an object"));
    assert_eq!(judge("{metadata: {generation: 1}}"), Verdict::Current, "nothing is said");
    assert_eq!(
        judge("{metadata: {generation: 1}, status: {observedGeneration: -1}}"),
        Verdict::InProgress,
        "not seen"
    );
    let both = "{metadata: {generation: 1}, status: {conditions: [
        {type: Stalled, status: 'True'}, {type: Reconciling, status: 'True'}, {type: Ready, status: 'True'}]}}";
    assert_eq!(judge(both), Verdict::Failed, "the first that is True");
    let unknown = "{metadata: {generation: 1}, status: {observedGeneration: 1, conditions: [
        {type: Stalled, status: 'False'}, {type: Ready, status: Unknown}]}}";
    assert_eq!(judge(unknown), Verdict::InProgress);
    let gone = "{metadata: {generation: 1, deletionTimestamp: '2026-01-01T12:00:00Z'}, status: {observedGeneration: -1}}";
    assert_eq!(judge(gone), Verdict::Terminating);
}
