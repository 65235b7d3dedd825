//! The state of the model: logs with open transactions, epochs of transactional ids, workers.
//!
//! What is kept of Kafka: a record becomes readable when its transaction has ended and none before it is open (the last
//! stable offset); `init_transactions` aborts what the id had open and raises its epoch; a call with an old epoch fails.
//! A commit over two partitions is decided at once and becomes readable in each of them at its own time.

/// Workers at most.
pub const WORKERS: usize = 4;
/// Logs at most: journals, then one of data.
pub const LOGS: usize = 3;
/// Records per log at most.
pub const ENTRIES: usize = 30;

/// The state of a record's transaction.
pub mod txn {
    pub const OPEN: u8 = 0;
    /// Committed, but the marker is not written yet.
    pub const DECIDED: u8 = 1;
    pub const COMMITTED: u8 = 2;
    pub const ABORTED: u8 = 3;
}

/// What a worker is doing.
pub mod run {
    pub const GOING: u8 = 1;
    pub const LIVE: u8 = 2;
    /// Superseded: idle for ever.
    pub const GONE: u8 = 3;
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Entry {
    pub record: u16,
    pub id: u8,
    pub state: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Log {
    pub len: u8,
    pub entries: [Entry; ENTRIES],
}

impl Log {
    pub fn entries(&self) -> &[Entry] {
        &self.entries[..usize::from(self.len)]
    }

    pub fn push(&mut self, entry: Entry) {
        self.entries[usize::from(self.len)] = entry;
        self.len += 1;
    }

    /// The last stable offset.
    pub fn stable(&self) -> u8 {
        let open = self.entries().iter().position(|entry| entry.state < txn::COMMITTED);
        open.map_or(self.len, |at| at as u8)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub struct Proc {
    pub run: u8,
    /// The epoch of the first own init of this life, 0 before: no two lives of one id share it.
    pub life: u8,
    /// The life before, when it was fenced or lost a transaction; else 0.
    pub lost: u8,
    pub machine: u16,
    /// Of the own producer; 0 before the own init.
    pub epoch: u8,
    /// How far the journals were read when the last decision was made.
    pub read: [u8; 2],
    /// Within a step: claims written, ids fenced, records of the open transaction.
    pub sub: u8,
    /// Live units, as bits.
    pub units: u8,
    /// Of each unit in memory: the last commit and the position.
    pub seq: [u8; 2],
    pub pos: [u8; 2],
    /// Memory as it will be when the open transaction commits.
    pub next_seq: [u8; 2],
    pub next_pos: [u8; 2],
    /// Units that are released with the open transaction.
    pub releasing: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct World {
    pub logs: [Log; LOGS],
    pub epochs: [u8; WORKERS],
    pub procs: [Proc; WORKERS],
    pub commits: u8,
    pub crashes: u8,
    pub aborts: u8,
    pub delays: u8,
    pub lost_claims: u8,
    pub expiries: u8,
    /// An EndTxn that is still on its way: id + 1 and epoch.
    pub delayed: (u8, u8),
    /// The drain asked for last, and the one resumed last.
    pub drain: u8,
    pub resumed: u8,
    pub drains: u8,
}

impl World {
    pub fn empty() -> Self {
        let log = Log { len: 0, entries: [Entry::default(); ENTRIES] };
        Self {
            logs: [log; LOGS],
            epochs: [0; WORKERS],
            procs: [Proc::default(); WORKERS],
            commits: 0,
            crashes: 0,
            aborts: 0,
            delays: 0,
            lost_claims: 0,
            expiries: 0,
            delayed: (0, 0),
            drain: 0,
            resumed: 0,
            drains: 0,
        }
    }

    fn each_of(&mut self, id: u8, mut change: impl FnMut(&mut Entry)) {
        for log in &mut self.logs {
            let len = usize::from(log.len);
            log.entries[..len].iter_mut().filter(|entry| entry.id == id).for_each(&mut change);
        }
    }

    /// `init_transactions`: ends what the id has open and raises its epoch.
    pub fn init(&mut self, id: u8) -> u8 {
        self.finish(id);
        self.abort(id);
        self.epochs[usize::from(id)] += 1;
        self.epochs[usize::from(id)]
    }

    /// Writes the markers that are still missing of a decided commit.
    pub fn finish(&mut self, id: u8) {
        self.each_of(id, |entry| {
            if entry.state == txn::DECIDED {
                entry.state = txn::COMMITTED;
            }
        });
    }

    pub fn abort(&mut self, id: u8) {
        self.each_of(id, |entry| {
            if entry.state == txn::OPEN {
                entry.state = txn::ABORTED;
            }
        });
    }

    /// EndTxn(commit); markers may follow later when more than one log is touched.
    pub fn commit(&mut self, id: u8) {
        let touched = self
            .logs
            .iter()
            .filter(|log| log.entries().iter().any(|entry| entry.id == id && entry.state == txn::OPEN))
            .count();
        let state = if touched > 1 { txn::DECIDED } else { txn::COMMITTED };
        self.each_of(id, |entry| {
            if entry.state == txn::OPEN {
                entry.state = state;
            }
        });
    }

    pub fn has_open(&self, id: u8) -> bool {
        self.logs.iter().flat_map(Log::entries).any(|entry| entry.id == id && entry.state == txn::OPEN)
    }

    pub fn append(&mut self, log: usize, id: u8, record: u16) {
        self.logs[log].push(Entry { record, id, state: txn::OPEN });
    }

    /// All of it, in as few bytes as needed: the identity of a state and its form on the frontier.
    pub fn encode(&self, out: &mut Vec<u8>) {
        for log in &self.logs {
            out.push(log.len);
            for entry in log.entries() {
                out.extend([entry.record as u8, (entry.record >> 8) as u8, entry.id << 2 | entry.state]);
            }
        }
        out.extend(self.epochs);
        out.extend([
            self.drain | self.resumed << 2 | self.drains << 4,
            self.commits | self.crashes << 4,
            self.aborts | self.delays << 2 | self.lost_claims << 4 | self.expiries << 6,
            self.delayed.0 << 5 | self.delayed.1,
        ]);
        for proc in &self.procs {
            out.push(proc.run | proc.life << 2);
            match proc.run {
                run::GOING => out.extend([
                    proc.lost,
                    proc.machine as u8,
                    (proc.machine >> 8) as u8,
                    proc.epoch,
                    proc.read[0],
                    proc.read[1],
                    proc.sub,
                ]),
                run::LIVE => {
                    out.extend([proc.epoch, proc.sub, proc.units << 4 | proc.releasing]);
                    for unit in 0..2 {
                        out.push(proc.seq[unit] << 4 | proc.next_seq[unit]);
                        out.extend([proc.pos[unit], proc.next_pos[unit]]);
                    }
                }
                _ => {}
            }
        }
    }

    /// The inverse of [`World::encode`].
    pub fn decode(bytes: &[u8]) -> Self {
        let mut bytes = bytes.iter().copied();
        let mut next = || bytes.next().unwrap_or_default();
        let mut world = Self::empty();
        for log in &mut world.logs {
            for _ in 0..next() {
                let record = u16::from(next()) | u16::from(next()) << 8;
                let tail = next();
                log.push(Entry { record, id: tail >> 2, state: tail & 3 });
            }
        }
        world.epochs.iter_mut().for_each(|epoch| *epoch = next());
        let [flags, budget, faults, delayed] = [next(), next(), next(), next()];
        (world.drain, world.resumed, world.drains) = (flags & 3, flags >> 2 & 3, flags >> 4);
        (world.commits, world.crashes) = (budget & 15, budget >> 4);
        (world.aborts, world.delays) = (faults & 3, faults >> 2 & 3);
        (world.lost_claims, world.expiries) = (faults >> 4 & 3, faults >> 6);
        world.delayed = (delayed >> 5, delayed & 31);
        for proc in &mut world.procs {
            let head = next();
            (proc.run, proc.life) = (head & 3, head >> 2);
            match proc.run {
                run::GOING => {
                    proc.lost = next();
                    proc.machine = u16::from(next()) | u16::from(next()) << 8;
                    proc.epoch = next();
                    proc.read = [next(), next()];
                    proc.sub = next();
                }
                run::LIVE => {
                    proc.epoch = next();
                    proc.sub = next();
                    let units = next();
                    (proc.units, proc.releasing) = (units >> 4, units & 15);
                    for unit in 0..2 {
                        let seqs = next();
                        (proc.seq[unit], proc.next_seq[unit]) = (seqs >> 4, seqs & 15);
                        (proc.pos[unit], proc.next_pos[unit]) = (next(), next());
                    }
                }
                _ => {}
            }
        }
        world
    }
}
