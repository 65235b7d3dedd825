//! The wire shape of all kinds: what the user writes, field by field.
//!
//! Everything here is public, optional where the user may leave it out, and says nothing about what it means: that is
//! [`crate::plan`]. The docs of the fields are what `kubectl explain` prints, so each states its unit and default.
//! Unions are structs of optional blocks of which exactly one is set; durations stay the text that the user wrote.
//! A field whose feature does not exist is absent, never accepted and ignored.

pub mod affinity;
pub mod defaults;
mod delivery;
mod duration;
mod kafka;
mod pipeline;
mod pod;
mod savepoint;
mod scaling;
mod sink;
mod source;
mod step;
mod window;
pub mod wire;

pub use affinity::Affinity;
pub use delivery::{Checkpoint, CheckpointStorage, DeliveryGuarantee, StartFrom};
pub use duration::{Duration, DurationError};
pub use kafka::{KafkaAccess, KafkaSasl, KafkaTls, KafkaTopic, SaslMechanism};
pub use pipeline::StreamPipelineSpec;
pub use pod::{
    ResourceAmounts, Resources, RollbackTo, Size, Toleration, TolerationOperator, TopologySpread,
    UpdateStrategy, UpdateType, WhenUnsatisfiable,
};
pub use savepoint::{DeletionPolicy, RestoreFrom, SavepointSchedule, StreamSavepointSpec, TerminationPolicy};
pub use scaling::{
    AverageCount, HealthTarget, LagAge, ProcessingTarget, ScalingBehavior, ScalingMetric, ScalingPolicySpec,
    ScalingPreset, ScalingRules, ScalingSchedule, ScalingStep, ScalingStepType, SelectPolicy, Utilization,
};
pub use sink::{FileSink, LogSink, SideSink, SinkSpec};
pub use source::{ConfigMapKey, EventTime, EventTimeUnit, SchemaRef, SourceSpec};
pub use step::{ExpressionBlock, Mask, MaskMethod, RouteBranch, StepSpec};
pub use window::{Aggregate, AggregateFunction, StreamWindowSpec, Tumbling};

/// Another object of the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NameRef {
    /// Name of the object that is meant, in the namespace of the pipeline.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// A key of a Secret of the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretKeyRef {
    /// Name of the Secret, in the namespace of the pipeline.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key in it: letters, digits, `.`, `_` and `-`.
    #[schemars(length(min = 1, max = 253), pattern(r"^[a-zA-Z0-9._-]+$"))]
    pub key: String,
}
