//! Settings of the whole pipeline: defaults filled in, bounds checked.

use super::problems::{At, Problems};
use super::storage::{check_restore, parse};
use super::{Guarantee, Settings, StartFrom};
use crate::problem::ProblemKind;
use crate::scaling::Clock;
use crate::spec::defaults::{self, DurationSetting, NumberSetting};
use crate::spec::{self, DeliveryGuarantee, Duration, StreamPipelineSpec, TerminationPolicy};

pub(super) fn settings(spec: &StreamPipelineSpec, at: &At, problems: &mut Problems) -> Settings {
    let checkpoint = spec.checkpoint.as_ref();
    let interval = checkpoint.and_then(|checkpoint| checkpoint.interval.as_ref());
    let strategy = spec.update_strategy.as_ref();
    let storage = checkpoint.and_then(|checkpoint| checkpoint.storage.as_ref());
    if spec.size.is_some() && spec.resources.is_some() {
        problems.add(ProblemKind::Union, &at.field("resources"), "`size` and `resources` exclude each other");
    }
    if let Some(from) = &spec.restore_from {
        check_restore(from, &at.field("restoreFrom"), problems);
    }
    if spec.termination_policy == Some(TerminationPolicy::Savepoint) && storage.is_none() {
        let message = "`Savepoint` needs a place for the state; set `spec.checkpoint.storage`";
        problems.add(ProblemKind::MissingField, &at.field("terminationPolicy"), message);
    }
    if strategy.and_then(|strategy| strategy.savepoint) == Some(true) && storage.is_none() {
        let message = "a savepoint needs a place for the state; set `spec.checkpoint.storage`";
        problems.add(ProblemKind::MissingField, &at.field("updateStrategy").field("savepoint"), message);
    }
    if let Some(savepoints) = &spec.savepoints {
        let at = at.field("savepoints");
        for (kind, field, message) in Clock::build(savepoints).err().unwrap_or_default() {
            problems.add(kind, &at.field(field), message);
        }
        if storage.is_none() {
            let message = "savepoints need a place for the state; set `spec.checkpoint.storage`";
            problems.add(ProblemKind::MissingField, &at, message);
        }
    }
    Settings {
        replicas: number(spec.replicas, defaults::REPLICAS, at, problems).unwrap_or(1),
        partitions: number(spec.partitions, defaults::PARTITIONS, at, problems),
        guarantee: match spec.delivery_guarantee {
            None | Some(DeliveryGuarantee::ExactlyOnce) => Guarantee::ExactlyOnce,
            Some(DeliveryGuarantee::AtLeastOnce) => Guarantee::AtLeastOnce,
        },
        commit_interval_ms: duration(
            spec.commit_interval.as_ref(),
            defaults::COMMIT_INTERVAL,
            &at.field("commitInterval"),
            problems,
        ) as u64,
        idle_commit_interval_ms: defaults::IDLE_COMMIT_INTERVAL_MS as u64,
        checkpoint_interval_ms: duration(
            interval,
            defaults::CHECKPOINT_INTERVAL,
            &at.field("checkpoint").field("interval"),
            problems,
        ) as u64,
        checkpoint_storage: storage
            .and_then(|storage| parse(storage, &at.field("checkpoint").field("storage"), problems)),
        start_from: start_from(spec.start_from.as_ref(), &at.field("startFrom"), problems)
            .unwrap_or(StartFrom::Earliest),
        suspend: spec.suspend.unwrap_or(false),
        probation_ms: duration(
            strategy.and_then(|strategy| strategy.probation.as_ref()),
            defaults::PROBATION,
            &at.field("updateStrategy").field("probation"),
            problems,
        ),
        auto_rollback: strategy.and_then(|strategy| strategy.auto_rollback).unwrap_or(true),
    }
}

/// A duration in milliseconds: the default when absent, and when it is reported.
pub(super) fn duration(
    given: Option<&Duration>,
    setting: DurationSetting,
    at: &At,
    problems: &mut Problems,
) -> i64 {
    let default = setting.default_or_zero();
    let Some(given) = given else { return default };
    match given.milliseconds() {
        Ok(ms) if (setting.min_ms..=setting.max_ms).contains(&ms) => ms,
        Ok(_) => {
            let message = format!("`{given}` is out of bounds; allowed is {}", setting.bounds());
            problems.add(ProblemKind::OutOfBounds, at, message);
            default
        }
        Err(error) => {
            problems.add(ProblemKind::BadText, at, error.to_string());
            default
        }
    }
}

fn number(given: Option<i32>, setting: NumberSetting, at: &At, problems: &mut Problems) -> Option<u32> {
    let value = given.map(i64::from).or(setting.default)?;
    if !(setting.min..=setting.max).contains(&value) {
        let message = format!("{value} is not from {} to {}", setting.min, setting.max);
        problems.add(ProblemKind::OutOfBounds, &at.field(setting.field), message);
    }
    u32::try_from(value).ok()
}

pub(super) fn start_from(
    given: Option<&spec::StartFrom>,
    at: &At,
    problems: &mut Problems,
) -> Option<StartFrom> {
    let text = given?.0.as_str();
    match text {
        "Earliest" => Some(StartFrom::Earliest),
        "Latest" => Some(StartFrom::Latest),
        other => {
            let time =
                other.parse::<jiff::Timestamp>().ok().map(|time| StartFrom::Timestamp(time.as_millisecond()));
            if time.is_none() {
                let message =
                    format!("`{other}` is not a start; allowed are `Earliest`, `Latest` and RFC 3339 times");
                problems.add(ProblemKind::BadText, at, message);
            }
            time
        }
    }
}
