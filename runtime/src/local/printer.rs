//! Committed records of sink topics into files and onto standard output.

use super::first::First;
use super::given::STANDARD;
use super::{LocalError, Options, is_called, line_form};
use connect::memory::{Log, Reader};
use connect::sink::{FileMode, LineSink, SinkError};
use pipeline::plan::{Plan, Sink, SinkConnector, SinkRole};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Between looks at the topics.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// One topic and where its records go.
pub struct Printer {
    reader: Reader,
    sink: LineSink,
}

/// Where a sink's records go: what `--output` says, else standard output for the sinks that the user named. None: a late
/// or bad record that nobody wants to see, or a file that the manifest names.
pub fn output_of<'a>(sink: &Sink, options: &'a Options) -> Option<&'a str> {
    let given = options.outputs.iter().find(|(given, _)| is_called(sink.role, &sink.name, given));
    match (given, &sink.connector) {
        (Some((_, path)), _) => Some(path),
        (None, SinkConnector::File { .. }) => None,
        (None, _) => (sink.role == SinkRole::User).then_some(STANDARD),
    }
}

/// Opens the output of every topic that is printed.
pub fn open(plans: &[Arc<Plan>], options: &Options, log: &Log) -> Result<Vec<Printer>, LocalError> {
    let mut printers = Vec::new();
    let mut printed = BTreeSet::new();
    for sink in plans.iter().flat_map(|plan| plan.sinks()) {
        let SinkConnector::Kafka { topic, .. } = &sink.connector else { continue };
        let Some(path) = output_of(sink, options).filter(|_| printed.insert(topic)) else { continue };
        let reader = log.reader(topic).map_err(LocalError::Log)?;
        let sink = LineSink::file(path, FileMode::Replace, line_form(options)).map_err(LocalError::Output)?;
        printers.push(Printer { reader, sink });
    }
    Ok(printers)
}

/// The thread that prints.
pub struct Printing {
    done: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Printing {
    /// Prints what is still there, and ends.
    pub fn finish(self) {
        self.done.store(true, Ordering::Release);
        self.thread.thread().unpark();
        let _told_by_broken = self.thread.join();
    }
}

/// Starts the thread that prints, until something cannot be written.
pub fn start(mut printers: Vec<Printer>, broken: &First<SinkError>) -> Result<Printing, LocalError> {
    let done = Arc::new(AtomicBool::new(false));
    let (ending, broken) = (done.clone(), broken.clone());
    let print = move || {
        loop {
            let last = ending.load(Ordering::Acquire);
            match print_new(&mut printers) {
                Err(error) => return broken.set(error),
                Ok(false) if last => return,
                Ok(false) => std::thread::park_timeout(LOOK_EVERY),
                Ok(true) => {}
            }
        }
    };
    let thread = std::thread::Builder::new().name("print".to_owned()).spawn(print);
    Ok(Printing { done, thread: thread.map_err(LocalError::Thread)? })
}

/// Prints what was committed since the last call; false when that was nothing.
fn print_new(printers: &mut [Printer]) -> Result<bool, SinkError> {
    let mut moved = false;
    for printer in printers {
        // The topic exists as long as the log.
        for (partition, batch) in printer.reader.read().unwrap_or_default() {
            printer.sink.write(Some(partition), &batch)?;
            moved = true;
        }
        printer.sink.flush()?;
    }
    Ok(moved)
}
