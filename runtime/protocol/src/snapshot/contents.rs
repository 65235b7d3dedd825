//! What a snapshot holds behind its header: the head of the state, and a list of pages, each in this object or in an
//! older one of the same unit.
//!
//! ```text
//!  "WM" version | head | names of other objects, oldest first
//!  | number of pages, each: object (0 is this one), offset, length, xxh3-128 | bytes of the pages that are here
//! ```
//! Offsets count from the beginning of another object, and from the first byte of the pages in this one. What releases
//! before wrote has no list: the whole state is the head.
//!
//! Reading is total: any bytes give contents or a [`DecodeError`].

use super::SnapshotError;
use crate::format::{DecodeError, Decoder, Encoder, Magic};
use pipeline::unit::Saved;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_128;

/// Begins a list of pages; a state without one begins otherwise.
const MARK: &[u8; 2] = b"WM";
const VERSION: u8 = 1;

/// Where a page is and what it must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// 0 is this object, n is number n - 1 of the others.
    pub(super) object: usize,
    pub(super) offset: u64,
    pub(super) bytes: u64,
    pub(super) hash: u128,
}

/// The state in a snapshot, as far as the snapshot itself holds it.
#[derive(Debug)]
pub struct Contents<'a> {
    head: &'a [u8],
    others: Vec<&'a str>,
    entries: Vec<Entry>,
    own: &'a [u8],
}

/// Appends contents to a header that was sealed without state.
pub(super) fn put(out: &mut Vec<u8>, head: &[u8], others: &[Arc<str>], entries: &[Entry], own: &[u8]) {
    out.extend_from_slice(MARK);
    out.push(VERSION);
    let mut list = Encoder::part();
    list.number(head.len() as u64).rest(head);
    list.list(others, |list, name| {
        list.text(name);
    });
    list.list(entries, |list, entry| {
        list.number(entry.object as u64).number(entry.offset).number(entry.bytes).long_word(entry.hash);
    });
    out.extend_from_slice(&list.finish());
    out.extend_from_slice(own);
}

impl<'a> Contents<'a> {
    /// Reads what [`SnapshotHeader::open`](super::SnapshotHeader::open) found behind the header.
    pub fn open(state: &'a [u8]) -> Result<Self, SnapshotError> {
        let Some(list) = state.strip_prefix(MARK) else {
            return Ok(Self { head: state, others: Vec::new(), entries: Vec::new(), own: &[] });
        };
        Self::read(list).map_err(SnapshotError::Contents)
    }

    fn read(list: &'a [u8]) -> Result<Self, DecodeError> {
        let mut from = Decoder::part(Magic::Snapshot, VERSION, list);
        let found = from.byte("version of its list of pages")?;
        if found != VERSION {
            return Err(DecodeError::UnknownVersion { what: Magic::Snapshot, found, known: VERSION });
        }
        let head = from.bytes("head")?;
        let others = from.list("names of other objects", |from| from.text("name of another object"))?;
        let entries = from.list("pages", |from| {
            let object = from.number("object of a page")? as usize;
            if object > others.len() {
                return Err(from.damaged("object of a page"));
            }
            let (offset, bytes) = (from.number("offset of a page")?, from.number("length of a page")?);
            Ok(Entry { object, offset, bytes, hash: from.long_word("hash of a page")? })
        })?;
        Ok(Self { head, others, entries, own: from.rest() })
    }

    /// The store's names of the other objects that hold pages, oldest first.
    pub fn others(&self) -> &[&'a str] {
        &self.others
    }

    /// The state, from the other objects in the order of [`Contents::others`]; each page is what it was.
    ///
    /// # Errors
    /// A page that is not there, or not what it was.
    pub fn assemble<'b>(&self, others: &'b [Vec<u8>]) -> Result<Saved<'b>, SnapshotError>
    where
        'a: 'b,
    {
        let page = |(number, entry): (usize, &Entry)| {
            let object = match entry.object {
                0 => self.own,
                other => others.get(other - 1).map_or(&[][..], Vec::as_slice),
            };
            entry.find(object).ok_or_else(|| SnapshotError::Page { number, object: self.name(entry.object) })
        };
        let pages = self.entries.iter().enumerate().map(page).collect::<Result<_, _>>()?;
        Ok(Saved { head: self.head, pages })
    }

    fn name(&self, object: usize) -> Arc<str> {
        let other = object.checked_sub(1).and_then(|at| self.others.get(at));
        other.map_or_else(|| "itself".into(), |name| format!("`{name}`").into())
    }
}

impl Entry {
    /// The page in the object that holds it, if it is what it was.
    fn find<'a>(&self, object: &'a [u8]) -> Option<&'a [u8]> {
        let start = usize::try_from(self.offset).ok()?;
        let end = start.checked_add(usize::try_from(self.bytes).ok()?)?;
        object.get(start..end).filter(|bytes| xxh3_128(bytes) == self.hash)
    }
}
