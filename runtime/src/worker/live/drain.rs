//! A drain as a live worker sees it: units without more to read leave, then their state is made durable.

use super::{LiveState, over};
use crate::pod::Intents;
use crate::topology::repartition_name;
use crate::worker::Now;
use crate::worker::life::{Life, Stop, drain_number};
use crate::worker::setup::{Environment, Setup};
use crate::worker::unit::Member;
use connect::door::KafkaIo;
use pipeline::plan::{Input, StageId};
use pipeline::unit::Topology;
use protocol::commit::{SnapshotOrder, Standing, WhyBack};
use protocol::going_live::Slot;
use protocol::identity::{DrainId, UnitId};

/// Commit intervals between the release of a unit and the snapshot for its Cut, and the longest that they may take.
const CUT_AFTER: (u64, u64) = (5, 1_000);

/// A Cut that a drained unit owes.
#[derive(Clone, Copy, Debug)]
pub(super) struct OwedCut {
    pub(super) drain: DrainId,
    /// When its snapshot is taken, once the unit is released.
    pub(super) at_ms: Option<u64>,
}

impl OwedCut {
    /// It was tried before.
    pub(super) fn at_once(drain: DrainId) -> Self {
        Self { drain, at_ms: Some(0) }
    }
}

impl LiveState {
    /// A drain asked for: units that have nothing more to read leave with their next commit.
    pub(super) fn drains<Io: KafkaIo>(&mut self, life: &mut Life<Io>, setup: &Setup, intents: &Intents) {
        let Some((id, cut)) = &intents.drain else { return };
        if intents.resumed.as_ref() == Some(id) {
            return;
        }
        let drain = drain_number(id.as_str());
        for member in &life.members {
            let slot = member.slot as Slot;
            // What is processed again comes to its end first.
            if self.live.standing(slot) != Some(Standing::Running) || !self.reprocessing.is_over() {
                continue;
            }
            let upstream = upstream_units(setup, &life.surroundings.topology, member.stage);
            let complete = member
                .engine
                .as_ref()
                .is_some_and(|engine| engine.ends().complete(drain, &upstream, &setup.defences));
            if complete {
                self.live.drained(slot, drain);
                if *cut {
                    self.cuts.insert(slot, OwedCut { drain, at_ms: None });
                }
            }
        }
    }

    /// Ends this life when a drain that holds units of it is resumed: they are claimed again like any other.
    pub(super) fn resumes<Io: KafkaIo>(&self, life: &Life<Io>, intents: &Intents) -> Result<(), Stop> {
        let Some(id) = &intents.resumed else { return Ok(()) };
        let drain = drain_number(id.as_str());
        let mine = life.me.owner.generation();
        let holds = |member: &Member| {
            let lock = member.view.ownership().lock();
            lock.is_some_and(|lock| lock.drain == drain && lock.generation >= mine)
        };
        if life.members.iter().any(holds) {
            return Err(over(self.live.go_back(WhyBack::Resume), "a drain is resumed"));
        }
        Ok(())
    }

    /// The state of drained units, some time after their last commit is known to be committed: who takes over at once has
    /// the state in memory, and needs everything else more than this.
    pub(super) fn cut_drained<E: Environment>(
        &mut self,
        life: &mut Life<E::Io>,
        setup: &Setup,
        environment: &mut E,
        now: Now,
    ) -> Result<(), Stop> {
        if self.flight.is_some() || self.cuts.is_empty() {
            return Ok(());
        }
        // A newer generation that has claimed had the state, or the Cut.
        let taken = |member: &Member| {
            let highest = member.view.ownership().highest_generation();
            (highest > life.me.owner.generation()).then_some(member.slot as Slot)
        };
        for slot in life.members.iter().filter_map(taken) {
            self.cuts.remove(&slot);
        }
        let mut ready = Vec::new();
        for (slot, owed) in &mut self.cuts {
            if self.live.standing(*slot) != Some(Standing::Released(Some(owed.drain))) {
                continue;
            }
            let pause_ms = (CUT_AFTER.0 * self.commit_interval_ms).min(CUT_AFTER.1);
            if *owed.at_ms.get_or_insert(now.monotonic_ms + pause_ms) <= now.monotonic_ms {
                ready.push((*slot, owed.drain));
            }
        }
        for (slot, drain) in ready {
            self.cuts.remove(&slot);
            // Nothing is committed behind a release: the newest commit of the journal is the last one of the unit.
            let seq = self.live.seq(slot);
            self.snapshot(life, setup, environment, SnapshotOrder { slot, seq }, Some(drain), now)?;
        }
        Ok(())
    }
}

/// Who has to end before units of a stage can: every upstream unit, once per window that it writes blocks of.
pub(super) fn upstream_units(setup: &Setup, topology: &Topology, stage: StageId) -> Vec<UnitId> {
    let mut all = Vec::new();
    for input in &setup.plan.stage(stage).inputs {
        let Input::Repartition { stage: from, .. } = input else { continue };
        let window = repartition_name(&setup.plan, *input).unwrap_or_default();
        all.extend((0..topology.units(*from)).map(|index| UnitId { stage: window.into(), index }));
    }
    all
}
