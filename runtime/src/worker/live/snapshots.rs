//! Snapshots of a live worker: taken at a commit, uploaded in the background, pointed to by a later commit.

use super::LiveState;
use super::drain::OwedCut;
use crate::worker::life::{Life, Stop};
use crate::worker::setup::{Environment, Setup};
use crate::worker::unit::Member;
use crate::worker::{Now, chain};
use connect::snapshot::SnapshotError;
use control::call::bounded_message;
use control::status::Problem;
use control::{Condition, Reason};
use protocol::commit::SnapshotOrder;
use protocol::going_live::Slot;
use protocol::identity::{DrainId, UnitId};
use protocol::snapshot::SnapshotPointer;
use std::time::Duration;

/// A snapshot on its way.
pub(super) struct Upload {
    pub(super) slot: Slot,
    pub(super) pointer: SnapshotPointer,
    pub(super) cut: Option<DrainId>,
    pub(super) taken: Duration,
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
        let unit = member.id.clone();
        let engine = member.engine()?;
        let header = self.live.snapshot_header(&setup.identity.uid8, order.slot, Vec::new(), engine.ends());
        let Some(header) = header else { return Ok(()) };
        let state = engine.snapshot(&unit)?;
        let topology = &life.surroundings.topology;
        let (pointer, handed) = member.hand_over(environment, id, topology, (&header, &state));
        member.kept.add(pointer.hash, &header, now.wall_ms);
        match handed {
            Ok(()) => {
                let taken = environment.elapsed();
                self.uploads.insert(id, Upload { slot: order.slot, pointer, cut, taken });
            }
            Err(error) => {
                tracing::warn!(%unit, %error, "snapshot was not taken");
                self.failing.entry(order.slot).or_default().failed(&unit, &error, now);
                match cut {
                    Some(drain) => drop(self.cuts.insert(order.slot, OwedCut::at_once(drain))),
                    None => self.live.snapshot_failed(order.slot),
                }
            }
        }
        Ok(())
    }

    /// Snapshots that became durable.
    pub(super) fn uploaded<E: Environment>(&mut self, life: &Life<E::Io>, environment: &mut E, now: Now) {
        for (id, result) in environment.store().finished() {
            let Some(upload) = self.uploads.remove(&id) else { continue };
            match result {
                Ok(name) => {
                    self.failing.remove(&upload.slot);
                    self.stopwatch.stored(upload.taken, environment.elapsed());
                    let pointer = SnapshotPointer { key: name.into(), ..upload.pointer };
                    match upload.cut {
                        Some(drain) => self.live.cut(upload.slot, drain, pointer),
                        None => self.live.snapshot_stored(upload.slot, pointer),
                    }
                }
                Err(error) => {
                    let unit = &life.surroundings.units[upload.slot as usize].1;
                    tracing::warn!(%unit, seq = upload.pointer.seq.0, %error, "snapshot was not stored");
                    self.failing.entry(upload.slot).or_default().failed(unit, &error, now);
                    match upload.cut {
                        Some(drain) => drop(self.cuts.insert(upload.slot, OwedCut::at_once(drain))),
                        None => self.live.snapshot_failed(upload.slot),
                    }
                }
            }
        }
    }
}
