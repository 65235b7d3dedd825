//! The exactly-once audit: numbered records in, workers killed while they flow, and the output compared with what the
//! input topic itself says it must be.
//!
//! ```text
//!  producer ──> in (8 partitions) ──> filter ─┬─> passed (per record)
//!                                             └─> tumbling count and sum by another key ──> counts
//!  once at the start ──> standing ──> tumbling count by a key of its own, open until the end ──> stood
//! ```

pub mod input;
pub mod workers;
pub mod pods;
pub mod fleet;
pub mod pauses;
pub mod verdict;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use std::time::Duration;

/// Partitions of every topic of the audit.
pub const PARTITIONS: i32 = 8;

/// The topics of one run; the suffix keeps runs apart.
#[derive(Clone, Debug)]
pub struct Topics {
    /// Numbered records.
    pub input: String,
    /// What the filter lets through, record by record.
    pub passed: String,
    /// Window rows.
    pub counts: String,
    /// Late records: there must be none.
    pub late: String,
    /// Dead letters: there must be none.
    pub dead: String,
    /// Records that stand in the state from the start to the end, each with a key of its own.
    pub standing: String,
    /// What has become of them.
    pub stood: String,
}

impl Topics {
    /// Names with a suffix.
    pub fn new(suffix: &str) -> Self {
        let name = |part: &str| format!("audit-{part}-{suffix}");
        Self {
            input: name("in"),
            passed: name("passed"),
            counts: name("counts"),
            late: name("late"),
            dead: name("dead"),
            standing: name("standing"),
            stood: name("stood"),
        }
    }

    /// All names.
    pub fn all(&self) -> [&str; 7] {
        [&self.input, &self.passed, &self.counts, &self.late, &self.dead, &self.standing, &self.stood]
    }

    /// The manifest of the audited pipeline; `access` is what stands under `spec.kafka`. Twice the pods have to fit on a
    /// node of two cores, beside others.
    pub fn manifest(&self, name: &str, access: &str, replicas: u32) -> String {
        let Self { input, passed, counts, late, dead, standing, stood } = self;
        let access: String = access.lines().map(|line| format!("    {line}\n")).collect();
        format!(
            r#"apiVersion: weir.dev/v1alpha1
kind: StreamPipeline
metadata: {{name: {name}}}
spec:
  kafka:
{access}  replicas: {replicas}
  resources: {{requests: {{cpu: 50m, memory: 128Mi}}, limits: {{cpu: 500m, memory: 1Gi}}}}
  nodeSelector: {{kubernetes.io/os: linux}}
  checkpoint: {{interval: 10s}}
  sources:
    - name: numbers
      kafka: {{topic: {input}}}
      eventTime: {{field: ts, maxOutOfOrderness: 2s}}
    - name: standing
      kafka: {{topic: {standing}}}
      eventTime: {{field: ts, maxOutOfOrderness: 2s}}
  steps:
    - name: kept
      from: [numbers]
      filter: {{expression: event.n % 10 != 3}}
    - name: per-group
      window:
        keyBy: [group]
        tumbling: {{size: 5s}}
        aggregates: [{{name: records, function: Count}}, {{name: total, function: Sum, field: "n"}}]
        lateSink: {{kafka: {{topic: {late}}}}}
    - name: per-key
      from: [standing]
      window:
        keyBy: [key]
        tumbling: {{size: 1h}}
        aggregates: [{{name: records, function: Count}}]
  sinks:
    - {{name: passed, from: [kept], kafka: {{topic: {passed}}}}}
    - {{name: counts, from: [per-group], kafka: {{topic: {counts}}}}}
    - {{name: stood, from: [per-key], kafka: {{topic: {stood}}}}}
  deadLetterSink: {{kafka: {{topic: {dead}}}}}
"#
        )
    }
}

/// Makes the topics.
pub async fn create(bootstrap: &str, topics: &Topics) -> anyhow::Result<()> {
    let admin: AdminClient<DefaultClientContext> = client(bootstrap).create()?;
    let wanted: Vec<_> = topics
        .all()
        .into_iter()
        .map(|name| NewTopic::new(name, PARTITIONS, TopicReplication::Fixed(1)).set("retention.ms", "-1"))
        .collect();
    for result in admin.create_topics(&wanted, &AdminOptions::new()).await? {
        result.map_err(|(topic, code)| anyhow::anyhow!("topic {topic} was not created: {code}"))?;
    }
    Ok(())
}

/// A plain client configuration.
pub fn client(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap);
    config
}

/// Looks at the ends of partitions, with and without open transactions.
pub struct Ends {
    committed: BaseConsumer,
    all: BaseConsumer,
}

impl Ends {
    /// Connects.
    pub fn new(bootstrap: &str) -> anyhow::Result<Self> {
        let with = |isolation: &str| client(bootstrap).set("isolation.level", isolation).create();
        Ok(Self { committed: with("read_committed")?, all: with("read_uncommitted")? })
    }

    /// The offset behind the last committed record.
    pub fn committed_end(&self, topic: &str, partition: i32) -> anyhow::Result<i64> {
        Ok(self.committed.fetch_watermarks(topic, partition, Duration::from_secs(10))?.1)
    }

    /// True when a transaction is open on the partition: its last stable offset is below its high watermark.
    pub fn transaction_is_open(&self, topic: &str, partition: i32) -> anyhow::Result<bool> {
        let wait = Duration::from_secs(10);
        let (_, stable) = self.committed.fetch_watermarks(topic, partition, wait)?;
        let (_, high) = self.all.fetch_watermarks(topic, partition, wait)?;
        Ok(stable < high)
    }
}
