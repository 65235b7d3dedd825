//! What can happen in a state of the model.
//!
//! Every worker is on its way to live from the start; a worker that was not started yet is one that is slow. A crash is
//! the loss of memory at any point followed by the next life, so it needs no state of its own. Reading and a decision on
//! what was read are one step (nobody can tell them apart); a decision and its effect on the log are two.
//!
//! Orders of steps that nobody can tell apart are taken once. Each of these leaves every violation in reach:
//! - A commit marker makes records of one log readable and changes nothing else, so every step but a read of that log
//!   commutes with it: markers are written just before a read that sees them ([`Model::views`]), or by the next
//!   transaction of the id, as before.
//! - The ends are measured together with the last fence. To measure later only asks for more to be closed before the
//!   read that follows, and that read knows everything readable at its own time either way.
//! - A decision without reading again (a reader that read nothing new) comes right behind the Claim: it asks nobody.
//! - A worker that nobody will hear of any more (fenced while live or before its Claim is committed, superseded) takes
//!   that step before anything else happens. What it would do instead, a crash, leads to the same states with less of a
//!   budget left.
//! - Two processes with one id are the same but for what they do: which is which does not matter.

use crate::label::{Label, What};
use crate::pure::{Ask, Decision, Pure, Worker};
use crate::world::{JOURNALS, Proc, WORKERS, World, run, txn};
use protocol::defences::Defences;
use protocol::going_live::Phase;

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
    /// `init_transactions` of each id by its own workers, so the lives that it may have; others may fence it at will.
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

/// A configuration with defences: makes states from states.
pub struct Model {
    pub config: Config,
    pub pure: Pure,
    pub ids: [u8; WORKERS],
}

/// Steps, and where they lead.
pub type Out = Vec<(Label, World)>;

/// Which logs are read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    Journals,
    Data,
}

/// A world with some of its missing commit markers written, and into how many logs.
pub struct View {
    pub world: World,
    pub markers: u8,
}

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

    pub fn label(&self, worker: u8, what: What) -> Label {
        Label::new(worker, self.pure.worker(worker), what)
    }

    pub fn id(&self, worker: u8) -> u8 {
        self.ids[usize::from(worker)]
    }

    /// Everything that can happen next.
    pub fn successors(&mut self, world: &World, out: &mut Out) {
        let workers = 0..self.config.workers.len() as u8;
        if let Some(worker) = workers.clone().find(|worker| self.is_silent(world, *worker)) {
            let proc = world.procs[usize::from(worker)];
            self.steps_of(world, worker, &proc, out);
            out.truncate(1);
        } else {
            self.operator(world, out);
            self.broker(world, out);
            workers.for_each(|worker| self.worker_steps(world, worker, out));
        }
        for (_, next) in out {
            self.settle(next);
            self.sort_twins(next);
        }
    }

    fn is_silent(&mut self, world: &World, worker: u8) -> bool {
        let proc = world.procs[usize::from(worker)];
        match proc.run {
            run::LIVE => proc.units != 0 && proc.fenced,
            run::GOING => match self.pure.phase(proc.machine) {
                Phase::Claiming(_) => proc.fenced && self.pure.defences.claim,
                Phase::Measuring(..) if !self.pure.defences.read_to_high_watermark => false,
                Phase::Standby | Phase::Releasing(..) | Phase::Measuring(..) => {
                    let folds = self.readable(world);
                    self.ask(world, worker, &proc, Some(folds)).1 == Decision::Gone
                }
                _ => false,
            },
            _ => false,
        }
    }

    fn steps_of(&mut self, world: &World, worker: u8, proc: &Proc, out: &mut Out) {
        let before = out.len();
        match proc.run {
            run::GOING => self.going(world, worker, proc, out),
            run::LIVE => self.live(world, worker, proc, out),
            _ => {}
        }
        name_lives(worker, proc, &mut out[before..]);
    }

    fn worker_steps(&mut self, world: &World, worker: u8, out: &mut Out) {
        let proc = world.procs[usize::from(worker)];
        self.steps_of(world, worker, &proc, out);
        let remembers = proc.run == run::LIVE || proc.run == run::GOING && proc.life > 0;
        if world.crashes > 0 && remembers {
            let mut next = *world;
            next.crashes -= 1;
            next.new_life(worker);
            let before = out.len();
            out.push((self.label(worker, What::Crash), next));
            name_lives(worker, &proc, &mut out[before..]);
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
        if world.delayed > 0 {
            let id = world.delayed - 1;
            let mut next = World { delayed: 0, ..*world };
            if world.has_open(id) {
                next.commit(id);
                out.push((self.label(id, What::LateEndTxn), next));
            }
        }
        for id in 0..self.config.workers.len() as u8 {
            if world.expiries > 0 && world.has_open(id) {
                let mut next = World { expiries: world.expiries - 1, ..*world };
                self.fence_id(&mut next, id);
                out.push((self.label(id, What::Expire), next));
            }
        }
    }

    /// `init_transactions` by whoever it is: ends what the id has open and raises its epoch.
    pub fn fence_id(&self, world: &mut World, id: u8) {
        world.finish(id);
        world.abort(id);
        for worker in 0..self.config.workers.len() {
            let proc = &mut world.procs[worker];
            proc.fenced |= self.ids[worker] == id && proc.life > 0;
        }
        if world.delayed == id + 1 {
            world.delayed = 0;
        }
    }

    /// What a reader that reads now knows of the journals.
    pub fn readable(&mut self, world: &World) -> [u16; JOURNALS] {
        let committed_only = self.pure.defences.read_committed;
        std::array::from_fn(|at| {
            let journal = &world.journals[at];
            let tail = journal.tail.entries().iter().filter(|_| !committed_only);
            tail.fold(journal.fold, |fold, entry| self.pure.fold(fold, entry.record))
        })
    }

    /// What a reader gets of the data log: the end.
    pub fn readable_data(&self, world: &World) -> u8 {
        if self.pure.defences.read_committed { world.data.stable() } else { world.data.len() }
    }

    /// Every way to write missing commit markers that a reader of these logs can tell from the others.
    pub fn views(&mut self, world: &World, reads: Reads) -> Vec<View> {
        let mut missing: Vec<(usize, u8)> = Vec::new();
        let logs = world.journals.iter().map(|journal| journal.tail.entries());
        for (log, entries) in logs.chain([world.data.entries()]).enumerate() {
            let read = (log < JOURNALS) == (reads == Reads::Journals);
            let decided = entries.iter().filter(|entry| read && entry.state == txn::DECIDED);
            missing.extend(decided.map(|entry| (log, entry.id)));
        }
        missing.dedup();
        let mut views: Vec<View> = vec![View { world: *world, markers: 0 }];
        let mut seen = vec![ends(world)];
        if !self.pure.defences.read_committed {
            return views;
        }
        for bits in 1..1u32 << missing.len() {
            let chosen = missing.iter().enumerate().filter(|(at, _)| bits >> at & 1 == 1);
            let mut next = *world;
            chosen.for_each(|(_, (log, id))| mark(&mut next, *log, *id));
            self.settle(&mut next);
            let now = ends(&next);
            if !seen.contains(&now) {
                seen.push(now);
                views.push(View { world: next, markers: bits.count_ones() as u8 });
            }
        }
        views
    }

    /// Asks a worker, with what it knows of the journals: nothing when that cannot matter.
    pub fn ask(
        &mut self,
        world: &World,
        worker: u8,
        proc: &Proc,
        folds: Option<[u16; JOURNALS]>,
    ) -> (u16, Decision) {
        let measured = folds.is_some() && matches!(self.pure.phase(proc.machine), Phase::Measuring(..));
        let read = || (0..JOURNALS).fold(0, |bits, at| bits | u8::from(proc.ends[at] == 0) << at);
        let ask = self.question(world, worker, proc.machine, folds.unwrap_or_default());
        self.pure.next(Ask { life: proc.life, read_to_end: measured.then(read), ..ask })
    }

    /// Of all that may be known when a claim is decided and that has the same consequence, the first.
    pub fn alike(
        &mut self,
        world: &World,
        worker: u8,
        machine: u16,
        folds: [u16; JOURNALS],
    ) -> [u16; JOURNALS] {
        let ask = self.question(world, worker, machine, folds);
        self.pure.alike(ask)
    }

    fn question(&self, world: &World, worker: u8, machine: u16, folds: [u16; JOURNALS]) -> Ask {
        let resumable = self.pure.worker(worker).generation == 1;
        let resume = if resumable { world.resumed } else { 0 };
        Ask { worker: self.id(worker), life: 0, resume, machine, folds, read_to_end: None }
    }
}

fn name_lives(worker: u8, proc: &Proc, steps: &mut [(Label, World)]) {
    for (label, next) in steps {
        label.life = proc.life.max(next.procs[usize::from(worker)].life);
    }
}

/// How far each log is stable, as a number of records behind it.
fn ends(world: &World) -> [u8; JOURNALS + 1] {
    let [first, second] = world.journals.map(|journal| journal.tail.len() - journal.tail.stable());
    [first, second, world.data.len() - world.data.stable()]
}

fn mark(world: &mut World, log: usize, id: u8) {
    let entries = match world.journals.get_mut(log) {
        Some(journal) => journal.tail.entries_mut(),
        None => world.data.entries_mut(),
    };
    let decided = entries.iter_mut().filter(|entry| entry.id == id && entry.state == txn::DECIDED);
    decided.for_each(|entry| entry.state = txn::COMMITTED);
}
