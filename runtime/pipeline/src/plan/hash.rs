//! The identity of a plan: a hash over what it means.
//!
//! In it: the format version; `partitions`; the guarantee; each source with topic, format, schema (as a JSON value) and
//! event time; each step with what it reads and does, windows in place; each sink with what it reads and where it
//! writes; who takes late records and dead letters. Defaults are filled in and durations are milliseconds, so that
//! writing a default out, another order of fields, comments, file names, and a StreamWindow in place of an inline
//! window change nothing.
//!
//! Not in it, because the rows are the same whatever they are: name and namespace; how Kafka is reached (topic ids in
//! the journal tell clusters apart); where reading starts the first time (the journal holds the positions);
//! what a Secret holds (a keyed hash in the journal tells values apart); `commitInterval`, `checkpoint`; replicas, suspend, size, image and everything else about pods. So a rescale or a
//! changed broker address keeps the plan.

use super::connector::{ParsedSource, Sinks};
use super::flow::{Flow, Origin, Read};
use super::step::{Step, StepKind};
use super::{
    Keep, Masking, PlanHash, SecretKey, Settings, Sink, SinkConnector, SinkId, SourceConnector, Window,
    WindowKind,
};
use crate::expression::Expression;
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_128;

const FORMAT: u32 = 1;

pub(super) fn of(
    settings: &Settings,
    sources: &[ParsedSource],
    steps: &[Step],
    sinks: &Sinks,
    dead_letter_sink: Option<SinkId>,
    flow: &Flow,
) -> PlanHash {
    let names = Names { sources, steps };
    let reads = |reads: &[Read]| -> Vec<Value> { reads.iter().map(|read| names.read(*read)).collect() };
    let steps: Vec<Value> = steps
        .iter()
        .zip(&flow.steps)
        .map(|(step, from)| json!({"name": step.name, "from": reads(from), "does": step_value(&step.kind)}))
        .collect();
    let no_reads = Vec::new();
    let sinks: Vec<Value> = sinks
        .iter()
        .enumerate()
        .map(|(i, sink)| sink_value(sink, &reads(flow.sinks.get(i).unwrap_or(&no_reads))))
        .collect();
    let whole = json!({
        "format": FORMAT,
        "partitions": settings.partitions,
        "guarantee": format!("{:?}", settings.guarantee),
        "sources": sources.iter().map(source_value).collect::<Vec<_>>(),
        "steps": steps,
        "sinks": sinks,
        "deadLetterSink": dead_letter_sink.map(|sink| sink.0),
    });
    let mut text = String::new();
    write_canonical(&whole, &mut text);
    PlanHash(xxh3_128(text.as_bytes()).to_be_bytes())
}

struct Names<'a> {
    sources: &'a [ParsedSource],
    steps: &'a [Step],
}

impl Names<'_> {
    fn read(&self, read: Read) -> Value {
        match read.origin {
            Origin::Source(source) => json!([self.sources[source].source.name]),
            Origin::Step(step) => json!([self.steps[step].name, read.branch]),
        }
    }
}

fn source_value(parsed: &ParsedSource) -> Value {
    let source = &parsed.source;
    let SourceConnector::Kafka { topic, .. } = &source.connector;
    // A schema that is not JSON has not compiled.
    let schema = parsed.schema_text.as_ref().and_then(|text| serde_json::from_str::<Value>(text).ok());
    json!({
        "name": source.name,
        "kafka": topic,
        "format": format!("{:?}", source.format),
        "schema": schema,
        "time": {
            "field": source.time.field.as_ref().map(|path| &path.0),
            "unit": format!("{:?}", source.time.unit),
            "maxOutOfOrderness": source.time.max_out_of_orderness_ms,
            "idleTimeout": source.time.idle_timeout_ms,
            "maxFuture": source.time.max_future_ms,
        },
    })
}

fn step_value(kind: &StepKind) -> Value {
    // A folded YAML text ends with a line break, a plain one does not.
    let text = |expression: &Expression| expression.text().trim().to_owned();
    match kind {
        StepKind::Filter(expression) => json!({"filter": text(expression)}),
        StepKind::Map(expression) => json!({"map": text(expression)}),
        StepKind::Mask(mask) => {
            let fields: Vec<_> = mask.fields.iter().map(|path| &path.0).collect();
            json!({"mask": {"fields": fields, "method": masking_value(&mask.method)}})
        }
        StepKind::Route(branches) => {
            json!({"route": branches.iter().map(|(name, when)| json!([name, text(when)])).collect::<Vec<_>>()})
        }
        StepKind::Window(window) => json!({"window": window_value(window)}),
    }
}

/// Which Secret is meant, not what it holds.
fn masking_value(method: &Masking) -> Value {
    let secret = |key: &SecretKey| json!([key.name, key.key]);
    match method {
        Masking::Hash(key) => json!({"hash": secret(key)}),
        Masking::Redact => json!("redact"),
        Masking::Partial(Keep::First(count)) => json!({"first": count}),
        Masking::Partial(Keep::Last(count)) => json!({"last": count}),
        Masking::Tokenise(key) => json!({"tokenise": secret(key)}),
    }
}

fn window_value(window: &Window) -> Value {
    let WindowKind::Tumbling { size_ms } = window.kind;
    let aggregates = window.aggregates.iter().map(|aggregate| {
        let field = aggregate.field.as_ref().map(|path| &path.0);
        json!([aggregate.name, format!("{:?}", aggregate.function), field])
    });
    json!({
        "keyBy": window.key_by.iter().map(|(name, path)| json!([name, path.0])).collect::<Vec<_>>(),
        "tumbling": size_ms,
        "allowedLateness": window.allowed_lateness_ms,
        "aggregates": aggregates.collect::<Vec<_>>(),
        "lateSink": window.late_sink.map(|sink| sink.0),
    })
}

fn sink_value(sink: &Sink, from: &[Value]) -> Value {
    let to = match &sink.connector {
        SinkConnector::Kafka { topic, .. } => json!({"kafka": topic}),
        SinkConnector::File { path } => json!({"file": path}),
        SinkConnector::Log => json!("log"),
    };
    json!({"name": sink.name, "role": format!("{:?}", sink.role), "from": from, "to": to})
}

/// JSON without white space, the fields of an object sorted: two texts of one value are equal.
fn write_canonical(value: &Value, text: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(name, _)| *name);
            text.push('{');
            for (name, value) in fields {
                text.push_str(&Value::from(name.as_str()).to_string());
                text.push(':');
                write_canonical(value, text);
                text.push(',');
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for item in items {
                write_canonical(item, text);
                text.push(',');
            }
            text.push(']');
        }
        scalar => text.push_str(&scalar.to_string()),
    }
}
