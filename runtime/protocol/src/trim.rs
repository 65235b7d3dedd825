//! Trimming: up to where the records of our own topics may be deleted. Only the owner of a topic's partition trims it.
//!
//! A journal keeps what a restore from its newest durable pointer replays, what open Holds and the slowest sink need, its
//! newest Claim or renewal, its last commit, and the record that says where state restarts. A repartition partition keeps what its only reader, the unit of that number, would read
//! again from its newest durable snapshot. A snapshot partition keeps every snapshot that may still be pointed to.

use crate::defences::Defences;
use crate::identity::Seq;
use crate::journal::{JournalView, TailItem};

/// The offset below which a journal may be deleted; none when nothing may.
pub fn journal(view: &JournalView, defences: &Defences) -> Option<i64> {
    let sinks = view.sinks_landmark().filter(|_| defences.sink_progress);
    let holds = view.holds_landmark().filter(|_| defences.hold);
    let landmark = [sinks, holds].into_iter().flatten().fold(view.landmark()?, i64::min);
    // Before the first pointer every commit is needed.
    view.restore_point().pointer.as_ref()?;
    let floor = needed_from(view, defences);
    let first_needed = view.tail_behind(floor).iter().find_map(|(offset, item)| match item {
        TailItem::Commit(_) => Some(*offset),
        TailItem::Claim(_) => None,
    });
    let keep_from = first_needed.map_or(landmark, |offset| offset.min(landmark));
    // At least one record stays.
    Some(keep_from.min(view.next_offset() - 1)).filter(|offset| *offset > 0)
}

/// The commit whose state a restore may start from: nothing at or below it has to be replayed.
pub fn needed_from(view: &JournalView, defences: &Defences) -> Seq {
    let mut floor = view.restore_point().seq();
    if defences.hold
        && let Some(held) = view.held_from()
    {
        floor = floor.min(held);
    }
    if defences.sink_progress
        && let Some(sink) = view.slowest_sink()
    {
        floor = floor.min(sink);
    }
    floor
}

/// The offset below which an input partition of ours (a repartition partition) may be deleted: its reader's position in
/// the snapshot that everything needed starts from. `positions` are those of the headers of the snapshots that a restore
/// may start from, the newest durable one among them; none of one says nothing may be deleted.
pub fn input(positions: impl IntoIterator<Item = Option<i64>>) -> Option<i64> {
    let mut lowest = i64::MAX;
    for position in positions {
        lowest = lowest.min(position?);
    }
    Some(lowest).filter(|offset| (1..i64::MAX).contains(offset))
}

/// The offset below which a snapshot partition may be deleted. `needed` are the first offsets of the snapshots that may
/// still be restored (the newest durable one, those that Holds pin); `uploading` is that of an upload that is under way.
pub fn snapshots(needed: impl IntoIterator<Item = i64>, uploading: Option<i64>) -> Option<i64> {
    needed.into_iter().chain(uploading).min().filter(|offset| *offset > 0)
}
