//! Offsets by time, first offsets and high watermarks: one request per broker, not per partition.

use super::context::Context;
use super::error::Origin;
use super::settings::Settings;
use crate::door::{IoError, TopicPartition};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::Offset;
use std::collections::HashMap;
use std::time::Duration;

/// A client that reads nothing. It sees open transactions, so that its high watermark is the real one.
pub(super) struct Lookup {
    client: BaseConsumer<Context>,
    bootstrap: String,
    timeout: Duration,
}

impl Lookup {
    pub fn new(settings: &Settings) -> Result<Self, IoError> {
        let client: Result<BaseConsumer<Context>, _> =
            settings.lookup().create_with_context(Context::default());
        let failed = |error: rdkafka::error::KafkaError| IoError::Lost {
            operation: "make a client",
            detail: error.to_string(),
        };
        Ok(Self {
            client: client.map_err(failed)?,
            bootstrap: settings.bootstrap_servers.clone(),
            timeout: Duration::from_millis(u64::from(settings.request_timeout_ms)),
        })
    }

    /// First offset and high watermark of each.
    pub fn watermarks(&self, of: &[TopicPartition]) -> Result<Vec<(i64, i64)>, IoError> {
        let first = self.offsets(of, Offset::Beginning)?;
        let last = self.offsets(of, Offset::End)?;
        Ok(first.into_iter().zip(last).collect())
    }

    /// The first offset at or after a time; the high watermark when there is none.
    pub fn offset_at(&self, of: &TopicPartition, timestamp_ms: i64) -> Result<i64, IoError> {
        let of = std::slice::from_ref(of);
        let found = self.offsets(of, Offset::Offset(timestamp_ms.max(0)))?;
        match found.first() {
            Some(&offset) if offset >= 0 => Ok(offset),
            _ => self.offsets(of, Offset::End).map(|last| last.first().copied().unwrap_or_default()),
        }
    }

    /// Logs and errors wait in the queue until somebody looks; one poll serves one.
    fn serve_events(&self) {
        loop {
            let before = self.client.context().events();
            if self.client.poll(Duration::ZERO).is_none() && self.client.context().events() == before {
                return;
            }
        }
    }

    /// Asks for the offsets of one time, or of the begin or the end; −1 when there is none.
    fn offsets(&self, of: &[TopicPartition], time: Offset) -> Result<Vec<i64>, IoError> {
        if of.is_empty() {
            return Ok(Vec::new());
        }
        let origin = Origin {
            operation: "look up offsets",
            bootstrap: &self.bootstrap,
            topic: of.first().map(|at| at.topic.as_str()),
            transactional_id: "",
        };
        self.serve_events();
        let asked = list(of.iter().map(|at| (at, time)), origin, self.client.context())?;
        let answered = self.client.offsets_for_times(asked, self.timeout).map_err(|error| {
            self.serve_events();
            origin.error(&error, self.client.context())
        })?;
        let mut found = HashMap::new();
        for element in answered.elements() {
            let origin = Origin { topic: Some(element.topic()), ..origin };
            element.error().map_err(|error| origin.error(&error, self.client.context()))?;
            let offset = element.offset().to_raw().unwrap_or(-1);
            found.insert((element.topic().to_owned(), element.partition()), offset);
        }
        let missing = || IoError::Lost { operation: "look up offsets", detail: "no answer".to_owned() };
        of.iter()
            .map(|at| found.get(&(at.topic.clone(), at.partition as i32)).copied().ok_or_else(missing))
            .collect()
    }
}

/// A list of partitions with offsets.
pub(super) fn list<'a>(
    of: impl Iterator<Item = (&'a TopicPartition, Offset)>,
    origin: Origin<'_>,
    context: &Context,
) -> Result<TopicPartitionList, IoError> {
    let mut list = TopicPartitionList::new();
    for (at, offset) in of {
        list.add_partition_offset(&at.topic, at.partition as i32, offset)
            .map_err(|error| origin.error(&error, context))?;
    }
    Ok(list)
}
