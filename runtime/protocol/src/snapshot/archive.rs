//! Which pages of a unit are stored where, and what a snapshot writes anew: pages that changed, and pages that lie too far
//! back. Stores are trimmed from their beginning, so what is kept is everything from the oldest object that a snapshot
//! needs; the limits keep that, and the number of objects that a restore reads, within bounds.
//!
//! ```text
//!  objects   [1: a b c d] [2: b] [3: c e] [4: …]        a snapshot needs 1 for a and d, 2 for b, 3 for c and e
//!  too much from 1 on: the next one holds a and d again, and once its pointer is committed 1 goes
//! ```
//!
//! Only what this life of a unit stored itself is ever referred to. What a snapshot needs is never older than what the one
//! before it needed: a page that both hold lies where it was, or in a newer object.

#[cfg(test)]
mod tests;

use super::contents::{self, Entry};
use super::{SnapshotHeader, SnapshotPointer};
use pipeline::unit::Snapshot;
use std::collections::BTreeMap;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_128;

/// When pages are written again although they did not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A state of at most so many bytes is written whole.
    pub whole_bytes: u64,
    /// What is kept from the oldest object that is needed on, in multiples of the state.
    pub space_times: u64,
    /// Most objects that hold a state.
    pub objects: usize,
}

impl Limits {
    /// Those of a pipeline at work: a restore reads twice the state at most, from 32 objects at most.
    pub const USUAL: Self = Self { whole_bytes: 256 << 10, space_times: 2, objects: 32 };
}

/// What this life of a unit has stored.
#[derive(Debug, Default)]
pub struct Archive {
    /// From the oldest that the newest snapshot needs, by number.
    objects: BTreeMap<u64, Object>,
    /// By the number of the page.
    places: BTreeMap<u64, Place>,
    next: u64,
}

#[derive(Clone, Debug)]
struct Object {
    name: Arc<str>,
    bytes: u64,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    object: u64,
    offset: u64,
    bytes: u64,
    hash: u128,
}

/// A snapshot that is ready to be stored.
#[derive(Debug)]
pub struct Packed {
    /// Its bytes.
    pub sealed: Vec<u8>,
    /// What will point to it; the key is for the store to make its name of.
    pub pointer: SnapshotPointer,
    /// Bytes of the whole state, wherever they are.
    pub state_bytes: u64,
    /// Where the pages are once it is stored: those of other objects, and its own, which have the next number.
    places: BTreeMap<u64, Place>,
    /// The other objects that it needs, oldest first.
    others: Vec<Arc<str>>,
}

impl Archive {
    /// Makes an object of a snapshot. `key` makes the key for the store of the hash of the bytes, as text.
    pub fn pack(
        &self,
        limits: &Limits,
        header: &SnapshotHeader,
        snapshot: &Snapshot,
        key: impl FnOnce(&str) -> String,
    ) -> Packed {
        let mut draft = Draft { archive: self, places: BTreeMap::new(), own: Vec::new() };
        for page in snapshot.pages() {
            match self.places.get(&page.id()) {
                Some(place) => drop(draft.places.insert(page.id(), *place)),
                None => draft.write(&**page),
            }
        }
        let state_bytes = draft.places.values().map(|place| place.bytes).sum::<u64>();
        let again = draft.too_far_back(limits, state_bytes);
        for page in snapshot.pages() {
            if draft.places.get(&page.id()).is_some_and(|place| again.contains(&place.object)) {
                draft.write(&**page);
            }
        }
        draft.seal(header, snapshot, state_bytes + snapshot.head().len() as u64, key)
    }

    /// A packed snapshot is stored under `name`. Gives the oldest object that it needs, itself maybe.
    pub fn stored(&mut self, packed: Packed, name: Arc<str>) -> Arc<str> {
        let object = Object { name: name.clone(), bytes: packed.pointer.bytes };
        self.places = packed.places;
        let oldest = self.places.values().map(|place| place.object).min().unwrap_or(self.next);
        self.objects.insert(self.next, object);
        self.objects = self.objects.split_off(&oldest);
        self.next += 1;
        packed.others.into_iter().next().unwrap_or(name)
    }
}

/// A snapshot that is being packed.
struct Draft<'a> {
    archive: &'a Archive,
    places: BTreeMap<u64, Place>,
    own: Vec<u8>,
}

impl Draft<'_> {
    /// Writes a page to this object.
    fn write(&mut self, page: &dyn pipeline::unit::Page) {
        let offset = self.own.len();
        page.encode(&mut self.own);
        let bytes = &self.own[offset..];
        let (object, hash) = (self.archive.next, xxh3_128(bytes));
        let place = Place { object, offset: offset as u64, bytes: bytes.len() as u64, hash };
        self.places.insert(page.id(), place);
    }

    /// The objects whose pages have to be written again.
    fn too_far_back(&self, limits: &Limits, state_bytes: u64) -> Vec<u64> {
        let mut live: BTreeMap<u64, u64> = BTreeMap::new();
        for place in self.places.values().filter(|place| place.object != self.archive.next) {
            *live.entry(place.object).or_default() += place.bytes;
        }
        let mut written = self.own.len() as u64;
        let mut again = Vec::new();
        while let Some((oldest, bytes)) = live.first_key_value().map(|(object, bytes)| (*object, *bytes)) {
            let kept = self.archive.objects.range(oldest..).map(|(_, object)| object.bytes).sum::<u64>();
            let whole = state_bytes <= limits.whole_bytes;
            if !whole && kept + written <= limits.space_times.saturating_mul(state_bytes) {
                break;
            }
            live.remove(&oldest);
            written += bytes;
            again.push(oldest);
        }
        // Its own object is one of them.
        while live.len() >= limits.objects.max(1) {
            let least = live.iter().min_by_key(|(_, bytes)| **bytes).map(|(object, _)| *object);
            let Some(least) = least else { break };
            live.remove(&least);
            again.push(least);
        }
        again
    }

    fn seal(
        mut self,
        header: &SnapshotHeader,
        snapshot: &Snapshot,
        state_bytes: u64,
        key: impl FnOnce(&str) -> String,
    ) -> Packed {
        let this = self.archive.next;
        let mut numbers: Vec<u64> = self.places.values().map(|place| place.object).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers.retain(|number| *number != this);
        let others: Vec<Arc<str>> =
            numbers.iter().map(|number| self.archive.objects[number].name.clone()).collect();
        let entry = |place: &Place| Entry {
            // Those of this object are behind all others in number and before them in the list.
            object: numbers.binary_search(&place.object).map_or(0, |at| at + 1),
            offset: place.offset,
            bytes: place.bytes,
            hash: place.hash,
        };
        let entries: Vec<Entry> =
            snapshot.pages().iter().filter_map(|page| self.places.get(&page.id())).map(entry).collect();
        let mut sealed = header.seal(&[]);
        contents::put(&mut sealed, snapshot.head(), &others, &entries, &self.own);
        let before = (sealed.len() - self.own.len()) as u64;
        for place in self.places.values_mut().filter(|place| place.object == this) {
            place.offset += before;
        }
        let pointer = SnapshotPointer::of(&sealed, header.seq, key);
        Packed { sealed, pointer, state_bytes, places: self.places, others }
    }
}
