//! Snapshots in a bucket of a real server of S3: `S3_SERVER=$(e2e/bed/bed s3-server) cargo test --features s3-tests`.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

#[path = "conformance/s3_server.rs"]
mod s3_server;
#[path = "conformance/way.rs"]
mod way;
#[path = "conformance/snapshots.rs"]
mod suite;

use connect::snapshot::object::{Credentials, CredentialsError, Fault, ObjectError, Secret};
use connect::snapshot::{Folder, ObjectStore, Shard, SnapshotError, SnapshotStore, Stored, Uploads, key};
use pipeline::plan::{Bucket, Cloud};
use protocol::identity::Seq;
use protocol::snapshot::SnapshotPointer;
use s3_server::{ROOT, S3Server};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use suite::{bytes, check, check_strangers, unit};
use way::Way;

/// How long something may take to be noticed.
const PATIENCE: Duration = Duration::from_mins(2);

fn bucket(server: &S3Server, name: &str, prefix: &str) -> Bucket {
    Bucket {
        cloud: Cloud::S3,
        name: name.to_owned(),
        prefix: prefix.to_owned(),
        endpoint: Some(server.endpoint()),
        region: None,
        secret: Some("s3".to_owned()),
    }
}

fn credentials([id, secret]: [&str; 2]) -> Result<Credentials, CredentialsError> {
    let read = |_: &str, key: &str| {
        let value = match key {
            "AWS_ACCESS_KEY_ID" => Some(id),
            "AWS_SECRET_ACCESS_KEY" => Some(secret),
            _ => None,
        };
        Ok(value.map(|value| value.as_bytes().to_vec()))
    };
    Credentials::read(Cloud::S3, &Secret { name: "s3", read: &read, place: "the test".to_owned() })
}

fn store_as(bucket: &Bucket, owner: &str, user: [&'static str; 2]) -> ObjectStore {
    ObjectStore::new(bucket, owner, move || credentials(user)).unwrap()
}

fn store(server: &S3Server, owner: &str) -> ObjectStore {
    store_as(&bucket(server, "state", "weir/prod"), owner, ROOT)
}

/// What the store said, and what its answer was.
fn fault(error: SnapshotError) -> (Fault, String) {
    assert!(!error.is_loss(), "{error}");
    match error {
        SnapshotError::Object(error) => match *error {
            ObjectError::Store { fault, source, .. } => (fault, source.to_string()),
            other => unreachable!("{other}"),
        },
        other => unreachable!("{other}"),
    }
}

#[test]
fn a_bucket_keeps_objects() {
    let server = S3Server::start(&["state"]);
    check(&mut store(&server, "shop.p.0a"));
    check_strangers(&mut store(&server, "shop.p.0b"));
    check(&mut store_as(&bucket(&server, "state", ""), "shop.p.0a", ROOT));
}

#[test]
fn what_a_pipeline_left_is_deleted_and_nothing_else() {
    let server = S3Server::start(&["state"]);
    let (mut gone, mut stays) = (store(&server, "shop.p.0a"), store(&server, "shop.p.0b"));
    let kept = stays.put(&unit("s", 0), &key(1, "x"), b"kept").unwrap();
    // More than one page of a listing.
    for order in 0..1_100 {
        gone.put(&unit("s", order % 2), &key(u64::from(order), "x"), b"1").unwrap();
    }
    assert_eq!(gone.list(&unit("s", 0)).unwrap().len(), 550);
    assert_eq!(gone.clear().unwrap(), 1_100);
    assert!(gone.list(&unit("s", 1)).unwrap().is_empty());
    assert_eq!(stays.get(&kept).unwrap(), b"kept");
}

#[test]
fn a_bucket_that_is_missing_is_no_loss_and_is_named() {
    let server = S3Server::start(&["state"]);
    let mut store = store_as(&bucket(&server, "elsewhere", ""), "o", ROOT);
    let shard = unit("s", 0);
    let error = store.put(&shard, &key(1, "x"), b"1").unwrap_err();
    let text = error.to_string();
    let place = format!("`o/s/0/00000000000000000001-x` in s3://elsewhere at {}", server.endpoint());
    assert!(text.starts_with(&format!("failed to write {place}: the bucket does not exist")), "{text}");
    assert!(error.needs_somebody());
    for error in [
        error,
        store.put(&shard, &key(2, "x"), &bytes(20 << 20, 1)).unwrap_err(),
        store.get("o/s/0/1-x").unwrap_err(),
        store.list(&shard).unwrap_err(),
        store.trim(&shard, "o/s/0/1-x").unwrap_err(),
        store.clear().unwrap_err(),
    ] {
        let text = error.to_string();
        let (fault, answer) = fault(error);
        assert_eq!(fault, Fault::BucketMissing, "{text}: {answer}");
        assert!(answer.contains("NoSuchBucket"), "{text}: {answer}");
    }
    server.make_bucket("elsewhere");
    let name = store.put(&shard, &key(1, "x"), b"1").unwrap();
    assert_eq!(store.get(&name).unwrap(), b"1");
}

#[test]
fn who_is_not_known_or_may_not_is_told_apart() {
    let server = S3Server::start(&["state"]);
    server.make_user("guest", "guest-secret");
    let shard = unit("s", 0);
    let name = store(&server, "o").put(&shard, &key(1, "x"), b"1").unwrap();
    let cases = [
        (["nobody", "root-secret"], Fault::NotKnown, "InvalidAccessKeyId"),
        (["root", "another-secret"], Fault::NotKnown, "SignatureDoesNotMatch"),
        (["guest", "guest-secret"], Fault::Denied, "AccessDenied"),
    ];
    for (user, want, code) in cases {
        let mut store = store_as(&bucket(&server, "state", "weir/prod"), "o", user);
        for error in [store.put(&shard, &key(2, "x"), b"2").unwrap_err(), store.list(&shard).unwrap_err()] {
            assert!(error.needs_somebody() && error.is_refusal(), "{error}");
            let (fault, answer) = fault(error);
            assert_eq!(fault, want, "{user:?}: {answer}");
            assert!(answer.contains(code), "{user:?}: {answer}");
            assert!(!answer.contains("secret"), "{user:?}: {answer}");
        }
        // An answer to HEAD has no body: only that it was refused is known.
        let error = store.get(&name).unwrap_err();
        assert!(!error.is_loss() && error.is_refusal(), "{user:?}: {error}");
    }
}

#[test]
fn a_store_with_an_authority_of_its_own_is_trusted_when_the_secret_says_so() {
    let server = S3Server::start_encrypted(&["state"]);
    let bucket = bucket(&server, "state", "");
    let error = store_as(&bucket, "o", ROOT).put(&unit("s", 0), &key(1, "x"), b"1").unwrap_err();
    assert!(error.needs_somebody());
    let (fault, answer) = fault(error);
    assert_eq!(fault, Fault::NotTrusted, "{answer}");
    let authority = server.authority();
    let mut store = ObjectStore::new(&bucket, "o", move || {
        let read = |_: &str, key: &str| {
            let value = match key {
                "AWS_ACCESS_KEY_ID" => Some(ROOT[0]),
                "AWS_SECRET_ACCESS_KEY" => Some(ROOT[1]),
                "ca.crt" => Some(authority.as_str()),
                _ => None,
            };
            Ok(value.map(|value| value.as_bytes().to_vec()))
        };
        Credentials::read(Cloud::S3, &Secret { name: "s3", read: &read, place: "the test".to_owned() })
    })
    .unwrap();
    let name = store.put(&unit("s", 0), &key(1, "x"), &bytes(20 << 20, 1)).unwrap();
    assert_eq!(store.get(&name).unwrap(), bytes(20 << 20, 1));
}

#[test]
fn a_secret_that_is_rotated_is_taken_up() {
    let server = S3Server::start(&["state"]);
    let now = Arc::new(Mutex::new(["root", "old-secret"]));
    let read = now.clone();
    let mut store = ObjectStore::new(&bucket(&server, "state", ""), "o", move || {
        let user = *read.lock().unwrap();
        credentials(user)
    })
    .unwrap();
    let refused = store.put(&unit("s", 0), &key(1, "x"), b"1").unwrap_err();
    assert_eq!(fault(refused).0, Fault::NotKnown);
    *now.lock().unwrap() = ROOT;
    let name = store.put(&unit("s", 0), &key(1, "x"), b"1").unwrap();
    assert_eq!(store.get(&name).unwrap(), b"1");
}

#[test]
fn a_server_that_goes_away_and_comes_back_is_used_again() {
    let mut server = S3Server::start(&["state"]);
    let mut store = store(&server, "o");
    let shard = unit("s", 0);
    let before = store.put(&shard, &key(1, "x"), b"before").unwrap();
    server.kill();
    for error in [
        store.put(&shard, &key(2, "x"), &bytes(20 << 20, 1)).unwrap_err(),
        store.get(&before).unwrap_err(),
        store.trim(&shard, &before).unwrap_err(),
    ] {
        assert!(!error.needs_somebody(), "{error}");
        let (fault, answer) = fault(error);
        assert_eq!(fault, Fault::Unreachable, "{answer}");
        assert!(answer.contains("Connection refused"), "{answer}");
    }
    server.go_on();
    assert_eq!(store.get(&before).unwrap(), b"before");
    let after = store.put(&shard, &key(2, "x"), &bytes(20 << 20, 1)).unwrap();
    assert_eq!(store.get(&after).unwrap(), bytes(20 << 20, 1));
    assert_eq!(store.list(&shard).unwrap(), [before, after]);
}

#[test]
fn an_upload_that_is_cut_off_is_not_visible_and_can_be_repeated() {
    let server = S3Server::start(&["state"]);
    let (shard, object) = (unit("s", 0), bytes(20 << 20, 7));
    for (order, mebibytes) in (1..).zip([0, 3, 9, 19]) {
        let way = Way::to(&server, mebibytes << 20);
        let cut = Bucket { endpoint: Some(way.endpoint()), ..bucket(&server, "state", "weir/prod") };
        let error = store_as(&cut, "o", ROOT).put(&shard, &key(order, "x"), &object).unwrap_err();
        let (fault, answer) = fault(error);
        assert_eq!(fault, Fault::Unreachable, "after {mebibytes} MiB: {answer}");
        let mut store = store(&server, "o");
        assert!(store.list(&shard).unwrap().is_empty(), "after {mebibytes} MiB");
        let name = store.put(&shard, &key(order, "x"), &object).unwrap();
        assert!(store.get(&name).unwrap() == object, "after {mebibytes} MiB");
        store.clear().unwrap();
    }
}

#[test]
fn an_upload_in_the_background_fails_and_the_next_one_goes_on() {
    let mut server = S3Server::start(&["state"]);
    let mut uploads = Uploads::background(store(&server, "o")).unwrap();
    let mut upload = |id: u64| {
        let put = move |store: &mut dyn SnapshotStore| {
            let object = bytes(1_000, 1);
            let name: Arc<str> = store.put(&unit("s", 0), &key(id, "x"), &object)?.into();
            let pointer = SnapshotPointer::to(name.clone(), &object, Seq(1));
            Ok(Stored { pointer, oldest: name, state_bytes: 1_000 })
        };
        uploads.start(id, Box::new(put)).unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some((of, result)) = uploads.finished().pop() {
                assert_eq!(of, id);
                return result;
            }
            assert!(Instant::now() < deadline, "upload {id} does not end");
            std::thread::park_timeout(Duration::from_millis(5));
        }
    };
    upload(1).unwrap();
    server.kill();
    assert_eq!(fault(upload(2).unwrap_err()).0, Fault::Unreachable);
    server.go_on();
    upload(3).unwrap();
    assert_eq!(store(&server, "o").list(&unit("s", 0)).unwrap().len(), 2);
}
