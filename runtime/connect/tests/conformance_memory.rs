//! The in-memory log does what Kafka does: the suite that `conformance_kafka` runs against a broker.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

#[path = "conformance/cases.rs"]
mod cases;

use connect::door::TopicPartition;
use connect::memory::{Io, Log, Settings};

struct Memory(Log);

impl Memory {
    fn new(_test: &str) -> Self {
        Self(Log::new(Settings { wait: true, ..Settings::default() }))
    }
}

impl cases::Side for Memory {
    type Io = Io;

    fn connect(&self, id: &str) -> Io {
        self.0.connect(id)
    }

    fn id(&self, id: &str) -> String {
        id.to_owned()
    }

    fn name(&self, topic: &str) -> String {
        topic.to_owned()
    }

    fn topic_with_limit(&self, topic: &str, bytes: usize) -> String {
        self.0.create_topic(topic, 1);
        self.0.set_message_bytes_max(topic, bytes).unwrap();
        topic.to_owned()
    }

    fn group_offset(&self, of: &TopicPartition) -> Option<i64> {
        self.0.group_offset(of)
    }
}

conformance!(Memory::new);
