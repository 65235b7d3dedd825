//! The closed list of reasons: the words of the STATUS column, and the conditions that they explain.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

/// Makes an enum of words with its list, its text and its parser from one table.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$word_doc:meta])* $word:ident),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        pub enum $name { $($(#[$word_doc])* $word),+ }

        impl $name {
            /// Every word, in the order of the list.
            pub const ALL: &'static [Self] = &[$(Self::$word),+];

            /// The word as it is written in status and on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$word => stringify!($word)),+ }
            }

            /// The word that is written so, if it is one of the list.
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|word| word.as_str() == text)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// Why something is as it is. The reason of the `Ready` condition is the STATUS column of `kubectl get`.
    Reason {
        /// Every unit is live and nothing is wrong.
        Running,
        /// The user asked for a pause; state is kept.
        Suspended,
        /// Pods of the wanted generation are being started, or restore their state.
        Deploying,
        /// A savepoint is being written.
        Savepointing,
        /// One generation hands over to the next.
        HandingOver,
        /// The number of replicas is being changed.
        Scaling,
        /// An earlier revision is being brought back.
        RollingBack,
        /// An earlier revision runs, because the newer one failed.
        RolledBack,
        /// A savepoint is complete, or a bounded pipeline has read all its input.
        Succeeded,
        /// The spec has a mistake.
        ConfigInvalid,
        /// A referenced object, or a key of a ConfigMap, does not exist.
        RefNotFound,
        /// A Secret, or one of its keys, does not exist.
        SecretKeyMissing,
        /// A Kafka topic does not exist.
        TopicNotFound,
        /// An external system refused the credentials, or the rights do not suffice.
        AuthFailed,
        /// No Kafka broker answers.
        BrokerUnreachable,
        /// A sink does not take records.
        SinkUnavailable,
        /// Snapshots of the state do not succeed.
        CheckpointFailing,
        /// A savepoint, or the cut of a drain, could not be completed.
        SavepointFailed,
        /// State in Kafka cannot be used by the wanted generation.
        StateIncompatible,
        /// Pods end again and again.
        CrashLooping,
        /// A slow sink holds the pipeline back.
        Backpressured,
        /// A source has had no record for longer than its idle timeout.
        IdleSource,
        /// Pods cannot be placed on any node.
        InsufficientCapacity,
    }
}

words! {
    /// The conditions of a pipeline.
    Condition {
        /// The summary: it processes records, or is suspended as asked.
        Ready,
        /// Present only while the operator works towards the wanted state.
        Reconciling,
        /// Present only while no retry can help and the user has to act.
        Stalled,
        /// The spec and everything it refers to make a valid plan.
        ConfigValid,
        /// Every source can be read.
        SourcesConnected,
        /// Every sink can be written.
        SinksConnected,
        /// The newest snapshot of the state is recent.
        Checkpointed,
        /// Event time moves; informs only, never part of `Ready`.
        WatermarkAdvancing,
    }
}

/// Decodes a word that a newer peer may have added to its list: unknown becomes `None`.
pub(crate) fn known_reason<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Reason>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.as_deref().and_then(Reason::parse))
}

/// As [`known_reason`], for a condition; unknown becomes `Ready`, which every problem affects in the end.
pub(crate) fn known_condition<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Condition, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok(Condition::parse(&text).unwrap_or(Condition::Ready))
}
