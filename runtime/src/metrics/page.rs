//! One page of samples, each made when it is asked for.

use crate::worker::Durations;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, Histogram, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Counter, CounterVec, Encoder, Gauge, GaugeVec, Opts, Registry, TextEncoder};
use std::collections::HashMap;

/// Samples in the making. A name is used once.
pub(super) struct Page {
    registry: Registry,
    labels: HashMap<String, String>,
}

impl Page {
    /// Every sample has the label `pipeline`.
    pub(super) fn new(pipeline: &str) -> Result<Self, prometheus::Error> {
        let labels = HashMap::from([("pipeline".to_owned(), pipeline.to_owned())]);
        let registry = Registry::new_custom(None, Some(labels.clone()))?;
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        Ok(Self { registry, labels })
    }

    pub(super) fn counter(&self, name: &str, help: &str, value: f64) -> Result<(), prometheus::Error> {
        let counter = Counter::new(name, help)?;
        counter.inc_by(value);
        self.registry.register(Box::new(counter))
    }

    pub(super) fn gauge(&self, name: &str, help: &str, value: f64) -> Result<(), prometheus::Error> {
        let gauge = Gauge::new(name, help)?;
        gauge.set(value);
        self.registry.register(Box::new(gauge))
    }

    /// One sample for each value of a label.
    pub(super) fn counters<'a>(
        &self,
        (name, label): (&str, &str),
        help: &str,
        values: impl IntoIterator<Item = (&'a str, u64)>,
    ) -> Result<(), prometheus::Error> {
        let counters = CounterVec::new(Opts::new(name, help), &[label])?;
        for (of, value) in values {
            counters.with_label_values(&[of]).inc_by(value as f64);
        }
        self.registry.register(Box::new(counters))
    }

    /// One sample for each value of a label; values that come again add up.
    pub(super) fn gauges<'a>(
        &self,
        (name, label): (&str, &str),
        help: &str,
        values: impl IntoIterator<Item = (&'a str, u64)>,
    ) -> Result<(), prometheus::Error> {
        let gauges = GaugeVec::new(Opts::new(name, help), &[label])?;
        for (of, value) in values {
            gauges.with_label_values(&[of]).add(value as f64);
        }
        self.registry.register(Box::new(gauges))
    }

    pub(super) fn histogram(
        &self,
        name: &str,
        help: &str,
        values: &Durations,
    ) -> Result<(), prometheus::Error> {
        let desc = Desc::new(name.to_owned(), help.to_owned(), Vec::new(), self.labels.clone())?;
        self.registry.register(Box::new(Kept { desc, family: family(name, help, values) }))
    }

    pub(super) fn text(&self) -> Result<String, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

/// A histogram that was counted elsewhere.
struct Kept {
    desc: Desc,
    family: MetricFamily,
}

impl Collector for Kept {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        vec![self.family.clone()]
    }
}

fn family(name: &str, help: &str, values: &Durations) -> MetricFamily {
    let bucket = |(bound, count)| {
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(bound);
        bucket.set_cumulative_count(count);
        bucket
    };
    let mut histogram = Histogram::default();
    histogram.set_sample_count(values.count());
    histogram.set_sample_sum(values.seconds());
    histogram.set_bucket(values.cumulative().map(bucket).collect());
    let mut metric = Metric::from_label(Vec::<LabelPair>::new());
    metric.set_histogram(histogram);
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(MetricType::HISTOGRAM);
    family.set_metric(vec![metric]);
    family
}
