//! Uploads in the background: hand over what makes an object and puts it, ask later. The inline form does the work at once,
//! for the simulation.

use super::{Shard, SnapshotError, SnapshotStore, Stored};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

/// Most uploads that may be under way; a worker has at most one per unit.
pub const UPLOADS_MAX: usize = 1_024;

/// A store, and where its work is done. Dropping it waits for the one call under way, and gives up what waits behind it.
pub struct Uploads {
    place: Place,
    in_flight: usize,
    done: Vec<Finished>,
}

/// The caller's number, and what was stored.
type Finished = (u64, Result<Stored, SnapshotError>);

/// Makes an object and puts it, where the store works: to encode a state takes time that its owner does not have.
pub type Work = Box<dyn FnOnce(&mut dyn SnapshotStore) -> Result<Stored, SnapshotError> + Send>;

enum Place {
    Inline(Box<dyn SnapshotStore>),
    Thread {
        orders: Option<Sender<Order>>,
        finished: Receiver<Finished>,
        /// Set when nobody waits for the rest any more.
        given_up: Arc<AtomicBool>,
        thread: Option<JoinHandle<()>>,
    },
}

enum Order {
    Put { id: u64, work: Work },
    Get { name: String, reply: Sender<Result<Vec<u8>, SnapshotError>> },
    Trim { shard: Shard, oldest: String },
    List { shard: Shard, reply: Sender<Result<Vec<String>, SnapshotError>> },
}

impl Uploads {
    /// Everything happens inside the call: the same calls always give the same results at the same time.
    pub fn inline(store: impl SnapshotStore + 'static) -> Self {
        Self { place: Place::Inline(Box::new(store)), in_flight: 0, done: Vec::new() }
    }

    /// The store works on a thread of its own.
    pub fn background(store: impl SnapshotStore + 'static) -> Result<Self, SnapshotError> {
        let (orders, received) = channel();
        let (report, finished) = channel();
        let given_up = Arc::new(AtomicBool::new(false));
        let until = given_up.clone();
        let thread = std::thread::Builder::new()
            .name("snapshots".to_owned())
            .spawn(move || serve(Box::new(store), &received, &report, &until))
            .map_err(|_| SnapshotError::Stopped)?;
        let place = Place::Thread { orders: Some(orders), finished, given_up, thread: Some(thread) };
        Ok(Self { place, in_flight: 0, done: Vec::new() })
    }

    /// Hands over the making of an object; [`Uploads::finished`] tells how it went, by `id`.
    ///
    /// # Errors
    /// Too many are under way, or the thread of the store has ended.
    pub fn start(&mut self, id: u64, work: Work) -> Result<(), SnapshotError> {
        if self.in_flight >= UPLOADS_MAX {
            return Err(SnapshotError::Busy { in_flight: self.in_flight });
        }
        match &mut self.place {
            Place::Inline(store) => self.done.push((id, work(store.as_mut()))),
            Place::Thread { orders, .. } => send(orders.as_ref(), Order::Put { id, work })?,
        }
        self.in_flight += 1;
        Ok(())
    }

    /// Uploads that ended since the last call, oldest first. Never waits.
    pub fn finished(&mut self) -> Vec<Finished> {
        let mut done = std::mem::take(&mut self.done);
        if let Place::Thread { finished, .. } = &self.place {
            done.extend(finished.try_iter());
        }
        self.in_flight -= done.len();
        done
    }

    /// How many uploads were started and not yet told as finished.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Exactly the object of this name. Waits, behind the uploads under way.
    pub fn get(&mut self, name: &str) -> Result<Vec<u8>, SnapshotError> {
        match &mut self.place {
            Place::Inline(store) => store.get(name),
            Place::Thread { orders, .. } => {
                ask(orders.as_ref(), |reply| Order::Get { name: name.to_owned(), reply })
            }
        }
    }

    /// Nothing older than the object `oldest` of the shard is needed. In the background a failure is only logged.
    pub fn trim(&mut self, shard: Shard, oldest: &str) -> Result<(), SnapshotError> {
        match &mut self.place {
            Place::Inline(store) => store.trim(&shard, oldest),
            Place::Thread { orders, .. } => {
                send(orders.as_ref(), Order::Trim { shard, oldest: oldest.to_owned() })
            }
        }
    }

    /// Names of all complete objects of a shard. Waits, behind the uploads under way.
    pub fn list(&mut self, shard: Shard) -> Result<Vec<String>, SnapshotError> {
        match &mut self.place {
            Place::Inline(store) => store.list(&shard),
            Place::Thread { orders, .. } => ask(orders.as_ref(), |reply| Order::List { shard, reply }),
        }
    }
}

impl Drop for Uploads {
    fn drop(&mut self) {
        if let Place::Thread { orders, given_up, thread, .. } = &mut self.place {
            given_up.store(true, Ordering::Relaxed);
            drop(orders.take());
            if let Some(thread) = thread.take() {
                let _ = thread.join();
            }
        }
    }
}

fn send(orders: Option<&Sender<Order>>, order: Order) -> Result<(), SnapshotError> {
    orders.and_then(|orders| orders.send(order).ok()).ok_or(SnapshotError::Stopped)
}

fn ask<T>(
    orders: Option<&Sender<Order>>,
    order: impl FnOnce(Sender<Result<T, SnapshotError>>) -> Order,
) -> Result<T, SnapshotError> {
    let (reply, answer) = channel();
    send(orders, order(reply))?;
    answer.recv().map_err(|_| SnapshotError::Stopped)?
}

/// Works off orders until the owner is gone; nobody waiting for an answer is no error.
fn serve(
    mut store: Box<dyn SnapshotStore>,
    orders: &Receiver<Order>,
    report: &Sender<Finished>,
    given_up: &AtomicBool,
) {
    for order in orders {
        if given_up.load(Ordering::Relaxed) {
            return;
        }
        match order {
            Order::Put { id, work } => drop(report.send((id, work(store.as_mut())))),
            Order::Get { name, reply } => drop(reply.send(store.get(&name))),
            Order::List { shard, reply } => drop(reply.send(store.list(&shard))),
            Order::Trim { shard, oldest } => {
                if let Err(error) = store.trim(&shard, &oldest) {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(oldest, error, "older snapshots were not deleted");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::OnceLock;

    /// Keeps nothing, and takes until it is given up.
    struct Slow {
        begun: Sender<String>,
        given_up: Arc<OnceLock<Arc<AtomicBool>>>,
    }

    impl SnapshotStore for Slow {
        fn put(&mut self, _: &Shard, key: &str, _: &[u8]) -> Result<String, SnapshotError> {
            self.begun.send(key.to_owned()).unwrap();
            while !self.given_up.wait().load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
            Ok(key.to_owned())
        }

        fn get(&mut self, _: &str) -> Result<Vec<u8>, SnapshotError> {
            Err(SnapshotError::Stopped)
        }

        fn trim(&mut self, _: &Shard, _: &str) -> Result<(), SnapshotError> {
            Ok(())
        }

        fn list(&mut self, _: &Shard) -> Result<Vec<String>, SnapshotError> {
            Ok(Vec::new())
        }
    }

    #[test]
    fn who_ends_waits_for_one_upload_and_not_for_those_behind_it() {
        let (begun, uploads_begun) = channel();
        let given_up = Arc::new(OnceLock::new());
        let mut uploads = Uploads::background(Slow { begun, given_up: given_up.clone() }).unwrap();
        let shard = Shard { stage: "s".to_owned(), unit: 0, units: 1 };
        for id in 0..3 {
            let (shard, key) = (shard.clone(), id.to_string());
            let put = move |store: &mut dyn SnapshotStore| {
                store.put(&shard, &key, &[])?;
                Err(SnapshotError::Stopped)
            };
            uploads.start(id, Box::new(put)).unwrap();
        }
        assert_eq!(uploads_begun.recv().unwrap(), "0");
        let Place::Thread { given_up: now, .. } = &uploads.place else { unreachable!("it has a thread") };
        given_up.set(now.clone()).unwrap();
        drop(uploads);
        assert_eq!(uploads_begun.recv().ok(), None, "no other began");
    }
}
