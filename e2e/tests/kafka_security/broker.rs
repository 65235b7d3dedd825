//! What an administrator of Kafka does: users with SCRAM and ACLs. Each is one request, spoken by hand on the plaintext
//! listener, where everybody may do everything; Kafka's own tools would take seconds for each.

use ring::pbkdf2;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::num::NonZeroU32;

const CREATE_ACLS: i16 = 30;
const DELETE_ACLS: i16 = 31;
const ALTER_SCRAM: i16 = 51;
const ANY: i8 = 1;
const ALLOW: i8 = 3;
const ITERATIONS: u32 = 4096;

/// Rights on one resource, as a line of `weir topics` names them.
#[derive(Clone, Debug)]
pub struct Acl {
    pub kind: String,
    pub name: String,
    pub pattern: String,
    pub operations: Vec<String>,
}

impl Acl {
    /// The lines of `weir topics` below `ACL ON`.
    pub fn parse(printed: &str) -> Vec<Self> {
        let lines = printed.lines().skip_while(|line| !line.starts_with("ACL ON")).skip(1);
        let words = lines.map(|line| line.split_whitespace().collect::<Vec<_>>());
        words
            .take_while(|words| matches!(words.get(2), Some(&"Literal" | &"Prefixed")))
            .map(|words| Self {
                kind: words[0].to_owned(),
                name: words[1].to_owned(),
                pattern: words[2].to_owned(),
                operations: words[3..].iter().map(|word| word.trim_end_matches(',').to_owned()).collect(),
            })
            .collect()
    }

    fn resource(&self, into: &mut Vec<u8>) {
        let kind = match self.kind.as_str() {
            "Topic" => 2,
            "Group" => 3,
            "TransactionalId" => 5,
            other => panic!("unknown resource {other}"),
        };
        into.push(kind);
        push_text(&self.name, into);
        into.push(if self.pattern == "Prefixed" { 4 } else { 3 });
    }
}

fn operation(name: &str) -> i8 {
    match name {
        "Read" => 3,
        "Write" => 4,
        "Create" => 5,
        "Delete" => 6,
        "Describe" => 8,
        "DescribeConfigs" => 10,
        other => panic!("unknown operation {other}"),
    }
}

/// Allows a user (`User:…`) what the ACLs say.
pub fn grant(bootstrap: &str, user: &str, acls: &[Acl]) {
    let mut entries = Vec::new();
    let mut count = 0_i32;
    for (acl, name) in acls.iter().flat_map(|acl| acl.operations.iter().map(move |name| (acl, name))) {
        acl.resource(&mut entries);
        push_text(user, &mut entries);
        push_text("*", &mut entries);
        entries.extend([operation(name) as u8, ALLOW as u8]);
        count += 1;
    }
    let body = [&count.to_be_bytes()[..], &entries].concat();
    let answer = ask(bootstrap, CREATE_ACLS, 1, &body);
    // Behind throttle time and count: an error and a text for each.
    assert_eq!(answer[8..10], [0, 0], "the ACLs were not made: {}", String::from_utf8_lossy(&answer));
}

/// Takes these operations on the resource away.
pub fn revoke(bootstrap: &str, user: &str, acl: &Acl, operations: &[&str]) {
    let mut body = (operations.len() as i32).to_be_bytes().to_vec();
    for name in operations {
        acl.resource(&mut body);
        push_text(user, &mut body);
        push_text("*", &mut body);
        body.extend([operation(name) as u8, ANY as u8]);
    }
    let answer = ask(bootstrap, DELETE_ACLS, 1, &body);
    assert_eq!(answer[8..10], [0, 0], "the ACLs were not deleted: {}", String::from_utf8_lossy(&answer));
}

/// Makes a user of SCRAM-SHA-256 and SCRAM-SHA-512, or changes the password.
pub fn set_password(bootstrap: &str, user: &str, password: &str) {
    let salt = user.as_bytes();
    let iterations = NonZeroU32::new(ITERATIONS).unwrap();
    for (mechanism, algorithm, length) in
        [(1, pbkdf2::PBKDF2_HMAC_SHA256, 32), (2, pbkdf2::PBKDF2_HMAC_SHA512, 64)]
    {
        let mut salted = vec![0; length];
        pbkdf2::derive(algorithm, iterations, salt, password.as_bytes(), &mut salted);
        // Tags of the header, no deletion, one upsertion; counts and lengths are one more than they say.
        let mut body = vec![0, 1, 2];
        push_compact(user.as_bytes(), &mut body);
        body.push(mechanism);
        body.extend(ITERATIONS.to_be_bytes());
        push_compact(salt, &mut body);
        push_compact(&salted, &mut body);
        body.extend([0, 0]);
        let answer = ask(bootstrap, ALTER_SCRAM, 0, &body);
        // Behind tags, throttle time, count and the name: an error.
        let error = 1 + 4 + 1 + 1 + user.len();
        let text = String::from_utf8_lossy(&answer);
        assert_eq!(answer[error..error + 2], [0, 0], "the password was not set: {text}");
    }
}

/// One request on a connection of its own; the answer behind its number.
fn ask(bootstrap: &str, api: i16, version: i16, body: &[u8]) -> Vec<u8> {
    let mut request = Vec::new();
    request.extend(api.to_be_bytes());
    request.extend(version.to_be_bytes());
    request.extend(7_i32.to_be_bytes());
    push_text("weir-tests", &mut request);
    request.extend(body);
    let mut stream = TcpStream::connect(bootstrap).unwrap();
    stream.set_read_timeout(Some(crate::world::PATIENCE)).unwrap();
    stream.write_all(&(request.len() as i32).to_be_bytes()).unwrap();
    stream.write_all(&request).unwrap();
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut answer = vec![0; i32::from_be_bytes(length) as usize];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer[..4], 7_i32.to_be_bytes());
    answer.split_off(4)
}

fn push_text(text: &str, into: &mut Vec<u8>) {
    into.extend((text.len() as i16).to_be_bytes());
    into.extend(text.as_bytes());
}

/// With a length of one byte, plus one.
fn push_compact(bytes: &[u8], into: &mut Vec<u8>) {
    assert!(bytes.len() < 127);
    into.push(bytes.len() as u8 + 1);
    into.extend(bytes);
}
