//! The sources of a live worker: watched for silence and for their end.

use super::{LOOK_EVERY_MS, LiveState};
use crate::worker::Now;
use crate::worker::life::{Life, Stop};
use crate::worker::measure::{Reading, behind, lag};
use crate::worker::setup::{Environment, Setup};
use crate::worker::unit::Member;
use connect::door::{KafkaIo, TopicPartition};
use control::status::PartitionLag;
use pipeline::plan::Input;
use pipeline::unit::{Channel, Tick};
use protocol::commit::Standing;
use protocol::going_live::Slot;
use protocol::journal::record::InputPartition;

/// A partition of a source, watched for silence and for its end.
pub(super) struct Source {
    pub(super) member: usize,
    pub(super) at: InputPartition,
    pub(super) partition: TopicPartition,
    pub(super) idle_timeout_ms: u64,
    pub(super) quiet_since_ms: u64,
    /// The next offset to be applied.
    pub(super) position: i64,
    /// The newest end that the reader has seen.
    pub(super) end_seen: Option<i64>,
    pub(super) idle: bool,
    /// Not read beyond its position for now.
    pub(super) held_back: bool,
    /// Everything below was applied, or does not exist.
    pub(super) clear_below: i64,
    pub(super) ended: bool,
    /// For the lag.
    pub(super) reading: Reading,
}

impl LiveState {
    /// Silence at the very end of a partition, and the end of a bounded one.
    pub(super) fn ticks<E: Environment>(
        &mut self,
        life: &mut Life<E::Io>,
        setup: &Setup,
        environment: &mut E,
        now: Now,
    ) -> Result<bool, Stop> {
        let mut due = Vec::new();
        for (index, source) in self.channels.iter().enumerate() {
            let Some(seen) = source.end_seen.filter(|seen| *seen >= source.position && !source.ended) else {
                continue;
            };
            let slot = life.members[source.member].slot as Slot;
            if self.bound(slot, source.member, source.at).is_some() {
                continue;
            }
            let channel = Channel { input: source.at.input, partition: source.at.partition };
            if let Some(end) = environment.end_of_input(&source.partition) {
                if seen >= end {
                    due.push((index, Tick::EndOfInput(channel)));
                }
            } else if !source.idle
                && now.monotonic_ms.saturating_sub(source.quiet_since_ms) >= source.idle_timeout_ms
            {
                // An open transaction of a producer hides records: then the high watermark is above what was seen.
                let ends = life.io.watermarks(std::slice::from_ref(&source.partition))?;
                if ends.first().is_some_and(|(_, high)| seen >= *high) {
                    due.push((index, Tick::Idle(channel)));
                }
            }
        }
        let moved = !due.is_empty();
        for (index, tick) in due {
            let source = &mut self.channels[index];
            source.idle = true;
            source.ended |= matches!(tick, Tick::EndOfInput(_));
            let member = &mut life.members[source.member];
            let slot = member.slot as Slot;
            if self.live.standing(slot) != Some(Standing::Running) {
                continue;
            }
            let clock_ms = self.live.batch_clock(slot, now.wall_ms);
            let effects = member.tick(tick, clock_ms)?;
            self.live.ticked(slot, tick, clock_ms);
            self.keep(setup, member, effects);
        }
        Ok(moved)
    }

    /// Looks at the ends of the inputs, for the lag. The end is the high watermark, which counts the records of open
    /// transactions too: they are waited for. A look that fails leaves the lag unknown until the next one.
    pub(super) fn look<Io: KafkaIo>(&mut self, life: &mut Life<Io>, now: Now) {
        if now.monotonic_ms < self.look_at_ms {
            return;
        }
        self.look_at_ms = now.monotonic_ms + LOOK_EVERY_MS;
        let partitions: Vec<_> = self.channels.iter().map(|source| source.partition.clone()).collect();
        let ends = if partitions.is_empty() { Ok(Vec::new()) } else { life.io.watermarks(&partitions) };
        self.behind = match ends {
            Ok(ends) => {
                for (source, (_, high)) in self.channels.iter_mut().zip(&ends) {
                    if lag(&source.reading, *high) == 0 {
                        source.reading.caught_up_ms = Some(now.wall_ms);
                    }
                }
                let ends = ends.iter().map(|(_, high)| *high);
                self.laggiest = laggiest(&self.channels, ends.clone());
                Some(behind(self.channels.iter().map(|source| &source.reading).zip(ends)))
            }
            Err(error) => {
                tracing::debug!(%error, "the ends of the inputs are not known");
                None
            }
        };
    }
}

/// The partition with most lag, if there is any.
fn laggiest(channels: &[Source], ends: impl Iterator<Item = i64>) -> Option<PartitionLag> {
    let lags = channels.iter().zip(ends).map(|(source, high)| (lag(&source.reading, high), source));
    let (records, source) = lags.filter(|(records, _)| *records > 0).max_by_key(|(records, _)| *records)?;
    let TopicPartition { topic, partition } = &source.partition;
    Some(PartitionLag { topic: topic.clone(), partition: *partition, records })
}

/// The sources of a unit, to be watched.
pub(super) fn sources(
    setup: &Setup,
    index: usize,
    member: &Member,
    inputs: Vec<(InputPartition, TopicPartition, i64)>,
    now: Now,
) -> Vec<Source> {
    let stage = setup.plan.stage(member.stage);
    inputs
        .into_iter()
        .filter_map(|(at, partition, position)| {
            let Some(Input::Source(source)) = stage.inputs.get(usize::from(at.input)) else { return None };
            let time = &setup.plan.sources()[usize::from(source.0)].time;
            Some(Source {
                member: index,
                at,
                partition,
                idle_timeout_ms: time.idle_timeout_ms.max(0) as u64,
                quiet_since_ms: now.monotonic_ms,
                position,
                end_seen: None,
                idle: false,
                held_back: false,
                clear_below: position,
                ended: false,
                reading: Reading { passed: position, ..Reading::default() },
            })
        })
        .collect()
}
