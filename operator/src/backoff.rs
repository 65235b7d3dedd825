//! How long to wait after failures: longer each time, up to a bound, and not all at the same moment.

use kube::runtime::utils::Backoff;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// First pause after a failure; it doubles with each further one.
const FIRST: Duration = Duration::from_secs(1);
/// Longest pause of an object whose reconciles fail.
const OBJECT_MAX: Duration = Duration::from_mins(1);
/// Longest pause of watches that fail. All watches of a controller wait for the one that fails, and when the API server
/// was away for all of them, one after the other. So it is short: one that comes back is noticed within seconds.
const WATCH_MAX: Duration = Duration::from_secs(1);

/// The pause after this many failures in a row of the object `key`. Equal objects wait equally long; different ones
/// between half as long and as long, so that what failed together is not tried again together.
pub fn after_failures(key: &str, failures: u32) -> Duration {
    let mut hasher = DefaultHasher::new();
    (key, failures).hash(&mut hasher);
    pause(failures, OBJECT_MAX, hasher.finish())
}

fn pause(failures: u32, max: Duration, chance: u64) -> Duration {
    let whole = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(max);
    whole.mul_f64(1.0 - 0.5 * (chance as f64 / u64::MAX as f64))
}

/// The pauses of watches that fail, of one controller.
#[derive(Debug)]
pub struct Watches {
    controller: &'static str,
    failures: u32,
}

impl Watches {
    /// Nothing has failed yet.
    pub fn of(controller: &'static str) -> Self {
        Self { controller, failures: 0 }
    }
}

impl Iterator for Watches {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.failures = self.failures.saturating_add(1);
        let mut hasher = DefaultHasher::new();
        (self.controller, std::process::id(), self.failures).hash(&mut hasher);
        Some(pause(self.failures, WATCH_MAX, hasher.finish()))
    }
}

impl Backoff for Watches {
    fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_differ_between_objects() {
        for (failures, whole) in [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (1_000, 60)] {
            let whole = Duration::from_secs(whole);
            let pauses: Vec<Duration> =
                (0..100).map(|number| after_failures(&format!("shop/{number}"), failures)).collect();
            assert!(
                pauses.iter().all(|pause| *pause <= whole && *pause >= whole / 2),
                "{failures}: {pauses:?}"
            );
            let (longest, shortest) =
                (pauses.iter().max().expect("some"), pauses.iter().min().expect("some"));
            let spread = longest.saturating_sub(*shortest);
            assert!(spread > whole / 4, "{failures}: {spread:?}");
        }
        assert_eq!(after_failures("shop/a", 3), after_failures("shop/a", 3));
    }

    #[test]
    fn watches_are_tried_again_soon() {
        let mut watches = Watches::of("pipelines");
        let longest = watches.by_ref().take(50).max().expect("some");
        assert!(longest <= WATCH_MAX, "{longest:?}");
        watches.reset();
        assert!(watches.next().expect("endless") <= FIRST);
    }
}
