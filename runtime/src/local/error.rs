//! Why a local run fails.

use super::feeder::InputError;
use connect::door::IoError;
use connect::sink::SinkError;
use connect::snapshot::SnapshotError;

/// A local run that cannot begin, or that failed.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// A source without data.
    #[error(
        "source `{name}` reads topic `{topic}`: give it a file with --input {name}=FILE, or a broker with --kafka HOST:PORT"
    )]
    NoInput {
        /// The source.
        name: String,
        /// Its topic.
        topic: String,
    },
    /// An option that names nothing.
    #[error("{option} {name}: there is no such {what}{hint}")]
    UnknownName {
        /// The option.
        option: &'static str,
        /// What was given.
        name: String,
        /// Source or sink.
        what: &'static str,
        /// What was probably meant, and what there is.
        hint: String,
    },
    /// An option that is given twice for one name.
    #[error("{option} {name} is given twice")]
    Twice {
        /// The option.
        option: &'static str,
        /// The name.
        name: String,
    },
    /// Two sources of one topic with different files.
    #[error(
        "--input {second}: source `{first}` reads the same topic `{topic}` from another file; give both the same one"
    )]
    TwoFiles {
        /// The source that comes first.
        first: String,
        /// The other one.
        second: String,
        /// Their topic.
        topic: String,
    },
    /// Pipelines that would wait for each other.
    #[error(
        "pipelines {names} read what they write, in a circle: without a Kafka such a run would never end"
    )]
    Circle {
        /// Of them, and of those that read from them.
        names: String,
    },
    /// Standard input is wanted twice.
    #[error("`-` is given for {first} and for {second}, but standard input can be read only once")]
    StandardInput {
        /// One reader.
        first: String,
        /// Another.
        second: String,
    },
    /// An output that would destroy what is read.
    #[error("--output {name}={path}: this file is read by the same run and would be overwritten")]
    Overwrites {
        /// The sink.
        name: String,
        /// The path.
        path: String,
    },
    /// An input that cannot be opened.
    #[error(transparent)]
    Open(InputError),
    /// Input.
    #[error(transparent)]
    Input(InputError),
    /// Output.
    #[error(transparent)]
    Output(SinkError),
    /// The log in memory.
    #[error("the log in memory failed")]
    Log(#[source] IoError),
    /// The store of snapshots.
    #[error("the snapshots in memory failed")]
    Snapshots(#[source] SnapshotError),
    /// The operating system.
    #[error("failed to start a thread")]
    Thread(#[source] std::io::Error),
    /// A worker that has given up, in its own words.
    #[error("{0}")]
    Failed(String),
    /// A worker that ended in the middle of something: a bug of ours.
    #[error("a worker of pipeline `{0}` has panicked; this is a bug")]
    Panicked(String),
}
