//! Keeps our own topics bounded: deletes what no restore needs any more. What that is, `protocol::trim` decides from the
//! journals, as they were read back: an own commit counts only once it is seen there.
//!
//! A failure is no reason to stop: what was not deleted now is deleted the next time.

use super::LiveState;
use crate::worker::Now;
use crate::worker::journals::all_left;
use crate::worker::life::Life;
use crate::worker::setup::{Environment, Setup};
use crate::worker::unit::Member;
use connect::door::{IoError, KafkaIo, TopicPartition};
use pipeline::plan::Input;
use protocol::commit::{Live, Standing};
use protocol::going_live::Slot;
use protocol::identity::Lineage;
use protocol::trim;
use std::collections::BTreeMap;
use std::sync::Arc;

/// When to trim, and what was trimmed: nothing is asked for twice.
#[derive(Debug)]
pub(super) struct Trimming {
    every_ms: u64,
    at_ms: u64,
    below: BTreeMap<TopicPartition, i64>,
    oldest: BTreeMap<Slot, Arc<str>>,
    /// Repartition topics of older lineages are gone.
    lineages_done: bool,
}

impl Trimming {
    /// Begins after the first interval.
    pub(super) fn new(every_ms: u64, now: Now) -> Self {
        Self {
            every_ms,
            at_ms: now.monotonic_ms + every_ms,
            below: BTreeMap::new(),
            oldest: BTreeMap::new(),
            lineages_done: false,
        }
    }
}

impl LiveState {
    /// Deletes what nobody needs any more, when it is time.
    pub(super) fn trim<E: Environment>(
        &mut self,
        life: &mut Life<E::Io>,
        setup: &Setup,
        environment: &mut E,
        now: Now,
    ) {
        if now.monotonic_ms < self.trimming.at_ms {
            return;
        }
        self.trimming.at_ms = now.monotonic_ms + self.trimming.every_ms;
        if !life.is_settled() {
            return;
        }
        if let Err(error) = self.trim_records(life, setup) {
            tracing::warn!(worker = setup.worker.0, %error, "internal topics were not trimmed");
        }
        self.trim_snapshots(life, setup, environment);
        if let Err(error) = self.drop_lineages(life, setup) {
            tracing::warn!(worker = setup.worker.0, %error, "older repartition topics were not deleted");
        }
    }

    /// Journals, and the blocks that their units have read.
    fn trim_records<Io: KafkaIo>(&mut self, life: &mut Life<Io>, setup: &Setup) -> Result<(), IoError> {
        let mut below = Vec::new();
        for member in life.members.iter_mut().filter(|member| owns(&self.live, member)) {
            let journal = trim::journal(&member.view, &setup.defences);
            below.extend(journal.map(|offset| (life.surroundings.journals[member.slot].clone(), offset)));
            below.extend(blocks_read(setup, member));
            if let Some(oldest) = trim::oldest_snapshot(&member.view, &setup.defences) {
                member.kept.forget_before(oldest.hash);
            }
        }
        below.retain(|(at, offset)| self.trimming.below.get(at).is_none_or(|done| done < offset));
        if below.is_empty() {
            return Ok(());
        }
        life.io.delete_records(&below)?;
        self.trimming.below.extend(below);
        Ok(())
    }

    fn trim_snapshots<E: Environment>(&mut self, life: &Life<E::Io>, setup: &Setup, environment: &mut E) {
        for member in life.members.iter().filter(|member| owns(&self.live, member)) {
            // A snapshot needs objects that are older than itself. Which ones, is known of those that this life has taken or
            // loaded.
            let oldest = trim::oldest_snapshot(&member.view, &setup.defences);
            let Some(oldest) = oldest.and_then(|oldest| member.kept.oldest(oldest.hash)) else { continue };
            let slot = member.slot as Slot;
            if self.trimming.oldest.get(&slot) == Some(oldest) {
                continue;
            }
            match environment.store().trim(member.shard(&life.surroundings.topology), oldest) {
                Ok(()) => drop(self.trimming.oldest.insert(slot, oldest.clone())),
                Err(error) => tracing::warn!(unit = %member.id, %error, "older snapshots were not deleted"),
            }
        }
    }

    /// The topics of other lineages up to this generation, once no unit of the pipeline would read them in a restore: older
    /// ones, and those of generations that stood by and never claimed. The owner of the first unit of the first stage does
    /// it, which every plan has.
    fn drop_lineages<Io: KafkaIo>(&mut self, life: &mut Life<Io>, setup: &Setup) -> Result<(), IoError> {
        let first = life.members.iter().find(|member| member.slot == 0 && owns(&self.live, member));
        let mine = first.and_then(|member| member.view.claim_in_force()).map(|claim| claim.lineage);
        let Some(mine) = mine.filter(|_| !self.trimming.lineages_done) else { return Ok(()) };
        if !all_left(&life.journals, &life.members, mine) {
            return Ok(());
        }
        let newest = Lineage(life.me.owner.generation().0);
        let is_other = |of: Lineage| of != mine && of <= newest;
        // The first generation has no one before it.
        let topics = if newest > Lineage(1) { life.io.topics()? } else { Vec::new() };
        let older: Vec<_> = topics
            .into_iter()
            .filter(|topic| setup.identity.lineage_of(topic).is_some_and(is_other))
            .collect();
        if !older.is_empty() {
            tracing::info!(worker = setup.worker.0, topics = ?older, "deleting older repartition topics");
            life.io.delete_topics(&older)?;
        }
        self.trimming.lineages_done = true;
        Ok(())
    }
}

/// The unit is this worker's, drained or not.
fn owns(live: &Live, member: &Member) -> bool {
    matches!(
        live.standing(member.slot as Slot),
        Some(Standing::Running | Standing::Leaving | Standing::Released(Some(_)))
    )
}

/// The repartition partitions that the unit reads, and the offsets below which no restore of it begins.
fn blocks_read(setup: &Setup, member: &Member) -> Vec<(TopicPartition, i64)> {
    let Some(claim) = member.view.claim_in_force() else { return Vec::new() };
    let inputs = setup.plan.stage(member.stage).inputs.iter().zip(&claim.inputs);
    let own = inputs.filter(|(input, claimed)| {
        matches!(input, Input::Repartition { .. }) && setup.identity.made(&claimed.topic)
    });
    own.filter_map(|(_, claimed)| {
        let at = TopicPartition { topic: claimed.topic.to_string(), partition: member.id.index };
        let needed = trim::snapshots(&member.view, &setup.defences).iter();
        let below = trim::input(needed.map(|pointer| member.kept.position(pointer.hash, &at)))?;
        Some((at, below))
    })
    .collect()
}
