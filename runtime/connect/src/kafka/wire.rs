//! One request spoken by hand: `Metadata` version 12, which tells topic ids, and never makes a topic.
//!
//! librdkafka knows topic ids, but its safe Rust interface does not show them. Kafka 2.8 and later answer this version.

use crate::door::IoError;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

const METADATA: i16 = 3;
const METADATA_VERSION: i16 = 12;
/// Larger than the metadata of a hundred thousand partitions.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// A connection of its own, made when it is needed.
pub(super) struct Wire {
    bootstrap: String,
    client_id: String,
    timeout: Duration,
    stream: Option<TcpStream>,
    correlation: i32,
}

/// What a cluster says of itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Metadata {
    pub brokers: usize,
    pub topics: Vec<TopicMetadata>,
}

/// One topic; `partitions` and `replicas` are 0 when `error` is set.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TopicMetadata {
    pub error: i16,
    pub name: String,
    pub id: String,
    pub internal: bool,
    pub partitions: u32,
    /// Of the partition that has fewest.
    pub replicas: usize,
}

/// Error codes of a topic.
pub(super) const UNKNOWN_TOPIC: i16 = 3;
pub(super) const TOPIC_AUTHORIZATION_FAILED: i16 = 29;

/// Which topics are asked for.
#[derive(Clone, Copy)]
pub(super) enum Asked<'a> {
    All,
    /// None at all: only whether a broker is there.
    Brokers,
    One(&'a str),
}

impl Wire {
    pub fn new(bootstrap: &str, client_id: &str, timeout: Duration) -> Self {
        Self {
            bootstrap: bootstrap.to_owned(),
            client_id: client_id.to_owned(),
            timeout,
            stream: None,
            correlation: 0,
        }
    }

    /// Asks the connected broker, else the bootstrap servers in turn. A connection that the broker had closed meanwhile
    /// is replaced once.
    pub fn metadata(&mut self, asked: Asked<'_>) -> Result<Metadata, IoError> {
        if let Some(stream) = self.stream.take()
            && let Ok(metadata) = self.ask(stream, asked)
        {
            return Ok(metadata);
        }
        let stream = self.connect()?;
        self.ask(stream, asked).map_err(|error| self.unreachable(error.to_string()))
    }

    fn unreachable(&self, detail: String) -> IoError {
        IoError::Unreachable { bootstrap: self.bootstrap.clone(), detail }
    }

    fn connect(&self) -> Result<TcpStream, IoError> {
        let mut troubles = Vec::new();
        for server in self.bootstrap.split(',').map(str::trim).filter(|server| !server.is_empty()) {
            // A scheme such as PLAINTEXT:// is allowed before the host.
            let address = server.rsplit_once("//").map_or(server, |(_, address)| address);
            match self.open(address) {
                Ok(stream) => return Ok(stream),
                Err(error) => troubles.push(format!("{address}: {error}")),
            }
        }
        Err(self.unreachable(troubles.join("; ")))
    }

    fn open(&self, address: &str) -> io::Result<TcpStream> {
        let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in address.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, self.timeout) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    stream.set_read_timeout(Some(self.timeout))?;
                    stream.set_write_timeout(Some(self.timeout))?;
                    return Ok(stream);
                }
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    /// One question and its answer; the connection is kept only when both went well.
    fn ask(&mut self, mut stream: TcpStream, asked: Asked<'_>) -> io::Result<Metadata> {
        self.correlation = self.correlation.wrapping_add(1);
        stream.write_all(&request(self.correlation, &self.client_id, asked))?;
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let length = usize::try_from(i32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if length > ANSWER_BYTES_MAX {
            return Err(malformed());
        }
        let mut answer = vec![0; length];
        stream.read_exact(&mut answer)?;
        let metadata = Answer(&answer).metadata(self.correlation).ok_or_else(malformed)?;
        self.stream = Some(stream);
        Ok(metadata)
    }
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the answer is not that of a Kafka broker")
}

fn request(correlation: i32, client_id: &str, asked: Asked<'_>) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend_from_slice(&METADATA.to_be_bytes());
    body.extend_from_slice(&METADATA_VERSION.to_be_bytes());
    body.extend_from_slice(&correlation.to_be_bytes());
    body.extend_from_slice(&(client_id.len() as i16).to_be_bytes());
    body.extend_from_slice(client_id.as_bytes());
    body.push(0); // no tagged fields
    match asked {
        Asked::All => body.push(0),
        Asked::Brokers => body.push(1),
        Asked::One(name) => {
            body.push(2);
            body.extend_from_slice(&[0; 16]); // by name, not by id
            push_varint(name.len() as u32 + 1, &mut body);
            body.extend_from_slice(name.as_bytes());
            body.push(0);
        }
    }
    body.extend_from_slice(&[0, 0, 0]); // do not make topics; no authorized operations; no tagged fields
    let mut framed = (body.len() as i32).to_be_bytes().to_vec();
    framed.append(&mut body);
    framed
}

fn push_varint(mut number: u32, into: &mut Vec<u8>) {
    while number >= 0x80 {
        into.push(number as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

/// What is left of an answer. Every method is none when the answer is too short.
struct Answer<'a>(&'a [u8]);

impl<'a> Answer<'a> {
    fn metadata(&mut self, correlation: i32) -> Option<Metadata> {
        if self.i32()? != correlation {
            return None;
        }
        self.tags()?;
        self.i32()?; // throttle time
        let brokers = self.array(|answer| {
            answer.i32()?; // node
            answer.text()?; // host
            answer.i32()?; // port
            answer.text()?; // rack
            answer.tags()
        })?;
        self.text()?; // cluster id
        self.i32()?; // controller
        let topics = self.array(Self::topic)?;
        Some(Metadata { brokers: brokers.len(), topics })
    }

    fn topic(&mut self) -> Option<TopicMetadata> {
        let error = self.i16()?;
        let name = self.text()?.to_owned();
        let id = URL_SAFE_NO_PAD.encode(self.take(16)?);
        let internal = self.take(1)? != [0];
        let replicas = self.array(|answer| {
            answer.i16()?; // error
            answer.i32()?; // partition
            answer.i32()?; // leader
            answer.i32()?; // leader epoch
            let replicas = answer.array(Self::i32)?.len();
            answer.array(Self::i32)?; // in sync
            answer.array(Self::i32)?; // offline
            answer.tags()?;
            Some(replicas)
        })?;
        self.i32()?; // authorized operations
        self.tags()?;
        let partitions = replicas.len() as u32;
        let replicas = replicas.into_iter().min().unwrap_or(0);
        Some(TopicMetadata { error, name, id, internal, partitions, replicas })
    }

    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    fn i16(&mut self) -> Option<i16> {
        self.take(2).and_then(|bytes| bytes.try_into().ok()).map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> Option<i32> {
        self.take(4).and_then(|bytes| bytes.try_into().ok()).map(i32::from_be_bytes)
    }

    fn varint(&mut self) -> Option<u32> {
        let mut number = 0_u32;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.take(1)?[0];
            number |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    /// A compact string; null is empty.
    fn text(&mut self) -> Option<&'a str> {
        let length = self.varint()?.saturating_sub(1);
        std::str::from_utf8(self.take(length as usize)?).ok()
    }

    /// A compact array; null is empty. The length is not trusted before the elements are there.
    fn array<T>(&mut self, mut element: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.varint()?.saturating_sub(1);
        let mut elements = Vec::new();
        for _ in 0..count {
            elements.push(element(self)?);
        }
        Some(elements)
    }

    fn tags(&mut self) -> Option<()> {
        for _ in 0..self.varint()? {
            self.varint()?;
            let length = self.varint()?;
            self.take(length as usize)?;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer() -> Vec<u8> {
        let mut bytes = vec![0, 0, 0, 9, 0, 0, 0, 0, 0]; // correlation, tags, throttle
        bytes.push(2); // one broker
        bytes.extend_from_slice(&[0, 0, 0, 1, 5]);
        bytes.extend_from_slice(b"host");
        bytes.extend_from_slice(&[0, 0, 35, 132, 0, 0]); // port, no rack, tags
        bytes.extend_from_slice(&[0, 0, 0, 0, 1]); // no cluster id, controller
        bytes.push(2); // one topic
        bytes.extend_from_slice(&[0, 0, 3]);
        bytes.extend_from_slice(b"in");
        bytes.extend_from_slice(&[7; 16]);
        bytes.push(0); // not internal
        bytes.push(2); // one partition
        bytes.extend_from_slice(&[0; 14]);
        bytes.extend_from_slice(&[3, 0, 0, 0, 1, 0, 0, 0, 2]); // two replicas
        bytes.extend_from_slice(&[1, 1, 0]); // in sync, offline, tags
        bytes.extend_from_slice(&[0; 4]); // operations
        bytes.extend_from_slice(&[0, 0]); // tags
        bytes
    }

    #[test]
    fn an_answer_is_read() {
        let metadata = Answer(&answer()).metadata(9).unwrap();
        assert_eq!(metadata.brokers, 1);
        let topic = &metadata.topics[0];
        assert_eq!((topic.error, topic.name.as_str(), topic.partitions, topic.replicas), (0, "in", 1, 2));
        assert_eq!(topic.id, "BwcHBwcHBwcHBwcHBwcHBw");
    }

    #[test]
    fn a_cut_or_strange_answer_is_refused() {
        let whole = answer();
        for cut in 0..whole.len() - 1 {
            assert_eq!(Answer(&whole[..cut]).metadata(9), None, "{cut}");
        }
        assert_eq!(Answer(&whole).metadata(8), None, "the answer to another question");
        assert_eq!(Answer(&[0xff; 64]).metadata(-1), None);
    }

    #[test]
    fn a_question_is_framed() {
        let asked = request(1, "c", Asked::One("t"));
        assert_eq!(asked[..4], (asked.len() as i32 - 4).to_be_bytes());
        assert_eq!(asked[4..8], [0, 3, 0, 12]);
        assert_eq!(asked[asked.len() - 3..], [0, 0, 0]);
    }

    #[test]
    fn nobody_there_is_said_with_the_address() {
        let mut wire = Wire::new("127.0.0.1:1, nowhere.invalid:9092", "c", Duration::from_secs(5));
        let error = wire.metadata(Asked::Brokers).unwrap_err().to_string();
        assert!(error.contains("127.0.0.1:1: Connection refused"), "{error}");
        assert!(error.contains("nowhere.invalid:9092: "), "{error}");
    }
}
