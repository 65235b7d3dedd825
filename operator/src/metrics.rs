//! What the operator counts.

use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};
use std::time::Duration;

/// Buckets of a reconcile, in seconds: it talks to the API server and to pods, never waits.
const SECONDS: [f64; 10] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// Every metric of the operator.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    reconciles: IntCounterVec,
    seconds: HistogramVec,
    operations: IntCounterVec,
    pipelines: IntGaugeVec,
    leader: IntGauge,
}

impl Metrics {
    /// Registers everything.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let metrics = Self {
            reconciles: IntCounterVec::new(
                Opts::new("weir_operator_reconciles_total", "Reconciles by kind and result."),
                &["kind", "result"],
            )?,
            seconds: HistogramVec::new(
                HistogramOpts::new("weir_operator_reconcile_seconds", "Duration of a reconcile.")
                    .buckets(SECONDS.into()),
                &["kind"],
            )?,
            operations: IntCounterVec::new(
                Opts::new(
                    "orchestration_operations_total",
                    "What the operator did to pods and objects, by operation.",
                ),
                &["operation"],
            )?,
            pipelines: IntGaugeVec::new(
                Opts::new("weir_operator_pipelines", "Pipelines by the reason of their Ready condition."),
                &["status"],
            )?,
            leader: IntGauge::new(
                "weir_operator_leader",
                "1 while this operator is the one that works, else 0.",
            )?,
            registry,
        };
        metrics.registry.register(Box::new(metrics.reconciles.clone()))?;
        metrics.registry.register(Box::new(metrics.seconds.clone()))?;
        metrics.registry.register(Box::new(metrics.operations.clone()))?;
        metrics.registry.register(Box::new(metrics.pipelines.clone()))?;
        metrics.registry.register(Box::new(metrics.leader.clone()))?;
        metrics.registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        Ok(metrics)
    }

    /// A reconcile ended.
    pub fn reconciled(&self, kind: &str, good: bool, took: Duration) {
        self.reconciles.with_label_values(&[kind, if good { "ok" } else { "error" }]).inc();
        self.seconds.with_label_values(&[kind]).observe(took.as_secs_f64());
    }

    /// Something was done.
    pub fn operated(&self, operation: &str) {
        self.operations.with_label_values(&[operation]).inc();
    }

    /// Replaces the number of pipelines by status.
    pub fn count_pipelines<'a>(&self, statuses: impl Iterator<Item = &'a str>) {
        self.pipelines.reset();
        statuses.for_each(|status| self.pipelines.with_label_values(&[status]).inc());
    }

    /// Whether this operator is the one that works.
    pub fn leads(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// The text that Prometheus reads.
    pub fn text(&self) -> Result<String, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_metric_is_documented_and_every_documented_one_exists() {
        let metrics = Metrics::new().expect("metrics");
        metrics.reconciled("StreamPipeline", true, Duration::from_millis(3));
        metrics.operated("start");
        metrics.count_pipelines(["Running"].into_iter());
        metrics.leads(true);
        let text = metrics.text().expect("a page");
        let names = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
        let own: BTreeSet<_> = names.filter(|name| !name.starts_with("process_")).collect();
        let page = include_str!("../../docs/reference/metrics.md");
        let (_, of_operator) = page.split_once("\n## Of the operator\n").expect("a chapter");
        let documented: BTreeSet<_> =
            of_operator.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
        assert_eq!(documented, own);
    }
}
