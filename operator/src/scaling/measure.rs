//! From what the pods say to what is known of the pipeline. Pure.

use super::observation::{HotPartition, Observation, Placement, Readings};
use control::PodStatus;
use control::status::{Processing, Usage};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// The share of the lag of a partition that makes it a hot one.
const HOT_SHARE: f64 = 0.8;

/// One pod with what it says and requests.
#[derive(Clone, Debug)]
pub struct PodMeasured {
    /// Its name.
    pub name: String,
    /// What it says.
    pub report: PodStatus,
    /// Cores that it requests.
    pub cpu_request: Option<f64>,
    /// Bytes of memory that it requests.
    pub memory_request: Option<f64>,
}

/// Counters of the pods at the last look, by name and start of the process.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    at: Option<Timestamp>,
    of_pods: BTreeMap<(String, i64), (Option<Processing>, Option<Usage>)>,
}

/// What is known of a pipeline that should have so many pods, and the counters for the next look. Pods that are not known
/// make everything unknown.
pub fn measure(
    pods: Option<&[PodMeasured]>,
    replicas: u32,
    workers_per_replica: u32,
    before: &Counters,
    now: Timestamp,
) -> (Observation, Counters) {
    let wanted = usize::try_from(replicas).unwrap_or(usize::MAX);
    let Some(pods) = pods.filter(|pods| !pods.is_empty() && pods.len() == wanted) else {
        return (Observation { replicas, ..Observation::default() }, Counters::default());
    };
    let counters = Counters::of(pods, now);
    let readings = readings(pods, before, now);
    let hot = hot(pods, readings.lag_records);
    let placement = Placement { units: units(pods), workers_per_replica };
    (Observation { replicas, placement, readings, hot }, counters)
}

impl Counters {
    fn of(pods: &[PodMeasured], now: Timestamp) -> Self {
        let of_pod = |pod: &PodMeasured| (pod.key(), (pod.report.processing, pod.report.usage));
        Self { at: Some(now), of_pods: pods.iter().map(of_pod).collect() }
    }

    fn processing(&self, pod: &PodMeasured) -> Option<Processing> {
        self.of_pods.get(&pod.key())?.0
    }

    fn usage(&self, pod: &PodMeasured) -> Option<Usage> {
        self.of_pods.get(&pod.key())?.1
    }
}

impl PodMeasured {
    fn key(&self) -> (String, i64) {
        (self.name.clone(), self.report.started_at_ms)
    }
}

fn readings(pods: &[PodMeasured], before: &Counters, now: Timestamp) -> Readings {
    // What one pod does not know, nobody knows.
    let all = |value: &dyn Fn(&PodMeasured) -> Option<f64>| -> Option<Vec<f64>> {
        pods.iter().map(value).collect()
    };
    let sum = |value: &dyn Fn(&PodMeasured) -> Option<f64>| all(value).map(|all| all.iter().sum::<f64>());
    let mean = |value: &dyn Fn(&PodMeasured) -> Option<f64>| sum(value).map(|sum| sum / pods.len() as f64);
    let lag_records = sum(&|pod| pod.report.lag.records.map(|records| records as f64));
    let lag_seconds = all(&|pod| pod.report.lag.seconds);
    Readings {
        lag_records,
        lag_seconds: lag_seconds.map(|all| all.into_iter().fold(0.0, f64::max)),
        queue_size: sum(&|pod| pod.report.queue_records.map(|records| records as f64)),
        processing_seconds: processing_seconds(pods, before, lag_records),
        health: mean(&|pod| pod.report.health),
        cpu: mean(&|pod| cpu(pod, before, now)),
        memory: mean(&|pod| {
            pod.report
                .usage
                .zip(pod.memory_request)
                .map(|(usage, request)| percent(usage.memory_bytes as f64, request))
        }),
        throughput: sum(&|pod| pod.report.rate_records_per_second),
    }
}

/// The mean of the commits since the last look. Without any it is 0 if there is nothing to do, and unknown if there is.
fn processing_seconds(pods: &[PodMeasured], before: &Counters, lag: Option<f64>) -> Option<f64> {
    let since = |pod: &PodMeasured| {
        let (now, before) = (pod.report.processing?, before.processing(pod)?);
        Some((now.seconds - before.seconds, now.commits.checked_sub(before.commits)?))
    };
    let all: Option<Vec<(f64, u64)>> = pods.iter().map(since).collect();
    let (seconds, commits) = all?.into_iter().fold((0.0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    match commits {
        0 => lag.filter(|lag| *lag <= 0.0),
        commits => Some((seconds / commits as f64).max(0.0)),
    }
}

fn cpu(pod: &PodMeasured, before: &Counters, now: Timestamp) -> Option<f64> {
    let elapsed = now.duration_since(before.at?).as_secs_f64();
    let used = pod.report.usage?.cpu_seconds - before.usage(pod)?.cpu_seconds;
    let request = pod.cpu_request?;
    (elapsed > 0.0).then(|| percent((used / elapsed).max(0.0), request))
}

fn percent(used: f64, request: f64) -> f64 {
    used / request * 100.0
}

/// Units of each stage. Before all of them are known there are none.
fn units(pods: &[PodMeasured]) -> Vec<u32> {
    let mut stages: BTreeMap<&str, u32> = BTreeMap::new();
    for unit in pods.iter().flat_map(|pod| &pod.report.units) {
        *stages.entry(unit.stage.as_str()).or_default() += 1;
    }
    stages.into_values().collect()
}

/// The partition that holds nearly all of the lag, where there are others.
fn hot(pods: &[PodMeasured], lag: Option<f64>) -> Option<HotPartition> {
    let most = pods.iter().filter_map(|pod| pod.report.laggiest.as_ref()).max_by_key(|lag| lag.records)?;
    let others = units(pods).iter().any(|units| *units > 1);
    (others && most.records as f64 >= lag? * HOT_SHARE).then(|| HotPartition {
        topic: most.topic.clone(),
        partition: most.partition,
        records: most.records,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).expect("in range")
    }

    fn pod(name: &str, more: &Value) -> PodMeasured {
        let mut status = json!({
            "apiVersion": "v1", "uid8": "", "generation": 1, "planHash": "", "version": "", "startedAtMs": 7,
            "workers": [], "unitsKnown": true,
            "units": [{"stage": "count", "unit": 0, "worker": 0, "state": "Live"}],
        });
        for (key, value) in more.as_object().expect("an object") {
            status[key] = value.clone();
        }
        PodMeasured {
            name: name.to_owned(),
            report: serde_json::from_value(status).expect("a status"),
            cpu_request: Some(0.5),
            memory_request: Some(1_000.0),
        }
    }

    fn busy(name: &str, cpu_seconds: f64, commits: u64) -> PodMeasured {
        pod(
            name,
            &json!({
                "lag": {"records": 40, "seconds": 2.5}, "queueRecords": 5, "rateRecordsPerSecond": 10.0, "health": 0.5,
                "usage": {"cpuSeconds": cpu_seconds, "memoryBytes": 800},
                "processing": {"seconds": commits as f64 * 0.2, "commits": commits},
            }),
        )
    }

    #[test]
    fn pods_add_up_and_counters_are_compared_with_the_last_look() {
        let first = [busy("a", 100.0, 50), busy("b", 100.0, 50)];
        let (observation, counters) = measure(Some(&first), 2, 1, &Counters::default(), at(0));
        let known = observation.readings;
        assert_eq!((known.cpu, known.processing_seconds), (None, None), "nothing to compare with");
        assert_eq!(
            (known.lag_records, known.lag_seconds, known.queue_size),
            (Some(80.0), Some(2.5), Some(10.0))
        );
        assert_eq!((known.health, known.memory, known.throughput), (Some(0.5), Some(80.0), Some(20.0)));
        assert_eq!(observation.placement.units, [2]);
        let second = [busy("a", 102.5, 60), busy("b", 105.0, 50)];
        let (observation, _) = measure(Some(&second), 2, 1, &counters, at(10));
        let known = observation.readings;
        assert!(known.processing_seconds.is_some_and(|seconds| (seconds - 0.2).abs() < 1e-9));
        assert_eq!(known.cpu, Some(75.0), "50 % and 100 % of half a core");
    }

    #[test]
    fn what_one_pod_does_not_know_nobody_knows() {
        let pods = [busy("a", 1.0, 1), pod("b", &json!({}))];
        let (observation, _) = measure(Some(&pods), 2, 1, &Counters::default(), at(0));
        assert_eq!(observation.readings, Readings::default());
        for (pods, replicas) in [(None, 2), (Some(&pods[..1]), 2), (Some(&pods[..]), 1)] {
            let (observation, _) = measure(pods, replicas, 1, &Counters::default(), at(0));
            assert_eq!(observation, Observation { replicas, ..Observation::default() });
        }
    }

    #[test]
    fn without_a_commit_an_idle_pipeline_takes_no_time_and_a_stuck_one_an_unknown_one() {
        let idle = [pod("a", &json!({"lag": {"records": 0}, "processing": {"seconds": 1.0, "commits": 5}}))];
        let stuck = [pod("a", &json!({"lag": {"records": 9}, "processing": {"seconds": 1.0, "commits": 5}}))];
        for (pods, expected) in [(idle, Some(0.0)), (stuck, None)] {
            let (_, counters) = measure(Some(&pods), 1, 1, &Counters::default(), at(0));
            let (observation, _) = measure(Some(&pods), 1, 1, &counters, at(15));
            assert_eq!(observation.readings.processing_seconds, expected);
        }
    }

    #[test]
    fn a_restarted_process_is_not_compared_with_the_one_before() {
        let (_, counters) = measure(Some(&[busy("a", 900.0, 900)]), 1, 1, &Counters::default(), at(0));
        let mut restarted = busy("a", 1.0, 1);
        restarted.report.started_at_ms = 8;
        let (observation, _) = measure(Some(&[restarted]), 1, 1, &counters, at(15));
        assert_eq!((observation.readings.cpu, observation.readings.processing_seconds), (None, None));
    }

    #[test]
    fn a_partition_with_nearly_all_of_the_lag_is_hot_unless_it_is_alone() {
        let lag = |records: u64, laggiest: u64| {
            json!({
                "lag": {"records": records}, "laggiest": {"topic": "clicks", "partition": 3, "records": laggiest},
            })
        };
        let hot = |pods: &[PodMeasured]| {
            measure(Some(pods), pods.len() as u32, 1, &Counters::default(), at(0))
                .0
                .hot
                .map(|hot| hot.partition)
        };
        assert_eq!(hot(&[pod("a", &lag(900, 850)), pod("b", &lag(100, 90))]), Some(3));
        assert_eq!(hot(&[pod("a", &lag(500, 450)), pod("b", &lag(500, 90))]), None);
        assert_eq!(hot(&[pod("a", &lag(900, 900))]), None, "there is no other partition");
    }
}
