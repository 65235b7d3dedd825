//! Makes states equal that nobody can tell apart.

use crate::pure::{Pure, Record};
use crate::step::{Data, Model};
use crate::world::{Entry, Journal, Proc, World, run, txn};
use protocol::going_live::Phase;
use protocol::journal::Head;

impl Model {
    /// Makes states equal that differ only in what nobody can tell.
    pub fn settle(&mut self, world: &mut World) {
        for at in 0..self.config.journals {
            self.settle_journal(world, at);
        }
        self.settle_data(world);
        for worker in 0..self.config.workers.len() {
            let out_of_lives = world.inits[usize::from(self.ids[worker])] >= self.config.inits;
            let proc = &mut world.procs[worker];
            match proc.run {
                // Nothing but a new life is ahead, or an own init that the bounds of the model exclude.
                run::LIVE if proc.units == 0 => {
                    *proc = Proc { run: run::LIVE, life: proc.life, ..Proc::default() };
                }
                run::GOING if out_of_lives => {
                    if matches!(self.pure.phase(proc.machine), Phase::Standby | Phase::Initialising(_)) {
                        *proc = Proc { run: run::GONE, ..Proc::default() };
                    }
                }
                _ => {}
            }
        }
    }

    /// Takes what is closed into the fold. A commit that breaks the chain stays, and everything behind it.
    fn settle_journal(&mut self, world: &mut World, at: usize) {
        let committed_only = self.pure.defences.read_committed;
        let World { journals, procs, .. } = world;
        let journal = &mut journals[at];
        let mut index = 0;
        let mut closed = true;
        while let Some(entry) = journal.tail.entries().get(index).copied() {
            let gone = committed_only && entry.state == txn::ABORTED;
            closed = closed && (gone || entry.state >= txn::COMMITTED && extends(&self.pure, journal, entry));
            if !closed && !gone {
                index += 1;
                continue;
            }
            if !gone {
                journal.fold = self.pure.fold(journal.fold, entry.record);
            }
            journal.tail.remove(index);
            let behind = procs.iter_mut().filter(|proc| usize::from(proc.ends[at]) > index);
            behind.for_each(|proc| proc.ends[at] -= 1);
        }
        let entries = journal.tail.entries();
        for proc in procs {
            let below = &entries[..usize::from(proc.ends[at])];
            let last_open = below.iter().rposition(|entry| entry.state < txn::COMMITTED);
            proc.ends[at] = last_open.map_or(0, |index| index as u8 + 1);
        }
    }

    fn settle_data(&self, world: &mut World) {
        let mut index = 0;
        while let Some(entry) = world.data.entries_mut().get_mut(index) {
            if entry.state == txn::ABORTED && self.pure.defences.read_committed {
                // Positions count records of blocks; outputs are never read.
                if self.config.data == Data::Outputs {
                    world.data.remove(index);
                    continue;
                }
                entry.record = 0;
            }
            if entry.state >= txn::COMMITTED {
                entry.id = 0;
            }
            index += 1;
        }
    }

    /// Two processes of one id are the same but for what they do: which is which does not matter.
    pub fn sort_twins(&self, world: &mut World) {
        for second in 1..self.config.workers.len() {
            let first = usize::from(self.ids[second]);
            if first != second && world.procs[first] > world.procs[second] {
                world.procs.swap(first, second);
            }
        }
    }
}

/// Takes a commit that is readable into the chain; false when it does not fit.
fn extends(pure: &Pure, journal: &mut Journal, entry: Entry) -> bool {
    let Record::Journal { head: Head::Commit { seq, .. }, start, end } = pure.get(entry.record) else {
        return true;
    };
    if entry.state == txn::ABORTED {
        return true;
    }
    if seq.0 != u64::from(journal.seq) + 1 || start != journal.end {
        return false;
    }
    (journal.seq, journal.end) = (seq.0 as u8, end);
    true
}
