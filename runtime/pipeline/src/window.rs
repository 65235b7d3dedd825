//! Windows: which slice of event time a record belongs to, and the two sides of a window step.
//!
//! ```text
//!  source unit                                   merging unit
//!  assign: key, lateness, add up by (key, slice) -> block -> merge: add up, close when the watermark says so -> rows
//!          large or catching-up records, whole   ->       -> judge, hold
//! ```
//!
//! Nothing here decides by the cut of batches: lateness is a fact of a record and of what came before it in its own
//! partition, accumulators do not depend on order, and rows come out by window and then in the order of first arrival.

pub(crate) mod assign;
pub(crate) mod block;
mod held;
pub(crate) mod key;
pub(crate) mod merge;
pub(crate) mod whole;

use crate::plan::{Window, WindowKind};

/// A slice of event time: what accumulators are kept for. A tumbling window is one slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slices {
    size_ms: i64,
    lateness_ms: i64,
}

impl Slices {
    pub(crate) fn of(window: &Window) -> Self {
        let WindowKind::Tumbling { size_ms } = window.kind;
        Self { size_ms: size_ms.max(1), lateness_ms: window.allowed_lateness_ms.max(0) }
    }

    /// The start of the slice around a time.
    #[inline]
    pub(crate) fn start_of(self, event_ms: i64) -> i64 {
        event_ms.saturating_sub(event_ms.rem_euclid(self.size_ms))
    }

    /// The end of the slice, exclusive.
    #[inline]
    pub(crate) fn end_of(self, start_ms: i64) -> i64 {
        start_ms.saturating_add(self.size_ms)
    }

    /// The first slice that a watermark does not close.
    pub(crate) fn first_open(self, watermark_ms: i64) -> i64 {
        let closed_ms = watermark_ms.saturating_sub(self.lateness_ms).saturating_sub(self.size_ms);
        self.end_of(self.start_of(closed_ms))
    }

    /// How long after its end a slice takes records.
    pub(crate) fn lateness_ms(self) -> i64 {
        self.lateness_ms
    }

    /// The watermark at which the last window of the slice closes; from then on its records are late.
    #[inline]
    pub(crate) fn closes_at(self, start_ms: i64) -> i64 {
        self.end_of(start_ms).saturating_add(self.lateness_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_align_to_the_epoch_on_both_sides_of_it() {
        let slices = Slices { size_ms: 10, lateness_ms: 5 };
        assert_eq!(slices.start_of(0), 0);
        assert_eq!(slices.start_of(9), 0);
        assert_eq!(slices.start_of(10), 10);
        assert_eq!(slices.start_of(-1), -10);
        assert_eq!(slices.end_of(-10), 0);
        assert_eq!(slices.closes_at(-10), 5);
        assert_eq!(slices.closes_at(slices.start_of(i64::MAX)), i64::MAX);
        for watermark_ms in -40..40 {
            let first = slices.first_open(watermark_ms);
            assert!(slices.closes_at(first) > watermark_ms && slices.closes_at(first - 10) <= watermark_ms);
        }
    }
}
