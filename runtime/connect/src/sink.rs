//! Sinks outside the log: lines in a file, on standard output or in the log of the pod.
//!
//! They are fed with committed records of a sink's topic, or of the outputs of a commit that has happened, in order.
//! Their guarantee is **at least once**: what was written before a crash may be written again after it, and a file that is
//! appended to keeps both. Within one run without a crash every record is written once.

use crate::envelope::{LineForm, write_line};
use pipeline::record::RecordBatch;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// Bytes that are collected before they are written.
const BUFFER_BYTES: usize = 64 << 10;

/// A sink that takes lines.
pub struct LineSink {
    target: Target,
    form: LineForm,
    buffer: Vec<u8>,
}

enum Target {
    File { path: String, file: File },
    Stdout,
    Log { sink: String },
}

/// Whether a file's old lines stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileMode {
    /// The file starts empty: a local run.
    Replace,
    /// Lines are added at the end: a worker that comes back.
    Append,
}

/// Why a sink failed.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The file could not be opened.
    #[error("failed to open {path}")]
    Open {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Lines could not be written.
    #[error("failed to write to {target}")]
    Write {
        /// A path, or `stdout`.
        target: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl SinkError {
    /// True when the reader of standard output has gone, as `| head` does: no failure, it has read enough.
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Write { source, .. } if source.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl LineSink {
    /// Lines in a file; `-` is standard output.
    pub fn file(path: &str, mode: FileMode, form: LineForm) -> Result<Self, SinkError> {
        if path == "-" {
            return Ok(Self::stdout(form));
        }
        let open = |source| SinkError::Open { path: path.to_owned(), source };
        if let Some(directory) = Path::new(path).parent() {
            std::fs::create_dir_all(directory).map_err(open)?;
        }
        // Two sinks may share one file: neither writes over the other.
        let file = OpenOptions::new().append(true).create(true).open(path).map_err(open)?;
        // A pipe or a device has nothing to be emptied.
        if mode == FileMode::Replace && file.metadata().is_ok_and(|file| file.is_file()) {
            file.set_len(0).map_err(open)?;
        }
        Ok(Self::new(Target::File { path: path.to_owned(), file }, form))
    }

    /// Lines on standard output.
    pub fn stdout(form: LineForm) -> Self {
        Self::new(Target::Stdout, form)
    }

    /// One log event of level info per record, with the name of the sink and the line.
    pub fn log(sink: &str, form: LineForm) -> Self {
        Self::new(Target::Log { sink: sink.to_owned() }, form)
    }

    /// Writes committed records in order. `partition` is told in envelopes. Lines may wait for [`LineSink::flush`].
    pub fn write(&mut self, partition: Option<u32>, records: &RecordBatch) -> Result<(), SinkError> {
        for row in 0..records.len() {
            write_line(self.form, records, row, partition, &mut self.buffer);
            if let Target::Log { sink } = &self.target {
                let line = String::from_utf8_lossy(&self.buffer);
                tracing::info!(target: "weir::sink", sink, "{}", line.trim_end());
                self.buffer.clear();
            } else if self.buffer.len() >= BUFFER_BYTES {
                self.write_out()?;
            }
        }
        Ok(())
    }

    /// Gives all lines to the operating system.
    pub fn flush(&mut self) -> Result<(), SinkError> {
        self.write_out()
    }

    /// As [`LineSink::flush`], and a file's lines survive a power cut.
    pub fn sync(&mut self) -> Result<(), SinkError> {
        self.write_out()?;
        match &self.target {
            Target::File { path, file } => {
                file.sync_data().map_err(|source| SinkError::Write { target: path.clone(), source })
            }
            Target::Stdout | Target::Log { .. } => Ok(()),
        }
    }

    fn new(target: Target, form: LineForm) -> Self {
        Self { target, form, buffer: Vec::new() }
    }

    fn write_out(&mut self) -> Result<(), SinkError> {
        let written = match &mut self.target {
            Target::File { file, .. } => file.write_all(&self.buffer),
            Target::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(&self.buffer).and_then(|()| stdout.flush())
            }
            Target::Log { .. } => Ok(()),
        };
        self.buffer.clear();
        written.map_err(|source| SinkError::Write { target: self.target.to_string(), source })
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File { path, .. } => f.write_str(path),
            Self::Stdout => f.write_str("stdout"),
            Self::Log { sink } => write!(f, "log sink `{sink}`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipeline::record::NewRecord;

    fn records(values: &[&str]) -> RecordBatch {
        let mut batch = RecordBatch::new();
        for value in values {
            batch.push(NewRecord { value: Some(value.as_bytes()), ..NewRecord::default() });
        }
        batch
    }

    #[test]
    fn a_file_is_replaced_or_appended_to() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/out.jsonl");
        let path = path.to_str().unwrap();
        for (mode, expected) in [
            (FileMode::Replace, "1\n2\n3\n"),
            (FileMode::Append, "1\n2\n3\n1\n2\n3\n"),
            (FileMode::Replace, "1\n2\n3\n"),
        ] {
            let mut sink = LineSink::file(path, mode, LineForm::Plain).unwrap();
            sink.write(None, &records(&["1", "2"])).unwrap();
            sink.write(None, &records(&["3"])).unwrap();
            sink.sync().unwrap();
            assert_eq!(std::fs::read_to_string(path).unwrap(), expected, "{mode:?}");
        }
    }

    #[test]
    fn many_lines_are_written_before_the_flush() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out");
        let mut sink = LineSink::file(path.to_str().unwrap(), FileMode::Replace, LineForm::Plain).unwrap();
        let line = "x".repeat(BUFFER_BYTES);
        sink.write(None, &records(&[&line])).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len() as usize, BUFFER_BYTES + 1);
    }

    #[test]
    fn a_path_that_cannot_be_opened_is_named() {
        let error = LineSink::file("/proc/nothing/x", FileMode::Replace, LineForm::Plain).err().unwrap();
        assert_eq!(error.to_string(), "failed to open /proc/nothing/x");
    }
}
