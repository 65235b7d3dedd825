//! Records that wait for the end of their window, in pages that a snapshot shares.

use super::whole::Whole;
use crate::state::bytes::{Malformed, Reader, put_varint};
use crate::state::page::{Content, Page, PageIds, Slot};
use std::sync::Arc;

/// Records of a page; few in the tests of this crate.
const PAGE_RECORDS: usize = if cfg!(test) { 3 } else { 64 };

/// Held records of one window, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Held {
    pages: Vec<Slot<HeldPage>>,
}

#[derive(Clone, Debug, Default)]
struct HeldPage(Vec<Whole>);

impl Held {
    pub(super) fn len(&self) -> usize {
        self.pages.last().map_or(0, |last| (self.pages.len() - 1) * PAGE_RECORDS + last.get().0.len())
    }

    pub(super) fn push(&mut self, whole: Whole) {
        if self.len() == self.pages.len() * PAGE_RECORDS {
            self.pages.push(Slot::new(HeldPage::default()));
        }
        if let Some(last) = self.pages.last_mut() {
            last.get_mut().0.push(whole);
        }
    }

    /// All of them; none is left.
    pub(super) fn take(&mut self) -> Vec<Whole> {
        let pages = std::mem::take(&mut self.pages);
        pages.into_iter().flat_map(|mut page| std::mem::take(&mut page.get_mut().0)).collect()
    }

    /// The pages as they are now.
    pub(super) fn seal(&mut self, ids: &mut PageIds, out: &mut Vec<Arc<dyn Page>>) {
        out.extend(self.pages.iter_mut().map(|page| page.seal(ids)));
    }

    /// Takes in the pages of a snapshot of `records` records, which this has none of yet.
    pub(super) fn restore<'a>(
        &mut self,
        records: usize,
        pages: &mut impl Iterator<Item = &'a [u8]>,
        mut read: impl FnMut(&mut Reader<'a>) -> Result<Whole, Malformed>,
    ) -> Result<(), Malformed> {
        for first in (0..records).step_by(PAGE_RECORDS) {
            let mut reader = Reader::new(pages.next().ok_or(Malformed { what: "page of held records" })?);
            let count = reader.count("number of held records")?;
            if count != (records - first).min(PAGE_RECORDS) {
                return Err(Malformed { what: "number of held records" });
            }
            for _ in 0..count {
                self.push(read(&mut reader)?);
            }
            reader.end("end of a page of held records")?;
        }
        Ok(())
    }

    /// Heap bytes, roughly.
    pub(super) fn heap_bytes(&self) -> usize {
        self.pages.iter().flat_map(|page| &page.get().0).map(Whole::heap_bytes).sum()
    }
}

impl Content for HeldPage {
    fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.0.len() as u64);
        self.0.iter().for_each(|whole| whole.encode(out));
    }
}
