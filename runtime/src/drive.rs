//! Drives a worker on a thread of its own: clocks in, reports out.

use crate::clock;
use crate::pod::Pod;
use crate::worker::{Environment, Now, Step, Worker};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a step may wait for records.
const WAIT: Duration = Duration::from_millis(50);
/// Between reports.
const REPORT_EVERY: Duration = Duration::from_millis(250);
/// Rest after a step that had nothing to do and did not wait itself, as in a back-off.
const REST: Duration = Duration::from_millis(5);

/// Steps the worker until it has finished. Its intents come from `pod`, its reports go there.
pub fn drive<E: Environment>(worker: &mut Worker<E>, number: u32, pod: &Arc<Pod>) {
    let _all_lines_say_whose = worker.span().entered();
    let began = Instant::now();
    let now = || Now { monotonic_ms: began.elapsed().as_millis() as u64, wall_ms: clock::wall_ms() };
    let mut report_at = began;
    loop {
        let stepped_at = Instant::now();
        let step = worker.step(now(), WAIT, &pod.intents());
        if stepped_at >= report_at || step == Step::Finished {
            report_at = stepped_at + REPORT_EVERY;
            pod.report(number, worker.report());
        }
        match step {
            Step::Finished => return,
            Step::Waited if stepped_at.elapsed() < REST => std::thread::park_timeout(REST),
            Step::Moved | Step::Waited => {}
        }
    }
}
