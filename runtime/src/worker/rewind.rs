//! The way back from a change of plan: the state that a unit goes back to, and what it has to process again because the
//! plan that is taken back has given it out already.

use super::journals::{Course, Journal};
use super::setup::{Setup, Surroundings};
use super::unit::Member;
use pipeline::unit::{Channel, Tick};
use protocol::identity::DrainId;
use protocol::journal::record::{Base, ClaimedInput, InputPartition, Leg, Reprocess};
use protocol::restore::{Rewind, is_same_input};
use std::collections::BTreeMap;

/// The state that a Claim of this unit goes back to; none when it is the newest one.
pub fn base(setup: &Setup, member: &Member) -> Option<Base> {
    let rewind = setup.rewind?;
    let past = rewind.past(&member.view)?;
    let (undone, _) = member.view.past()?;
    Some(Base { pointer: past.restore_point().pointer.clone(), through: past.ownership().seq(), undone })
}

/// What a unit processes again behind its next Claim, whose inputs these are; none when somebody has begun that.
pub fn reprocess(
    setup: &Setup,
    surroundings: &Surroundings,
    journals: &[Journal],
    member: &Member,
    inputs: &[ClaimedInput],
) -> Option<Reprocess> {
    let rewind = setup.rewind.filter(|rewind| rewind.is_open(member.view.ownership()))?;
    // The same for all who take this change back.
    let id = DrainId::of(&format!("reprocess/{}", rewind.undone.0));
    let slot = surroundings.slot(&member.id);
    let own = slot.and_then(|slot| journals[slot].progress.course(rewind.undone));
    // Blocks are of another lineage: only sources are read again.
    let reads = |partition: u32| partition % surroundings.topology.units(member.stage) == member.id.index;
    // A stage whose first step had another name had the same partitions in a unit of that name.
    let has_mine = |course: &&Course| {
        let mut read =
            course.positions().keys().filter(|at| now(course.inputs(), at.input, inputs).is_some());
        read.any(|at| reads(at.partition))
    };
    let mut all =
        own.into_iter().chain(journals.iter().filter_map(|other| other.progress.course(rewind.undone)));
    let mut legs: Vec<Leg> = all.find(has_mine).map_or_else(Vec::new, |course| legs(course, inputs));
    let last = last_leg(&rewind, journals, own, (inputs, reads));
    if !last.until.is_empty() {
        legs.push(last);
    }
    Some(Reprocess { id, legs })
}

/// The legs of the same unit under the plan that is taken back, as far as it read the same.
fn legs(course: &Course, inputs: &[ClaimedInput]) -> Vec<Leg> {
    let here = |input: u16| now(course.inputs(), input, inputs);
    let legs = course.legs().iter().map(|leg| Leg {
        until: leg
            .until
            .iter()
            .filter_map(|(at, next)| Some((InputPartition { input: here(at.input)?, ..*at }, *next)))
            .collect(),
        ticks: leg.ticks.iter().filter_map(|tick| moved(*tick, here)).collect(),
    });
    legs.filter(|leg| !leg.ticks.is_empty()).collect()
}

/// Up to where each partition was read: by the same unit if it read it, else by the one that came furthest.
fn last_leg(
    rewind: &Rewind,
    journals: &[Journal],
    own: Option<&Course>,
    (inputs, reads): (&[ClaimedInput], impl Fn(u32) -> bool),
) -> Leg {
    let positions = |course: &Course| -> Vec<(InputPartition, i64)> {
        let here =
            course.positions().iter().filter(|(at, _)| reads(at.partition)).filter_map(|(at, next)| {
                Some((InputPartition { input: now(course.inputs(), at.input, inputs)?, ..*at }, *next))
            });
        here.collect()
    };
    let own: BTreeMap<InputPartition, i64> = own.map_or_else(Vec::new, positions).into_iter().collect();
    let mut until = own.clone();
    let others = journals.iter().filter_map(|journal| journal.progress.course(rewind.undone));
    for (at, next) in others.flat_map(positions).filter(|(at, _)| !own.contains_key(at)) {
        let furthest = until.entry(at).or_insert(next);
        *furthest = next.max(*furthest);
    }
    Leg { until: until.into_iter().collect(), ticks: Vec::new() }
}

/// The index of an input among those of now.
fn now(then: &[ClaimedInput], input: u16, now: &[ClaimedInput]) -> Option<u16> {
    let known = then.get(usize::from(input))?;
    now.iter().position(|other| is_same_input(known, other)).and_then(|at| u16::try_from(at).ok())
}

fn moved(tick: Tick, here: impl Fn(u16) -> Option<u16>) -> Option<Tick> {
    let channel = |channel: Channel| Some(Channel { input: here(channel.input)?, ..channel });
    Some(match tick {
        Tick::Idle(of) => Tick::Idle(channel(of)?),
        Tick::EndOfInput(of) => Tick::EndOfInput(channel(of)?),
    })
}
