//! How to reach Kafka, read from a mounted Secret: one file per key.
//!
//! Understood is the servicebinding form, which Strimzi's KafkaAccess writes. Only plaintext is supported so far; a Secret
//! that asks for more is refused by the name of its key, never used in part. No value is ever part of an error.

use std::fs;
use std::io;
use std::path::Path;

const BOOTSTRAP: &str = "bootstrap.servers";
/// The spelling of older operators.
const BOOTSTRAP_ALIASES: [&str; 2] = ["bootstrapServers", "bootstrap-servers"];
const PROTOCOL: &str = "security.protocol";
/// A value is a line; larger files are no Secret of ours.
const VALUE_BYTES_MAX: usize = 64 << 10;

/// Why a Secret cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// A key is missing.
    #[error("key `{key}` is missing in the Kafka access secret at {directory}")]
    Missing {
        /// The key.
        key: &'static str,
        /// Where it is mounted.
        directory: String,
    },
    /// A key cannot be read.
    #[error("failed to read key `{key}` of the Kafka access secret at {directory}")]
    Read {
        /// The key.
        key: String,
        /// Where it is mounted.
        directory: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The value is empty, too long or not text.
    #[error("key `{key}` of the Kafka access secret at {directory} is not one line of text")]
    NotText {
        /// The key.
        key: String,
        /// Where it is mounted.
        directory: String,
    },
    /// Something other than plaintext is asked for.
    #[error(
        "key `{key}` of the Kafka access secret at {directory} asks for TLS or SASL, which is not supported yet"
    )]
    Unsupported {
        /// The key.
        key: String,
        /// Where it is mounted.
        directory: String,
    },
}

/// `bootstrap.servers` of the Secret mounted at a directory.
pub fn bootstrap_servers(directory: &Path) -> Result<String, SecretError> {
    let shown = || directory.display().to_string();
    if let Some(protocol) = value(directory, PROTOCOL)?
        && !protocol.eq_ignore_ascii_case("PLAINTEXT")
    {
        return Err(SecretError::Unsupported { key: PROTOCOL.to_owned(), directory: shown() });
    }
    for key in std::iter::once(BOOTSTRAP).chain(BOOTSTRAP_ALIASES) {
        if let Some(servers) = value(directory, key)? {
            return Ok(servers);
        }
    }
    Err(SecretError::Missing { key: BOOTSTRAP, directory: shown() })
}

fn value(directory: &Path, key: &str) -> Result<Option<String>, SecretError> {
    let shown = directory.display().to_string();
    let bytes = match fs::read(directory.join(key)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(SecretError::Read { key: key.to_owned(), directory: shown, source }),
        Ok(bytes) => bytes,
    };
    let text = std::str::from_utf8(&bytes).ok().map(str::trim);
    match text {
        Some(text) if !text.is_empty() && text.len() <= VALUE_BYTES_MAX && !text.contains('\n') => {
            Ok(Some(text.to_owned()))
        }
        _ => Err(SecretError::NotText { key: key.to_owned(), directory: shown }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(entries: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (key, value) in entries {
            fs::write(directory.path().join(key), value).unwrap();
        }
        directory
    }

    #[test]
    fn bootstrap_servers_are_read() {
        for entries in [
            &[("bootstrap.servers", "a:9092,b:9092\n")][..],
            &[("type", "kafka"), ("bootstrapServers", "a:9092,b:9092"), ("security.protocol", "PLAINTEXT")],
        ] {
            assert_eq!(bootstrap_servers(secret(entries).path()).unwrap(), "a:9092,b:9092");
        }
    }

    #[test]
    fn what_is_missing_or_not_supported_is_named_without_its_value() {
        for (entries, expected) in [
            (&[][..], "key `bootstrap.servers` is missing"),
            (&[("bootstrap.servers", "a:1"), ("security.protocol", "SASL_SSL")], "key `security.protocol`"),
            (&[("bootstrap.servers", "")], "not one line of text"),
            (&[("bootstrap.servers", "hush:1\nhush:2")], "not one line of text"),
        ] {
            let error = bootstrap_servers(secret(entries).path()).unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains("hush"), "{error}");
        }
    }
}
