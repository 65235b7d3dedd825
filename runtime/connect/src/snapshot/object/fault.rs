//! What an object store answered when it did not do what it was asked, in words that say what helps.
//!
//! Clouds say the same in different ways: a status, a code in XML or JSON, an error of the connection. They are brought to
//! one list, and the long answer to one line.

use object_store::client::{HttpError, HttpErrorKind};
use std::error::Error;

/// Most bytes that are shown of an answer.
const SHOWN_BYTES_MAX: usize = 300;

/// Why a bucket was not read or written, and what helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// There is no such bucket.
    BucketMissing,
    /// We are known, and may not.
    Denied,
    /// We are not known, or not any more.
    NotKnown,
    /// The environment has no credentials.
    NoIdentity,
    /// Signatures hold for minutes only.
    Clock,
    /// The bucket is somewhere else.
    Region,
    /// Whoever answers there proves it with a certificate that nobody vouches for.
    NotTrusted,
    /// Nobody answers there.
    Unreachable,
    /// It took too long.
    TimedOut,
    /// The store says that it has a problem, or has too much to do.
    Unwell,
    /// Anything else.
    Other,
}

/// What to do.
impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::BucketMissing => {
                "the bucket does not exist: create it, or correct uri, endpoint or region of checkpoint.storage"
            }
            Self::Denied => {
                "access is denied: allow these credentials to read, write, delete and list below the prefix"
            }
            Self::NotKnown => {
                "the credentials are not accepted: put valid ones into the Secret of checkpoint.storage.secretRef"
            }
            Self::NoIdentity => {
                "the environment has no credentials: name a Secret in checkpoint.storage.secretRef, or give the service account of the pods an identity"
            }
            Self::Clock => "the clocks of this machine and of the store differ: set the clock of this machine",
            Self::Region => "the bucket is in another region: set checkpoint.storage.region",
            Self::NotTrusted => {
                "the certificate of the store is not trusted: put its authority as `ca.crt` into the Secret of checkpoint.storage.secretRef"
            }
            Self::Unreachable => {
                "the store is not reached: look at endpoint of checkpoint.storage, at name resolution and at the network policies"
            }
            Self::TimedOut => "the store took too long to answer: look at the store and at the way to it",
            Self::Unwell => "the store has a problem of its own, or too much to do: look at its state",
            Self::Other => "the store refused",
        })
    }
}

impl Fault {
    /// True when to try again helps only after somebody changed something.
    pub fn needs_somebody(self) -> bool {
        match self {
            Self::BucketMissing
            | Self::Denied
            | Self::NotKnown
            | Self::NoIdentity
            | Self::Clock
            | Self::Region
            | Self::NotTrusted => true,
            Self::Unreachable | Self::TimedOut | Self::Unwell | Self::Other => false,
        }
    }
}

/// The one line that is kept of a long answer.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Answer(String);

impl Answer {
    pub(super) fn of(error: &object_store::Error) -> Self {
        Self(match transport(error) {
            Some(transport) => causes(transport),
            None => condensed(&error.to_string()),
        })
    }

    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// Codes of S3 (XML), Google (XML and JSON) and Azure (XML), and what they mean. The first that is found counts.
const CODES: [(&str, Fault); 26] = [
    ("NoSuchBucket", Fault::BucketMissing),
    ("ContainerNotFound", Fault::BucketMissing),
    ("specified bucket does not exist", Fault::BucketMissing),
    ("InvalidAccessKeyId", Fault::NotKnown),
    ("SignatureDoesNotMatch", Fault::NotKnown),
    ("InvalidToken", Fault::NotKnown),
    ("ExpiredToken", Fault::NotKnown),
    ("InvalidClientTokenId", Fault::NotKnown),
    ("AuthenticationFailed", Fault::NotKnown),
    ("InvalidAuthenticationInfo", Fault::NotKnown),
    ("invalid_grant", Fault::NotKnown),
    ("invalid_client", Fault::NotKnown),
    ("RequestTimeTooSkewed", Fault::Clock),
    ("PermanentRedirect", Fault::Region),
    ("AuthorizationHeaderMalformed", Fault::Region),
    ("incorrectly configured region", Fault::Region),
    ("IllegalLocationConstraint", Fault::Region),
    ("AccessDenied", Fault::Denied),
    ("AllAccessDisabled", Fault::Denied),
    ("AccountProblem", Fault::Denied),
    ("AuthorizationPermissionMismatch", Fault::Denied),
    ("AuthorizationFailure", Fault::Denied),
    ("SlowDown", Fault::Unwell),
    ("InternalError", Fault::Unwell),
    ("ServiceUnavailable", Fault::Unwell),
    ("ServerBusy", Fault::Unwell),
];

/// What an error means.
pub(super) fn fault(error: &object_store::Error) -> Fault {
    let text = error.to_string();
    // The only addresses that clouds give credentials at: nobody runs there when there are none to be had.
    let asks_for_credentials = ["169.254.", "metadata.google.internal", "fd00:ec2::254"];
    if asks_for_credentials.iter().any(|address| text.contains(address)) {
        return Fault::NoIdentity;
    }
    if let Some(transport) = transport(error) {
        return match transport.kind() {
            _ if causes(transport).contains("invalid peer certificate") => Fault::NotTrusted,
            HttpErrorKind::Timeout => Fault::TimedOut,
            HttpErrorKind::Connect | HttpErrorKind::Request | HttpErrorKind::Interrupted => {
                Fault::Unreachable
            }
            _ => Fault::Other,
        };
    }
    if let Some((_, fault)) = CODES.iter().find(|(code, _)| text.contains(code)) {
        return *fault;
    }
    match status(&text) {
        Some(401) => Fault::NotKnown,
        Some(403) => Fault::Denied,
        Some(404) => Fault::BucketMissing,
        Some(429 | 500..=599) => Fault::Unwell,
        _ => Fault::Other,
    }
}

/// What went wrong on the way, if that is it.
fn transport(error: &object_store::Error) -> Option<&HttpError> {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<HttpError>() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

/// The last two causes: who tried what, and what the operating system said.
fn causes(error: &HttpError) -> String {
    let mut all = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if all.last() != Some(&text) {
            all.push(text);
        }
        cause = error.source();
    }
    all.drain(..all.len().saturating_sub(2));
    if all.is_empty() { error.to_string() } else { all.join(": ") }
}

fn status(text: &str) -> Option<u16> {
    let (_, rest) = text.split_once("status code: ")?;
    rest.get(..3)?.parse().ok()
}

/// Status, code and message of an answer; the beginning of it when it has none of them.
fn condensed(text: &str) -> String {
    let element = |name: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        rest.split_once(&format!("</{name}>")).map(|(value, _)| value.trim().to_owned())
    };
    let status = status(text).map(|status| status.to_string());
    let parts: Vec<String> = [status, element("Code"), element("Message")].into_iter().flatten().collect();
    let whole = if parts.len() > 1 { parts.join(" ") } else { text.to_owned() };
    let mut line: String = whole.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.len() > SHOWN_BYTES_MAX {
        let end = (0..=SHOWN_BYTES_MAX).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
        line.truncate(end);
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(text: &str) -> object_store::Error {
        object_store::Error::Generic { store: "S3", source: text.into() }
    }

    fn xml(status: u16, code: &str) -> object_store::Error {
        answered(&format!(
            "Error performing PUT http://a/b in 1ms - Server returned non-2xx status code: {status} X: <?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>Because.</Message><AWSAccessKeyId>AKIA</AWSAccessKeyId></Error>"
        ))
    }

    #[test]
    fn answers_of_the_clouds_are_brought_to_one_list() {
        let cases = [
            (404, "NoSuchBucket", Fault::BucketMissing),
            (404, "ContainerNotFound", Fault::BucketMissing),
            (403, "AccessDenied", Fault::Denied),
            (403, "InvalidAccessKeyId", Fault::NotKnown),
            (403, "SignatureDoesNotMatch", Fault::NotKnown),
            (400, "ExpiredToken", Fault::NotKnown),
            (403, "AuthenticationFailed", Fault::NotKnown),
            (403, "RequestTimeTooSkewed", Fault::Clock),
            (301, "PermanentRedirect", Fault::Region),
            (503, "SlowDown", Fault::Unwell),
            (401, "Something", Fault::NotKnown),
            (403, "Something", Fault::Denied),
            (502, "Something", Fault::Unwell),
            (409, "Something", Fault::Other),
        ];
        for (status, code, want) in cases {
            assert_eq!(fault(&xml(status, code)), want, "{status} {code}");
        }
        let google = r#"status code: 400 Bad Request: {"error":"invalid_grant","error_description":"x"}"#;
        assert_eq!(fault(&answered(google)), Fault::NotKnown);
        let metadata = "Error performing PUT http://169.254.169.254/latest/api/token in 5s";
        assert_eq!(fault(&answered(metadata)), Fault::NoIdentity);
    }

    #[test]
    fn of_a_long_answer_one_line_is_kept() {
        assert_eq!(Answer::of(&xml(403, "AccessDenied")).to_string(), "403 AccessDenied Because.");
        let long = Answer::of(&answered(&"ü ".repeat(1_000))).to_string();
        assert!(long.len() <= SHOWN_BYTES_MAX + 3, "{}", long.len());
        assert!(long.ends_with('…'));
    }

    #[test]
    fn every_fault_says_what_to_do() {
        let helped = [Fault::BucketMissing, Fault::Denied, Fault::NotKnown, Fault::NoIdentity, Fault::Region];
        for fault in helped {
            assert!(fault.needs_somebody(), "{fault:?}");
            assert!(fault.to_string().contains(": "), "{fault}");
        }
        for fault in [Fault::Unreachable, Fault::TimedOut, Fault::Unwell, Fault::Other] {
            assert!(!fault.needs_somebody(), "{fault:?}");
        }
    }
}
