//! How a cluster is reached: from a manifest and its Secrets to addresses, certificates and passwords.
//!
//! Secrets are taken as others write them:
//!
//! | who writes it | keys |
//! |---|---|
//! | a service binding, Strimzi's KafkaAccess | `bootstrap.servers`, `security.protocol`, `sasl.mechanism`, `username`, `password`, `sasl.jaas.config`, `ssl.truststore.crt`, `ssl.keystore.crt`, `ssl.keystore.key` |
//! | Strimzi's KafkaUser, TLS | `user.crt`, `user.key` (`ca.crt` there is the authority of clients, not of brokers) |
//! | Strimzi's KafkaUser, SCRAM | `password`, `sasl.jaas.config` |

use super::secret::{SecretError, Secrets};
use super::security::{Certificate, Login, Security, Tls};
use super::tls;
use pipeline::plan::{KafkaAccess, KafkaLogin, KafkaTls, SecretKey};
use pipeline::spec::SaslMechanism;

/// Spellings of a key; the first one is that of errors.
type Spellings<'a> = &'a [&'a str];

const SERVERS: Spellings<'_> = &["bootstrap.servers", "bootstrapServers", "bootstrap-servers"];
const PROTOCOL: Spellings<'_> = &["security.protocol", "securityProtocol"];
const MECHANISM: Spellings<'_> = &["sasl.mechanism", "saslMechanism"];
const USERNAME: Spellings<'_> = &["username", "user"];
const PASSWORD: Spellings<'_> = &["password"];
const JAAS: Spellings<'_> = &["sasl.jaas.config"];
const AUTHORITIES: Spellings<'_> = &["ssl.truststore.crt"];
const CERTIFICATE: Spellings<'_> = &["ssl.keystore.crt", "user.crt"];
const PRIVATE_KEY: Spellings<'_> = &["ssl.keystore.key", "user.key"];

/// How a cluster is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// `host:port,…`.
    pub servers: String,
    /// Encryption and login.
    pub security: Security,
}

/// Servers, protocol and user; no secret.
impl std::fmt::Display for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} by {}", self.servers, self.security.protocol())?;
        match &self.security.login {
            Some(login) => write!(f, " as {}", login.username),
            None => Ok(()),
        }
    }
}

impl Access {
    /// Plain text at these addresses.
    pub fn plain_text(servers: impl Into<String>) -> Self {
        Self { servers: servers.into(), security: Security::default() }
    }

    /// Reads what the manifest refers to. Certificates and keys are looked at, too: what comes out can be used.
    pub fn resolve(access: &KafkaAccess, secrets: &Secrets<'_>) -> Result<Self, SecretError> {
        let resolved = match access {
            KafkaAccess::Inline { servers, tls, login } => Self {
                servers: servers.clone(),
                security: Security {
                    tls: tls.as_ref().map(|tls| inline_tls(tls, secrets)).transpose()?,
                    login: login.as_ref().map(|login| inline_login(login, secrets)).transpose()?,
                },
            },
            KafkaAccess::Secret { name, servers, ca } => {
                Whole { secrets, name }.resolve(servers.as_deref(), ca.as_ref())?
            }
        };
        if let Some(given) = &resolved.security.tls {
            tls::client(given).map_err(SecretError::Tls)?;
        }
        Ok(resolved)
    }
}

fn inline_tls(given: &KafkaTls, secrets: &Secrets<'_>) -> Result<Tls, SecretError> {
    let pem = |key: &SecretKey| secrets.required(key, Secrets::pem);
    let certificate = given
        .certificate
        .as_ref()
        .map(|pair| Ok::<_, SecretError>(Certificate { chain: pem(&pair.chain)?, key: pem(&pair.key)? }));
    Ok(Tls { ca: pem(&given.ca)?, certificate: certificate.transpose()? })
}

fn inline_login(given: &KafkaLogin, secrets: &Secrets<'_>) -> Result<Login, SecretError> {
    Ok(Login {
        mechanism: given.mechanism,
        username: given.username.clone(),
        password: secrets.required(&given.password, Secrets::password)?,
    })
}

/// A Secret that says who logs in, and mostly everything else.
struct Whole<'a> {
    secrets: &'a Secrets<'a>,
    name: &'a str,
}

/// What a Secret asks for; none when it does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Asked {
    tls: bool,
    login: bool,
}

impl Whole<'_> {
    fn resolve(&self, servers: Option<&str>, ca: Option<&SecretKey>) -> Result<Access, SecretError> {
        let servers = match servers {
            Some(servers) => servers.to_owned(),
            None => self.line(SERVERS)?.ok_or_else(|| self.missing(SERVERS))?,
        };
        let asked = self.asked()?;
        if ca.is_some() && asked.is_some_and(|asked| !asked.tls) {
            return Err(SecretError::Contradiction { key: PROTOCOL[0].to_owned(), place: self.place() });
        }
        let tls = self.tls(ca, asked)?;
        let login = self.login(asked)?;
        if tls.is_none() && login.as_ref().is_some_and(|login| login.mechanism == SaslMechanism::Plain) {
            return Err(SecretError::Unencrypted { place: self.place() });
        }
        Ok(Access { servers, security: Security { tls, login } })
    }

    /// `security.protocol`.
    fn asked(&self) -> Result<Option<Asked>, SecretError> {
        let Some(word) = self.line(PROTOCOL)? else { return Ok(None) };
        let (tls, login) = match word.to_ascii_uppercase().as_str() {
            "PLAINTEXT" => (false, false),
            "SSL" => (true, false),
            "SASL_PLAINTEXT" => (false, true),
            "SASL_SSL" => (true, true),
            _ => return Err(self.unknown(PROTOCOL, "PLAINTEXT, SSL, SASL_PLAINTEXT and SASL_SSL")),
        };
        Ok(Some(Asked { tls, login }))
    }

    /// A Secret that does not say whether it wants TLS wants it when it has anything for it.
    fn tls(&self, ca: Option<&SecretKey>, asked: Option<Asked>) -> Result<Option<Tls>, SecretError> {
        if asked.is_some_and(|asked| !asked.tls) {
            return Ok(None);
        }
        let certificate = match self.secrets.pem(self.name, CERTIFICATE)? {
            None => None,
            Some(chain) => {
                let key = self.secrets.pem(self.name, PRIVATE_KEY)?;
                Some(Certificate { chain, key: key.ok_or_else(|| self.missing(PRIVATE_KEY))? })
            }
        };
        let ca = match ca {
            Some(key) => Some(self.secrets.required(key, Secrets::pem)?),
            None => self.secrets.pem(self.name, AUTHORITIES)?,
        };
        match (ca, asked) {
            (Some(ca), _) => Ok(Some(Tls { ca, certificate })),
            (None, Some(_)) => Err(self.missing(AUTHORITIES)),
            (None, None) if certificate.is_some() => Err(SecretError::NobodyTrusted { place: self.place() }),
            (None, None) => Ok(None),
        }
    }

    fn login(&self, asked: Option<Asked>) -> Result<Option<Login>, SecretError> {
        let jaas = self.line(JAAS)?.unwrap_or_default();
        let password = self.secrets.password(self.name, PASSWORD)?;
        let wanted = match asked {
            Some(asked) => asked.login,
            None => password.is_some() || !jaas.is_empty(),
        };
        if !wanted {
            return Ok(None);
        }
        let mechanism = match self.line(MECHANISM)?.map(|word| word.to_ascii_uppercase()).as_deref() {
            Some("PLAIN") => SaslMechanism::Plain,
            Some("SCRAM-SHA-256") => SaslMechanism::ScramSha256,
            Some("SCRAM-SHA-512") => SaslMechanism::ScramSha512,
            Some(_) => return Err(self.unknown(MECHANISM, "PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512")),
            None if jaas.contains("PlainLoginModule") => SaslMechanism::Plain,
            // What Strimzi's users have; their Secret does not say it.
            None if jaas.contains("ScramLoginModule") => SaslMechanism::ScramSha512,
            None => return Err(self.missing(MECHANISM)),
        };
        let username = match self.line(USERNAME)? {
            Some(username) => Some(username),
            None => jaas_option(&jaas, "username"),
        };
        let of_jaas = || Some(super::security::Given::new(jaas_option(&jaas, "password")?, self.from(JAAS)));
        Ok(Some(Login {
            mechanism,
            username: username.ok_or_else(|| self.missing(USERNAME))?,
            password: password.or_else(of_jaas).ok_or_else(|| self.missing(PASSWORD))?,
        }))
    }

    fn line(&self, key: Spellings<'_>) -> Result<Option<String>, SecretError> {
        self.secrets.line(self.name, key)
    }

    fn missing(&self, key: Spellings<'_>) -> SecretError {
        self.secrets.missing(self.name, key[0])
    }

    fn unknown(&self, key: Spellings<'_>, known: &'static str) -> SecretError {
        SecretError::Unknown { key: key[0].to_owned(), place: self.place(), known }
    }

    fn place(&self) -> String {
        (self.secrets.place)(self.name)
    }

    fn from(&self, key: Spellings<'_>) -> String {
        SecretKey { name: self.name.to_owned(), key: key[0].to_owned() }.to_string()
    }
}

/// An option of a line such as `…ScramLoginModule required username="alice" password="…";`.
fn jaas_option(line: &str, name: &str) -> Option<String> {
    let rest = line.split_once(&format!("{name}=\""))?.1;
    let (mut value, mut escaped) = (String::new(), false);
    for c in rest.chars() {
        match c {
            '"' if !escaped => return Some(value),
            '\\' if !escaped => {
                escaped = true;
                continue;
            }
            c => value.push(c),
        }
        escaped = false;
    }
    None
}

#[cfg(test)]
mod tests;
