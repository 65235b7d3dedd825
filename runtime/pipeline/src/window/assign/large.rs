//! The groups of open slices in which a very large term of a `Sum` was seen, by channel: from then on their records
//! travel whole, so that the merging side can decide in the order of the log which one overflows the sum.
//!
//! Where all terms are large (a sum of times in nanoseconds) these are all keys. So they lie in pages, by bits of their hash.

use crate::state::bytes::{Malformed, Reader, put_slice, put_varint, put_zigzag};
use crate::state::groups::key_hash;
use crate::state::page::{Content, Page, PageIds, Slot};
use crate::unit::Channel;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Pages of one slice and channel, as many as a word has bits.
const PAGES: usize = 64;

#[derive(Debug, Default)]
pub(super) struct LargeGroups {
    keys: BTreeMap<(i64, Channel), Keys>,
}

/// The keys of one slice and channel.
#[derive(Debug)]
struct Keys {
    pages: [Slot<KeyPage>; PAGES],
}

#[derive(Clone, Debug, Default)]
struct KeyPage(BTreeSet<Vec<u8>>);

impl LargeGroups {
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(super) fn insert(&mut self, start_ms: i64, channel: Channel, key: &[u8]) {
        self.keys.entry((start_ms, channel)).or_default().insert(key);
    }

    pub(super) fn contains(&self, start_ms: i64, channel: Channel, key: &[u8]) -> bool {
        self.keys.get(&(start_ms, channel)).is_some_and(|keys| keys.contains(key))
    }

    /// Takes over the groups of another unit, of the channels that `channel` gives a channel for.
    pub(super) fn inherit(&mut self, old: &Self, channel: impl Fn(Channel) -> Option<Channel>) {
        for ((start_ms, of), keys) in &old.keys {
            let Some(now) = channel(*of) else { continue };
            let own = self.keys.entry((*start_ms, now)).or_default();
            keys.iter().for_each(|key| own.insert(key));
        }
    }

    /// Keeps the slices for which `keep` says so.
    pub(super) fn retain(&mut self, keep: impl Fn(i64, Channel) -> bool) {
        self.keys.retain(|(start_ms, channel), _| keep(*start_ms, *channel));
    }

    /// Appends which slices there are and which pages they have, and gives the pages.
    pub(super) fn snapshot(&mut self, ids: &mut PageIds, head: &mut Vec<u8>, pages: &mut Vec<Arc<dyn Page>>) {
        put_varint(head, self.keys.len() as u64);
        for ((start_ms, channel), keys) in &mut self.keys {
            put_zigzag(head, *start_ms);
            put_varint(head, u64::from(channel.input));
            put_varint(head, u64::from(channel.partition));
            put_varint(head, keys.used());
            let used = keys.pages.iter_mut().filter(|page| !page.get().0.is_empty());
            pages.extend(used.map(|page| page.seal(ids)));
        }
    }

    /// Reads what [`LargeGroups::snapshot`] gave.
    pub(super) fn restore<'a>(
        reader: &mut Reader<'_>,
        pages: &mut impl Iterator<Item = &'a [u8]>,
    ) -> Result<Self, Malformed> {
        let mut groups = Self::default();
        for _ in 0..reader.count("number of large slices")? {
            let at = read_slice(reader)?;
            let used = reader.varint("pages of a large slice")?;
            let keys = groups.keys.entry(at).or_default();
            for number in (0..PAGES).filter(|number| used >> number & 1 == 1) {
                let page = pages.next().ok_or(Malformed { what: "page of large groups" })?;
                let page = KeyPage::decode(page, number)?;
                keys.pages[number] = Slot::new(page);
            }
        }
        Ok(groups)
    }

    /// Reads what a release before there were pages wrote.
    pub(super) fn restore_unpaged(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut groups = Self::default();
        for _ in 0..reader.count("number of large slices")? {
            let (start_ms, channel) = read_slice(reader)?;
            for _ in 0..reader.count("number of large groups")? {
                groups.insert(start_ms, channel, reader.slice("key of a large group")?);
            }
        }
        Ok(groups)
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.keys.values().flat_map(Keys::iter).map(|key| key.len() + 48).sum()
    }
}

fn read_slice(reader: &mut Reader<'_>) -> Result<(i64, Channel), Malformed> {
    let start_ms = reader.zigzag("large slice")?;
    let malformed = Malformed { what: "input of a large group" };
    let input = u16::try_from(reader.varint("input of a large group")?).map_err(|_| malformed)?;
    Ok((start_ms, Channel { input, partition: reader.varint32("partition of a large group")? }))
}

/// The page of a key.
fn page_of(key: &[u8]) -> usize {
    (key_hash(key) % PAGES as u64) as usize
}

impl Default for Keys {
    fn default() -> Self {
        Self { pages: std::array::from_fn(|_| Slot::new(KeyPage::default())) }
    }
}

impl Keys {
    fn contains(&self, key: &[u8]) -> bool {
        self.pages[page_of(key)].get().0.contains(key)
    }

    fn insert(&mut self, key: &[u8]) {
        let page = &mut self.pages[page_of(key)];
        if !page.get().0.contains(key) {
            page.get_mut().0.insert(key.to_vec());
        }
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.pages.iter().flat_map(|page| &page.get().0).map(Vec::as_slice)
    }

    /// A bit for each page that holds something.
    fn used(&self) -> u64 {
        let used = self.pages.iter().enumerate().filter(|(_, page)| !page.get().0.is_empty());
        used.fold(0, |bits, (number, _)| bits | 1 << number)
    }
}

impl KeyPage {
    /// Reads page `number`: at least one key, in order, each of this page.
    fn decode(bytes: &[u8], number: usize) -> Result<Self, Malformed> {
        let malformed = Malformed { what: "key of a large group" };
        let mut reader = Reader::new(bytes);
        let count = reader.count("number of large groups")?;
        let mut keys = BTreeSet::new();
        for _ in 0..count {
            let key = reader.slice("key of a large group")?;
            if page_of(key) != number || !keys.insert(key.to_vec()) {
                return Err(malformed);
            }
        }
        reader.end("end of a page of large groups")?;
        if keys.is_empty() { Err(malformed) } else { Ok(Self(keys)) }
    }
}

impl Content for KeyPage {
    fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.0.len() as u64);
        self.0.iter().for_each(|key| put_slice(out, key));
    }
}
