//! The values of the Secrets that masks are keyed with. They are given to a plan beside what the user wrote, for only
//! the runtime has them; they are no part of its hash, and nothing prints them.

use super::access::SecretKey;
use super::{NodeKind, Plan};
use ring::hmac;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Shorter keys can be found out by trying all of them.
pub const MASK_KEY_BYTES_MIN: usize = 16;

/// Says which keys they are without telling them.
const WITNESS: &[u8] = b"weir: which key masks";

/// A keyed hash of all keys of a plan: another one when a key is another one. It stands in journals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecretsHash(pub u128);

/// Why a value cannot be a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is too short.
    #[error(
        "has {found} bytes; a key of a mask has at least {MASK_KEY_BYTES_MIN}, such as from `openssl rand -hex 32`"
    )]
    TooShort {
        /// Its length.
        found: usize,
    },
}

/// A key of HMAC-SHA-256.
#[derive(Clone)]
pub(crate) struct MaskKey(hmac::Key);

/// Keys by where their values stand.
#[derive(Clone, Default)]
pub struct MaskKeys(Arc<BTreeMap<SecretKey, MaskKey>>);

impl MaskKey {
    /// HMAC-SHA-256 of all parts, one behind the other.
    pub(crate) fn sign(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(part);
        }
        let mut bytes = [0; 32];
        bytes.copy_from_slice(context.sign().as_ref());
        bytes
    }
}

impl MaskKeys {
    /// From the values of Secrets. A line break at the end of a value is not part of it.
    pub fn new(
        values: impl IntoIterator<Item = (SecretKey, Vec<u8>)>,
    ) -> Result<Self, (SecretKey, KeyError)> {
        let mut keys = BTreeMap::new();
        for (at, value) in values {
            let value = without_line_break(&value);
            if value.len() < MASK_KEY_BYTES_MIN {
                return Err((at, KeyError::TooShort { found: value.len() }));
            }
            keys.insert(at, MaskKey(hmac::Key::new(hmac::HMAC_SHA256, value)));
        }
        Ok(Self(Arc::new(keys)))
    }

    pub(crate) fn get(&self, at: &SecretKey) -> Option<&MaskKey> {
        self.0.get(at)
    }
}

impl std::fmt::Debug for MaskKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

fn without_line_break(value: &[u8]) -> &[u8] {
    let value = value.strip_suffix(b"\n").unwrap_or(value);
    value.strip_suffix(b"\r").unwrap_or(value)
}

impl Plan {
    /// Where the keys of its masks stand, each once.
    pub fn mask_secrets(&self) -> BTreeSet<&SecretKey> {
        let nodes = self.stages.iter().flat_map(|stage| &stage.nodes);
        let masks = nodes.filter_map(|node| match &node.kind {
            NodeKind::Mask(mask) => Some(mask),
            _ => None,
        });
        masks.filter_map(|mask| mask.secret()).collect()
    }

    /// The same plan with these keys.
    #[must_use]
    pub fn with_keys(&self, keys: MaskKeys) -> Self {
        Self { keys, ..self.clone() }
    }

    /// The first key of its masks that it was not given.
    pub fn missing_key(&self) -> Option<&SecretKey> {
        self.mask_secrets().into_iter().find(|at| self.keys.get(at).is_none())
    }

    /// Which keys its masks have; none when they need none, or when one is missing.
    pub fn secrets_hash(&self) -> Option<SecretsHash> {
        let mut sum: Option<[u8; 32]> = None;
        for at in self.mask_secrets() {
            let key = self.keys.get(at)?;
            sum = Some(key.sign(&[WITNESS, sum.as_ref().map_or(&[], |before| before.as_slice())]));
        }
        let first = *sum?.first_chunk::<16>()?;
        Some(SecretsHash(u128::from_be_bytes(first)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::from_yaml;

    fn at(key: &str) -> SecretKey {
        SecretKey { name: "salt".to_owned(), key: key.to_owned() }
    }

    fn keyed(values: &[(&str, &str)]) -> Plan {
        let plan = from_yaml(
            "apiVersion: weir.dev/v1alpha1
kind: StreamPipeline
metadata: {name: p}
spec:
  sources: [{name: a, kafka: {topic: a}}]
  steps:
    - {name: one, mask: {fields: [x], method: Hash, secretKeyRef: {name: salt, key: one}}}
    - {name: two, mask: {fields: [v], method: Tokenise, secretKeyRef: {name: salt, key: two}}}
    - {name: again, mask: {fields: [z], method: Hash, secretKeyRef: {name: salt, key: one}}}
  sinks: [{name: out, kafka: {topic: b}}]
",
        )
        .unwrap();
        let values = values.iter().map(|(key, value)| (at(key), value.as_bytes().to_vec()));
        plan.with_keys(MaskKeys::new(values).unwrap())
    }

    const ONE: &str = "0123456789abcdef";
    const TWO: &str = "fedcba9876543210";

    #[test]
    fn the_hash_of_the_secrets_tells_when_one_of_them_is_another_one() {
        let hash = |one, two| keyed(&[("one", one), ("two", two)]).secrets_hash();
        assert!(hash(ONE, TWO).is_some());
        assert_eq!(hash(ONE, TWO), hash("0123456789abcdef\r\n", "fedcba9876543210\n"));
        assert_ne!(hash(ONE, TWO), hash(TWO, ONE));
        assert_ne!(hash(ONE, TWO), hash(ONE, ONE));
        assert_ne!(hash(ONE, ONE), hash(TWO, TWO));
        assert_eq!(keyed(&[("one", ONE)]).secrets_hash(), None);
        assert_eq!(keyed(&[("one", ONE)]).missing_key(), Some(&at("two")));
        assert_eq!(keyed(&[("one", ONE), ("two", TWO)]).missing_key(), None);
    }

    #[test]
    fn keys_are_no_part_of_the_plan_and_nothing_prints_them() {
        let plan = keyed(&[("one", ONE), ("two", TWO)]);
        assert_eq!(plan.hash(), keyed(&[]).hash());
        let text = format!("{plan:?}");
        assert!(text.contains("salt") && !text.contains(ONE) && !text.contains("48, 49, 50"));
    }

    #[test]
    fn short_keys_are_refused() {
        let refused = |value: &str| MaskKeys::new([(at("one"), value.as_bytes().to_vec())]).unwrap_err();
        assert_eq!(refused("0123456789abcde\n"), (at("one"), KeyError::TooShort { found: 15 }));
        assert_eq!(refused(""), (at("one"), KeyError::TooShort { found: 0 }));
    }
}
