//! The state of a unit under another plan. Pure: the same states give the same state, live and in every replay.
//!
//! It happens at the end of a drain: nothing is on its way between units. So what is left is open windows, by the name
//! of their step; how far each partition of a source is, by the name of the source; and what source sides of windows
//! remember. The stages may be cut elsewhere: a unit takes over from every unit that had a part of what it has now.

use super::{BuildError, Channel, Kind, Topology, Unit};
use crate::plan::compatibility::{is_same_source, reader_of, windows};
use crate::plan::{Incompatible, Input, Plan, SourceId, StageId, compatibility};
use crate::state::bytes::Malformed;
use crate::watermark::{ChannelState, Condition, START_OF_TIME, Status};
use crate::window::assign::{self, Assign};
use crate::window::merge::{Merge, Share};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A channel joins a window that may be further than this unit can tell: found out with its first record.
pub(super) const NOT_KNOWN: i64 = i64::MAX - 1;

/// A unit of the plan before, at the end of its drain.
#[derive(Debug)]
pub struct Predecessor {
    /// Its state.
    pub unit: Unit,
    /// Sources whose topic was made again since: what is known of their partitions counts no more.
    pub renewed: Vec<String>,
}

/// State cannot be carried over: the unit stops, it never starts empty instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MigrateError {
    /// Steps that mean something else now.
    #[error("{}", join(.0))]
    Incompatible(Vec<Incompatible>),
    /// The unit itself cannot be made.
    #[error("failed to build the unit")]
    Build(#[source] BuildError),
    /// Groups of a window cannot be shared out.
    #[error("the state is malformed")]
    Malformed(#[source] Malformed),
}

fn join(all: &[Incompatible]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// The units of `old` whose state unit `index` of a stage of `new` takes over, the one of the same name and index
/// aside. Sorted.
pub fn predecessors(
    (old, before): (&Plan, &Topology),
    (new, after): (&Plan, &Topology),
    stage: StageId,
    index: u32,
) -> Vec<(StageId, u32)> {
    let mut found = BTreeSet::new();
    let units = after.units(stage);
    for (_, window) in windows(new).filter(|(at, _)| *at == stage) {
        let Some((at, _)) = windows(old).find(|(_, other)| other.name == window.name) else { continue };
        if before.units(at) == units {
            found.insert((at, index));
        } else {
            found.extend((0..before.units(at)).map(|unit| (at, unit)));
        }
    }
    for input in &new.stage(stage).inputs {
        let Input::Source(source) = *input else { continue };
        let width = after.source_partitions.get(usize::from(source.0)).copied().unwrap_or(0);
        let Some(at) = reader_of(old, new, source) else { continue };
        let mine = (0..width).filter(|partition| partition % units == index);
        found.extend(mine.map(|partition| (at, partition % before.units(at))));
    }
    let name = &new.stage(stage).name;
    found.into_iter().filter(|(at, unit)| old.stage(*at).name != *name || *unit != index).collect()
}

impl Unit {
    /// Unit `index` of a stage of `plan`, with what `old` units of the plan `before` leave it; a unit of a new stage may
    /// get nothing. Steps that are new start empty, steps that are gone are dropped, and so is what other units take over.
    ///
    /// # Errors
    /// Steps of the same name whose state means something else.
    pub fn migrate(
        before: &Plan,
        plan: Arc<Plan>,
        topology: &Topology,
        stage: StageId,
        index: u32,
        mut old: Vec<Predecessor>,
    ) -> Result<Unit, MigrateError> {
        compatibility(before, &plan).map_err(MigrateError::Incompatible)?;
        for other in &old {
            compatibility(&other.unit.plan, &plan).map_err(MigrateError::Incompatible)?;
        }
        let unit = Unit::new(plan, topology, stage, index).map_err(MigrateError::Build)?;
        // The unit that stood here knows best.
        old.sort_by_key(|other| !other.unit.stood_at(&unit));
        let mut heir = Heir { unit, topology, before };
        let moved = heir.channels(&old);
        heir.assigns(&old);
        heir.late_comers(&old, &moved);
        heir.merges(old)?;
        let Heir { mut unit, .. } = heir;
        unit.combined.update(&unit.channels);
        Ok(unit)
    }

    /// True when both are the unit of one name and index.
    fn stood_at(&self, other: &Unit) -> bool {
        self.index == other.index && self.stage_name() == other.stage_name()
    }

    fn stage_name(&self) -> &str {
        &self.plan.stage(self.stage).name
    }
}

/// A unit that takes over.
struct Heir<'a> {
    unit: Unit,
    topology: &'a Topology,
    before: &'a Plan,
}

impl Heir<'_> {
    /// How far partitions are, and what upstream units said. Gives the channels that another unit had, or nobody.
    fn channels(&mut self, old: &[Predecessor]) -> BTreeSet<Channel> {
        let mut kept = BTreeSet::new();
        let mut moved: BTreeSet<Channel> = self.unit.channels.iter().map(|state| state.channel).collect();
        for before in old {
            let stayed = before.unit.stood_at(&self.unit);
            for state in before.unit.channels.iter() {
                let Some(channel) = self.now(before, state.channel) else { continue };
                if !kept.insert(channel) {
                    continue;
                }
                *self.unit.channels.open(channel) = ChannelState { channel, ..*state };
                if stayed {
                    moved.remove(&channel);
                } else {
                    moved.insert(channel);
                }
            }
        }
        moved
    }

    /// The channel that this unit has for one of an old unit's.
    fn now(&self, before: &Predecessor, channel: Channel) -> Option<Channel> {
        let (old, new) = (&before.unit.plan, &self.unit.plan);
        let input = old.stage(before.unit.stage).inputs.get(usize::from(channel.input))?;
        let same = |other: &Input| match (*input, *other) {
            (Input::Source(a), Input::Source(b)) => {
                is_same_source(old, a, new, b)
                    && !before.renewed.contains(&new.sources()[usize::from(b.0)].name)
            }
            // Only a stage that goes on under its name has units that remember what they said.
            (Input::Repartition { stage: a, node }, Input::Repartition { stage: b, node: other }) => {
                old.stage(a).name == new.stage(b).name
                    && old.stage(a).nodes[usize::from(node.0)].name
                        == new.stage(b).nodes[usize::from(other.0)].name
            }
            _ => false,
        };
        let inputs = &new.stage(self.unit.stage).inputs;
        let at = inputs.iter().position(same)?;
        let mine = match inputs[at] {
            Input::Source(_) => channel.partition % self.topology.units(self.unit.stage) == self.unit.index,
            Input::Repartition { stage, .. } => channel.partition < self.topology.units(stage),
        };
        mine.then_some(Channel { input: at as u16, partition: channel.partition })
    }

    fn assigns(&mut self, old: &[Predecessor]) {
        let mut operators = std::mem::take(&mut self.unit.operators);
        for operator in &mut operators {
            let Kind::Assign(assign) = &mut operator.kind else { continue };
            let mut known = false;
            for before in old {
                let Some(other) = before.unit.assigns().find(|other| other.name() == assign.name()) else {
                    continue;
                };
                let same_unit = before.unit.stood_at(&self.unit);
                known |= same_unit;
                let predecessor =
                    assign::Predecessor { assign: other, channels: &before.unit.channels, same_unit };
                assign.inherit(predecessor, |channel| self.now(before, channel));
            }
            // Who told its readers not to wait does not know how far they are.
            let told = known && assign.said().condition == Condition::Active;
            if !told && is_known(self.before, assign) {
                assign.doubt();
            }
        }
        self.unit.operators = operators;
    }

    /// Records of channels that join a window later than others must not be added to slices that their readers have
    /// closed: they travel whole until they are where the readers may be.
    fn late_comers(&mut self, old: &[Predecessor], moved: &BTreeSet<Channel>) {
        let waits_ms = self.unit.assigns().map(Assign::longer_wait_ms).max().unwrap_or(0);
        let reached_ms = self
            .unit
            .assigns()
            .filter(|assign| is_known(self.before, assign))
            .map(|assign| reached(assign, old))
            .max();
        let channels: Vec<ChannelState> = self.unit.channels.iter().copied().collect();
        for state in channels {
            let mut catch_up_ms = state.catch_up_ms;
            if catch_up_ms > state.watermark_ms && catch_up_ms != NOT_KNOWN {
                catch_up_ms = catch_up_ms.saturating_add(waits_ms);
            }
            if moved.contains(&state.channel) && state.condition == Condition::Active {
                catch_up_ms = catch_up_ms.max(reached_ms.unwrap_or(START_OF_TIME));
            }
            self.unit.channels.open(state.channel).catch_up_ms = catch_up_ms;
        }
    }

    fn merges(&mut self, old: Vec<Predecessor>) -> Result<(), MigrateError> {
        let units = self.topology.units(self.unit.stage);
        let index = self.unit.index;
        for before in old {
            let share = if before.unit.siblings == units { Share::All } else { Share::Of { units, index } };
            let (was, is) = (before.unit.plan.clone(), self.unit.plan.clone());
            let source = |id: SourceId| {
                let ids = (0..is.sources().len() as u16).map(SourceId);
                ids.into_iter().find(|now| is_same_source(&was, id, &is, *now))
            };
            if share == Share::All && before.unit.index != index {
                continue;
            }
            for operator in before.unit.operators {
                let Kind::Merge { merge, .. } = operator.kind else { continue };
                if let Some(heir) = self.merge(merge.name()) {
                    heir.inherit(*merge, share, source).map_err(MigrateError::Malformed)?;
                }
            }
        }
        Ok(())
    }

    fn merge(&mut self, name: &str) -> Option<&mut Merge> {
        self.unit.operators.iter_mut().find_map(|operator| match &mut operator.kind {
            Kind::Merge { merge, .. } if merge.name() == name => Some(&mut **merge),
            _ => None,
        })
    }
}

/// True when the window was there before: its readers are somewhere.
fn is_known(before: &Plan, assign: &Assign) -> bool {
    windows(before).any(|(_, window)| window.name == assign.name())
}

/// How far the readers of a source side may be: as far as the slowest of the old units told them. Units that told them
/// not to wait say nothing about that.
fn reached(assign: &Assign, old: &[Predecessor]) -> i64 {
    let others = old.iter().flat_map(|before| before.unit.assigns());
    let told = others.filter(|other| other.name() == assign.name() && other.knows_its_readers());
    let active: Vec<Status> =
        told.map(Assign::said).filter(|said| said.condition == Condition::Active).collect();
    let lowest_ms = active.iter().map(|said| said.watermark_ms).min();
    lowest_ms.map_or(NOT_KNOWN, |lowest_ms| lowest_ms.saturating_add(assign.longer_wait_ms()))
}
