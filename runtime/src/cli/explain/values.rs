//! The effective values of a pipeline, each marked when it is a default.

use pipeline::plan::{
    Guarantee, KafkaAccess, LoadedPipeline, NodeKind, Plan, Settings, Sink, SinkConnector, SinkId, Source,
    SourceConnector, StartFrom, Storage, Window, WindowKind,
};
use pipeline::spec::defaults::table;
use pipeline::spec::{
    Duration, EventTime, SourceSpec, StepSpec, StreamPipelineSpec, StreamWindowSpec, UpdateType,
};
use std::sync::Arc;

/// A value with its name, and whether the user gave it.
struct Row {
    name: String,
    value: String,
    given: bool,
}

fn row(name: &str, value: impl Into<String>, given: bool) -> Row {
    Row { name: name.to_owned(), value: value.into(), given }
}

/// All values, by what they belong to.
pub fn print(pipeline: &LoadedPipeline) -> String {
    let spec = &pipeline.resolved.manifest().spec;
    let plan = &pipeline.plan;
    let mut text = block("\nSettings", &settings(spec, plan.settings()));
    for (source, spec) in plan.sources().iter().zip(&spec.sources) {
        text.push_str(&block(&format!("\nSource {}", source.name), &of_source(source, spec)));
    }
    for window in windows(plan) {
        let Some(step) = spec.steps.iter().find(|step| step.name == window.name) else { continue };
        let written = written_window(pipeline, step);
        let title = match &step.window_ref {
            Some(reference) => format!("\nWindow {} (StreamWindow {})", window.name, reference.name),
            None => format!("\nWindow {}", window.name),
        };
        text.push_str(&block(&title, &of_window(plan, window, written)));
    }
    let sinks: Vec<Row> = plan.sinks().iter().map(|sink| row(&sink.name, destination(sink), true)).collect();
    text.push_str(&block("\nSinks", &sinks));
    text
}

/// The table of all defaults and bounds.
pub fn defaults() -> String {
    let head = ["FIELD", "DEFAULT", "BOUND"].map(str::to_owned);
    let rows = table().into_iter().map(|row| [row.field, row.default, row.bound]);
    let rows: Vec<[String; 3]> = std::iter::once(head).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (field, default) = (width(0), width(1));
    let line =
        |[a, b, c]: &[String; 3]| format!("{a:field$}  {b:default$}  {c}").trim_end().to_owned() + "\n";
    rows.iter().map(line).collect()
}

fn block(title: &str, rows: &[Row]) -> String {
    let names = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0);
    let values = rows.iter().map(|row| row.value.chars().count()).max().unwrap_or(0);
    let mut text = format!("{title}\n");
    for Row { name, value, given } in rows {
        let line = if *given {
            format!("  {name:names$}  {value}")
        } else {
            format!("  {name:names$}  {value:values$}  (default)")
        };
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn settings(spec: &StreamPipelineSpec, settings: &Settings) -> Vec<Row> {
    let checkpoint = spec.checkpoint.as_ref();
    let guarantee = match settings.guarantee {
        Guarantee::ExactlyOnce => "ExactlyOnce",
        Guarantee::AtLeastOnce => "AtLeastOnce",
    };
    let partitions = match settings.partitions {
        Some(partitions) => partitions.to_string(),
        None => "those of the widest source topic".to_owned(),
    };
    let storage = match &settings.checkpoint_storage {
        None => "an internal Kafka topic".to_owned(),
        Some(storage) => storage_text(storage),
    };
    let ms = |ms: u64| Duration::text(ms as i64);
    vec![
        row("deliveryGuarantee", guarantee, spec.delivery_guarantee.is_some()),
        row("commitInterval", ms(settings.commit_interval_ms), spec.commit_interval.is_some()),
        row(
            "checkpoint.interval",
            ms(settings.checkpoint_interval_ms),
            checkpoint.is_some_and(|checkpoint| checkpoint.interval.is_some()),
        ),
        row("checkpoint.storage", storage, settings.checkpoint_storage.is_some()),
        row("startFrom", start_text(settings.start_from), spec.start_from.is_some()),
        row("replicas", settings.replicas.to_string(), spec.replicas.is_some()),
        row("partitions", partitions, settings.partitions.is_some()),
        row("size", size_text(spec), spec.size.is_some() || spec.resources.is_some()),
        row("suspend", settings.suspend.to_string(), spec.suspend.is_some()),
        row(
            "updateStrategy.type",
            update_text(spec),
            spec.update_strategy.as_ref().is_some_and(|s| s.kind.is_some()),
        ),
    ]
}

/// With who opens it, and how it is reached.
fn storage_text(storage: &Storage) -> String {
    let Storage::Bucket(bucket) = storage else { return storage.to_string() };
    let at = bucket.endpoint.as_ref().map(|endpoint| format!(" at {endpoint}"));
    let region = bucket.region.as_ref().map(|region| format!(" in {region}"));
    let by = match &bucket.secret {
        Some(secret) => format!(" with Secret {secret}"),
        None => " with the identity of the pods".to_owned(),
    };
    [Some(bucket.to_string()), at, region, Some(by)].into_iter().flatten().collect()
}

fn update_text(spec: &StreamPipelineSpec) -> &'static str {
    match spec.update_strategy.as_ref().and_then(|strategy| strategy.kind) {
        None | Some(UpdateType::Handover) => "Handover",
        Some(UpdateType::Recreate) => "Recreate",
    }
}

fn size_text(spec: &StreamPipelineSpec) -> String {
    match (&spec.resources, spec.size) {
        (Some(_), _) => "as in resources".to_owned(),
        (None, Some(size)) => format!("{size:?}"),
        (None, None) => "Small".to_owned(),
    }
}

fn start_text(start: StartFrom) -> String {
    match start {
        StartFrom::Earliest => "Earliest".to_owned(),
        StartFrom::Latest => "Latest".to_owned(),
        StartFrom::Timestamp(ms) => format!("the first record from {ms} ms since the epoch on"),
    }
}

fn of_source(source: &Source, spec: &SourceSpec) -> Vec<Row> {
    let absent = EventTime::default();
    let given = spec.event_time.as_ref().unwrap_or(&absent);
    let SourceConnector::Kafka { topic, access } = &source.connector;
    let field = match &source.time.field {
        Some(path) => path.0.join("."),
        None => "the timestamp of the record".to_owned(),
    };
    let future = match source.time.max_future_ms {
        Some(ms) => Duration::text(ms),
        None => "off".to_owned(),
    };
    let mut rows = vec![
        row("kafka", format!("topic {topic}{}", access_text(access.as_deref())), true),
        row("eventTime.field", field, given.field.is_some()),
        row("eventTime.unit", format!("{:?}", source.time.unit), given.unit.is_some()),
        row(
            "eventTime.maxOutOfOrderness",
            Duration::text(source.time.max_out_of_orderness_ms),
            given.max_out_of_orderness.is_some(),
        ),
        row(
            "eventTime.idleTimeout",
            Duration::text(source.time.idle_timeout_ms),
            given.idle_timeout.is_some(),
        ),
        row("eventTime.maxFuture", future, given.max_future.is_some()),
        row("startFrom", start_text(source.start_from), spec.start_from.is_some()),
    ];
    let schema = spec.schema.as_ref().and_then(|schema| schema.config_map_key_ref.as_ref());
    rows.push(match schema {
        Some(key) => row("schema", format!("key {} of ConfigMap {}", key.key, key.name), true),
        None => row("schema", "none", false),
    });
    rows
}

fn access_text(access: Option<&KafkaAccess>) -> String {
    match access {
        Some(KafkaAccess::Inline { servers, tls, login }) => {
            let encrypted = if tls.is_some() { " with TLS" } else { "" };
            let user = match (login, tls.as_ref().and_then(|tls| tls.certificate.as_ref())) {
                (Some(login), _) => format!(" as {} by {}", login.username, login.password),
                (None, Some(certificate)) => format!(" by {}", certificate.chain),
                (None, None) => String::new(),
            };
            format!(" at {servers}{encrypted}{user}")
        }
        Some(KafkaAccess::Secret { name, servers: Some(servers), .. }) => {
            format!(" at {servers} by Secret {name}")
        }
        Some(KafkaAccess::Secret { name, servers: None, .. }) => format!(" by Secret {name}"),
        None => String::new(),
    }
}

fn windows(plan: &Plan) -> impl Iterator<Item = &Arc<Window>> {
    plan.stages().iter().flat_map(|stage| &stage.nodes).filter_map(|node| match &node.kind {
        NodeKind::MergeWindows { window, .. } => Some(window),
        _ => None,
    })
}

fn written_window<'a>(pipeline: &'a LoadedPipeline, step: &'a StepSpec) -> Option<&'a StreamWindowSpec> {
    step.window.as_ref().or_else(|| pipeline.resolved.window(&step.window_ref.as_ref()?.name))
}

fn of_window(plan: &Plan, window: &Window, written: Option<&StreamWindowSpec>) -> Vec<Row> {
    let WindowKind::Tumbling { size_ms } = window.kind;
    let keys: Vec<String> = window.key_by.iter().map(|(_, path)| path.0.join(".")).collect();
    let lateness_given = written.is_some_and(|written| written.allowed_lateness.is_some());
    let late = |sink: SinkId| format!("{}: {}", plan.sink(sink).name, destination(plan.sink(sink)));
    let mut rows = vec![
        row("keyBy", keys.join(", "), true),
        row("tumbling.size", Duration::text(size_ms), true),
        row("allowedLateness", Duration::text(window.allowed_lateness_ms), lateness_given),
        row(
            "lateSink",
            window.late_sink.map_or_else(|| "none: late records are counted".to_owned(), late),
            window.late_sink.is_some(),
        ),
    ];
    for aggregate in &window.aggregates {
        let of = aggregate.field.as_ref().map_or_else(|| "records".to_owned(), |path| path.0.join("."));
        rows.push(row(
            &format!("aggregates.{}", aggregate.name),
            format!("{:?} of {of}", aggregate.function),
            true,
        ));
    }
    rows
}

/// Where a sink writes.
pub fn destination(sink: &Sink) -> String {
    match &sink.connector {
        SinkConnector::Kafka { topic, access } => format!("topic {topic}{}", access_text(access.as_deref())),
        SinkConnector::File { path } => format!("file {path}"),
        SinkConnector::Log => "the log of the pod".to_owned(),
    }
}
