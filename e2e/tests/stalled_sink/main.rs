//! A sink that takes nothing for a while, with as much input as a worker can read:
//! `KAFKA=host:port cargo test --features e2e/kafka-tests`.
//!
//! The worker holds back, says so, stays within the memory of its size, and loses and repeats nothing. `STALL_SECONDS`
//! says how long.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends at the first surprise")]

#[path = "../../../runtime/connect/tests/conformance/proxy.rs"]
#[expect(dead_code, reason = "other suites use the rest of it")]
mod proxy;
#[path = "../bad_input_kafka/world.rs"]
#[expect(dead_code, reason = "another suite uses the rest of it")]
mod world;

use control::Condition;
use control::status::Problem;
use proxy::Proxy;
use std::time::{Duration, Instant};
use world::World;

/// More than any buffer of a worker holds.
const RECORDS: usize = 400_000;
const RECORD_BYTES: usize = 700;
/// Half of the memory limit of a pod of size Small.
const MEMORY_MAX: u64 = 512 << 20;

fn stall() -> Duration {
    let seconds = std::env::var("STALL_SECONDS").map_or(15, |seconds| seconds.parse().unwrap());
    Duration::from_secs(seconds)
}

#[test]
fn a_worker_behind_a_stalled_sink_stays_small_and_loses_nothing() {
    let world = World::new("stalled");
    let (input, out) = (world.topic("in", &[]), world.topic("out", &[]));
    world.fill(&input, RECORDS, |n| format!("{{\"n\":{n},\"x\":\"{}\"}}", "x".repeat(RECORD_BYTES)));
    let manifest = format!(
        "apiVersion: weir.dev/v1alpha1\nkind: StreamPipeline\nmetadata: {{name: {}}}\nspec:\n  \
         sources: [{{name: in, kafka: {{topic: {input}}}}}]\n  \
         steps: [{{name: all, filter: {{expression: event.n >= 0}}}}]\n  \
         sinks: [{{name: out, kafka: {{topic: {out}}}}}]\n",
        world.unique
    );
    let proxy = Proxy::to(&world.bootstrap);
    proxy.stall(Some(&out));
    let weir = world.worker(&manifest, &proxy.address());
    let told = |problem: &Problem| {
        problem.condition == Condition::SinksConnected && problem.message.contains(&format!("topic `{out}`"))
    };
    weir.until_status("a stalled sink", |status| status.problems.iter().any(told));
    let until = Instant::now() + stall();
    while Instant::now() < until {
        let peak = weir.peak_bytes();
        assert!(peak < MEMORY_MAX, "{} MiB behind a stalled sink", peak >> 20);
        std::thread::park_timeout(Duration::from_millis(200));
    }
    assert!(world.read(&out).is_empty(), "nothing was taken");
    proxy.stall(None);
    weir.until_status("everything", |status| status.records >= RECORDS as u64);
    let peak = weir.peak_bytes();
    assert!(peak < MEMORY_MAX, "{} MiB after a stalled sink", peak >> 20);
    println!("peak of {} MiB with a sink stalled for {:?}", peak >> 20, stall());
    weir.until_status("no problem", |status| status.problems.is_empty());
    assert_eq!(weir.stop(), Some(0));
    let got = world.read(&out);
    assert_eq!(got.len(), RECORDS);
    for (n, record) in got.iter().enumerate() {
        assert!(
            record.text().starts_with(&format!("{{\"n\":{n},")),
            "record {n} is {}",
            &record.text()[..30]
        );
    }
}
