//! The metrics page, made from the reports when it is asked for: labels are the names of the pipeline, of stages and
//! of window steps, nothing of the data. What is not known is absent, never zero.

use crate::http::Served;
use crate::pod::Report;
use crate::report;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use control::status::UnitState;
use prometheus::core::Collector;
use prometheus::{Encoder, Gauge, GaugeVec, IntCounter, IntCounterVec, Opts, Registry, TextEncoder};

/// `GET /metrics`.
pub async fn page(State(served): State<Served>) -> Response {
    match render(&served.generation.pipeline, &served.pod.reports(), crate::clock::wall_ms()) {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// The page as text.
fn render(pipeline: &str, reports: &[Report], now_ms: i64) -> Result<String, prometheus::Error> {
    let registry = Registry::new_custom(None, Some([("pipeline".to_owned(), pipeline.to_owned())].into()))?;
    records(&registry, reports)?;
    state(&registry, reports, now_ms)?;
    registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
    let mut text = Vec::new();
    TextEncoder::new().encode(&registry.gather(), &mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn records(registry: &Registry, reports: &[Report]) -> Result<(), prometheus::Error> {
    let sum = |pick: fn(&Report) -> u64| reports.iter().map(pick).sum::<u64>();
    counter(
        registry,
        "stream_messages_processed_total",
        "Input records processed.",
        sum(|r| r.counters.records_in),
    )?;
    counter(registry, "weir_records_out_total", "Records given to sinks.", sum(|r| r.counters.records_out))?;
    counter(
        registry,
        "weir_dead_letters_total",
        "Records that could not be processed.",
        sum(|r| r.counters.dead_letters),
    )?;
    counter(
        registry,
        "weir_worker_restarts_total",
        "Times a worker went back to Going live.",
        sum(|r| r.restarts),
    )?;
    let late = with_help("weir_late_records_total", "Late records, by window step.");
    let late = add(registry, IntCounterVec::new(late, &["step"])?)?;
    let open = with_help("weir_open_windows", "Windows with state, by window step.");
    let open = add(registry, GaugeVec::new(open, &["step"])?)?;
    for window in report::windows(reports) {
        late.with_label_values(&[&window.step]).inc_by(window.late);
        if let Some(windows) = window.open {
            open.with_label_values(&[&window.step]).set(windows as f64);
        }
    }
    Ok(())
}

fn state(registry: &Registry, reports: &[Report], now_ms: i64) -> Result<(), prometheus::Error> {
    let lag = report::lag(reports, now_ms);
    if let Some(records) = lag.records {
        gauge(registry, "stream_consumer_lag", "Input records not yet processed.", records as f64)?;
    }
    if let Some(seconds) = lag.seconds {
        let help = "Age of the oldest input record not yet processed, in seconds.";
        gauge(registry, "weir_lag_seconds", help, seconds)?;
    }
    let age = |at: i64| now_ms.saturating_sub(at) as f64 / 1_000.0;
    if let Some(at) = reports.iter().filter_map(|r| r.watermark_ms).min() {
        gauge(registry, "weir_watermark_lag_seconds", "Age of the lowest watermark, in seconds.", age(at))?;
    }
    if let Some(at) = report::oldest_snapshot(reports) {
        let help = "Age of the oldest of the newest snapshots, in seconds.";
        gauge(registry, "weir_snapshot_age_seconds", help, age(at))?;
    }
    let bytes = reports.iter().map(|r| r.state_bytes).sum::<u64>() as f64;
    gauge(registry, "weir_state_bytes", "Keyed state in memory, in bytes.", bytes)?;
    let units = add(registry, GaugeVec::new(with_help("weir_units", "Units by state."), &["state"])?)?;
    for unit in reports.iter().flat_map(|r| &r.units) {
        units.with_label_values(&[state_word(unit.state)]).inc();
    }
    Ok(())
}

fn state_word(state: UnitState) -> &'static str {
    match state {
        UnitState::Restoring => "restoring",
        UnitState::Standby => "standby",
        UnitState::CaughtUp => "caught_up",
        UnitState::Claiming => "claiming",
        UnitState::Live => "live",
        UnitState::Superseded => "superseded",
        UnitState::Released => "released",
        UnitState::Cut => "cut",
        UnitState::Failed => "failed",
        UnitState::Unknown => "unknown",
    }
}

fn with_help(name: &str, help: &str) -> Opts {
    Opts::new(name, help)
}

fn add<C: Collector + Clone + 'static>(registry: &Registry, metric: C) -> Result<C, prometheus::Error> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn counter(registry: &Registry, name: &str, help: &str, value: u64) -> Result<(), prometheus::Error> {
    add(registry, IntCounter::new(name, help)?)?.inc_by(value);
    Ok(())
}

fn gauge(registry: &Registry, name: &str, help: &str, value: f64) -> Result<(), prometheus::Error> {
    add(registry, Gauge::new(name, help)?)?.set(value);
    Ok(())
}
