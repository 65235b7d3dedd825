//! Requests spoken by hand. `Metadata` version 12, which tells topic ids, and never makes a topic; and those of [`fence`] and
//! [`configs`].
//!
//! librdkafka knows topic ids, but its safe Rust interface does not show them. Kafka 2.8 and later answer this version.
//! It is also the first that connects in every life of a worker, so it is who says why a cluster does not let us in.

mod configs;
mod connection;
mod fence;
mod login;
mod scram;
mod trouble;

use super::settings::Settings;
use super::tls;
use crate::door::IoError;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
pub(super) use configs::TopicSettings;
use connection::{Connection, Dial, host_of};
use rdkafka::error::RDKafkaErrorCode as Code;
use std::io::{self, Read, Write};
use std::time::Duration;
use trouble::{Moment, Trouble};

const METADATA: i16 = 3;
const METADATA_VERSION: i16 = 12;
/// Larger than the metadata of a hundred thousand partitions.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// How a TLS record begins that ends a connection.
const TLS_ALERT: [u8; 2] = [0x15, 0x03];

/// A connection of its own, made when it is needed.
pub(super) struct Wire {
    bootstrap: String,
    dial: Dial,
    connection: Option<Connection>,
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
    /// Connects to nobody yet. Certificates that cannot be used are told.
    pub fn new(settings: &Settings, timeout: Duration) -> Result<Self, IoError> {
        let security = settings.security.clone();
        let tls = security.tls.as_ref().map(tls::client).transpose();
        let tls = tls.map_err(|error| IoError::LoginFailed {
            bootstrap: settings.bootstrap_servers.clone(),
            detail: error.to_string(),
        })?;
        let dial = Dial { client_id: settings.client_id.clone(), timeout, security, tls };
        Ok(Self { bootstrap: settings.bootstrap_servers.clone(), dial, connection: None })
    }

    /// Asks the connected broker, else the bootstrap servers in turn. A connection that the broker had closed meanwhile
    /// is replaced once.
    pub fn metadata(&mut self, asked: Asked<'_>) -> Result<Metadata, IoError> {
        if let Some(mut connection) = self.connection.take()
            && let Ok(metadata) = ask(&mut connection, &self.dial.client_id, asked)
        {
            self.connection = Some(connection);
            return Ok(metadata);
        }
        let mut troubles = Vec::new();
        for server in self.bootstrap.split(',').map(str::trim).filter(|server| !server.is_empty()) {
            // A scheme such as PLAINTEXT:// is allowed before the host.
            let address = server.rsplit_once("//").map_or(server, |(_, address)| address);
            match self.first_answer(address, asked) {
                Ok((connection, metadata)) => {
                    self.connection = Some(connection);
                    return Ok(metadata);
                }
                Err(trouble) => troubles.push((address, trouble)),
            }
        }
        let refused = troubles.iter().any(|(_, trouble)| trouble.refused);
        let details: Vec<String> =
            troubles.iter().map(|(address, trouble)| format!("{address}: {}", trouble.detail)).collect();
        let (bootstrap, detail) = (self.bootstrap.clone(), details.join("; "));
        Err(if refused {
            IoError::LoginFailed { bootstrap, detail }
        } else {
            IoError::Unreachable { bootstrap, detail }
        })
    }

    /// Connects and asks. Only an answer shows that we were let in: a broker looks at a client certificate after the
    /// client believes that the handshake is over.
    fn first_answer(&self, address: &str, asked: Asked<'_>) -> Result<(Connection, Metadata), Trouble> {
        let mut connection = self.dial.connect(address)?;
        let answer = ask(&mut connection, &self.dial.client_id, asked);
        let host = host_of(address);
        let broke = |error| Trouble::of(&error, Moment::FirstRequest, host, &self.dial.security);
        answer.map(|metadata| (connection, metadata)).map_err(broke)
    }
}

/// One question and its answer.
fn ask(connection: &mut Connection, client_id: &str, asked: Asked<'_>) -> io::Result<Metadata> {
    connection.write_all(&framed(&request(CORRELATION, client_id, asked)))?;
    connection.flush()?;
    let answer = read_frame(connection)?;
    Answer(&answer).metadata(CORRELATION).ok_or_else(malformed)
}

/// There is one request at a time on a connection, so that all may have one number.
const CORRELATION: i32 = 1;

/// A request of an older kind, with the older header, and the body of its answer.
fn exchange(
    stream: &mut (impl Read + Write),
    (api, version): (i16, i16),
    client_id: &str,
    body: &[u8],
) -> io::Result<Vec<u8>> {
    let mut request = header(api, version, CORRELATION, client_id);
    request.extend_from_slice(body);
    stream.write_all(&framed(&request))?;
    stream.flush()?;
    let mut answer = read_frame(stream)?;
    if answer.len() < 4 || answer[..4] != CORRELATION.to_be_bytes() {
        return Err(malformed());
    }
    Ok(answer.split_off(4))
}

fn read_frame(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    if length[..2] == TLS_ALERT {
        let said =
            "it speaks TLS at this address; set spec.kafka.tls, or use the address of another listener";
        return Err(io::Error::new(io::ErrorKind::InvalidData, said));
    }
    let length = usize::try_from(i32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > ANSWER_BYTES_MAX {
        return Err(malformed());
    }
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the answer is not that of a Kafka broker")
}

fn framed(request: &[u8]) -> Vec<u8> {
    [&(request.len() as i32).to_be_bytes()[..], request].concat()
}

fn header(api: i16, version: i16, correlation: i32, client_id: &str) -> Vec<u8> {
    let mut header = Vec::new();
    header.extend_from_slice(&api.to_be_bytes());
    header.extend_from_slice(&version.to_be_bytes());
    header.extend_from_slice(&correlation.to_be_bytes());
    header.extend_from_slice(&(client_id.len() as i16).to_be_bytes());
    header.extend_from_slice(client_id.as_bytes());
    header
}

fn request(correlation: i32, client_id: &str, asked: Asked<'_>) -> Vec<u8> {
    let mut body = header(METADATA, METADATA_VERSION, correlation, client_id);
    body.push(0); // no tagged fields
    match asked {
        Asked::All => body.push(0),
        Asked::Brokers => body.push(1),
        Asked::One(name) => {
            body.push(2);
            body.extend_from_slice(&[0; 16]); // by name, not by id
            push_text(name, &mut body);
            body.push(0);
        }
    }
    body.extend_from_slice(&[0, 0, 0]); // do not make topics; no authorized operations; no tagged fields
    body
}

fn push_varint(mut number: u32, into: &mut Vec<u8>) {
    while number >= 0x80 {
        into.push(number as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

/// A compact string.
fn push_text(text: &str, into: &mut Vec<u8>) {
    push_varint(text.len() as u32 + 1, into);
    into.extend_from_slice(text.as_bytes());
}

/// The client library's name of a broker's error code, of those that we tell apart.
fn code_of(error: i16) -> Code {
    match error {
        UNKNOWN_TOPIC => Code::UnknownTopicOrPartition,
        TOPIC_AUTHORIZATION_FAILED => Code::TopicAuthorizationFailed,
        31 => Code::ClusterAuthorizationFailed,
        50 => Code::InvalidTransactionTimeout,
        53 => Code::TransactionalIdAuthorizationFailed,
        _ => Code::Unknown,
    }
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

    /// A string with its length in two bytes; null is empty.
    fn short_text(&mut self) -> Option<&'a str> {
        let length = self.i16()?.max(0);
        std::str::from_utf8(self.take(length as usize)?).ok()
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
        let asked = framed(&request(1, "c", Asked::One("t")));
        assert_eq!(asked[..4], (asked.len() as i32 - 4).to_be_bytes());
        assert_eq!(asked[4..8], [0, 3, 0, 12]);
        assert_eq!(asked[asked.len() - 3..], [0, 0, 0]);
    }

    #[test]
    fn nobody_there_is_said_with_the_address() {
        let settings = Settings::new("127.0.0.1:1, nowhere.invalid:9092", "c", "g");
        let mut wire = Wire::new(&settings, Duration::from_secs(5)).unwrap();
        let error = wire.metadata(Asked::Brokers).unwrap_err().to_string();
        assert!(error.contains("127.0.0.1:1: Connection refused"), "{error}");
        assert!(error.contains("nowhere.invalid:9092: "), "{error}");
    }
}
