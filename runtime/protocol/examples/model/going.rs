//! A worker on its way to live.

use crate::label::What;
use crate::pure::{Decision, Record};
use crate::step::{Model, Out, Reads, View};
use crate::world::{JOURNALS, Proc, World, run};
use protocol::commit::Outcome;
use protocol::going_live::{ClaimOrder, Event, Phase};
use protocol::journal::Head;
use protocol::journal::ownership::ClaimHead;

impl Model {
    pub fn going(&mut self, world: &World, worker: u8, proc: &Proc, out: &mut Out) {
        match self.pure.phase(proc.machine).clone() {
            Phase::Standby | Phase::Releasing(..) => self.decide_now(world, worker, proc, out),
            Phase::Measuring(..) => {
                self.decide_now(world, worker, proc, out);
                if !self.pure.defences.read_to_high_watermark {
                    self.decide_unread(world, worker, proc, out);
                }
            }
            Phase::Claiming(_) if !self.pure.defences.claim => self.decide_now(world, worker, proc, out),
            Phase::Initialising(_) => self.initialise(world, worker, out),
            Phase::Claiming(attempt) => self.claim(world, worker, proc, &attempt.orders, out),
            Phase::Fencing(_, ids) => {
                let ids: Vec<u8> = ids.iter().filter_map(|id| self.worker_of(*id)).collect();
                self.fence(world, worker, proc, &ids, out);
            }
            // The machine stays in `Measuring` until it is asked with the ends.
            Phase::Reading(..) | Phase::Granted | Phase::Lost(_) => {}
        }
    }

    fn worker_of(&self, writer: protocol::identity::Writer) -> Option<u8> {
        self.config.workers.iter().position(|worker| worker.writer() == writer).map(|at| at as u8)
    }

    /// Reads and decides.
    fn decide_now(&mut self, world: &World, worker: u8, proc: &Proc, out: &mut Out) {
        for view in self.views(world, Reads::Journals) {
            let folds = self.readable(&view.world);
            // The ends of this worker are those of the world that it sees.
            let seeing = Proc { ends: view.world.procs[usize::from(worker)].ends, ..*proc };
            self.decide(&view, worker, &seeing, folds, out);
        }
    }

    /// Decides on what it had read before.
    fn decide_unread(&mut self, world: &World, worker: u8, proc: &Proc, out: &mut Out) {
        let unchanged = View { world: *world, markers: 0 };
        self.decide(&unchanged, worker, proc, proc.stale, out);
    }

    /// Asks, and takes the answer.
    fn decide(&mut self, view: &View, worker: u8, proc: &Proc, folds: [u16; JOURNALS], out: &mut Out) {
        let (machine, decision) = self.ask(&view.world, worker, proc, Some(folds));
        let mut next = view.world;
        let what = match decision {
            Decision::Wait => return,
            Decision::Act => {
                self.enter(&mut next, worker, machine, folds);
                What::Decide(view.markers)
            }
            Decision::Live(units) => {
                self.go_live(&mut next, worker, units, folds);
                What::Live(units, view.markers)
            }
            Decision::Aside => {
                next.new_life(worker);
                What::NextLife
            }
            Decision::Gone => {
                next.procs[usize::from(worker)] = Proc { run: run::GONE, ..Proc::default() };
                What::Gone
            }
        };
        out.push((self.label(worker, what), next));
    }

    /// The next phase.
    fn enter(&mut self, world: &mut World, worker: u8, machine: u16, folds: [u16; JOURNALS]) {
        let phase = self.pure.phase(machine);
        let measures = matches!(phase, Phase::Measuring(..));
        let stale = if !self.pure.defences.read_to_high_watermark {
            folds
        } else if matches!(phase, Phase::Initialising(_)) {
            self.alike(world, worker, machine, folds)
        } else {
            [0; JOURNALS]
        };
        let proc = &mut world.procs[usize::from(worker)];
        (proc.machine, proc.ends, proc.stale) = (machine, [0; JOURNALS], stale);
        if measures {
            self.measure(world, worker);
        }
    }

    fn go_live(&self, world: &mut World, worker: u8, units: u8, folds: [u16; JOURNALS]) {
        let old = world.procs[usize::from(worker)];
        let mut live = Proc { run: run::LIVE, units, life: old.life, fenced: old.fenced, ..Proc::default() };
        for unit in (0..self.config.journals).filter(|unit| units >> unit & 1 == 1) {
            let known = self.pure.known(folds[unit]);
            (live.seq[unit], live.pos[unit]) = (known.seq, known.end);
        }
        (live.next_seq, live.next_pos) = (live.seq, live.pos);
        world.procs[usize::from(worker)] = live;
    }

    fn event(&mut self, world: &mut World, worker: u8, event: Event) {
        let proc = world.procs[usize::from(worker)];
        let machine = self.pure.observe(self.id(worker), proc.life, proc.machine, event);
        let proc = &mut world.procs[usize::from(worker)];
        (proc.machine, proc.sub) = (machine, 0);
    }

    fn initialise(&mut self, world: &World, worker: u8, out: &mut Out) {
        let id = self.id(worker);
        if world.inits[usize::from(id)] >= self.config.inits {
            return;
        }
        let mut next = *world;
        self.own_init(&mut next, worker);
        self.event(&mut next, worker, Event::Initialised);
        out.push((self.label(worker, What::Init), next));
    }

    pub fn own_init(&self, world: &mut World, worker: u8) {
        let id = self.id(worker);
        self.fence_id(world, id);
        world.inits[usize::from(id)] += 1;
        let number = world.inits[usize::from(id)];
        let proc = &mut world.procs[usize::from(worker)];
        proc.fenced = false;
        if proc.life == 0 {
            proc.life = number;
        }
    }

    pub fn fenced(&self, world: &World, worker: u8, out: &mut Out) {
        let mut next = *world;
        next.new_life(worker);
        out.push((self.label(worker, What::Fenced), next));
    }

    fn claim(&mut self, world: &World, worker: u8, proc: &Proc, orders: &[ClaimOrder], out: &mut Out) {
        if proc.fenced {
            return self.fenced(world, worker, out);
        }
        let id = self.id(worker);
        let mut next = *world;
        if proc.sub == 0 {
            next.finish(id);
            for order in orders {
                let record = self.claim_record(worker, proc.life, order);
                next.append(order.slot as usize, id, record);
            }
            next.procs[usize::from(worker)].sub = 1;
            let units = orders.iter().fold(0, |bits, order| bits | 1 << order.slot);
            out.push((self.label(worker, What::WriteClaim(units)), next));
            return;
        }
        if world.lost_claims > 0 {
            let mut lost = World { lost_claims: world.lost_claims - 1, ..*world };
            lost.abort(id);
            self.claimed(lost, worker, What::EndClaimLost, out);
        }
        next.commit(id);
        if world.delays > 0 {
            let mut late = World { delays: world.delays - 1, delayed: id + 1, ..next };
            if self.pure.keeps_memory(Outcome::Unknown) {
                self.claimed(late, worker, What::EndClaimLate, out);
            } else {
                late.new_life(worker);
                out.push((self.label(worker, What::EndClaimLate), late));
            }
        }
        self.claimed(next, worker, What::EndClaim, out);
    }

    /// The Claims are committed as far as the worker knows: it reads again, or it goes on at once.
    fn claimed(&mut self, mut world: World, worker: u8, what: What, out: &mut Out) {
        self.event(&mut world, worker, Event::Claimed { committed: true, now_ms: 0 });
        let proc = world.procs[usize::from(worker)];
        let before = out.len();
        self.decide_unread(&world, worker, &proc, out);
        out[before..].iter_mut().for_each(|(label, _)| *label = self.label(worker, what));
        if self.pure.defences.read_to_high_watermark {
            world.procs[usize::from(worker)].stale = [0; JOURNALS];
        }
        out.push((self.label(worker, what), world));
    }

    fn claim_record(&mut self, worker: u8, life: u8, order: &ClaimOrder) -> u16 {
        let config = self.pure.worker(worker);
        let claim = ClaimHead {
            owner: self.pure.owner(self.id(worker), life),
            plan: pipeline::plan::PlanHash([config.plan; 16]),
            placement: protocol::identity::PlacementHash(u64::from(config.generation)),
            resume: order.resume,
            retired: false,
            secrets: None,
        };
        self.pure.record(Record::Journal { head: Head::Claim(claim), start: 0, end: 0 })
    }

    fn fence(&mut self, world: &World, worker: u8, proc: &Proc, ids: &[u8], out: &mut Out) {
        let all = (1 << ids.len()) - 1;
        for (bit, id) in ids.iter().enumerate().filter(|(bit, _)| proc.sub >> bit & 1 == 0) {
            let mut next = *world;
            self.fence_id(&mut next, *id);
            next.procs[usize::from(worker)].sub |= 1 << bit;
            if next.procs[usize::from(worker)].sub == all {
                self.event(&mut next, worker, Event::Fenced);
                self.measure(&mut next, worker);
            }
            let writer = self.pure.worker(*id);
            let what = What::Fence(writer.generation as u8, writer.worker as u8);
            out.push((self.label(worker, what), next));
        }
    }

    /// Takes the high watermarks.
    fn measure(&mut self, world: &mut World, worker: u8) {
        let proc = world.procs[usize::from(worker)];
        // Which journals to measure was decided before: what was read since does not matter, so nothing is read.
        let (machine, _) = self.ask(world, worker, &proc, None);
        let Phase::Measuring(_, slots) = self.pure.phase(machine).clone() else { return };
        let proc = &mut world.procs[usize::from(worker)];
        proc.machine = machine;
        for slot in slots {
            proc.ends[slot as usize] = world.journals[slot as usize].tail.len();
        }
    }
}
