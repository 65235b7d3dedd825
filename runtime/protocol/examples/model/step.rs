//! What can happen in a state of the model, and what must never be.
//!
//! Every worker is on its way to live from the start; a worker that was not started yet is one that is slow. A crash is
//! the loss of memory at any point followed by the next life, so it needs no state of its own. Reading and a decision on
//! what was read are one step (nobody can tell them apart); a decision and its effect on the log are two.

use crate::pure::{Ask, Decision, Pure, Record, Worker};
use crate::world::{LOGS, Proc, WORKERS, World, run, txn};
use protocol::block::End;
use protocol::commit::Outcome;
use protocol::defences::Defences;
use protocol::drain::Ends;
use protocol::going_live::{ClaimOrder, Event, Phase};
use protocol::identity::{DrainId, Lineage, Seq, UnitId};
use protocol::journal::Head;
use protocol::journal::ownership::ClaimHead;
use std::fmt;

/// What the log behind the journals holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Data {
    /// Nothing: the Commits themselves are the effects.
    None,
    /// One output per commit, written before the Commit.
    Outputs,
    /// Blocks from unit 0 to unit 1.
    Blocks,
}

/// One configuration.
#[derive(Clone, Debug)]
pub struct Config {
    pub name: &'static str,
    pub about: &'static str,
    pub workers: Vec<Worker>,
    pub journals: usize,
    pub data: Data,
    pub commits: u8,
    pub crashes: u8,
    /// `init_transactions` that a worker may call of its own id; others may fence it two times more.
    pub inits: u8,
    /// Commits that time out while a copy of their EndTxn is still on its way.
    pub delays: u8,
    /// Claims that the broker acknowledges and loses.
    pub lost_claims: u8,
    /// Commits that the client aborts.
    pub aborts: u8,
    /// Transactions that the broker aborts for their age.
    pub expiries: u8,
    /// Times that the operator drains, and may resume.
    pub drains: u8,
}

/// What happened in one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    worker: u8,
    generation: u8,
    index: u8,
    life: u8,
    what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Drain(u8),
    Resume(u8),
    Marker(u8),
    LateEndTxn,
    Expire,
    Decide,
    Init,
    WriteClaim(u8),
    EndClaim,
    EndClaimLate,
    EndClaimLost,
    Fence(u8, u8),
    Measure,
    Live(u8),
    NextLife,
    Gone,
    Crash,
    Produce(u8),
    ProduceOutput,
    End,
    EndLate,
    Abort(bool),
    KeepAfterInit,
    Release(u8),
    Fenced,
    Resumed,
}

impl Label {
    /// The generation that goes live in this step.
    pub fn granted(&self) -> Option<usize> {
        matches!(self.what, What::Live(_)).then_some(usize::from(self.generation))
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = match self.what {
            What::Drain(_) | What::Resume(_) => "operator".to_owned(),
            What::Marker(_) | What::LateEndTxn | What::Expire => "broker".to_owned(),
            _ if self.life == 0 => format!("g{}.{} new life", self.generation, self.index),
            _ => format!("g{}.{} life {}", self.generation, self.index, self.life),
        };
        write!(f, "{who:<14} ")?;
        match self.what {
            What::Drain(id) => write!(f, "asks for drain {id}"),
            What::Resume(id) => write!(f, "resumes drain {id}"),
            What::Marker(log) => write!(f, "writes the commit marker into log {log}"),
            What::LateEndTxn => write!(f, "receives the delayed EndTxn"),
            What::Expire => {
                write!(f, "aborts the transaction of g{}.{} for its age", self.generation, self.index)
            }
            What::Decide => write!(f, "reads, and goes on to the next step"),
            What::Init => write!(f, "init_transactions of its own id"),
            What::WriteClaim(units) => write!(f, "writes Claims, units {units:02b}"),
            What::EndClaim => write!(f, "commits its Claims"),
            What::EndClaimLate => write!(f, "commits its Claims; a copy of the EndTxn is still on its way"),
            What::EndClaimLost => write!(f, "commits its Claims; the broker loses them"),
            What::Fence(generation, worker) => write!(f, "fences the id of g{generation}.{worker}"),
            What::Measure => write!(f, "takes the high watermarks"),
            What::Live(units) => write!(f, "reads to the end and is LIVE, units {units:02b}"),
            What::NextLife => write!(f, "stands aside, then begins a new life"),
            What::Gone => write!(f, "is superseded"),
            What::Crash => write!(f, "crashes and begins a new life"),
            What::Produce(units) => write!(f, "writes its Commits, units {units:02b}"),
            What::ProduceOutput => write!(f, "writes an output"),
            What::End => write!(f, "commits"),
            What::EndLate => write!(f, "commits after a time-out; a copy of the EndTxn is still on its way"),
            What::Abort(kept) => write!(f, "aborts{}", if kept { " and keeps its memory" } else { "" }),
            What::KeepAfterInit => write!(f, "init_transactions of its own id, and keeps its memory"),
            What::Release(unit) => write!(f, "writes Released for unit {unit}"),
            What::Fenced => write!(f, "finds itself fenced and begins a new life"),
            What::Resumed => write!(f, "hears of the resume and begins a new life"),
        }
    }
}

/// A configuration with defences: makes states from states.
pub struct Model {
    pub config: Config,
    pub pure: Pure,
    ids: [u8; WORKERS],
}

type Out = Vec<(Label, World)>;

const DATA: usize = LOGS - 1;

impl Model {
    pub fn new(config: Config, defences: Defences) -> Self {
        let mut ids = [0; WORKERS];
        for (at, worker) in config.workers.iter().enumerate() {
            let same = |other: &Worker| other.writer() == worker.writer();
            ids[at] = config.workers.iter().position(same).unwrap_or(at) as u8;
        }
        let pure = Pure::new(defences, config.workers.clone(), config.journals);
        Self { config, pure, ids }
    }

    pub fn first(&self) -> World {
        let mut world = World::empty();
        world.commits = self.config.commits;
        world.crashes = self.config.crashes;
        world.aborts = self.config.aborts;
        world.delays = self.config.delays;
        world.lost_claims = self.config.lost_claims;
        world.expiries = self.config.expiries;
        world.drains = self.config.drains;
        for at in 0..self.config.workers.len() {
            world.procs[at] = Proc { run: run::GOING, ..Proc::default() };
        }
        world
    }

    fn label(&self, worker: u8, what: What) -> Label {
        let config = self.pure.worker(worker);
        Label { worker, generation: config.generation as u8, index: config.worker as u8, life: 0, what }
    }

    fn id(&self, worker: u8) -> u8 {
        self.ids[usize::from(worker)]
    }

    /// Everything that can happen next.
    ///
    /// A worker that nobody will hear of any more (fenced while live, superseded before its Claim) takes that step before
    /// anything else happens: it changes nothing for others, and waiting for it would only multiply states.
    pub fn successors(&mut self, world: &World, out: &mut Out) {
        let workers = 0..self.config.workers.len() as u8;
        if let Some(worker) = workers.clone().find(|worker| self.is_silent(world, *worker)) {
            self.worker_steps(world, worker, out);
        } else {
            self.operator(world, out);
            self.broker(world, out);
            workers.for_each(|worker| self.worker_steps(world, worker, out));
        }
        out.iter_mut().for_each(|(_, next)| self.sort_twins(next));
    }

    fn is_silent(&mut self, world: &World, worker: u8) -> bool {
        let proc = world.procs[usize::from(worker)];
        match proc.run {
            run::LIVE => proc.units != 0 && self.is_fenced(world, worker, &proc),
            run::GOING if matches!(self.pure.phase(proc.machine), Phase::Standby) => {
                let fresh = self.fresh(world);
                self.ask(world, worker, &proc, fresh).1 == Decision::Gone
            }
            _ => false,
        }
    }

    fn worker_steps(&mut self, world: &World, worker: u8, out: &mut Out) {
        let proc = world.procs[usize::from(worker)];
        let before = out.len();
        match proc.run {
            run::GOING => self.going(world, worker, &proc, out),
            run::LIVE => self.live(world, worker, &proc, out),
            _ => {}
        }
        let remembers = proc.run == run::LIVE || proc.run == run::GOING && (proc.epoch > 0 || proc.lost > 0);
        if world.crashes > 0 && remembers {
            let mut next = *world;
            next.crashes -= 1;
            self.new_life(&mut next, worker, false);
            out.push((self.label(worker, What::Crash), next));
        }
        for (label, next) in &mut out[before..] {
            label.life = proc.life.max(next.procs[usize::from(worker)].life);
        }
    }

    fn fresh(&self, world: &World) -> [u8; 2] {
        std::array::from_fn(|log| if log < self.config.journals { self.readable(world, log) } else { 0 })
    }

    /// Two processes of one id are the same but for what they do: which is which does not matter.
    fn sort_twins(&self, world: &mut World) {
        for second in 1..self.config.workers.len() {
            let first = usize::from(self.ids[second]);
            if first != second && world.procs[first] > world.procs[second] {
                world.procs.swap(first, second);
            }
        }
    }

    fn operator(&self, world: &World, out: &mut Out) {
        if world.drains > 0 && world.drain == world.resumed {
            let drain = world.drain + 1;
            let next = World { drain, drains: world.drains - 1, ..*world };
            out.push((self.label(0, What::Drain(drain)), next));
        }
        if world.drain > world.resumed {
            let next = World { resumed: world.drain, ..*world };
            out.push((self.label(0, What::Resume(world.drain)), next));
        }
    }

    fn broker(&self, world: &World, out: &mut Out) {
        for log in 0..LOGS {
            let entries = world.logs[log].entries();
            if let Some(entry) = entries.iter().find(|entry| entry.state == txn::DECIDED) {
                let mut next = *world;
                let id = entry.id;
                let len = entries.len();
                for entry in &mut next.logs[log].entries[..len] {
                    if entry.id == id && entry.state == txn::DECIDED {
                        entry.state = txn::COMMITTED;
                    }
                }
                out.push((self.label(id, What::Marker(log as u8)), next));
            }
        }
        let (delayed, epoch) = world.delayed;
        if delayed > 0 {
            let id = delayed - 1;
            let mut next = World { delayed: (0, 0), ..*world };
            if world.epochs[usize::from(id)] == epoch && world.has_open(id) {
                next.commit(id);
            }
            out.push((self.label(id, What::LateEndTxn), next));
        }
        for id in 0..self.config.workers.len() as u8 {
            if world.expiries > 0 && world.has_open(id) {
                let mut next = World { expiries: world.expiries - 1, ..*world };
                next.init(id);
                out.push((self.label(id, What::Expire), next));
            }
        }
    }

    /// Memory is gone. `lost` when the last life was fenced or lost a transaction.
    fn new_life(&self, world: &mut World, worker: u8, lost: bool) {
        let proc = &mut world.procs[usize::from(worker)];
        *proc = Proc { run: run::GOING, lost: if lost { proc.life } else { 0 }, ..Proc::default() };
        // A life that can never initialise again does nothing any more.
        if world.epochs[usize::from(self.id(worker))] >= self.config.inits {
            world.procs[usize::from(worker)] = Proc { run: run::GONE, ..Proc::default() };
        }
    }

    /// What a reader gets of a log: the end, and which of the records below it count.
    fn readable(&self, world: &World, log: usize) -> u8 {
        if self.pure.defences.read_committed { world.logs[log].stable() } else { world.logs[log].len }
    }

    fn counts(&self, state: u8) -> bool {
        state != txn::ABORTED || !self.pure.defences.read_committed
    }

    fn fold(&mut self, world: &World, journal: usize, read: u8) -> u16 {
        let mut fold = 0;
        for at in 0..usize::from(read) {
            let entry = world.logs[journal].entries[at];
            if self.counts(entry.state) {
                fold = self.pure.fold(fold, entry.record);
            }
        }
        fold
    }

    fn ask(&mut self, world: &World, worker: u8, proc: &Proc, read: [u8; 2]) -> (u16, Decision) {
        let mut folds = [0; 2];
        for journal in 0..self.config.journals {
            folds[journal] = self.fold(world, journal, read[journal]);
        }
        let resumable = self.pure.worker(worker).generation == 1;
        self.pure.next(Ask {
            worker: self.id(worker),
            life: proc.life,
            lost: proc.lost,
            resume: if resumable { world.resumed } else { 0 },
            machine: proc.machine,
            folds,
            reads: read,
        })
    }

    fn going(&mut self, world: &World, worker: u8, proc: &Proc, out: &mut Out) {
        let fresh = self.fresh(world);
        match self.pure.phase(proc.machine).clone() {
            Phase::Standby => self.decide(world, worker, proc, fresh, out),
            Phase::Releasing(..) => {
                self.decide(world, worker, proc, fresh, out);
                if proc.read != fresh {
                    self.decide(world, worker, proc, proc.read, out);
                }
            }
            Phase::Reading(..) => {
                self.decide(world, worker, proc, fresh, out);
                if !self.pure.defences.read_to_high_watermark && proc.read != fresh {
                    self.decide(world, worker, proc, proc.read, out);
                }
            }
            Phase::Claiming(_) if !self.pure.defences.claim => self.decide(world, worker, proc, fresh, out),
            Phase::Initialising(_) => self.initialise(world, worker, out),
            Phase::Claiming(attempt) => self.claim(world, worker, proc, &attempt.orders, out),
            Phase::Fencing(_, ids) => {
                let ids: Vec<u8> = ids.iter().filter_map(|id| self.worker_of(*id)).collect();
                self.fence(world, worker, proc, &ids, out);
            }
            Phase::Measuring(..) => self.measure(world, worker, proc, out),
            Phase::Granted | Phase::Lost(_) => {}
        }
    }

    fn worker_of(&self, writer: protocol::identity::Writer) -> Option<u8> {
        self.config.workers.iter().position(|worker| worker.writer() == writer).map(|at| at as u8)
    }

    /// Reads, asks, and takes the answer.
    fn decide(&mut self, world: &World, worker: u8, proc: &Proc, read: [u8; 2], out: &mut Out) {
        let (machine, decision) = self.ask(world, worker, proc, read);
        let mut next = *world;
        let what = match decision {
            Decision::Wait => return,
            Decision::Act => {
                let proc = &mut next.procs[usize::from(worker)];
                (proc.machine, proc.read) = (machine, read);
                let forgets = matches!(self.pure.phase(machine), Phase::Fencing(..) | Phase::Measuring(..));
                if forgets && self.pure.defences.read_to_high_watermark {
                    proc.read = [0; 2];
                }
                What::Decide
            }
            Decision::Live(units) => {
                self.go_live(&mut next, worker, units, read);
                What::Live(units)
            }
            Decision::Aside => {
                self.new_life(&mut next, worker, false);
                What::NextLife
            }
            Decision::Gone => {
                next.procs[usize::from(worker)] = Proc { run: run::GONE, ..Proc::default() };
                What::Gone
            }
        };
        out.push((self.label(worker, what), next));
    }

    fn go_live(&self, world: &mut World, worker: u8, units: u8, read: [u8; 2]) {
        let mut live = Proc { run: run::LIVE, units, ..world.procs[usize::from(worker)] };
        (live.machine, live.read, live.sub) = (0, [0; 2], 0);
        for unit in (0..self.config.journals).filter(|unit| units >> unit & 1 == 1) {
            for entry in &world.logs[unit].entries()[..usize::from(read[unit])] {
                if self.counts(entry.state)
                    && let Record::Journal { head: Head::Commit { seq, .. }, end, .. } =
                        self.pure.get(entry.record)
                {
                    (live.seq[unit], live.pos[unit]) = (seq.0 as u8, end);
                }
            }
        }
        (live.next_seq, live.next_pos) = (live.seq, live.pos);
        live.lost = 0;
        world.procs[usize::from(worker)] = live;
    }

    fn event(&mut self, world: &mut World, worker: u8, event: Event) {
        let proc = world.procs[usize::from(worker)];
        let machine = self.pure.observe(self.id(worker), proc.life, proc.lost, proc.machine, event);
        let proc = &mut world.procs[usize::from(worker)];
        (proc.machine, proc.sub) = (machine, 0);
    }

    fn initialise(&mut self, world: &World, worker: u8, out: &mut Out) {
        let id = self.id(worker);
        if world.epochs[usize::from(id)] >= self.config.inits {
            return;
        }
        let mut next = *world;
        let epoch = next.init(id);
        let proc = &mut next.procs[usize::from(worker)];
        proc.epoch = epoch;
        if proc.life == 0 {
            proc.life = epoch;
        }
        self.event(&mut next, worker, Event::Initialised);
        out.push((self.label(worker, What::Init), next));
    }

    fn is_fenced(&self, world: &World, worker: u8, proc: &Proc) -> bool {
        world.epochs[usize::from(self.id(worker))] != proc.epoch
    }

    fn fenced(&self, world: &World, worker: u8, out: &mut Out) {
        let mut next = *world;
        self.new_life(&mut next, worker, true);
        out.push((self.label(worker, What::Fenced), next));
    }

    fn claim(&mut self, world: &World, worker: u8, proc: &Proc, orders: &[ClaimOrder], out: &mut Out) {
        if self.is_fenced(world, worker, proc) {
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
            self.event(&mut lost, worker, Event::Claimed { committed: true, now_ms: 0 });
            out.push((self.label(worker, What::EndClaimLost), lost));
        }
        next.commit(id);
        if world.delays > 0 {
            let mut late = World { delays: world.delays - 1, delayed: (id + 1, proc.epoch), ..next };
            let committed = self.pure.keeps_memory(Outcome::Unknown);
            if committed {
                self.event(&mut late, worker, Event::Claimed { committed, now_ms: 0 });
            } else {
                self.new_life(&mut late, worker, true);
            }
            out.push((self.label(worker, What::EndClaimLate), late));
        }
        self.event(&mut next, worker, Event::Claimed { committed: true, now_ms: 0 });
        out.push((self.label(worker, What::EndClaim), next));
    }

    fn claim_record(&mut self, worker: u8, life: u8, order: &ClaimOrder) -> u16 {
        let config = self.pure.worker(worker);
        let claim = ClaimHead {
            owner: self.pure.owner(self.id(worker), life),
            plan: pipeline::plan::PlanHash([config.plan; 16]),
            placement: protocol::identity::PlacementHash(u64::from(config.generation)),
            resume: order.resume,
        };
        self.pure.record(Record::Journal { head: Head::Claim(claim), start: 0, end: 0 })
    }

    fn fence(&mut self, world: &World, worker: u8, proc: &Proc, ids: &[u8], out: &mut Out) {
        let all = (1 << ids.len()) - 1;
        for (bit, id) in ids.iter().enumerate().filter(|(bit, _)| proc.sub >> bit & 1 == 0) {
            if world.epochs[usize::from(*id)] >= self.config.inits + 2 {
                continue;
            }
            let mut next = *world;
            next.init(*id);
            next.procs[usize::from(worker)].sub |= 1 << bit;
            if next.procs[usize::from(worker)].sub == all {
                self.event(&mut next, worker, Event::Fenced);
            }
            let writer = self.pure.worker(*id);
            let what = What::Fence(writer.generation as u8, writer.worker as u8);
            out.push((self.label(worker, what), next));
        }
    }

    fn measure(&mut self, world: &World, worker: u8, proc: &Proc, out: &mut Out) {
        let mut next = *world;
        // Which journals to measure was decided before: what was read since does not matter, so nothing is read.
        let (machine, _) = self.ask(world, worker, proc, [0; 2]);
        next.procs[usize::from(worker)].machine = machine;
        let Phase::Measuring(_, slots) = self.pure.phase(machine).clone() else { return };
        let ends = slots.iter().map(|slot| i64::from(world.logs[*slot as usize].len)).collect();
        self.event(&mut next, worker, Event::Ends(ends));
        out.push((self.label(worker, What::Measure), next));
    }

    fn live(&mut self, world: &World, worker: u8, proc: &Proc, out: &mut Out) {
        if proc.units == 0 {
            if world.resumed > 0 && world.resumed == world.drain {
                let mut next = *world;
                self.new_life(&mut next, worker, false);
                out.push((self.label(worker, What::Resumed), next));
            }
            return;
        }
        if self.is_fenced(world, worker, proc) {
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
            _ => self.end(world, worker, proc, out),
        }
    }

    /// C1–C4.
    fn produce(&mut self, world: &World, worker: u8, proc: &Proc, out: &mut Out) {
        for units in self.dirty(proc) {
            if !self.has_work(world, worker, proc, units) {
                continue;
            }
            let mut next = *world;
            next.finish(self.id(worker));
            if self.config.data == Data::Outputs {
                next.commits -= 1;
                let output = self.pure.record(Record::Output(proc.seq[0] + 1));
                next.append(DATA, self.id(worker), output);
                next.procs[usize::from(worker)].sub = 1;
                out.push((self.label(worker, What::ProduceOutput), next));
                continue;
            }
            let uses_budget = self.config.data != Data::Blocks || units & 1 == 1;
            next.commits -= u8::from(uses_budget);
            self.write_commits(&mut next, worker, proc, units);
            out.push((self.label(worker, What::Produce(units)), next));
        }
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
        self.pure.worker(worker).plan == 1 && self.readable(world, DATA) > proc.pos[1]
    }

    fn write_commits(&mut self, world: &mut World, worker: u8, proc: &Proc, units: u8) {
        let id = self.id(worker);
        let owner = self.pure.owner(self.id(worker), proc.life);
        for unit in (0..self.config.journals).filter(|unit| units >> unit & 1 == 1) {
            let seq = proc.seq[unit] + 1;
            let end = if self.config.data == Data::Blocks && unit == 1 {
                self.readable(world, DATA)
            } else {
                proc.pos[unit] + 1
            };
            let head = Head::Commit { owner, seq: Seq(u64::from(seq)), renewal: None };
            let record = self.pure.record(Record::Journal { head, start: proc.pos[unit], end });
            world.append(unit, id, record);
            let memory = &mut world.procs[usize::from(worker)];
            (memory.next_seq[unit], memory.next_pos[unit]) = (seq, end);
            if self.config.data == Data::Blocks && unit == 0 && self.pure.worker(worker).plan == 1 {
                let block = self.pure.record(Record::Block);
                world.append(DATA, id, block);
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
        let owner = self.pure.owner(self.id(worker), proc.life);
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
                next.append(DATA, self.id(worker), end);
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
        for entry in &world.logs[DATA].entries()[..usize::from(pos).min(world.logs[DATA].entries().len())] {
            if let Record::End(drain) = self.pure.get(entry.record)
                && unit == 1
                && self.counts(entry.state)
            {
                ends.consume(&End { lineage: Lineage(1), drain, from: source.clone(), seq: Seq(0) });
            }
        }
        ends.complete(drain, upstream, &self.pure.defences)
    }

    /// C6 and C7.
    fn end(&mut self, world: &World, worker: u8, proc: &Proc, out: &mut Out) {
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
                self.new_life(&mut next, worker, true);
            }
            out.push((self.label(worker, What::Abort(kept)), next));
        }
        let mut next = *world;
        next.commit(id);
        if world.delays > 0 {
            let mut late = World { delays: world.delays - 1, delayed: (id + 1, proc.epoch), ..next };
            if self.pure.keeps_memory(Outcome::Unknown) {
                advance(&mut late.procs[usize::from(worker)]);
                let mut after_init = late;
                after_init.procs[usize::from(worker)].epoch = after_init.init(id);
                out.push((self.label(worker, What::KeepAfterInit), after_init));
            } else {
                self.new_life(&mut late, worker, true);
            }
            out.push((self.label(worker, What::EndLate), late));
        }
        advance(&mut next.procs[usize::from(worker)]);
        out.push((self.label(worker, What::End), next));
    }

    /// The invariant that a state breaks, if it does.
    pub fn broken(&self, world: &World, label: &Label) -> Option<String> {
        (0..self.config.journals)
            .find_map(|journal| self.chain_broken(world, journal))
            .or_else(|| self.output_broken(world))
            .or_else(|| self.two_owners(world))
            .or_else(|| label.granted().and_then(|_| self.block_lost(world, label.worker)))
    }

    /// Committed commits chain without gap or overlap.
    fn chain_broken(&self, world: &World, journal: usize) -> Option<String> {
        let (mut last_seq, mut last_end) = (0, 0);
        for entry in world.logs[journal].entries() {
            let committed = entry.state == txn::COMMITTED || entry.state == txn::DECIDED;
            if let Record::Journal { head: Head::Commit { seq, .. }, start, end } =
                self.pure.get(entry.record)
                && committed
            {
                if seq.0 != last_seq + 1 || start != last_end {
                    return Some(format!(
                        "unit {journal}: commit {seq} takes it from position {start} to {end}, but commit {last_seq} \
                         ended at {last_end}"
                    ));
                }
                (last_seq, last_end) = (seq.0, end);
            }
        }
        None
    }

    /// Every output is committed once.
    fn output_broken(&self, world: &World) -> Option<String> {
        if self.config.data != Data::Outputs {
            return None;
        }
        let committed = world.logs[DATA]
            .entries()
            .iter()
            .filter(|entry| entry.state == txn::COMMITTED || entry.state == txn::DECIDED);
        let mut seen = 0u32;
        for entry in committed {
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
            proc.run == run::LIVE && proc.units != 0 && !self.is_fenced(world, *worker, proc)
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
        let consumed = world.logs[1]
            .entries()
            .iter()
            .filter(|entry| entry.state == txn::COMMITTED || entry.state == txn::DECIDED)
            .filter_map(|entry| match self.pure.get(entry.record) {
                Record::Journal { head: Head::Commit { .. }, end, .. } => Some(end),
                _ => None,
            })
            .last()
            .unwrap_or(0);
        let behind =
            &world.logs[DATA].entries()[usize::from(consumed).min(world.logs[DATA].entries().len())..];
        let lost = behind
            .iter()
            .any(|entry| entry.state != txn::ABORTED && self.pure.get(entry.record) == Record::Block);
        lost.then(|| "the new plan is live, and a block of the old one is never consumed".to_owned())
    }
}

fn advance(proc: &mut Proc) {
    (proc.seq, proc.pos) = (proc.next_seq, proc.next_pos);
    proc.units &= !proc.releasing;
    (proc.releasing, proc.sub) = (0, 0);
}
