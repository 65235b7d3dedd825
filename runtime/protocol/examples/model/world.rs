//! The state of the model: logs with open transactions, transactional ids, workers.
//!
//! What is kept of Kafka: a record becomes readable when its transaction has ended and none before it is open (the last
//! stable offset); `init_transactions` aborts what the id had open and fences its other producers; a fenced call fails.
//! A commit over two partitions is decided at once and becomes readable in each of them at its own time.
//!
//! What is not kept makes states equal that nobody can tell apart: of a journal's closed prefix only what readers made of
//! it; no record of an aborted transaction; no epoch, only whether a producer still has the newest one of its id.

/// Workers at most.
pub const WORKERS: usize = 4;
/// Journals at most.
pub const JOURNALS: usize = 2;
/// Records of a journal behind its last stable offset, at most.
pub const TAIL: usize = 16;
/// Records of the data log at most.
pub const DATA: usize = 28;

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
    /// Superseded, or without a life left: idle for ever.
    pub const GONE: u8 = 3;
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Entry {
    pub record: u16,
    pub id: u8,
    pub state: u8,
}

impl Entry {
    pub fn is_committed(self) -> bool {
        self.state == txn::COMMITTED || self.state == txn::DECIDED
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Log<const N: usize> {
    len: u8,
    entries: [Entry; N],
}

impl<const N: usize> Log<N> {
    const EMPTY: Self = Self { len: 0, entries: [Entry { record: 0, id: 0, state: 0 }; N] };

    pub fn len(&self) -> u8 {
        self.len
    }

    pub fn entries(&self) -> &[Entry] {
        &self.entries[..usize::from(self.len)]
    }

    pub fn entries_mut(&mut self) -> &mut [Entry] {
        &mut self.entries[..usize::from(self.len)]
    }

    fn push(&mut self, entry: Entry) {
        self.entries[usize::from(self.len)] = entry;
        self.len += 1;
    }

    pub fn remove(&mut self, at: usize) {
        self.entries.copy_within(at + 1..usize::from(self.len), at);
        self.len -= 1;
        self.entries[usize::from(self.len)] = Entry::default();
    }

    /// The last stable offset.
    pub fn stable(&self) -> u8 {
        let open = self.entries().iter().position(|entry| entry.state < txn::COMMITTED);
        open.map_or(self.len, |at| at as u8)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.len);
        for entry in self.entries() {
            out.extend([entry.record as u8, (entry.record >> 8) as u8, entry.id << 2 | entry.state]);
        }
    }

    fn decode(next: &mut impl FnMut() -> u8) -> Self {
        let mut log = Self::EMPTY;
        for _ in 0..next() {
            let record = u16::from(next()) | u16::from(next()) << 8;
            let tail = next();
            log.push(Entry { record, id: tail >> 2, state: tail & 3 });
        }
        log
    }
}

/// A journal: its closed prefix as a fold, and the records behind it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Journal {
    /// What a reader of the prefix knows, by number.
    pub fold: u16,
    /// The last commit of the prefix, and the position that it took the unit to.
    pub seq: u8,
    pub end: u8,
    pub tail: Log<TAIL>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub struct Proc {
    pub run: u8,
    /// The number of the first own init of this life among those of the id, 0 before.
    pub life: u8,
    pub machine: u16,
    /// The own producer has not the newest epoch any more.
    pub fenced: bool,
    /// What was known of the journals when the claim was decided, for a decision that is made without reading again.
    pub stale: [u16; JOURNALS],
    /// Of each journal: how many of the records in its tail were there when its end was measured, up to the last one of
    /// them that is not closed yet; 0 when the measured end is stable.
    pub ends: [u8; JOURNALS],
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
    pub journals: [Journal; JOURNALS],
    pub data: Log<DATA>,
    /// Own inits of each id so far.
    pub inits: [u8; WORKERS],
    pub procs: [Proc; WORKERS],
    pub commits: u8,
    pub crashes: u8,
    pub aborts: u8,
    pub delays: u8,
    pub lost_claims: u8,
    pub expiries: u8,
    /// An EndTxn that is still on its way and not fenced yet: id + 1.
    pub delayed: u8,
    /// The drain asked for last, and the one resumed last.
    pub drain: u8,
    pub resumed: u8,
    pub drains: u8,
}

impl World {
    pub fn empty() -> Self {
        Self {
            journals: [Journal { fold: 0, seq: 0, end: 0, tail: Log::EMPTY }; JOURNALS],
            data: Log::EMPTY,
            inits: [0; WORKERS],
            procs: [Proc::default(); WORKERS],
            commits: 0,
            crashes: 0,
            aborts: 0,
            delays: 0,
            lost_claims: 0,
            expiries: 0,
            delayed: 0,
            drain: 0,
            resumed: 0,
            drains: 0,
        }
    }

    fn each_of(&mut self, id: u8, state: u8, to: u8) {
        let journals = self.journals.iter_mut().flat_map(|journal| journal.tail.entries_mut());
        journals
            .chain(self.data.entries_mut())
            .filter(|entry| entry.id == id && entry.state == state)
            .for_each(|entry| entry.state = to);
    }

    /// The memory of a worker is gone.
    pub fn new_life(&mut self, worker: u8) {
        self.procs[usize::from(worker)] = Proc { run: run::GOING, ..Proc::default() };
    }

    /// Writes the markers that are still missing of a decided commit.
    pub fn finish(&mut self, id: u8) {
        self.each_of(id, txn::DECIDED, txn::COMMITTED);
    }

    pub fn abort(&mut self, id: u8) {
        self.each_of(id, txn::OPEN, txn::ABORTED);
    }

    /// EndTxn(commit); markers may follow later when more than one log is touched.
    pub fn commit(&mut self, id: u8) {
        let is_open = |entry: &Entry| entry.id == id && entry.state == txn::OPEN;
        let journals =
            self.journals.iter().filter(|journal| journal.tail.entries().iter().any(is_open)).count();
        let touched = journals + usize::from(self.data.entries().iter().any(is_open));
        self.each_of(id, txn::OPEN, if touched > 1 { txn::DECIDED } else { txn::COMMITTED });
    }

    pub fn has_open(&self, id: u8) -> bool {
        let journals = self.journals.iter().flat_map(|journal| journal.tail.entries());
        journals.chain(self.data.entries()).any(|entry| entry.id == id && entry.state == txn::OPEN)
    }

    pub fn append(&mut self, journal: usize, id: u8, record: u16) {
        self.journals[journal].tail.push(Entry { record, id, state: txn::OPEN });
    }

    pub fn append_data(&mut self, id: u8, record: u16) {
        self.data.push(Entry { record, id, state: txn::OPEN });
    }

    /// All of it, in as few bytes as needed: the identity of a state and its form on the frontier.
    pub fn encode(&self, out: &mut Vec<u8>) {
        for journal in &self.journals {
            out.extend([journal.fold as u8, (journal.fold >> 8) as u8, journal.seq, journal.end]);
            journal.tail.encode(out);
        }
        self.data.encode(out);
        out.extend([
            self.inits[0] | self.inits[1] << 4,
            self.inits[2] | self.inits[3] << 4,
            self.drain | self.resumed << 2 | self.drains << 4,
            self.commits | self.crashes << 4,
            self.aborts | self.delays << 2 | self.lost_claims << 4 | self.expiries << 6,
            self.delayed,
        ]);
        for proc in &self.procs {
            out.push(proc.run | u8::from(proc.fenced) << 2 | proc.life << 3);
            match proc.run {
                run::GOING => {
                    out.extend([proc.sub, proc.ends[0] << 4 | proc.ends[1]]);
                    for number in [proc.machine, proc.stale[0], proc.stale[1]] {
                        out.extend(number.to_le_bytes());
                    }
                }
                run::LIVE => {
                    out.push(proc.sub << 4 | proc.units << 2 | proc.releasing);
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
        for journal in &mut world.journals {
            journal.fold = u16::from_le_bytes([next(), next()]);
            (journal.seq, journal.end) = (next(), next());
            journal.tail = Log::decode(&mut next);
        }
        world.data = Log::decode(&mut next);
        let [first, second, flags, budget, faults] = [next(), next(), next(), next(), next()];
        world.inits = [first & 15, first >> 4, second & 15, second >> 4];
        (world.drain, world.resumed, world.drains) = (flags & 3, flags >> 2 & 3, flags >> 4);
        (world.commits, world.crashes) = (budget & 15, budget >> 4);
        (world.aborts, world.delays) = (faults & 3, faults >> 2 & 3);
        (world.lost_claims, world.expiries) = (faults >> 4 & 3, faults >> 6);
        world.delayed = next();
        for proc in &mut world.procs {
            let head = next();
            (proc.run, proc.fenced, proc.life) = (head & 3, head >> 2 & 1 == 1, head >> 3);
            match proc.run {
                run::GOING => {
                    let ends;
                    (proc.sub, ends) = (next(), next());
                    proc.ends = [ends >> 4, ends & 15];
                    proc.machine = u16::from_le_bytes([next(), next()]);
                    proc.stale = std::array::from_fn(|_| u16::from_le_bytes([next(), next()]));
                }
                run::LIVE => {
                    let small = next();
                    (proc.sub, proc.units, proc.releasing) = (small >> 4, small >> 2 & 3, small & 3);
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
