//! Which snapshots of a pipeline fit together. Pure: journals in, what to copy next out.
//!
//! Of a drained pipeline they all do: nothing is between its units. Of one that works, snapshots of readers are chosen before
//! those of writers. When all readers of a stage are saved, its journals are read anew; each of its units needs a snapshot that
//! has everything it had given out by then, and so everything that its readers have consumed. What it has given out besides
//! is between them, and is copied.
//!
//! ```text
//!  reader   ──s1────────────s2──────────      chosen: s2 (the newest at hand)
//!  writer   ─────s1────s2──|────────s3──      read anew at |, given out until there: wanted is one behind it, s3
//! ```

use crate::identity::{DrainId, Seq, UnitId};
use crate::journal::{ClaimedInput, JournalView, TailItem};
use crate::restore::carry_over;
use crate::snapshot::SnapshotPointer;
use pipeline::plan::PlanHash;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where a unit stands in the savepoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Not decided yet.
    Open,
    /// At this snapshot.
    At(SnapshotPointer),
    /// It has never committed.
    Empty,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Copy the state of this unit, as its journal points to it, then call [`Taking::saved`]; when it is gone, begin anew.
    Save(UnitId, Standing),
    /// Read the journals to their ends of now.
    Read,
    /// Read on until something has changed.
    Wait(Waits),
    /// What was chosen does not fit any more: begin anew.
    Again(Waits),
    /// Everything is chosen, and saved.
    Done,
}

/// What a savepoint waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waits {
    /// Nobody has claimed this unit yet.
    Claim(UnitId),
    /// This unit follows another plan.
    Plan(UnitId),
    /// This unit is drained, and others are not; or its state at the end of the drain is not durable.
    Drain(UnitId),
    /// This unit processes again what a rollback gave it.
    Rollback(UnitId),
    /// This unit has no snapshot that is new enough.
    Snapshot(UnitId),
}

impl std::fmt::Display for Waits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Claim(unit) => write!(f, "{unit} was never at work"),
            Self::Plan(unit) => write!(f, "{unit} follows another plan: a change is under way"),
            Self::Drain(unit) => write!(f, "{unit} is being drained, or others are"),
            Self::Rollback(unit) => write!(f, "{unit} processes again what was taken back"),
            Self::Snapshot(unit) => write!(f, "{unit} has no snapshot that is new enough"),
        }
    }
}

/// A stage as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Its name.
    pub name: Arc<str>,
    /// How many units it has.
    pub units: u32,
    /// Another stage reads what it gives out.
    pub feeds: bool,
}

/// A savepoint in the making.
#[derive(Clone, Debug)]
pub struct Taking {
    plan: PlanHash,
    stages: Vec<Asked>,
    standings: Vec<Vec<Standing>>,
    /// Under which drain all units stand still.
    drained: Option<DrainId>,
    /// What the units of the stage that is chosen from have to hold at least, once its journals were read.
    wanted: Option<Vec<Seq>>,
    /// Hashes of snapshots that are of no use, see [`Taking::outdated`].
    outdated: Vec<u128>,
    /// All readers of the next stage were saved, and nothing was read since.
    stale: bool,
}

impl Taking {
    /// Nothing is chosen yet. `stages` are those of the plan, writers before readers.
    pub fn new(plan: PlanHash, stages: Vec<Asked>) -> Self {
        let open = |stage: &Asked| vec![Standing::Open; stage.units as usize];
        let standings = stages.iter().map(open).collect();
        Self { plan, stages, standings, drained: None, wanted: None, outdated: Vec::new(), stale: false }
    }

    /// What to do next; `views` are the journals by stage and unit. Before the first call, and after each [`Next::Read`] and
    /// [`Next::Wait`], all of them are read to ends that were looked for after the call before.
    pub fn next(&mut self, views: &[Vec<JournalView>]) -> Next {
        if std::mem::take(&mut self.stale) {
            return Next::Read;
        }
        let untouched = self.standings.iter().flatten().all(|standing| *standing == Standing::Open);
        if let Some(waits) = self.unfit(views) {
            return if untouched { Next::Wait(waits) } else { Next::Again(waits) };
        }
        match self.lock(views) {
            Err(unit) if untouched => return Next::Wait(Waits::Drain(unit)),
            Err(unit) => return Next::Again(Waits::Drain(unit)),
            Ok(lock) if untouched => self.drained = lock,
            Ok(lock) if lock != self.drained => return Next::Again(Waits::Drain(self.unit(0, 0))),
            Ok(_) => {}
        }
        let Some(stage) = self.standings.iter().rposition(|units| units.contains(&Standing::Open)) else {
            return Next::Done;
        };
        let wanted = self.wanted.take().unwrap_or_else(|| {
            let feeds = self.stages[stage].feeds && self.drained.is_none();
            views[stage].iter().map(|view| if feeds { gave_through(view) } else { Seq(0) }).collect()
        });
        let next = self.choose(stage, &views[stage], &wanted);
        self.wanted = Some(wanted);
        next
    }

    /// A unit of a stage that can be saved now.
    fn choose(&self, stage: usize, views: &[JournalView], wanted: &[Seq]) -> Next {
        let open = self.standings[stage].iter().zip(views).zip(wanted).enumerate();
        let open = open.filter(|(_, ((standing, _), _))| **standing == Standing::Open);
        let mut waits = None;
        for (index, ((_, view), wanted)) in open {
            let unit = UnitId { stage: self.stages[stage].name.clone(), index: index as u32 };
            match self.standing(view, *wanted) {
                Some(standing) => return Next::Save(unit, standing),
                None => waits = Some(unit),
            }
        }
        waits.map_or(Next::Done, |unit| Next::Wait(Waits::Snapshot(unit)))
    }

    /// The snapshot that was chosen is of before the last change of the plan: the first one behind it is on its way.
    pub fn outdated(&mut self, pointer: &SnapshotPointer) {
        self.outdated.push(pointer.hash);
    }

    /// The state of this unit is copied, and everything that it had consumed is known.
    pub fn saved(&mut self, unit: &UnitId, standing: Standing) {
        let stage = self.stages.iter().position(|stage| stage.name == unit.stage);
        if let Some(stage) = stage
            && let Some(slot) = self.standings[stage].get_mut(unit.index as usize)
        {
            *slot = standing;
            if !self.standings[stage].contains(&Standing::Open) {
                self.wanted = None;
                self.stale = true;
            }
        }
    }

    /// The pipeline stands still.
    pub fn is_drained(&self) -> bool {
        self.drained.is_some()
    }

    /// Something that a unit gave out at this commit is in what was saved of it: who has not consumed it gets it.
    pub fn gave(&self, unit: &UnitId, seq: Seq) -> bool {
        let stage = self.stages.iter().position(|stage| stage.name == unit.stage);
        let standing = stage.and_then(|stage| self.standings[stage].get(unit.index as usize));
        matches!(standing, Some(Standing::At(pointer)) if seq <= pointer.seq)
    }

    /// Where a unit can stand if it has to hold everything up to a commit; none when there is no such snapshot.
    fn standing(&self, view: &JournalView, wanted: Seq) -> Option<Standing> {
        if let Some(pointer) = &view.restore_point().pointer {
            let fits = pointer.seq >= wanted && !self.outdated.contains(&pointer.hash);
            return fits.then(|| Standing::At(pointer.clone()));
        }
        // What it has taken over from others is in no snapshot of its own yet.
        let inherits =
            |(_, item): &(i64, TailItem)| matches!(item, TailItem::Claim(claim) if claim.heritage.is_some());
        let empty = view.ownership().seq() == Seq(0) && !view.tail_behind(Seq(0)).iter().any(inherits);
        empty.then_some(Standing::Empty)
    }

    /// Why the journals are not those of a pipeline that works, or stands still, by this plan.
    fn unfit(&self, views: &[Vec<JournalView>]) -> Option<Waits> {
        for (stage, units) in views.iter().enumerate() {
            for (index, view) in units.iter().enumerate() {
                let ownership = view.ownership();
                let unit = || self.unit(stage, index);
                match ownership.in_force() {
                    None => return Some(Waits::Claim(unit())),
                    Some(plan) if plan != self.plan || ownership.is_retired() => {
                        return Some(Waits::Plan(unit()));
                    }
                    Some(_) if view.reprocess().is_some() => return Some(Waits::Rollback(unit())),
                    Some(_) => {}
                }
            }
        }
        None
    }

    /// The drain that all units stand still under, with their state durable; none when none is drained; else one that is not
    /// like the others.
    fn lock(&self, views: &[Vec<JournalView>]) -> Result<Option<DrainId>, UnitId> {
        let cut = |view: &JournalView| view.ownership().lock().filter(|lock| lock.cut).map(|lock| lock.drain);
        let first = views.iter().flatten().next().and_then(cut);
        for (stage, units) in views.iter().enumerate() {
            for (index, view) in units.iter().enumerate() {
                if cut(view) != first || view.ownership().lock().is_some() != first.is_some() {
                    return Err(self.unit(stage, index));
                }
            }
        }
        Ok(first)
    }

    fn unit(&self, stage: usize, index: usize) -> UnitId {
        UnitId { stage: self.stages[stage].name.clone(), index: index as u32 }
    }
}

/// The inputs of a unit that has never committed, with the start of every partition that any of its Claims has named.
pub fn inputs_of(view: &JournalView) -> Vec<ClaimedInput> {
    let (mut inputs, mut positions) = (Vec::new(), BTreeMap::new());
    for (_, item) in view.tail_behind(Seq(0)) {
        let TailItem::Claim(claim) = item else { continue };
        positions = carry_over(&inputs, &positions, &claim.inputs);
        inputs.clone_from(&claim.inputs);
    }
    for (index, input) in (0u16..).zip(&mut inputs) {
        let of_input = positions.iter().filter(|(at, _)| at.input == index);
        input.starts = of_input.map(|(at, next)| (at.partition, *next)).collect();
    }
    inputs
}

/// The last commit with which the unit has given something out, as far as its newest snapshot does not hold it.
fn gave_through(view: &JournalView) -> Seq {
    let tail = view.tail_behind(view.restore_point().seq());
    let gave = tail.iter().filter_map(|(_, item)| match item {
        TailItem::Commit(commit) if commit.outputs.count > 0 => Some(commit.seq),
        _ => None,
    });
    gave.max().unwrap_or(Seq(0))
}
