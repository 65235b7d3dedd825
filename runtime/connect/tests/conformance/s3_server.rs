//! A server of S3 of a test's own, with its buckets in a directory that goes with it. The variable `S3_SERVER` names the
//! program, which `e2e/bed/bed s3-server` builds.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long the server may take to start, on a machine that does other work too.
const PATIENCE: Duration = Duration::from_mins(1);
const LOOK: Duration = Duration::from_millis(20);

/// The user that may do everything.
pub const ROOT: [&str; 2] = ["root", "root-secret"];

/// One server. It ends with this value.
pub struct S3Server {
    program: String,
    directory: TempDir,
    port: u16,
    encrypted: bool,
    process: Option<Child>,
}

impl S3Server {
    /// A server with these buckets.
    pub fn start(buckets: &[&str]) -> Self {
        Self::prepared(buckets, false)
    }

    /// A server with these buckets that speaks TLS, with a certificate by an authority of its own; needs openssl.
    #[allow(dead_code, reason = "not every suite needs it")]
    pub fn start_encrypted(buckets: &[&str]) -> Self {
        Self::prepared(buckets, true)
    }

    fn prepared(buckets: &[&str], encrypted: bool) -> Self {
        let program = std::env::var("S3_SERVER").expect("S3_SERVER names the program of a server of S3");
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("users")).unwrap();
        // Bound and given back: nobody else is likely to take it.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = Self { program, directory, port, encrypted, process: None };
        if encrypted {
            make_certificates(server.directory.path());
        }
        for bucket in buckets {
            server.make_bucket(bucket);
        }
        server.go_on();
        server
    }

    /// A bucket is a directory.
    pub fn make_bucket(&self, name: &str) {
        std::fs::create_dir_all(self.directory.path().join("buckets").join(name)).unwrap();
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// Its address.
    pub fn endpoint(&self) -> String {
        format!("{}://{}", if self.encrypted { "https" } else { "http" }, self.address())
    }

    /// The authority of its certificate, PEM.
    #[allow(dead_code, reason = "not every suite needs it")]
    pub fn authority(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("ca.crt")).unwrap()
    }

    /// Kills it at once. Its buckets stay.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Starts it again at the same address, and waits until it answers.
    pub fn go_on(&mut self) {
        let mut command = Command::new(&self.program);
        if self.encrypted {
            let file = |name: &str| self.directory.path().join(name);
            command.arg("--cert").arg(file("server.crt")).arg("--key").arg(file("server.key"));
        }
        let process = command
            .args(["--quiet", "--port", &self.address().to_string()])
            .args(["--access", ROOT[0], "--secret", ROOT[1]])
            .arg("--iam-dir")
            .arg(self.directory.path().join("users"))
            .arg("posix")
            .arg(self.directory.path().join("buckets"))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        self.process = Some(process);
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(self.address()).is_err() {
            assert!(Instant::now() < deadline, "the server of S3 does not answer");
            std::thread::park_timeout(LOOK);
        }
    }

    /// A user who owns no bucket.
    #[allow(dead_code, reason = "not every suite needs it")]
    pub fn make_user(&self, name: &str, secret: &str) {
        let made = Command::new(&self.program)
            .args(["admin", "--access", ROOT[0], "--secret", ROOT[1], "--endpoint-url", &self.endpoint()])
            .args(["create-user", "--access", name, "--secret", secret, "--role", "user"])
            .status()
            .unwrap();
        assert!(made.success());
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// An authority, and a certificate by it for 127.0.0.1.
fn make_certificates(directory: &Path) {
    let openssl = |arguments: &str| {
        let made = Command::new("openssl")
            .args(arguments.split(' '))
            .current_dir(directory)
            .stderr(Stdio::null())
            .status()
            .expect("openssl is on the path");
        assert!(made.success(), "openssl {arguments}");
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(&format!("req -x509 {key} -keyout ca.key -out ca.crt -days 2 -subj /CN=authority"));
    openssl(&format!(
        "req -x509 {key} -keyout server.key -out server.crt -days 2 -subj /CN=store -CA ca.crt -CAkey ca.key \
         -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE"
    ));
}
