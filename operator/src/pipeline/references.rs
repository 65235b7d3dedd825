//! What a pipeline refers to: the names that `observe` reads, `build` mounts and watches wake for.

use ::pipeline::spec::{KafkaAccess, KafkaTopic, SideSink, StreamPipelineSpec, StreamWindowSpec};
use std::collections::{BTreeMap, BTreeSet};

/// Names of the StreamWindows that the spec refers to.
pub fn windows(spec: &StreamPipelineSpec) -> BTreeSet<String> {
    spec.steps.iter().filter_map(|step| step.window_ref.as_ref()).map(|window| window.name.clone()).collect()
}

/// Names of the ConfigMaps that the spec refers to.
pub fn config_maps(spec: &StreamPipelineSpec) -> BTreeSet<String> {
    let schemas =
        spec.sources.iter().filter_map(|source| source.schema.as_ref()?.config_map_key_ref.as_ref());
    schemas.map(|map| map.name.clone()).collect()
}

/// Names of the Secrets that the spec, and the windows that it refers to, refer to.
pub fn secrets(spec: &StreamPipelineSpec, windows: &BTreeMap<String, StreamWindowSpec>) -> BTreeSet<String> {
    let used = self::windows(spec);
    let inline = spec.steps.iter().filter_map(|step| step.window.as_ref());
    let referred = windows.iter().filter(|(name, _)| used.contains(*name)).map(|(_, window)| window);
    let side_sinks = inline.chain(referred).filter_map(|window| window.late_sink.as_ref());
    let side_sinks = side_sinks.chain(&spec.dead_letter_sink).filter_map(topic_of);
    let topics = spec.sources.iter().filter_map(|source| source.kafka.as_ref());
    let topics = topics.chain(spec.sinks.iter().filter_map(|sink| sink.kafka.as_ref())).chain(side_sinks);
    let named = topics.filter_map(|topic| topic.secret_ref.as_ref()).map(|secret| &secret.name);
    let masks = spec.steps.iter().filter_map(|step| step.mask.as_ref()?.secret_key_ref.as_ref());
    let named = named.chain(masks.map(|secret| &secret.name));
    let storage =
        spec.checkpoint.iter().filter_map(|checkpoint| checkpoint.storage.as_ref()?.secret_ref.as_ref());
    let named = named.chain(storage.map(|secret| &secret.name));
    named.chain(spec.kafka.iter().flat_map(secrets_of)).cloned().collect()
}

fn topic_of(sink: &SideSink) -> Option<&KafkaTopic> {
    sink.kafka.as_ref()
}

fn secrets_of(access: &KafkaAccess) -> impl Iterator<Item = &String> {
    let of_tls = access.tls.iter().flat_map(|tls| {
        let pair = tls.cert_secret_key_ref.iter().chain(&tls.key_secret_key_ref);
        std::iter::once(&tls.ca_secret_key_ref).chain(pair)
    });
    let keys = of_tls.chain(access.sasl.iter().map(|sasl| &sasl.password_secret_key_ref));
    keys.map(|key| &key.name).chain(access.secret_ref.iter().map(|secret| &secret.name))
}
