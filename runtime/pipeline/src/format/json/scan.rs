//! Scanning of JSON text: strings, literals, and whole values that nobody asks for. Every function checks what it
//! passes over, so that a text that is scanned to its end is JSON.
//!
//! Positions are indexes into the buffer of the batch. Wide loads may look behind the end of the text (there are the
//! bytes of the next record); what is found there is an unexpected end.

use super::escape;
use super::number::number;
use super::{MAX_DEPTH, RejectReason, SyntaxError};

pub(crate) type Scan<T> = Result<T, RejectReason>;

/// One text inside a buffer.
#[derive(Clone, Copy)]
pub(crate) struct Text<'a> {
    /// The buffer, maybe longer than the text.
    buffer: &'a [u8],
    /// The buffer up to the end of the text.
    text: &'a [u8],
}

/// A string that was passed over.
#[derive(Clone, Copy)]
pub(crate) struct Str {
    /// Position behind the closing quote.
    pub end: usize,
    /// True when it has a backslash.
    pub escaped: bool,
}

impl<'a> Text<'a> {
    /// The text that ends at `end`, of a buffer.
    pub fn new(buffer: &'a [u8], end: usize) -> Self {
        Self { buffer, text: &buffer[..end] }
    }

    /// Position behind the last byte.
    #[inline(always)]
    pub fn end(self) -> usize {
        self.text.len()
    }

    /// The byte at a position; 0, which is never a token, behind the end.
    #[inline(always)]
    pub fn at(self, p: usize) -> u8 {
        self.text.get(p).copied().unwrap_or(0)
    }

    /// A part of the text.
    #[inline(always)]
    pub fn slice(self, start: usize, end: usize) -> &'a [u8] {
        &self.text[start..end]
    }

    /// True when `part` is at a position.
    #[inline]
    pub fn starts_with(self, p: usize, part: &[u8]) -> bool {
        self.text.get(p..).is_some_and(|rest| rest.starts_with(part))
    }

    /// Eight bytes, little endian; zeros behind the end of the buffer.
    #[inline(always)]
    pub fn word(self, p: usize) -> u64 {
        match self.buffer.get(p..).and_then(|rest| rest.first_chunk::<8>()) {
            Some(bytes) => u64::from_le_bytes(*bytes),
            None => u64::from_le_bytes(tail(self.buffer, p)),
        }
    }

    /// Sixteen bytes, little endian; zeros behind the end of the buffer.
    #[inline(always)]
    pub fn block(self, p: usize) -> [u64; 2] {
        let both = match self.buffer.get(p..).and_then(|rest| rest.first_chunk::<16>()) {
            Some(bytes) => u128::from_le_bytes(*bytes),
            None => u128::from_le_bytes(tail(self.buffer, p)),
        };
        [both as u64, (both >> 64) as u64]
    }

    /// The first position that is not white space.
    #[inline(always)]
    pub fn skip_space(self, mut p: usize) -> usize {
        while matches!(self.at(p), b' ' | b'\n' | b'\t' | b'\r') {
            p += 1;
        }
        p
    }

    /// Passes over a string; `start` is behind the opening quote.
    #[inline(always)]
    pub fn string(self, start: usize) -> Scan<Str> {
        let mut p = start;
        loop {
            let [low, high] = self.block(p).map(special);
            if low | high != 0 {
                let first = if low == 0 { 64 + high.trailing_zeros() } else { low.trailing_zeros() };
                let hit = p + first as usize / 8;
                if self.at(hit) == b'"' {
                    return Ok(Str { end: hit + 1, escaped: false });
                }
                return self.string_with_specials(start, hit);
            }
            p += 16;
        }
    }

    /// The rest of a string from its first byte that is not plain ASCII.
    #[cold]
    #[inline(never)]
    fn string_with_specials(self, start: usize, mut p: usize) -> Scan<Str> {
        let mut escaped = false;
        let mut ascii = true;
        loop {
            match self.at(p) {
                _ if p >= self.end() => {
                    return Err(RejectReason::syntax(self.end(), SyntaxError::UnexpectedEnd));
                }
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    p = escape::escape(self.text, p)?.1;
                }
                0..0x20 => return Err(RejectReason::syntax(p, SyntaxError::ControlCharacter)),
                byte => {
                    ascii &= byte < 0x80;
                    p += 1;
                }
            }
        }
        if !ascii && std::str::from_utf8(self.slice(start, p)).is_err() {
            return Err(RejectReason::Utf8 { at: start as u32 - 1 });
        }
        Ok(Str { end: p + 1, escaped })
    }

    /// Passes over `true`, `false` or `null`, whichever `word` is.
    #[inline(always)]
    pub fn literal(self, p: usize, word: &[u8]) -> Scan<usize> {
        if self.starts_with(p, word) {
            Ok(p + word.len())
        } else {
            Err(RejectReason::syntax(p, SyntaxError::ExpectedValue))
        }
    }

    /// Passes over a value that begins at `p`, inside `depth` objects and arrays.
    #[inline(always)]
    pub fn value(self, p: usize, depth: u32) -> Scan<usize> {
        match self.at(p) {
            b'{' | b'[' => self.container(p, depth),
            _ => self.scalar(p),
        }
    }

    /// Passes over a value that is neither object nor array.
    #[inline(always)]
    pub fn scalar(self, p: usize) -> Scan<usize> {
        match self.at(p) {
            b'"' => Ok(self.string(p + 1)?.end),
            b'-' | b'0'..=b'9' => Ok(number(self, p)?.0),
            b't' => self.literal(p, b"true"),
            b'f' => self.literal(p, b"false"),
            b'n' => self.literal(p, b"null"),
            _ => Err(self.unexpected(p, SyntaxError::ExpectedValue)),
        }
    }

    /// Passes over an object or array, without recursion: `kinds` is the stack, one bit per level.
    #[inline(never)]
    pub fn container(self, mut p: usize, depth: u32) -> Scan<usize> {
        let mut kinds = 0_u128;
        let mut level = depth;
        loop {
            let open = self.at(p);
            if open == b'{' || open == b'[' {
                level = deeper(p, level)?;
                kinds = kinds << 1 | u128::from(open == b'{');
                p = self.skip_space(p + 1);
                if self.at(p) != open + 2 {
                    if open == b'{' {
                        p = self.key(p)?;
                    }
                    continue;
                }
            } else {
                p = self.scalar(p)?;
                p = self.skip_space(p);
            }
            // Behind a value, or at the bracket that closes an empty container.
            loop {
                let object = kinds & 1 == 1;
                match self.at(p) {
                    b',' if object => {
                        p = self.key(self.skip_space(p + 1))?;
                        break;
                    }
                    b',' => {
                        p = self.skip_space(p + 1);
                        break;
                    }
                    b'}' if object => {}
                    b']' if !object => {}
                    _ if object => return Err(self.unexpected(p, SyntaxError::ExpectedCommaOrBrace)),
                    _ => return Err(self.unexpected(p, SyntaxError::ExpectedCommaOrBracket)),
                }
                kinds >>= 1;
                level -= 1;
                if level == depth {
                    return Ok(p + 1);
                }
                p = self.skip_space(p + 1);
            }
        }
    }

    /// Passes over a key, its colon and the space behind it.
    #[inline(always)]
    fn key(self, p: usize) -> Scan<usize> {
        if self.at(p) != b'"' {
            return Err(self.unexpected(p, SyntaxError::ExpectedKey));
        }
        self.colon(self.string(p + 1)?.end)
    }

    /// Passes over a colon and the space around it.
    #[inline(always)]
    pub fn colon(self, p: usize) -> Scan<usize> {
        let p = self.skip_space(p);
        if self.at(p) != b':' {
            return Err(self.unexpected(p, SyntaxError::ExpectedColon));
        }
        Ok(self.skip_space(p + 1))
    }

    /// What to say when a token is not there.
    #[cold]
    pub fn unexpected(self, p: usize, what: SyntaxError) -> RejectReason {
        if p >= self.end() {
            RejectReason::syntax(self.end(), SyntaxError::UnexpectedEnd)
        } else {
            RejectReason::syntax(p, what)
        }
    }
}

/// The depth inside the bracket at `p`.
#[inline(always)]
pub(crate) fn deeper(p: usize, depth: u32) -> Scan<u32> {
    if depth + 2 > MAX_DEPTH { Err(RejectReason::TooDeep { at: p as u32 }) } else { Ok(depth + 1) }
}

#[cold]
fn tail<const N: usize>(buffer: &[u8], p: usize) -> [u8; N] {
    let mut bytes = [0; N];
    let rest = buffer.get(p..).unwrap_or(&[]);
    bytes[..rest.len()].copy_from_slice(rest);
    bytes
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = ONES << 7;

/// The high bit of the first byte that ends the plain part of a string: quote, backslash, control character, not ASCII.
/// Higher bits may be set by carries.
#[inline(always)]
fn special(word: u64) -> u64 {
    (escapes(word) | word) & HIGH_BITS
}

/// The high bit of the first byte that a string may only have as an escape. Higher bits may be set by carries.
#[inline(always)]
pub(super) fn escaped_in_strings(word: u64) -> u64 {
    escapes(word) & !word & HIGH_BITS
}

/// The high bits of quotes, backslashes and control characters, and of some bytes that are not ASCII.
#[inline(always)]
fn escapes(word: u64) -> u64 {
    let quote = (word ^ (ONES * u64::from(b'"'))).wrapping_sub(ONES);
    let backslash = (word ^ (ONES * u64::from(b'\\'))).wrapping_sub(ONES);
    let control = word.wrapping_sub(ONES * 0x20);
    quote | backslash | control
}
