//! All stores pass one suite; what is special to one follows.

use super::*;
use crate::memory::{Call, Fault, Log, Operation, Settings};

const TOPIC: &str = "weir.snapshots";

fn topic_store(log: &Log) -> TopicStore {
    let log = log.clone();
    TopicStore::new(TOPIC, move || Ok(Box::new(log.connect("snapshots"))))
}

fn log() -> Log {
    let log = Log::new(Settings::default());
    log.create_topic(TOPIC, 2);
    log
}

/// Bytes that differ everywhere, so that swapped chunks are seen.
fn bytes(len: usize, seed: u32) -> Vec<u8> {
    (0..len as u32).map(|n| (n.wrapping_mul(2_654_435_761) ^ seed).to_le_bytes()[3]).collect()
}

fn check(store: &mut dyn SnapshotStore) {
    let sizes = [0, 1, 899_999, 900_000, 900_001, 3_000_000];
    let names: Vec<String> =
        sizes.iter().map(|len| store.put(1, &format!("unit-1/{len}"), &bytes(*len, 1)).unwrap()).collect();
    store.put(0, "unit-0/x", &bytes(10, 2)).unwrap();
    for (name, len) in names.iter().zip(sizes) {
        assert_eq!(store.get(name).unwrap(), bytes(len, 1), "{name}");
    }
    let again = store.put(1, "unit-1/1", &bytes(1, 1)).unwrap();
    assert_eq!(store.get(&again).unwrap(), bytes(1, 1));

    let listed = store.list("unit-1/").unwrap();
    assert!(listed.len() >= sizes.len() && listed.iter().all(|name| name.starts_with("unit-1/")));
    for name in &listed {
        assert!(store.get(name).is_ok(), "{name} is listed");
    }
    assert_eq!(store.list("unit-0/").unwrap().len(), 1);

    store.delete(&names[0]).unwrap();
    store.delete(&names[1]).unwrap();
    store.delete(&names[1]).unwrap();
    assert_eq!(store.get(&names[5]).unwrap(), bytes(3_000_000, 1));
    let missing = store.get(&names[0]).unwrap_err();
    assert!(missing.is_loss(), "{missing}");
}

#[test]
fn a_store_in_memory_keeps_objects() {
    check(&mut MemoryStore::new());
}

#[test]
fn a_store_in_a_directory_keeps_objects() {
    let directory = tempfile::tempdir().unwrap();
    check(&mut FileStore::open(directory.path()).unwrap());
}

#[test]
fn a_store_in_a_topic_keeps_objects() {
    check(&mut topic_store(&log()));
}

#[test]
fn an_object_in_a_topic_survives_a_new_reader_and_a_stranger_between_its_chunks() {
    let log = log();
    let name = topic_store(&log).put(5, "a", &bytes(2_000_000, 1)).unwrap();
    assert_eq!(name, "a@1:0");
    let mut other = topic_store(&log);
    other.put(1, "b", &bytes(2_000_000, 2)).unwrap();
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
        let failed = store.put(0, "a", &object).unwrap_err();
        assert!(matches!(failed, SnapshotError::NotCommitted { .. }), "{failed}");
        let visible = usize::from(fault == Fault::LoseAnswer);
        assert_eq!(topic_store(&log).list("").unwrap().len(), visible, "{fault:?}");
        let name = store.put(0, "a", &object).unwrap();
        assert_eq!(store.get(&name).unwrap(), object, "{fault:?}");
        log.deliver_delayed();
        assert_eq!(store.list("").unwrap().len(), visible + 1, "{fault:?}");
    }
}

#[test]
fn a_trimmed_object_is_a_loss() {
    let log = log();
    let mut store = topic_store(&log);
    let old = store.put(0, "old", &bytes(100, 1)).unwrap();
    let new = store.put(0, "new", &bytes(100, 2)).unwrap();
    store.delete(&new).unwrap();
    assert!(store.get(&old).unwrap_err().is_loss());
    assert!(store.get("old").unwrap_err().is_loss(), "a name of another store");
}

#[test]
fn names_that_leave_the_directory_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = FileStore::open(directory.path()).unwrap();
    for name in ["", "../x", "/x", "a//b", "a/../b", ".partial-1", "a b", "a\0b"] {
        assert!(matches!(store.put(0, name, b"x"), Err(SnapshotError::InvalidName { .. })), "{name:?}");
    }
    assert!(FileStore::open_address("s3://bucket/x").is_err());
    assert!(FileStore::open_address("file://relative").is_err());
}

#[test]
fn a_file_that_is_being_written_is_not_listed() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join(".partial-7-1"), b"half").unwrap();
    let mut store = FileStore::open(directory.path()).unwrap();
    assert!(store.list("").unwrap().is_empty());
}

#[test]
fn uploads_in_the_background_are_told_when_they_are_done() {
    let mut uploads = Uploads::background(MemoryStore::new()).unwrap();
    for id in 0..20 {
        uploads.start_put(id, 0, &format!("key-{id}"), bytes(1_000, id as u32)).unwrap();
    }
    // A get is served behind the puts.
    assert_eq!(uploads.get("key-19").unwrap(), bytes(1_000, 19));
    let finished = uploads.finished();
    let ids: Vec<u64> = finished.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, (0..20).collect::<Vec<_>>());
    assert!(finished.into_iter().all(|(id, name)| name.unwrap() == format!("key-{id}")));
    assert_eq!(uploads.in_flight(), 0);
    uploads.delete("key-3").unwrap();
    assert!(uploads.list("key-3").unwrap().is_empty());
}

#[test]
fn inline_uploads_are_done_at_once_and_bounded() {
    let mut uploads = Uploads::inline(MemoryStore::new());
    for id in 0..UPLOADS_MAX as u64 {
        uploads.start_put(id, 0, "same", vec![1]).unwrap();
    }
    assert!(matches!(uploads.start_put(0, 0, "x", vec![]), Err(SnapshotError::Busy { .. })));
    assert_eq!(uploads.finished().len(), UPLOADS_MAX);
    assert!(uploads.start_put(0, 0, "x", vec![]).is_ok());
}
