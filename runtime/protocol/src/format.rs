//! Bytes that outlive a process: magic, version, and the small codec that journal records, block envelopes and snapshot
//! headers are written with.
//!
//! Reading is total: any bytes give a value or a [`DecodeError`], never a panic and never an allocation larger than the
//! input. An unknown version fails closed.

use pipeline::plan::{PlanHash, SecretsHash};

/// The version that is written where nothing needs a newer one, so that releases before this one can read it. 2: a Claim
/// says which Secrets its commits are made with.
pub const WRITE_FORMAT: u8 = 2;

/// The version of journal records that belong to a rollback, or make one possible.
pub const ROLLBACK_FORMAT: u8 = 3;

/// The version that snapshots are written with. 3: the state may lie in pages, some of them in other objects.
pub const SNAPSHOT_FORMAT: u8 = 3;

/// The version that savepoints are written with.
pub const SAVEPOINT_FORMAT: u8 = 1;

/// What a sequence of bytes claims to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Magic {
    /// A record of a journal: `WJ`.
    Journal,
    /// A record of a repartition topic: `WB`.
    Block,
    /// A snapshot of a unit: `WS`.
    Snapshot,
    /// The manifest of a savepoint, or blocks in it: `WP`.
    Savepoint,
}

impl Magic {
    /// The first two bytes.
    pub fn bytes(self) -> [u8; 2] {
        match self {
            Self::Journal => *b"WJ",
            Self::Block => *b"WB",
            Self::Snapshot => *b"WS",
            Self::Savepoint => *b"WP",
        }
    }

    /// The version that it is written with where nothing needs a newer one.
    pub fn written(self) -> u8 {
        match self {
            Self::Journal | Self::Block => WRITE_FORMAT,
            Self::Snapshot => SNAPSHOT_FORMAT,
            Self::Savepoint => SAVEPOINT_FORMAT,
        }
    }

    /// The newest version that is read; every one from 1 on is.
    pub fn newest(self) -> u8 {
        match self {
            Self::Journal => ROLLBACK_FORMAT,
            Self::Block => WRITE_FORMAT,
            Self::Snapshot => SNAPSHOT_FORMAT,
            Self::Savepoint => SAVEPOINT_FORMAT,
        }
    }
}

impl std::fmt::Display for Magic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Journal => "journal record",
            Self::Block => "repartition block",
            Self::Snapshot => "snapshot",
            Self::Savepoint => "savepoint",
        })
    }
}

/// Why bytes cannot be read. All are reasons to stop (`StateIncompatible`); none is a dead letter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes were not written by us.
    #[error("not a {what}: the magic bytes are missing")]
    NotOurs {
        /// What was expected.
        what: Magic,
    },
    /// Written by a newer release.
    #[error("{what} has format {found}, this release reads up to {known}")]
    UnknownVersion {
        /// What was read.
        what: Magic,
        /// The version found.
        found: u8,
        /// The newest version this release reads.
        known: u8,
    },
    /// The bytes end too early or hold something that this version never writes.
    #[error("{what} is damaged at its {field}")]
    Damaged {
        /// What was read.
        what: Magic,
        /// The part that could not be read.
        field: &'static str,
    },
}

/// Appends values to a buffer. Integers are LEB128, signed ones in zigzag, texts and bytes carry their length.
#[derive(Debug)]
pub struct Encoder(Vec<u8>);

impl Encoder {
    /// Starts with magic and version.
    pub fn new(magic: Magic) -> Self {
        Self::of(magic, magic.written())
    }

    /// Starts with magic and this version.
    pub fn of(magic: Magic, version: u8) -> Self {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend_from_slice(&magic.bytes());
        bytes.push(version);
        Self(bytes)
    }

    /// Starts with nothing: a part of something that has magic and version.
    pub fn part() -> Self {
        Self(Vec::new())
    }

    /// One byte.
    pub fn byte(&mut self, value: u8) -> &mut Self {
        self.0.push(value);
        self
    }

    /// An unsigned integer.
    pub fn number(&mut self, mut value: u64) -> &mut Self {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
        self
    }

    /// A signed integer.
    pub fn signed(&mut self, value: i64) -> &mut Self {
        self.number(((value << 1) ^ (value >> 63)) as u64)
    }

    /// Eight bytes, for hashes.
    pub fn word(&mut self, value: u64) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// Sixteen bytes, for hashes and random ids.
    pub fn long_word(&mut self, value: u128) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// A hash of Secrets.
    pub fn secrets(&mut self, value: SecretsHash) -> &mut Self {
        self.long_word(value.0)
    }

    /// A plan hash.
    pub fn plan(&mut self, value: PlanHash) -> &mut Self {
        self.0.extend_from_slice(&value.0);
        self
    }

    /// Text with its length.
    pub fn text(&mut self, value: &str) -> &mut Self {
        self.number(value.len() as u64);
        self.0.extend_from_slice(value.as_bytes());
        self
    }

    /// A presence byte, then the value.
    pub fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) -> &mut Self {
        match value {
            None => self.byte(0),
            Some(inner) => {
                self.byte(1);
                write(self, inner);
                self
            }
        }
    }

    /// A count, then the values.
    pub fn list<T>(&mut self, values: &[T], mut write: impl FnMut(&mut Self, &T)) -> &mut Self {
        self.number(values.len() as u64);
        for value in values {
            write(self, value);
        }
        self
    }

    /// Bytes without a length: only as the last part.
    pub fn rest(&mut self, value: &[u8]) -> &mut Self {
        self.0.extend_from_slice(value);
        self
    }

    /// The bytes.
    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Reads what an [`Encoder`] wrote.
#[derive(Debug)]
pub struct Decoder<'a> {
    what: Magic,
    version: u8,
    rest: &'a [u8],
}

impl<'a> Decoder<'a> {
    /// Checks magic and version.
    pub fn new(magic: Magic, bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let rest = bytes.strip_prefix(&magic.bytes()).ok_or(DecodeError::NotOurs { what: magic })?;
        let (&version, rest) =
            rest.split_first().ok_or(DecodeError::Damaged { what: magic, field: "version" })?;
        let known = magic.newest();
        if version == 0 || version > known {
            return Err(DecodeError::UnknownVersion { what: magic, found: version, known });
        }
        Ok(Self { what: magic, version, rest })
    }

    /// Reads a part of something whose magic and version were read.
    pub fn part(what: Magic, version: u8, rest: &'a [u8]) -> Self {
        Self { what, version, rest }
    }

    /// The version of the bytes.
    pub fn version(&self) -> u8 {
        self.version
    }

    /// The error for a part that cannot be read.
    pub fn damaged(&self, field: &'static str) -> DecodeError {
        DecodeError::Damaged { what: self.what, field }
    }

    fn take(&mut self, len: usize, field: &'static str) -> Result<&'a [u8], DecodeError> {
        if len > self.rest.len() {
            return Err(self.damaged(field));
        }
        let (head, tail) = self.rest.split_at(len);
        self.rest = tail;
        Ok(head)
    }

    /// One byte.
    pub fn byte(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        Ok(self.take(1, field)?[0])
    }

    /// An unsigned integer.
    pub fn number(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte(field)?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(self.damaged(field));
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.damaged(field))
    }

    /// An unsigned integer of 32 bits.
    pub fn number32(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        u32::try_from(self.number(field)?).map_err(|_| self.damaged(field))
    }

    /// An unsigned integer of 16 bits.
    pub fn number16(&mut self, field: &'static str) -> Result<u16, DecodeError> {
        u16::try_from(self.number(field)?).map_err(|_| self.damaged(field))
    }

    /// A signed integer.
    pub fn signed(&mut self, field: &'static str) -> Result<i64, DecodeError> {
        let value = self.number(field)?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// Eight bytes.
    pub fn word(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(self.take(8, field)?);
        Ok(u64::from_le_bytes(bytes))
    }

    /// Sixteen bytes.
    pub fn long_word(&mut self, field: &'static str) -> Result<u128, DecodeError> {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(self.take(16, field)?);
        Ok(u128::from_le_bytes(bytes))
    }

    /// A plan hash.
    pub fn plan(&mut self, field: &'static str) -> Result<PlanHash, DecodeError> {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(self.take(16, field)?);
        Ok(PlanHash(bytes))
    }

    /// Text with its length.
    pub fn text(&mut self, field: &'static str) -> Result<&'a str, DecodeError> {
        let bytes = self.bytes(field)?;
        std::str::from_utf8(bytes).map_err(|_| self.damaged(field))
    }

    /// Bytes with their length.
    pub fn bytes(&mut self, field: &'static str) -> Result<&'a [u8], DecodeError> {
        let len = self.number(field)?;
        let len = usize::try_from(len).map_err(|_| self.damaged(field))?;
        self.take(len, field)
    }

    /// A presence byte, then the value.
    pub fn option<T>(
        &mut self,
        field: &'static str,
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        match self.byte(field)? {
            0 => Ok(None),
            1 => read(self).map(Some),
            _ => Err(self.damaged(field)),
        }
    }

    /// A count, then the values; each takes at least one byte, so a count beyond the rest is damage.
    pub fn list<T>(
        &mut self,
        field: &'static str,
        mut read: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let count = self.number(field)?;
        if count > self.rest.len() as u64 {
            return Err(self.damaged(field));
        }
        (0..count).map(|_| read(self)).collect()
    }

    /// Everything that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// Nothing is left.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Nothing may be left.
    pub fn end(self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.damaged("end")) }
    }
}
