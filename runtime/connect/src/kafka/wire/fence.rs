//! Fencing by hand: `FindCoordinator` version 4 and `InitProducerId` version 2, which Kafka 3.0 and later answer.
//!
//! It is all that has to be said: whoever gets the next epoch of an id fences who had it, and the broker ends what was open.
//! A producer of the client library for each id would do the same, and wait for its brokers in steps of half a second: this
//! stands in the pause of every hand-over.

use super::connection::{Connection, Dial};
use super::trouble::Trouble;
use super::{Answer, Asked, Wire, code_of, exchange, malformed, push_text, push_varint};
use crate::door::IoError;
use crate::kafka::context::Context;
use crate::kafka::error::Origin;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::thread::park_timeout;
use std::time::{Duration, Instant};

const FIND_COORDINATOR: (i16, i16) = (10, 4);
const INIT_PRODUCER_ID: (i16, i16) = (22, 2);
/// The kind of key that a transactional id is.
const TRANSACTION: u8 = 1;
/// Before what the broker is not ready for is asked again.
const PAUSE: Duration = Duration::from_millis(20);

/// What came of one id.
enum Outcome {
    Fenced,
    /// The coordinator moves, or is still busy with the transaction.
    Again(String),
    Refused(IoError),
}

impl Wire {
    /// Takes the next epoch of each of these ids, at all coordinators in parallel. Returns when all are fenced.
    pub fn fence(&mut self, ids: &[String], transaction_timeout_ms: u32) -> Result<(), IoError> {
        let deadline = Instant::now() + self.dial.timeout;
        let mut left = ids.to_vec();
        loop {
            let mut again = None;
            let mut rest = Vec::new();
            for (id, outcome) in self.fence_once(&left, transaction_timeout_ms)? {
                match outcome {
                    Outcome::Fenced => {}
                    Outcome::Refused(error) => return Err(error),
                    Outcome::Again(why) => {
                        rest.push(id);
                        again = Some(why);
                    }
                }
            }
            match again {
                None => return Ok(()),
                Some(detail) if Instant::now() >= deadline => {
                    return Err(IoError::Lost { operation: "init_transactions", detail });
                }
                Some(_) => park_timeout(PAUSE),
            }
            left = rest;
        }
    }

    /// Asks once for each of these ids. What is not answered was not fenced.
    fn fence_once(&mut self, ids: &[String], timeout_ms: u32) -> Result<Vec<(String, Outcome)>, IoError> {
        let found = self.coordinators(ids)?;
        let mut outcomes = Vec::new();
        let mut by_address: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for id in ids {
            let outcome = match found.get(id) {
                Some((0, address)) => {
                    by_address.entry(address).or_default().push(id.clone());
                    continue;
                }
                Some((error, _)) => self.outcome(id, *error),
                None => Outcome::Again(format!("{id}: no broker says who its coordinator is")),
            };
            outcomes.push((id.clone(), outcome));
        }
        let this = &*self;
        std::thread::scope(|scope| {
            let at_one = |(address, ids): (&str, Vec<String>)| {
                let address = address.to_owned();
                scope.spawn(move || this.fence_at(&address, ids, timeout_ms))
            };
            let threads: Vec<_> = by_address.into_iter().map(at_one).collect();
            for thread in threads {
                match thread.join() {
                    Ok(some) => outcomes.extend(some),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
        });
        Ok(outcomes)
    }

    /// Which broker decides on each id: an error code, and its address. Empty when the broker that was asked broke off.
    fn coordinators(&mut self, ids: &[String]) -> Result<HashMap<String, (i16, String)>, IoError> {
        // Connects, or finds out that the connection is still good.
        self.metadata(Asked::Brokers)?;
        let Some(mut connection) = self.connection.take() else { return Ok(HashMap::new()) };
        let Ok(found) = find(&mut connection, &self.dial, ids) else { return Ok(HashMap::new()) };
        self.connection = Some(connection);
        Ok(found.into_iter().map(|(id, error, address)| (id, (error, address))).collect())
    }

    fn fence_at(&self, address: &str, ids: Vec<String>, timeout_ms: u32) -> Vec<(String, Outcome)> {
        let mut connection = self.dial.connect(address);
        let mut outcomes = Vec::new();
        for id in ids {
            let outcome = match &mut connection {
                Err(Trouble { refused: true, detail }) => {
                    let (bootstrap, detail) = (self.bootstrap.clone(), format!("{address}: {detail}"));
                    Outcome::Refused(IoError::LoginFailed { bootstrap, detail })
                }
                Err(trouble) => Outcome::Again(format!("{address}: {}", trouble.detail)),
                Ok(open) => match init(open, &self.dial, &id, timeout_ms) {
                    Ok(0) => Outcome::Fenced,
                    Ok(error) => self.outcome(&id, error),
                    // A late answer would be taken for that of the next id.
                    Err(error) => {
                        connection = Err(Trouble::unreachable(error.to_string()));
                        Outcome::Again(format!("{address}: {error}"))
                    }
                },
            };
            outcomes.push((id, outcome));
        }
        outcomes
    }

    /// What an error code of the broker means.
    fn outcome(&self, id: &str, error: i16) -> Outcome {
        // It times out, loads, is not there, is not the coordinator any more, works on the transaction, or somebody else
        // has just got the next epoch.
        if matches!(error, 7 | 14 | 15 | 16 | 47 | 51 | 90) {
            return Outcome::Again(format!("{id}: error {error} of the broker"));
        }
        let bootstrap = &self.bootstrap;
        let origin = Origin { operation: "init_transactions", bootstrap, topic: None, transactional_id: id };
        Outcome::Refused(origin.code(
            code_of(error),
            &format!("error {error} of the broker"),
            &Context::default(),
        ))
    }
}

fn find(connection: &mut Connection, dial: &Dial, ids: &[String]) -> io::Result<Vec<(String, i16, String)>> {
    let mut body = vec![0, TRANSACTION]; // no tagged fields in the header
    push_varint(ids.len() as u32 + 1, &mut body);
    for id in ids {
        push_text(id, &mut body);
    }
    body.push(0);
    let answer = exchange(connection, FIND_COORDINATOR, &dial.client_id, &body)?;
    Answer(&answer).coordinators().ok_or_else(malformed)
}

fn init(connection: &mut Connection, dial: &Dial, id: &str, timeout_ms: u32) -> io::Result<i16> {
    let mut body = vec![0];
    push_text(id, &mut body);
    body.extend_from_slice(&timeout_ms.to_be_bytes());
    body.push(0);
    let answer = exchange(connection, INIT_PRODUCER_ID, &dial.client_id, &body)?;
    Answer(&answer).init_producer_id().ok_or_else(malformed)
}

impl Answer<'_> {
    /// Key, error code and address of each.
    fn coordinators(&mut self) -> Option<Vec<(String, i16, String)>> {
        self.tags()?;
        self.i32()?; // throttle time
        self.array(|answer| {
            let key = answer.text()?.to_owned();
            answer.i32()?; // node
            let host = answer.text()?;
            let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
            let port = answer.i32()?;
            let error = answer.i16()?;
            answer.text()?; // message
            answer.tags()?;
            Some((key, error, format!("{host}:{port}")))
        })
    }

    /// The error code.
    fn init_producer_id(&mut self) -> Option<i16> {
        self.tags()?;
        self.i32()?; // throttle time
        let error = self.i16()?;
        self.take(8 + 2)?; // producer, epoch
        Some(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinators_are_read() {
        let mut bytes = vec![0, 0, 0, 0, 0, 3]; // tags, throttle, two of them
        bytes.extend_from_slice(&[3, b'i', b'd', 0, 0, 0, 1, 4, b'b', b'-', b'1', 0, 0, 35, 132, 0, 0, 0, 0]);
        bytes.extend_from_slice(&[
            2, b'j', 255, 255, 255, 255, 3, b':', b':', 0, 0, 0, 1, 0, 15, 2, b'?', 0, 0,
        ]);
        let found = Answer(&bytes).coordinators().unwrap();
        let of = |key: &str, error, address: &str| (key.to_owned(), error, address.to_owned());
        assert_eq!(found, [of("id", 0, "b-1:9092"), of("j", 15, "[::]:1")]);
        for cut in 0..bytes.len() - 1 {
            assert_eq!(Answer(&bytes[..cut]).coordinators(), None, "{cut}");
        }
    }

    #[test]
    fn the_error_of_an_epoch_is_read() {
        let mut bytes = vec![0, 0, 0, 0, 0, 0, 51];
        assert_eq!(Answer(&bytes).init_producer_id(), None, "cut");
        bytes.extend_from_slice(&[0; 11]);
        assert_eq!(Answer(&bytes).init_producer_id(), Some(51));
    }
}
