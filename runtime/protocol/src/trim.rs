//! Trimming: up to where the records of our own topics may be deleted. Only the owner of a topic's partition trims it.
//!
//! Invariant: nothing is deleted that a restore may need, now or later, of
//! - the newest durable pointer that is *committed*, as the journal itself says: one that rides in a commit whose outcome
//!   is not known does not count,
//! - every older pointer that an open Hold, a rollback or a slower sink restores from,
//! - a snapshot that is being uploaded, or uploaded and not pointed to yet: it lies behind all of these.
//!
//! What is needed only moves forward in a journal. So whoever decides from an older view of it, as an owner does that was
//! superseded and does not know it yet, deletes too little and never too much.
//!
//! A journal keeps what a restore from its newest durable pointer replays, what open Holds and the slowest sink need, its
//! newest Claim or renewal, its last commit, and the record that says where state restarts. A repartition partition keeps
//! what its only reader, the unit of that number, would read again from its newest durable snapshot. A snapshot partition
//! holds the snapshots of one unit, and keeps those from the oldest that may still be restored.

use crate::defences::Defences;
use crate::identity::Seq;
use crate::journal::{JournalView, TailItem};
use crate::snapshot::SnapshotPointer;

/// The offset below which a journal may be deleted; none when nothing may.
pub fn journal(view: &JournalView, defences: &Defences) -> Option<i64> {
    let sinks = view.sinks_landmark().filter(|_| defences.sink_progress);
    let holds = view.holds_landmark().filter(|_| defences.hold);
    let landmark = [sinks, holds].into_iter().flatten().fold(view.landmark()?, i64::min);
    // Before the first pointer every commit is needed, and so is all that a rollback would.
    view.restore_point().pointer.as_ref()?;
    let landmark = match view.past().filter(|_| defences.hold) {
        Some((_, past)) => landmark.min(journal(past, defences)?),
        None => landmark,
    };
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

/// The oldest snapshot of a unit that may still be restored: those before it may be deleted. None when that is not known.
pub fn oldest_snapshot<'a>(view: &'a JournalView, defences: &Defences) -> Option<&'a SnapshotPointer> {
    match view.past().filter(|_| defences.hold) {
        Some((_, past)) => snapshots(past, defences).first(),
        None => snapshots(view, defences).first(),
    }
}

/// The snapshots of a unit that may still be restored, oldest first: everything older than the first may be deleted. Empty
/// when that is not known: then nothing may be. Everything behind the first stays too, whether it is in the list or not:
/// an upload on its way, or the state of a drain before its `Cut`.
pub fn snapshots<'a>(view: &'a JournalView, defences: &Defences) -> &'a [SnapshotPointer] {
    view.pointers_from(needed_from(view, defences))
}
