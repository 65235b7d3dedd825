//! A text that is expected at a position, compared sixteen bytes at a time.

use super::scan::Text;

/// A text, prepared for comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Literal {
    words: [u64; 2],
    masks: [u64; 2],
    /// What is behind sixteen bytes.
    rest: Box<[u8]>,
    len: u32,
}

impl Literal {
    /// Prepares a text.
    pub fn new(text: &[u8]) -> Self {
        let (head, rest) = text.split_at(text.len().min(16));
        let mut bytes = [0; 16];
        bytes[..head.len()].copy_from_slice(head);
        let mut mask = [0; 16];
        mask[..head.len()].fill(0xFF);
        let halves = |bytes| {
            let both = u128::from_le_bytes(bytes);
            [both as u64, (both >> 64) as u64]
        };
        Self { words: halves(bytes), masks: halves(mask), rest: rest.into(), len: text.len() as u32 }
    }

    /// Bytes.
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// True when the text is at `p`. The last bytes of it may be behind the end, where the next record is.
    #[inline(always)]
    pub fn is_at(&self, text: Text<'_>, p: usize) -> bool {
        let [low, high] = text.block(p);
        let low = (low ^ self.words[0]) & self.masks[0];
        let high = (high ^ self.words[1]) & self.masks[1];
        low | high == 0 && (self.rest.is_empty() || text.starts_with(p + 16, &self.rest))
    }
}
