//! SCRAM (RFC 5802, 7677): proves a password without telling it, and has the broker prove that it knows it, too. Pure.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::{digest, hmac, pbkdf2};
use std::num::NonZeroU32;

/// A broker that asks for more rounds than this only wants to keep us busy; Kafka allows 16 384.
const ITERATIONS_MAX: u32 = 1_000_000;
/// No channel binding: `n,,`.
const HEADER: &str = "n,,";

/// The hash function of the mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hash {
    Sha256,
    Sha512,
}

impl Hash {
    fn pbkdf2(self) -> pbkdf2::Algorithm {
        match self {
            Self::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
            Self::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        }
    }

    fn hmac(self) -> hmac::Algorithm {
        match self {
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha512 => hmac::HMAC_SHA512,
        }
    }

    fn digest(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha512 => &digest::SHA512,
        }
    }
}

/// After the first message was sent.
pub(super) struct Scram {
    hash: Hash,
    first: String,
    nonce: String,
}

/// What the broker must answer in the end.
pub(super) struct Proof(Vec<u8>);

impl Scram {
    /// `nonce` is random and printable, without a comma.
    pub fn new(hash: Hash, username: &str, nonce: &str) -> Self {
        let name = username.replace('=', "=3D").replace(',', "=2C");
        Self { hash, first: format!("n={name},r={nonce}"), nonce: nonce.to_owned() }
    }

    /// The first message.
    pub fn first(&self) -> String {
        format!("{HEADER}{}", self.first)
    }

    /// The second message and what must come back, from the broker's answer to the first one; none when that is no
    /// answer to it.
    pub fn second(&self, answer: &str, password: &str) -> Option<(String, Proof)> {
        let mut parts = answer.split(',');
        let nonce = parts.next()?.strip_prefix("r=")?;
        let salt = STANDARD.decode(parts.next()?.strip_prefix("s=")?).ok()?;
        let iterations: u32 = parts.next()?.strip_prefix("i=")?.parse().ok()?;
        let iterations = NonZeroU32::new(iterations).filter(|rounds| rounds.get() <= ITERATIONS_MAX)?;
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return None;
        }
        let mut salted = vec![0; self.hash.digest().output_len()];
        pbkdf2::derive(self.hash.pbkdf2(), iterations, &salt, password.as_bytes(), &mut salted);
        let client_key = self.sign(&salted, b"Client Key");
        let stored_key = digest::digest(self.hash.digest(), client_key.as_ref());
        let without_proof = format!("c={},r={nonce}", STANDARD.encode(HEADER));
        let all = format!("{},{answer},{without_proof}", self.first);
        let signature = self.sign(stored_key.as_ref(), all.as_bytes());
        let proof: Vec<u8> =
            client_key.as_ref().iter().zip(signature.as_ref()).map(|(key, sign)| key ^ sign).collect();
        let server_key = self.sign(&salted, b"Server Key");
        let expected = self.sign(server_key.as_ref(), all.as_bytes());
        let proof = STANDARD.encode(proof);
        Some((format!("{without_proof},p={proof}"), Proof(expected.as_ref().to_vec())))
    }

    fn sign(&self, key: &[u8], text: &[u8]) -> hmac::Tag {
        hmac::sign(&hmac::Key::new(self.hash.hmac(), key), text)
    }
}

impl Proof {
    /// True when the broker's last answer shows that it knows the password.
    pub fn is_given(&self, answer: &str) -> bool {
        let signature = answer.split(',').find_map(|part| part.strip_prefix("v="));
        signature.and_then(|text| STANDARD.decode(text).ok()).is_some_and(|signature| signature == self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7677.
    #[test]
    fn the_example_of_the_standard_comes_out() {
        let scram = Scram::new(Hash::Sha256, "user", "rOprNGfwEbeRWgbNEkqO");
        assert_eq!(scram.first(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let answer = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let (second, proof) = scram.second(answer, "pencil").unwrap();
        assert!(second.ends_with("p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="), "{second}");
        assert!(proof.is_given("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
        assert!(!proof.is_given("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5="));
        assert!(!proof.is_given("e=other-error"));
    }

    #[test]
    fn an_answer_to_somebody_else_is_refused() {
        let scram = Scram::new(Hash::Sha512, "a=b,c", "mine");
        assert_eq!(scram.first(), "n,,n=a=3Db=2Cc,r=mine");
        for answer in [
            "",
            "r=other,s=AAAA,i=4096",
            "r=mine,s=AAAA,i=4096",
            "r=mine1,s=AAAA,i=0",
            "r=mine1,s=AAAA,i=2000000000",
            "r=mine1,s=?,i=4096",
            "e=unknown-user",
        ] {
            assert!(scram.second(answer, "x").is_none(), "{answer}");
        }
        assert!(scram.second("r=mine1,s=AAAA,i=4096", "x").is_some());
    }
}
