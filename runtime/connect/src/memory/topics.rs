//! Topics: made, found, verified.

use super::partition::Partition;
use super::{State, Topic};
use crate::door::{IoError, NewTopic, OWN_MESSAGE_BYTES_MAX, TimestampBounds, TopicInfo, TopicPartition};

impl State {
    pub(super) fn make_topic(&mut self, name: &str, partitions: u32, own: bool) {
        self.topics_made += 1;
        let topic = Topic {
            id: format!("memory-{:016x}-{}", self.settings.seed, self.topics_made),
            message_bytes_max: if own { OWN_MESSAGE_BYTES_MAX } else { self.settings.message_bytes_max },
            own,
            partitions: (0..partitions.max(1)).map(|_| Partition::default()).collect(),
        };
        self.topics.insert(name.to_owned(), topic);
    }

    pub(super) fn topic(&self, name: &str) -> Result<&Topic, IoError> {
        self.topics.get(name).ok_or_else(|| IoError::TopicNotFound { topic: name.to_owned() })
    }

    pub(super) fn topic_mut(&mut self, name: &str) -> Result<&mut Topic, IoError> {
        self.topics.get_mut(name).ok_or_else(|| IoError::TopicNotFound { topic: name.to_owned() })
    }

    pub(super) fn partition(&self, of: &TopicPartition) -> Result<&Partition, IoError> {
        let found = self.topic(&of.topic)?.partitions.get(of.partition as usize);
        found.ok_or_else(|| IoError::TopicNotFound { topic: of.topic.clone() })
    }

    pub(super) fn partition_mut(&mut self, of: &TopicPartition) -> Result<&mut Partition, IoError> {
        let found = self.topic_mut(&of.topic)?.partitions.get_mut(of.partition as usize);
        found.ok_or_else(|| IoError::TopicNotFound { topic: of.topic.clone() })
    }

    pub(super) fn info(&self, name: &str) -> Option<TopicInfo> {
        self.topics.get(name).map(|topic| TopicInfo {
            id: topic.id.clone(),
            partitions: topic.partitions.len() as u32,
            message_bytes_max: topic.message_bytes_max,
            compacted: false,
            timestamps: TimestampBounds::NONE,
        })
    }

    pub(super) fn ensure(&mut self, wanted: &NewTopic) -> Result<(), IoError> {
        let refused = |setting: &str, detail: String| {
            Err(IoError::Refused { setting: format!("{setting} of topic `{}`", wanted.name), detail })
        };
        match self.topics.get(&wanted.name) {
            None => {
                self.make_topic(&wanted.name, wanted.partitions, true);
                Ok(())
            }
            Some(topic) if topic.partitions.len() != wanted.partitions as usize => refused(
                "number of partitions",
                format!("it has {}, not {}", topic.partitions.len(), wanted.partitions),
            ),
            Some(topic) if !topic.own => refused("cleanup.policy", "it was made by somebody else".to_owned()),
            Some(_) => Ok(()),
        }
    }
}
