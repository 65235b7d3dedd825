//! The groups of open slices in which a very large term of a `Sum` was seen, by channel: from then on their records
//! travel whole, so that the merging side can decide in the order of the log which one overflows the sum.

use crate::state::bytes::{Malformed, Reader, put_slice, put_varint, put_zigzag};
use crate::unit::Channel;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct LargeGroups {
    keys: BTreeMap<(i64, Channel), BTreeSet<Vec<u8>>>,
}

impl LargeGroups {
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(super) fn insert(&mut self, start_ms: i64, channel: Channel, key: &[u8]) {
        let keys = self.keys.entry((start_ms, channel)).or_default();
        if !keys.contains(key) {
            keys.insert(key.to_vec());
        }
    }

    pub(super) fn contains(&self, start_ms: i64, channel: Channel, key: &[u8]) -> bool {
        self.keys.get(&(start_ms, channel)).is_some_and(|keys| keys.contains(key))
    }

    /// Takes over the groups of another unit, of the channels that `channel` gives a channel for.
    pub(super) fn inherit(&mut self, old: &Self, channel: impl Fn(Channel) -> Option<Channel>) {
        for ((start_ms, of), keys) in &old.keys {
            let Some(now) = channel(*of) else { continue };
            self.keys.entry((*start_ms, now)).or_default().extend(keys.iter().cloned());
        }
    }

    /// Keeps the slices for which `keep` says so.
    pub(super) fn retain(&mut self, keep: impl Fn(i64, Channel) -> bool) {
        self.keys.retain(|(start_ms, channel), _| keep(*start_ms, *channel));
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.keys.len() as u64);
        for ((start_ms, channel), keys) in &self.keys {
            put_zigzag(out, *start_ms);
            put_varint(out, u64::from(channel.input));
            put_varint(out, u64::from(channel.partition));
            put_varint(out, keys.len() as u64);
            for key in keys {
                put_slice(out, key);
            }
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut groups = Self::default();
        for _ in 0..reader.count("number of large slices")? {
            let start_ms = reader.zigzag("large slice")?;
            let malformed = Malformed { what: "input of a large group" };
            let input = u16::try_from(reader.varint("input of a large group")?).map_err(|_| malformed)?;
            let channel = Channel { input, partition: reader.varint32("partition of a large group")? };
            for _ in 0..reader.count("number of large groups")? {
                groups.insert(start_ms, channel, reader.slice("key of a large group")?);
            }
        }
        Ok(groups)
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.keys.values().flatten().map(|key| key.len() + 48).sum()
    }
}
