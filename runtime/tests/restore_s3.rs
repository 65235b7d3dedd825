//! Workers whose snapshots go to a real server of S3: `S3_SERVER=$(e2e/bed/bed s3-server) cargo test --features s3-tests`.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

#[path = "storage/rig.rs"]
mod rig;
#[path = "../connect/tests/conformance/s3_server.rs"]
mod s3_server;

use connect::snapshot::object::{Credentials, Secret};
use connect::snapshot::{ObjectStore, Shard, SnapshotStore, key};
use control::generation::{FILE_VERSION, Placement, Ports, Shape};
use control::{Condition, GenerationFile, Reason};
use pipeline::plan::{Bucket, Cloud};
use rig::{Rig, killed_and_restored, undisturbed};
use s3_server::{ROOT, S3Server};
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How long something may take to be noticed.
const PATIENCE: Duration = Duration::from_mins(2);

fn store(endpoint: &str, bucket: &str) -> ObjectStore {
    owned_by(endpoint, bucket, "shop.long.0a")
}

fn owned_by(endpoint: &str, bucket: &str, owner: &str) -> ObjectStore {
    let bucket = Bucket {
        cloud: Cloud::S3,
        name: bucket.to_owned(),
        prefix: "weir".to_owned(),
        endpoint: Some(endpoint.to_owned()),
        region: None,
        secret: Some("s3".to_owned()),
    };
    ObjectStore::new(&bucket, owner, || {
        let read = |_: &str, key: &str| {
            let value = match key {
                "AWS_ACCESS_KEY_ID" => Some(ROOT[0]),
                "AWS_SECRET_ACCESS_KEY" => Some(ROOT[1]),
                _ => None,
            };
            Ok(value.map(|value| value.as_bytes().to_vec()))
        };
        Credentials::read(Cloud::S3, &Secret { name: "s3", read: &read, place: "the test".to_owned() })
    })
    .unwrap()
}

/// Feeds and moves the worker until something is so.
fn until(rig: &mut Rig, what: &str, mut is_so: impl FnMut(&Rig) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so(rig) {
        assert!(Instant::now() < deadline, "{what} does not come: {:?}", rig.problems());
        rig.feed();
        rig.step();
        rig.step();
        // The store works by another clock than the worker.
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

fn puts(rig: &Rig) -> u64 {
    rig.calls.puts.load(Ordering::SeqCst)
}

#[test]
fn a_worker_that_is_killed_restores_from_a_bucket() {
    let server = S3Server::start(&["state"]);
    let endpoint = server.endpoint();
    killed_and_restored(move || store(&endpoint, "state"));
}

#[test]
fn a_store_that_goes_away_is_a_problem_that_stops_nothing_and_ends_when_it_is_back() {
    let mut server = S3Server::start(&["state"]);
    let mut rig = Rig::new();
    rig.start(|counting| counting.background(store(&server.endpoint(), "state")));
    until(&mut rig, "a snapshot", |rig| puts(rig) > 3);
    assert!(rig.problems().is_empty());
    server.kill();
    until(&mut rig, "a problem", |rig| !rig.problems().is_empty());
    let problem = rig.problems().remove(0);
    let shown = (problem.condition, problem.reason, problem.permanent);
    assert_eq!(shown, (Condition::Checkpointed, Some(Reason::CheckpointFailing), false));
    let place = format!("in s3://state at {}: the store is not reached", server.endpoint());
    assert!(problem.message.contains(&place), "{}", problem.message);
    assert!(problem.message.contains("Connection refused"), "{}", problem.message);
    server.go_on();
    let before = puts(&rig);
    until(&mut rig, "no problem", |rig| rig.problems().is_empty() && puts(rig) > before);
    rig.start(|counting| counting.background(store(&server.endpoint(), "state")));
    rig.finish();
    assert!(rig.calls.gets.load(Ordering::SeqCst) > 0);
    assert_eq!(rig.outputs(), undisturbed(rig.fed));
}

#[test]
fn a_bucket_that_is_missing_is_told_at_the_first_snapshot_and_is_waited_for() {
    let server = S3Server::start(&["another"]);
    let mut rig = Rig::new();
    rig.start(|counting| counting.background(store(&server.endpoint(), "state")));
    until(&mut rig, "a problem", |rig| !rig.problems().is_empty());
    let message = &rig.problems()[0].message;
    assert!(message.contains("the bucket does not exist: create it"), "{message}");
    assert!(message.contains("NoSuchBucket"), "{message}");
    server.make_bucket("state");
    until(&mut rig, "no problem", |rig| rig.problems().is_empty() && puts(rig) > 0 && rig.fed > 500);
    rig.finish();
    assert_eq!(rig.outputs(), undisturbed(rig.fed));
}

#[test]
fn the_clean_up_deletes_the_objects_of_its_pipeline_with_keys_of_the_environment_while_kafka_is_away() {
    let mut server = S3Server::start(&["state"]);
    let endpoint = server.endpoint();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("generation.yaml");
    let manifest = format!(
        r"apiVersion: weir.dev/v1alpha1
kind: StreamPipeline
metadata: {{name: long, namespace: shop}}
spec:
  kafka: {{bootstrapServers: '127.0.0.1:1'}}
  checkpoint: {{storage: {{uri: 's3://state/weir', endpoint: '{endpoint}'}}}}
  sources: [{{name: in, kafka: {{topic: in}}}}]
  sinks: [{{name: out, kafka: {{topic: out}}}}]
"
    );
    let facts = GenerationFile {
        version: FILE_VERSION,
        namespace: "shop".to_owned(),
        pipeline: "long".to_owned(),
        uid8: "0a1b2c3d".to_owned(),
        generation: 1,
        plan_hash: "0".repeat(32),
        shape: Shape { replicas: 1, workers_per_replica: 1, placement: Placement::Modulo },
        priors: Vec::new(),
        rewinds: None,
        restore: None,
        rollback_window_ms: None,
        ports: Ports::default(),
        manifest,
    };
    std::fs::write(&file, serde_saphyr::to_string(&facts).unwrap()).unwrap();
    let shard = Shard { stage: "in".to_owned(), unit: 0, units: 1 };
    let mut gone = owned_by(&endpoint, "state", "shop.long.0a1b2c3d");
    let mut stays = owned_by(&endpoint, "state", "shop.long.ffffffff");
    for store in [&mut gone, &mut stays] {
        store.put(&shard, &key(1, "x"), b"state").unwrap();
    }
    let clean = || {
        let out = Command::new(env!("CARGO_BIN_EXE_weir"))
            .args(["cleanup", "--log-format", "text", "--generation-file"])
            .arg(&file)
            .env("AWS_ACCESS_KEY_ID", ROOT[0])
            .env("AWS_SECRET_ACCESS_KEY", ROOT[1])
            .output()
            .unwrap();
        (out.status.code(), String::from_utf8([out.stdout, out.stderr].concat()).unwrap())
    };
    server.kill();
    let (code, said) = clean();
    assert_eq!(code, Some(1), "{said}");
    let left =
        "snapshots of the pipeline are left below s3://state/weir/shop.long.0a1b2c3d: failed to delete";
    assert!(said.contains(left) && said.contains("the store is not reached"), "{said}");
    server.go_on();
    let (code, said) = clean();
    assert_eq!(code, Some(1), "Kafka is away: {said}");
    assert!(said.contains("broker 127.0.0.1:1 cannot be reached"), "{said}");
    assert!(gone.list(&shard).unwrap().is_empty(), "{said}");
    assert_eq!(stays.list(&shard).unwrap().len(), 1, "{said}");
}
