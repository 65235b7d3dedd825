//! Pages: pieces of state that a snapshot shares instead of copying, and that the next write copies if it still has to.
//!
//! ```text
//!  Own ── seal (a snapshot) ──> Shared ── first write behind it ──> Own (a copy, unless the snapshot is done with it)
//! ```
//!
//! A sealed page has a number of its own, by which whoever stores snapshots knows a page that did not change since.

use std::fmt::Debug;
use std::sync::Arc;

/// A piece of a snapshot. It never changes; it is encoded when and where there is time.
pub trait Page: Debug + Send + Sync {
    /// The number of this page. Of one [`Unit`](crate::unit::Unit) no two pages with other bytes ever have the same, and a
    /// page keeps it as long as nothing was written to it.
    fn id(&self) -> u64;

    /// Appends its bytes, equal for equal contents.
    fn encode(&self, out: &mut Vec<u8>);
}

/// What a page holds.
pub(crate) trait Content: Clone + Debug + Default + Send + Sync + 'static {
    /// Appends its bytes, equal for equal contents.
    fn encode(&self, out: &mut Vec<u8>);
}

/// The numbers that pages of one unit have got so far.
#[derive(Debug, Default)]
pub(crate) struct PageIds(u64);

impl PageIds {
    fn next(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }
}

/// The place of a page.
#[derive(Debug)]
pub(crate) enum Slot<C> {
    /// Written to since the last snapshot.
    Own(Box<C>),
    /// As it was in the last snapshot.
    Shared(Arc<Sealed<C>>),
}

/// A page as a snapshot has it.
#[derive(Debug)]
pub(crate) struct Sealed<C> {
    id: u64,
    content: C,
}

impl<C: Content> Page for Sealed<C> {
    fn id(&self) -> u64 {
        self.id
    }

    fn encode(&self, out: &mut Vec<u8>) {
        self.content.encode(out);
    }
}

impl<C: Content> Slot<C> {
    pub(crate) fn new(content: C) -> Self {
        Self::Own(Box::new(content))
    }

    #[inline]
    pub(crate) fn get(&self) -> &C {
        match self {
            Self::Own(content) => content,
            Self::Shared(sealed) => &sealed.content,
        }
    }

    /// To be written to.
    #[inline]
    pub(crate) fn get_mut(&mut self) -> &mut C {
        match self {
            Self::Own(content) => content,
            Self::Shared(sealed) => {
                *self = Self::Own(Box::new(unsealed(sealed)));
                self.get_mut()
            }
        }
    }

    /// The page as it is now. Nothing is copied.
    pub(crate) fn seal(&mut self, ids: &mut PageIds) -> Arc<dyn Page> {
        let sealed = match self {
            Self::Own(content) => {
                Arc::new(Sealed { id: ids.next(), content: std::mem::take(content.as_mut()) })
            }
            Self::Shared(sealed) => Arc::clone(sealed),
        };
        *self = Self::Shared(Arc::clone(&sealed));
        sealed
    }
}

/// The content of a sealed page; a copy only while a snapshot holds it.
#[cold]
fn unsealed<C: Content>(sealed: &mut Arc<Sealed<C>>) -> C {
    match Arc::get_mut(sealed) {
        Some(mine) => std::mem::take(&mut mine.content),
        None => sealed.content.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Content for Vec<u8> {
        fn encode(&self, out: &mut Vec<u8>) {
            out.extend_from_slice(self);
        }
    }

    fn bytes(page: &dyn Page) -> Vec<u8> {
        let mut out = Vec::new();
        page.encode(&mut out);
        out
    }

    #[test]
    fn a_sealed_page_stays_as_it_was_and_keeps_its_number_until_it_is_written_to() {
        let mut ids = PageIds::default();
        let mut slot = Slot::new(b"one".to_vec());
        let first = slot.seal(&mut ids);
        assert_eq!(slot.seal(&mut ids).id(), first.id(), "nothing was written");
        slot.get_mut().extend_from_slice(b" two");
        assert_eq!(bytes(&*first), b"one");
        assert_eq!(slot.get(), b"one two");
        let second = slot.seal(&mut ids);
        assert_ne!(second.id(), first.id());
        assert_eq!(bytes(&*second), b"one two");
    }

    #[test]
    fn a_page_that_no_snapshot_holds_any_more_is_not_copied() {
        let mut ids = PageIds::default();
        let mut slot = Slot::new(b"one".to_vec());
        let place = slot.get().as_ptr();
        drop(slot.seal(&mut ids));
        assert_eq!(slot.get_mut().as_ptr(), place);
        let held = slot.seal(&mut ids);
        assert_ne!(slot.get_mut().as_ptr(), place);
        drop(held);
    }
}
