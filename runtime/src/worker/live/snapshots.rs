//! Snapshots of a live worker: taken at a commit, uploaded in the background, pointed to by a later commit.

use super::LiveState;
use crate::worker::Now;
use crate::worker::life::{Life, Stop};
use crate::worker::setup::{Environment, Setup};
use protocol::commit::SnapshotOrder;
use protocol::going_live::Slot;
use protocol::identity::{DrainId, Seq};
use protocol::snapshot::SnapshotPointer;

/// A snapshot on its way.
pub(super) struct Upload {
    pub(super) slot: Slot,
    pub(super) seq: Seq,
    pub(super) sealed_hash: SnapshotPointer,
    pub(super) cut: Option<DrainId>,
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
        let Some(member) = life.members.iter_mut().find(|member| member.slot == order.slot as usize) else {
            return Ok(());
        };
        let id = member.id.clone();
        let engine = member.engine()?;
        let header = self.live.snapshot_header(&setup.identity.uid8, order.slot, Vec::new(), engine.ends());
        let Some(header) = header else { return Ok(()) };
        let state = engine.snapshot(&id)?;
        let sealed = header.seal(&state);
        let key = format!("{}/{}", member.id.stage, SnapshotPointer::content_name(&sealed));
        let sealed_hash = SnapshotPointer::to(key.as_str(), &sealed, order.seq);
        member.kept.add(sealed_hash.hash, &header, now.wall_ms);
        let id = self.next_upload;
        self.next_upload += 1;
        match environment.store().start_put(id, order.slot, &key, sealed) {
            Ok(()) => {
                self.uploads.insert(id, Upload { slot: order.slot, seq: order.seq, sealed_hash, cut });
            }
            Err(error) => {
                tracing::warn!(unit = %member.id, %error, "snapshot was not taken");
                self.live.snapshot_failed(order.slot);
            }
        }
        Ok(())
    }

    /// Snapshots that became durable.
    pub(super) fn uploaded<E: Environment>(&mut self, environment: &mut E) {
        for (id, result) in environment.store().finished() {
            let Some(upload) = self.uploads.remove(&id) else { continue };
            match result {
                Ok(name) => {
                    let pointer = SnapshotPointer { key: name.into(), ..upload.sealed_hash };
                    match upload.cut {
                        Some(drain) => self.live.cut(upload.slot, drain, pointer),
                        None => self.live.snapshot_stored(upload.slot, pointer),
                    }
                }
                Err(error) => {
                    tracing::warn!(slot = upload.slot, seq = upload.seq.0, %error, "snapshot was not stored");
                    match upload.cut {
                        Some(drain) => drop(self.cuts.insert(upload.slot, drain)),
                        None => self.live.snapshot_failed(upload.slot),
                    }
                }
            }
        }
    }
}
