//! The login of a connection: `SaslHandshake` and `SaslAuthenticate`, version 1 of each.

use super::scram::{Hash, Scram};
use super::trouble::{Moment, Trouble};
use super::{Answer, exchange, malformed};
use crate::kafka::security::{Login, Security, mechanism};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use pipeline::spec::SaslMechanism;
use ring::rand::{SecureRandom, SystemRandom};
use std::io::{self, Read, Write};

const HANDSHAKE: i16 = 17;
const AUTHENTICATE: i16 = 36;
const UNSUPPORTED_MECHANISM: i16 = 33;
const ILLEGAL_STATE: i16 = 34;
const NONCE_BYTES: usize = 24;

/// Logs in on a new connection.
pub(super) fn log_in(
    stream: &mut (impl Read + Write),
    login: &Login,
    client_id: &str,
    host: &str,
    security: &Security,
) -> Result<(), Trouble> {
    let broke = |error: &io::Error| Trouble::of(error, Moment::FirstRequest, host, security);
    agree(stream, login.mechanism, client_id).map_err(|error| broke(&error))??;
    let mut say = |words: &[u8]| -> Result<Vec<u8>, Trouble> {
        let answer = authenticate(stream, words, client_id).map_err(|error| broke(&error))?;
        answer.map_err(|said| {
            let said = if said.is_empty() { "no reason was given" } else { &said };
            let from = login.password.from();
            Trouble::refused(format!(
                "user `{}` was refused: {said}; check the name and the password in {from}",
                login.username
            ))
        })
    };
    let hash = match login.mechanism {
        SaslMechanism::Plain => {
            let words = format!("\0{}\0{}", login.username, login.password.value());
            return say(words.as_bytes()).map(|_| ());
        }
        SaslMechanism::ScramSha256 => Hash::Sha256,
        SaslMechanism::ScramSha512 => Hash::Sha512,
    };
    let scram = Scram::new(hash, &login.username, &nonce()?);
    let answer = text(say(scram.first().as_bytes())?);
    let strange = || Trouble::refused("the broker's answer to the login is none");
    let (second, proof) = scram.second(&answer, login.password.value()).ok_or_else(strange)?;
    if proof.is_given(&text(say(second.as_bytes())?)) {
        Ok(())
    } else {
        Err(Trouble::refused("the broker could not prove that it knows the password; is it ours?"))
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_default()
}

fn nonce() -> Result<String, Trouble> {
    let mut bytes = [0; NONCE_BYTES];
    let drawn = SystemRandom::new().fill(&mut bytes);
    drawn.map_err(|_| Trouble::unreachable("the system gives no random numbers"))?;
    Ok(STANDARD_NO_PAD.encode(bytes))
}

/// Agrees on the mechanism.
fn agree(
    stream: &mut (impl Read + Write),
    wanted: SaslMechanism,
    client_id: &str,
) -> io::Result<Result<(), Trouble>> {
    let name = mechanism(wanted);
    let mut body = Vec::new();
    push_text(name, &mut body);
    let answer = exchange(stream, (HANDSHAKE, 1), client_id, &body)?;
    let mut answer = Answer(&answer);
    let code = answer.i16().ok_or_else(malformed)?;
    let count = answer.i32().ok_or_else(malformed)?;
    let offered: Option<Vec<&str>> = (0..count).map(|_| answer.short_text()).collect();
    let offered = offered.ok_or_else(malformed)?.join(", ");
    Ok(match code {
        0 => Ok(()),
        UNSUPPORTED_MECHANISM => Err(Trouble::refused(format!(
            "this listener takes no {name}; it takes {offered}: set sasl.mechanism to one of these"
        ))),
        ILLEGAL_STATE => Err(Trouble::refused(
            "this listener takes no login: remove sasl, or use the address of one that does",
        )),
        code => Err(Trouble::refused(format!("the broker refuses a login with error {code}"))),
    })
}

/// One round: the broker's words, or why it refuses.
fn authenticate(
    stream: &mut (impl Read + Write),
    words: &[u8],
    client_id: &str,
) -> io::Result<Result<Vec<u8>, String>> {
    let mut body = (words.len() as i32).to_be_bytes().to_vec();
    body.extend_from_slice(words);
    let answer = exchange(stream, (AUTHENTICATE, 1), client_id, &body)?;
    let mut answer = Answer(&answer);
    let code = answer.i16().ok_or_else(malformed)?;
    let message = answer.short_text().ok_or_else(malformed)?.to_owned();
    if code != 0 {
        return Ok(Err(message));
    }
    let length = answer.i32().and_then(|length| usize::try_from(length).ok()).ok_or_else(malformed)?;
    Ok(Ok(answer.take(length).ok_or_else(malformed)?.to_vec()))
}

/// A text with its length in two bytes.
fn push_text(text: &str, into: &mut Vec<u8>) {
    into.extend_from_slice(&(text.len() as i16).to_be_bytes());
    into.extend_from_slice(text.as_bytes());
}
