//! A Kafka-aware proxy: lets frames through, holds them, swallows answers, cuts connections.
//!
//! Brokers tell clients their own addresses; the proxy puts its port in place of the broker's in every answer, so that
//! nobody gets past it. It knows of the protocol only the frame and the first bytes of a request.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

pub const END_TXN: i16 = 26;
pub const ADD_PARTITIONS_TO_TXN: i16 = 24;
pub const PRODUCE: i16 = 0;
pub const OFFSET_COMMIT: i16 = 8;
pub const FIND_COORDINATOR: i16 = 10;

/// What happens to the first request of a kind after the rule was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// It waits for so long.
    Slow(Duration),
    /// Its answer never comes.
    SwallowAnswer,
    /// The connection ends before the broker sees it.
    Cut,
    /// The connection ends towards the client; the request stays with the proxy until [`Proxy::release`].
    HoldAndCut,
}

/// A request that was held, the broker's end of its connection, and where its answer is told.
struct Held {
    broker: TcpStream,
    frame: Vec<u8>,
    answered: Receiver<()>,
}

/// What the two directions of a connection share: answers that go elsewhere, by correlation id.
#[derive(Default)]
struct Link {
    swallowed: Mutex<Vec<[u8; 4]>>,
    held: Mutex<Option<([u8; 4], Sender<()>)>>,
}

pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

struct Shared {
    broker: String,
    broker_port: u16,
    port: u16,
    state: Mutex<State>,
    /// A stalled topic takes records again, or everything ends.
    flows: Condvar,
}

#[derive(Default)]
struct State {
    rules: HashMap<i16, Rule>,
    seen: HashMap<i16, usize>,
    held: Vec<Held>,
    clients: Vec<TcpStream>,
    /// What is produced to it waits.
    stalled: Option<String>,
    closed: bool,
    stopped: bool,
}

impl State {
    fn stalls(&self, frame: &[u8]) -> bool {
        let names = |topic: &String| frame.windows(topic.len()).any(|part| part == topic.as_bytes());
        self.stalled.as_ref().is_some_and(names)
    }
}

impl Proxy {
    pub fn to(broker: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let broker_port = broker.rsplit_once(':').unwrap().1.parse().unwrap();
        let shared = Arc::new(Shared {
            broker: broker.to_owned(),
            broker_port,
            port,
            state: Mutex::default(),
            flows: Condvar::new(),
        });
        let ours = Arc::clone(&shared);
        let accepting = thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                let mut state = ours.state.lock().unwrap();
                if state.stopped {
                    return;
                }
                if !state.closed {
                    state.clients.push(client.try_clone().unwrap());
                    drop(state);
                    serve(&ours, client);
                }
            }
        });
        Self { port, shared, accepting: Some(accepting) }
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn rule(&self, request: i16, rule: Rule) {
        self.shared.state.lock().unwrap().rules.insert(request, rule);
    }

    /// What is produced to a topic waits on the way to the broker, until another one or none is stalled.
    #[allow(dead_code, reason = "not every suite needs it")]
    pub fn stall(&self, topic: Option<&str>) {
        self.shared.state.lock().unwrap().stalled = topic.map(str::to_owned);
        self.shared.flows.notify_all();
    }

    /// How many requests of a kind came.
    pub fn seen(&self, request: i16) -> usize {
        self.shared.state.lock().unwrap().seen.get(&request).copied().unwrap_or(0)
    }

    /// Requests that were held reach the broker, and are answered.
    pub fn release(&self) -> usize {
        let held = std::mem::take(&mut self.shared.state.lock().unwrap().held);
        let released = held.len();
        for mut late in held {
            late.broker.write_all(&late.frame).unwrap();
            late.answered.recv_timeout(Duration::from_mins(1)).expect("the broker answers a late request");
        }
        released
    }

    /// Nobody gets through, and all connections end, until it is opened again.
    pub fn close(&self, closed: bool) {
        let mut state = self.shared.state.lock().unwrap();
        state.closed = closed;
        if closed {
            state.clients.drain(..).for_each(|client| drop(client.shutdown(Shutdown::Both)));
            self.shared.flows.notify_all();
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.close(true);
        self.shared.state.lock().unwrap().stopped = true;
        drop(TcpStream::connect(self.address()));
        if let Some(accepting) = self.accepting.take() {
            accepting.join().unwrap();
        }
    }
}

fn serve(shared: &Arc<Shared>, client: TcpStream) {
    let Ok(broker) = TcpStream::connect(&shared.broker) else { return };
    client.set_nodelay(true).unwrap();
    broker.set_nodelay(true).unwrap();
    let link = Arc::new(Link::default());
    let (from, to) = (client.try_clone().unwrap(), broker.try_clone().unwrap());
    let (ours, theirs) = (Arc::clone(shared), Arc::clone(&link));
    thread::spawn(move || requests(&ours, from, to, &theirs));
    let ours = Arc::clone(shared);
    thread::spawn(move || answers(&ours, broker, client, &link));
}

fn requests(shared: &Shared, mut client: TcpStream, mut broker: TcpStream, link: &Link) {
    while let Some(frame) = read_frame(&mut client) {
        let kind = i16::from_be_bytes([frame[4], frame[5]]);
        let correlation = [frame[8], frame[9], frame[10], frame[11]];
        let rule = {
            let mut state = shared.state.lock().unwrap();
            *state.seen.entry(kind).or_default() += 1;
            let rule = state.rules.remove(&kind);
            let waits = |state: &mut State| kind == PRODUCE && !state.closed && state.stalls(&frame);
            drop(shared.flows.wait_while(state, waits).unwrap());
            rule
        };
        match rule {
            None => {}
            Some(Rule::Slow(wait)) => thread::park_timeout(wait),
            Some(Rule::SwallowAnswer) => link.swallowed.lock().unwrap().push(correlation),
            Some(Rule::Cut) => break,
            Some(Rule::HoldAndCut) => {
                let (tell, answered) = channel();
                *link.held.lock().unwrap() = Some((correlation, tell));
                let broker = broker.try_clone().unwrap();
                shared.state.lock().unwrap().held.push(Held { broker, frame, answered });
                let _ = client.shutdown(Shutdown::Both);
                // The broker's side stays open for the request that is held.
                return;
            }
        }
        if broker.write_all(&frame).is_err() {
            break;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = broker.shutdown(Shutdown::Both);
}

fn answers(shared: &Shared, mut broker: TcpStream, mut client: TcpStream, link: &Link) {
    let address = |port: u16| [&b"127.0.0.1"[..], &u32::from(port).to_be_bytes()].concat();
    let (theirs, ours) = (address(shared.broker_port), address(shared.port));
    while let Some(mut frame) = read_frame(&mut broker) {
        let mut at = 0;
        while let Some(found) = frame[at..].windows(theirs.len()).position(|part| part == theirs) {
            at += found + ours.len();
            frame[at - ours.len()..at].copy_from_slice(&ours);
        }
        if let Some((held, tell)) = &*link.held.lock().unwrap() {
            if frame[4..8] == *held {
                tell.send(()).unwrap();
            }
            continue;
        }
        let swallow = link.swallowed.lock().unwrap().iter().any(|id| frame[4..8] == *id);
        if !swallow && client.write_all(&frame).is_err() {
            return;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
}

/// A frame with its length, or none when the connection ended.
fn read_frame(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut frame = length.to_vec();
    frame.resize(4 + u32::from_be_bytes(length) as usize, 0);
    stream.read_exact(&mut frame[4..]).ok()?;
    Some(frame)
}
