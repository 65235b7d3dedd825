//! Sources and sinks: access to Kafka, schemas, event time, names.

use super::access::{access_of_pipeline, kafka_topic};
use super::build::exactly_one;
use super::field;
use super::problems::{At, Problems};
use super::setting::{duration, start_from};
use super::{
    EventTime, Format, KafkaAccess, Settings, Sink, SinkConnector, SinkId, SinkRole, Source, SourceConnector,
    TimeUnit,
};
use crate::manifest::ResolvedManifest;
use crate::problem::{ProblemKind, suggest};
use crate::schema::Schema;
use crate::spec::{self, EventTimeUnit, SchemaRef, SideSink, StreamPipelineSpec, defaults};
use std::sync::Arc;

/// A source and the text of its schema, which the plan hash needs.
pub(super) struct ParsedSource {
    pub(super) source: Source,
    pub(super) schema_text: Option<String>,
}

pub(super) fn sources(
    resolved: &ResolvedManifest,
    settings: &Settings,
    at: &At,
    problems: &mut Problems,
) -> Vec<ParsedSource> {
    let spec = &resolved.manifest().spec;
    let default_access = access_of_pipeline(spec);
    let one = |(i, source): (usize, &spec::SourceSpec)| {
        let at = at.field("sources").index(i);
        exactly_one(&[("kafka", source.kafka.is_some())], &at, problems);
        let (topic, access) = match &source.kafka {
            Some(kafka) => kafka_topic(kafka, default_access.as_ref(), &at.field("kafka"), problems),
            None => (String::new(), None),
        };
        let (schema, schema_text) = match &source.schema {
            Some(schema) => compile_schema(resolved, schema, &at.field("schema"), problems).unzip(),
            None => (None, None),
        };
        let source = Source {
            name: source.name.clone(),
            connector: SourceConnector::Kafka { topic, access },
            format: Format::Json,
            schema: schema.map(Arc::new),
            time: event_time(source.event_time.as_ref(), &at.field("eventTime"), problems),
            start_from: start_from(source.start_from.as_ref(), &at.field("startFrom"), problems)
                .unwrap_or(settings.start_from),
        };
        ParsedSource { source, schema_text }
    };
    let all: Vec<_> = spec.sources.iter().enumerate().map(one).collect();
    check_topics(&all, at, problems);
    all
}

/// A topic is one log with one position: two sources of it would each take what the other one needs.
fn check_topics(sources: &[ParsedSource], at: &At, problems: &mut Problems) {
    let topic = |parsed: &ParsedSource| {
        let SourceConnector::Kafka { topic, access } = &parsed.source.connector;
        (topic.clone(), access.clone())
    };
    for (i, parsed) in sources.iter().enumerate() {
        let (name, access) = topic(parsed);
        let same = |other: &&ParsedSource| topic(other) == (name.clone(), access.clone());
        let Some(first) = sources[..i].iter().find(same).filter(|_| !name.is_empty()) else { continue };
        let message = format!(
            "source `{0}` reads topic `{name}` already; several steps may read one source: write `from: [{0}]`",
            first.source.name
        );
        problems.add(ProblemKind::Flow, &at.field("sources").index(i).field("kafka").field("topic"), message);
    }
}

fn event_time(given: Option<&spec::EventTime>, at: &At, problems: &mut Problems) -> EventTime {
    let absent = spec::EventTime::default();
    let given = given.unwrap_or(&absent);
    let max_future =
        duration(given.max_future.as_ref(), defaults::MAX_FUTURE, &at.field("maxFuture"), problems);
    EventTime {
        field: given.field.as_ref().and_then(|text| field::path(text, &at.field("field"), problems)),
        unit: match given.unit {
            Some(EventTimeUnit::Seconds) => TimeUnit::Seconds,
            None | Some(EventTimeUnit::Milliseconds) => TimeUnit::Milliseconds,
            Some(EventTimeUnit::Microseconds) => TimeUnit::Microseconds,
        },
        max_out_of_orderness_ms: duration(
            given.max_out_of_orderness.as_ref(),
            defaults::MAX_OUT_OF_ORDERNESS,
            &at.field("maxOutOfOrderness"),
            problems,
        ),
        idle_timeout_ms: duration(
            given.idle_timeout.as_ref(),
            defaults::IDLE_TIMEOUT,
            &at.field("idleTimeout"),
            problems,
        ),
        max_future_ms: (max_future > 0).then_some(max_future),
    }
}

fn compile_schema(
    resolved: &ResolvedManifest,
    schema: &SchemaRef,
    at: &At,
    problems: &mut Problems,
) -> Option<(Schema, String)> {
    if !exactly_one(&[("configMapKeyRef", schema.config_map_key_ref.is_some())], at, problems) {
        return None;
    }
    let reference = schema.config_map_key_ref.as_ref()?;
    let at = at.field("configMapKeyRef");
    let Some(map) = resolved.config_map(&reference.name) else {
        let message = format!("ConfigMap `{}` was not found", reference.name);
        problems.add(ProblemKind::RefNotFound, &at.field("name"), message);
        return None;
    };
    let Some(text) = map.get(&reference.key) else {
        let message = format!("ConfigMap `{}` has no key `{}`", reference.name, reference.key);
        problems.add(ProblemKind::RefNotFound, &at.field("key"), message);
        return None;
    };
    match Schema::compile(text) {
        Ok(schema) => Some((schema, text.clone())),
        Err(error) => {
            let at = At::data_of(&reference.name, &reference.key);
            let cause =
                std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            problems.add(ProblemKind::Schema, &at, format!("{error}{cause}"));
            None
        }
    }
}

/// All sinks: those of the user first, in their order, then those written in place.
#[derive(Default)]
pub(super) struct Sinks {
    all: Vec<(Sink, At)>,
    of_users: usize,
    /// Sinks of the user that a `sinkRef` names.
    referred: Vec<SinkId>,
    default_access: Option<Arc<KafkaAccess>>,
}

impl Sinks {
    pub(super) fn of_users(spec: &StreamPipelineSpec, at: &At, problems: &mut Problems) -> Self {
        let default_access = access_of_pipeline(spec);
        let one = |(i, sink): (usize, &spec::SinkSpec)| {
            let at = at.field("sinks").index(i);
            let blocks =
                [("kafka", sink.kafka.is_some()), ("file", sink.file.is_some()), ("log", sink.log.is_some())];
            exactly_one(&blocks, &at, problems);
            let connector = match (&sink.kafka, &sink.file) {
                (Some(kafka), _) => {
                    let (topic, access) =
                        kafka_topic(kafka, default_access.as_ref(), &at.field("kafka"), problems);
                    SinkConnector::Kafka { topic, access }
                }
                (None, Some(file)) => SinkConnector::File { path: file.path.clone() },
                (None, None) => SinkConnector::Log,
            };
            (Sink { name: sink.name.clone(), role: SinkRole::User, connector }, at)
        };
        let all: Vec<_> = spec.sinks.iter().enumerate().map(one).collect();
        Self { of_users: all.len(), all, referred: Vec::new(), default_access }
    }

    pub(super) fn late(
        &mut self,
        step: &str,
        sink: &SideSink,
        at: &At,
        problems: &mut Problems,
    ) -> Option<SinkId> {
        self.side(format!("{step}.lateSink"), SinkRole::Late, sink, at, problems)
    }

    pub(super) fn dead_letters(
        &mut self,
        sink: &SideSink,
        at: &At,
        problems: &mut Problems,
    ) -> Option<SinkId> {
        self.side("deadLetterSink".to_owned(), SinkRole::DeadLetter, sink, at, problems)
    }

    fn side(
        &mut self,
        name: String,
        role: SinkRole,
        sink: &SideSink,
        at: &At,
        problems: &mut Problems,
    ) -> Option<SinkId> {
        let blocks = [("kafka", sink.kafka.is_some()), ("sinkRef", sink.sink_ref.is_some())];
        if !exactly_one(&blocks, at, problems) {
            return None;
        }
        if let Some(reference) = &sink.sink_ref {
            let of_users = &self.all[..self.of_users];
            let found = of_users.iter().position(|(sink, _)| sink.name == reference.name);
            if found.is_none() {
                let hint = suggest(
                    &reference.name,
                    of_users.iter().map(|(sink, _)| sink.name.as_str()),
                    "there are",
                );
                let message = format!("there is no sink `{}`{hint}", reference.name);
                problems.add(ProblemKind::NameNotFound, &at.field("sinkRef").field("name"), message);
            }
            let id = found.map(|index| SinkId(index as u16));
            self.referred.extend(id);
            return id;
        }
        let kafka = sink.kafka.as_ref()?;
        let (topic, access) = kafka_topic(kafka, self.default_access.as_ref(), &at.field("kafka"), problems);
        self.all.push((Sink { name, role, connector: SinkConnector::Kafka { topic, access } }, at.clone()));
        Some(SinkId(self.all.len() as u16 - 1))
    }

    /// A topic that is read and written by one pipeline would go in circles for ever.
    pub(super) fn check_feedback(&self, sources: &[ParsedSource], problems: &mut Problems) {
        for (sink, at) in &self.all {
            let SinkConnector::Kafka { topic, access } = &sink.connector else { continue };
            let reads = |parsed: &&ParsedSource| {
                let SourceConnector::Kafka { topic: read, access: from } = &parsed.source.connector;
                read == topic && from == access && !topic.is_empty()
            };
            if let Some(parsed) = sources.iter().find(reads) {
                let message = format!(
                    "source `{}` reads topic `{topic}`, which is written here: records would go in circles",
                    parsed.source.name
                );
                problems.add(ProblemKind::Flow, &at.field("kafka").field("topic"), message);
            }
        }
    }

    /// A sink with an empty `from` is only good for a `sinkRef`.
    pub(super) fn check_fed(&self, spec: &StreamPipelineSpec, problems: &mut Problems) {
        for (i, (sink, at)) in self.all[..self.of_users].iter().enumerate() {
            let empty = spec.sinks[i].from.as_ref().is_some_and(Vec::is_empty);
            if empty && !self.referred.contains(&SinkId(i as u16)) {
                let message = format!("nothing gives records to sink `{}`; name a step in `from`", sink.name);
                problems.add(ProblemKind::Flow, at, message);
            }
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Sink> {
        self.all.iter().map(|(sink, _)| sink)
    }

    pub(super) fn into_all(self) -> Vec<Sink> {
        self.all.into_iter().map(|(sink, _)| sink).collect()
    }
}
