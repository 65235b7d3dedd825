//! A change of plan as a worker sees it: is it possible, whose state does a unit take over, and where do sources start
//! that another unit has read.

use super::error::WorkerError;
use super::journals::{Journal, all_ended, plan_before};
use super::life::{Life, Stop};
use super::setup::{Environment, Setup, Surroundings};
use super::unit::{Member, contents, stage_of, unusable};
use connect::door::KafkaIo;
use pipeline::plan::{Plan, PlanHash, StageId, compatibility};
use pipeline::unit::{Predecessor, Unit, predecessors};
use protocol::identity::UnitId;
use protocol::journal::record::{Claim, ClaimedInput, Heritage, InputPartition};
use protocol::restore::is_same_input;
use protocol::snapshot::{SnapshotHeader, SnapshotPointer};
use std::collections::BTreeSet;
use std::sync::Arc;

impl<Io: KafkaIo> Life<Io> {
    /// Looks at what others ran here, whenever there is news of it: every stage of theirs has to be claimed, and their
    /// state must be usable, before anything is touched.
    pub(super) fn look_at_plans(&mut self, setup: &Setup, others: &BTreeSet<Arc<str>>) -> Result<(), Stop> {
        let before = plan_before(&self.journals, self.me.plan);
        let seen = |(stages, plan): &(BTreeSet<_>, _)| stages == others && *plan == before;
        if !all_ended(&self.journals) || self.others.as_ref().is_some_and(seen) {
            return Ok(());
        }
        let is_known = |name: &Arc<str>| {
            setup.plan.stages().iter().any(|stage| *stage.name == **name)
                || self.surroundings.retired.iter().any(|unit| unit.stage == *name)
                || self.surroundings.looked_for.contains(name)
        };
        let unknown: BTreeSet<Arc<str>> = others.iter().filter(|name| !is_known(name)).cloned().collect();
        if !unknown.is_empty() {
            return Err(Stop::Stages(unknown));
        }
        if setup.rewind.is_none() {
            check_plan(setup, before)?;
        }
        self.others = Some((others.clone(), before));
        Ok(())
    }

    /// True once every unit of the pipeline follows this plan and has made its state durable: before, somebody may have
    /// to read what stood in a journal, or in the snapshots, before the change.
    pub(super) fn is_settled(&self) -> bool {
        self.journals.iter().all(|journal| journal.is_settled(&self.members, self.me.plan))
    }
}

/// Refuses a plan that cannot take over the state of the one before, as long as nothing was touched. A plan that is not
/// known here is met, and refused, where its state is loaded.
fn check_plan(setup: &Setup, before: Option<PlanHash>) -> Result<(), WorkerError> {
    let Some(before) = before.and_then(|hash| setup.plan_of(hash)) else { return Ok(()) };
    compatibility(before, &setup.plan).map_err(|steps| WorkerError::Incompatible { steps })
}

/// What a unit takes over from others when its Claim changes the plan; none when it does not.
pub fn heritage(
    setup: &Setup,
    surroundings: &Surroundings,
    journals: &[Journal],
    member: &Member,
) -> Result<Option<Heritage>, WorkerError> {
    let mine = setup.plan.hash();
    let in_force = member.view.ownership().in_force();
    // Who goes back has its own state of before.
    if in_force == Some(mine) || setup.rewind.is_some() {
        return Ok(None);
    }
    let before = plan_before(journals, mine);
    let Some(hash) = before.or(in_force) else { return Ok(None) };
    if member.view.ownership().lock().is_some() && in_force != Some(hash) {
        return Err(WorkerError::TwoPlans { unit: member.id.clone(), others: hash });
    }
    let plan = known(setup, &member.id, hash)?;
    let own = (&*setup.plan, &surroundings.topology);
    let before = surroundings.topology_of(plan);
    let units = predecessors((plan, &before), own, member.stage, member.id.index).into_iter();
    let units = units.map(|(stage, index)| UnitId { stage: Arc::from(&*plan.stage(stage).name), index });
    let pointers = units.map(|unit| {
        let slot = surroundings.slot(&unit);
        match slot.and_then(|slot| journals[slot].cut_of(hash)) {
            Some(pointer) => Ok((unit, pointer.clone())),
            None => Err(WorkerError::NotCut { unit: member.id.clone(), of: unit }),
        }
    });
    let units = pointers.collect::<Result<_, _>>()?;
    Ok(Some(Heritage { plan: hash, units }))
}

/// True while somewhere in the pipeline a unit is to take over from others what is drained and not cut yet. Until then
/// nobody claims: to claim is to fence, and who was fenced cuts later.
pub fn awaits_cuts(
    setup: &Setup,
    surroundings: &Surroundings,
    journals: &[Journal],
    members: &[Member],
) -> bool {
    if setup.rewind.is_some() {
        return false;
    }
    let Some(hash) = plan_before(journals, setup.plan.hash()) else { return false };
    let Some(plan) = setup.plan_of(hash) else { return false };
    let before = surroundings.topology_of(plan);
    let own = (&*setup.plan, &surroundings.topology);
    let is_open = |(stage, index): (StageId, u32)| {
        let unit = UnitId { stage: Arc::from(&*plan.stage(stage).name), index };
        let journal = surroundings.slot(&unit).map(|slot| &journals[slot]);
        journal.is_some_and(|journal| {
            journal.ownership(members).in_force() == Some(hash) && journal.cut_of(hash).is_none()
        })
    };
    (0..setup.plan.stages().len() as u16).map(StageId).any(|stage| {
        let mut units = 0..surroundings.topology.units(stage);
        units.any(|index| predecessors((plan, &before), own, stage, index).into_iter().any(is_open))
    })
}

/// What the snapshots of these units say of themselves.
pub fn headers<E: Environment>(
    setup: &Setup,
    environment: &mut E,
    heritage: &Heritage,
) -> Result<Vec<SnapshotHeader>, WorkerError> {
    let units = heritage.units.iter();
    units
        .map(|(unit, pointer)| {
            let sealed = get(environment, pointer)?;
            Ok(open(setup, unit, pointer, &sealed)?.0)
        })
        .collect()
}

/// Where the plan before stood in a partition that another unit has read. All its units were drained; should two of
/// them have read one partition, the one that has come further has given out everything that the other has.
pub fn position_before(headers: &[SnapshotHeader], input: &ClaimedInput, partition: u32) -> Option<i64> {
    let mut found: Option<i64> = None;
    for header in headers {
        let at = header.inputs.iter().position(|known| is_same_input(known, input));
        let is_it = |of: &InputPartition| Some(usize::from(of.input)) == at && of.partition == partition;
        let Some((_, next)) = header.positions.iter().find(|(of, _)| is_it(of)) else { continue };
        if let Some(other) = found.filter(|other| other != next) {
            let topic = &*input.topic;
            tracing::warn!(topic, partition, this = next, other, "two units stood apart: the higher counts");
        }
        found = Some(found.map_or(*next, |known| known.max(*next)));
    }
    found
}

/// The units that a Claim names, restored under the plan that they followed.
pub fn heirlooms<E: Environment>(
    setup: &Setup,
    environment: &mut E,
    surroundings: &Surroundings,
    claim: &Claim,
) -> Result<Vec<Predecessor>, WorkerError> {
    let heritage = claim.heritage.iter().flat_map(|heritage| &heritage.units);
    heritage
        .map(|(id, pointer)| {
            let sealed = get(environment, pointer)?;
            let (header, state) = open(setup, id, pointer, &sealed)?;
            let (contents, others) = contents(environment, id, state)?;
            let saved = contents.assemble(&others).map_err(unusable(id))?;
            let plan = known(setup, id, header.plan)?;
            let of = stage_of(plan, id)?;
            let unit = Unit::restore(plan.clone(), &surroundings.topology_of(plan), of, id.index, &saved)
                .map_err(|source| WorkerError::State { unit: id.clone(), source })?;
            Ok(Predecessor { unit, renewed: renewed(&header.inputs, &claim.inputs) })
        })
        .collect()
}

/// Sources whose topic was made again: the same name and topic, and another id.
pub fn renewed(old: &[ClaimedInput], new: &[ClaimedInput]) -> Vec<String> {
    let is_renewed = |input: &&ClaimedInput| {
        old.iter().any(|known| {
            known.name == input.name && known.topic == input.topic && known.topic_id != input.topic_id
        })
    };
    new.iter().filter(is_renewed).map(|input| input.name.to_string()).collect()
}

/// Nothing may have gone on behind the states that own Claims name: they were looked up before the Claim, and the drain
/// could have been resumed in between.
pub fn check_heritage(
    surroundings: &Surroundings,
    journals: &[Journal],
    members: &[Member],
) -> Result<(), WorkerError> {
    for member in members {
        let heritage = member.view.claim_in_force().and_then(|claim| claim.heritage.as_ref());
        let Some(Heritage { plan, units }) = heritage else { continue };
        for (unit, pointer) in units {
            let slot = surroundings.slot(unit);
            if slot.and_then(|slot| journals[slot].cut_of(*plan)).is_some_and(|newest| newest != pointer) {
                return Err(WorkerError::WentOn { unit: member.id.clone(), of: unit.clone() });
            }
        }
    }
    Ok(())
}

/// The plan of this hash.
pub fn known<'a>(setup: &'a Setup, unit: &UnitId, plan: PlanHash) -> Result<&'a Arc<Plan>, WorkerError> {
    setup.plan_of(plan).ok_or_else(|| WorkerError::UnknownPlan { unit: unit.clone(), plan })
}

fn get<E: Environment>(environment: &mut E, pointer: &SnapshotPointer) -> Result<Vec<u8>, WorkerError> {
    let found = environment.store().get(&pointer.key);
    found.map_err(|source| WorkerError::Store { key: pointer.key.to_string(), source })
}

fn open<'a>(
    setup: &Setup,
    unit: &UnitId,
    pointer: &SnapshotPointer,
    sealed: &'a [u8],
) -> Result<(SnapshotHeader, &'a [u8]), WorkerError> {
    SnapshotHeader::restore(&setup.identity.uid8, unit, pointer, sealed).map_err(unusable(unit))
}
