//! `audit`: kills workers under load and says what was lost or doubled. Ends with 0 only when nothing was.

use anyhow::Context;
use clap::Parser;
use e2e::audit::fleet::Fleet;
use e2e::audit::pauses::{Advances, Watch, quantile};
use e2e::audit::pods::{Pods, WISHES};
use e2e::audit::workers::{Launch, Worker};
use e2e::audit::{Ends, Topics, create, input, verdict};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// The exactly-once audit against a real Kafka, with plain worker processes or with pods.
#[derive(Parser, Debug)]
struct Arguments {
    /// `host:port` of Kafka.
    #[arg(long, env = "KAFKA", default_value = "127.0.0.1:9092")]
    kafka: String,
    /// The `weir` program, for workers that are plain processes.
    #[arg(long, required_unless_present = "pods")]
    weir: Option<PathBuf>,
    /// Workers are pods of the cluster that kubectl reaches, whose node is this machine; the operator has to be there.
    #[arg(long, conflicts_with = "weir")]
    pods: bool,
    /// `host:port` of Kafka for pods.
    #[arg(long, env = "KAFKA_IN_CLUSTER", required_if_eq("pods", "true"))]
    kafka_in_cluster: Option<String>,
    /// A file with what the pipeline has under `spec.kafka`, in place of the address alone.
    #[arg(long)]
    access: Option<PathBuf>,
    /// Records per second.
    #[arg(long, default_value_t = 4_000)]
    rate: u64,
    /// Seconds of load.
    #[arg(long, default_value_t = 250)]
    seconds: u64,
    /// Keys that stand in the state from before the load to its end.
    #[arg(long, default_value_t = 0, requires = "pods")]
    keys: u64,
    /// Workers.
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
    /// Pods deleted without grace.
    #[arg(long, default_value_t = 0, requires = "pods")]
    force_deletes: u32,
    /// Changes of the number of pods, between 1 and 4.
    #[arg(long, default_value_t = 0, requires = "pods")]
    rescales: u32,
    /// Changes of the plan to one that computes the same.
    #[arg(long, default_value_t = 0, requires = "pods")]
    upgrades: u32,
    /// How many of these changes lose the operator at some step: its pod is deleted without grace, later each time.
    #[arg(long, default_value_t = 0, requires = "pods")]
    operator_kills: u32,
    /// Changes that cannot be: refused, or without a node for them; taken back when the status says so.
    #[arg(long, default_value_t = 0, requires = "pods")]
    refusals: u32,
    /// Changes of the plan that take over and do not work, so that they are taken back.
    #[arg(long, default_value_t = 0, requires = "pods")]
    rollbacks: u32,
    /// A command that restarts the broker, run once in the middle.
    #[arg(long)]
    restart_broker: Option<String>,
    /// A command that is run once at some moment, the given ones in their order. When it fails, the audit does.
    #[arg(long = "command", value_name = "COMMAND")]
    commands: Vec<String>,
    /// Where logs go.
    #[arg(long, default_value = "/tmp/weir-audit")]
    logs: PathBuf,
}

/// Where the pods are.
const NAMESPACE: &str = "weir-audit";

/// How long the output is looked at behind the loss of a pod.
const RECOVERY: Duration = Duration::from_secs(5);
/// How much later in an upgrade the operator is lost each time.
const OPERATOR_STEP: Duration = Duration::from_millis(500);

/// What one kill is to hit.
#[derive(Clone, Copy, Debug)]
enum Moment {
    Any,
    OpenTransaction,
    Restore,
    ForceDelete,
    BrokerRestart,
    /// So many pods from now on.
    Rescale(u32),
    /// Another plan, the so many-th.
    Upgrade(u32),
    /// What cannot be, the so many-th.
    Refusal(usize),
    /// What is taken back, the so many-th.
    Rollback(u32),
    /// One of the commands.
    Command(usize),
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let suffix = std::process::id().to_string();
    let topics = Topics::new(&suffix);
    std::fs::create_dir_all(&arguments.logs)?;
    tokio::runtime::Runtime::new()?.block_on(create(&arguments.kafka, &topics))?;
    let mut fleet = start(&arguments, &topics, &format!("audit-{suffix}"))?;
    let standing_ms = jiff::Timestamp::now().as_millisecond();
    input::stand(&arguments.kafka, &topics, standing_ms, arguments.keys)?;
    input::await_standing(
        &arguments.kafka,
        &topics,
        &format!("weir.{NAMESPACE}.audit-{suffix}"),
        arguments.keys,
    )?;
    let load = {
        let (kafka, topics, rate) = (arguments.kafka.clone(), topics.clone(), arguments.rate);
        let (count, base_ms) = (rate * arguments.seconds, jiff::Timestamp::now().as_millisecond());
        std::thread::spawn(move || input::produce(&kafka, &topics, base_ms, rate, count))
    };
    let watch = Watch::begin(&arguments.kafka, &topics.passed)?;
    let done = disturb(&arguments, &topics, &mut fleet)?;
    load.join().map_err(|_| anyhow::anyhow!("the producer panicked"))??;
    let advances = watch.end()?;
    input::stand_no_longer(&arguments.kafka, &topics, standing_ms)?;
    let expected = (arguments.keys, arguments.rollbacks > 0);
    let verdict = verdict::wait(&arguments.kafka, &topics, expected, Duration::from_secs(180))?;
    println!(
        "audit: {} records/s for {} s, {} keys in the state, {} SIGKILLs ({} in an open transaction, {} in a restore), {} force-deletes, {} broker restarts, {} commands; {verdict}",
        arguments.rate,
        arguments.seconds,
        arguments.keys,
        done.kills,
        done.open,
        done.restore,
        done.deletes,
        done.broker,
        done.commands
    );
    for (what, changes) in [
        ("rescales", &done.rescales),
        ("upgrades", &done.upgrades),
        ("refusals", &done.refusals),
        ("rollbacks", &done.rollbacks),
    ] {
        if !changes.is_empty() {
            println!("audit: {} {what}, {}", changes.len(), paused(&advances, changes));
        }
    }
    if !done.recoveries.is_empty() {
        println!("audit: {}", recovered(&advances, &done.recoveries));
    }
    let memory = fleet.look_at_memory()?;
    fleet.stop()?;
    if let Some(memory) = memory {
        println!("audit: a pod took at most {} of {} KiB", memory.peak_kib, memory.limit_kib);
        anyhow::ensure!((1..memory.limit_kib).contains(&memory.peak_kib), "a pod took all of its memory");
    }
    anyhow::ensure!(verdict.is_clean(), "the output is wrong; logs are in {}", arguments.logs.display());
    Ok(())
}

/// Starts the workers and waits until all are live.
fn start(arguments: &Arguments, topics: &Topics, name: &str) -> anyhow::Result<Fleet> {
    let manifest = arguments.logs.join(format!("{name}.yaml"));
    let kafka = arguments.kafka_in_cluster.as_ref().filter(|_| arguments.pods).unwrap_or(&arguments.kafka);
    let access = match &arguments.access {
        Some(file) => {
            std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?
        }
        None => format!("bootstrapServers: \"{kafka}\"\n"),
    };
    std::fs::write(&manifest, topics.manifest(name, &access, arguments.workers))?;
    match &arguments.weir {
        Some(weir) => processes(arguments, weir, manifest),
        None => Ok(Fleet::Pods(Pods::start(NAMESPACE, name, arguments.workers, &manifest)?)),
    }
}

fn processes(arguments: &Arguments, weir: &Path, manifest: PathBuf) -> anyhow::Result<Fleet> {
    let launch = Launch {
        program: weir.to_owned(),
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
    Ok(Fleet::Processes(workers))
}

/// What was done to the workers.
#[derive(Clone, Debug, Default)]
struct Done {
    kills: u32,
    open: u32,
    restore: u32,
    deletes: u32,
    broker: u32,
    commands: u32,
    /// From the wish to its being fulfilled.
    rescales: Vec<(Instant, Instant)>,
    upgrades: Vec<(Instant, Instant)>,
    refusals: Vec<(Instant, Instant)>,
    rollbacks: Vec<(Instant, Instant)>,
    /// From a SIGKILL or a deletion until the output has to be back for certain.
    recoveries: Vec<(Instant, Instant)>,
}

/// How long the output stood still for hand-overs, over partitions and hand-overs.
fn paused(advances: &Advances, changes: &[(Instant, Instant)]) -> String {
    let mut pauses: Vec<Duration> =
        changes.iter().flat_map(|(from, to)| advances.longest(*from, *to)).collect();
    pauses.sort();
    let ms = |of| quantile(&pauses, of).as_millis();
    let longest = changes.iter().filter_map(|(from, to)| advances.longest(*from, *to).into_iter().max());
    let longest: Vec<String> = longest.map(|pause| pause.as_millis().to_string()).collect();
    format!(
        "output of a partition stood still for {} ms (p50), {} ms (p95), {} ms (longest); longest of each: {}",
        ms(0.5),
        ms(0.95),
        ms(1.0),
        longest.join(" ")
    )
}

/// How long it took from a loss of a pod until all partitions went on.
fn recovered(advances: &Advances, losses: &[(Instant, Instant)]) -> String {
    let longest = losses.iter().filter_map(|(from, to)| advances.longest(*from, *to).into_iter().max());
    let mut longest: Vec<Duration> = longest.collect();
    longest.sort();
    let ms = |of| quantile(&longest, of).as_millis();
    format!(
        "{} losses of a pod, from the last output before to the first behind it {} ms (p50), {} ms (p99), {} ms (longest)",
        longest.len(),
        ms(0.5),
        ms(0.99),
        ms(1.0)
    )
}

/// Spreads the disturbances evenly over the load.
fn disturb(arguments: &Arguments, topics: &Topics, fleet: &mut Fleet) -> anyhow::Result<Done> {
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
        let victim = index % fleet.count();
        fleet.look_at_memory()?;
        strike(arguments, topics, &ends, (fleet, victim), *moment, &mut done)
            .with_context(|| format!("{moment:?} of worker {victim}"))?;
    }
    Ok(done)
}

/// All moments, mixed.
fn plan(arguments: &Arguments) -> Vec<Moment> {
    let mut moments = Vec::new();
    let kinds = [
        (arguments.kills, Moment::Any),
        (arguments.open_kills, Moment::OpenTransaction),
        (arguments.restore_kills, Moment::Restore),
        (arguments.force_deletes, Moment::ForceDelete),
    ];
    let most = kinds.iter().map(|(count, _)| *count).max().unwrap_or_default();
    for index in 0..most {
        moments.extend(kinds.into_iter().filter(|(count, _)| index < *count).map(|(_, moment)| moment));
    }
    if arguments.restart_broker.is_some() {
        moments.insert(moments.len() / 2, Moment::BrokerRestart);
    }
    // From few to many and back.
    let rescales = (0..arguments.rescales).map(|index| Moment::Rescale([4, 1, 3, 2][index as usize % 4]));
    spread(&mut moments, rescales.collect());
    spread(&mut moments, (1..=arguments.upgrades).map(Moment::Upgrade).collect());
    spread(&mut moments, (0..arguments.refusals as usize).map(Moment::Refusal).collect());
    spread(&mut moments, (1..=arguments.rollbacks).map(Moment::Rollback).collect());
    let (strikes, commands) = (moments.len(), arguments.commands.len());
    for index in 0..commands {
        moments.insert((index + 1) * strikes / commands + index, Moment::Command(index));
    }
    moments
}

/// Puts moments evenly between those that there are.
fn spread(moments: &mut Vec<Moment>, new: Vec<Moment>) {
    let (count, total) = (new.len(), moments.len());
    for (index, moment) in new.into_iter().enumerate() {
        let at = (index + 1) * total / (count + 1) + index;
        moments.insert(at.min(moments.len()), moment);
    }
}

fn strike(
    arguments: &Arguments,
    topics: &Topics,
    ends: &Ends,
    (fleet, victim): (&mut Fleet, usize),
    moment: Moment,
    done: &mut Done,
) -> anyhow::Result<()> {
    if matches!(moment, Moment::Any | Moment::OpenTransaction | Moment::Restore | Moment::ForceDelete) {
        done.recoveries.push((Instant::now(), Instant::now() + RECOVERY));
    }
    match moment {
        Moment::Any => {
            fleet.kill(victim)?;
            done.kills += 1;
        }
        Moment::OpenTransaction => {
            fleet.freeze_in_transaction(victim, topics, ends)?;
            fleet.kill(victim)?;
            done.kills += 1;
            done.open += 1;
        }
        Moment::Restore => {
            fleet.kill_in_restore(victim)?;
            done.kills += 2;
            done.restore += 1;
        }
        Moment::ForceDelete => {
            fleet.force_delete(victim)?;
            done.deletes += 1;
        }
        Moment::BrokerRestart => {
            run(arguments.restart_broker.as_deref().unwrap_or_default())?;
            done.broker += 1;
        }
        Moment::Rescale(replicas) => {
            let asked = Instant::now();
            fleet.pods()?.rescale(replicas)?;
            done.rescales.push((asked, Instant::now()));
        }
        Moment::Upgrade(number) => {
            // A pod that was killed just before is no part of the pause.
            fleet.pods()?.wait_ready()?;
            let asked = Instant::now();
            let kills = (number <= arguments.operator_kills).then(|| OPERATOR_STEP * number);
            fleet.pods()?.upgrade(number, kills)?;
            done.upgrades.push((asked, Instant::now()));
        }
        Moment::Refusal(index) => {
            fleet.pods()?.wait_ready()?;
            let asked = Instant::now();
            fleet.pods()?.refused(&WISHES[index % WISHES.len()])?;
            done.refusals.push((asked, Instant::now()));
        }
        Moment::Rollback(number) => {
            fleet.pods()?.wait_ready()?;
            let asked = Instant::now();
            fleet.pods()?.rolled_back(number)?;
            done.rollbacks.push((asked, Instant::now()));
        }
        Moment::Command(index) => {
            run(&arguments.commands[index])?;
            done.commands += 1;
        }
    }
    Ok(())
}

fn run(command: &str) -> anyhow::Result<()> {
    let status = Command::new("bash").args(["-c", command]).status()?;
    anyhow::ensure!(status.success(), "`{command}` failed: {status}");
    Ok(())
}
