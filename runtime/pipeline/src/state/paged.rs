//! A table of groups like [`Groups`](super::groups::Groups), whose keys and accumulators lie in pages: what a snapshot
//! takes costs the number of pages, not of groups.
//!
//! A group is where its number says, page `number / PAGE_GROUPS`, and numbers are given in the order of insertion. So the
//! cut into pages follows from the groups alone. The hash table is no part of a snapshot: it follows from the keys.

use super::bytes::{Malformed, Reader, put_varint};
use super::groups::{key_hash, put_keys, read_keys};
use super::page::{Content, Page, PageIds, Slot};
use crate::aggregate::Accumulators;
use crate::plan::Aggregate;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use std::sync::Arc;

/// Groups of a page. Small enough that one group that changes makes little be written anew, large enough that the pages
/// of a million groups are shared in a fraction of a millisecond.
pub(crate) const PAGE_GROUPS: usize = 1 << PAGE_BITS;
/// In the tests of this crate little state has many pages.
const PAGE_BITS: u32 = if cfg!(test) { 3 } else { 10 };

/// Groups by key.
#[derive(Debug)]
pub(crate) struct PagedGroups {
    table: HashTable<u32>,
    hashes: Vec<u64>,
    pages: Vec<Slot<GroupPage>>,
    /// What a page begins with.
    empty: Accumulators,
    /// Groups that have their accumulators.
    settled: usize,
}

/// Keys and accumulators of up to [`PAGE_GROUPS`] groups.
#[derive(Clone, Debug, Default)]
struct GroupPage {
    key_ends: Vec<usize>,
    keys: Vec<u8>,
    accumulators: Accumulators,
}

impl PagedGroups {
    pub(crate) fn new(aggregates: &[Aggregate]) -> Self {
        Self {
            table: HashTable::new(),
            hashes: Vec::new(),
            pages: Vec::new(),
            empty: Accumulators::new(aggregates),
            settled: 0,
        }
    }

    /// Forgets all groups and keeps what can be used again.
    pub(crate) fn clear(&mut self) {
        self.table.clear();
        self.hashes.clear();
        self.pages.truncate(1);
        match self.pages.first_mut() {
            Some(Slot::Own(page)) => page.clear(),
            _ => self.pages.clear(),
        }
        self.settled = 0;
    }

    pub(crate) fn len(&self) -> usize {
        self.hashes.len()
    }

    /// The key of a group.
    #[inline]
    pub(crate) fn key(&self, group: u32) -> &[u8] {
        key_at(&self.pages, group)
    }

    /// The hash of the key of a group.
    pub(crate) fn hash(&self, group: u32) -> u64 {
        self.hashes[group as usize]
    }

    /// The accumulators that a group has a row of, and which row.
    #[inline]
    pub(crate) fn row(&self, group: u32) -> (&Accumulators, usize) {
        let (page, row) = place(group);
        (&self.pages[page].get().accumulators, row)
    }

    /// The same, to be written to.
    #[inline]
    pub(crate) fn row_mut(&mut self, group: u32) -> (&mut Accumulators, usize) {
        let (page, row) = place(group);
        (&mut self.pages[page].get_mut().accumulators, row)
    }

    /// True for a `Sum`.
    pub(crate) fn is_sum(&self, at: usize) -> bool {
        self.empty.is_sum(at)
    }

    /// The group of a key, made when new. The accumulators have to [`PagedGroups::settle`] before they are used.
    #[inline]
    pub(crate) fn find_or_insert(&mut self, hash: u64, key: &[u8]) -> u32 {
        let (pages, hashes) = (&self.pages, &self.hashes);
        let same = |group: &u32| hashes[*group as usize] == hash && key_at(pages, *group) == key;
        match self.table.entry(hash, same, |group| hashes[*group as usize]) {
            Entry::Occupied(entry) => *entry.get(),
            Entry::Vacant(entry) => {
                let group = hashes.len() as u32;
                entry.insert(group);
                self.append(hash, key);
                group
            }
        }
    }

    /// The group of a key, if there is one.
    pub(crate) fn find(&self, hash: u64, key: &[u8]) -> Option<u32> {
        let same = |group: &u32| self.hashes[*group as usize] == hash && self.key(*group) == key;
        self.table.find(hash, same).copied()
    }

    #[inline]
    fn append(&mut self, hash: u64, key: &[u8]) {
        let (page, row) = place(self.hashes.len() as u32);
        if row == 0 && page == self.pages.len() {
            self.pages
                .push(Slot::new(GroupPage { accumulators: self.empty.clone(), ..GroupPage::default() }));
        }
        let page = self.pages[page].get_mut();
        page.keys.extend_from_slice(key);
        page.key_ends.push(page.keys.len());
        self.hashes.push(hash);
    }

    /// Gives every group its accumulators.
    pub(crate) fn settle(&mut self) {
        if self.settled == self.len() {
            return;
        }
        let (first, _) = place(self.settled as u32);
        for page in &mut self.pages[first..] {
            let page = page.get_mut();
            page.accumulators.grow(page.key_ends.len());
        }
        self.settled = self.len();
    }

    /// Appends some groups: their number, keys, then the accumulators aggregate by aggregate.
    pub(crate) fn encode(&self, groups: &[u32], out: &mut Vec<u8>) {
        put_keys(groups.iter().map(|group| self.key(*group)), out);
        for at in 0..self.empty.len() {
            for group in groups {
                let (accumulators, row) = self.row(*group);
                accumulators.encode(at, &[row as u32], out);
            }
        }
    }

    /// Merges groups that were encoded, here or on the source side of a window; `valid` says whether bytes are a key.
    /// `ids` is scratch.
    pub(crate) fn merge(
        &mut self,
        reader: &mut Reader<'_>,
        ids: &mut Vec<u32>,
        valid: impl Fn(&[u8]) -> bool,
    ) -> Result<(), Malformed> {
        read_keys(reader, ids, valid, |key| self.find_or_insert(key_hash(key), key))?;
        self.settle();
        for at in 0..self.empty.len() {
            for group in ids.iter() {
                let (accumulators, row) = self.row_mut(*group);
                accumulators.merge_one(at, row, reader)?;
            }
        }
        Ok(())
    }

    /// The pages as they are now.
    pub(crate) fn seal(&mut self, ids: &mut PageIds, out: &mut Vec<Arc<dyn Page>>) {
        // A page that was cleared to be used again holds nothing.
        let used = self.len().div_ceil(PAGE_GROUPS);
        out.extend(self.pages.iter_mut().take(used).map(|page| page.seal(ids)));
    }

    /// Takes in the pages of a snapshot of `groups` groups, which this has none of yet.
    pub(crate) fn restore<'a>(
        &mut self,
        groups: usize,
        pages: &mut impl Iterator<Item = &'a [u8]>,
        valid: impl Fn(&[u8]) -> bool,
    ) -> Result<(), Malformed> {
        let mut ids = Vec::new();
        for first in (0..groups).step_by(PAGE_GROUPS) {
            let mut reader = Reader::new(pages.next().ok_or(Malformed { what: "page of groups" })?);
            self.merge(&mut reader, &mut ids, &valid)?;
            reader.end("end of a page of groups")?;
            // One key twice, or another number of groups than a page has.
            if self.len() != groups.min(first + PAGE_GROUPS) || ids.len() != self.len() - first {
                return Err(Malformed { what: "groups of a page" });
            }
        }
        Ok(())
    }

    /// Makes all pages its own: they are numbered anew.
    pub(crate) fn own(&mut self) {
        for page in &mut self.pages {
            page.get_mut();
        }
    }

    /// Heap bytes, roughly.
    pub(crate) fn heap_bytes(&self) -> usize {
        let pages = self.pages.iter().map(|page| page.get().heap_bytes());
        self.table.capacity() * 5 + self.hashes.capacity() * 8 + pages.sum::<usize>()
    }
}

impl GroupPage {
    fn clear(&mut self) {
        self.key_ends.clear();
        self.keys.clear();
        self.accumulators.clear();
    }

    fn heap_bytes(&self) -> usize {
        self.key_ends.capacity() * 8 + self.keys.capacity() + self.accumulators.heap_bytes()
    }

    #[inline]
    fn key(&self, row: usize) -> &[u8] {
        let start = if row == 0 { 0 } else { self.key_ends[row - 1] };
        &self.keys[start..self.key_ends[row]]
    }
}

impl Content for GroupPage {
    fn encode(&self, out: &mut Vec<u8>) {
        let rows: Vec<u32> = (0..self.key_ends.len() as u32).collect();
        // What `put_keys` writes, the bytes in one piece.
        put_varint(out, rows.len() as u64);
        let mut start = 0;
        for end in &self.key_ends {
            put_varint(out, (end - start) as u64);
            start = *end;
        }
        out.extend_from_slice(&self.keys);
        (0..self.accumulators.len()).for_each(|at| self.accumulators.encode(at, &rows, out));
    }
}

/// The page of a group, and the row in it.
#[inline]
fn place(group: u32) -> (usize, usize) {
    let group = group as usize;
    (group >> PAGE_BITS, group & (PAGE_GROUPS - 1))
}

#[inline]
fn key_at(pages: &[Slot<GroupPage>], group: u32) -> &[u8] {
    let (page, row) = place(group);
    pages[page].get().key(row)
}
