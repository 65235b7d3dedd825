//! A way to a server that breaks after a number of bytes, for good.

use super::s3_server::S3Server;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread::JoinHandle;

/// Passes everything on until it has carried its bytes to the server; then it drops all connections.
pub struct Way {
    address: SocketAddr,
    ended: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl Way {
    /// A way that carries so many bytes.
    pub fn to(server: &S3Server, bytes: i64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, to) = (listener.local_addr().unwrap(), server.address());
        let (ended, left) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicI64::new(bytes)));
        let end = ended.clone();
        let accepting = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if end.load(Ordering::SeqCst) {
                    return;
                }
                if left.load(Ordering::SeqCst) >= 0 {
                    carry(&stream.unwrap(), &TcpStream::connect(to).unwrap(), &left);
                }
            }
        });
        Self { address, ended, accepting: Some(accepting) }
    }

    /// Where it begins.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

/// Both directions, each on a thread that ends with its connection.
fn carry(client: &TcpStream, server: &TcpStream, left: &Arc<AtomicI64>) {
    let copy = |from: &TcpStream, to: &TcpStream, left: Option<Arc<AtomicI64>>| {
        let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        std::thread::spawn(move || {
            let mut buffer = vec![0; 64 << 10];
            while let Ok(bytes @ 1..) = from.read(&mut buffer) {
                let used =
                    |left: &Arc<AtomicI64>| left.fetch_sub(bytes as i64, Ordering::SeqCst) < bytes as i64;
                if left.as_ref().is_some_and(used) || to.write_all(&buffer[..bytes]).is_err() {
                    break;
                }
            }
            let _ = from.shutdown(Shutdown::Both);
            let _ = to.shutdown(Shutdown::Both);
        })
    };
    copy(client, server, Some(left.clone()));
    copy(server, client, None);
}
