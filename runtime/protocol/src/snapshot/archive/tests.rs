//! Snapshots of pages: random lives of a unit, with a store that is trimmed as soon as it may be.

use super::*;
use crate::identity::{Lineage, Seq, UnitId};
use crate::snapshot::{Contents, SnapshotError};
use pipeline::plan::PlanHash;
use pipeline::unit::{Page, Saved};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;

const UID: &str = "0123abcd";

fn header(seq: u64) -> SnapshotHeader {
    SnapshotHeader {
        uid8: UID.to_owned(),
        unit: UnitId { stage: "count".into(), index: 0 },
        seq: Seq(seq),
        plan: PlanHash([3; 16]),
        semantics: 1,
        lineage: Lineage(1),
        clock_ms: 0,
        inputs: Vec::new(),
        positions: Vec::new(),
        watermarks: Vec::new(),
        ends: Vec::new(),
    }
}

/// A page of so many bytes.
#[derive(Clone, Debug)]
struct Fixed {
    id: u64,
    bytes: Vec<u8>,
}

impl Page for Fixed {
    fn id(&self) -> u64 {
        self.id
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.bytes);
    }
}

/// What happens to a unit.
#[derive(Clone, Debug)]
enum Act {
    Write { page: usize, bytes: usize },
    Drop { page: usize },
    Snapshot { stored: bool },
    Trim,
    Restart,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        6 => (0usize..24, 0usize..400).prop_map(|(page, bytes)| Act::Write { page, bytes }),
        1 => (0usize..24).prop_map(|page| Act::Drop { page }),
        4 => prop::bool::weighted(0.85).prop_map(|stored| Act::Snapshot { stored }),
        2 => Just(Act::Trim),
        1 => Just(Act::Restart),
    ];
    vec(act, 1..120)
}

fn limits() -> impl Strategy<Value = Limits> {
    (prop_oneof![Just(0u64), 0..3_000u64], 1u64..4, 1usize..6)
        .prop_map(|(whole_bytes, space_times, objects)| Limits { whole_bytes, space_times, objects })
}

/// A snapshot that became durable.
#[derive(Clone, Debug)]
struct Taken {
    pointer: SnapshotPointer,
    oldest: Arc<str>,
    expected: Vec<Vec<u8>>,
}

#[derive(Debug, Default)]
struct Life {
    archive: Archive,
    pages: BTreeMap<usize, Arc<Fixed>>,
    next_id: u64,
    seq: u64,
    /// In the order of being put, like a log.
    store: Vec<(Arc<str>, Vec<u8>)>,
    taken: Vec<Taken>,
}

impl Life {
    fn write(&mut self, page: usize, bytes: usize) {
        self.next_id += 1;
        let fill = |at: usize| (self.next_id as usize * 31 + at) as u8;
        let bytes = (0..bytes).map(fill).collect();
        self.pages.insert(page, Arc::new(Fixed { id: self.next_id, bytes }));
    }

    fn snapshot(&mut self, limits: &Limits, stored: bool) {
        self.seq += 1;
        let expected: Vec<Vec<u8>> = self.pages.values().map(|page| page.bytes.clone()).collect();
        let pages = self.pages.values().map(|page| Arc::clone(page) as Arc<dyn Page>).collect();
        let snapshot = Snapshot::new(b"head".to_vec(), pages);
        let key = |content: &str| format!("{:03}-{content}", self.seq);
        let packed = self.archive.pack(limits, &header(self.seq), &snapshot, key);
        let state = expected.iter().map(Vec::len).sum::<usize>() as u64;
        assert_eq!(packed.state_bytes, state + 4);
        let overhead = 200 + 40 * (expected.len() as u64 + limits.objects as u64);
        assert!(packed.sealed.len() as u64 <= state + overhead, "never more than the state");
        let name = packed.pointer.key.clone();
        self.store.push((name.clone(), packed.sealed.clone()));
        if !stored {
            return;
        }
        let pointer = packed.pointer.clone();
        let oldest = self.archive.stored(packed, name);
        let known = self.taken.last().map(|taken| taken.oldest.clone());
        assert!(known.is_none_or(|known| known <= oldest), "what is needed only moves forward");
        let ours = self.archive.objects.values();
        let kept = ours.map(|object| object.bytes).sum::<u64>();
        let of_lists = overhead * self.archive.objects.len() as u64;
        assert!(kept <= limits.space_times * state + of_lists, "{kept} bytes are kept of {state}");
        self.taken.push(Taken { pointer, oldest, expected });
        self.check_newest(limits);
    }

    fn check_newest(&self, limits: &Limits) {
        let newest = self.taken.last().expect("one was taken");
        let (others, pages) = self.restored(newest).expect("it is there");
        assert_eq!(pages, newest.expected);
        assert!(others < limits.objects.max(1), "{others} other objects");
    }

    fn get(&self, name: &str) -> Option<&[u8]> {
        self.store.iter().find(|(known, _)| **known == *name).map(|(_, bytes)| bytes.as_slice())
    }

    /// The number of other objects, and the pages; none when an object was trimmed.
    fn restored(&self, taken: &Taken) -> Option<(usize, Vec<Vec<u8>>)> {
        let sealed = self.get(&taken.pointer.key)?;
        let unit = header(0).unit;
        let (_, state) = SnapshotHeader::restore(UID, &unit, &taken.pointer, sealed).expect("as it was");
        let contents = Contents::open(state).expect("as it was");
        assert!(contents.others().is_sorted(), "oldest first");
        let get = |name: &&str| self.get(name).map(<[u8]>::to_vec);
        let others = contents.others().iter().map(get).collect::<Option<Vec<_>>>()?;
        let saved = contents.assemble(&others).expect("as it was");
        assert_eq!(saved.head, b"head");
        Some((others.len(), saved.pages.iter().map(|page| page.to_vec()).collect()))
    }

    /// Everything before what the newest needs goes.
    fn trim(&mut self) {
        let Some(newest) = self.taken.last() else { return };
        let at = self.store.iter().position(|(name, _)| *name == newest.oldest).expect("it is kept");
        self.store.drain(..at);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn every_snapshot_that_was_not_trimmed_gives_back_its_pages(acts in acts(), limits in limits()) {
        let mut life = Life::default();
        for act in acts {
            match act {
                Act::Write { page, bytes } => life.write(page, bytes),
                Act::Drop { page } => drop(life.pages.remove(&page)),
                Act::Snapshot { stored } => life.snapshot(&limits, stored),
                Act::Trim => life.trim(),
                Act::Restart => {
                    // Whoever restores does not know what this life stored, and what it does not know may go any time.
                    life.archive = Archive::default();
                    let pages: Vec<usize> = life.pages.keys().copied().collect();
                    for page in pages {
                        life.next_id += 1;
                        let bytes = life.pages[&page].bytes.clone();
                        life.pages.insert(page, Arc::new(Fixed { id: life.next_id, bytes }));
                    }
                }
            }
            for taken in &life.taken {
                if let Some((_, pages)) = life.restored(taken) {
                    prop_assert_eq!(&pages, &taken.expected);
                }
            }
        }
        if !life.taken.is_empty() {
            life.trim();
            life.check_newest(&limits);
        }
    }

    #[test]
    fn a_damaged_list_or_page_is_refused_or_unused(at: prop::sample::Index, to: u8, cut: prop::sample::Index) {
        let (sealed, others) = two_objects();
        let (_, state) = SnapshotHeader::open(&sealed).unwrap();
        let expected = read(state, &others).unwrap();
        let mut changed = state.to_vec();
        let at = at.index(changed.len());
        changed[at] = to;
        let _ = read(&changed, &others);
        prop_assert!(read(&state[..cut.index(state.len() - 1).max(2)], &others).is_err());
        let mut damaged = others.clone();
        let byte = at % damaged[0].len();
        damaged[0][byte] ^= 1;
        match read(state, &damaged) {
            Ok(pages) => prop_assert_eq!(pages, expected, "not in a page"),
            Err(error) => prop_assert!(matches!(error, SnapshotError::Page { .. }), "{}", error),
        }
    }
}

fn read(state: &[u8], others: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, SnapshotError> {
    let contents = Contents::open(state)?;
    let saved: Saved<'_> = contents.assemble(others)?;
    Ok(saved.pages.iter().map(|page| page.to_vec()).collect())
}

/// A snapshot that has one page itself and one in another object, and that object.
fn two_objects() -> (Vec<u8>, Vec<Vec<u8>>) {
    let limits = Limits { whole_bytes: 0, space_times: 9, objects: 9 };
    let mut life = Life::default();
    life.write(0, 100);
    life.write(1, 100);
    life.snapshot(&limits, true);
    life.write(1, 50);
    life.snapshot(&limits, true);
    let [(_, first), (_, second)] = &life.store[..] else { panic!("two objects") };
    (second.clone(), vec![first.clone()])
}

#[test]
fn a_page_that_did_not_change_is_referred_to_and_not_written_again() {
    let (sealed, others) = two_objects();
    let (_, state) = SnapshotHeader::open(&sealed).unwrap();
    let contents = Contents::open(state).unwrap();
    assert_eq!(contents.others().len(), 1);
    assert!(sealed.len() < others[0].len());
    let missing = contents.assemble(&[]).unwrap_err();
    let SnapshotError::Page { number: 0, object } = &missing else { panic!("{missing}") };
    assert!(object.starts_with("`001-"), "{missing}");
}

#[test]
fn what_is_no_list_of_pages_is_the_whole_state() {
    let contents = Contents::open(b"WU\x01state").unwrap();
    assert_eq!(contents.others(), &[] as &[&str]);
    assert_eq!(contents.assemble(&[]).unwrap(), Saved { head: b"WU\x01state", pages: Vec::new() });
    let newer = Contents::open(b"WM\x02").unwrap_err();
    assert_eq!(
        chain(&newer),
        "the pages of a snapshot cannot be found: snapshot has format 2, this release reads up to 1"
    );
}

fn chain(error: &dyn std::error::Error) -> String {
    let source = error.source().map(|source| format!(": {}", chain(source)));
    format!("{error}{}", source.unwrap_or_default())
}
