//! What only a live worker knows of itself.

use super::LiveState;
use super::snapshots::Failing;
use crate::pod::Report;
use crate::worker::life::Life;
use crate::worker::setup::Setup;
use crate::worker::unit::Member;
use connect::door::KafkaIo;
use control::status::UnitState;
use protocol::commit::Standing;
use protocol::going_live::Slot;
use protocol::identity::Generation;

impl LiveState {
    /// How far a unit is.
    pub fn state_of(&self, member: &Member, mine: Generation) -> UnitState {
        if member.view.ownership().highest_generation() > mine {
            return UnitState::Superseded;
        }
        match self.live.standing(member.slot as Slot) {
            Some(Standing::Running | Standing::Leaving) => UnitState::Live,
            Some(Standing::Released(Some(_))) => UnitState::Released,
            Some(Standing::Released(None)) | None => UnitState::Superseded,
        }
    }

    /// Adds what only a live worker knows.
    pub fn report<Io: KafkaIo>(&self, life: &Life<Io>, setup: &Setup, report: &mut Report) {
        let mine = life
            .members
            .iter()
            .filter(|member| self.state_of(member, life.me.owner.generation()) != UnitState::Superseded);
        let engines = mine.filter_map(|member| Some((member.stage, member.engine.as_ref()?.unit())));
        for (stage, unit) in engines {
            report.watermark_ms = report.watermark_ms.into_iter().chain(unit.watermark_ms()).min();
            for (node, open) in unit.open_windows_by_node() {
                let step = setup.plan.stage(stage).nodes[usize::from(node.0)].name.as_str();
                if let Some(window) = report.windows.get_mut(step) {
                    window.open = window.open.map(|sum| sum + open as u64);
                }
            }
        }
        report.queue_records = self.counting.waiting();
        report.last_commit_ms = self.last_commit_ms;
        report.lag_records = self.behind.map(|behind| behind.records);
        report.laggiest.clone_from(&self.laggiest);
        report.oldest_unprocessed_ms = self.behind.and_then(|behind| behind.oldest_ms);
        report.oldest_snapshot_ms = oldest_snapshot(life.members.iter());
        let unsaved = |member: &&Member| !self.live.is_saved(member.slot as Slot);
        report.oldest_unsaved_ms = oldest_snapshot(life.members.iter().filter(unsaved));
        report.problems.extend(self.failing.values().find_map(Failing::problem));
    }
}

/// None when a unit that has committed has no snapshot that we know, and when nothing is committed.
fn oldest_snapshot<'a>(members: impl Iterator<Item = &'a Member>) -> Option<i64> {
    let committed = members.filter(|member| member.view.ownership().seq().0 > 0);
    let taken = committed.map(|member| {
        let pointer = member.view.restore_point().pointer.as_ref()?;
        member.kept.taken_ms(pointer.hash)
    });
    taken.collect::<Option<Vec<_>>>()?.into_iter().min()
}
