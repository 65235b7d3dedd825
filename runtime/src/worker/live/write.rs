//! What goes into a transaction: outputs, blocks, `End`s, journal records, offsets.

use super::fit::{Fit, Refused};
use super::reprocess::is_suppressed;
use super::{LiveState, OFFSETS_EVERY_MS};
use crate::topology::repartition_name;
use crate::worker::Now;
use crate::worker::life::{Life, write_journal};
use crate::worker::setup::{Environment, Setup};
use crate::worker::unit::Member;
use connect::door::{IoError, KafkaIo, Partitioning};
use pipeline::effect::Effects;
use pipeline::plan::{Input, SinkConnector, SinkId, StageId};
use pipeline::record::{NewRecord, RecordBatch};
use protocol::block::{BlockEnvelope, End, Envelope};
use protocol::going_live::Slot;
use protocol::identity::{DrainId, Lineage, Seq, UnitId};
use protocol::journal::record::{Commit, JournalRecord};
use std::collections::BTreeMap;

impl LiveState {
    /// C1 to C6, without waiting for the outcome.
    pub(super) fn write<E: Environment>(
        &mut self,
        life: &mut Life<E::Io>,
        setup: &Setup,
        environment: &mut E,
        records: &[(Slot, JournalRecord)],
        now: Now,
    ) -> Result<(), IoError> {
        life.io.begin()?;
        for index in 0..life.members.len() {
            let slot = life.members[index].slot as Slot;
            let commit = records.iter().find_map(|(of, record)| match record {
                JournalRecord::Commit(commit) if *of == slot => Some(&**commit),
                _ => None,
            });
            let mut pending = std::mem::take(&mut life.members[index].pending);
            let ends_now = |(of, record): &(Slot, JournalRecord)| {
                *of == slot && matches!(record, JournalRecord::Reprocessed(_))
            };
            let suppressed = is_suppressed(&self.live, slot) || records.iter().any(ends_now);
            if suppressed && setup.defences.suppress_reprocessed {
                for effects in &mut pending {
                    effects.outputs.clear();
                }
            }
            if let Some(commit) = commit {
                let refused = write_effects(life, setup, environment, index, &pending, commit, now)?;
                self.counting.correct(|tally| refused.correct(tally));
            }
        }
        for (slot, record) in records {
            if let JournalRecord::Released(released) = record
                && let Some(drain) = released.drain
            {
                write_ends(life, setup, *slot, drain, released.seq, now)?;
            }
            if let JournalRecord::Reprocessed(done) = record {
                write_ends(life, setup, *slot, done.id, self.live.seq(*slot), now)?;
            }
            write_journal(&mut life.io, &life.surroundings.journals[*slot as usize], record, now.wall_ms)?;
        }
        if self.stopping || now.monotonic_ms >= self.offsets_at_ms {
            self.offsets_at_ms = now.monotonic_ms + OFFSETS_EVERY_MS;
            self.offsets = self.channels.iter().map(|s| (s.partition.clone(), s.position)).collect();
        }
        life.io.start_commit()
    }
}

/// Outputs of one unit in one commit. Gives what no topic could take.
fn write_effects<E: Environment>(
    life: &mut Life<E::Io>,
    setup: &Setup,
    environment: &mut E,
    index: usize,
    pending: &[Effects],
    commit: &Commit,
    now: Now,
) -> Result<Refused, IoError> {
    let id = life.members[index].id.clone();
    let lineage = lineage_of(&life.members[index]);
    let mut fit = Fit::new(&setup.plan, &life.surroundings.sink_topics, now.wall_ms);
    for (sink, batch) in pending.iter().flat_map(|effects| &effects.outputs) {
        let batch = fit.take(*sink, batch);
        write_output(&mut life.io, setup, environment, (*sink, id.index), &batch)?;
    }
    let (letters, refused) = fit.letters();
    if let Some(desk) = setup.plan.dead_letter_sink() {
        write_output(&mut life.io, setup, environment, (desk, id.index), &letters)?;
    }
    let mut blocks: BTreeMap<(StageId, u16, u32), RecordBatch> = BTreeMap::new();
    for effects in pending {
        for block in &effects.blocks {
            let envelope = Envelope::Block(BlockEnvelope {
                lineage,
                from: id.clone(),
                seq: commit.seq,
                source: commit.positions.clone(),
                suppressed: false,
                payload: &block.payload,
            });
            let batch = blocks.entry((block.stage, block.input, block.unit)).or_default();
            push_value(batch, &envelope.encode(), now);
        }
    }
    for ((stage, input, unit), batch) in blocks {
        let input = setup.plan.stage(stage).inputs.get(usize::from(input)).copied();
        let window = input.and_then(|input| repartition_name(&setup.plan, input)).unwrap_or_default();
        let topic = setup.identity.repartition_topic(window, lineage);
        life.io.produce(&topic, Partitioning::Exact(unit), &batch)?;
    }
    Ok(refused)
}

/// Records for a sink, from a unit.
fn write_output<E: Environment>(
    io: &mut E::Io,
    setup: &Setup,
    environment: &mut E,
    (sink, unit): (SinkId, u32),
    batch: &RecordBatch,
) -> Result<(), IoError> {
    match &setup.plan.sink(sink).connector {
        _ if batch.is_empty() => Ok(()),
        SinkConnector::Kafka { topic, .. } => io.produce(topic, Partitioning::ByKey { unkeyed: unit }, batch),
        SinkConnector::File { .. } | SinkConnector::Log => environment.emit(sink, batch),
    }
}

/// `End` of a drained unit, into every partition that it feeds.
fn write_ends<Io: KafkaIo>(
    life: &mut Life<Io>,
    setup: &Setup,
    slot: Slot,
    drain: DrainId,
    seq: Seq,
    now: Now,
) -> Result<(), IoError> {
    let Some(member) = life.members.iter().find(|member| member.slot == slot as usize) else { return Ok(()) };
    let lineage = lineage_of(member);
    let from = member.stage;
    for (index, stage) in setup.plan.stages().iter().enumerate() {
        for input in &stage.inputs {
            let Input::Repartition { stage: upstream, .. } = input else { continue };
            let window = repartition_name(&setup.plan, *input).filter(|_| *upstream == from);
            let Some(window) = window else { continue };
            let topic = setup.identity.repartition_topic(window, lineage);
            // One `End` per topic: it is named after the window, so that a reader of two topics waits for both.
            let from = UnitId { stage: window.into(), index: member.id.index };
            let end = Envelope::End(End { lineage, drain, from, seq }).encode();
            for unit in 0..life.surroundings.topology.units(StageId(index as u16)) {
                let mut batch = RecordBatch::new();
                push_value(&mut batch, &end, now);
                life.io.produce(&topic, Partitioning::Exact(unit), &batch)?;
            }
        }
    }
    Ok(())
}

fn push_value(batch: &mut RecordBatch, value: &[u8], now: Now) {
    batch.push(NewRecord { offset: 0, timestamp_ms: now.wall_ms, key: None, value: Some(value) });
}

fn lineage_of(member: &Member) -> Lineage {
    member.view.claim_in_force().map_or(Lineage(0), |claim| claim.lineage)
}
