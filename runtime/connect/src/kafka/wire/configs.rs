//! The settings of a topic: `DescribeConfigs` version 4, which Kafka 2.6 and later answer.
//!
//! The client library asks the same, and its Rust interface drops the error of the topic: one that is just deleted, or that
//! may not be described, looks like one without settings. Here the broker that has told of the topic is asked, too, so
//! that a new topic is known to it.

use super::connection::Connection;
use super::{Answer, Asked, Wire, code_of, exchange, malformed, push_text};
use crate::door::IoError;
use crate::kafka::context::Context;
use crate::kafka::error::Origin;
use std::collections::HashMap;
use std::io;

const DESCRIBE_CONFIGS: (i16, i16) = (32, 4);
/// The kind of resource that a topic is.
const TOPIC: u8 = 2;

/// The settings of a topic by name, defaults included.
pub(in crate::kafka) type TopicSettings = HashMap<String, String>;

/// What a broker answers of one topic.
#[derive(Debug, PartialEq, Eq)]
struct Described {
    error: i16,
    message: String,
    settings: TopicSettings,
}

impl Wire {
    /// The settings of a topic; an error says that it does not exist, or that it may not be described.
    pub fn topic_settings(&mut self, topic: &str) -> Result<TopicSettings, IoError> {
        // Connects, or finds out that the connection is still good.
        self.metadata(Asked::Brokers)?;
        let lost = |detail: String| IoError::Lost { operation: "describe", detail };
        let mut connection = self.connection.take().ok_or_else(|| lost("no connection".to_owned()))?;
        let described = describe(&mut connection, &self.dial.client_id, topic);
        let described = described.map_err(|error| lost(error.to_string()))?;
        self.connection = Some(connection);
        if described.error == 0 {
            return Ok(described.settings);
        }
        let detail = format!("error {} of the broker: {}", described.error, described.message);
        let (bootstrap, topic) = (&self.bootstrap, Some(topic));
        let origin = Origin { operation: "describe", bootstrap, topic, transactional_id: "" };
        Err(origin.code(code_of(described.error), &detail, &Context::default()))
    }
}

fn describe(connection: &mut Connection, client_id: &str, topic: &str) -> io::Result<Described> {
    let answer = exchange(connection, DESCRIBE_CONFIGS, client_id, &question(topic))?;
    Answer(&answer).described().ok_or_else(malformed)
}

fn question(topic: &str) -> Vec<u8> {
    let mut body = vec![0, 2, TOPIC]; // no tagged fields in the header; one resource
    push_text(topic, &mut body);
    body.extend_from_slice(&[0, 0]); // all settings; no tagged fields
    body.extend_from_slice(&[0, 0, 0]); // no synonyms, no documentation, no tagged fields
    body
}

impl Answer<'_> {
    fn described(&mut self) -> Option<Described> {
        self.tags()?;
        self.i32()?; // throttle time
        let described = self.array(|answer| {
            let error = answer.i16()?;
            let message = answer.text()?.to_owned();
            answer.take(1)?; // kind
            answer.text()?; // name
            let settings = answer.array(Self::setting)?;
            answer.tags()?;
            Some(Described { error, message, settings: settings.into_iter().collect() })
        })?;
        described.into_iter().next()
    }

    fn setting(&mut self) -> Option<(String, String)> {
        let name = self.text()?.to_owned();
        let value = self.text()?.to_owned();
        self.take(3)?; // read only, source, sensitive
        self.array(|answer| {
            answer.text()?; // name
            answer.text()?; // value
            answer.take(1)?; // source
            answer.tags()
        })?;
        self.take(1)?; // type
        self.text()?; // documentation
        self.tags()?;
        Some((name, value))
    }
}

#[cfg(test)]
mod tests {
    use super::super::push_varint;
    use super::*;

    fn answer(error: i16, settings: &[(&str, &str)]) -> Vec<u8> {
        let mut bytes = vec![0, 0, 0, 0, 0, 2]; // tags, throttle, one result
        bytes.extend_from_slice(&error.to_be_bytes());
        bytes.extend_from_slice(&[3, b'n', b'o', TOPIC, 2, b't']);
        push_varint(settings.len() as u32 + 1, &mut bytes);
        for (name, value) in settings {
            push_text(name, &mut bytes);
            push_text(value, &mut bytes);
            bytes.extend_from_slice(&[0, 5, 0]);
            bytes.extend_from_slice(&[2, 2, b's', 0, 5, 0]); // one synonym without a value
            bytes.extend_from_slice(&[2, 0, 0]); // type, no documentation, tags
        }
        bytes.extend_from_slice(&[0, 0]);
        bytes
    }

    #[test]
    fn settings_are_read() {
        let bytes = answer(0, &[("a", "1"), ("b", "")]);
        let described = Answer(&bytes).described().unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(described.error, 0);
        assert_eq!(described.settings, HashMap::from([pair("a", "1"), pair("b", "")]));
        for cut in 0..bytes.len() - 2 {
            assert_eq!(Answer(&bytes[..cut]).described(), None, "{cut}");
        }
    }

    #[test]
    fn an_error_is_not_a_topic_without_settings() {
        let described = Answer(&answer(3, &[])).described().unwrap();
        assert_eq!((described.error, described.message.as_str()), (3, "no"));
    }

    #[test]
    fn a_question_names_the_topic() {
        assert_eq!(question("t"), [0, 2, 2, 2, b't', 0, 0, 0, 0, 0]);
    }
}
