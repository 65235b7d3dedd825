//! The log against a naive reference, and each fault by itself.

use super::*;
use crate::door::{CommitOutcome, Fetched, KafkaIo};
use pipeline::record::NewRecord;
use proptest::prelude::*;

fn records(values: impl IntoIterator<Item = u64>) -> RecordBatch {
    let mut batch = RecordBatch::new();
    for value in values {
        batch.push(NewRecord {
            timestamp_ms: value as i64,
            value: Some(&value.to_be_bytes()),
            ..NewRecord::default()
        });
    }
    batch
}

fn values(batch: &RecordBatch) -> Vec<(i64, u64)> {
    let value = |row| u64::from_be_bytes(batch.value(row).unwrap().try_into().unwrap());
    (0..batch.len()).map(|row| (batch.records()[row].offset, value(row))).collect()
}

fn at(partition: u32) -> TopicPartition {
    TopicPartition { topic: "t".to_owned(), partition }
}

fn committed(log: &Log, partition: usize) -> Vec<u64> {
    values(&log.committed("t").unwrap()[partition]).into_iter().map(|(_, value)| value).collect()
}

fn commit(io: &mut Io) -> Result<CommitOutcome, IoError> {
    io.start_commit()?;
    loop {
        if let Some(outcome) = io.commit_outcome(Duration::ZERO)? {
            return Ok(outcome);
        }
    }
}

/// A log with topic `t`, and a door with an open transaction that holds one record.
fn in_transaction(id: &str, value: u64) -> (Log, Io) {
    let log = Log::new(Settings::default());
    log.create_topic("t", 1);
    let mut io = log.connect(id);
    io.init_transactions().unwrap();
    io.begin().unwrap();
    io.produce("t", Partitioning::Exact(0), &records([value])).unwrap();
    (log, io)
}

fn on(operation: Operation, fault: Fault) -> impl Faults {
    let mut done = false;
    move |call: &Call<'_>| {
        let hit = call.operation == operation && !std::mem::replace(&mut done, call.operation == operation);
        if hit { fault } else { Fault::None }
    }
}

#[test]
fn a_commit_whose_answer_is_lost_is_unknown_and_visible() {
    let (log, mut io) = in_transaction("a", 1);
    log.set_faults(on(Operation::Commit, Fault::LoseAnswer));
    assert_eq!(commit(&mut io).unwrap(), CommitOutcome::Unknown);
    assert_eq!(committed(&log, 0), [1]);
    assert!(io.begin().is_err(), "nothing can be begun after an unknown outcome");
}

#[test]
fn a_commit_whose_request_is_lost_is_unknown_and_aborted_by_the_fence() {
    let (log, mut io) = in_transaction("a", 1);
    log.set_faults(on(Operation::Commit, Fault::LoseRequest));
    assert_eq!(commit(&mut io).unwrap(), CommitOutcome::Unknown);
    assert_eq!(log.open_transactions(), ["a"]);
    log.connect("b").fence(&["a".to_owned()]).unwrap();
    assert!(log.open_transactions().is_empty());
    assert_eq!(committed(&log, 0), [0_u64; 0]);
}

#[test]
fn a_slow_commit_answers_not_yet_first() {
    let (log, mut io) = in_transaction("a", 1);
    log.set_faults(on(Operation::Commit, Fault::Slow(2)));
    io.start_commit().unwrap();
    assert_eq!(io.commit_outcome(Duration::ZERO).unwrap(), None);
    assert_eq!(committed(&log, 0), [0_u64; 0]);
    assert_eq!(io.commit_outcome(Duration::ZERO).unwrap(), None);
    assert_eq!(io.commit_outcome(Duration::ZERO).unwrap(), Some(CommitOutcome::Committed));
    assert_eq!(committed(&log, 0), [1]);
}

#[test]
fn a_late_copy_of_end_txn_tears_the_next_transaction() {
    let (log, mut io) = in_transaction("a", 1);
    log.shared.state.lock().unwrap().settings.hide_repeats = true;
    log.set_faults(on(Operation::Commit, Fault::Repeat));
    assert_eq!(commit(&mut io).unwrap(), CommitOutcome::Committed, "the client hides the repetition");
    io.begin().unwrap();
    io.produce("t", Partitioning::Exact(0), &records([2])).unwrap();
    assert!(log.deliver_delayed());
    assert_eq!(committed(&log, 0), [1, 2], "half a transaction is visible");
    io.produce("t", Partitioning::Exact(0), &records([3])).unwrap();
    assert_eq!(
        commit(&mut io).unwrap(),
        CommitOutcome::Unknown,
        "the rest is refused, and abort is too late"
    );
    assert_eq!(committed(&log, 0), [1, 2]);
}

#[test]
fn a_late_copy_of_end_txn_is_harmless_after_a_new_epoch() {
    let (log, mut io) = in_transaction("a", 1);
    log.set_faults(on(Operation::Commit, Fault::Delay));
    assert_eq!(commit(&mut io).unwrap(), CommitOutcome::Unknown);
    let mut next = log.connect("a");
    next.init_transactions().unwrap();
    next.begin().unwrap();
    next.produce("t", Partitioning::Exact(0), &records([2])).unwrap();
    assert_eq!(log.delayed(), 1);
    assert!(!log.deliver_delayed());
    next.abort().unwrap();
    assert_eq!(committed(&log, 0), [0_u64; 0]);
}

#[test]
fn a_lost_produce_aborts_the_transaction() {
    for fault in [Fault::LoseRequest, Fault::LoseAnswer, Fault::Unreachable] {
        let (log, mut io) = in_transaction("a", 1);
        log.set_faults(on(Operation::Produce, fault));
        io.produce("t", Partitioning::Exact(0), &records([2])).unwrap();
        io.produce("t", Partitioning::Exact(0), &records([3])).unwrap();
        assert_eq!(commit(&mut io).unwrap(), CommitOutcome::Aborted, "{fault:?}");
        assert_eq!(committed(&log, 0), [0_u64; 0], "{fault:?}");
        io.begin().unwrap();
    }
}

#[test]
fn a_lost_first_produce_leaves_nothing_to_abort() {
    let log = Log::new(Settings::default());
    log.create_topic("t", 1);
    let mut io = log.connect("a");
    io.init_transactions().unwrap();
    io.begin().unwrap();
    log.set_faults(on(Operation::Produce, Fault::LoseRequest));
    io.produce("t", Partitioning::Exact(0), &records([2])).unwrap();
    assert_eq!(commit(&mut io).unwrap(), CommitOutcome::Aborted);
}

#[test]
fn an_expired_transaction_looks_like_fencing() {
    let (log, mut io) = in_transaction("a", 1);
    log.expire_transaction("a");
    assert!(matches!(commit(&mut io), Err(IoError::Fenced { .. })));
    assert_eq!(committed(&log, 0), [0_u64; 0]);
}

#[test]
fn an_unreachable_broker_is_said_so() {
    let (log, mut io) = in_transaction("a", 1);
    log.set_faults(|_: &Call<'_>| Fault::Unreachable);
    assert!(matches!(io.watermarks(&[at(0)]), Err(IoError::Unreachable { .. })));
    assert!(matches!(io.poll(Duration::ZERO, &mut Vec::new()), Err(IoError::Unreachable { .. })));
    log.clear_faults();
    assert!(io.watermarks(&[at(0)]).is_ok());
}

#[test]
fn a_waiting_poll_wakes_up_when_another_thread_writes() {
    let log = Log::new(Settings { wait: true, ..Settings::default() });
    log.create_topic("t", 1);
    let mut io = log.connect("a");
    io.assign(&[(at(0), 0)]).unwrap();
    let mut end = Vec::new();
    io.poll(Duration::ZERO, &mut end).unwrap();
    assert_eq!(end, [Fetched::End { of: at(0), offset: 0 }]);
    let writer = std::thread::spawn({
        let log = log.clone();
        move || log.append("t", Partitioning::Exact(0), &records([7])).unwrap()
    });
    let mut got = Vec::new();
    io.poll(Duration::from_mins(1), &mut got).unwrap();
    writer.join().unwrap();
    assert!(matches!(&got[0], Fetched::Records { batch, .. } if values(batch) == [(0, 7)]));
}

/// What a proptest does with producer `p` (two ids; the newest incarnation, or the one before it).
#[derive(Clone, Copy, Debug)]
enum Act {
    Init(usize),
    Begin(usize, bool),
    Produce(usize, bool, u32, u8),
    Commit(usize, bool),
    Abort(usize, bool),
    Append(u32, u8),
    Read,
}

fn act() -> impl Strategy<Value = Act> {
    let p = 0..2_usize;
    let old = prop::bool::weighted(0.15);
    prop_oneof![
        1 => p.clone().prop_map(Act::Init),
        4 => (p.clone(), old).prop_map(|(p, o)| Act::Begin(p, o)),
        8 => (p.clone(), old, 0..2_u32, 1..4_u8).prop_map(|(p, o, to, n)| Act::Produce(p, o, to, n)),
        3 => (p.clone(), old).prop_map(|(p, o)| Act::Commit(p, o)),
        2 => (p, old).prop_map(|(p, o)| Act::Abort(p, o)),
        2 => (0..2_u32, 1..4_u8).prop_map(|(to, n)| Act::Append(to, n)),
        3 => Just(Act::Read),
    ]
}

/// The reference: every offset of a partition by itself, and the fate of every transaction.
#[derive(Default)]
struct Naive {
    /// Value and transaction; none is a marker.
    partitions: [Vec<Option<(u64, usize)>>; 2],
    fates: Vec<Option<bool>>,
    made: u64,
}

impl Naive {
    fn transaction(&mut self) -> usize {
        self.fates.push(None);
        self.fates.len() - 1
    }

    fn end(&mut self, transaction: usize, committed: bool) {
        self.fates[transaction] = Some(committed);
        for partition in &mut self.partitions {
            if partition.iter().flatten().any(|(_, t)| *t == transaction) {
                partition.push(None);
            }
        }
    }

    fn stable(&self, partition: usize) -> usize {
        let all = &self.partitions[partition];
        let open = |entry: &Option<(u64, usize)>| entry.is_some_and(|(_, t)| self.fates[t].is_none());
        all.iter().position(open).unwrap_or(all.len())
    }

    fn committed(&self, partition: usize) -> Vec<(i64, u64)> {
        let stable = &self.partitions[partition][..self.stable(partition)];
        let visible = |(offset, entry): (usize, &Option<(u64, usize)>)| {
            entry.filter(|(_, t)| self.fates[*t] == Some(true)).map(|(value, _)| (offset as i64, value))
        };
        stable.iter().enumerate().filter_map(visible).collect()
    }
}

/// One incarnation of a producer and its transaction in the reference.
struct Life {
    io: Io,
    open: bool,
    transaction: Option<usize>,
    refused: bool,
}

struct World {
    log: Log,
    naive: Naive,
    /// Incarnations of each id, oldest first.
    lives: [Vec<Life>; 2],
    reader: Io,
    read: [Vec<(i64, u64)>; 2],
    ends: [i64; 2],
}

impl World {
    fn new(seed: u64) -> Self {
        let log =
            Log::new(Settings { seed, batch_records_max: 4, random_batches: true, ..Settings::default() });
        log.create_topic("t", 2);
        let mut reader = log.connect("reader");
        reader.assign(&[(at(0), 0), (at(1), 0)]).unwrap();
        let naive = Naive::default();
        Self { log, naive, lives: [vec![], vec![]], reader, read: [vec![], vec![]], ends: [-1; 2] }
    }

    fn init(&mut self, p: usize) {
        let mut io = self.log.connect(&format!("p{p}"));
        io.init_transactions().unwrap();
        if let Some(transaction) = self.lives[p].last_mut().and_then(|life| life.transaction.take()) {
            self.naive.end(transaction, false);
        }
        self.lives[p].push(Life { io, open: false, transaction: None, refused: false });
    }

    /// Index of the incarnation meant, and whether it is the newest.
    fn life(&self, p: usize, old: bool) -> Option<(usize, bool)> {
        let newest = self.lives[p].len().checked_sub(1)?;
        if old { newest.checked_sub(1).map(|at| (at, false)) } else { Some((newest, true)) }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Init(p) => self.init(p),
            Act::Read => self.read(),
            Act::Append(to, n) => {
                let transaction = self.naive.transaction();
                self.naive.fates[transaction] = Some(true);
                let batch = self.records(to, n, Some(transaction));
                self.log.append("t", Partitioning::Exact(to), &batch).unwrap();
            }
            Act::Begin(p, old) => {
                let Some((at, _)) = self.life(p, old) else { return };
                let life = &mut self.lives[p][at];
                if life.io.begin().is_ok() {
                    (life.open, life.refused) = (true, false);
                }
            }
            Act::Produce(p, old, to, n) => self.produce(p, old, to, n),
            Act::Commit(p, old) => self.end(p, old, true),
            Act::Abort(p, old) => self.end(p, old, false),
        }
    }

    fn records(&mut self, to: u32, n: u8, transaction: Option<usize>) -> RecordBatch {
        let first = self.naive.made;
        self.naive.made += u64::from(n);
        if let Some(transaction) = transaction {
            let new = (first..self.naive.made).map(|value| Some((value, transaction)));
            self.naive.partitions[to as usize].extend(new);
        }
        records(first..self.naive.made)
    }

    fn produce(&mut self, p: usize, old: bool, to: u32, n: u8) {
        let Some((at, newest)) = self.life(p, old) else { return };
        if !self.lives[p][at].open {
            return;
        }
        let transaction = if newest {
            let open = self.lives[p][at].transaction;
            Some(open.unwrap_or_else(|| self.naive.transaction()))
        } else {
            None
        };
        let batch = self.records(to, n, transaction);
        let life = &mut self.lives[p][at];
        life.transaction = transaction;
        life.refused |= !newest;
        life.io.produce("t", Partitioning::Exact(to), &batch).unwrap();
    }

    fn end(&mut self, p: usize, old: bool, committed: bool) {
        let Some((at, newest)) = self.life(p, old) else { return };
        let life = &mut self.lives[p][at];
        if !std::mem::replace(&mut life.open, false) {
            return;
        }
        let outcome =
            if committed { commit(&mut life.io) } else { life.io.abort().map(|()| CommitOutcome::Aborted) };
        let wanted = if committed { CommitOutcome::Committed } else { CommitOutcome::Aborted };
        match life.transaction.take() {
            Some(transaction) => {
                assert!(newest);
                assert_eq!(outcome.unwrap(), wanted);
                self.naive.end(transaction, committed);
            }
            None if newest => assert_eq!(outcome.unwrap(), wanted, "an empty transaction ends as asked"),
            // A zombie learns it at the latest when it ends what it wrote.
            None => assert!(!life.refused || matches!(outcome, Err(IoError::Fenced { .. }))),
        }
    }

    fn read(&mut self) {
        let mut fetched = Vec::new();
        self.reader.poll(Duration::ZERO, &mut fetched).unwrap();
        for what in fetched {
            match what {
                Fetched::Records { from, batch } => {
                    self.read[from.partition as usize].extend(values(&batch));
                }
                Fetched::End { of, offset } => {
                    let partition = of.partition as usize;
                    assert_eq!(
                        offset as usize,
                        self.naive.stable(partition),
                        "an end is at the stable offset"
                    );
                    assert_eq!(self.read[partition], self.naive.committed(partition), "an end hides nothing");
                    self.ends[partition] = offset;
                }
            }
        }
        for partition in 0..2 {
            let committed = self.naive.committed(partition);
            assert_eq!(self.read[partition], committed[..self.read[partition].len()]);
        }
    }

    fn check(&mut self) {
        for partition in 0..2 {
            let all = values(&self.log.committed("t").unwrap()[partition]);
            assert_eq!(all, self.naive.committed(partition));
            let (_, high) = self.log.watermarks(&at(partition as u32)).unwrap();
            assert_eq!(high as usize, self.naive.partitions[partition].len());
        }
    }
}

proptest! {
    #[test]
    fn readers_see_exactly_the_committed_records_in_order(
        seed in any::<u64>(),
        acts in prop::collection::vec(act(), 0..120),
    ) {
        let mut world = World::new(seed);
        world.init(0);
        world.init(1);
        for act in acts {
            world.act(act);
            world.check();
        }
        while (0..2).any(|p| world.ends[p] as usize != world.naive.stable(p)) {
            world.read();
        }
        for partition in 0..2 {
            prop_assert_eq!(&world.read[partition], &world.naive.committed(partition));
        }
    }
}
