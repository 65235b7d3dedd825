//! How long the work of a live worker takes, in buckets that add up over workers.

use std::time::Duration;

/// Upper bounds of the buckets in seconds; a last one holds what is longer.
pub const BOUNDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];

/// Durations of one kind.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Durations {
    counts: [u64; BOUNDS.len() + 1],
    seconds: f64,
}

impl Durations {
    /// One more.
    pub fn observe(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        self.counts[BOUNDS.partition_point(|bound| *bound < seconds)] += 1;
        self.seconds += seconds;
    }

    /// Adds those of another worker or life.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(other.counts) {
            *mine += theirs;
        }
        self.seconds += other.seconds;
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// All of them together, in seconds.
    pub fn seconds(&self) -> f64 {
        self.seconds
    }

    /// For each bound how many are not longer.
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        let mut sum = 0;
        BOUNDS.iter().zip(self.counts).map(move |(bound, count)| {
            sum += count;
            (*bound, sum)
        })
    }
}

/// What is measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timings {
    /// From the reading of the first record of a commit to the moment at which the commit was known to be committed.
    pub ingestion: Durations,
    /// Applying one batch.
    pub processing: Durations,
    /// From the first write of a commit to its outcome.
    pub commit: Durations,
    /// From taking the state of a unit to its being durable.
    pub snapshot: Durations,
    /// Bytes of snapshots that became durable.
    pub snapshot_written: u64,
    /// Bytes of the states that they are of; what did not change was not written again.
    pub snapshot_state: u64,
    /// Working: neither waiting for records nor held back.
    pub busy: Duration,
    /// Not reading, because as much output waits for the commit in flight as may.
    pub held_back: Duration,
}

impl Timings {
    /// Adds those of another worker or life.
    pub fn add(&mut self, other: &Self) {
        self.ingestion.add(&other.ingestion);
        self.processing.add(&other.processing);
        self.commit.add(&other.commit);
        self.snapshot.add(&other.snapshot);
        self.snapshot_written += other.snapshot_written;
        self.snapshot_state += other.snapshot_state;
        self.busy += other.busy;
        self.held_back += other.held_back;
    }
}

/// The stopwatch of one life.
#[derive(Debug, Default)]
pub struct Stopwatch {
    known: Timings,
    /// When the first record was read that no commit holds yet.
    first_read: Option<Duration>,
    /// Of the commit in flight: its first write, and when its first record was read.
    flight: Option<(Duration, Option<Duration>)>,
    /// Waiting and being held back since the step began.
    idle: Duration,
}

impl Stopwatch {
    /// A batch was read at `began` and is applied at `ended`.
    pub fn applied(&mut self, began: Duration, ended: Duration) {
        self.first_read.get_or_insert(began);
        self.known.processing.observe(ended.saturating_sub(began));
    }

    /// The first write of a commit with all that was applied.
    pub fn commit_began(&mut self, at: Duration) {
        self.flight = Some((at, self.first_read.take()));
    }

    /// That commit is committed.
    pub fn committed(&mut self, at: Duration) {
        let Some((began, first_read)) = self.flight.take() else { return };
        self.known.commit.observe(at.saturating_sub(began));
        if let Some(read) = first_read {
            self.known.ingestion.observe(at.saturating_sub(read));
        }
    }

    /// A snapshot is durable: `written` bytes, of a state of `state` bytes.
    pub fn stored(&mut self, taken: Duration, at: Duration, written: u64, state: u64) {
        self.known.snapshot.observe(at.saturating_sub(taken));
        self.known.snapshot_written += written;
        self.known.snapshot_state += state;
    }

    /// Records were waited for.
    pub fn waited(&mut self, took: Duration) {
        self.idle += took;
    }

    /// Reading was not allowed.
    pub fn held_back(&mut self, took: Duration) {
        self.known.held_back += took;
        self.idle += took;
    }

    /// A step is over: what was neither waiting nor being held back was work.
    pub fn stepped(&mut self, took: Duration) {
        self.known.busy += took.saturating_sub(std::mem::take(&mut self.idle));
    }

    /// Everything so far.
    pub fn known(&self) -> &Timings {
        &self.known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_duration_on_a_bound_is_not_longer_than_it() {
        let mut all = Durations::default();
        for took in [ms(1), ms(2), ms(100), ms(61_000)] {
            all.observe(took);
        }
        let up_to: Vec<_> = all.cumulative().map(|(_, count)| count).collect();
        assert_eq!(up_to, [1, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3]);
        assert_eq!(all.count(), 4);
        assert!((all.seconds() - 61.103).abs() < 1e-9);
    }

    #[test]
    fn ingestion_lasts_from_the_first_record_of_a_commit_to_its_outcome() {
        let mut timing = Stopwatch::default();
        timing.applied(ms(10), ms(12));
        timing.applied(ms(15), ms(16));
        timing.commit_began(ms(20));
        timing.applied(ms(21), ms(22));
        timing.committed(ms(40));
        let known = timing.known();
        assert_eq!((known.ingestion.count(), known.commit.count(), known.processing.count()), (1, 1, 3));
        assert!((known.ingestion.seconds() - 0.030).abs() < 1e-9);
        assert!((known.commit.seconds() - 0.020).abs() < 1e-9);
        timing.commit_began(ms(50));
        timing.committed(ms(61));
        assert!(
            (timing.known().ingestion.seconds() - 0.070).abs() < 1e-9,
            "the third batch is in the second commit"
        );
    }

    #[test]
    fn a_step_is_work_but_for_what_it_waited() {
        let mut timing = Stopwatch::default();
        timing.waited(ms(30));
        timing.held_back(ms(5));
        timing.stepped(ms(50));
        timing.stepped(ms(7));
        assert_eq!((timing.known().busy, timing.known().held_back), (ms(22), ms(5)));
    }
}
