//! Files into topics.

use super::{Bounds, LocalError, Options, line_form, sink_topics, sources};
use crate::clock;
use connect::door::{IoError, Partitioning};
use connect::envelope::{LineError, LineRead, LineReader};
use connect::memory::Log;
use pipeline::plan::Plan;
use pipeline::record::RecordBatch;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::sync::Arc;
use std::thread::JoinHandle;

/// Records that are appended at once.
const CHUNK: usize = 1_024;
/// Buffer of a file, in bytes.
const READ_BYTES: usize = 1 << 20;

/// Input that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// The file.
    #[error("--input {name}={path}: failed to read the file")]
    Read {
        /// The source.
        name: String,
        /// The path.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A line that is no envelope.
    #[error("--input {name}={path}")]
    Line {
        /// The source.
        name: String,
        /// The path.
        path: String,
        /// Which line, and why.
        #[source]
        source: LineError,
    },
    /// The log in memory refuses it.
    #[error("--input {name}={path}: failed to append line {line}")]
    Append {
        /// The source.
        name: String,
        /// The path.
        path: String,
        /// The line.
        line: u64,
        /// Why.
        #[source]
        source: IoError,
    },
}

/// One file for one topic.
pub struct Input {
    name: String,
    path: String,
    topic: String,
}

/// Every source has a file, or is the sink of a pipeline of the same run.
pub fn resolve(plans: &[Arc<Plan>], options: &Options) -> Result<Vec<Input>, LocalError> {
    let all: Vec<(&str, &str)> = plans.iter().flat_map(|plan| sources(plan)).collect();
    for (name, _) in &options.inputs {
        if !all.iter().any(|(source, _)| source == name) {
            let names: Vec<_> = all.iter().map(|(source, _)| *source).collect();
            let known = format!("the sources are {}", names.join(", "));
            return Err(LocalError::UnknownName {
                option: "--input",
                name: name.clone(),
                what: "source",
                known,
            });
        }
    }
    let made: BTreeSet<String> = plans.iter().flat_map(|plan| sink_topics(plan)).collect();
    let mut inputs = Vec::new();
    let mut fed = BTreeSet::new();
    for (name, topic) in all {
        let path = options.inputs.iter().find(|(given, _)| given == name).map(|(_, path)| path.clone());
        match path {
            Some(path) if fed.insert(topic) => {
                inputs.push(Input { name: name.to_owned(), path, topic: topic.to_owned() });
            }
            Some(_) => {}
            None if made.contains(topic) => {}
            None => return Err(LocalError::NoInput { name: name.to_owned(), topic: topic.to_owned() }),
        }
    }
    Ok(inputs)
}

/// The threads that feed.
pub struct Feeders(Vec<JoinHandle<Result<(), InputError>>>, Arc<std::sync::atomic::AtomicBool>);

impl Feeders {
    /// True when one has failed.
    pub fn failed(&self) -> bool {
        self.1.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// The first failure. A feeder that still reads, because the run was stopped, is left behind.
    pub fn finish(self) -> Result<(), InputError> {
        for thread in self.0 {
            if thread.is_finished()
                && let Ok(result) = thread.join()
            {
                result?;
            }
        }
        Ok(())
    }
}

/// Starts a thread per file.
pub fn start(
    inputs: Vec<Input>,
    options: &Options,
    log: &Log,
    bounds: &Bounds,
) -> Result<Feeders, LocalError> {
    let failed = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let mut threads = Vec::new();
    for input in inputs {
        // A missing file is told before anything runs.
        let reader = open(&input).map_err(LocalError::Input)?;
        let (log, bounds, failed) = (log.clone(), bounds.clone(), failed.clone());
        let lines = LineReader::new(line_form(options));
        let partitions = options.partitions;
        let thread = std::thread::Builder::new().name(format!("feed-{}", input.name)).spawn(move || {
            let fed = feed(&input, reader, lines, partitions, &log);
            failed.fetch_or(fed.is_err(), std::sync::atomic::Ordering::Relaxed);
            bounds.end_topics(&log, [input.topic]);
            fed
        });
        threads
            .push(thread.map_err(|error| LocalError::Failed(format!("failed to start a thread: {error}")))?);
    }
    Ok(Feeders(threads, failed))
}

fn open(input: &Input) -> Result<Box<dyn BufRead + Send>, InputError> {
    if input.path == "-" {
        return Ok(Box::new(BufReader::new(std::io::stdin())));
    }
    let file = File::open(&input.path).map_err(|source| InputError::Read {
        name: input.name.clone(),
        path: input.path.clone(),
        source,
    })?;
    Ok(Box::new(BufReader::with_capacity(READ_BYTES, file)))
}

/// Lines without key and partition go round the partitions in order.
fn feed(
    input: &Input,
    mut reader: Box<dyn BufRead + Send>,
    mut lines: LineReader,
    partitions: u32,
    log: &Log,
) -> Result<(), InputError> {
    let (name, path) = (&input.name, &input.path);
    let mut batches: Vec<(Partitioning, RecordBatch)> = Vec::new();
    let (mut line, mut waiting, mut unkeyed) = (Vec::new(), 0, 0);
    loop {
        line.clear();
        let read = reader.read_until(b'\n', &mut line);
        let read =
            read.map_err(|source| InputError::Read { name: name.clone(), path: path.clone(), source })?;
        if read > 0 {
            let text = line.strip_suffix(b"\n").unwrap_or(&line);
            let mut record = RecordBatch::new();
            let found = lines
                .read(text, clock::wall_ms(), &mut record)
                .map_err(|source| InputError::Line { name: name.clone(), path: path.clone(), source })?;
            if let LineRead::Record { partition } = found {
                let to = match partition {
                    Some(partition) => Partitioning::Exact(partition % partitions),
                    None if record.key(0).is_some() => Partitioning::ByKey { unkeyed: 0 },
                    None => Partitioning::Exact(next(&mut unkeyed) % partitions),
                };
                match batches.iter_mut().find(|(known, _)| *known == to) {
                    Some((_, batch)) => batch.push_from(&record, 0),
                    None => batches.push((to, record)),
                }
                waiting += 1;
            }
        }
        if waiting >= CHUNK || read == 0 {
            for (to, batch) in batches.drain(..) {
                log.append(&input.topic, to, &batch).map_err(|source| InputError::Append {
                    name: name.clone(),
                    path: path.clone(),
                    line: lines.line(),
                    source,
                })?;
            }
            waiting = 0;
        }
        if read == 0 {
            return Ok(());
        }
    }
}

fn next(count: &mut u32) -> u32 {
    let number = *count;
    *count = count.wrapping_add(1);
    number
}
