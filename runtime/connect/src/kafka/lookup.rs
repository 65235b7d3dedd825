//! Offsets by time, first offsets and high watermarks: one request per broker, not per partition.

use super::context::Context;
use super::error::Origin;
use super::settings::Settings;
use crate::door::{IoError, TopicPartition};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::Offset;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// What brokers say of a partition that has no leader, or that the asked one does not lead yet.
const NO_LEADER: [RDKafkaErrorCode; 2] =
    [RDKafkaErrorCode::NotLeaderForPartition, RDKafkaErrorCode::LeaderNotAvailable];
/// Before a broker is asked again.
const LEADER_WAIT: Duration = Duration::from_millis(20);

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

    /// The offsets of one time, or of the begin or the end; −1 when there is none. A partition without a leader, which a
    /// new one is for a moment, is waited for.
    fn offsets(&self, of: &[TopicPartition], time: Offset) -> Result<Vec<i64>, IoError> {
        let deadline = Instant::now() + self.timeout;
        loop {
            let (topic, error) = match self.ask(of, time)? {
                Ok(offsets) => return Ok(offsets),
                Err(failed) => failed,
            };
            let code = error.rdkafka_error_code();
            if !code.is_some_and(|code| NO_LEADER.contains(&code)) || Instant::now() >= deadline {
                let topic = Some(topic.as_str());
                return Err(Origin { topic, ..self.origin(of) }.error(&error, self.client.context()));
            }
            std::thread::park_timeout(LEADER_WAIT);
        }
    }

    /// Asks once; else the topic and what is wrong with it.
    fn ask(
        &self,
        of: &[TopicPartition],
        time: Offset,
    ) -> Result<Result<Vec<i64>, (String, KafkaError)>, IoError> {
        let Some(first) = of.first() else { return Ok(Ok(Vec::new())) };
        self.serve_events();
        let asked = list(of.iter().map(|at| (at, time)), self.origin(of), self.client.context())?;
        let answered = match self.client.offsets_for_times(asked, self.timeout) {
            Ok(answered) => answered,
            Err(error) => {
                self.serve_events();
                return Ok(Err((first.topic.clone(), error)));
            }
        };
        let mut found = HashMap::new();
        for element in answered.elements() {
            if let Err(error) = element.error() {
                return Ok(Err((element.topic().to_owned(), error)));
            }
            let offset = element.offset().to_raw().unwrap_or(-1);
            found.insert((element.topic().to_owned(), element.partition()), offset);
        }
        let missing = || IoError::Lost { operation: "look up offsets", detail: "no answer".to_owned() };
        of.iter()
            .map(|at| found.get(&(at.topic.clone(), at.partition as i32)).copied().ok_or_else(missing))
            .collect::<Result<_, _>>()
            .map(Ok)
    }

    fn origin<'a>(&'a self, of: &'a [TopicPartition]) -> Origin<'a> {
        Origin {
            operation: "look up offsets",
            bootstrap: &self.bootstrap,
            topic: of.first().map(|at| at.topic.as_str()),
            transactional_id: "",
        }
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
