//! Snapshots of a live worker: taken at a commit, uploaded in the background, pointed to by a later commit.

use super::LiveState;
use super::drain::OwedCut;
use crate::worker::life::{Life, Stop};
use crate::worker::setup::{Environment, Setup};
use crate::worker::unit::Member;
use crate::worker::{Now, chain};
use connect::door::KafkaIo;
use connect::snapshot::{SnapshotError, Stored};
use control::call::bounded_message;
use control::status::Problem;
use control::{Condition, Reason};
use protocol::commit::SnapshotOrder;
use protocol::going_live::Slot;
use protocol::identity::{DrainId, UnitId};
use protocol::snapshot::SnapshotHeader;
use std::time::Duration;

/// A snapshot on its way.
pub(super) struct Upload {
    slot: Slot,
    header: SnapshotHeader,
    pub(super) cut: Option<DrainId>,
    taken: Duration,
    taken_ms: i64,
}

/// Snapshots of one unit that failed since the last one that did not.
#[derive(Debug, Default)]
pub(super) struct Failing {
    times: u32,
    since_ms: i64,
    message: String,
    needs_somebody: bool,
}

/// Failures in a row from which on they are a problem to be shown; the next snapshot mends a single one, unless somebody
/// has to do something first.
const FAILURES_SHOWN: u32 = 3;

impl Failing {
    fn failed(&mut self, unit: &UnitId, error: &SnapshotError, now: Now) {
        if self.times == 0 {
            self.since_ms = now.wall_ms;
        }
        self.times = self.times.saturating_add(1);
        self.needs_somebody = error.needs_somebody();
        self.message = format!("no snapshot of {unit}: {}", chain(error));
    }

    /// What is wrong, if anything is.
    pub(super) fn problem(&self) -> Option<Problem> {
        (self.needs_somebody || self.times >= FAILURES_SHOWN).then(|| Problem {
            reason: Some(Reason::CheckpointFailing),
            condition: Condition::Checkpointed,
            component: None,
            message: bounded_message(self.message.clone()),
            permanent: false,
            since_ms: self.since_ms,
        })
    }
}

/// A unit that has committed and whose newest snapshot is missing or older than an interval, by the clock of its batches:
/// a worker that restarts more often than it takes snapshots would never take one. Nothing is known of a snapshot that
/// another worker took meanwhile; that one is recent.
pub(super) fn is_behind(member: &Member, interval_ms: u64) -> bool {
    if member.view.ownership().seq().0 == 0 {
        return false;
    }
    let Some(pointer) = &member.view.restore_point().pointer else { return true };
    let age_ms = member.kept.taken_ms(pointer.hash).zip(member.view.clock_ms()).map(|(at, now)| now - at);
    age_ms.is_some_and(|age_ms| age_ms >= interval_ms as i64)
}

impl LiveState {
    /// Takes the state of a unit and hands it to the store.
    pub(super) fn snapshot<E: Environment>(
        &mut self,
        life: &mut Life<E::Io>,
        setup: &Setup,
        environment: &mut E,
        order: SnapshotOrder,
        cut: Option<DrainId>,
        now: Now,
    ) -> Result<(), Stop> {
        let id = life.next_upload();
        let Some(member) = life.members.iter_mut().find(|member| member.slot == order.slot as usize) else {
            return Ok(());
        };
        let ends = member.engine()?.ends();
        let header = self.live.snapshot_header(&setup.identity.uid8, order.slot, Vec::new(), ends);
        let Some(header) = header else { return Ok(()) };
        let topology = &life.surroundings.topology;
        let taken = environment.elapsed();
        match member.hand_over(setup, environment, id, topology, header.clone())? {
            Ok(()) => {
                let upload = Upload { slot: order.slot, header, cut, taken, taken_ms: now.wall_ms };
                self.uploads.insert(id, upload);
            }
            Err(error) => {
                tracing::warn!(unit = %member.id, %error, "snapshot was not taken");
                self.failed(&member.id, order.slot, cut, &error, now);
            }
        }
        Ok(())
    }

    /// The next one is taken after an interval; a Cut is tried again at once.
    fn failed(&mut self, unit: &UnitId, slot: Slot, cut: Option<DrainId>, error: &SnapshotError, now: Now) {
        self.failing.entry(slot).or_default().failed(unit, error, now);
        match cut {
            Some(drain) => drop(self.cuts.insert(slot, OwedCut::at_once(drain))),
            None => self.live.snapshot_failed(slot),
        }
    }

    /// Snapshots that became durable.
    pub(super) fn uploaded<E: Environment>(&mut self, life: &mut Life<E::Io>, environment: &mut E, now: Now) {
        for (id, result) in environment.store().finished() {
            let Some(upload) = self.uploads.remove(&id) else { continue };
            match result {
                Ok(stored) => self.stored(life, &upload, stored, environment.elapsed()),
                Err(error) => {
                    let unit = &upload.header.unit;
                    tracing::warn!(%unit, seq = upload.header.seq.0, %error, "snapshot was not stored");
                    self.failed(unit, upload.slot, upload.cut, &error, now);
                }
            }
        }
    }

    fn stored<Io: KafkaIo>(&mut self, life: &mut Life<Io>, upload: &Upload, stored: Stored, at: Duration) {
        self.failing.remove(&upload.slot);
        let Stored { pointer, oldest, state_bytes } = stored;
        self.stopwatch.stored(upload.taken, at, pointer.bytes, state_bytes);
        if let Some(member) = life.members.iter_mut().find(|member| member.slot == upload.slot as usize) {
            member.kept.add(pointer.hash, &upload.header, upload.taken_ms, oldest);
        }
        match upload.cut {
            Some(drain) => self.live.cut(upload.slot, drain, pointer),
            None => self.live.snapshot_stored(upload.slot, pointer),
        }
    }
}
