//! What all commands read and print.

use super::Exit;
use ::pipeline::manifest::Documents;
use std::io::{Read, Write};

/// A file cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("failed to read {name}: {source}")]
pub(super) struct ReadError {
    name: String,
    source: std::io::Error,
}

/// How a file is called in messages.
pub(super) fn shown(name: &str) -> String {
    if name == "-" { "<stdin>".to_owned() } else { name.to_owned() }
}

/// The text of a file; `-` is stdin.
pub(super) fn read(name: &str) -> Result<String, ReadError> {
    let mut bytes = Vec::new();
    let read = match name {
        "-" => std::io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes),
        path => std::fs::read(path),
    };
    let text = read.and_then(|bytes| String::from_utf8(bytes).map_err(std::io::Error::other));
    text.map_err(|source| ReadError { name: shown(name), source })
}

/// The documents of all files, with the places in them.
pub(super) fn documents(names: &[String]) -> Result<Documents, ReadError> {
    let texts = names.iter().map(|name| Ok((shown(name), read(name)?)));
    let texts = texts.collect::<Result<Vec<_>, ReadError>>()?;
    Ok(Documents::read(texts.iter().map(|(name, text)| (name.as_str(), text.as_str()))))
}

/// Prints to stdout; who closed the pipe has read enough.
pub(super) fn print(text: &str) -> Exit {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => Exit::Done,
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Exit::Done,
        Err(error) => {
            eprintln!("kubectl-weir: failed to write to stdout: {error}");
            Exit::Failed
        }
    }
}
