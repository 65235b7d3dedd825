//! A live worker: commits and releases.

use crate::label::What;
use crate::pure::Record;
use crate::step::{Data, Model, Out, Reads};
use crate::world::{Proc, World, txn};
use protocol::block::End;
use protocol::commit::Outcome;
use protocol::drain::Ends;
use protocol::identity::{DrainId, Lineage, Seq, UnitId};
use protocol::journal::Head;

impl Model {
    pub fn live(&mut self, world: &World, worker: u8, proc: &Proc, out: &mut Out) {
        if proc.units == 0 {
            if world.resumed > 0 && world.resumed == world.drain {
                let mut next = *world;
                next.new_life(worker);
                out.push((self.label(worker, What::Resumed), next));
            }
            return;
        }
        if proc.fenced {
            return self.fenced(world, worker, out);
        }
        match proc.sub {
            0 => {
                self.produce(world, worker, proc, out);
                self.release(world, worker, proc, out);
            }
            1 if self.config.data == Data::Outputs => {
                let mut next = *world;
                // A delayed EndTxn may have ended the transaction: the broker refuses records of none.
                if !world.has_open(self.id(worker)) {
                    return self.fenced(world, worker, out);
                }
                self.write_commits(&mut next, worker, proc, proc.units);
                out.push((self.label(worker, What::Produce(proc.units)), next));
            }
            _ => self.end(world, worker, out),
        }
    }

    /// C1–C4.
    fn produce(&mut self, world: &World, worker: u8, proc: &Proc, out: &mut Out) {
        let mut begun = *world;
        begun.finish(self.id(worker));
        for units in self.dirty(proc) {
            if self.config.data == Data::Blocks && units >> 1 & 1 == 1 {
                for view in self.views(&begun, Reads::Data) {
                    self.commits(&view.world, worker, proc, units, out);
                }
            } else {
                self.commits(&begun, worker, proc, units, out);
            }
        }
    }

    fn commits(&mut self, world: &World, worker: u8, proc: &Proc, units: u8, out: &mut Out) {
        if !self.has_work(world, worker, proc, units) {
            return;
        }
        let mut next = *world;
        if self.config.data == Data::Outputs {
            next.commits -= 1;
            let output = self.pure.record(Record::Output(proc.seq[0] + 1));
            next.append_data(self.id(worker), output);
            next.procs[usize::from(worker)].sub = 1;
            out.push((self.label(worker, What::ProduceOutput), next));
            return;
        }
        let uses_budget = self.config.data != Data::Blocks || units & 1 == 1;
        next.commits -= u8::from(uses_budget);
        self.write_commits(&mut next, worker, proc, units);
        out.push((self.label(worker, What::Produce(units)), next));
    }

    /// Which units a transaction may take in: all at once, or with blocks between them any.
    fn dirty(&self, proc: &Proc) -> Vec<u8> {
        let all = (1..4).filter(|units| units & proc.units == *units);
        all.filter(|units| self.config.data == Data::Blocks || *units == proc.units).collect()
    }

    fn has_work(&self, world: &World, worker: u8, proc: &Proc, units: u8) -> bool {
        if self.config.data != Data::Blocks || units & 1 == 1 {
            return world.commits > 0;
        }
        // Unit 1 of the first plan works on blocks; that of the second plan has another lineage.
        self.pure.worker(worker).plan == 1 && self.readable_data(world) > proc.pos[1]
    }

    fn write_commits(&mut self, world: &mut World, worker: u8, proc: &Proc, units: u8) {
        let id = self.id(worker);
        // Whose life committed is nothing that *Going live* asks for.
        let owner = self.pure.owner(id, 0);
        let blocks = self.readable_data(world);
        for unit in (0..self.config.journals).filter(|unit| units >> unit & 1 == 1) {
            let seq = proc.seq[unit] + 1;
            let end = if self.config.data == Data::Blocks && unit == 1 { blocks } else { proc.pos[unit] + 1 };
            let head = Head::Commit { owner, seq: Seq(u64::from(seq)), renewal: None };
            let record = self.pure.record(Record::Journal { head, start: proc.pos[unit], end });
            world.append(unit, id, record);
            let memory = &mut world.procs[usize::from(worker)];
            (memory.next_seq[unit], memory.next_pos[unit]) = (seq, end);
            if self.config.data == Data::Blocks && unit == 0 && self.pure.worker(worker).plan == 1 {
                let block = self.pure.record(Record::Block);
                world.append_data(id, block);
            }
        }
        world.procs[usize::from(worker)].sub = 2;
    }

    /// The transaction that drains a unit.
    fn release(&mut self, world: &World, worker: u8, proc: &Proc, out: &mut Out) {
        if world.drain == world.resumed || self.pure.worker(worker).generation > 1 {
            return;
        }
        let drain = DrainId(u64::from(world.drain));
        let owner = self.pure.owner(self.id(worker), 0);
        for unit in (0..self.config.journals).filter(|unit| proc.units >> unit & 1 == 1) {
            if !self.may_release(world, unit, proc.pos[unit], drain) {
                continue;
            }
            let mut next = *world;
            next.finish(self.id(worker));
            let seq = Seq(u64::from(proc.seq[unit]));
            let head = Head::Released { owner, seq, drain: Some(drain) };
            let record = self.pure.record(Record::Journal { head, start: 0, end: 0 });
            next.append(unit, self.id(worker), record);
            if unit == 0 {
                let end = self.pure.record(Record::End(drain));
                next.append_data(self.id(worker), end);
            }
            let memory = &mut next.procs[usize::from(worker)];
            (memory.sub, memory.releasing) = (2, 1 << unit);
            out.push((self.label(worker, What::Release(unit as u8)), next));
        }
    }

    /// A source unit may end at once, a downstream unit when it has consumed the End of its upstream unit.
    fn may_release(&self, world: &World, unit: usize, pos: u8, drain: DrainId) -> bool {
        let source = UnitId { stage: "source".into(), index: 0 };
        let upstream: &[UnitId] = if unit == 0 { &[] } else { std::slice::from_ref(&source) };
        let mut ends = Ends::default();
        let counts = |state| state != txn::ABORTED || !self.pure.defences.read_committed;
        for entry in world.data.entries().iter().take(usize::from(pos)) {
            if let Record::End(drain) = self.pure.get(entry.record)
                && unit == 1
                && counts(entry.state)
            {
                ends.consume(&End { lineage: Lineage(1), drain, from: source.clone(), seq: Seq(0) });
            }
        }
        ends.complete(drain, upstream, &self.pure.defences)
    }

    /// C6 and C7.
    fn end(&mut self, world: &World, worker: u8, out: &mut Out) {
        let id = self.id(worker);
        if !world.has_open(id) {
            return self.fenced(world, worker, out);
        }
        if world.aborts > 0 {
            let mut next = World { aborts: world.aborts - 1, ..*world };
            next.abort(id);
            let kept = self.pure.keeps_memory(Outcome::Aborted);
            if kept {
                advance(&mut next.procs[usize::from(worker)]);
            } else {
                next.new_life(worker);
            }
            out.push((self.label(worker, What::Abort(kept)), next));
        }
        let mut next = *world;
        next.commit(id);
        if world.delays > 0 {
            let mut late = World { delays: world.delays - 1, delayed: id + 1, ..next };
            if self.pure.keeps_memory(Outcome::Unknown) {
                advance(&mut late.procs[usize::from(worker)]);
                let mut after_init = late;
                self.own_init(&mut after_init, worker);
                out.push((self.label(worker, What::KeepAfterInit), after_init));
            } else {
                late.new_life(worker);
            }
            out.push((self.label(worker, What::EndLate), late));
        }
        advance(&mut next.procs[usize::from(worker)]);
        out.push((self.label(worker, What::End), next));
    }
}

fn advance(proc: &mut Proc) {
    (proc.seq, proc.pos) = (proc.next_seq, proc.next_pos);
    proc.units &= !proc.releasing;
    (proc.releasing, proc.sub) = (0, 0);
}
