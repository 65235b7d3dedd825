//! What is known of a pipeline at one moment. What is not known is none, never zero.

use ::pipeline::scaling::Metric;

/// One look at a pipeline.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observation {
    /// Pods that it has.
    pub replicas: u32,
    /// What its work is divided into.
    pub placement: Placement,
    /// What its pods measure.
    pub readings: Readings,
    /// The one partition that holds nearly all of the lag, if there is one.
    pub hot: Option<HotPartition>,
}

/// What is measured of the whole pipeline.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Readings {
    /// Records that are not processed yet.
    pub lag_records: Option<f64>,
    /// Age of the oldest of them in seconds.
    pub lag_seconds: Option<f64>,
    /// Records that were read and are not committed yet.
    pub queue_size: Option<f64>,
    /// Mean seconds from reading to the commit.
    pub processing_seconds: Option<f64>,
    /// Health from 0 to 1.
    pub health: Option<f64>,
    /// Processor time in percent of the request.
    pub cpu: Option<f64>,
    /// Memory in percent of the request.
    pub memory: Option<f64>,
    /// Input records per second.
    pub throughput: Option<f64>,
}

/// A partition that holds nearly all of the lag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HotPartition {
    /// Its topic.
    pub topic: String,
    /// Its number.
    pub partition: u32,
    /// Its lag in records.
    pub records: u64,
}

/// The units of each stage, and the workers of each pod. Unit `u` belongs to worker `u mod workers`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// Units of each stage; empty while it is not known.
    pub units: Vec<u32>,
    /// Workers of each pod.
    pub workers_per_replica: u32,
}

impl Readings {
    /// The value of a metric.
    pub fn of(&self, metric: Metric) -> Option<f64> {
        match metric {
            Metric::ConsumerLag => self.lag_records,
            Metric::LagSeconds => self.lag_seconds,
            Metric::QueueSize => self.queue_size,
            Metric::ProcessingTime => self.processing_seconds,
            Metric::Health => self.health,
            Metric::Cpu => self.cpu,
            Metric::Memory => self.memory,
            Metric::Throughput => self.throughput,
        }
    }
}

impl Placement {
    /// Units of the worker that has most of them.
    fn load(&self, replicas: u32) -> u32 {
        let workers = replicas.saturating_mul(self.workers_per_replica.max(1)).max(1);
        self.units.iter().map(|units| units.div_ceil(workers)).sum()
    }

    /// Pods beyond which every further one is idle; none while the units are not known.
    pub fn most_useful(&self) -> Option<u32> {
        let widest = self.units.iter().max()?;
        Some(widest.div_ceil(self.workers_per_replica.max(1)).max(1))
    }

    /// The fewest pods, but not fewer than `least`, with which the busiest worker has no more units than with
    /// `replicas`.
    pub fn rounded_down(&self, replicas: u32, least: u32) -> u32 {
        // While the units are not known every pod may have something to do.
        let same = |fewer: &u32| !self.units.is_empty() && self.load(*fewer) == self.load(replicas);
        (least..replicas).find(same).unwrap_or(replicas)
    }

    /// The fewest pods, more than `replicas` and at most `most`, with which the busiest worker has fewer units.
    pub fn next_useful(&self, replicas: u32, most: u32) -> Option<u32> {
        (replicas.saturating_add(1)..=most).find(|more| self.load(*more) < self.load(replicas))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_counts_that_lower_the_largest_number_of_units_are_useful() {
        let six = Placement { units: vec![6], workers_per_replica: 1 };
        let useful: Vec<u32> = (1..=8).map(|replicas| six.rounded_down(replicas, 1)).collect();
        assert_eq!(useful, [1, 2, 3, 3, 3, 6, 6, 6]);
        assert_eq!(six.rounded_down(5, 4), 4, "not below the least");
        assert_eq!(six.most_useful(), Some(6));
        assert_eq!(
            (six.next_useful(3, 9), six.next_useful(3, 5), six.next_useful(6, 9)),
            (Some(6), None, None)
        );
        let wide = Placement { units: vec![6, 4], workers_per_replica: 2 };
        assert_eq!(wide.most_useful(), Some(3));
        assert_eq!((1..=4).map(|r| wide.rounded_down(r, 1)).collect::<Vec<_>>(), [1, 2, 3, 3]);
        let unknown = Placement::default();
        assert_eq!((unknown.most_useful(), unknown.rounded_down(7, 1)), (None, 7));
    }
}
