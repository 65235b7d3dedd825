//! What every store of snapshots does. Whoever includes this imports [`SnapshotStore`], [`Shard`] and [`key`] beside it.

use super::{Shard, SnapshotStore, key};

/// A unit of a stage with two.
pub fn unit(stage: &str, unit: u32) -> Shard {
    Shard { stage: stage.to_owned(), unit, units: 2 }
}

/// Bytes that differ everywhere, so that swapped chunks are seen.
pub fn bytes(len: usize, seed: u32) -> Vec<u8> {
    (0..len as u32).map(|n| (n.wrapping_mul(2_654_435_761) ^ seed).to_le_bytes()[3]).collect()
}

pub fn check(store: &mut dyn SnapshotStore) {
    let sizes = [0, 1, 899_999, 900_000, 900_001, 3_000_000, 20 << 20];
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
pub fn check_strangers(store: &mut dyn SnapshotStore) {
    let (mine, other) = (unit("a", 1), unit("a", 0));
    let kept = store.put(&mine, &key(1, "x"), b"1").unwrap();
    let newer = store.put(&other, &key(9, "x"), b"9").unwrap();
    for name in [newer.as_str(), "", "somewhere/else", "other/a/1/00000000000000000009-x"] {
        let _refused_or_without_effect = store.trim(&mine, name);
        assert_eq!(store.get(&kept).unwrap(), b"1", "after {name:?}");
    }
}
