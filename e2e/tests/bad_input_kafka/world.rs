//! A broker, topics of a test's own, and the program `weir` as its users run it.

use control::PodStatus;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A machine that builds beside the tests may keep everybody waiting.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// One record to be sent.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    /// None is now.
    pub timestamp_ms: Option<i64>,
}

/// One record that came out.
#[derive(Clone, Debug)]
pub struct Got {
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub timestamp_ms: Option<i64>,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Got {
    pub fn header(&self, name: &str) -> Option<String> {
        let found = self.headers.iter().find(|(header, _)| header == name);
        found.map(|(_, value)| String::from_utf8(value.clone().unwrap_or_default()).unwrap())
    }

    /// Why it became a dead letter.
    pub fn reason(&self) -> String {
        self.header("__connect.errors.exception.class.name").unwrap()
    }

    pub fn message(&self) -> String {
        self.header("__connect.errors.exception.message").unwrap()
    }

    /// Its offset in the topic that it came from.
    pub fn offset(&self) -> usize {
        self.header("__connect.errors.offset").unwrap().parse().unwrap()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.value.as_deref().unwrap_or(b"null")).into_owned()
    }
}

/// Topics of one test.
pub struct World {
    pub bootstrap: String,
    pub unique: String,
    folder: tempfile::TempDir,
}

impl World {
    pub fn new(test: &str) -> Self {
        let bootstrap =
            std::env::var("KAFKA").expect("KAFKA=host:port names the broker that these tests use");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
        let unique = format!("{test}-{}-{}", std::process::id(), now % 1_000_000_000);
        Self { bootstrap, unique, folder: tempfile::tempdir().unwrap() }
    }

    pub fn name(&self, topic: &str) -> String {
        format!("{}.{topic}", self.unique)
    }

    pub fn topic(&self, topic: &str, settings: &[(&str, &str)]) -> String {
        let name = self.name(topic);
        let admin: AdminClient<DefaultClientContext> = self.client().create().unwrap();
        let mut new = NewTopic::new(&name, 1, TopicReplication::Fixed(1));
        for (setting, value) in settings {
            new = new.set(setting, value);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let wait = AdminOptions::new().operation_timeout(Some(PATIENCE));
        for made in runtime.block_on(admin.create_topics(&[new], &wait)).unwrap() {
            made.unwrap();
        }
        name
    }

    /// Fills a topic as fast as it takes records.
    pub fn fill(&self, topic: &str, records: usize, value: impl Fn(usize) -> String) {
        let producer: BaseProducer = self.client().set("enable.idempotence", "true").create().unwrap();
        for n in 0..records {
            let value = value(n);
            let mut record = BaseRecord::<[u8], _>::to(topic).partition(0).payload(value.as_bytes());
            while let Err((error, back)) = producer.send(record) {
                assert_eq!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::QueueFull));
                producer.poll(Duration::from_millis(100));
                record = back;
            }
        }
        producer.flush(PATIENCE).unwrap();
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap).set("message.max.bytes", "30000000");
        config
    }

    pub fn send(&self, topic: &str, records: &[Sent]) {
        let producer: BaseProducer = self.client().set("enable.idempotence", "true").create().unwrap();
        for sent in records {
            let mut record = BaseRecord::<[u8], [u8]>::to(topic).partition(0);
            record.key = sent.key.as_deref();
            record.payload = sent.value.as_deref();
            record.timestamp = sent.timestamp_ms;
            producer.send(record).map_err(|(error, _)| error).unwrap();
            producer.flush(PATIENCE).unwrap();
        }
    }

    /// Every committed record of a topic.
    pub fn read(&self, topic: &str) -> Vec<Got> {
        let consumer: BaseConsumer = self
            .client()
            .set("group.id", &self.unique)
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .create()
            .unwrap();
        let mut from = TopicPartitionList::new();
        from.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
        consumer.assign(&from).unwrap();
        let (mut all, deadline) = (Vec::new(), Instant::now() + PATIENCE);
        loop {
            assert!(Instant::now() < deadline, "{topic} has no end");
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => all.push(got(&message)),
                Some(Err(rdkafka::error::KafkaError::PartitionEOF(_))) => return all,
                // The topic is new to this client, or a broker is late.
                Some(Err(_)) | None => {}
            }
        }
    }

    /// Waits until a topic has so many committed records.
    pub fn read_until(&self, topic: &str, count: usize, weir: &Weir) -> Vec<Got> {
        weir.until(&format!("{count} records in {topic}"), || {
            let all = self.read(topic);
            (all.len() >= count).then_some(all)
        })
    }

    pub fn manifest(&self, text: &str) -> PathBuf {
        let path = self.folder.path().join("pipeline.yaml");
        std::fs::write(&path, text).unwrap();
        path
    }

    /// `weir worker` on the broker, or on what stands in front of it.
    pub fn worker(&self, manifest: &str, bootstrap: &str) -> Weir {
        self.worker_with(manifest, &["--kafka", bootstrap], &[])
    }

    /// `weir worker` with more arguments and variables.
    pub fn worker_with(&self, manifest: &str, more: &[&str], variables: &[(String, String)]) -> Weir {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let path = self.manifest(manifest);
        let control = format!("127.0.0.1:{port}");
        let arguments = ["worker", path.to_str().unwrap(), "--control-address", &control];
        let arguments = [&arguments[..], &["--metrics-address", "127.0.0.1:0"], more].concat();
        Weir::start_with(&arguments, variables, port)
    }

    /// A folder of this test.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }
}

fn got(message: &BorrowedMessage<'_>) -> Got {
    let headers = message.headers().into_iter().flat_map(Headers::iter);
    Got {
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        timestamp_ms: message.timestamp().to_millis(),
        headers: headers.map(|h| (h.key.to_owned(), h.value.map(<[u8]>::to_vec))).collect(),
    }
}

/// The program beside the test's own in the build's folder.
pub fn program() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let path = own.parent().unwrap().parent().unwrap().join("weir");
    assert!(path.exists(), "{} is missing: build the programs first", path.display());
    path
}

/// A running `weir`.
pub struct Weir {
    child: Child,
    port: u16,
    log: Arc<Mutex<Vec<String>>>,
}

impl Weir {
    pub fn start(arguments: &[&str], port: u16) -> Self {
        Self::start_with(arguments, &[], port)
    }

    pub fn start_with(arguments: &[&str], variables: &[(String, String)], port: u16) -> Self {
        let mut child = Command::new(program())
            .args(arguments)
            .envs(variables.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (from, to) = (child.stderr.take().unwrap(), log.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(from).lines().map_while(Result::ok) {
                to.lock().unwrap().push(line);
            }
        });
        Self { child, port, log }
    }

    /// The answer of the control API; none while nobody answers.
    pub fn status(&self) -> Option<PodStatus> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.write_all(b"GET /control/v1/status HTTP/1.0\r\nHost: weir\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
    }

    /// Waits until something is so.
    pub fn until<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look() {
                return found;
            }
            if Instant::now() >= deadline {
                let log = self.log.lock().unwrap();
                let last = log[log.len().saturating_sub(40)..].join("\n");
                panic!("no {what} in {PATIENCE:?}; status {:#?}\n{last}", self.status());
            }
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }

    /// Waits until the status is as wanted.
    pub fn until_status(&self, what: &str, is: impl Fn(&PodStatus) -> bool) -> PodStatus {
        self.until(what, || self.status().filter(|status| is(status)))
    }

    /// Waits for a line on standard error.
    pub fn until_said(&self, words: &str) {
        self.until(words, || self.log.lock().unwrap().iter().any(|line| line.contains(words)).then_some(()));
    }

    /// The most memory that the process ever had.
    pub fn peak_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and its exit code.
    pub fn stop(mut self) -> Option<i32> {
        let sent = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(sent.success());
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }
}

impl Drop for Weir {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}
