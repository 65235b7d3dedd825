//! What the rest of the operator knows of the election: whether it may work, and until when.

use futures::Stream;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Instant;
use tokio::sync::watch;

/// A term of office. Clones say the same.
#[derive(Clone, Debug)]
pub struct Term {
    state: watch::Sender<State>,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// Terms so far.
    number: u64,
    /// End of the present one, unless it is extended.
    until: Option<Instant>,
}

impl State {
    fn lasts(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() < until)
    }
}

impl Default for Term {
    fn default() -> Self {
        Self { state: watch::Sender::new(State::default()) }
    }
}

impl Term {
    /// A term that does not end: for a process that nobody shares the work with.
    pub fn endless() -> Self {
        let term = Self::default();
        let century = std::time::Duration::from_hours(24 * 36_525);
        term.set(Some(Instant::now() + century));
        term
    }

    /// True while we may work.
    pub fn lasts(&self) -> bool {
        self.state.borrow().lasts()
    }

    /// We lead until then, or not at all.
    pub(super) fn set(&self, until: Option<Instant>) {
        self.state.send_modify(|state| {
            let before = state.lasts();
            state.until = until;
            if !before && state.lasts() {
                state.number += 1;
            }
        });
    }

    /// Works while the term lasts; none when it is over before the work is done, which is then abandoned where it
    /// waits. The clock is asked before each step of the work, so that nothing is done late even by a process that was
    /// stopped for a while.
    pub async fn during<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let (mut work, mut over) = (pin!(work), pin!(self.over()));
        poll_fn(|task| {
            if !self.lasts() || over.as_mut().poll(task).is_ready() {
                return Poll::Ready(None);
            }
            work.as_mut().poll(task).map(Some)
        })
        .await
    }

    /// Ends with the term.
    pub async fn over(&self) {
        let mut state = self.state.subscribe();
        loop {
            let Some(until) = state.borrow_and_update().until.filter(|until| Instant::now() < *until) else {
                return;
            };
            tokio::select! {
                () = tokio::time::sleep_until(until.into()) => {}
                // The sender lives as long as `self`.
                _ = state.changed() => {}
            }
        }
    }

    /// An item at the beginning of every term.
    pub fn begins(&self) -> impl Stream<Item = ()> + Send + use<> {
        let terms = self.state.subscribe();
        futures::stream::unfold((terms, 0), |(mut terms, known)| async move {
            let number = terms.wait_for(|state| state.number > known).await.ok()?.number;
            Some(((), (terms, number)))
        })
    }
}
