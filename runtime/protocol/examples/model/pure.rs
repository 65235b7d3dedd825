//! The decision functions of the crate over small numbers: every life, journal fold and phase is interned, and every
//! answer is remembered. The functions themselves are those of the library; nothing is written down a second time.

use pipeline::plan::PlanHash;
use protocol::commit::{Live, Outcome, Timing};
use protocol::defences::Defences;
use protocol::going_live::{
    Action, Comeback, Event, GoingLive, JournalFacts, LiveGrant, Me, Phase, Promotion,
};
use protocol::identity::{DrainId, Generation, Incarnation, Owner, PlacementHash, Seq, WorkerIndex, Writer};
use protocol::journal::{Head, Ownership};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// A fast hash for small keys.
#[derive(Default)]
pub struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(u64::from(value));
    }

    fn write_u16(&mut self, value: u16) {
        self.write_u64(u64::from(value));
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        let wide = u128::from(self.0 ^ value ^ 0x9e37_79b9_7f4a_7c15) * 0xda94_2042_e4dd_58b5;
        self.0 = (wide >> 64) as u64 ^ wide as u64;
    }
}

/// A map with the fast hash.
pub type Map<K, V> = HashMap<K, V, BuildHasherDefault<Mix>>;

/// Values by number.
struct Interner<T> {
    values: Vec<T>,
    numbers: Map<T, u16>,
}

impl<T: Clone + Eq + Hash> Interner<T> {
    fn new(first: T) -> Self {
        let mut interner = Self { values: Vec::new(), numbers: Map::default() };
        interner.number(first);
        interner
    }

    fn number(&mut self, value: T) -> u16 {
        if let Some(number) = self.numbers.get(&value) {
            return *number;
        }
        let number = u16::try_from(self.values.len()).expect("fewer than 65 536 distinct values in a model");
        self.values.push(value.clone());
        self.numbers.insert(value, number);
        number
    }
}

/// A record of a log in the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Record {
    /// Of a journal; a Commit takes the unit from one position to another.
    Journal { head: Head, start: u8, end: u8 },
    /// A block for the next stage.
    Block,
    /// The end of the upstream unit.
    End(DrainId),
    /// What the commit of this number emitted.
    Output(u8),
}

/// One worker of the model.
#[derive(Clone, Debug)]
pub struct Worker {
    pub generation: u32,
    pub worker: u32,
    pub plan: u8,
    /// Bit per journal.
    pub own: u8,
    /// Transactional ids of earlier generations that may write these journals.
    pub prior: Vec<Writer>,
}

impl Worker {
    pub fn writer(&self) -> Writer {
        Writer { generation: Generation(self.generation), worker: WorkerIndex(self.worker) }
    }
}

/// What a decision means for the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing changes.
    Wait,
    /// The phase changed, or the action of the phase is due.
    Act,
    /// Live for these journals (bits).
    Live(u8),
    /// A new life, not before some time.
    Aside,
    /// Nothing left to do.
    Gone,
}

/// One question to *Going live*.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ask {
    pub worker: u8,
    pub life: u8,
    pub resume: u8,
    pub machine: u16,
    pub folds: [u16; 2],
    /// The ends were measured: bit per journal that was read that far.
    pub read_to_end: Option<u8>,
}

/// What a reader knows of a journal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Fold {
    pub ownership: Ownership,
    /// The last commit, and the position that it took the unit to.
    pub seq: u8,
    pub end: u8,
}

/// Every wait is over: one that ends early is a reader that reads nothing new.
const LATE_MS: u64 = 1_000_000;

/// The library, by numbers.
pub struct Pure {
    pub defences: Defences,
    workers: Vec<Worker>,
    journals: usize,
    records: Interner<Record>,
    machines: Interner<GoingLive>,
    folds: Interner<Fold>,
    folded: Map<(u16, u16), u16>,
    answers: Map<Ask, (u16, Decision)>,
    /// By worker, machine and the outcome of a decision behind the Claim: what was known, as one of those that lead to it.
    alike: Map<(u8, u16, u16), [u16; 2]>,
    keeps_memory: [bool; 3],
}

impl Pure {
    pub fn new(defences: Defences, workers: Vec<Worker>, journals: usize) -> Self {
        Self {
            defences,
            workers,
            journals,
            records: Interner::new(Record::Block),
            machines: Interner::new(GoingLive::new()),
            folds: Interner::new(Fold::default()),
            folded: Map::default(),
            answers: Map::default(),
            alike: Map::default(),
            keeps_memory: [Outcome::Committed, Outcome::Aborted, Outcome::Unknown]
                .map(|outcome| keeps_memory(defences, outcome)),
        }
    }

    pub fn record(&mut self, record: Record) -> u16 {
        self.records.number(record)
    }

    pub fn get(&self, record: u16) -> Record {
        self.records.values[usize::from(record)]
    }

    fn machine(&self, machine: u16) -> &GoingLive {
        &self.machines.values[usize::from(machine)]
    }

    pub fn phase(&self, machine: u16) -> &Phase {
        self.machine(machine).phase()
    }

    pub fn known(&self, fold: u16) -> &Fold {
        &self.folds.values[usize::from(fold)]
    }

    pub fn worker(&self, worker: u8) -> &Worker {
        &self.workers[usize::from(worker)]
    }

    pub fn owner(&self, worker: u8, life: u8) -> Owner {
        Owner { writer: self.worker(worker).writer(), incarnation: incarnation(worker, life) }
    }

    /// True when memory is kept after this outcome.
    pub fn keeps_memory(&self, outcome: Outcome) -> bool {
        self.keeps_memory[outcome as usize]
    }

    /// Folds one more record of a journal.
    pub fn fold(&mut self, fold: u16, record: u16) -> u16 {
        if let Some(known) = self.folded.get(&(fold, record)) {
            return *known;
        }
        let mut next = self.known(fold).clone();
        if let Record::Journal { head, end, .. } = self.get(record) {
            // Only reading uncommitted records breaks the sequence without the invariants having said so before.
            if next.ownership.apply(&head).is_err() {
                next.ownership = self.known(fold).ownership.clone();
            }
            if let Head::Commit { seq, .. } = head {
                (next.seq, next.end) = (seq.0 as u8, end);
            }
        }
        let number = self.folds.number(next);
        self.folded.insert((fold, record), number);
        number
    }

    fn me(&self, worker: u8, life: u8) -> Me {
        let config = self.worker(worker);
        Me {
            owner: self.owner(worker, life),
            plan: PlanHash([config.plan; 16]),
            placement: PlacementHash(u64::from(config.generation)),
            promotion: Promotion::Operator,
            prior: config.prior.clone(),
            // Where another life would stand aside for a twin it only waits: this one does all that it would do.
            comeback: Comeback::Fresh,
            release_wait_ms: 200,
        }
    }

    /// Asks *Going live*.
    pub fn next(&mut self, ask: Ask) -> (u16, Decision) {
        if let Some(known) = self.answers.get(&ask) {
            return known.clone();
        }
        let me = self.me(ask.worker, ask.life);
        let mut machine = self.machine(ask.machine).clone();
        // A worker that waits for `promote` is one that is slow.
        machine.observe(&me, Event::Promoted(me.owner.generation()));
        if ask.resume > 0 {
            machine.observe(&me, Event::Resume(DrainId(u64::from(ask.resume))));
        }
        // The ends are kept outside of the machine, where they can be told relative to what is still open: 1 stands for
        // each of them, and a journal was read to 0 or to 1.
        if let (Some(_), Phase::Measuring(_, slots)) = (ask.read_to_end, machine.phase()) {
            let ends = vec![1; slots.len()];
            machine.observe(&me, Event::Ends(ends));
        }
        let own = self.worker(ask.worker).own;
        let facts: Vec<JournalFacts<'_>> = (0..self.journals)
            .map(|slot| {
                let ownership = &self.known(ask.folds[slot]).ownership;
                JournalFacts {
                    own: own >> slot & 1 == 1,
                    new_stage: false,
                    ownership,
                    read_to: Some(i64::from(ask.read_to_end.is_some_and(|bits| bits >> slot & 1 == 1))),
                    replayed: Some(ownership.seq()),
                }
            })
            .collect();
        let before = machine.clone();
        let action = machine.next(&me, &self.defences, LATE_MS, &facts);
        let decision = match action {
            Action::Live(grant) => {
                Decision::Live(grant.slots().iter().fold(0, |bits, slot| bits | 1 << slot))
            }
            Action::StandAside { .. } => Decision::Aside,
            Action::Superseded | Action::GenerationCollision => Decision::Gone,
            Action::Follow(_) if machine.phase() == before.phase() => Decision::Wait,
            _ => Decision::Act,
        };
        let answer = (self.machines.number(machine), decision);
        self.answers.insert(ask, answer.clone());
        answer
    }

    /// What was known when the claim was decided matters for one thing: the decision behind the Claim, if nothing is read
    /// until then. Of all that lead to the same one this is the first.
    pub fn alike(&mut self, ask: Ask) -> [u16; 2] {
        let initialised = self.observe(ask.worker, ask.life, ask.machine, Event::Initialised);
        let claimed = Event::Claimed { committed: true, now_ms: 0 };
        let machine = self.observe(ask.worker, ask.life, initialised, claimed);
        let (outcome, decision) = self.next(Ask { machine, ..ask });
        let outcome = if decision == Decision::Gone { u16::MAX } else { outcome };
        *self.alike.entry((ask.worker, ask.machine, outcome)).or_insert(ask.folds)
    }

    /// Tells *Going live* what happened.
    pub fn observe(&mut self, worker: u8, life: u8, machine: u16, event: Event) -> u16 {
        let me = self.me(worker, life);
        let mut next = self.machine(machine).clone();
        next.observe(&me, event);
        self.machines.number(next)
    }
}

fn incarnation(worker: u8, life: u8) -> Incarnation {
    Incarnation(u128::from(worker) << 8 | u128::from(life))
}

/// Sends one life through *Going live* on an empty journal: the only way to a grant.
fn grant(defences: Defences) -> LiveGrant {
    let writer = Writer { generation: Generation(1), worker: WorkerIndex(0) };
    let me = Me {
        owner: Owner { writer, incarnation: Incarnation(1) },
        plan: PlanHash([1; 16]),
        placement: PlacementHash(1),
        promotion: Promotion::Myself,
        prior: Vec::new(),
        comeback: Comeback::Fresh,
        release_wait_ms: 0,
    };
    let mut ownership = Ownership::default();
    let mut life = GoingLive::new();
    loop {
        let facts = [JournalFacts {
            own: true,
            new_stage: false,
            ownership: &ownership,
            read_to: Some(1),
            replayed: Some(Seq(0)),
        }];
        match life.next(&me, &defences, 0, &facts) {
            Action::Initialise => life.observe(&me, Event::Initialised),
            Action::Claim(orders) => {
                let claim = protocol::journal::ownership::ClaimHead {
                    owner: me.owner,
                    plan: me.plan,
                    placement: me.placement,
                    resume: orders[0].resume,
                    retired: false,
                    secrets: None,
                };
                ownership.apply(&Head::Claim(claim)).expect("a claim never breaks the sequence");
                life.observe(&me, Event::Claimed { committed: true, now_ms: 0 });
            }
            Action::MeasureEnds(slots) => life.observe(&me, Event::Ends(vec![1; slots.len()])),
            Action::Fence(_) => life.observe(&me, Event::Fenced),
            Action::Live(grant) => return grant,
            other => unreachable!("{other:?} on an empty journal"),
        }
    }
}

fn keeps_memory(defences: Defences, outcome: Outcome) -> bool {
    let timing = Timing {
        commit_interval_ms: 100,
        idle_commit_interval_ms: 5_000,
        bytes_max: 1,
        snapshot_interval_ms: 60_000,
        trim_interval_ms: 30_000,
    };
    let (mut live, permit) = Live::new(grant(defences), timing, defences, Vec::new(), 0);
    let (in_flight, _) = live.commit(permit, 0, 0);
    live.outcome(in_flight, outcome).is_ok()
}
