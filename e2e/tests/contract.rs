//! The control API both ways: what the runtime serves is what the operator reads, over a socket. The golden file of
//! `control` is the third witness: both sides carry it unchanged.

use control::call::DrainId;
use control::status::{UnitState, UnitStatus, WorkerStatus};
use control::{GenerationFile, PodStatus};
use operator::pods::{Address, Instruction, Pods};
use runtime::http::{Served, control_routes};
use runtime::pod::{Pod, Report, WindowReport};
use runtime::secrets::Secrets;
use std::sync::Arc;
use tokio::net::TcpListener;

const GENERATION: &str = include_str!("../../runtime/control/tests/golden/generation-v1.json");
const STATUS: &str = include_str!("../../runtime/control/tests/golden/pod-status-v1.json");

/// The pod of the golden file, as far as a report makes it.
fn golden() -> (PodStatus, Report) {
    let status: PodStatus = serde_json::from_str(STATUS).expect("the golden file decodes");
    let window = &status.windows[0];
    let report = Report {
        worker: Some(WorkerStatus { worker: 0, incarnation: status.workers[0].incarnation.clone() }),
        units: vec![UnitStatus { drain: None, ..status.units[0].clone() }],
        windows: [(window.step.clone(), WindowReport { open: window.open, late: window.late })].into(),
        lag_records: status.lag.records,
        rate_per_second: status.rate_records_per_second,
        watermark_ms: status.watermark_ms,
        last_commit_ms: status.last_commit_ms,
        oldest_snapshot_ms: status.oldest_snapshot_ms,
        newest_generation: status.newest_generation,
        restarts: status.worker_restarts,
        problems: status.problems.clone(),
        ..Report::default()
    };
    (status, report)
}

async fn serve(pod: &Arc<Pod>) -> Address {
    let served = Served {
        pod: pod.clone(),
        generation: Arc::new(serde_json::from_str::<GenerationFile>(GENERATION).expect("golden")),
        started_at_ms: 1_767_225_600_000,
        secrets: Arc::new(Secrets::default()),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = Address(listener.local_addr().expect("bound").to_string());
    tokio::spawn(async move { axum::serve(listener, control_routes(served)).await });
    address
}

fn pods() -> Pods {
    // Another test of this process may have installed it before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Pods::new().expect("a client")
}

#[tokio::test]
async fn the_operator_reads_what_the_runtime_serves() {
    let (golden, report) = golden();
    let pod = Arc::new(Pod::default());
    pod.report(0, report);
    let status = pods().status(&serve(&pod).await).await.expect("it decodes");
    assert_eq!((&status.api_version, &status.uid8), (&golden.api_version, &golden.uid8));
    assert_eq!((status.generation, status.started_at_ms), (golden.generation, golden.started_at_ms));
    assert_eq!((&status.units[0], &status.workers[0]), (&golden.units[0], &golden.workers[0]));
    assert_eq!((&status.windows, &status.problems), (&golden.windows, &golden.problems));
    assert_eq!(status.lag.records, golden.lag.records);
    assert_eq!(status.lag.seconds, None, "nobody reported an age");
    assert_eq!(status.rate_records_per_second, golden.rate_records_per_second);
    assert_eq!(status.oldest_snapshot_ms, golden.oldest_snapshot_ms);
    assert!(status.every_unit(|unit| unit.state == UnitState::Live));
}

#[tokio::test]
async fn the_runtime_does_what_the_operator_says() {
    let pod = Arc::new(Pod::default());
    let address = [serve(&pod).await];
    let id = DrainId::new("g2-7f3a").expect("an id");
    let other = DrainId::new("g2-0000").expect("an id");
    for (instruction, refused) in [
        (Instruction::Promote(2), 0),
        (Instruction::Promote(9), 1),
        (Instruction::Drain(id.clone()), 0),
        (Instruction::Drain(id.clone()), 0),
        (Instruction::Drain(other.clone()), 1),
        (Instruction::Resume(other), 1),
        (Instruction::Resume(id.clone()), 0),
    ] {
        assert_eq!(pods().tell(&address, &instruction).await, refused, "{instruction:?}");
    }
    let intents = pod.intents();
    assert_eq!(
        (intents.promoted, intents.drain, intents.resumed),
        (Some(2), Some((id.clone(), true)), Some(id))
    );
}
