//! One run: the log, the workers of all generations, and what happens to them.

use super::faults::{Matrix, Network, Place};
use super::saver::Saver;
use super::{Chance, PIPELINES, SUCCESSORS};
use connect::door::{IoError, KafkaIo, Partitioning, TopicPartition};
use connect::memory::{Io, Log, Settings};
use connect::snapshot::{MemoryStore, Uploads};
use control::call::DrainId;
use control::status::UnitState;
use pipeline::plan::{Plan, SinkConnector, SinkId};
use pipeline::record::{NewRecord, RecordBatch};
use protocol::commit::Timing;
use protocol::defences::Defences;
use protocol::going_live::Promotion;
use protocol::identity::{Generation, Incarnation, WorkerIndex, Writer};
use protocol::restore::Rewind;
use protocol::snapshot::Limits;
use runtime::local::{Bounds, identity, setup};
use runtime::pod::Intents;
use runtime::worker::{Environment, Now, Setup, Step, Worker};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Event time and wall clock of all runs begin here.
const BASE_MS: i64 = 1_795_219_200_000;
/// Partitions of the input.
const PARTITIONS: u32 = 3;
/// Moves without an end are a violation: something waits for ever.
pub(super) const MOVES_MAX: u64 = 60_000;
/// When workers commit, save and trim.
pub(super) const TIMING: Timing = Timing {
    commit_interval_ms: 20,
    idle_commit_interval_ms: 100,
    bytes_max: 1 << 20,
    snapshot_interval_ms: 150,
    trim_interval_ms: 70,
};
/// Most generations of one run.
const GENERATIONS_MAX: u64 = 5;

/// What one run came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What happened to whom.
    pub matrix: Matrix,
    /// Hash of every move and of the output: the same seed gives the same.
    pub trace: u64,
    /// Moves made.
    pub moves: u64,
    /// Offsets of internal topics that were deleted in it.
    pub trimmed: u64,
    /// Drains that ended with the other form of the pipeline.
    pub changes: u64,
    /// Changes that were taken back after they had taken over.
    pub rollbacks: u64,
    /// A pipeline went on from a savepoint of this one.
    pub restored: bool,
    /// What is wrong, if anything.
    pub violation: Option<Violation>,
}

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What, with the records concerned.
    pub what: String,
    /// The last moves before it.
    pub moves: Vec<String>,
}

/// The world of a simulated worker.
pub(super) struct SimEnvironment {
    pub log: Log,
    pub uploads: Uploads,
    pub bounds: Bounds,
    pub chance: Chance,
}

impl Environment for SimEnvironment {
    type Io = Io;

    fn connect(&mut self, transactional_id: &str) -> Result<Io, IoError> {
        Ok(self.log.connect(transactional_id))
    }

    fn incarnation(&mut self) -> Incarnation {
        Incarnation(u128::from(self.chance.bits()))
    }

    fn store(&mut self) -> &mut Uploads {
        &mut self.uploads
    }

    fn emit(&mut self, _sink: SinkId, _records: &RecordBatch) -> Result<(), IoError> {
        Ok(())
    }

    fn end_of_input(&self, partition: &TopicPartition) -> Option<i64> {
        self.bounds.end(partition)
    }

    fn is_bounded(&self) -> bool {
        true
    }

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
}

/// Workers that share plan, placement and number.
struct GenerationRun {
    setup: Setup,
    intents: Intents,
    workers: Vec<Option<Worker<SimEnvironment>>>,
    frozen_until: Vec<u64>,
}

pub(super) struct World {
    /// The first form of the pipeline.
    plan: Arc<Plan>,
    /// The other one.
    other: Arc<Plan>,
    /// The newest generation runs the other one.
    changed: bool,
    /// A drain is under way, with which the form changes.
    draining: bool,
    /// The newest generation runs the other form than the one before it, which is at work and was not told to drain.
    upgrading: bool,
    changes: u64,
    /// What was before a change is kept, so that it can be taken back; else it is deleted as soon as it may be.
    rollback_window_ms: Option<i64>,
    /// The generation that changed the form last, until that is taken back.
    undoable: Option<Generation>,
    /// It is being taken back.
    rewinds: Option<Rewind>,
    rollbacks: u64,
    pub log: Log,
    pub store: MemoryStore,
    pub bounds: Bounds,
    chance: Chance,
    generations: Vec<GenerationRun>,
    number: u64,
    pub now_ms: u64,
    fed: u64,
    to_feed: u64,
    place: Place,
    matrix: Arc<Mutex<Matrix>>,
    trace: u64,
    moves: u64,
    last_moves: Vec<String>,
    defences: Defences,
    /// With all defences on a savepoint is taken at some moment.
    saver: Option<Saver>,
}

/// Runs the schedule of a seed.
pub fn simulate(seed: u64, defences: Defences) -> Outcome {
    let mut chance = Chance::new(seed);
    let which = (seed % PIPELINES.len() as u64) as usize;
    let forms = [PIPELINES[which], SUCCESSORS[which]].map(pipeline::plan::from_yaml);
    let forms = match forms {
        [Ok(plan), Ok(other)] => [Arc::new(plan), Arc::new(other)],
        problems => return broken(format!("{problems:?}")),
    };
    let records = 60 + chance.below(200);
    let expected = World::new(&forms, Chance::new(seed ^ 1), records, Defences::ALL).undisturbed();
    let mut world = World::new(&forms, chance, records, defences);
    world.saver = (defences == Defences::ALL).then(|| Saver::new(seed));
    let found = expected.and_then(|expected| world.disturbed(seed).map(|found| (expected, found)));
    let mut restored = Ok(false);
    let violation = match found {
        Ok((expected, found)) => compare(&expected, &found).or_else(|| {
            restored = world.goes_on_from_savepoint(&expected);
            restored.clone().err()
        }),
        Err(what) => Some(what),
    };
    let matrix = world.matrix.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let moves = std::mem::take(&mut world.last_moves);
    Outcome {
        matrix,
        trace: world.trace,
        moves: world.moves,
        trimmed: world.trimmed(),
        changes: world.changes,
        rollbacks: world.rollbacks,
        restored: restored == Ok(true),
        violation: violation.map(|what| Violation { what, moves }),
    }
}

fn broken(what: String) -> Outcome {
    let violation = Some(Violation { what, moves: Vec::new() });
    Outcome {
        matrix: Matrix::default(),
        trace: 0,
        moves: 0,
        trimmed: 0,
        changes: 0,
        rollbacks: 0,
        restored: false,
        violation,
    }
}

/// Offsets by partition.
pub(super) type Ends = BTreeMap<TopicPartition, i64>;

/// Records by topic, sorted.
pub(super) type Outputs = BTreeMap<String, Vec<String>>;

fn compare(expected: &Outputs, found: &Outputs) -> Option<String> {
    for (topic, lines) in expected {
        let others = found.get(topic).map_or(&[][..], Vec::as_slice);
        if others != lines.as_slice() {
            let count = |of: &[String], line: &String| of.iter().filter(|other| *other == line).count();
            let lost: Vec<_> = lines.iter().filter(|l| count(others, l) < count(lines, l)).take(3).collect();
            let more: Vec<_> = others.iter().filter(|l| count(others, l) > count(lines, l)).take(3).collect();
            return Some(format!("topic {topic}: lost {lost:?}, too many {more:?}"));
        }
    }
    None
}

impl World {
    fn new(forms: &[Arc<Plan>; 2], mut chance: Chance, to_feed: u64, defences: Defences) -> Self {
        let settings = Settings {
            seed: chance.bits(),
            batch_records_max: 1 + chance.below(9) as usize,
            random_batches: true,
            hide_repeats: !defences.c7,
            read_uncommitted: !defences.read_committed,
            ..Settings::default()
        };
        let log = Log::new(settings);
        log.create_topic("in", PARTITIONS);
        for sink in forms.iter().flat_map(|plan| plan.sinks()) {
            if let SinkConnector::Kafka { topic, .. } = &sink.connector {
                log.create_topic(topic, PARTITIONS);
            }
        }
        Self {
            plan: forms[0].clone(),
            other: forms[1].clone(),
            changed: false,
            draining: false,
            upgrading: false,
            changes: 0,
            rollback_window_ms: chance.one_in(2).then_some(i64::MAX / 4),
            undoable: None,
            rewinds: None,
            rollbacks: 0,
            log,
            store: MemoryStore::new(),
            bounds: Bounds::default(),
            chance,
            generations: Vec::new(),
            number: 0,
            now_ms: 0,
            fed: 0,
            to_feed,
            place: Arc::new(Mutex::new("restore")),
            matrix: Arc::default(),
            trace: 0,
            moves: 0,
            last_moves: Vec::new(),
            defences,
            saver: None,
        }
    }

    /// One worker, no disturbance.
    fn undisturbed(mut self) -> Result<Outputs, String> {
        self.new_generation(1);
        self.feed(u64::MAX);
        self.finish()
    }

    /// Everything at once, then peace until all is processed.
    fn disturbed(&mut self, seed: u64) -> Result<Outputs, String> {
        let workers = 1 + self.chance.below(3) as u32;
        self.new_generation(workers);
        let rate = 20 + self.chance.below(300);
        let network =
            Network::new(Chance::new(seed ^ 0xfau64), rate, self.place.clone(), self.matrix.clone());
        self.log.set_faults(network);
        while self.fed < self.to_feed {
            self.disturb()?;
            self.save()?;
        }
        self.log.clear_faults();
        while self.log.deliver_delayed() {}
        self.finish()
    }

    /// One move of somebody.
    fn disturb(&mut self) -> Result<(), String> {
        match self.chance.below(1_000) {
            0..30 => {
                let some = 1 + self.chance.below(6);
                self.feed(some);
            }
            30..36 => self.kill(),
            36..42 => self.freeze(),
            42..50 => {
                let delivered = self.log.deliver_delayed();
                self.note(&format!("deliver {delivered}"));
            }
            50..52 => self.expire(),
            52..55 if self.may_begin() => {
                let workers = 1 + self.chance.below(3) as u32;
                self.new_generation(workers);
            }
            55..80 => self.promote(),
            80..84 if self.may_begin() => self.drain(),
            84..88 if self.may_begin() && self.is_newest(UnitState::Live) => self.upgrade(),
            88..96 if self.upgrading => self.take_over(),
            96..150 if self.may_begin() && self.is_newest(UnitState::Live) => self.roll_back(),
            _ => return self.step_somebody(),
        }
        self.check_moves()
    }

    /// Goes on with the savepoint, whatever is going on.
    fn save(&mut self) -> Result<(), String> {
        let Some(mut saver) = self.saver.take() else { return Ok(()) };
        let newest = self.generations.last().map(|newest| newest.setup.plan.clone());
        let looked = newest.map_or(Ok(()), |plan| saver.look(self, &plan));
        self.saver = Some(saver);
        looked
    }

    /// A pipeline goes on from the savepoint of this run. True when there was one.
    fn goes_on_from_savepoint(&mut self, expected: &Outputs) -> Result<bool, String> {
        let Some(mut saver) = self.saver.take() else { return Ok(false) };
        saver.goes_on(self, expected)
    }

    fn check_moves(&mut self) -> Result<(), String> {
        self.moves += 1;
        if self.moves <= MOVES_MAX {
            return Ok(());
        }
        let workers = self.generations.iter().flat_map(|run| &run.workers).flatten();
        let waits: Vec<_> = workers.map(Worker::waiting).collect();
        Err(format!(
            "nothing ends after {MOVES_MAX} moves, workers wait for {waits:?}, open {:?}",
            self.log.open_transactions()
        ))
    }

    /// No fault any more: the newest generation has to end the work.
    fn finish(&mut self) -> Result<Outputs, String> {
        self.feed(u64::MAX);
        self.bounds.end_topics(&self.log, ["in".to_owned()]);
        for generation in 0..self.generations.len() {
            for worker in 0..self.generations[generation].workers.len() {
                self.generations[generation].frozen_until[worker] = 0;
                if self.generations[generation].workers[worker].is_none() {
                    self.start_worker(generation, worker);
                }
            }
        }
        if self.upgrading {
            self.take_over();
        }
        self.promote();
        loop {
            let mut finished = true;
            let newest = self.generations.len() - 1;
            for generation in 0..self.generations.len() {
                for worker in 0..self.generations[generation].workers.len() {
                    let done = self.step(generation, worker)? == Step::Finished;
                    finished &= done || generation != newest;
                }
            }
            if finished {
                return Ok(self.outputs());
            }
            self.check_moves()?;
        }
    }

    fn feed(&mut self, some: u64) {
        for _ in 0..some.min(self.to_feed - self.fed) {
            let n = self.fed;
            // Up to 3 s out of order: some records are late, and which ones does not depend on any schedule.
            let ts = BASE_MS + (n * 180) as i64 - (n.wrapping_mul(7_919) % 3_000) as i64;
            let value = format!(r#"{{"n":{n},"group":"g{}","ts":{ts}}}"#, n.wrapping_mul(31) % 5);
            let mut batch = RecordBatch::new();
            let key = format!("k{}", n % 7);
            batch.push(NewRecord {
                offset: 0,
                timestamp_ms: ts,
                key: Some(key.as_bytes()),
                value: Some(value.as_bytes()),
            });
            // The topic was made with the log, and the record is small.
            let _appended = self.log.append("in", Partitioning::ByKey { unkeyed: 0 }, &batch);
            self.fed += 1;
        }
    }

    fn new_generation(&mut self, workers: u32) {
        self.number += 1;
        let prior = self
            .generations
            .iter()
            .flat_map(|old| Writer::all(old.setup.generation.unwrap_or_default(), old.setup.workers));
        let (plan, earlier) =
            if self.changed { (&self.other, &self.plan) } else { (&self.plan, &self.other) };
        let setup = Setup {
            generation: Some(Generation(self.number as u32)),
            prior: prior.collect(),
            earlier_plans: [(earlier.hash(), earlier.clone())].into(),
            promotion: Promotion::Operator,
            defences: self.defences,
            // Whoever goes on with the plan goes on with the way back to it.
            rollback_window_ms: self.rollback_window_ms,
            rewind: self.rewind().filter(|rewind| rewind.plan == plan.hash()),
            // So that these little states lie in several objects like large ones do.
            snapshots: Limits { whole_bytes: 0, space_times: 1_000, objects: 3 },
            ..setup(plan, 0, workers)
        };
        let count = workers as usize;
        self.generations.push(GenerationRun {
            setup,
            intents: Intents::default(),
            workers: (0..count).map(|_| None).collect(),
            frozen_until: vec![0; count],
        });
        let generation = self.generations.len() - 1;
        (0..count).for_each(|worker| self.start_worker(generation, worker));
        self.note(&format!("generation {} with {workers} workers", self.number));
        if generation == 0 {
            self.promote();
        }
    }

    /// The newest generation may claim.
    fn promote(&mut self) {
        if let Some(newest) = self.generations.last_mut() {
            newest.intents.promoted = newest.setup.generation.map(|generation| u64::from(generation.0));
        }
    }

    /// One change after the other.
    fn may_begin(&self) -> bool {
        self.number < GENERATIONS_MAX && !self.draining && !self.upgrading
    }

    /// Every unit of the newest generation is this far, as it says itself.
    fn is_newest(&self, state: UnitState) -> bool {
        let Some(newest) = self.generations.last() else { return false };
        let running = newest.workers.iter().flatten();
        let units: Vec<_> = running.flat_map(|worker| worker.report().units).collect();
        let all = PARTITIONS as usize * newest.setup.plan.stages().len();
        units.len() == all && units.iter().all(|unit| unit.state == state)
    }

    /// The other form stands by while the newest generation works, all of which is live: an operator begins no hand-over
    /// before.
    fn upgrade(&mut self) {
        self.promote();
        self.changed = !self.changed;
        self.upgrading = true;
        let workers = 1 + self.chance.below(3) as u32;
        self.new_generation(workers);
    }

    /// What the newest generation takes back, or has taken back.
    fn rewind(&self) -> Option<Rewind> {
        self.rewinds.or_else(|| self.generations.last().and_then(|newest| newest.setup.rewind))
    }

    /// The form before the last change stands by, to go back to its state of then.
    fn roll_back(&mut self) {
        let Some(undone) = self.undoable.take().filter(|_| self.rollback_window_ms.is_some()) else { return };
        self.promote();
        self.changed = !self.changed;
        let plan = if self.changed { &self.other } else { &self.plan };
        self.rewinds = Some(Rewind { undone, plan: plan.hash() });
        self.upgrading = true;
        let workers = 1 + self.chance.below(3) as u32;
        self.new_generation(workers);
    }

    /// The generation before the newest is to finish, and the newest to take over as soon as it has.
    fn take_over(&mut self) {
        self.upgrading = false;
        if self.rewinds.take().is_some() {
            self.rollbacks += 1;
        } else {
            self.changes += 1;
            self.undoable = self.generations.last().and_then(|newest| newest.setup.generation);
        }
        let name = format!("upgrade-{}", self.number);
        if let Some(before) = self.generations.iter_mut().rev().nth(1) {
            before.intents.drain = DrainId::new(name.clone()).ok().map(|id| (id, true));
        }
        self.promote();
        self.note(&name);
    }

    /// The newest generation is to finish, for the other form of the pipeline.
    fn drain(&mut self) {
        self.promote();
        let name = format!("change-{}", self.number);
        let Some(newest) = self.generations.last_mut() else { return };
        newest.intents.drain = DrainId::new(name.clone()).ok().map(|id| (id, true));
        self.draining = true;
        self.note(&name);
    }

    /// Once every unit of the newest generation is cut, the other form takes over. Whoever is left of the first one goes
    /// on: it does not know yet.
    fn change_when_cut(&mut self) {
        if self.draining && self.is_newest(UnitState::Cut) {
            self.draining = false;
            self.changed = !self.changed;
            self.changes += 1;
            let workers = 1 + self.chance.below(3) as u32;
            self.new_generation(workers);
            self.undoable = Some(Generation(self.number as u32));
            self.promote();
        }
    }

    pub fn now(&self) -> Now {
        Now { monotonic_ms: self.now_ms, wall_ms: BASE_MS + 3_600_000 + self.now_ms as i64 }
    }

    fn start_worker(&mut self, generation: usize, worker: usize) {
        let environment = SimEnvironment {
            log: self.log.clone(),
            uploads: Uploads::inline(self.store.clone()),
            bounds: self.bounds.clone(),
            chance: Chance::new(self.chance.bits()),
        };
        let run = &mut self.generations[generation];
        let setup = Setup { worker: WorkerIndex(worker as u32), ..run.setup.clone() };
        run.workers[worker] = Some(Worker::new(setup, environment, TIMING));
    }

    fn kill(&mut self) {
        let Some((generation, worker)) = self.somebody() else { return };
        self.count("kill", generation, worker);
        self.note(&format!("kill {generation}/{worker}"));
        self.start_worker(generation, worker);
    }

    fn freeze(&mut self) {
        let Some((generation, worker)) = self.somebody() else { return };
        self.count("freeze", generation, worker);
        let until = self.now_ms + 50 + self.chance.below(60_000);
        self.note(&format!("freeze {generation}/{worker} until {until}"));
        self.generations[generation].frozen_until[worker] = until;
    }

    /// The broker gives up on a transaction that is open for too long.
    fn expire(&mut self) {
        let open = self.log.open_transactions();
        let Some(id) = self.chance.pick(&open).cloned() else { return };
        let place = self.place_of_id(&id);
        self.matrix.lock().unwrap_or_else(PoisonError::into_inner).add("expire", place);
        self.note(&format!("expire {id}"));
        self.log.expire_transaction(&id);
    }

    fn place_of_id(&self, id: &str) -> &'static str {
        let names = identity(&self.plan);
        for run in &self.generations {
            for (index, worker) in run.workers.iter().enumerate() {
                let writer = Writer {
                    generation: run.setup.generation.unwrap_or_default(),
                    worker: WorkerIndex(index as u32),
                };
                if names.transactional_id(writer) == id {
                    return worker.as_ref().map_or("restore", Worker::place);
                }
            }
        }
        "live"
    }

    fn somebody(&mut self) -> Option<(usize, usize)> {
        let generation = self.chance.below(self.generations.len() as u64) as usize;
        let workers = self.generations.get(generation)?.workers.len() as u64;
        Some((generation, self.chance.below(workers) as usize))
    }

    fn count(&mut self, fault: &'static str, generation: usize, worker: usize) {
        let place = self.generations[generation].workers[worker].as_ref().map_or("restore", Worker::place);
        self.matrix.lock().unwrap_or_else(PoisonError::into_inner).add(fault, place);
    }

    fn step_somebody(&mut self) -> Result<(), String> {
        let Some((generation, worker)) = self.somebody() else { return Ok(()) };
        if self.generations[generation].frozen_until[worker] > self.now_ms {
            self.now_ms += 1;
            return self.check_moves();
        }
        self.step(generation, worker)?;
        self.check_moves()
    }

    fn step(&mut self, generation: usize, worker: usize) -> Result<Step, String> {
        self.now_ms += 1 + self.chance.below(8);
        let now = self.now();
        let run = &mut self.generations[generation];
        let Some(running) = &mut run.workers[worker] else { return Ok(Step::Waited) };
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = running.place();
        let step = running.step(now, Duration::ZERO, &run.intents);
        let closed = running.report().problems.into_iter().find(|problem| problem.permanent);
        self.note(&format!("step {generation}/{worker} {step:?}"));
        self.change_when_cut();
        match closed {
            Some(problem) => Err(format!("worker {generation}/{worker} failed closed: {}", problem.message)),
            None => Ok(step),
        }
    }

    /// Remembers a move.
    fn note(&mut self, what: &str) {
        for byte in what.bytes() {
            self.trace = (self.trace ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        if self.last_moves.len() >= 200 {
            self.last_moves.remove(0);
        }
        self.last_moves.push(format!("{} {what}", self.now_ms));
    }

    /// First offsets of all internal partitions, added up.
    fn trimmed(&self) -> u64 {
        let identity = identity(&self.plan);
        let mut io = self.log.connect("looks");
        let topics = io.topics().unwrap_or_default();
        let mut partitions = Vec::new();
        for topic in topics.into_iter().filter(|topic| identity.made(topic)) {
            let count = io.describe(&topic).ok().flatten().map_or(0, |info| info.partitions);
            partitions.extend((0..count).map(|partition| TopicPartition { topic: topic.clone(), partition }));
        }
        let starts = io.watermarks(&partitions).unwrap_or_default();
        starts.into_iter().map(|(start, _)| start as u64).sum()
    }

    fn outputs(&mut self) -> Outputs {
        let outputs = self.committed();
        outputs.values().flatten().for_each(|line| self.note(line));
        outputs
    }

    /// What the sinks of the first form have by now.
    pub fn committed(&self) -> Outputs {
        self.committed_below(&Ends::new())
    }

    /// The same, of what lies below these ends; a partition without one counts as a whole.
    pub fn committed_below(&self, ends: &Ends) -> Outputs {
        let mut outputs = Outputs::new();
        for topic in self.sink_topics() {
            let mut lines = Vec::new();
            for (partition, batch) in (0..).zip(self.log.committed(&topic).unwrap_or_default()) {
                let end = ends.get(&TopicPartition { topic: topic.clone(), partition });
                let below = |row: &usize| end.is_none_or(|end| batch.records()[*row].offset < *end);
                lines.extend((0..batch.len()).filter(below).map(|row| text(&batch, row)));
            }
            lines.sort();
            outputs.insert(topic, lines);
        }
        outputs
    }

    /// Where the topics of the sinks end now, transactions that are open included.
    pub fn ends(&self) -> Ends {
        let at = |topic: String| {
            (0..PARTITIONS).map(move |partition| TopicPartition { topic: topic.clone(), partition })
        };
        let all: Vec<TopicPartition> = self.sink_topics().into_iter().flat_map(at).collect();
        let highs = self.log.connect("looks").watermarks(&all).unwrap_or_default();
        all.into_iter().zip(highs.into_iter().map(|(_, high)| high)).collect()
    }

    fn sink_topics(&self) -> Vec<String> {
        let topic = |connector: &SinkConnector| match connector {
            SinkConnector::Kafka { topic, .. } => Some(topic.clone()),
            _ => None,
        };
        self.plan.sinks().iter().filter_map(|sink| topic(&sink.connector)).collect()
    }
}

fn text(batch: &RecordBatch, row: usize) -> String {
    let part =
        |bytes: Option<&[u8]>| bytes.map_or("-".to_owned(), |b| String::from_utf8_lossy(b).into_owned());
    format!("{} {}", part(batch.key(row)), part(batch.value(row)))
}
