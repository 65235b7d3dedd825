//! All stores pass one suite; what is special to one follows.

use super::*;
use crate::door::{KafkaIo, TopicPartition};
use crate::memory::{Call, Fault, Log, Operation, Settings};
use protocol::identity::Seq;

fn topic_store(log: &Log) -> TopicStore {
    let log = log.clone();
    let topic_of = |stage: &str| format!("weir.{stage}.snapshots");
    TopicStore::new(topic_of, move || Ok(Box::new(log.connect("snapshots"))))
}

fn log() -> Log {
    Log::new(Settings::default())
}

/// A unit of a stage with two.
fn unit(stage: &str, unit: u32) -> Shard {
    Shard { stage: stage.to_owned(), unit, units: 2 }
}

/// Bytes that differ everywhere, so that swapped chunks are seen.
fn bytes(len: usize, seed: u32) -> Vec<u8> {
    (0..len as u32).map(|n| (n.wrapping_mul(2_654_435_761) ^ seed).to_le_bytes()[3]).collect()
}

fn check(store: &mut dyn SnapshotStore) {
    let sizes = [0, 1, 899_999, 900_000, 900_001, 3_000_000];
    let (one, other) = (unit("a", 1), unit("a", 0));
    let keyed = |len: usize| key(len as u64, "x");
    let names: Vec<String> =
        sizes.iter().map(|len| store.put(&one, &keyed(*len), &bytes(*len, 1)).unwrap()).collect();
    let neighbours =
        [&other, &unit("b", 1)].map(|shard| store.put(shard, &key(0, "y"), &bytes(10, 2)).unwrap());
    for (name, len) in names.iter().zip(sizes) {
        assert_eq!(store.get(name).unwrap(), bytes(len, 1), "{name}");
    }
    let again = store.put(&one, &keyed(3_000_000), &bytes(3_000_000, 1)).unwrap();
    assert_eq!(store.get(&again).unwrap(), bytes(3_000_000, 1));

    let listed = store.list(&one).unwrap();
    assert!(listed.len() >= sizes.len(), "{listed:?}");
    for name in &listed {
        assert!(store.get(name).is_ok(), "{name} is listed");
    }
    assert_eq!(store.list(&other).unwrap(), neighbours[..1]);

    for _again in 0..2 {
        store.trim(&one, &names[2]).unwrap();
        for (name, len) in names.iter().zip(sizes).skip(2) {
            assert_eq!(store.get(name).unwrap(), bytes(len, 1), "{name} is not older");
        }
        for name in &names[..2] {
            let missing = store.get(name).unwrap_err();
            assert!(missing.is_loss(), "{missing}");
        }
        for name in &neighbours {
            assert_eq!(store.get(name).unwrap(), bytes(10, 2), "{name} is another's");
        }
    }
}

/// A name that is not of the shard, or of another store, deletes nothing.
fn check_strangers(store: &mut dyn SnapshotStore) {
    let (mine, other) = (unit("a", 1), unit("a", 0));
    let kept = store.put(&mine, &key(1, "x"), b"1").unwrap();
    let newer = store.put(&other, &key(9, "x"), b"9").unwrap();
    for name in [newer.as_str(), "", "somewhere/else", "other/a/1/00000000000000000009-x"] {
        let _refused_or_without_effect = store.trim(&mine, name);
        assert_eq!(store.get(&kept).unwrap(), b"1", "after {name:?}");
    }
}

#[test]
fn a_store_in_memory_keeps_objects() {
    check(&mut MemoryStore::new());
    check_strangers(&mut MemoryStore::new());
}

#[test]
fn a_store_in_a_directory_keeps_objects() {
    let directory = tempfile::tempdir().unwrap();
    check(&mut FileStore::open(directory.path(), "shop.p.0a").unwrap());
    check_strangers(&mut FileStore::open(directory.path(), "shop.p.0b").unwrap());
}

#[test]
fn a_store_in_a_topic_keeps_objects() {
    check(&mut topic_store(&log()));
    check_strangers(&mut topic_store(&log()));
}

#[test]
fn an_object_in_a_topic_survives_a_new_reader_and_a_stranger_between_its_chunks() {
    let log = log();
    let name = topic_store(&log).put(&unit("s", 1), "a", &bytes(2_000_000, 1)).unwrap();
    assert_eq!(name, "s/a@1:0");
    let mut other = topic_store(&log);
    other.put(&unit("s", 1), "b", &bytes(2_000_000, 2)).unwrap();
    assert_eq!(topic_store(&log).get(&name).unwrap(), bytes(2_000_000, 1));
}

#[test]
fn an_upload_that_was_cut_off_is_not_visible_and_can_be_repeated() {
    for fault in [Fault::LoseRequest, Fault::LoseAnswer, Fault::Delay, Fault::Unreachable] {
        let log = log();
        let mut store = topic_store(&log);
        let mut commits = 0;
        log.set_faults(move |call: &Call<'_>| {
            commits += u32::from(call.operation == Operation::Commit);
            if call.operation == Operation::Commit && commits == 1 { fault } else { Fault::None }
        });
        let object = bytes(1_000_000, 3);
        let shard = unit("s", 0);
        let failed = store.put(&shard, "a", &object).unwrap_err();
        assert!(matches!(failed, SnapshotError::NotCommitted { .. }), "{failed}");
        let visible = usize::from(fault == Fault::LoseAnswer);
        assert_eq!(topic_store(&log).list(&shard).unwrap().len(), visible, "{fault:?}");
        let name = store.put(&shard, "a", &object).unwrap();
        assert_eq!(store.get(&name).unwrap(), object, "{fault:?}");
        log.deliver_delayed();
        assert_eq!(store.list(&shard).unwrap().len(), visible + 1, "{fault:?}");
    }
}

#[test]
fn a_trimmed_object_is_a_loss() {
    let log = log();
    let mut store = topic_store(&log);
    let old = store.put(&unit("s", 0), "old", &bytes(100, 1)).unwrap();
    let new = store.put(&unit("s", 0), "new", &bytes(100, 2)).unwrap();
    store.trim(&unit("s", 0), &new).unwrap();
    assert!(store.get(&old).unwrap_err().is_loss());
    assert!(store.get("old").unwrap_err().is_loss(), "a name of another store");
}

#[test]
fn a_unit_without_a_partition_of_its_own_is_refused() {
    let log = log();
    log.create_topic("weir.s.snapshots", 2);
    let mut store = topic_store(&log);
    store.put(&unit("s", 1), "a", b"x").unwrap();
    let error = store.put(&Shard { unit: 2, units: 3, ..unit("s", 0) }, "a", b"x").unwrap_err();
    assert!(matches!(error, SnapshotError::Log { source: IoError::Refused { .. }, .. }), "{error}");
}

#[test]
fn a_topic_is_made_at_its_first_object_with_a_partition_per_unit() {
    let log = log();
    topic_store(&log).put(&Shard { units: 5, ..unit("s", 4) }, "a", b"x").unwrap();
    let at = TopicPartition { topic: "weir.s.snapshots".to_owned(), partition: 4 };
    assert!(log.connect("x").watermarks(&[at]).unwrap()[0].1 > 0);
}

#[test]
fn two_owners_of_one_directory_delete_nothing_of_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let mut one = FileStore::open(directory.path(), "shop.p.0a").unwrap();
    let mut two = FileStore::open(directory.path(), "shop.p.0b").unwrap();
    let (old, newer) = (key(1, "x"), key(2, "x"));
    let names = [&mut one, &mut two].map(|store| store.put(&unit("s", 0), &old, b"1").unwrap());
    let kept = one.put(&unit("s", 0), &newer, b"2").unwrap();
    one.trim(&unit("s", 0), &kept).unwrap();
    assert!(one.get(&names[0]).is_err());
    assert_eq!(two.get(&names[1]).unwrap(), b"1");
}

#[test]
fn names_that_leave_the_directory_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = FileStore::open(directory.path(), "o").unwrap();
    for name in ["", "../x", "/x", "a//b", "a/../b", ".partial-1", "a b", "a\0b"] {
        assert!(
            matches!(store.put(&unit("s", 0), name, b"x"), Err(SnapshotError::InvalidName { .. })),
            "{name:?}"
        );
    }
    assert!(FileStore::open_address("s3://bucket/x", "o").is_err());
    assert!(FileStore::open_address("file://relative", "o").is_err());
}

#[test]
fn a_file_that_is_being_written_is_not_listed() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(directory.path().join("o/s/0")).unwrap();
    std::fs::write(directory.path().join("o/s/0/.partial-7-1"), b"half").unwrap();
    let mut store = FileStore::open(directory.path(), "o").unwrap();
    assert!(store.list(&unit("s", 0)).unwrap().is_empty());
}

/// Puts bytes, as whoever makes objects does.
fn put(shard: Shard, key: &str, bytes: Vec<u8>) -> Work {
    let key = key.to_owned();
    Box::new(move |store| {
        let name: Arc<str> = store.put(&shard, &key, &bytes)?.into();
        let pointer = SnapshotPointer::to(name.clone(), &bytes, Seq(1));
        Ok(Stored { pointer, oldest: name, state_bytes: bytes.len() as u64 })
    })
}

#[test]
fn uploads_in_the_background_are_told_when_they_are_done() {
    let mut uploads = Uploads::background(MemoryStore::new()).unwrap();
    let named = |id: u64| format!("s/0/{}", key(id, "x"));
    for id in 0..20 {
        uploads.start(id, put(unit("s", 0), &key(id, "x"), bytes(1_000, id as u32))).unwrap();
    }
    // A get is served behind the puts.
    assert_eq!(uploads.get(&named(19)).unwrap(), bytes(1_000, 19));
    let finished = uploads.finished();
    let ids: Vec<u64> = finished.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, (0..20).collect::<Vec<_>>());
    assert!(finished.into_iter().all(|(id, stored)| *stored.unwrap().pointer.key == named(id)));
    assert_eq!(uploads.in_flight(), 0);
    uploads.trim(unit("s", 0), &named(3)).unwrap();
    assert_eq!(uploads.list(unit("s", 0)).unwrap().len(), 17);
}

#[test]
fn inline_uploads_are_done_at_once_and_bounded() {
    let mut uploads = Uploads::inline(MemoryStore::new());
    let start = |uploads: &mut Uploads, id| uploads.start(id, put(unit("s", 0), "same", vec![1]));
    for id in 0..UPLOADS_MAX as u64 {
        start(&mut uploads, id).unwrap();
    }
    assert!(matches!(start(&mut uploads, 0), Err(SnapshotError::Busy { .. })));
    assert_eq!(uploads.finished().len(), UPLOADS_MAX);
    assert!(start(&mut uploads, 0).is_ok());
}
