//! The kind `StreamPipeline`.

use super::pod::TextMap;
use super::{
    Affinity, Checkpoint, DeliveryGuarantee, Duration, KafkaAccess, NameRef, Resources, RestoreFrom,
    RollbackTo, SavepointSchedule, SideSink, SinkSpec, Size, SourceSpec, StartFrom, StepSpec,
    TerminationPolicy, Toleration, TopologySpread, UpdateStrategy,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A pipeline: records flow from sources through steps to sinks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "has(self.partitions) == has(oldSelf.partitions) && (!has(self.partitions) || self.partitions == oldSelf.partitions)",
     "message": "partitions cannot be changed; create another pipeline"},
    {"rule": "has(self.restoreFrom) == has(oldSelf.restoreFrom) && (!has(self.restoreFrom) || self.restoreFrom == oldSelf.restoreFrom)",
     "message": "restoreFrom is for a new pipeline: it cannot be added, changed or taken away later; create another pipeline"},
    {"rule": "!has(self.savepoints) || (has(self.checkpoint) && has(self.checkpoint.storage))",
     "message": "savepoints need checkpoint.storage"},
    {"rule": "!has(self.terminationPolicy) || self.terminationPolicy != 'Savepoint' || (has(self.checkpoint) && has(self.checkpoint.storage))",
     "message": "terminationPolicy: Savepoint needs checkpoint.storage"},
    {"rule": "!(has(self.size) && has(self.resources))", "message": "set at most one of size and resources"}
]))]
pub struct StreamPipelineSpec {
    /// How to reach Kafka: the default of every Kafka source and sink, and the cluster that keeps the journals of the
    /// pipeline. A run on one machine with input files does without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kafka: Option<KafkaAccess>,
    /// Where records come from, 1 to 32 sources.
    #[schemars(length(min = 1, max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub sources: Vec<SourceSpec>,
    /// What happens to the records, at most 100 steps; each reads the one before it unless `from` says otherwise. None
    /// by default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub steps: Vec<StepSpec>,
    /// Where the records go, 1 to 64 sinks.
    #[schemars(length(min = 1, max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub sinks: Vec<SinkSpec>,
    /// Who takes records that cannot be processed: unreadable, against the schema, without key or time, or failed in
    /// an expression. They keep key, value, headers and timestamp and get headers that say why. Without one they are
    /// dropped and counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_letter_sink: Option<SideSink>,
    /// Number of pods, from 1 to 1000; the default is 1. More pods than partitions are idle.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub replicas: Option<i32>,
    /// Number of units that the work of a stage is divided into, from 1 to 4096; the default is the number of
    /// partitions of the widest source topic. It cannot be changed later.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 4096))]
    pub partitions: Option<i32>,
    /// Stops the pipeline and keeps its state and positions; the default is `false`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
    /// `ExactlyOnce` or `AtLeastOnce`: how often a record may have its effect when something fails; the default is
    /// `ExactlyOnce`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery_guarantee: Option<DeliveryGuarantee>,
    /// Time between two commits while there is output, from `10ms` to `60s`; the default is `100ms`. It is how long a
    /// reader of committed records waits for output. Without output positions are committed every 5 s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit_interval: Option<Duration>,
    /// How often state is saved, and where; the default is every `60s` to an internal Kafka topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Checkpoint>,
    /// Where a source starts the first time, before any position is committed: `Earliest`, `Latest` or an RFC 3339
    /// time; the default is `Earliest`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_from: Option<StartFrom>,
    /// Size of the pods: `Small`, `Medium`, `Large` or `XLarge`; the default is `Small`. Use `resources` for other
    /// amounts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<Size>,
    /// CPU and memory of each pod, in place of `size`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Image of the pods, of at most 512 characters; the default is the runtime image of the operator's own version.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,
    /// Labels that a node must have to run the pods, at most 32; none by default.
    #[serde(default, skip_serializing_if = "TextMap::is_empty")]
    #[schemars(extend("maxProperties" = 32, "additionalProperties" = {"type": "string", "maxLength": 63}))]
    pub node_selector: TextMap,
    /// Taints of nodes that the pods accept, at most 32; none by default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "atomic"))]
    pub tolerations: Vec<Toleration>,
    /// Nodes and other pods that the pods need, prefer or avoid; none by default. It has the words and the meaning of
    /// `affinity` of a pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// How the pods spread over zones or other groups of nodes, at most 8; by default over nodes, as far as there are any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["topologyKey"]))]
    pub topology_spread_constraints: Vec<TopologySpread>,
    /// PriorityClass of the pods; that of the cluster by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub priority_class_name: Option<String>,
    /// Secrets with which the image of the pods is pulled, at most 8; none by default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub image_pull_secrets: Vec<NameRef>,
    /// Labels that are added to the pods, at most 32; none by default.
    #[serde(default, skip_serializing_if = "TextMap::is_empty")]
    #[schemars(extend("maxProperties" = 32, "additionalProperties" = {"type": "string", "maxLength": 63}))]
    pub pod_labels: TextMap,
    /// Annotations that are added to the pods, at most 32; none by default.
    #[serde(default, skip_serializing_if = "TextMap::is_empty")]
    #[schemars(extend("maxProperties" = 32, "additionalProperties" = {"type": "string", "maxLength": 1024}))]
    pub pod_annotations: TextMap,
    /// How a change of the pipeline replaces its pods; the default is `type: Handover`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_strategy: Option<UpdateStrategy>,
    /// Runs an earlier revision instead of what the rest of the spec says, until that changes or this is taken away; by
    /// default none. During the probation of a change the revision before it goes on from its own state of then, else
    /// from the state that there is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollback_to: Option<RollbackTo>,
    /// The saved state with which the pipeline begins; by default it begins without any. Nobody can add or change it later. On a
    /// machine without Kubernetes it has no effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restore_from: Option<RestoreFrom>,
    /// Savepoints that are taken by the clock, in `checkpoint.storage`; by default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub savepoints: Option<SavepointSchedule>,
    /// What becomes of the state when the pipeline is deleted: `Discard` deletes it, `Savepoint` lets the pods finish and keeps it
    /// in a StreamSavepoint in `checkpoint.storage`; the default is `Discard`. With `Savepoint` the pipeline stays until that is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub termination_policy: Option<TerminationPolicy>,
}
