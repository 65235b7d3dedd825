//! Certificates and keys as a TLS client takes them. Made once when they are read, so that what cannot be used is told
//! by the name of its key before anything connects.

use super::security::{Certificate, Given, Tls};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;

/// Why certificates or keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Nothing between `BEGIN CERTIFICATE` and `END CERTIFICATE`.
    #[error("{from} holds no certificate in PEM form")]
    NoCertificate {
        /// Which value.
        from: String,
    },
    /// Cut off, or not base64.
    #[error("{from} is not readable as PEM")]
    Pem {
        /// Which value.
        from: String,
        /// Why.
        #[source]
        source: pem::Error,
    },
    /// Readable, and no certificate of an authority.
    #[error("{from} holds a certificate that cannot be used")]
    Authority {
        /// Which value.
        from: String,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// No key, or an encrypted one.
    #[error("{from} holds no private key in PEM form that is not encrypted")]
    NoKey {
        /// Which value.
        from: String,
        /// Why.
        #[source]
        source: pem::Error,
    },
    /// A certificate and the key of another one, or of a kind that nobody knows.
    #[error("the certificate in {chain} cannot be used with the private key in {key}")]
    Pair {
        /// Which certificate.
        chain: String,
        /// Which key.
        key: String,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// No protocol version of ours is left.
    #[error("TLS cannot be set up")]
    Versions(#[source] rustls::Error),
}

/// The client side of TLS 1.2 and 1.3 with these certificates.
pub(super) fn client(tls: &Tls) -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&tls.ca)? {
        let refused = |source| TlsError::Authority { from: tls.ca.from().to_owned(), source };
        roots.add(certificate).map_err(refused)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Versions)?
        .with_root_certificates(roots);
    let client = match &tls.certificate {
        None => client.with_no_client_auth(),
        Some(Certificate { chain, key }) => {
            let no_key = |source| TlsError::NoKey { from: key.from().to_owned(), source };
            let private = PrivateKeyDer::from_pem_slice(key.value().as_bytes()).map_err(no_key)?;
            let pair = |source| {
                let (chain, key) = (chain.from().to_owned(), key.from().to_owned());
                TlsError::Pair { chain, key, source }
            };
            client.with_client_auth_cert(certificates(chain)?, private).map_err(pair)?
        }
    };
    Ok(Arc::new(client))
}

fn certificates(given: &Given) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let from = || given.from().to_owned();
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(given.value().as_bytes()).collect();
    match found {
        Ok(found) if found.is_empty() => Err(TlsError::NoCertificate { from: from() }),
        Ok(found) => Ok(found),
        Err(source) => Err(TlsError::Pem { from: from(), source }),
    }
}
