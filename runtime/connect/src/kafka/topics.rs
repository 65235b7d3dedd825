//! Topics of our own: made with the settings of exactly-once, then looked at; deleted and trimmed.

use super::context::Context;
use super::error::{Origin, missing_right};
use super::lookup::list;
use super::settings::Settings;
use super::wire::{Asked, TopicMetadata, TopicSettings, Wire};
use crate::door::{IoError, NewTopic, OWN_MESSAGE_BYTES_MAX, TimestampBounds, TopicPartition};
use futures::executor::block_on;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic as Made, TopicReplication};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::Offset;
use std::time::{Duration, Instant};

/// What every topic of our own has. State is replayed from these topics, so nothing may vanish by itself.
const SETTINGS: [(&str, &str); 4] = [
    ("cleanup.policy", "delete"),
    ("retention.ms", "-1"),
    ("retention.bytes", "-1"),
    ("unclean.leader.election.enable", "false"),
];
const MESSAGE_BYTES: &str = "max.message.bytes";
const MIN_INSYNC: &str = "min.insync.replicas";
/// From so many copies on, two have to confirm.
const REPLICATED: usize = 3;
/// How long a new topic may take to be known by the broker that we ask.
const KNOWN_WITHIN: Duration = Duration::from_secs(15);

/// What the settings of a topic say about the records that it takes.
pub(super) struct Limits {
    pub message_bytes_max: usize,
    pub compacted: bool,
    pub timestamps: TimestampBounds,
}

pub(super) struct Topics {
    client: AdminClient<Context>,
    options: AdminOptions,
    bootstrap: String,
    replication: Option<u16>,
}

impl Topics {
    pub fn new(settings: &Settings) -> Result<Self, IoError> {
        let client: Result<AdminClient<Context>, KafkaError> =
            settings.admin().create_with_context(Context::default());
        let client = client.map_err(|error| IoError::Lost {
            operation: "make an admin client",
            detail: error.to_string(),
        })?;
        let timeout = Duration::from_millis(u64::from(settings.request_timeout_ms));
        let options = AdminOptions::new().request_timeout(Some(timeout)).operation_timeout(Some(timeout));
        let (bootstrap, replication) = (settings.bootstrap_servers.clone(), settings.replication);
        Ok(Self { client, options, bootstrap, replication })
    }

    pub fn ensure(&self, wanted: &[NewTopic], wire: &mut Wire) -> Result<(), IoError> {
        let missing = missing(wanted, wire)?;
        if !missing.is_empty() {
            self.make(&missing, wire)?;
        }
        for topic in wanted {
            let found = Self::await_topic(&topic.name, wire)?;
            verify(topic, &found, &wire.topic_settings(&topic.name)?)?;
        }
        Ok(())
    }

    pub fn delete(&self, topics: &[String]) -> Result<(), IoError> {
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        if names.is_empty() {
            return Ok(());
        }
        let origin = self.origin("delete topics", None);
        let done = block_on(self.client.delete_topics(&names, &self.options));
        for result in done.map_err(|error| origin.error(&error, self.context()))? {
            match result {
                Ok(_) | Err((_, RDKafkaErrorCode::UnknownTopicOrPartition)) => {}
                Err((topic, code)) => return Err(self.failed("delete topics", &topic, code)),
            }
        }
        Ok(())
    }

    pub fn delete_records(&self, below: &[(TopicPartition, i64)]) -> Result<(), IoError> {
        if below.is_empty() {
            return Ok(());
        }
        let origin = self.origin("delete records", None);
        let offsets = below.iter().map(|(at, offset)| (at, Offset::Offset(*offset)));
        let offsets = list(offsets, origin, self.context())?;
        let done = block_on(self.client.delete_records(&offsets, &self.options));
        let done = done.map_err(|error| origin.error(&error, self.context()))?;
        for element in done.elements() {
            let Err(error) = element.error() else { continue };
            if error.rdkafka_error_code() == Some(RDKafkaErrorCode::OffsetOutOfRange) {
                let partition = element.partition() as u32;
                let asked =
                    below.iter().find(|(at, _)| at.topic == element.topic() && at.partition == partition);
                return Err(IoError::OffsetOutOfRange {
                    topic: element.topic().to_owned(),
                    partition,
                    offset: asked.map_or(-1, |(_, offset)| *offset),
                });
            }
            let origin = Origin { topic: Some(element.topic()), ..origin };
            return Err(origin.error(&error, self.context()));
        }
        Ok(())
    }

    /// Somebody else may make the same topics at the same time.
    fn make(&self, missing: &[&NewTopic], wire: &mut Wire) -> Result<(), IoError> {
        let brokers = wire.metadata(Asked::Brokers)?.brokers;
        let copies = self.replication.map_or(brokers.clamp(1, REPLICATED), usize::from);
        let bytes = OWN_MESSAGE_BYTES_MAX.to_string();
        let wanted: Vec<Made<'_>> =
            missing.iter().map(|topic| with_settings(topic, copies, &bytes)).collect();
        let done = block_on(self.client.create_topics(&wanted, &self.options));
        let origin = self.origin("make topics", None);
        for result in done.map_err(|error| origin.error(&error, self.context()))? {
            match result {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((topic, code)) => return Err(self.failed("make topics", &topic, code)),
            }
        }
        Ok(())
    }

    /// A broker may hear of a new topic a moment later.
    fn await_topic(name: &str, wire: &mut Wire) -> Result<TopicMetadata, IoError> {
        let deadline = Instant::now() + KNOWN_WITHIN;
        loop {
            match find(name, wire)? {
                Some(topic) if topic.partitions > 0 && topic.error == 0 => return Ok(topic),
                _ if Instant::now() >= deadline => {
                    return Err(IoError::TopicNotFound { topic: name.to_owned() });
                }
                _ => std::thread::park_timeout(Duration::from_millis(20)),
            }
        }
    }

    fn context(&self) -> &Context {
        self.client.inner().context()
    }

    fn failed(&self, operation: &'static str, topic: &str, code: RDKafkaErrorCode) -> IoError {
        self.origin(operation, Some(topic)).code(code, &code.to_string(), self.context())
    }

    fn origin<'a>(&'a self, operation: &'static str, topic: Option<&'a str>) -> Origin<'a> {
        Origin { operation, bootstrap: &self.bootstrap, topic, transactional_id: "" }
    }
}

/// Those that no broker knows.
fn missing<'a>(wanted: &'a [NewTopic], wire: &mut Wire) -> Result<Vec<&'a NewTopic>, IoError> {
    let mut missing = Vec::new();
    for topic in wanted {
        if find(&topic.name, wire)?.is_none() {
            missing.push(topic);
        }
    }
    Ok(missing)
}

/// What a topic takes; `settings` are its own.
pub(super) fn limits(topic: &str, settings: &TopicSettings) -> Result<Limits, IoError> {
    let text = |name: &str| settings.get(name).map(String::as_str);
    let found = text(MESSAGE_BYTES).and_then(|value| value.parse().ok());
    let message_bytes_max = found.ok_or_else(|| IoError::Lost {
        operation: "describe",
        detail: format!("topic `{topic}` has no {MESSAGE_BYTES}"),
    })?;
    let own_time = text("message.timestamp.type") == Some("LogAppendTime");
    let bound = |name: &str| {
        text(name).filter(|_| !own_time).and_then(|value| value.parse().ok()).unwrap_or(i64::MAX)
    };
    Ok(Limits {
        message_bytes_max,
        compacted: text("cleanup.policy").is_some_and(|policy| policy.contains("compact")),
        timestamps: TimestampBounds {
            before_max_ms: bound("message.timestamp.before.max.ms"),
            after_max_ms: bound("message.timestamp.after.max.ms"),
        },
    })
}

/// Whether a topic of our own is as it must be.
fn verify(wanted: &NewTopic, found: &TopicMetadata, settings: &TopicSettings) -> Result<(), IoError> {
    let refused = |setting: &str, is: &str, must: &str| IoError::Refused {
        setting: format!("{setting} of topic `{}`", wanted.name),
        detail: format!("it is {is}, and must be {must}"),
    };
    if found.partitions != wanted.partitions {
        let (is, must) = (found.partitions.to_string(), wanted.partitions.to_string());
        return Err(refused("number of partitions", &is, &must));
    }
    let value = |name: &str| settings.get(name).map_or("not told", String::as_str);
    for (name, must) in SETTINGS {
        let is = value(name);
        if is != must {
            return Err(refused(name, is, must));
        }
    }
    let bytes = value(MESSAGE_BYTES);
    if bytes.parse().is_ok_and(|bytes: usize| bytes < OWN_MESSAGE_BYTES_MAX) {
        return Err(refused(MESSAGE_BYTES, bytes, &format!("at least {OWN_MESSAGE_BYTES_MAX}")));
    }
    let insync = value(MIN_INSYNC);
    if found.replicas >= REPLICATED && insync.parse().is_ok_and(|insync: u32| insync < 2) {
        return Err(refused(MIN_INSYNC, insync, "at least 2"));
    }
    Ok(())
}

fn with_settings<'a>(topic: &'a NewTopic, copies: usize, bytes: &'a str) -> Made<'a> {
    let new = Made::new(&topic.name, topic.partitions as i32, TopicReplication::Fixed(copies as i32));
    let new = SETTINGS.iter().fold(new, |new, (name, value)| new.set(name, value));
    let new = new.set(MESSAGE_BYTES, bytes);
    if copies >= REPLICATED { new.set(MIN_INSYNC, "2") } else { new }
}

/// What the brokers know of a topic; none when it does not exist.
pub(super) fn find(name: &str, wire: &mut Wire) -> Result<Option<TopicMetadata>, IoError> {
    let found = wire.metadata(Asked::One(name))?.topics.into_iter().next();
    match found {
        Some(topic) if topic.error == super::wire::UNKNOWN_TOPIC => Ok(None),
        Some(topic) if topic.error == super::wire::TOPIC_AUTHORIZATION_FAILED => {
            let detail = missing_right("Describe", &format!("topic `{name}`"));
            Err(IoError::Denied { operation: "describe", detail })
        }
        other => Ok(other),
    }
}
