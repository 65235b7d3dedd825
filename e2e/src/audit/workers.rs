//! Worker processes: started, watched by their log, killed at chosen moments.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How worker processes are started.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The `weir` binary.
    pub program: PathBuf,
    /// The manifest.
    pub manifest: PathBuf,
    /// Kafka.
    pub bootstrap: String,
    /// Number of workers.
    pub workers: u32,
    /// Where logs go, one file per worker.
    pub logs: PathBuf,
}

/// One worker process and the lines of its log since it was last asked.
pub struct Worker {
    launch: Launch,
    index: u32,
    child: Child,
    lines: Receiver<String>,
}

impl Worker {
    /// Starts worker `index`.
    pub fn start(launch: &Launch, index: u32) -> anyhow::Result<Self> {
        let (child, lines) = spawn(launch, index)?;
        Ok(Self { launch: launch.clone(), index, child, lines })
    }

    /// Its number.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// SIGKILL, and a new process at once.
    pub fn kill_and_restart(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        (self.child, self.lines) = spawn(&self.launch, self.index)?;
        Ok(())
    }

    /// Sends a signal by name, such as `STOP`.
    pub fn signal(&self, name: &str) -> anyhow::Result<()> {
        let status =
            Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status()?;
        anyhow::ensure!(status.success(), "kill -{name} {} failed", self.child.id());
        Ok(())
    }

    /// Waits until its log has a line with `word`.
    pub fn wait_for(&mut self, word: &str, deadline: Duration) -> anyhow::Result<()> {
        let until = Instant::now() + deadline;
        loop {
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) if line.contains(word) => return Ok(()),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => {
                    anyhow::bail!("worker {} did not say `{word}` in {deadline:?}", self.index)
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let status = self.child.wait()?;
                    anyhow::bail!("worker {} ended ({status}) before it said `{word}`", self.index)
                }
            }
        }
    }

    /// Asks it to drain and waits for its end.
    pub fn stop(mut self, deadline: Duration) -> anyhow::Result<()> {
        self.signal("TERM")?;
        let until = Instant::now() + deadline;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > until {
                self.child.kill()?;
                anyhow::bail!("worker {} did not end in {deadline:?} after SIGTERM", self.index);
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn spawn(launch: &Launch, index: u32) -> anyhow::Result<(Child, Receiver<String>)> {
    let mut child = Command::new(&launch.program)
        .arg("worker")
        .arg(&launch.manifest)
        .args(["--kafka", &launch.bootstrap])
        .args(["--workers", &launch.workers.to_string(), "--worker", &index.to_string()])
        .args([
            "--control-address",
            "127.0.0.1:0",
            "--metrics-address",
            "127.0.0.1:0",
            "--log-format",
            "json",
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let (send, lines) = channel();
    let log = log_file(&launch.logs, index)?;
    if let Some(stderr) = child.stderr.take() {
        std::thread::spawn(move || copy_log(stderr, log, &send));
    }
    Ok((child, lines))
}

fn log_file(folder: &Path, index: u32) -> anyhow::Result<std::fs::File> {
    let path = folder.join(format!("worker-{index}.log"));
    Ok(std::fs::File::options().create(true).append(true).open(path)?)
}

/// Ends with the process. A reader that has gone away does not end the log.
fn copy_log(from: impl std::io::Read, mut to: std::fs::File, lines: &std::sync::mpsc::Sender<String>) {
    for line in BufReader::new(from).lines().map_while(Result::ok) {
        let _disk_full = std::io::Write::write_all(&mut to, format!("{line}\n").as_bytes());
        let _nobody_listens = lines.send(line);
    }
}
