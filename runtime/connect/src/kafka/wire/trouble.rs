//! Why a connection was not made, in words that say what to do.

use crate::kafka::security::{Security, Tls};
use rustls::{AlertDescription as Alert, CertificateError, Error as TlsError};
use std::io::{Error, ErrorKind};

/// Why one address did not let us in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    /// Somebody is there and refuses us, or we refuse it: a matter of certificates, names and passwords.
    pub refused: bool,
    pub detail: String,
}

/// How far a connection was when it broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    Handshake,
    FirstRequest,
}

impl Trouble {
    pub fn refused(detail: impl Into<String>) -> Self {
        Self { refused: true, detail: detail.into() }
    }

    pub fn unreachable(detail: impl Into<String>) -> Self {
        Self { refused: false, detail: detail.into() }
    }

    /// What an error of a connection means at this moment of it.
    pub fn of(error: &Error, moment: Moment, host: &str, security: &Security) -> Self {
        let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<TlsError>());
        if let (Some(cause), Some(tls)) = (cause, &security.tls) {
            return of_tls(cause, host, tls);
        }
        let closed = matches!(
            error.kind(),
            ErrorKind::UnexpectedEof
                | ErrorKind::ConnectionReset
                | ErrorKind::ConnectionAborted
                | ErrorKind::BrokenPipe
        );
        match (moment, &security.tls) {
            (Moment::Handshake, _) if closed => Self::unreachable(
                "it closed the connection during the TLS handshake; this listener seems not to speak TLS: use the address of one that does",
            ),
            (Moment::FirstRequest, Some(Tls { certificate: Some(certificate), .. })) if closed => {
                Self::refused(format!(
                    "it closed the connection after the TLS handshake; the broker may refuse the client certificate in {}",
                    certificate.chain.from()
                ))
            }
            (Moment::FirstRequest, _) if closed && security.login.is_none() => Self::unreachable(format!(
                "it closed the connection at the first request; this listener may want {}, which spec.kafka does not give",
                if security.tls.is_some() { "a login" } else { "TLS or a login" }
            )),
            _ => Self::unreachable(error.to_string()),
        }
    }
}

fn of_tls(error: &TlsError, host: &str, tls: &Tls) -> Trouble {
    match error {
        TlsError::InvalidCertificate(error) => Trouble::refused(of_certificate(error, host, tls)),
        TlsError::AlertReceived(alert) => Trouble::refused(of_alert(*alert, tls)),
        TlsError::InvalidMessage(_) => Trouble::unreachable(
            "it does not speak TLS at this address: use the address of a listener that does",
        ),
        other => Trouble::refused(format!("TLS failed: {other}")),
    }
}

fn of_certificate(error: &CertificateError, host: &str, tls: &Tls) -> String {
    match error {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => format!(
            "the broker's certificate is not signed by the certificate authority in {}; put that of this cluster there",
            tls.ca.from()
        ),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the broker's certificate has expired; renew it".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => format!(
            "the broker's certificate is not made for `{host}`; use an address that it is made for, or renew it with this one as a subject alternative name"
        ),
        other => format!("the broker's certificate is refused: {other}"),
    }
}

fn of_alert(alert: Alert, tls: &Tls) -> String {
    let wants = matches!(alert, Alert::CertificateRequired | Alert::BadCertificate | Alert::HandshakeFailure);
    match &tls.certificate {
        None if wants => {
            "the broker wants a client certificate; set tls.certSecretKeyRef and tls.keySecretKeyRef"
                .to_owned()
        }
        Some(certificate) if alert == Alert::CertificateExpired => format!(
            "the broker refuses the client certificate in {}, which has expired; renew it",
            certificate.chain.from()
        ),
        Some(certificate) => format!(
            "the broker refuses the client certificate in {} ({alert:?}); it has expired, or the broker does not trust its certificate authority: renew it",
            certificate.chain.from()
        ),
        None => format!("the broker ended the TLS handshake: {alert:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::security::{Certificate, Given};

    fn security(certificate: bool) -> Security {
        let given = |key: &str| Given::new("hush", format!("key `{key}` of Secret s"));
        let pair = || Certificate { chain: given("tls.crt"), key: given("tls.key") };
        Security { tls: Some(Tls { ca: given("ca.crt"), certificate: certificate.then(pair) }), login: None }
    }

    #[test]
    fn every_trouble_says_what_to_do() {
        use CertificateError as Bad;
        use Moment::{FirstRequest, Handshake};
        let tls = |error: TlsError| Error::new(ErrorKind::InvalidData, error);
        let bad = |error: Bad| tls(TlsError::InvalidCertificate(error));
        let alert = |alert: Alert| tls(TlsError::AlertReceived(alert));
        let closed = || Error::from(ErrorKind::UnexpectedEof);
        let (with, without, plain) = (security(true), security(false), Security::default());
        let ca = "the certificate authority in key `ca.crt` of Secret s";
        let table = [
            (bad(Bad::UnknownIssuer), Handshake, &without, true, ca),
            (bad(Bad::Expired), Handshake, &without, true, "the broker's certificate has expired; renew it"),
            (bad(Bad::NotValidForName), Handshake, &without, true, "is not made for `kafka`; use an address"),
            (bad(Bad::Revoked), Handshake, &without, true, "the broker's certificate is refused"),
            (
                alert(Alert::BadCertificate),
                FirstRequest,
                &without,
                true,
                "the broker wants a client certificate",
            ),
            (alert(Alert::CertificateRequired), FirstRequest, &without, true, "set tls.certSecretKeyRef"),
            (
                alert(Alert::CertificateExpired),
                FirstRequest,
                &with,
                true,
                "key `tls.crt` of Secret s, which has expired",
            ),
            (alert(Alert::UnknownCA), FirstRequest, &with, true, "key `tls.crt` of Secret s (UnknownCA)"),
            (
                alert(Alert::ProtocolVersion),
                Handshake,
                &without,
                true,
                "ended the TLS handshake: ProtocolVersion",
            ),
            (closed(), Handshake, &without, false, "seems not to speak TLS"),
            (
                closed(),
                FirstRequest,
                &with,
                true,
                "may refuse the client certificate in key `tls.crt` of Secret s",
            ),
            (closed(), FirstRequest, &without, false, "may want a login"),
            (closed(), FirstRequest, &plain, false, "may want TLS or a login"),
            (Error::from(ErrorKind::TimedOut), FirstRequest, &plain, false, "timed out"),
        ];
        for (error, moment, security, refused, expected) in table {
            let trouble = Trouble::of(&error, moment, "kafka", security);
            assert_eq!(trouble.refused, refused, "{trouble:?}");
            assert!(trouble.detail.contains(expected), "{trouble:?}");
            assert!(!trouble.detail.contains("hush"), "{trouble:?}");
        }
    }
}
