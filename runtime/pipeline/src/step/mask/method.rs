//! What becomes of one value. Each method writes a JSON string with its quotes.
//!
//! `Tokenise` draws a number for each letter and digit from HMAC-SHA-256 in counter mode, seeded with the HMAC of the
//! whole value: so equal values have equal tokens, and values that differ anywhere have nothing in common. It is one-way,
//! no encryption: two values may have one token, as often as chance gives two of one form.

use crate::format::json::write_string;
use crate::plan::{Keep, MaskKey, Masking};

/// What `Redact` writes.
const REDACTED: &[u8] = b"\"***\"";

/// A method with its key.
#[derive(Clone)]
pub(super) struct Method {
    kind: Kind,
    /// The characters of the result.
    text: String,
}

#[derive(Clone)]
enum Kind {
    Hash(MaskKey),
    Redact,
    Partial(Keep),
    Tokenise(MaskKey),
}

impl std::fmt::Debug for Method {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.kind {
            Kind::Hash(_) => "Hash",
            Kind::Redact => "Redact",
            Kind::Partial(_) => "Partial",
            Kind::Tokenise(_) => "Tokenise",
        })
    }
}

impl Method {
    pub(super) fn new(masking: &Masking, key: Option<&MaskKey>) -> Self {
        let kind = match (masking, key) {
            (Masking::Hash(_), Some(key)) => Kind::Hash(key.clone()),
            (Masking::Tokenise(_), Some(key)) => Kind::Tokenise(key.clone()),
            (Masking::Partial(keep), _) => Kind::Partial(*keep),
            (Masking::Redact | Masking::Hash(_) | Masking::Tokenise(_), _) => Kind::Redact,
        };
        Self { kind, text: String::new() }
    }

    /// The mask of a scalar: the characters of a string, or the JSON text of a number or boolean.
    pub(super) fn write(&mut self, value: &[u8], out: &mut Vec<u8>) {
        match &self.kind {
            Kind::Hash(key) => write_hex(&key.sign(&[value]), out),
            Kind::Redact => out.extend_from_slice(REDACTED),
            Kind::Partial(keep) => {
                self.text.clear();
                partial(&String::from_utf8_lossy(value), *keep, &mut self.text);
                write_string(self.text.as_bytes(), out);
            }
            Kind::Tokenise(key) => {
                self.text.clear();
                tokenise(key, &String::from_utf8_lossy(value), &mut self.text);
                write_string(self.text.as_bytes(), out);
            }
        }
    }

    /// The mask of an object or array, given as its canonical text. No part of it is shown.
    pub(super) fn write_whole(&mut self, value: &[u8], out: &mut Vec<u8>) {
        match self.kind {
            Kind::Partial(_) => out.extend_from_slice(REDACTED),
            _ => self.write(value, out),
        }
    }
}

fn write_hex(bytes: &[u8], out: &mut Vec<u8>) {
    let digit = |half: u8| b"0123456789abcdef"[usize::from(half)];
    out.push(b'"');
    out.extend(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]));
    out.push(b'"');
}

/// At most half of a value is shown.
fn partial(value: &str, keep: Keep, out: &mut String) {
    let length = value.chars().count();
    let (Keep::First(count) | Keep::Last(count)) = keep;
    let count = if length < 2 * count as usize { 0 } else { count as usize };
    let shown = match keep {
        Keep::First(_) => 0..count,
        Keep::Last(_) => length - count..length,
    };
    out.extend(value.chars().enumerate().map(|(at, c)| if shown.contains(&at) { c } else { '*' }));
}

fn tokenise(key: &MaskKey, value: &str, out: &mut String) {
    let mut draws = Draws::new(key, value.as_bytes());
    out.extend(value.chars().map(|c| {
        if c.is_numeric() {
            char::from(b'0' + draws.below(10))
        } else if c.is_uppercase() {
            char::from(b'A' + draws.below(26))
        } else if c.is_alphabetic() {
            char::from(b'a' + draws.below(26))
        } else {
            c
        }
    }));
}

/// Numbers that look like chance, always the same for one key and value.
struct Draws<'a> {
    key: &'a MaskKey,
    seed: [u8; 32],
    block: [u8; 32],
    used: usize,
    number: u32,
}

impl<'a> Draws<'a> {
    fn new(key: &'a MaskKey, value: &[u8]) -> Self {
        let seed = key.sign(&[b"weir: token of ", value]);
        Self { key, seed, block: [0; 32], used: 32, number: 0 }
    }

    /// A number below `bound`; sixteen bits make its odds even to one in a thousand.
    fn below(&mut self, bound: u8) -> u8 {
        if self.used == self.block.len() {
            self.block = self.key.sign(&[b"weir: draws ", &self.seed, &self.number.to_be_bytes()]);
            self.number += 1;
            self.used = 0;
        }
        let drawn = u16::from_be_bytes([self.block[self.used], self.block[self.used + 1]]);
        self.used += 2;
        ((u32::from(drawn) * u32::from(bound)) >> 16) as u8
    }
}
