//! The way back from a change of plan, as a live worker goes it: what the plan that was taken back has given out is
//! processed again, leg by leg, with every output suppressed; then all units go on together.
//!
//! ```text
//!  source unit      read to the end of a leg ─> its ticks ─> next leg … ─> Commit + Reprocessed + End into what it feeds
//!  downstream unit  last End of all its upstream units consumed ─> Commit + Reprocessed (+ its own Ends)
//!  every unit       no source is read on before every journal says Reprocessed
//! ```

use super::LiveState;
use super::drain::upstream_units;
use crate::worker::Now;
use crate::worker::journals::is_reprocessed_elsewhere;
use crate::worker::life::{Life, Stop};
use crate::worker::setup::Setup;
use connect::door::KafkaIo;
use pipeline::effect::{Counters, Effects};
use pipeline::record::RecordBatch;
use protocol::commit::{Live, Standing};
use protocol::going_live::Slot;
use protocol::journal::record::{InputPartition, Leg, Reprocess};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// What is processed again here, or waited for.
#[derive(Debug, Default)]
pub(super) struct Reprocessing {
    /// By unit: the legs whose ticks were applied.
    passed: BTreeMap<Slot, usize>,
    /// No source is read on yet.
    held: bool,
}

impl Reprocessing {
    /// What the Claims say, at the positions where the units stand. The ticks of a leg whose end is exactly where a unit
    /// stands are applied again: that changes nothing.
    pub(super) fn new<'a>(
        held: bool,
        units: impl Iterator<Item = (Slot, &'a Reprocess, &'a [(InputPartition, i64)])>,
    ) -> Self {
        let passed = units.map(|(slot, reprocess, positions)| {
            let beyond = |leg: &&Leg| {
                leg.until.iter().any(|(at, end)| positions.iter().any(|(of, next)| of == at && next > end))
            };
            (slot, reprocess.legs.iter().take_while(beyond).count())
        });
        Self { passed: passed.collect(), held }
    }

    /// Nothing is, and nothing is waited for.
    pub(super) fn is_over(&self) -> bool {
        !self.held && self.passed.is_empty()
    }
}

/// True for a unit whose outputs are suppressed.
pub(super) fn is_suppressed(live: &Live, slot: Slot) -> bool {
    live.reprocess(slot).is_some()
}

/// What counts of effects that were suppressed: only what was read.
pub(super) fn uncounted(effects: &Effects) -> Effects {
    let counters = Counters { records_in: effects.counters.records_in, ..Counters::default() };
    Effects { counters, ..Effects::default() }
}

impl LiveState {
    /// Goes on along the way, and ends it.
    pub(super) fn reprocess<Io: KafkaIo>(
        &mut self,
        life: &mut Life<Io>,
        setup: &Setup,
        now: Now,
    ) -> Result<bool, Stop> {
        if self.reprocessing.is_over() {
            return Ok(false);
        }
        let mut moved = false;
        for index in 0..life.members.len() {
            let slot = life.members[index].slot as Slot;
            let running = self.live.standing(slot) == Some(Standing::Running);
            let reprocess = self.live.reprocess(slot).filter(|_| running);
            let Some((id, legs)) = reprocess.map(|reprocess| (reprocess.id, reprocess.legs.len())) else {
                self.reprocessing.passed.remove(&slot);
                continue;
            };
            moved |= self.legs(life, setup, index, now)?;
            let passed = self.reprocessing.passed.get(&slot).copied().unwrap_or_default();
            let upstream = upstream_units(setup, &life.surroundings.topology, life.members[index].stage);
            let ended = life.members[index].engine()?.ends().complete(id, &upstream, &setup.defences);
            if passed >= legs && ended {
                self.live.reprocessed(slot);
            }
        }
        let alone = !setup.defences.reprocess_together;
        if self.reprocessing.held
            && (alone || !is_reprocessed_elsewhere(&life.journals, &life.members, setup.rewind.as_ref()))
        {
            tracing::info!(worker = setup.worker.0, "everything is processed again: outputs go out");
            self.reprocessing.held = false;
            for index in 0..life.members.len() {
                self.read_on(life, index, now)?;
            }
            moved = true;
        }
        Ok(moved)
    }

    /// Passes legs whose ends are reached.
    fn legs<Io: KafkaIo>(
        &mut self,
        life: &mut Life<Io>,
        setup: &Setup,
        index: usize,
        now: Now,
    ) -> Result<bool, Stop> {
        let slot = life.members[index].slot as Slot;
        let mut moved = false;
        loop {
            let passed = self.reprocessing.passed.get(&slot).copied().unwrap_or_default();
            let next = self.live.reprocess(slot).and_then(|reprocess| reprocess.legs.get(passed));
            let Some(leg) = next.filter(|leg| self.has_reached(index, leg)) else { break };
            for tick in &leg.ticks.clone() {
                let member = &mut life.members[index];
                let clock_ms = self.live.batch_clock(slot, now.wall_ms);
                let effects = member.tick(*tick, clock_ms)?;
                self.live.ticked(slot, *tick, clock_ms);
                self.keep(setup, member, effects);
            }
            self.reprocessing.passed.insert(slot, passed + 1);
            self.read_on(life, index, now)?;
            moved = true;
        }
        Ok(moved)
    }

    /// True when every partition of the unit is at its end of the leg, or has nothing left before it.
    fn has_reached(&self, index: usize, leg: &Leg) -> bool {
        leg.until.iter().all(|(at, end)| {
            let source = self.channels.iter().find(|source| source.member == index && source.at == *at);
            source.is_none_or(|source| {
                let end_seen = source.end_seen.filter(|_| !source.held_back).unwrap_or(i64::MIN);
                source.position.max(source.clear_below).max(end_seen) >= *end
            })
        })
    }

    /// Up to where a source partition may be read now; none when there is no such bound.
    pub(super) fn bound(&self, slot: Slot, index: usize, at: InputPartition) -> Option<i64> {
        if self.reprocessing.is_over() {
            return None;
        }
        let source = self.channels.iter().find(|source| source.member == index && source.at == at)?;
        if let Some(reprocess) = self.live.reprocess(slot) {
            let passed = self.reprocessing.passed.get(&slot).copied().unwrap_or_default();
            let leg = reprocess.legs.get(passed);
            let end = leg.and_then(|leg| leg.until.iter().find(|(of, _)| *of == at)).map(|(_, end)| *end);
            return Some(end.unwrap_or(source.position));
        }
        self.reprocessing.held.then_some(source.position)
    }

    /// What of a batch may be applied now. The partition is not read beyond; it is read again from there later.
    pub(super) fn within<'a, Io: KafkaIo>(
        &mut self,
        life: &mut Life<Io>,
        (index, at): (usize, InputPartition),
        batch: &'a RecordBatch,
    ) -> Result<Cow<'a, RecordBatch>, Stop> {
        let slot = life.members[index].slot as Slot;
        let Some(bound) = self.bound(slot, index, at) else { return Ok(Cow::Borrowed(batch)) };
        let rows = batch.records().partition_point(|record| record.offset < bound);
        if rows == batch.len() {
            return Ok(Cow::Borrowed(batch));
        }
        if let Some(source) =
            self.channels.iter_mut().find(|source| source.member == index && source.at == at)
        {
            source.clear_below = source.clear_below.max(bound);
            source.held_back = true;
            life.io.pause(std::slice::from_ref(&source.partition), true)?;
        }
        let mut cut = RecordBatch::new();
        (0..rows).for_each(|row| cut.push_from(batch, row));
        Ok(Cow::Owned(cut))
    }

    /// Reads on where a unit was held back.
    fn read_on<Io: KafkaIo>(&mut self, life: &mut Life<Io>, index: usize, now: Now) -> Result<(), Stop> {
        for source in self.channels.iter_mut().filter(|source| source.member == index) {
            source.quiet_since_ms = now.monotonic_ms;
            if std::mem::take(&mut source.held_back) {
                source.end_seen = None;
                life.io.assign(&[(source.partition.clone(), source.position)])?;
                life.io.pause(std::slice::from_ref(&source.partition), false)?;
            }
        }
        Ok(())
    }
}
