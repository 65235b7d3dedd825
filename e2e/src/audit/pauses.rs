//! How long the output of a partition stands still: the ends of the output's partitions, looked at all the time.

use super::{Ends, PARTITIONS};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Somebody who watches one topic.
pub struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Advances>,
}

/// When something was committed to each partition, in order.
#[derive(Clone, Debug)]
pub struct Advances(Vec<Vec<Instant>>);

impl Watch {
    /// Begins to watch.
    pub fn begin(bootstrap: &str, topic: &str) -> anyhow::Result<Self> {
        let (ends, topic) = (Ends::new(bootstrap)?, topic.to_owned());
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&stop);
        let thread = std::thread::spawn(move || watch(&ends, &topic, &asked));
        Ok(Self { stop, thread })
    }

    /// What was seen.
    pub fn end(self) -> anyhow::Result<Advances> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow::anyhow!("the watch panicked"))
    }
}

fn watch(ends: &Ends, topic: &str, stop: &AtomicBool) -> Advances {
    let mut last = vec![0; PARTITIONS as usize];
    let mut advances = Advances(vec![Vec::new(); PARTITIONS as usize]);
    while !stop.load(Ordering::Relaxed) {
        for partition in 0..PARTITIONS {
            // A broker that is paused or elects leaders is looked at again: it commits nothing meanwhile.
            let Ok(end) = ends.committed_end(topic, partition) else { continue };
            let index = partition as usize;
            if end > last[index] {
                last[index] = end;
                advances.0[index].push(Instant::now());
            }
        }
        std::thread::park_timeout(Duration::from_millis(5));
    }
    advances
}

impl Advances {
    /// For each partition the longest time without a commit that overlaps with this one.
    pub fn longest(&self, from: Instant, to: Instant) -> Vec<Duration> {
        let longest = |times: &Vec<Instant>| {
            let overlapping = times.windows(2).filter(|gap| gap[0] < to && gap[1] > from);
            overlapping.map(|gap| gap[1] - gap[0]).max()
        };
        self.0.iter().filter_map(longest).collect()
    }
}

/// The quantile `of` (0 to 1) of some durations, which are sorted.
pub fn quantile(sorted: &[Duration], of: f64) -> Duration {
    let at = ((sorted.len() as f64 * of).ceil() as usize).clamp(1, sorted.len().max(1)) - 1;
    sorted.get(at).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_counts_when_it_overlaps() {
        let zero = Instant::now();
        let at = |ms| zero + Duration::from_millis(ms);
        let advances = Advances(vec![vec![at(0), at(100), at(900), at(1_000)], vec![at(0), at(1_000)]]);
        let ms = |found: Vec<Duration>| found.iter().map(Duration::as_millis).collect::<Vec<_>>();
        assert_eq!(ms(advances.longest(at(200), at(300))), [800, 1_000]);
        assert_eq!(ms(advances.longest(at(910), at(2_000))), [100, 1_000]);
        assert_eq!(ms(advances.longest(at(1_500), at(2_000))), Vec::<u128>::new());
    }

    #[test]
    fn a_quantile_is_one_of_the_values() {
        let sorted: Vec<_> = (1..=20).map(Duration::from_secs).collect();
        let seconds = |of| quantile(&sorted, of).as_secs();
        assert_eq!((seconds(0.5), seconds(0.95), seconds(1.0)), (10, 19, 20));
        assert_eq!(quantile(&[], 0.5), Duration::ZERO);
    }
}
