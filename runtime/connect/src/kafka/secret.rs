//! Values of Secrets: mounted, with one file per key, or given otherwise. No value is ever part of an error.

use super::security::Given;
use super::tls::TlsError;
use pipeline::plan::SecretKey;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::io;
use std::path::Path;

/// No Secret is larger.
const VALUE_BYTES_MAX: usize = 1 << 20;

/// Why a Secret cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// A key is missing.
    #[error("key `{key}` is missing in the Kafka access secret at {place}")]
    Missing {
        /// The key.
        key: String,
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
    #[error("key `{key}` of the Kafka access secret at {place} is not {wanted}")]
    NotText {
        /// The key.
        key: String,
        /// Where the Secret is.
        place: String,
        /// What it must be.
        wanted: &'static str,
    },
    /// A word that is none of those that are known.
    #[error("key `{key}` of the Kafka access secret at {place} is none of {known}")]
    Unknown {
        /// The key.
        key: String,
        /// Where the Secret is.
        place: String,
        /// Those that are known.
        known: &'static str,
    },
    /// The manifest asks for encryption and the Secret for none.
    #[error(
        "spec.kafka.tls is set, and key `{key}` of the Kafka access secret at {place} asks for a connection without TLS; remove one of them"
    )]
    Contradiction {
        /// The key.
        key: String,
        /// Where the Secret is.
        place: String,
    },
    /// A certificate to log in with, and nobody to trust: the Secret of a KafkaUser has no certificate authority of the
    /// brokers.
    #[error(
        "the Kafka access secret at {place} has a client certificate and no `ssl.truststore.crt`; set spec.kafka.tls.caSecretKeyRef, with Strimzi to ca.crt of <cluster>-cluster-ca-cert"
    )]
    NobodyTrusted {
        /// Where the Secret is.
        place: String,
    },
    /// A password would be readable on the way.
    #[error(
        "the Kafka access secret at {place} asks for PLAIN without TLS, which would send the password unencrypted; use SASL_SSL, or SCRAM-SHA-512"
    )]
    Unencrypted {
        /// Where the Secret is.
        place: String,
    },
    /// Certificates or keys.
    #[error("the certificates of Kafka cannot be used")]
    Tls(#[source] TlsError),
}

impl SecretError {
    /// The key that somebody has to add.
    pub fn missing_key(&self) -> Option<&str> {
        match self {
            Self::Missing { key, .. } => Some(key),
            _ => None,
        }
    }
}

/// The value of a key of a Secret, by their names; none when it does not exist.
pub type ReadKey<'a> = dyn Fn(&str, &str) -> io::Result<Option<Vec<u8>>> + 'a;

/// Reads keys of Secrets.
#[derive(Clone, Copy)]
pub struct Secrets<'a> {
    /// The value of a key.
    pub read: &'a ReadKey<'a>,
    /// Says to people where a Secret is.
    pub place: &'a dyn Fn(&str) -> String,
}

/// The value of a key of the Secret mounted in a folder of its name below `directory`.
pub fn read_mounted(directory: &Path, secret: &str, key: &str) -> io::Result<Option<Vec<u8>>> {
    match fs::read(directory.join(secret).join(key)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
        Ok(bytes) => Ok(Some(bytes)),
    }
}

impl Secrets<'_> {
    /// The first of these keys that exists, as one line without white space around it.
    pub(super) fn line(&self, secret: &str, keys: &[&str]) -> Result<Option<String>, SecretError> {
        let wanted = "one line of text";
        let is_line = |text: &str| !text.trim().is_empty() && !text.trim().contains('\n');
        Ok(self.text(secret, keys, wanted, is_line)?.map(|text| text.trim().to_owned()))
    }

    /// The first of these keys that exists, as a password: a line break at its end is not part of it.
    pub(super) fn password(&self, secret: &str, keys: &[&str]) -> Result<Option<Given>, SecretError> {
        let bare = |text: &str| text.trim_end_matches(['\n', '\r']).to_owned();
        let is_password = |text: &str| !bare(text).is_empty() && !bare(text).contains(['\n', '\0']);
        let found = self.text(secret, keys, "a password on one line", is_password)?;
        Ok(found.map(|text| Given::new(bare(&text), named(secret, keys[0]))))
    }

    /// The first of these keys that exists, as PEM.
    pub(super) fn pem(&self, secret: &str, keys: &[&str]) -> Result<Option<Given>, SecretError> {
        for key in keys {
            let found = self.text(secret, &[key], "text in PEM form", |text| text.contains("-----BEGIN "))?;
            if let Some(text) = found {
                return Ok(Some(Given::new(text, named(secret, key))));
            }
        }
        Ok(None)
    }

    /// As the call that it wraps, for a key that must exist.
    pub(super) fn required<T>(
        &self,
        key: &SecretKey,
        read: impl FnOnce(&Self, &str, &[&str]) -> Result<Option<T>, SecretError>,
    ) -> Result<T, SecretError> {
        let SecretKey { name, key } = key;
        read(self, name, &[key])?.ok_or_else(|| self.missing(name, key))
    }

    pub(super) fn missing(&self, secret: &str, key: &str) -> SecretError {
        SecretError::Missing { key: key.to_owned(), place: (self.place)(secret) }
    }

    fn text(
        &self,
        secret: &str,
        keys: &[&str],
        wanted: &'static str,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Result<Option<String>, SecretError> {
        for key in keys {
            let (name, place) = ((*key).to_owned(), || (self.place)(secret));
            let bytes = match (self.read)(secret, key) {
                Err(source) => return Err(SecretError::Read { key: name, place: place(), source }),
                Ok(None) => continue,
                Ok(Some(bytes)) => bytes,
            };
            let text = String::from_utf8(bytes).ok().filter(|text| text.len() <= VALUE_BYTES_MAX);
            return match text.filter(|text| is_wanted(text)) {
                Some(text) => Ok(Some(text)),
                None => Err(SecretError::NotText { key: name, place: place(), wanted }),
            };
        }
        Ok(None)
    }
}

fn named(secret: &str, key: &str) -> String {
    SecretKey { name: secret.to_owned(), key: key.to_owned() }.to_string()
}

/// Hash of all keys and values of the Secret mounted at a directory, 32 hex digits; none when there is none, or when it
/// cannot be read now. It is keyed with `key`, so that equal Secrets of two owners differ.
pub fn content_hash(directory: &Path, key: &str) -> Option<String> {
    let content = content(directory).unwrap_or_default();
    (!content.is_empty()).then(|| keyed_hash(key, &content))
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
    fn a_hash_tells_whether_the_content_changed() {
        let one = secret(&[("bootstrapServers", "a:1"), ("password", "hush")]);
        let same = secret(&[("password", "hush"), ("bootstrapServers", "a:1")]);
        let other = secret(&[("bootstrapServers", "a:1"), ("password", "hush2")]);
        let hash = |of: &tempfile::TempDir, key| content_hash(of.path(), key);
        assert_eq!(hash(&one, "k").map(|hash| hash.len()), Some(32));
        assert_eq!(hash(&one, "k"), hash(&same, "k"));
        assert_ne!(hash(&one, "k"), hash(&other, "k"));
        assert_ne!(hash(&one, "k"), hash(&one, "another"));
    }

    #[test]
    fn a_secret_that_is_not_there_has_no_hash() {
        let empty = secret(&[]);
        assert_eq!(content_hash(empty.path(), "k"), None);
        assert_eq!(content_hash(&empty.path().join("none"), "k"), None);
    }
}
