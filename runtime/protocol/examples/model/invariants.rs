//! What must never be.

use crate::label::Label;
use crate::pure::Record;
use crate::step::{Data, Model};
use crate::world::{World, run, txn};
use protocol::journal::Head;

impl Model {
    /// The invariant that a state breaks, if it does.
    pub fn broken(&self, world: &World, label: Label) -> Option<String> {
        (0..self.config.journals)
            .find_map(|journal| self.chain_broken(world, journal))
            .or_else(|| self.output_broken(world))
            .or_else(|| self.two_owners(world))
            .or_else(|| label.granted().and_then(|_| self.block_lost(world, label.worker)))
    }

    /// Committed commits chain without gap or overlap. The closed prefix does: what breaks the chain stays behind it.
    fn chain_broken(&self, world: &World, journal: usize) -> Option<String> {
        let journal_now = &world.journals[journal];
        let (mut last_seq, mut last_end) = (journal_now.seq, journal_now.end);
        for entry in journal_now.tail.entries().iter().filter(|entry| entry.is_committed()) {
            let Record::Journal { head: Head::Commit { seq, .. }, start, end } = self.pure.get(entry.record)
            else {
                continue;
            };
            if seq.0 != u64::from(last_seq) + 1 || start != last_end {
                return Some(format!(
                    "unit {journal}: commit {seq} takes it from position {start} to {end}, but commit {last_seq} \
                     ended at {last_end}"
                ));
            }
            (last_seq, last_end) = (seq.0 as u8, end);
        }
        None
    }

    /// Every output is committed once.
    fn output_broken(&self, world: &World) -> Option<String> {
        if self.config.data != Data::Outputs {
            return None;
        }
        let mut seen = 0u32;
        for entry in world.data.entries().iter().filter(|entry| entry.is_committed()) {
            if let Record::Output(seq) = self.pure.get(entry.record) {
                if seen >> seq & 1 == 1 {
                    return Some(format!("the output of commit {seq} is readable twice"));
                }
                seen |= 1 << seq;
            }
        }
        None
    }

    /// Two workers that can both commit own one unit, or follow two plans.
    fn two_owners(&self, world: &World) -> Option<String> {
        let able = |worker: &u8| {
            let proc = &world.procs[usize::from(*worker)];
            proc.run == run::LIVE && proc.units != 0 && !proc.fenced
        };
        let live: Vec<u8> = (0..self.config.workers.len() as u8).filter(able).collect();
        for (at, first) in live.iter().enumerate() {
            for second in &live[at + 1..] {
                let units = |worker: &u8| world.procs[usize::from(*worker)].units;
                let name = |worker: &u8| {
                    let config = self.pure.worker(*worker);
                    format!("g{}.{}", config.generation, config.worker)
                };
                if units(first) & units(second) != 0 {
                    return Some(format!("{} and {} both own a unit", name(first), name(second)));
                }
                if self.pure.worker(*first).plan != self.pure.worker(*second).plan {
                    return Some(format!("{} and {} are live with two plans", name(first), name(second)));
                }
            }
        }
        None
    }

    /// A second plan goes live while a block of the first is not consumed: its lineage is never read again.
    fn block_lost(&self, world: &World, worker: u8) -> Option<String> {
        if self.config.data != Data::Blocks || self.pure.worker(worker).plan == 1 {
            return None;
        }
        let behind = world.journals[1].tail.entries().iter().filter(|entry| entry.is_committed());
        let consumed = behind
            .filter_map(|entry| match self.pure.get(entry.record) {
                Record::Journal { head: Head::Commit { .. }, end, .. } => Some(end),
                _ => None,
            })
            .next_back()
            .unwrap_or(world.journals[1].end);
        let lost = world
            .data
            .entries()
            .iter()
            .skip(usize::from(consumed))
            .any(|entry| entry.state != txn::ABORTED && self.pure.get(entry.record) == Record::Block);
        lost.then(|| "the new plan is live, and a block of the old one is never consumed".to_owned())
    }
}
