//! What holds for every policy and every course of things.

use super::tests::{at, policy};
use super::*;
use crate::scaling::{Placement, Readings};
use proptest::prelude::*;

/// Seconds between two looks.
const LOOK: i64 = 15;

/// A policy, its bounds, its cooldowns, and a beginning within the bounds.
#[derive(Clone, Debug)]
struct Setting {
    policy: Policy,
    min: u32,
    max: u32,
    up: i64,
    down: i64,
    units: u32,
    replicas: u32,
}

fn settings() -> impl Strategy<Value = Setting> {
    let windows = (0..900_i64, 0..900_i64, 0..900_i64, 0..900_i64);
    let steps = prop_oneof![
        Just(String::new()),
        (1..6_u32, 15..300_u32).prop_map(|(pods, seconds)| format!(
            "policies: [{{type: Pods, value: {pods}, periodSeconds: {seconds}}}], "
        )),
        (10..200_u32, 15..300_u32).prop_map(|(percent, seconds)| format!(
            "policies: [{{type: Percent, value: {percent}, periodSeconds: {seconds}}}], "
        )),
    ];
    (1..6_u32, 0..30_u32, windows, 0..40_u32, steps, any::<proptest::sample::Index>()).prop_map(
        |(min, more, (up, down, window_up, window_down), units, steps, replicas)| {
            let max = min + more;
            let policy = policy(&format!(
                "minReplicas: {min}, maxReplicas: {max},
                 metrics: [{{consumerLag: {{averageValue: 1000}}}}, {{lagSeconds: {{value: 60}}}}],
                 behavior: {{
                   scaleUp: {{{steps}cooldownSeconds: {up}, stabilizationWindowSeconds: {window_up}}},
                   scaleDown: {{{steps}cooldownSeconds: {down}, stabilizationWindowSeconds: {window_down}}}}}"
            ));
            let replicas = min + replicas.index(more as usize + 1) as u32;
            Setting { policy, min, max, up, down, units, replicas }
        },
    )
}

/// Lag in records, its age, and the rate: each known or not.
fn rows(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Readings>> {
    let known = |most: f64| proptest::option::weighted(0.95, 0.0..most);
    let row = (known(60_000.0), known(600.0), proptest::option::of(0.0..5_000.0_f64));
    let readings = row.prop_map(|(lag_records, lag_seconds, throughput)| Readings {
        lag_records,
        lag_seconds,
        throughput,
        ..Readings::default()
    });
    proptest::collection::vec(readings, count)
}

impl Setting {
    fn observation(&self, replicas: u32, readings: Readings) -> Observation {
        let units = if self.units == 0 { Vec::new() } else { vec![self.units] };
        Observation { replicas, placement: Placement { units, workers_per_replica: 1 }, readings, hot: None }
    }

    /// Every decision is carried out at once.
    fn run(&self, rows: &[Readings]) -> Vec<Decision> {
        let (mut history, mut replicas) = (History::begin(at(0), self.replicas, None), self.replicas);
        let mut decisions = Vec::new();
        for (look, readings) in (1..).zip(rows) {
            let now = at(look * LOOK);
            let observation = self.observation(replicas, *readings);
            let decision = decide(&self.policy, &history, &observation, now);
            history.record(now, &observation, decision.wish);
            history.notice(now, decision.desired);
            replicas = decision.desired;
            decisions.push(decision);
        }
        decisions
    }
}

/// Times and directions of the changes.
fn changes(decisions: &[Decision]) -> Vec<(i64, bool)> {
    let numbered = (1..).zip(decisions);
    let changed = numbered.filter(|(_, decision)| decision.desired != decision.current);
    changed.map(|(look, decision)| (look * LOOK, decision.desired > decision.current)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn bounds_always_hold(setting in settings(), rows in rows(1..80)) {
        // More pods than partitions are idle: then fewer than the least are right.
        let least = if setting.units == 0 { setting.min } else { setting.min.min(setting.units) };
        for decision in setting.run(&rows) {
            prop_assert!((least..=setting.max).contains(&decision.desired), "{decision:?}");
        }
    }

    #[test]
    fn unknown_never_moves(setting in settings(), rows in rows(1..80), lag in any::<bool>()) {
        let cut = rows.iter().map(|row| if lag {
            Readings { lag_records: None, ..*row }
        } else {
            Readings { lag_seconds: None, ..*row }
        });
        for decision in setting.run(&cut.collect::<Vec<_>>()) {
            prop_assert_eq!(decision.desired, setting.replicas);
            prop_assert_eq!(decision.limited_by, Some(Limit::MetricsUnavailable));
        }
    }

    #[test]
    fn more_lag_never_means_fewer_pods(
        setting in settings(), rows in rows(0..40), lag in 0.0..60_000.0_f64, more in 0.0..60_000.0_f64,
        seconds in 0.0..600.0_f64,
    ) {
        let decide_with = |lag: f64| {
            let now = Readings { lag_records: Some(lag), lag_seconds: Some(seconds), ..Readings::default() };
            let mut rows = rows.clone();
            rows.push(now);
            setting.run(&rows).pop().map(|decision| decision.desired)
        };
        prop_assert!(decide_with(lag) <= decide_with(lag + more));
    }

    #[test]
    fn no_change_comes_within_the_cooldown_of_its_direction(setting in settings(), rows in rows(2..160)) {
        // The first look may have to correct what is beyond the partitions; it has no cooldown to keep.
        let changes = changes(&setting.run(&rows));
        for pair in changes.windows(2) {
            let cooldown = if pair[1].1 { setting.up } else { setting.down };
            prop_assert!(pair[1].0 - pair[0].0 >= cooldown, "{pair:?}");
        }
    }

    #[test]
    fn every_change_helps_the_busiest_pod_or_spares_an_idle_one(setting in settings(), rows in rows(1..80)) {
        for decision in setting.run(&rows) {
            let placement = setting.observation(0, Readings::default()).placement;
            if decision.desired > decision.current && decision.desired > setting.min {
                let rounded = placement.rounded_down(decision.desired, decision.current);
                prop_assert_eq!(rounded, decision.desired);
            }
        }
    }

    #[test]
    fn noise_of_a_third_for_twenty_minutes_gives_at_most_one_reversal(
        mean in 500.0..20_000.0_f64, replicas in 1..25_u32, noise in proptest::collection::vec(0.7..1.3_f64, 80),
    ) {
        let policy = policy("maxReplicas: 30, metrics: [{consumerLag: {averageValue: 1000}}]");
        let setting = Setting { policy, min: 1, max: 30, up: 300, down: 600, units: 0, replicas };
        let row = |factor: &f64| Readings { lag_records: Some(mean * factor), ..Readings::default() };
        let changes = changes(&setting.run(&noise.iter().map(row).collect::<Vec<_>>()));
        let reversals = changes.windows(2).filter(|pair| pair[0].1 != pair[1].1).count();
        prop_assert!(reversals <= 1, "{changes:?}");
    }

    #[test]
    fn a_decision_says_why(setting in settings(), rows in rows(1..40)) {
        for decision in setting.run(&rows) {
            prop_assert!(!decision.reason.is_empty());
            let has_its_will = decision.wish == Some(decision.desired);
            prop_assert!(has_its_will || decision.limited_by.is_some(), "{decision:?}");
        }
    }
}
