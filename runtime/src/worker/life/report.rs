//! What a life says of itself.

use super::{Life, drain_text};
use crate::pod::Report;
use crate::worker::journals::all_ended;
use crate::worker::live::LiveState;
use crate::worker::setup::Setup;
use crate::worker::tally::Tally;
use crate::worker::timing::Timings;
use crate::worker::unit::Member;
use connect::door::KafkaIo;
use control::status::{UnitState, UnitStatus};
use protocol::going_live::{Phase, WaitingFor};

impl<Io: KafkaIo> Life<Io> {
    /// What was counted in this life and is committed.
    pub fn tally(&self) -> Option<&Tally> {
        self.live.as_ref().map(LiveState::tally)
    }

    /// How long the work of this life took, once it was live.
    pub fn timings(&self) -> Option<&Timings> {
        self.live.as_ref().map(LiveState::timings)
    }

    /// Says what it knows of itself. `report` names the windows of the plan.
    pub fn report(&self, setup: &Setup, report: &mut Report) {
        report.newest_generation = all_ended(&self.journals).then(|| {
            let generations =
                self.journals.iter().map(|j| u64::from(j.ownership(&self.members).highest_generation().0));
            generations.max().unwrap_or_default()
        });
        report.units = self.members.iter().map(|member| self.unit_status(setup, member)).collect();
        report.settled = all_ended(&self.journals) && self.members.iter().all(|m| m.is_settled(self.me.plan));
        let engines = self.members.iter().filter_map(|member| member.engine.as_ref());
        report.state_bytes = engines.map(|engine| engine.unit().state_bytes() as u64).sum();
        if let Some(live) = &self.live {
            report.windows.values_mut().for_each(|window| window.open = Some(0));
            live.report(self, setup, report);
        }
    }

    fn unit_status(&self, setup: &Setup, member: &Member) -> UnitStatus {
        let ownership = member.view.ownership();
        // A drain locks out the generation that was drained and those before it; a later one only restores from its end.
        let lock = ownership.lock().filter(|lock| self.me.owner.writer.generation <= lock.generation);
        let state = match (&self.live, lock) {
            (_, Some(lock)) if lock.cut => UnitState::Cut,
            (_, Some(_)) => UnitState::Released,
            (Some(live), None) => live.state_of(member, self.me.owner.generation()),
            (None, None) => match self.going.phase() {
                Phase::Standby if self.going.caught_up() => UnitState::CaughtUp,
                Phase::Standby if member.replay.replayed().is_some() => UnitState::Standby,
                Phase::Standby => UnitState::Restoring,
                // Nothing is written yet: it may wait for the state of others.
                Phase::Initialising(_) => UnitState::CaughtUp,
                Phase::Claiming(_) if !self.claims_in_flight => UnitState::CaughtUp,
                _ => UnitState::Claiming,
            },
        };
        UnitStatus {
            stage: member.id.stage.to_string(),
            unit: member.id.index,
            worker: setup.worker.0,
            state,
            reprocessing: state == UnitState::Live && member.view.reprocess().is_some(),
            seq: Some(ownership.seq().0).filter(|seq| *seq > 0),
            drain: lock.map(|lock| drain_text(lock.drain)),
        }
    }

    /// What it waits for before it is live.
    pub fn waiting(&self) -> Option<WaitingFor> {
        self.waiting.filter(|_| self.live.is_none())
    }

    /// Where it is on its way, in one word.
    pub fn place(&self) -> &'static str {
        match (&self.live, self.going.phase()) {
            (Some(_), _) => "live",
            (None, Phase::Initialising(_) | Phase::Claiming(_)) => "claim",
            (None, Phase::Releasing { .. } | Phase::Fencing { .. } | Phase::Measuring { .. }) => "fence",
            (None, Phase::Reading { .. }) => "read",
            (None, _) => "restore",
        }
    }
}
