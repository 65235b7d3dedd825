//! From the client's errors to those of the door.

use super::context::Context;
use crate::door::IoError;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

/// Where an error came from: what is needed to name it.
#[derive(Clone, Copy)]
pub(super) struct Origin<'a> {
    pub operation: &'static str,
    pub bootstrap: &'a str,
    pub topic: Option<&'a str>,
    pub transactional_id: &'a str,
}

impl Origin<'_> {
    /// The door's word for an error; `context` knows what the connections suffer from.
    pub fn error(self, error: &KafkaError, context: &Context) -> IoError {
        let code = match error {
            KafkaError::AdminOp(code) => Some(*code),
            other => other.rdkafka_error_code(),
        };
        self.code(code.unwrap_or(Code::Unknown), &error.to_string(), context)
    }

    /// As [`Origin::error`], for a code.
    pub fn code(self, code: Code, detail: &str, context: &Context) -> IoError {
        match code {
            Code::UnknownTopicOrPartition
            | Code::UnknownTopic
            | Code::UnknownPartition
            | Code::UnknownTopicId => IoError::TopicNotFound { topic: self.topic.unwrap_or("?").to_owned() },
            Code::InvalidProducerEpoch | Code::ProducerFenced | Code::Fenced => {
                IoError::Fenced { id: self.transactional_id.to_owned() }
            }
            Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::TransactionalIdAuthorizationFailed => {
                IoError::Denied { operation: self.operation, detail: self.missing_right(code) }
            }
            Code::SaslAuthenticationFailed | Code::Authentication | Code::SSL => IoError::LoginFailed {
                bootstrap: self.bootstrap.to_owned(),
                detail: context.trouble().unwrap_or_else(|| detail.to_owned()),
            },
            Code::InvalidTransactionTimeout => IoError::Refused {
                setting: "transaction.timeout.ms".to_owned(),
                detail: "it is above the broker's transaction.max.timeout.ms".to_owned(),
            },
            // Nothing that is sent again would fare better.
            Code::InvalidRecord | Code::InvalidTimestamp => IoError::Refused {
                setting: format!("a record for topic `{}`", self.topic.unwrap_or("?")),
                detail: detail.to_owned(),
            },
            Code::InvalidReplicationFactor | Code::InvalidConfig | Code::PolicyViolation => {
                IoError::Refused {
                    setting: self.topic.map_or(String::new(), |topic| format!("topic `{topic}`")),
                    detail: detail.to_owned(),
                }
            }
            Code::AllBrokersDown | Code::BrokerTransportFailure | Code::Resolve => {
                self.unreachable(detail, context)
            }
            Code::OperationTimedOut if context.trouble().is_some() => self.unreachable(detail, context),
            _ => IoError::Lost { operation: self.operation, detail: detail.to_owned() },
        }
    }

    /// The brokers cannot be reached, and the client may know why.
    pub fn unreachable(self, detail: &str, context: &Context) -> IoError {
        let bootstrap = self.bootstrap.to_owned();
        match context.trouble() {
            Some(detail) if is_about_login(&detail) => IoError::LoginFailed { bootstrap, detail },
            trouble => {
                let detail = trouble.unwrap_or_else(|| detail.to_owned());
                IoError::Unreachable { bootstrap, detail }
            }
        }
    }

    /// Which right is missing, on what.
    fn missing_right(self, code: Code) -> String {
        let topic = self.topic.map_or_else(|| "a topic".to_owned(), |topic| format!("topic `{topic}`"));
        let (right, on) = match code {
            Code::GroupAuthorizationFailed => ("Read", "the consumer group of the pipeline".to_owned()),
            Code::TransactionalIdAuthorizationFailed => {
                ("Write", format!("transactional id `{}`", self.transactional_id))
            }
            Code::ClusterAuthorizationFailed => ("Create", "the cluster".to_owned()),
            _ => (right_of(self.operation), topic),
        };
        missing_right(right, &on)
    }
}

/// The text of a missing right.
pub(super) fn missing_right(right: &str, on: &str) -> String {
    format!("the user lacks the right {right} on {on}; `weir topics FILE` prints the rights of a pipeline")
}

/// The right on a topic that an operation needs.
fn right_of(operation: &str) -> &'static str {
    match operation {
        "poll" | "assign" | "seek" | "commit_offsets" => "Read",
        "look up offsets" => "Describe",
        "describe" => "DescribeConfigs",
        "make topics" => "Create",
        "delete topics" | "delete records" => "Delete",
        _ => "Write",
    }
}

/// True when the client says so of a connection.
fn is_about_login(trouble: &str) -> bool {
    ["SSL handshake failed", "SASL authentication error", "SASL authentication failed"]
        .iter()
        .any(|words| trouble.contains(words))
}
