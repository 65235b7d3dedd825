//! Who opens a bucket: the keys of a Secret, in the words of the clouds' own tools. No value is ever part of an error.

use crate::kafka::secret::ReadKey;
use pipeline::plan::Cloud;
use std::collections::BTreeMap;

/// Certificate authorities of a store that has its own, PEM; beside those of the system.
pub(super) const AUTHORITIES: &str = "ca.crt";
/// What Google's tools call the file with a key of a service account; a Secret holds its content.
pub(super) const GOOGLE_KEY: [&str; 2] = ["GOOGLE_SERVICE_ACCOUNT_KEY", "GOOGLE_APPLICATION_CREDENTIALS"];
/// No value is larger.
const VALUE_BYTES_MAX: usize = 64 << 10;

/// Why a Secret cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// Keys are missing.
    #[error("{} missing in the checkpoint storage secret at {place}", are(keys))]
    Missing {
        /// Which.
        keys: Vec<String>,
        /// Where the Secret is.
        place: String,
    },
    /// A key cannot be read.
    #[error("failed to read key `{key}` of the checkpoint storage secret at {place}")]
    Read {
        /// The key.
        key: &'static str,
        /// Where the Secret is.
        place: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The value is empty, too long or not text.
    #[error(
        "key `{key}` of the checkpoint storage secret at {place} is empty, longer than 64 KiB, or not text"
    )]
    NotText {
        /// The key.
        key: &'static str,
        /// Where the Secret is.
        place: String,
    },
}

impl CredentialsError {
    /// True when somebody has to add a key.
    pub fn is_missing_key(&self) -> bool {
        matches!(self, Self::Missing { .. })
    }
}

fn are(keys: &[String]) -> String {
    let names: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
    match &names[..] {
        [one] => format!("key {one} is"),
        all => format!("keys {} are", all.join(" and ")),
    }
}

/// Where the keys of the one Secret of a storage are read.
pub struct Secret<'a> {
    /// Its name.
    pub name: &'a str,
    /// The value of a key.
    pub read: &'a ReadKey<'a>,
    /// Says to people where it is.
    pub place: String,
}

/// What a Secret holds for a bucket. Values are never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials(BTreeMap<&'static str, String>);

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Keys of one cloud: of each group one is needed, the others may be there.
struct Words {
    needed: &'static [&'static [&'static str]],
    optional: &'static [&'static str],
}

fn words(cloud: Cloud) -> Words {
    match cloud {
        Cloud::S3 => Words {
            needed: &[&["AWS_ACCESS_KEY_ID"], &["AWS_SECRET_ACCESS_KEY"]],
            optional: &["AWS_SESSION_TOKEN", "AWS_REGION", "AWS_ENDPOINT_URL", AUTHORITIES],
        },
        Cloud::Google => Words { needed: &[&GOOGLE_KEY], optional: &[] },
        Cloud::Azure => Words {
            needed: &[
                &["AZURE_STORAGE_ACCOUNT_NAME"],
                &["AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_SAS_TOKEN"],
            ],
            optional: &[AUTHORITIES],
        },
    }
}

impl Credentials {
    /// Reads what the cloud needs. Values are taken without white space around them.
    pub fn read(cloud: Cloud, secret: &Secret<'_>) -> Result<Self, CredentialsError> {
        let Words { needed, optional } = words(cloud);
        let (mut values, mut missing) = (BTreeMap::new(), Vec::new());
        for group in needed {
            let mut found = false;
            for key in *group {
                if let Some(value) = value(key, secret)? {
                    values.insert(*key, value);
                    found = true;
                }
            }
            if !found {
                missing.push((*group.first().unwrap_or(&"")).to_owned());
            }
        }
        if !missing.is_empty() {
            return Err(CredentialsError::Missing { keys: missing, place: secret.place.clone() });
        }
        for key in optional {
            if let Some(value) = value(key, secret)? {
                values.insert(*key, value);
            }
        }
        Ok(Self(values))
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// All keys but that of certificate authorities, with their values.
    pub(super) fn settings(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().filter(|(key, _)| **key != AUTHORITIES).map(|(key, value)| (*key, value.as_str()))
    }
}

fn value(key: &'static str, secret: &Secret<'_>) -> Result<Option<String>, CredentialsError> {
    let place = || secret.place.clone();
    let bytes = match (secret.read)(secret.name, key) {
        Err(source) => return Err(CredentialsError::Read { key, place: place(), source }),
        Ok(None) => return Ok(None),
        Ok(Some(bytes)) => bytes,
    };
    let text = String::from_utf8(bytes).ok().map(|text| text.trim().to_owned());
    match text.filter(|text| !text.is_empty() && text.len() <= VALUE_BYTES_MAX && !text.contains('\0')) {
        Some(text) => Ok(Some(text)),
        None => Err(CredentialsError::NotText { key, place: place() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(cloud: Cloud, entries: &[(&str, &str)]) -> Result<Credentials, CredentialsError> {
        let get = |_: &str, key: &str| {
            let found = entries.iter().find(|(name, _)| *name == key);
            Ok(found.map(|(_, value)| value.as_bytes().to_vec()))
        };
        Credentials::read(cloud, &Secret { name: "s", read: &get, place: "/secrets/s".to_owned() })
    }

    #[test]
    fn what_is_missing_is_named() {
        type Case<'a> = (Cloud, &'a [(&'a str, &'a str)], &'a str);
        let cases: [Case<'_>; 5] = [
            (Cloud::S3, &[], "keys `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` are missing"),
            (Cloud::S3, &[("AWS_ACCESS_KEY_ID", "a")], "key `AWS_SECRET_ACCESS_KEY` is missing"),
            (Cloud::Google, &[], "key `GOOGLE_SERVICE_ACCOUNT_KEY` is missing"),
            (
                Cloud::Azure,
                &[("AZURE_STORAGE_SAS_TOKEN", "sv=1")],
                "key `AZURE_STORAGE_ACCOUNT_NAME` is missing",
            ),
            (
                Cloud::Azure,
                &[("AZURE_STORAGE_ACCOUNT_NAME", "a")],
                "key `AZURE_STORAGE_ACCOUNT_KEY` is missing",
            ),
        ];
        for (cloud, entries, want) in cases {
            let error = read(cloud, entries).unwrap_err();
            assert!(error.is_missing_key());
            assert_eq!(error.to_string(), format!("{want} in the checkpoint storage secret at /secrets/s"));
        }
    }

    #[test]
    fn one_of_several_spellings_is_enough() {
        for entries in [
            [("AZURE_STORAGE_ACCOUNT_NAME", "a"), ("AZURE_STORAGE_ACCOUNT_KEY", "aGk=")],
            [("AZURE_STORAGE_ACCOUNT_NAME", "a"), ("AZURE_STORAGE_SAS_TOKEN", "sv=1&sig=x")],
        ] {
            assert!(read(Cloud::Azure, &entries).is_ok(), "{entries:?}");
        }
        for key in GOOGLE_KEY {
            assert_eq!(read(Cloud::Google, &[(key, " {} \n")]).unwrap().get(key), Some("{}"));
        }
    }

    #[test]
    fn no_value_is_shown() {
        let entries = [("AWS_ACCESS_KEY_ID", "hush1\n"), ("AWS_SECRET_ACCESS_KEY", "hush2\n")];
        let credentials = read(Cloud::S3, &entries).unwrap();
        assert_eq!(credentials.get("AWS_SECRET_ACCESS_KEY"), Some("hush2"));
        assert!(!format!("{credentials:?}").contains("hush"), "{credentials:?}");
        let error = read(Cloud::S3, &[("AWS_ACCESS_KEY_ID", "hush\0")]).unwrap_err();
        assert!(!error.to_string().contains("hush"), "{error}");
        assert!(!error.is_missing_key());
    }
}
