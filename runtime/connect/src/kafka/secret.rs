//! How to reach Kafka, read from a Secret: mounted, with one file per key, or given otherwise.
//!
//! Understood is the servicebinding form, which Strimzi's KafkaAccess writes. Only plaintext is supported so far; a Secret
//! that asks for more is refused by the name of its key, never used in part. No value is ever part of an error.

use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write;
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
    #[error("key `{key}` is missing in the Kafka access secret at {place}")]
    Missing {
        /// The key.
        key: &'static str,
        /// Where the Secret is.
        place: String,
    },
    /// A key cannot be read.
    #[error("failed to read key `{key}` of the Kafka access secret at {place}")]
    Read {
        /// The key.
        key: String,
        /// Where the Secret is.
        place: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The value is empty, too long or not text.
    #[error("key `{key}` of the Kafka access secret at {place} is not one line of text")]
    NotText {
        /// The key.
        key: String,
        /// Where the Secret is.
        place: String,
    },
    /// Something other than plaintext is asked for.
    #[error(
        "key `{key}` of the Kafka access secret at {place} asks for TLS or SASL, which is not supported yet"
    )]
    Unsupported {
        /// The key.
        key: String,
        /// Where the Secret is.
        place: String,
    },
}

/// `bootstrap.servers` of the Secret mounted at a directory.
pub fn bootstrap_servers(directory: &Path) -> Result<String, SecretError> {
    bootstrap_servers_by(&directory.display().to_string(), |key| match fs::read(directory.join(key)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
        Ok(bytes) => Ok(Some(bytes)),
    })
}

/// `bootstrap.servers` of a Secret whose keys are read by `read`; `place` says to people where that is.
pub fn bootstrap_servers_by(
    place: &str,
    read: impl Fn(&str) -> io::Result<Option<Vec<u8>>>,
) -> Result<String, SecretError> {
    if let Some(protocol) = value(place, &read, PROTOCOL)?
        && !protocol.eq_ignore_ascii_case("PLAINTEXT")
    {
        return Err(SecretError::Unsupported { key: PROTOCOL.to_owned(), place: place.to_owned() });
    }
    for key in std::iter::once(BOOTSTRAP).chain(BOOTSTRAP_ALIASES) {
        if let Some(servers) = value(place, &read, key)? {
            return Ok(servers);
        }
    }
    Err(SecretError::Missing { key: BOOTSTRAP, place: place.to_owned() })
}

/// What is mounted at a directory, as far as it may be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mounted {
    /// Keys that are needed and not there. A Secret that does not exist lacks all of them.
    pub missing_keys: Vec<&'static str>,
    /// Hash of all keys and values, 32 hex digits; none when there is none, or when they cannot be read now.
    pub hash: Option<String>,
}

/// Looks at the Secret mounted at a directory. The hash is keyed with `key`, so that equal Secrets of two owners differ.
pub fn look(directory: &Path, key: &str) -> Mounted {
    let content = content(directory).unwrap_or_default();
    let there = std::iter::once(BOOTSTRAP).chain(BOOTSTRAP_ALIASES).any(|key| content.contains_key(key));
    let missing_keys = if there { Vec::new() } else { vec![BOOTSTRAP] };
    Mounted { missing_keys, hash: (!content.is_empty()).then(|| keyed_hash(key, &content)) }
}

/// Key and value of each file. Names with a dot at the front are of the kubelet, which swaps the content by them.
fn content(directory: &Path) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let mut content = BTreeMap::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let key = entry.file_name().to_string_lossy().into_owned();
        if !key.starts_with('.') && fs::metadata(entry.path())?.is_file() {
            content.insert(key, fs::read(entry.path())?);
        }
    }
    Ok(content)
}

fn keyed_hash(key: &str, content: &BTreeMap<String, Vec<u8>>) -> String {
    let mut hasher = Sha256::new();
    let parts = content.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_slice()]);
    for part in std::iter::once(key.as_bytes()).chain(parts) {
        // With its length, so that no two lists of parts run together.
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().iter().take(16).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn value(
    place: &str,
    read: &impl Fn(&str) -> io::Result<Option<Vec<u8>>>,
    key: &str,
) -> Result<Option<String>, SecretError> {
    let (key, place) = (key.to_owned(), place.to_owned());
    let bytes = match read(&key) {
        Err(source) => return Err(SecretError::Read { key, place, source }),
        Ok(None) => return Ok(None),
        Ok(Some(bytes)) => bytes,
    };
    let text = std::str::from_utf8(&bytes).ok().map(str::trim);
    match text {
        Some(text) if !text.is_empty() && text.len() <= VALUE_BYTES_MAX && !text.contains('\n') => {
            Ok(Some(text.to_owned()))
        }
        _ => Err(SecretError::NotText { key, place }),
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
    fn a_look_tells_what_is_missing_and_whether_the_content_changed() {
        let one = secret(&[("bootstrapServers", "a:1"), ("password", "hush")]);
        let same = secret(&[("password", "hush"), ("bootstrapServers", "a:1")]);
        let other = secret(&[("bootstrapServers", "a:1"), ("password", "hush2")]);
        let hash = |of: &tempfile::TempDir, key| look(of.path(), key).hash;
        assert_eq!(look(one.path(), "k").missing_keys, Vec::<&str>::new());
        assert_eq!(hash(&one, "k").map(|hash| hash.len()), Some(32));
        assert_eq!(hash(&one, "k"), hash(&same, "k"));
        assert_ne!(hash(&one, "k"), hash(&other, "k"));
        assert_ne!(hash(&one, "k"), hash(&one, "another"));
    }

    #[test]
    fn a_secret_that_is_not_there_lacks_every_key_and_has_no_hash() {
        let empty = secret(&[]);
        let lacks_all = Mounted { missing_keys: vec!["bootstrap.servers"], hash: None };
        assert_eq!(look(empty.path(), "k"), lacks_all);
        assert_eq!(look(&empty.path().join("none"), "k"), lacks_all);
        let without_address = secret(&[("password", "hush")]);
        assert_eq!(look(without_address.path(), "k").missing_keys, ["bootstrap.servers"]);
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
