//! What comes: journals of others, records of the inputs, and where a partition ends.

use super::{FLIGHT_POLL, LiveState, PENDING_BYTES_MAX, over};
use crate::worker::Now;
use crate::worker::life::{Life, Route, Stop};
use crate::worker::setup::{Environment, Setup};
use connect::door::{Fetched, KafkaIo};
use pipeline::effect::Effects;
use pipeline::record::RecordBatch;
use protocol::commit::{Due, Standing};
use protocol::going_live::Slot;
use protocol::journal::record::InputPartition;
use std::time::Duration;

impl LiveState {
    /// Polls and applies. Too much output in memory means: wait for the commit instead.
    pub(super) fn read<E: Environment>(
        &mut self,
        life: &mut Life<E::Io>,
        setup: &Setup,
        environment: &E,
        now: Now,
        wait: Duration,
    ) -> Result<bool, Stop> {
        let pending: usize = life.members.iter().flat_map(|m| &m.pending).map(Effects::byte_len).sum();
        if self.flight.is_some() && pending >= PENDING_BYTES_MAX {
            let began = environment.elapsed();
            let moved = self.outcome(life, environment, now, wait);
            self.stopwatch.held_back(environment.elapsed().saturating_sub(began));
            return moved;
        }
        let wait = match (&self.flight, self.due(life, self.stopping, now)) {
            (Some(_), _) => wait.min(FLIGHT_POLL),
            (None, Due::Now) => Duration::ZERO,
            (None, Due::At(at)) => wait.min(Duration::from_millis(at.saturating_sub(now.monotonic_ms))),
            (None, Due::Nothing) => wait,
        };
        let mut fetched = std::mem::take(&mut life.fetched);
        fetched.clear();
        let began = environment.elapsed();
        let polled = life.io.poll(wait, &mut fetched);
        self.stopwatch.waited(environment.elapsed().saturating_sub(began));
        let mut applied = Ok(());
        for item in &fetched {
            let began = environment.elapsed();
            applied = self.take(life, setup, item, now);
            if matches!(item, Fetched::Records { from, .. } if matches!(life.routes.get(from), Some(Route::Input { .. })))
            {
                self.stopwatch.applied(began, environment.elapsed());
            }
            if applied.is_err() {
                break;
            }
        }
        let moved = fetched.iter().any(|item| matches!(item, Fetched::Records { .. }));
        life.fetched = fetched;
        applied?;
        polled.map_err(|error| life.not_read(setup, error))?;
        Ok(moved)
    }

    fn take<Io: KafkaIo>(
        &mut self,
        life: &mut Life<Io>,
        setup: &Setup,
        item: &Fetched,
        now: Now,
    ) -> Result<(), Stop> {
        let (Fetched::Records { from: of, .. } | Fetched::End { of, .. }) = item;
        match (life.routes.get(of).copied(), item) {
            (Some(Route::Journal(slot)), Fetched::Records { from, batch }) => {
                life.journals[slot].read(batch, &mut life.members, &from.topic)?;
                let Some(member) = life.members.iter().find(|member| member.slot == slot) else {
                    return Ok(());
                };
                self.live
                    .follow(slot as Slot, &member.view, life.me.plan)
                    .map_err(|back| over(back, "another life of this worker has claimed"))
            }
            (Some(Route::Journal(slot)), Fetched::End { offset, .. }) => {
                life.journals[slot].end(*offset);
                Ok(())
            }
            (Some(Route::Input { member, at }), Fetched::Records { batch, .. }) => {
                self.apply(life, setup, (member, at), batch, now)
            }
            (Some(Route::Input { member, at }), Fetched::End { offset, .. }) => {
                let applies = self.applies(life.members[member].slot as Slot);
                if let Some(source) = self.channels.iter_mut().find(|s| s.member == member && s.at == at) {
                    source.end_seen = Some(source.end_seen.map_or(*offset, |seen| seen.max(*offset)));
                    if applies {
                        source.reading.passed = source.reading.passed.max(*offset);
                    }
                }
                Ok(())
            }
            (None, _) => Ok(()),
        }
    }

    fn apply<Io: KafkaIo>(
        &mut self,
        life: &mut Life<Io>,
        setup: &Setup,
        (member_index, at): (usize, InputPartition),
        batch: &RecordBatch,
        now: Now,
    ) -> Result<(), Stop> {
        let slot = life.members[member_index].slot as Slot;
        if !self.applies(slot) {
            return Ok(());
        }
        let batch = &*self.within(life, (member_index, at), batch)?;
        if batch.is_empty() {
            return Ok(());
        }
        let member = &mut life.members[member_index];
        let clock_ms = self.live.batch_clock(slot, now.wall_ms);
        let effects = member.apply(at, batch, clock_ms)?;
        self.live.applied(slot, at, batch, clock_ms);
        self.keep(setup, member, effects);
        if let Some(source) = self.channels.iter_mut().find(|s| s.member == member_index && s.at == at) {
            source.quiet_since_ms = now.monotonic_ms;
            source.idle = false;
            source.position = batch.next_offset().unwrap_or(source.position);
            source.reading.passed = source.position;
            source.reading.newest_ms = batch.records().last().map(|record| record.timestamp_ms);
        }
        Ok(())
    }

    /// What is read of a unit is applied; else it is left to who comes next.
    fn applies(&self, slot: Slot) -> bool {
        !self.stopping && self.live.standing(slot) == Some(Standing::Running)
    }
}
