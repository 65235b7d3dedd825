//! One connection to a broker, ready for requests: reached, encrypted and logged in as the settings ask.

use super::login::log_in;
use super::trouble::{Moment, Trouble};
use crate::kafka::security::Security;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

/// Plain or encrypted.
pub(super) enum Connection {
    Plain(TcpStream),
    Encrypted(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// How connections are made.
pub(super) struct Dial {
    pub client_id: String,
    pub timeout: Duration,
    pub security: Security,
    /// Made of `security`.
    pub tls: Option<Arc<ClientConfig>>,
}

impl Dial {
    /// Connects to `host:port`.
    pub fn connect(&self, address: &str) -> Result<Connection, Trouble> {
        let host = host_of(address);
        let stream = self.open(address).map_err(|error| Trouble::unreachable(error.to_string()))?;
        let mut connection = match &self.tls {
            None => Connection::Plain(stream),
            Some(tls) => self.encrypt(stream, tls, host)?,
        };
        if let Some(login) = &self.security.login {
            log_in(&mut connection, login, &self.client_id, host, &self.security)?;
        }
        Ok(connection)
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

    fn encrypt(
        &self,
        mut stream: TcpStream,
        tls: &Arc<ClientConfig>,
        host: &str,
    ) -> Result<Connection, Trouble> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| Trouble::unreachable(format!("`{host}` is no name that a certificate can have")))?;
        let mut client = ClientConnection::new(tls.clone(), name)
            .map_err(|error| Trouble::refused(format!("TLS failed: {error}")))?;
        while client.is_handshaking() {
            client
                .complete_io(&mut stream)
                .map_err(|error| Trouble::of(&error, Moment::Handshake, host, &self.security))?;
        }
        Ok(Connection::Encrypted(Box::new(StreamOwned::new(client, stream))))
    }
}

/// The host of `host:port`, without the brackets of an IPv6 address.
pub(super) fn host_of(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

impl Read for Connection {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(into),
            Self::Encrypted(stream) => stream.read(into),
        }
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Encrypted(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Encrypted(stream) => stream.flush(),
        }
    }
}
