//! A table of groups: keys in one arena, ids in the order of insertion, accumulators as dense columns. It holds what leaves
//! with the next flush; what stays lies in pages.

use crate::aggregate::Accumulators;
use crate::plan::Aggregate;
use crate::state::bytes::{Malformed, Reader, put_varint};
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use xxhash_rust::xxh3::xxh3_64;

/// The hash of an encoded key. It decides which unit owns the key, so it never changes.
#[inline]
pub(crate) fn key_hash(key: &[u8]) -> u64 {
    xxh3_64(key)
}

/// The unit that owns a key, of `units`.
#[inline]
pub(crate) fn owner(hash: u64, units: u32) -> u32 {
    // The high half by multiplication: the low half stays evenly spread over the table of the owner.
    (((hash >> 32) * u64::from(units)) >> 32) as u32
}

/// Groups by key.
#[derive(Clone, Debug)]
pub(crate) struct Groups {
    table: HashTable<u32>,
    hashes: Vec<u64>,
    key_ends: Vec<usize>,
    keys: Vec<u8>,
    pub(crate) accumulators: Accumulators,
}

impl Groups {
    pub(crate) fn new(aggregates: &[Aggregate]) -> Self {
        Self {
            table: HashTable::new(),
            hashes: Vec::new(),
            key_ends: Vec::new(),
            keys: Vec::new(),
            accumulators: Accumulators::new(aggregates),
        }
    }

    /// Forgets all groups and keeps the allocations.
    pub(crate) fn clear(&mut self) {
        self.table.clear();
        self.hashes.clear();
        self.key_ends.clear();
        self.keys.clear();
        self.accumulators.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.hashes.len()
    }

    /// The key of a group.
    #[inline]
    pub(crate) fn key(&self, group: u32) -> &[u8] {
        key_at(&self.keys, &self.key_ends, group)
    }

    /// The hash of the key of a group.
    #[inline]
    pub(crate) fn hash(&self, group: u32) -> u64 {
        self.hashes[group as usize]
    }

    /// Bytes of all keys.
    pub(crate) fn key_bytes(&self) -> usize {
        self.keys.len()
    }

    /// The group of a key, made when new. The accumulators have to [`Groups::settle`] before they are used.
    #[inline]
    pub(crate) fn find_or_insert(&mut self, hash: u64, key: &[u8]) -> u32 {
        let (keys, key_ends, hashes) = (&self.keys, &self.key_ends, &self.hashes);
        let same = |group: &u32| hashes[*group as usize] == hash && key_at(keys, key_ends, *group) == key;
        match self.table.entry(hash, same, |group| hashes[*group as usize]) {
            Entry::Occupied(entry) => *entry.get(),
            Entry::Vacant(entry) => {
                let group = hashes.len() as u32;
                entry.insert(group);
                self.append(hash, key)
            }
        }
    }

    /// A group of its own for one row, which [`Groups::find_or_insert`] will not find.
    #[inline]
    pub(crate) fn append(&mut self, hash: u64, key: &[u8]) -> u32 {
        let group = self.hashes.len() as u32;
        self.hashes.push(hash);
        self.keys.extend_from_slice(key);
        self.key_ends.push(self.keys.len());
        group
    }

    /// Gives every group its accumulators.
    pub(crate) fn settle(&mut self) {
        self.accumulators.grow(self.hashes.len());
    }

    /// Appends some groups: their number, keys, then the accumulators aggregate by aggregate.
    pub(crate) fn encode(&self, groups: &[u32], out: &mut Vec<u8>) {
        put_keys(groups.iter().map(|group| self.key(*group)), out);
        (0..self.accumulators.len()).for_each(|at| self.accumulators.encode(at, groups, out));
    }

    /// Merges what [`Groups::encode`] wrote; `valid` says whether bytes are a key. `ids` is scratch.
    pub(crate) fn merge(
        &mut self,
        reader: &mut Reader<'_>,
        ids: &mut Vec<u32>,
        valid: impl Fn(&[u8]) -> bool,
    ) -> Result<(), Malformed> {
        read_keys(reader, ids, valid, |key| self.find_or_insert(key_hash(key), key))?;
        self.settle();
        (0..self.accumulators.len()).try_for_each(|at| self.accumulators.merge(at, ids, reader))
    }

    /// Heap bytes, roughly.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.table.capacity() * 5
            + self.hashes.capacity() * 8
            + self.key_ends.capacity() * 8
            + self.keys.capacity()
            + self.accumulators.heap_bytes()
    }
}

/// Writes the keys of some groups: their number, lengths, then bytes.
pub(super) fn put_keys<'a>(keys: impl ExactSizeIterator<Item = &'a [u8]> + Clone, out: &mut Vec<u8>) {
    put_varint(out, keys.len() as u64);
    keys.clone().for_each(|key| put_varint(out, key.len() as u64));
    keys.for_each(|key| out.extend_from_slice(key));
}

/// Reads what [`put_keys`] wrote: `ids` become the groups that `group_of` gives for the keys.
pub(super) fn read_keys(
    reader: &mut Reader<'_>,
    ids: &mut Vec<u32>,
    valid: impl Fn(&[u8]) -> bool,
    mut group_of: impl FnMut(&[u8]) -> u32,
) -> Result<(), Malformed> {
    let count = reader.count("number of groups")?;
    ids.clear();
    for _ in 0..count {
        ids.push(reader.varint32("length of a key")?);
    }
    for id in ids.iter_mut() {
        let key = reader.take(*id as usize, "key")?;
        if !valid(key) {
            return Err(Malformed { what: "key" });
        }
        *id = group_of(key);
    }
    Ok(())
}

#[inline]
fn key_at<'a>(keys: &'a [u8], key_ends: &[usize], group: u32) -> &'a [u8] {
    let at = group as usize;
    let start = if at == 0 { 0 } else { key_ends[at - 1] };
    &keys[start..key_ends[at]]
}
