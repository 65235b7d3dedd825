//! Breadth-first search over all states: 128-bit fingerprints of visited states, encoded states on the frontier only.
//!
//! The output says how probable it is at most that two different states shared a fingerprint. A state that
//! breaks an invariant is shown with the shortest way to it.

use crate::label::Label;
use crate::step::Model;
use crate::world::World;
use xxhash_rust::xxh3::xxh3_128;

const CHUNK: usize = 1 << 16;

/// Fingerprints in the order of discovery, each with the state that it was reached from.
struct Visited {
    prints: Vec<Box<[u128]>>,
    parents: Vec<Box<[u32]>>,
    len: usize,
    slots: Vec<u32>,
}

impl Visited {
    fn new() -> Self {
        Self { prints: Vec::new(), parents: Vec::new(), len: 0, slots: vec![u32::MAX; 1 << 16] }
    }

    fn print(&self, at: u32) -> u128 {
        self.prints[at as usize / CHUNK][at as usize % CHUNK]
    }

    fn parent(&self, at: u32) -> u32 {
        self.parents[at as usize / CHUNK][at as usize % CHUNK]
    }

    fn slot_of(&self, print: u128) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = print as usize & mask;
        while self.slots[slot] != u32::MAX && self.print(self.slots[slot]) != print {
            slot = (slot + 1) & mask;
        }
        slot
    }

    /// The number of a new state; none when it is known.
    fn insert(&mut self, print: u128, parent: u32) -> Option<u32> {
        let mut slot = self.slot_of(print);
        if self.slots[slot] != u32::MAX {
            return None;
        }
        if self.len * 10 >= self.slots.len() * 7 {
            self.grow();
            slot = self.slot_of(print);
        }
        if self.len.is_multiple_of(CHUNK) {
            self.prints.push(vec![0; CHUNK].into_boxed_slice());
            self.parents.push(vec![0; CHUNK].into_boxed_slice());
        }
        let number = self.len as u32;
        self.prints[self.len / CHUNK][self.len % CHUNK] = print;
        self.parents[self.len / CHUNK][self.len % CHUNK] = parent;
        self.slots[slot] = number;
        self.len += 1;
        Some(number)
    }

    fn grow(&mut self) {
        self.slots = vec![u32::MAX; self.slots.len() * 2];
        for number in 0..self.len as u32 {
            let slot = self.slot_of(self.print(number));
            self.slots[slot] = number;
        }
    }
}

/// How a search ended.
pub struct Report {
    pub states: usize,
    pub transitions: u64,
    pub depth: u32,
    /// Grants that were handed out over all states, by generation: a search in which nobody goes live proves nothing.
    pub grants: [u64; 2],
    pub violation: Option<Violation>,
    /// False when the search stopped at its limit of states.
    pub exhaustive: bool,
}

/// A broken invariant and how it came about.
pub struct Violation {
    pub what: String,
    pub trace: Vec<Label>,
}

/// States of one depth, encoded back to back, each with its number.
#[derive(Default)]
struct Frontier {
    bytes: Vec<u8>,
    ends: Vec<(usize, u32)>,
}

/// Searches all states that can be reached from the model's first one.
pub fn search(model: &mut Model, states_max: usize) -> Report {
    let mut visited = Visited::new();
    let mut report =
        Report { states: 0, transitions: 0, depth: 0, grants: [0; 2], violation: None, exhaustive: true };
    let mut frontier = Frontier::default();
    let mut buffer = Vec::with_capacity(256);
    let first = model.first();
    first.encode(&mut buffer);
    visited.insert(xxh3_128(&buffer), u32::MAX);
    frontier.bytes.extend_from_slice(&buffer);
    frontier.ends.push((buffer.len(), 0));
    let mut successors = Vec::new();
    while !frontier.ends.is_empty() {
        let mut next = Frontier::default();
        let mut start = 0;
        for (end, number) in std::mem::take(&mut frontier.ends) {
            let world = World::decode(&frontier.bytes[start..end]);
            start = end;
            successors.clear();
            model.successors(&world, &mut successors);
            for (label, reached) in successors.drain(..) {
                report.transitions += 1;
                if let Some(generation) = label.granted() {
                    report.grants[generation - 1] += 1;
                }
                buffer.clear();
                reached.encode(&mut buffer);
                let Some(new) = visited.insert(xxh3_128(&buffer), number) else { continue };
                if let Some(what) = model.broken(&reached, label) {
                    report.states = visited.len;
                    report.depth += 1;
                    report.violation = Some(Violation { what, trace: trace(model, &visited, new) });
                    return report;
                }
                next.bytes.extend_from_slice(&buffer);
                next.ends.push((next.bytes.len(), new));
            }
        }
        report.states = visited.len;
        if visited.len > states_max {
            report.exhaustive = false;
            return report;
        }
        report.depth += u32::from(!next.ends.is_empty());
        if std::env::var_os("MODEL_PROGRESS").is_some() {
            eprintln!("depth {}: {} states, {} of them new", report.depth, visited.len, next.ends.len());
        }
        frontier = next;
    }
    report
}

/// Walks from the first state along the fingerprints that lead to state `last`.
fn trace(model: &mut Model, visited: &Visited, last: u32) -> Vec<Label> {
    let mut prints = Vec::new();
    let mut at = last;
    while visited.parent(at) != u32::MAX {
        prints.push(visited.print(at));
        at = visited.parent(at);
    }
    let mut world = model.first();
    let mut labels = Vec::new();
    let mut buffer = Vec::new();
    for print in prints.into_iter().rev() {
        let mut successors = Vec::new();
        model.successors(&world, &mut successors);
        let step = successors.into_iter().find(|(_, reached)| {
            buffer.clear();
            reached.encode(&mut buffer);
            xxh3_128(&buffer) == print
        });
        let Some((label, reached)) = step else { break };
        labels.push(label);
        world = reached;
    }
    labels
}
