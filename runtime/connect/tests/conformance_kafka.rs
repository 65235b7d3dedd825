//! The suite of `conformance_memory` against a real broker: `KAFKA=host:port cargo test --features kafka-tests`.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

#[path = "conformance/cases.rs"]
mod cases;

use connect::door::{IoError, KafkaIo, TopicPartition};
use connect::kafka::{Io, Settings};
use futures::executor::block_on;
use rdkafka::ClientConfig;
use rdkafka::TopicPartitionList;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

struct Kafka {
    bootstrap: String,
    unique: String,
}

impl Kafka {
    fn new(test: &str) -> Self {
        let bootstrap =
            std::env::var("KAFKA").expect("KAFKA=host:port names the broker that these tests use");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
        let test: String = test.chars().take(40).collect();
        Self { bootstrap, unique: format!("{test}-{}-{now}", std::process::id()) }
    }

    fn settings(&self) -> Settings {
        // A machine that builds beside the tests may keep a broker waiting for longer than a time-out of everyday.
        Settings {
            request_timeout_ms: 60_000,
            transaction_timeout_ms: 300_000,
            ..Settings::new(&self.bootstrap, "conformance", self.name("own-group"))
        }
    }

    fn name(&self, what: &str) -> String {
        cases::Side::name(self, what)
    }

    /// Makes a topic as a stranger would.
    fn make(&self, name: &str, settings: &[(&str, &str)]) {
        let client: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", &self.bootstrap).create().unwrap();
        let mut new = NewTopic::new(name, 1, TopicReplication::Fixed(1));
        for (setting, value) in settings {
            new = new.set(setting, value);
        }
        let wait = AdminOptions::new().operation_timeout(Some(Duration::from_secs(10)));
        for made in block_on(client.create_topics(&[new], &wait)).unwrap() {
            made.unwrap();
        }
        let mut io = cases::Side::connect(self, "look");
        while io.describe(name).unwrap().is_none() {}
    }
}

impl cases::Side for Kafka {
    type Io = Io;

    fn connect(&self, id: &str) -> Io {
        Io::connect(&self.settings(), &self.id(id)).unwrap()
    }

    fn id(&self, id: &str) -> String {
        format!("{}.{id}", self.unique)
    }

    fn name(&self, topic: &str) -> String {
        format!("{}.{topic}", self.unique)
    }

    fn topic_with_limit(&self, topic: &str, bytes: usize) -> String {
        let name = self.name(topic);
        self.make(&name, &[("max.message.bytes", &bytes.to_string()), ("retention.bytes", "1000000000")]);
        name
    }

    fn group_offset(&self, of: &TopicPartition) -> Option<i64> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .set("group.id", self.settings().group)
            .create()
            .unwrap();
        let mut asked = TopicPartitionList::new();
        asked.add_partition(&of.topic, of.partition as i32);
        let found = consumer.committed_offsets(asked, Duration::from_secs(10)).unwrap();
        found.elements()[0].offset().to_raw().filter(|offset| *offset >= 0)
    }
}

conformance!(Kafka::new);

#[test]
fn a_broker_that_is_not_there_is_said_so_at_once() {
    let settings = Settings::new("127.0.0.1:1", "conformance", "g");
    let error = Io::connect(&settings, "a").err().unwrap();
    assert!(matches!(error, IoError::Unreachable { .. }), "{error}");
    assert!(error.to_string().starts_with("broker 127.0.0.1:1 cannot be reached: "), "{error}");
}

#[test]
fn a_transaction_timeout_that_the_broker_refuses_names_its_setting() {
    let kafka = Kafka::new("timeout");
    let settings = Settings { transaction_timeout_ms: 7_200_000, ..kafka.settings() };
    let mut io = Io::connect(&settings, &kafka.name("id")).unwrap();
    let error = io.init_transactions().unwrap_err();
    assert!(matches!(error, IoError::Refused { .. }), "{error}");
    assert!(error.to_string().contains("transaction.max.timeout.ms"), "{error}");
}

#[test]
fn records_that_the_broker_refuses_name_the_topic() {
    use connect::door::Partitioning;
    use pipeline::record::{NewRecord, RecordBatch};
    let kafka = Kafka::new("refused");
    let topic = kafka.name("compacted");
    kafka.make(&topic, &[("cleanup.policy", "compact")]);
    let mut io = cases::Side::writer(&kafka, "a");
    io.begin().unwrap();
    let mut unkeyed = RecordBatch::new();
    unkeyed.push(NewRecord { timestamp_ms: 1, value: Some(b"x"), ..NewRecord::default() });
    io.produce(&topic, Partitioning::Exact(0), &unkeyed).unwrap();
    io.start_commit().unwrap();
    let error = io.commit_outcome(Duration::from_mins(2)).unwrap_err();
    assert!(matches!(&error, IoError::Refused { setting, .. } if setting.contains(&topic)), "{error}");
}

#[test]
fn a_snapshot_store_in_a_real_topic_keeps_objects() {
    use connect::snapshot::{Shard, SnapshotStore, TopicStore};
    let kafka = Kafka::new("snapshots");
    let topic = kafka.name("snapshots");
    let unit = Shard { stage: "s".to_owned(), unit: 1, units: 2 };
    let (settings, id) = (kafka.settings(), kafka.name("store"));
    let mut store =
        TopicStore::new(move |_stage| topic.clone(), move || Ok(Box::new(Io::connect(&settings, &id)?)));
    let object = |seed: u32| -> Vec<u8> {
        (0..3_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) ^ seed).to_le_bytes()[3]).collect()
    };
    let first = store.put(&unit, "a", &object(1)).unwrap();
    let second = store.put(&unit, "b", &object(2)).unwrap();
    assert!(store.get(&first).unwrap() == object(1) && store.get(&second).unwrap() == object(2));
    let listed = store.list(&unit).unwrap();
    assert!(store.get(&listed[0]).unwrap() == object(1) && store.get(&listed[1]).unwrap() == object(2));
    store.trim(&unit, &second).unwrap();
    assert!(store.get(&first).unwrap_err().is_loss());
    assert!(store.get(&second).unwrap() == object(2));
}
