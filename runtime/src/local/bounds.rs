//! Where bounded inputs end.

use connect::door::TopicPartition;
use connect::memory::Log;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The ends of partitions that will not grow any more; shared by feeders and workers.
#[derive(Clone, Debug, Default)]
pub struct Bounds {
    ends: Arc<Mutex<BTreeMap<TopicPartition, i64>>>,
}

impl Bounds {
    /// The end of a partition; none while it may grow.
    pub fn end(&self, partition: &TopicPartition) -> Option<i64> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).get(partition).copied()
    }

    /// These topics will not grow any more.
    pub fn end_topics(&self, log: &Log, topics: impl IntoIterator<Item = String>) {
        for topic in topics {
            for partition in 0.. {
                let partition = TopicPartition { topic: topic.clone(), partition };
                let Ok((_, high)) = log.watermarks(&partition) else { break };
                self.ends.lock().unwrap_or_else(PoisonError::into_inner).insert(partition, high);
            }
        }
    }
}
