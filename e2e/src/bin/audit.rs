//! `audit`: kills workers under load and says what was lost or doubled. Ends with 0 only when nothing was.

use anyhow::Context;
use clap::Parser;
use e2e::audit::workers::{Launch, Worker};
use e2e::audit::{Ends, Topics, create, input, verdict};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// The exactly-once audit against a real Kafka, with plain worker processes.
#[derive(Parser, Debug)]
struct Arguments {
    /// `host:port` of Kafka.
    #[arg(long, env = "KAFKA", default_value = "127.0.0.1:9092")]
    kafka: String,
    /// The `weir` program.
    #[arg(long)]
    weir: PathBuf,
    /// Records per second.
    #[arg(long, default_value_t = 4_000)]
    rate: u64,
    /// Seconds of load.
    #[arg(long, default_value_t = 250)]
    seconds: u64,
    /// Worker processes.
    #[arg(long, default_value_t = 3)]
    workers: u32,
    /// SIGKILLs at any moment.
    #[arg(long, default_value_t = 10)]
    kills: u32,
    /// SIGKILLs inside an open transaction.
    #[arg(long, default_value_t = 10)]
    open_kills: u32,
    /// SIGKILLs while the worker restores.
    #[arg(long, default_value_t = 2)]
    restore_kills: u32,
    /// A command that restarts the broker, run once in the middle.
    #[arg(long)]
    restart_broker: Option<String>,
    /// Where logs go.
    #[arg(long, default_value = "/tmp/weir-audit")]
    logs: PathBuf,
}

/// What one kill is to hit.
#[derive(Clone, Copy, Debug)]
enum Moment {
    Any,
    OpenTransaction,
    Restore,
    BrokerRestart,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let suffix = std::process::id().to_string();
    let topics = Topics::new(&suffix);
    std::fs::create_dir_all(&arguments.logs)?;
    let manifest = arguments.logs.join(format!("audit-{suffix}.yaml"));
    std::fs::write(&manifest, topics.manifest(&format!("audit-{suffix}"), &arguments.kafka))?;
    tokio::runtime::Runtime::new()?.block_on(create(&arguments.kafka, &topics))?;
    let launch = Launch {
        program: arguments.weir.clone(),
        manifest,
        bootstrap: arguments.kafka.clone(),
        workers: arguments.workers,
        logs: arguments.logs.clone(),
    };
    let mut workers: Vec<_> =
        (0..arguments.workers).map(|w| Worker::start(&launch, w)).collect::<Result<_, _>>()?;
    for worker in &mut workers {
        worker.wait_for("Live", Duration::from_secs(60))?;
    }
    let load = {
        let (kafka, topics, rate) = (arguments.kafka.clone(), topics.clone(), arguments.rate);
        let (count, base_ms) = (rate * arguments.seconds, jiff::Timestamp::now().as_millisecond());
        std::thread::spawn(move || input::produce(&kafka, &topics, base_ms, rate, count))
    };
    let done = disturb(&arguments, &topics, &mut workers)?;
    load.join().map_err(|_| anyhow::anyhow!("the producer panicked"))??;
    let verdict = verdict::wait(&arguments.kafka, &topics, Duration::from_secs(180))?;
    println!(
        "audit: {} records/s for {} s, {} SIGKILLs ({} in an open transaction, {} in a restore), {} broker restarts; {verdict}",
        arguments.rate, arguments.seconds, done.kills, done.open, done.restore, done.broker
    );
    for worker in workers {
        worker.stop(Duration::from_secs(30))?;
    }
    anyhow::ensure!(verdict.is_clean(), "the output is wrong; logs are in {}", arguments.logs.display());
    Ok(())
}

/// What was done to the workers.
#[derive(Clone, Copy, Debug, Default)]
struct Done {
    kills: u32,
    open: u32,
    restore: u32,
    broker: u32,
}

/// Spreads the disturbances evenly over the load.
fn disturb(arguments: &Arguments, topics: &Topics, workers: &mut [Worker]) -> anyhow::Result<Done> {
    let moments = plan(arguments);
    let ends = Ends::new(&arguments.kafka)?;
    let mut done = Done::default();
    let began = Instant::now();
    let every = Duration::from_secs(arguments.seconds) / (moments.len() as u32 + 1);
    for (index, moment) in moments.iter().enumerate() {
        let due = began + every * (index as u32 + 1);
        while let Some(left) = due.checked_duration_since(Instant::now()) {
            std::thread::park_timeout(left);
        }
        let victim = index % workers.len();
        strike(arguments, topics, &ends, &mut workers[victim], *moment, &mut done)
            .with_context(|| format!("{moment:?} of worker {victim}"))?;
    }
    Ok(done)
}

/// All moments, mixed.
fn plan(arguments: &Arguments) -> Vec<Moment> {
    let mut moments = Vec::new();
    let most = arguments.kills.max(arguments.open_kills).max(arguments.restore_kills);
    for index in 0..most {
        let kinds = [
            (arguments.kills, Moment::Any),
            (arguments.open_kills, Moment::OpenTransaction),
            (arguments.restore_kills, Moment::Restore),
        ];
        moments.extend(kinds.into_iter().filter(|(count, _)| index < *count).map(|(_, moment)| moment));
    }
    if arguments.restart_broker.is_some() {
        moments.insert(moments.len() / 2, Moment::BrokerRestart);
    }
    moments
}

fn strike(
    arguments: &Arguments,
    topics: &Topics,
    ends: &Ends,
    worker: &mut Worker,
    moment: Moment,
    done: &mut Done,
) -> anyhow::Result<()> {
    match moment {
        Moment::Any => {
            worker.kill_and_restart()?;
            done.kills += 1;
        }
        Moment::OpenTransaction => {
            freeze_in_transaction(topics, ends, worker)?;
            worker.kill_and_restart()?;
            done.kills += 1;
            done.open += 1;
        }
        Moment::Restore => {
            worker.kill_and_restart()?;
            worker.wait_for("Restoring", Duration::from_secs(60))?;
            worker.kill_and_restart()?;
            done.kills += 2;
            done.restore += 1;
        }
        Moment::BrokerRestart => {
            let command = arguments.restart_broker.as_deref().unwrap_or_default();
            let status = Command::new("bash").args(["-c", command]).status()?;
            anyhow::ensure!(status.success(), "`{command}` failed: {status}");
            done.broker += 1;
        }
    }
    Ok(())
}

/// Stops the process again and again until it stands still with a transaction open: the kill that follows leaves it
/// open. Keys keep their partition from `in` to `passed`, so worker `w` writes partition `w`.
fn freeze_in_transaction(topics: &Topics, ends: &Ends, worker: &Worker) -> anyhow::Result<()> {
    let until = Instant::now() + Duration::from_secs(60);
    let partition = worker.index() as i32;
    // A broker that is just coming back does not answer: then nothing is known to be open.
    let is_open = || ends.transaction_is_open(&topics.passed, partition).unwrap_or(false);
    while Instant::now() < until {
        if !is_open() {
            continue;
        }
        worker.signal("STOP")?;
        if is_open() {
            return Ok(());
        }
        worker.signal("CONT")?;
    }
    anyhow::bail!("worker {} was never seen inside a transaction", worker.index())
}
