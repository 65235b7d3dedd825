//! All stores pass one suite; what is special to one follows.

#[path = "../../tests/conformance/snapshots.rs"]
mod suite;

use super::*;
use crate::door::{KafkaIo, TopicPartition};
use crate::memory::{Call, Fault, Log, Operation, Settings};
use protocol::identity::Seq;
use std::sync::Arc;
use suite::{bytes, check, check_strangers, unit};

fn topic_store(log: &Log) -> TopicStore {
    let log = log.clone();
    let topic_of = |stage: &str| format!("weir.{stage}.snapshots");
    TopicStore::new(topic_of, move || Ok(Box::new(log.connect("snapshots"))))
}

fn log() -> Log {
    Log::new(Settings::default())
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
fn a_store_in_a_bucket_keeps_objects() {
    let directory = tempfile::tempdir().unwrap();
    let clients: [Arc<dyn object_store::ObjectStore>; 2] = [
        Arc::new(object_store::memory::InMemory::new()),
        Arc::new(object_store::local::LocalFileSystem::new_with_prefix(directory.path()).unwrap()),
    ];
    for client in clients {
        for prefix in ["", "weir/prod"] {
            check(&mut ObjectStore::over(client.clone(), prefix, "shop.p.0a").unwrap());
            check_strangers(&mut ObjectStore::over(client.clone(), prefix, "shop.p.0b").unwrap());
        }
    }
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
}

#[test]
fn a_store_that_was_moved_finds_what_is_still_in_topics() {
    let log = log();
    let (shard, directory) = (unit("s", 0), tempfile::tempdir().unwrap());
    let before = topic_store(&log).put(&shard, &key(1, "x"), b"before").unwrap();
    let mut store =
        MovedStore::new(topic_store(&log), FileStore::open(directory.path(), "shop.p.0a").unwrap());
    store.trim(&shard, &before).unwrap();
    assert_eq!(store.get(&before).unwrap(), b"before");
    let after = store.put(&shard, &key(2, "x"), b"after").unwrap();
    store.trim(&shard, &after).unwrap();
    assert_eq!(store.get(&after).unwrap(), b"after");
    assert_eq!(store.list(&shard).unwrap(), [after]);
    assert_eq!(store.get(&before).unwrap(), b"before", "a rollback may still need it");
    check(&mut MovedStore::new(topic_store(&log), FileStore::open(directory.path(), "shop.p.0b").unwrap()));
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
