//! Where bounded inputs end.

use connect::door::TopicPartition;
use connect::memory::Log;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The ends of partitions that will not grow any more; shared by feeders and workers.
#[derive(Clone, Debug, Default)]
pub struct Bounds {
    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    ends: BTreeMap<TopicPartition, i64>,
    /// Topics that still grow, with how many files and pipelines write to them.
    writers: BTreeMap<String, usize>,
}

impl Bounds {
    /// The end of a partition; none while it may grow.
    pub fn end(&self, partition: &TopicPartition) -> Option<i64> {
        self.lock().ends.get(partition).copied()
    }

    /// One more writes to these topics.
    pub fn begin(&self, topics: impl IntoIterator<Item = String>) {
        let mut known = self.lock();
        for topic in topics {
            *known.writers.entry(topic).or_default() += 1;
        }
    }

    /// One of the writers of these topics has written everything; a topic ends with its last writer.
    pub fn done(&self, log: &Log, topics: impl IntoIterator<Item = String>) {
        let mut ended = Vec::new();
        let mut known = self.lock();
        for topic in topics {
            let writers = known.writers.entry(topic.clone()).or_default();
            *writers = writers.saturating_sub(1);
            if *writers == 0 {
                ended.push(topic);
            }
        }
        drop(known);
        self.end_topics(log, ended);
    }

    /// These topics will not grow any more.
    pub fn end_topics(&self, log: &Log, topics: impl IntoIterator<Item = String>) {
        for topic in topics {
            for partition in 0.. {
                let partition = TopicPartition { topic: topic.clone(), partition };
                let Ok((_, high)) = log.watermarks(&partition) else { break };
                self.lock().ends.insert(partition, high);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
