//! What is written is read again; whatever else is read is an error, never a panic.

mod support;

use proptest::collection::vec;
use proptest::prelude::*;
use protocol::block::{BlockEnvelope, End, Envelope};
use protocol::format::{DecodeError, Magic};
use protocol::identity::{DrainId, Lineage, Seq, UnitId};
use protocol::journal::JournalRecord;
use protocol::snapshot::{Contents, SnapshotError, SnapshotHeader, SnapshotPointer};
use support::{PLAN, any_inputs, any_name, any_positions, any_record, any_watermarks, unit};

fn any_unit() -> impl Strategy<Value = UnitId> {
    (any_name(), any::<u32>()).prop_map(|(stage, index)| UnitId { stage, index })
}

fn header() -> SnapshotHeader {
    SnapshotHeader {
        uid8: "0123abcd".to_owned(),
        unit: unit(),
        seq: Seq(9),
        plan: PLAN,
        semantics: 1,
        lineage: Lineage(2),
        clock_ms: 77,
        inputs: Vec::new(),
        positions: Vec::new(),
        watermarks: Vec::new(),
        ends: vec![(DrainId(4), unit())],
    }
}

proptest! {
    #[test]
    fn a_journal_record_survives_its_bytes(record in any_record()) {
        prop_assert_eq!(JournalRecord::decode(&record.encode()), Ok(record));
    }

    #[test]
    fn claims_of_older_formats_say_less(record in any_record()) {
        let JournalRecord::Claim(mut claim) = record else { return Ok(()) };
        (claim.base, claim.reprocess, claim.rollback_until_ms) = (None, None, None);
        let second = JournalRecord::Claim(claim.clone());
        let bytes = second.encode();
        prop_assert_eq!(bytes[2], 2, "what has nothing to do with a rollback is read by releases that know of none");
        prop_assert_eq!(JournalRecord::decode(&bytes), Ok(second));
        claim.secrets = None;
        let first = JournalRecord::Claim(claim);
        let mut bytes = first.encode();
        prop_assert_eq!(bytes.pop(), Some(0), "no secrets either");
        bytes[2] = 1;
        prop_assert_eq!(JournalRecord::decode(&bytes), Ok(first));
    }

    #[test]
    fn a_block_survives_its_bytes(
        from in any_unit(), lineage: u32, seq: u64, source in any_positions(), suppressed: bool,
        payload in vec(any::<u8>(), 0..64),
    ) {
        let block = BlockEnvelope { lineage: Lineage(lineage), from, seq: Seq(seq), source, suppressed, payload: &payload };
        let bytes = Envelope::Block(block.clone()).encode();
        prop_assert_eq!(Envelope::decode(&bytes), Ok(Envelope::Block(block)));
    }

    #[test]
    fn an_end_survives_its_bytes(from in any_unit(), lineage: u32, drain: u64, seq: u64) {
        let end = End { lineage: Lineage(lineage), drain: DrainId(drain), from, seq: Seq(seq) };
        let bytes = Envelope::End(end.clone()).encode();
        prop_assert_eq!(Envelope::decode(&bytes), Ok(Envelope::End(end)));
    }

    #[test]
    fn a_snapshot_survives_its_bytes(
        inputs in any_inputs(), positions in any_positions(), watermarks in any_watermarks(),
        ends in vec((any::<u64>(), any_unit()), 0..3), state in vec(any::<u8>(), 0..64),
    ) {
        let ends = ends.into_iter().map(|(drain, unit)| (DrainId(drain), unit)).collect();
        let header = SnapshotHeader { inputs, positions, watermarks, ends, ..header() };
        let sealed = header.seal(&state);
        let pointer = SnapshotPointer::to("k", &sealed, Seq(9));
        let (opened, rest) = SnapshotHeader::restore("0123abcd", &unit(), &pointer, &sealed).unwrap();
        prop_assert_eq!(opened, header);
        prop_assert_eq!(rest, &state[..]);
    }

    #[test]
    fn any_bytes_are_a_record_or_an_error(bytes in vec(any::<u8>(), 0..200), kind in 0u8..8) {
        let _ = JournalRecord::decode(&bytes);
        for version in [1, 2, 3] {
            let behind_head = |magic: Magic| [&magic.bytes()[..], &[version, kind], &bytes].concat();
            let _ = JournalRecord::decode(&behind_head(Magic::Journal));
            let _ = Envelope::decode(&behind_head(Magic::Block));
            let _ = SnapshotHeader::open(&behind_head(Magic::Snapshot));
        }
    }

    #[test]
    fn a_damaged_record_is_a_record_or_an_error(record in any_record(), at: prop::sample::Index, to: u8, cut: prop::sample::Index) {
        let whole = record.encode();
        prop_assert!(JournalRecord::decode(&whole[..cut.index(whole.len())]).is_err(), "cut short");
        let mut bytes = whole;
        let at = at.index(bytes.len());
        bytes[at] = to;
        let _ = JournalRecord::decode(&bytes);
    }

    #[test]
    fn a_changed_snapshot_is_refused(state in vec(any::<u8>(), 1..64), at: prop::sample::Index, by in 1u8..) {
        let sealed = header().seal(&state);
        let pointer = SnapshotPointer::to("k", &sealed, Seq(9));
        let mut changed = sealed;
        let at = at.index(changed.len());
        changed[at] ^= by;
        let refused = SnapshotHeader::restore("0123abcd", &unit(), &pointer, &changed);
        prop_assert_eq!(refused, Err(SnapshotError::Hash { key: "k".into() }));
    }
}

#[test]
fn a_newer_version_is_refused_by_name() {
    let newer = DecodeError::UnknownVersion { what: Magic::Journal, found: 4, known: 3 };
    assert_eq!(JournalRecord::decode(b"WJ\x04anything"), Err(newer.clone()));
    assert_eq!(newer.to_string(), "journal record has format 4, this release reads up to 3");
    let block = Envelope::decode(b"WB\x09");
    assert_eq!(block, Err(DecodeError::UnknownVersion { what: Magic::Block, found: 9, known: 2 }));
    assert_eq!(JournalRecord::decode(b"XX\x01"), Err(DecodeError::NotOurs { what: Magic::Journal }));
    assert_eq!(JournalRecord::decode(b""), Err(DecodeError::NotOurs { what: Magic::Journal }));
}

#[test]
fn a_snapshot_of_the_release_before_there_were_pages_is_read() {
    let sealed = include_bytes!("released/snapshot-2.bin");
    let (found, state) = SnapshotHeader::open(sealed).unwrap();
    assert_eq!(found, header());
    let contents = Contents::open(state).unwrap();
    let saved = contents.assemble(&[]).unwrap();
    assert_eq!(saved.head, include_bytes!("../../pipeline/src/unit/tests/released/snapshot-1-merge.bin"));
    assert!(saved.pages.is_empty());
    let now = header().seal(state);
    assert_eq!((now[2], &now[3..]), (3, &sealed[3..]), "only the version of the header is another");
}

#[test]
fn a_snapshot_of_another_unit_pipeline_or_commit_is_refused() {
    let sealed = header().seal(b"state");
    let restore = |uid8: &str, unit: &UnitId, seq: u64| {
        let pointer = SnapshotPointer::to("k", &sealed, Seq(seq));
        SnapshotHeader::restore(uid8, unit, &pointer, &sealed).map(|(header, _)| header.seq)
    };
    let other = UnitId { stage: "count".into(), index: 1 };
    assert_eq!(restore("0123abcd", &unit(), 9), Ok(Seq(9)));
    for refused in
        [restore("ffffffff", &unit(), 9), restore("0123abcd", &other, 9), restore("0123abcd", &unit(), 8)]
    {
        assert!(matches!(refused, Err(SnapshotError::Foreign { .. })), "{refused:?}");
    }
}

/// Bytes of format 1: what a released version wrote must stay readable.
#[test]
fn records_of_format_1_are_read() {
    let released = [b"WJ\x01\x05".as_slice(), &[2, 0], &[0xab; 16], &[7, 1, 9]].concat();
    let decoded = JournalRecord::decode(&released).unwrap();
    let JournalRecord::Released(record) = &decoded else { panic!("{decoded:?}") };
    assert_eq!((record.owner.generation().0, record.seq, record.drain), (2, Seq(7), Some(DrainId(9))));
    let now = [b"WJ\x02\x05".as_slice(), &released[4..]].concat();
    assert_eq!(decoded.encode(), now, "nothing else of it is another one in format 2");
    assert_eq!(JournalRecord::decode(&now), Ok(decoded));
}
