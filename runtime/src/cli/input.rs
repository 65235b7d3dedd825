//! Reading manifests for a command, and saying what is wrong with them.

use super::Exit;
use pipeline::plan::{Loaded, load};
use pipeline::problem::Problem;
use std::fmt::Write as _;
use std::io::{Read, Write};

/// The arguments that every command with manifests has.
#[derive(Debug, clap::Args)]
pub struct Manifests {
    /// Files with manifests (YAML, several documents in each if you like); `-` is stdin
    ///
    /// StreamWindow, ConfigMap and Secret documents among them resolve the references of the pipelines.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<String>,
}

/// What a command cannot go on with.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// A file cannot be read.
    #[error("failed to read {name}: {source}")]
    Read {
        /// The file.
        name: String,
        /// Why.
        source: std::io::Error,
    },
    /// The manifests have problems.
    #[error("{}", listing(.0))]
    Problems(Vec<Problem>),
}

impl InputError {
    /// The exit code that goes with it.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Read { .. } => Exit::Usage,
            Self::Problems(_) => Exit::Configuration,
        }
    }
}

/// The texts of the files, by the names that messages use.
pub struct Texts(Vec<(String, String)>);

impl Manifests {
    /// The files of these names.
    pub fn new(files: Vec<String>) -> Self {
        Self { files }
    }

    /// The names as they were given.
    pub fn names(&self) -> &[String] {
        &self.files
    }

    /// Reads all files.
    pub fn read(&self) -> Result<Texts, InputError> {
        let one = |name: &String| {
            let (name, text) = match name.as_str() {
                "-" => ("<stdin>".to_owned(), read_stdin()),
                path => (path.to_owned(), std::fs::read(path)),
            };
            match text.and_then(|bytes| String::from_utf8(bytes).map_err(std::io::Error::other)) {
                Ok(text) => Ok((name, text)),
                Err(source) => Err(InputError::Read { name, source }),
            }
        };
        Ok(Texts(self.files.iter().map(one).collect::<Result<_, _>>()?))
    }

    /// Reads all files and makes the plans of their pipelines.
    pub fn load(&self) -> Result<Loaded, InputError> {
        self.read()?.load()
    }
}

impl Texts {
    /// Makes the plans of the pipelines.
    pub fn load(&self) -> Result<Loaded, InputError> {
        load_texts(&self.0)
    }

    /// The number of files.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// Makes the plans of texts that were not read from files named on the command line.
pub fn load_texts(texts: &[(String, String)]) -> Result<Loaded, InputError> {
    load(texts.iter().map(|(name, text)| (name.as_str(), text.as_str()))).map_err(InputError::Problems)
}

fn read_stdin() -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// One line per problem, then how many there are.
fn listing(problems: &[Problem]) -> String {
    let mut text = String::new();
    for problem in problems {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{problem}");
    }
    text.push_str(&count(problems.len() as u64, "problem"));
    text
}

/// `1 problem`, `2 problems`.
pub fn count(n: u64, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

/// Prints to stdout; who closed the pipe has read enough.
pub fn print(text: &str) -> Exit {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => Exit::Done,
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Exit::Done,
        Err(error) => {
            eprintln!("weir: failed to write to stdout: {error}");
            Exit::Failed
        }
    }
}

/// Prints why a command cannot go on.
pub fn fail(error: &InputError) -> Exit {
    eprintln!("weir: {error}");
    error.exit()
}
