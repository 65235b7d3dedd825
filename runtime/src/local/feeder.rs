//! Files into topics.

use super::first::First;
use super::given::{STANDARD, path_of};
use super::{Bounds, LocalError, Options, line_form, sink_topics, sources};
use crate::clock;
use connect::door::{IoError, Partitioning};
use connect::envelope::{LineError, LineRead, LineReader};
use connect::memory::Log;
use pipeline::plan::Plan;
use pipeline::record::RecordBatch;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;

/// Records that are appended at once.
const CHUNK: usize = 1_024;
/// Bytes that are appended at once, unless one line is longer.
const CHUNK_BYTES: usize = 4 << 20;
/// The longest line. A longer one is no record, but a file of something else.
const LINE_BYTES_MAX: usize = 256 << 20;
/// What some editors put before the first character.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
/// Buffer of a file, in bytes.
const READ_BYTES: usize = 1 << 20;

/// Input that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// The file.
    #[error("--input {name}={path}: cannot be read")]
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
    /// A line without end.
    #[error(
        "--input {name}={path}: line {line} is longer than {} MiB; a file of JSON lines is expected",
        LINE_BYTES_MAX >> 20
    )]
    TooLong {
        /// The source.
        name: String,
        /// The path.
        path: String,
        /// The line.
        line: u64,
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

/// One open file for one topic.
pub struct Input {
    name: String,
    path: String,
    topic: String,
    reader: BufReader<Box<dyn Read + Send>>,
}

/// Opens the file of every source that does not read the sink of a pipeline of the same run.
pub fn open(plans: &[Arc<Plan>], options: &Options) -> Result<Vec<Input>, LocalError> {
    let made: BTreeSet<String> = plans.iter().flat_map(|plan| sink_topics(plan)).collect();
    let mut inputs = Vec::new();
    let mut fed = BTreeSet::new();
    for (name, topic) in plans.iter().flat_map(|plan| sources(plan)) {
        match path_of(&options.inputs, name) {
            Some(path) if fed.insert(topic) => inputs.push(Input::open(name, path, topic)?),
            Some(_) => {}
            None if made.contains(topic) || fed.contains(topic) => {}
            None => return Err(LocalError::NoInput { name: name.to_owned(), topic: topic.to_owned() }),
        }
    }
    Ok(inputs)
}

impl Input {
    fn open(name: &str, path: &str, topic: &str) -> Result<Self, LocalError> {
        let bytes: Box<dyn Read + Send> = if path == STANDARD {
            Box::new(std::io::stdin())
        } else {
            let file = File::open(path).and_then(|file| {
                let is_directory = file.metadata()?.is_dir();
                if is_directory { Err(std::io::ErrorKind::IsADirectory.into()) } else { Ok(file) }
            });
            let (name, path) = (name.to_owned(), path.to_owned());
            Box::new(file.map_err(|source| LocalError::Open(InputError::Read { name, path, source }))?)
        };
        let reader = BufReader::with_capacity(READ_BYTES, bytes);
        Ok(Self { name: name.to_owned(), path: path.to_owned(), topic: topic.to_owned(), reader })
    }
}

/// Starts a thread per file, and gives where the first failure will be. A topic whose file could not be read does not end:
/// what was read is not all there is. A thread that still waits for input when the run is stopped is left behind.
pub fn start(
    inputs: Vec<Input>,
    options: &Options,
    log: &Log,
    bounds: &Bounds,
) -> Result<First<InputError>, LocalError> {
    let unread = First::default();
    bounds.begin(inputs.iter().map(|input| input.topic.clone()));
    for input in inputs {
        // What Kafka would not take is read too, and becomes a dead letter.
        let _the_topic_was_made = log.set_message_bytes_max(&input.topic, LINE_BYTES_MAX);
        let (log, bounds, unread) = (log.clone(), bounds.clone(), unread.clone());
        let lines = LineReader::new(line_form(options));
        let partitions = options.partitions;
        let thread = std::thread::Builder::new().name(format!("feed-{}", input.name)).spawn(move || {
            let topic = input.topic.clone();
            let mut feed =
                Feed { input, lines, partitions, unkeyed: 0, batches: Vec::new(), waiting: 0, bytes: 0 };
            match feed.run(&log) {
                Ok(()) => bounds.done(&log, [topic]),
                Err(error) => unread.set(error),
            }
        });
        let _left_behind_when_stopped = thread.map_err(LocalError::Thread)?;
    }
    Ok(unread)
}

/// A file on its way into its topic.
struct Feed {
    input: Input,
    lines: LineReader,
    partitions: u32,
    /// Lines without key and partition so far: they go round the partitions in order.
    unkeyed: u32,
    batches: Vec<(Partitioning, RecordBatch)>,
    /// Records and bytes in the batches.
    waiting: usize,
    bytes: usize,
}

impl Feed {
    fn run(&mut self, log: &Log) -> Result<(), InputError> {
        let mut line = Vec::new();
        while self.next_line(&mut line)? {
            self.take(&line)?;
            if self.waiting >= CHUNK || self.bytes >= CHUNK_BYTES || self.nothing_at_hand() {
                self.append(log)?;
            }
        }
        self.append(log)
    }

    /// Reads a line without its end; false when there is none.
    fn next_line(&mut self, line: &mut Vec<u8>) -> Result<bool, InputError> {
        line.clear();
        let mut bounded = (&mut self.input.reader).take(LINE_BYTES_MAX as u64 + 1);
        let read = bounded.read_until(b'\n', line);
        let read = read.map_err(|source| InputError::Read {
            name: self.input.name.clone(),
            path: self.input.path.clone(),
            source,
        })?;
        if line.len() > LINE_BYTES_MAX {
            return Err(InputError::TooLong {
                name: self.input.name.clone(),
                path: self.input.path.clone(),
                line: self.lines.line() + 1,
            });
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        if self.lines.line() == 0 && line.starts_with(BYTE_ORDER_MARK) {
            line.drain(..BYTE_ORDER_MARK.len());
        }
        Ok(read > 0)
    }

    fn take(&mut self, line: &[u8]) -> Result<(), InputError> {
        let mut record = RecordBatch::new();
        let read = self.lines.read(line, clock::wall_ms(), &mut record);
        let read = read.map_err(|source| InputError::Line {
            name: self.input.name.clone(),
            path: self.input.path.clone(),
            source,
        })?;
        let LineRead::Record { partition } = read else { return Ok(()) };
        let to = match partition {
            Some(partition) => Partitioning::Exact(partition % self.partitions),
            None if record.key(0).is_some() => Partitioning::ByKey { unkeyed: 0 },
            None => {
                self.unkeyed = self.unkeyed.wrapping_add(1);
                Partitioning::Exact(self.unkeyed.wrapping_sub(1) % self.partitions)
            }
        };
        self.waiting += 1;
        self.bytes += record.byte_len();
        match self.batches.iter_mut().find(|(known, _)| *known == to) {
            Some((_, batch)) => batch.push_from(&record, 0),
            None => self.batches.push((to, record)),
        }
        Ok(())
    }

    /// What was read is processed before more is waited for: a pipe may be slow.
    fn nothing_at_hand(&self) -> bool {
        self.input.reader.buffer().is_empty()
    }

    fn append(&mut self, log: &Log) -> Result<(), InputError> {
        (self.waiting, self.bytes) = (0, 0);
        for (to, batch) in self.batches.drain(..) {
            log.append(&self.input.topic, to, &batch).map_err(|source| InputError::Append {
                name: self.input.name.clone(),
                path: self.input.path.clone(),
                line: self.lines.line(),
                source,
            })?;
        }
        Ok(())
    }
}
