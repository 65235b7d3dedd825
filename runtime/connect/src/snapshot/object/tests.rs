//! What is special to buckets, over stores of the client's crate; a real server is in `tests/snapshots_s3.rs`.

use super::*;
use crate::snapshot::key;
use object_store::memory::InMemory;
use std::sync::Arc;

fn over(client: Client, prefix: &str, owner: &str) -> ObjectStore {
    ObjectStore::over(client, prefix, owner).unwrap()
}

fn shard(stage: &str, unit: u32) -> Shard {
    Shard { stage: stage.to_owned(), unit, units: 2 }
}

#[test]
fn names_do_not_say_where_the_bucket_is() {
    let (one, other): (Client, Client) = (Arc::new(InMemory::new()), Arc::new(InMemory::new()));
    let mut store = over(one, "weir/prod", "shop.p.0a");
    let name = store.put(&shard("s", 1), &key(7, "x"), b"state").unwrap();
    assert_eq!(name, "shop.p.0a/s/1/00000000000000000007-x");
    let mut copied = over(other.clone(), "", "shop.p.0a");
    assert!(copied.get(&name).unwrap_err().is_loss());
    store.runtime.block_on(other.put(&Path::from(name.as_str()), b"state".to_vec().into())).unwrap();
    assert_eq!(copied.get(&name).unwrap(), b"state");
}

#[test]
fn an_owner_that_is_gone_leaves_nothing_and_takes_nothing_of_others() {
    let client: Client = Arc::new(InMemory::new());
    let mut gone = over(client.clone(), "weir", "shop.p.0a");
    let mut stays = over(client, "weir", "shop.p.0ab");
    for unit in 0..2 {
        for order in 0..3 {
            gone.put(&shard("a", unit), &key(order, "x"), b"1").unwrap();
            gone.put(&shard("b", unit), &key(order, "x"), b"2").unwrap();
        }
    }
    let kept = stays.put(&shard("a", 0), &key(1, "x"), b"3").unwrap();
    assert_eq!(gone.clear().unwrap(), 12);
    assert_eq!(gone.clear().unwrap(), 0);
    assert!(gone.list(&shard("a", 0)).unwrap().is_empty());
    assert_eq!(stays.get(&kept).unwrap(), b"3");
}

#[test]
fn a_name_cannot_lead_out_of_the_prefix() {
    let mut store = over(Arc::new(InMemory::new()), "weir", "o");
    for name in ["../x", "a//b", "", "/a", "a/.b", "a b", "s/key@0:1"] {
        assert!(matches!(store.get(name), Err(SnapshotError::InvalidName { .. })), "{name}");
    }
}

fn bucket(endpoint: &str) -> Bucket {
    Bucket {
        cloud: pipeline::plan::Cloud::S3,
        name: "state".to_owned(),
        prefix: String::new(),
        endpoint: Some(endpoint.to_owned()),
        region: None,
        secret: Some("s3".to_owned()),
    }
}

fn credentials(id: &str) -> Result<Credentials, CredentialsError> {
    let read = |_: &str, key: &str| {
        Ok(match key {
            "AWS_ACCESS_KEY_ID" => Some(id.as_bytes().to_vec()),
            "AWS_SECRET_ACCESS_KEY" => Some(b"hush".to_vec()),
            _ => None,
        })
    };
    Credentials::read(
        pipeline::plan::Cloud::S3,
        &Secret { name: "s3", read: &read, place: "here".to_owned() },
    )
}

#[test]
fn nobody_behind_an_endpoint_is_told_and_is_no_loss() {
    // Bound and given back: nobody listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let endpoint = format!("http://127.0.0.1:{port}");
    let mut store = ObjectStore::new(&bucket(&endpoint), "o", || credentials("id")).unwrap();
    let error = store.put(&shard("s", 0), &key(1, "x"), b"1").unwrap_err();
    assert!(!error.is_loss() && !error.needs_somebody());
    let text = error.to_string();
    let want = format!(
        "failed to write `o/s/0/00000000000000000001-x` in s3://state at {endpoint}: the store is not reached"
    );
    assert!(text.starts_with(&want), "{text}");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("Connection refused"), "{cause}");
    assert!(!store.get("o/s/0/1-x").unwrap_err().is_loss());
}

#[test]
fn a_client_is_kept_until_the_secret_changes_and_while_it_cannot_be_read() {
    let ids = Arc::new(std::sync::Mutex::new(Some("one")));
    let now = ids.clone();
    let mut open = open::opener(bucket("http://127.0.0.1:1"), move || match *now.lock().unwrap() {
        Some(id) => credentials(id),
        None => Err(CredentialsError::Missing { keys: vec!["k".to_owned()], place: "here".to_owned() }),
    });
    let first = open().unwrap();
    assert!(Arc::ptr_eq(&first, &open().unwrap()));
    *ids.lock().unwrap() = None;
    assert!(Arc::ptr_eq(&first, &open().unwrap()), "half-way through a change");
    *ids.lock().unwrap() = Some("two");
    assert!(!Arc::ptr_eq(&first, &open().unwrap()));
}

#[test]
fn a_secret_that_lacks_a_key_is_told_and_is_no_loss() {
    let mut store = ObjectStore::new(&bucket("http://127.0.0.1:1"), "o", || {
        Err(CredentialsError::Missing {
            keys: vec!["AWS_ACCESS_KEY_ID".to_owned()],
            place: "here".to_owned(),
        })
    })
    .unwrap();
    let error = store.get("o/s/0/1-x").unwrap_err();
    assert!(!error.is_loss() && error.needs_somebody());
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(cause, "key `AWS_ACCESS_KEY_ID` is missing in the checkpoint storage secret at here");
}
