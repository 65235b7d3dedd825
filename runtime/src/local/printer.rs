//! Committed records of sink topics into files and onto standard output.

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

/// Where a sink's records go: what `--output` says, else standard output for the sinks that the user named.
pub fn output_of(_plan: &Plan, sink: &Sink, options: &Options) -> Option<String> {
    options
        .outputs
        .iter()
        .find(|(given, _)| is_called(sink.role, &sink.name, given))
        .map(|(_, path)| path.clone())
}

/// Every `--output` names a sink; every sink that the user named is printed.
pub fn resolve(plans: &[Arc<Plan>], options: &Options, log: &Log) -> Result<Vec<Printer>, LocalError> {
    let sinks: Vec<(&Plan, &Sink)> =
        plans.iter().flat_map(|plan| plan.sinks().iter().map(move |sink| (&**plan, sink))).collect();
    for (name, _) in &options.outputs {
        if !sinks.iter().any(|(_, sink)| is_called(sink.role, &sink.name, name)) {
            let names: Vec<_> = sinks.iter().map(|(_, sink)| sink.name.as_str()).collect();
            let known = format!("the sinks are {}", names.join(", "));
            return Err(LocalError::UnknownName {
                option: "--output",
                name: name.clone(),
                what: "sink",
                known,
            });
        }
    }
    let mut printers = Vec::new();
    let mut printed = BTreeSet::new();
    for (plan, sink) in sinks {
        let SinkConnector::Kafka { topic, .. } = &sink.connector else { continue };
        let path = match output_of(plan, sink, options) {
            Some(path) => path,
            None if sink.role == SinkRole::User => "-".to_owned(),
            None => continue,
        };
        if !printed.insert(topic) {
            continue;
        }
        let reader = log.reader(topic).map_err(|error| LocalError::Failed(error.to_string()))?;
        let sink =
            LineSink::file(&path, FileMode::Replace, line_form(options)).map_err(LocalError::Output)?;
        printers.push(Printer { reader, sink });
    }
    Ok(printers)
}

/// The thread that prints.
pub struct Printing {
    done: Arc<AtomicBool>,
    thread: JoinHandle<Result<(), SinkError>>,
}

impl Printing {
    /// Prints what is still there, and ends.
    pub fn finish(self) -> Result<(), SinkError> {
        self.done.store(true, Ordering::Release);
        self.thread.thread().unpark();
        self.thread.join().unwrap_or(Ok(()))
    }
}

/// Starts the thread that prints.
pub fn start(mut printers: Vec<Printer>) -> Result<Printing, LocalError> {
    let done = Arc::new(AtomicBool::new(false));
    let ending = done.clone();
    let print = move || loop {
        let last = ending.load(Ordering::Acquire);
        let mut moved = false;
        for printer in &mut printers {
            // The topic exists as long as the log.
            for (partition, batch) in printer.reader.read().unwrap_or_default() {
                printer.sink.write(Some(partition), &batch)?;
                moved = true;
            }
            printer.sink.flush()?;
        }
        if last && !moved {
            return Ok(());
        }
        if !moved {
            std::thread::park_timeout(LOOK_EVERY);
        }
    };
    let thread = std::thread::Builder::new().name("print".to_owned()).spawn(print);
    let thread = thread.map_err(|error| LocalError::Failed(format!("failed to start a thread: {error}")))?;
    Ok(Printing { done, thread })
}
