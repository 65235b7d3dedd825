//! The primitives of everything that the engine writes down (blocks, snapshots): little-endian base-128 numbers and
//! length-prefixed bytes. Reading is total: any bytes give a value or [`Malformed`], never a panic and never an
//! allocation larger than the input.

/// The bytes are not what they claim to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed bytes at {what}")]
pub struct Malformed {
    /// The part that could not be read.
    pub what: &'static str,
}

/// Appends an unsigned number.
#[inline]
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed number; small magnitudes are short.
#[inline]
pub(crate) fn put_zigzag(out: &mut Vec<u8>, value: i64) {
    put_varint(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// Appends a signed 128-bit number; small magnitudes are short.
pub(crate) fn put_zigzag128(out: &mut Vec<u8>, value: i128) {
    let mut rest = ((value << 1) ^ (value >> 127)) as u128;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Appends bytes with their length.
#[inline]
pub(crate) fn put_slice(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends bytes that may be absent.
pub(crate) fn put_optional(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => out.push(0),
        Some(bytes) => {
            out.push(1);
            put_slice(out, bytes);
        }
    }
}

/// Takes values off the front of bytes.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What was not read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline]
    pub(crate) fn u8(&mut self, what: &'static str) -> Result<u8, Malformed> {
        let (first, rest) = self.rest.split_first().ok_or(Malformed { what })?;
        self.rest = rest;
        Ok(*first)
    }

    pub(crate) fn flag(&mut self, what: &'static str) -> Result<bool, Malformed> {
        match self.u8(what)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed { what }),
        }
    }

    #[inline]
    pub(crate) fn take(&mut self, len: usize, what: &'static str) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(Malformed { what })?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    pub(crate) fn varint(&mut self, what: &'static str) -> Result<u64, Malformed> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8(what)?;
            if shift == 63 && byte > 1 {
                return Err(Malformed { what });
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Malformed { what })
    }

    #[inline]
    pub(crate) fn zigzag(&mut self, what: &'static str) -> Result<i64, Malformed> {
        let value = self.varint(what)?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    pub(crate) fn zigzag128(&mut self, what: &'static str) -> Result<i128, Malformed> {
        let mut value = 0u128;
        for shift in (0..128).step_by(7) {
            let byte = self.u8(what)?;
            if shift == 126 && byte > 3 {
                return Err(Malformed { what });
            }
            value |= u128::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok((value >> 1) as i128 ^ -((value & 1) as i128));
            }
        }
        Err(Malformed { what })
    }

    pub(crate) fn varint32(&mut self, what: &'static str) -> Result<u32, Malformed> {
        u32::try_from(self.varint(what)?).map_err(|_| Malformed { what })
    }

    /// A number of things of which each takes at least one byte of what follows.
    #[inline]
    pub(crate) fn count(&mut self, what: &'static str) -> Result<usize, Malformed> {
        let count = self.varint(what)?;
        if count > self.rest.len() as u64 { Err(Malformed { what }) } else { Ok(count as usize) }
    }

    #[inline]
    pub(crate) fn slice(&mut self, what: &'static str) -> Result<&'a [u8], Malformed> {
        let len = self.count(what)?;
        self.take(len, what)
    }

    pub(crate) fn optional(&mut self, what: &'static str) -> Result<Option<&'a [u8]>, Malformed> {
        if self.flag(what)? { self.slice(what).map(Some) } else { Ok(None) }
    }

    /// An error unless everything was read.
    pub(crate) fn end(&self, what: &'static str) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed { what }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_and_slices_come_back(a: u64, b: i64, c: i128, d: Vec<u8>, e: Option<Vec<u8>>) {
            let mut out = Vec::new();
            put_varint(&mut out, a);
            put_zigzag(&mut out, b);
            put_zigzag128(&mut out, c);
            put_slice(&mut out, &d);
            put_optional(&mut out, e.as_deref());
            let mut reader = Reader::new(&out);
            prop_assert_eq!(reader.varint("a").unwrap(), a);
            prop_assert_eq!(reader.zigzag("b").unwrap(), b);
            prop_assert_eq!(reader.zigzag128("c").unwrap(), c);
            prop_assert_eq!(reader.slice("d").unwrap(), &d[..]);
            prop_assert_eq!(reader.optional("e").unwrap(), e.as_deref());
            prop_assert!(reader.end("end").is_ok());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let mut reader = Reader::new(&bytes);
            while reader.zigzag128("x").is_ok() && reader.slice("y").is_ok() && reader.zigzag("z").is_ok() {}
        }
    }
}
