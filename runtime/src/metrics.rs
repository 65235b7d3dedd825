//! The metrics page, made from the reports when it is asked for: labels are the names of the pipeline, of sources, steps
//! and sinks, nothing of the data. What is not known is absent, never zero.

mod page;

use crate::http::Served;
use crate::pod::{NodeRole, Report};
use crate::report;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use control::status::UnitState;
use page::Page;
use pipeline::effect::NodeCounters;

/// `GET /metrics`.
pub async fn page(State(served): State<Served>) -> Response {
    match render(&served.generation.pipeline, &served.pod.reports(), crate::clock::wall_ms()) {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// The page as text.
fn render(pipeline: &str, reports: &[Report], now_ms: i64) -> Result<String, prometheus::Error> {
    let page = Page::new(pipeline)?;
    records(&page, reports)?;
    nodes(&page, reports)?;
    windows(&page, reports)?;
    durations(&page, reports)?;
    behind(&page, reports, now_ms)?;
    components(&page, reports)?;
    page.text()
}

fn records(page: &Page, reports: &[Report]) -> Result<(), prometheus::Error> {
    let sum = |pick: fn(&Report) -> u64| reports.iter().map(pick).sum::<u64>() as f64;
    page.counter(
        "stream_messages_processed_total",
        "Input records processed.",
        sum(|r| r.counters.records_in),
    )?;
    page.counter("weir_records_out_total", "Records given to sinks.", sum(|r| r.counters.records_out))?;
    let help = "Records that could not be processed.";
    page.counter("weir_dead_letters_total", help, sum(|r| r.counters.dead_letters))?;
    let help = "Times a worker went back to Going live.";
    page.counter("weir_worker_restarts_total", help, sum(|r| r.restarts))?;
    let help = "Input records read and not yet committed.";
    page.gauge("ingestion_queue_size", help, sum(|r| r.queue_records))?;
    if let Some(rate) = report::rate(reports) {
        let help = "Input records per second over the last 30 seconds.";
        page.gauge("ingestion_throughput_per_second", help, rate)?;
        page.gauge("streaming_total_throughput", help, rate)?;
    }
    Ok(())
}

fn nodes(page: &Page, reports: &[Report]) -> Result<(), prometheus::Error> {
    let all = report::nodes(reports);
    let of = |roles: &'static [NodeRole], pick: fn(NodeCounters) -> u64| {
        let nodes = all.iter().filter(|(_, node)| roles.contains(&node.kind));
        nodes.map(move |(name, node)| (*name, pick(node.counters))).collect::<Vec<_>>()
    };
    let sources = &[NodeRole::Source];
    let behind_sources = &[NodeRole::Window, NodeRole::Step, NodeRole::Sink];
    page.counters(
        ("ingestion_messages_total", "source"),
        "Records read, by source.",
        of(sources, |node| node.records),
    )?;
    page.counters(
        ("ingestion_validation_errors_total", "source"),
        "Records that are no valid input, by source.",
        of(sources, |node| node.dead_letters),
    )?;
    page.counters(
        ("stream_processing_errors_total", "step"),
        "Records that a step failed on or that a sink could not take, by step or sink.",
        of(behind_sources, |node| node.dead_letters),
    )?;
    page.counters(
        ("weir_step_records_total", "step"),
        "Records that came to a step or a sink.",
        of(behind_sources, |node| node.records),
    )?;
    page.counters(
        ("analytics_events_processed_total", "step"),
        "Records that came to a window step.",
        of(&[NodeRole::Window], |node| node.records),
    )
}

fn windows(page: &Page, reports: &[Report]) -> Result<(), prometheus::Error> {
    let windows = report::windows(reports);
    let late = windows.iter().map(|window| (window.step.as_str(), window.late));
    page.counters(("weir_late_records_total", "step"), "Late records, by window step.", late)?;
    let open = windows.iter().filter_map(|window| Some((window.step.as_str(), window.open?)));
    page.gauges(("weir_open_windows", "step"), "Windows with state, by window step.", open)?;
    if let Some(open) = windows.iter().map(|window| window.open).sum::<Option<u64>>() {
        page.gauge("analytics_active_windows", "Windows with state.", open as f64)?;
    }
    Ok(())
}

fn durations(page: &Page, reports: &[Report]) -> Result<(), prometheus::Error> {
    let timings = report::timings(reports);
    let help = "Seconds from the reading of the first record of a commit until it was committed.";
    page.histogram("ingestion_processing_seconds", help, &timings.ingestion)?;
    page.histogram("stream_processing_seconds", "Seconds to apply one batch.", &timings.processing)?;
    let help = "Seconds from the first write of a commit until it was committed.";
    page.histogram("weir_commit_seconds", help, &timings.commit)?;
    let help = "Seconds from taking the state of a unit until it was durable.";
    page.histogram("weir_snapshot_seconds", help, &timings.snapshot)?;
    let help = "Bytes of snapshots that became durable.";
    page.counter("weir_snapshot_written_bytes_total", help, timings.snapshot_written as f64)?;
    let help = "Bytes of the states that these snapshots are of; what did not change is not written again.";
    page.counter("weir_snapshot_state_bytes_total", help, timings.snapshot_state as f64)?;
    page.counter("weir_busy_seconds_total", "Seconds of work of live workers.", timings.busy.as_secs_f64())?;
    let help = "Seconds in which live workers might not read, because a commit was slow.";
    page.counter("weir_backpressure_seconds_total", help, timings.held_back.as_secs_f64())
}

fn behind(page: &Page, reports: &[Report], now_ms: i64) -> Result<(), prometheus::Error> {
    let lag = report::lag(reports, now_ms);
    if let Some(records) = lag.records {
        page.gauge("stream_consumer_lag", "Input records not yet processed.", records as f64)?;
    }
    if let Some(seconds) = lag.seconds {
        page.gauge(
            "weir_lag_seconds",
            "Age of the oldest input record not yet processed, in seconds.",
            seconds,
        )?;
    }
    let age = |at: i64| now_ms.saturating_sub(at) as f64 / 1_000.0;
    if let Some(at) = reports.iter().filter_map(|r| r.watermark_ms).min() {
        page.gauge("weir_watermark_lag_seconds", "Age of the lowest watermark, in seconds.", age(at))?;
    }
    if report::oldest_snapshot(reports).is_some() {
        // A unit without anything new needs no newer snapshot.
        let unsaved = reports.iter().filter_map(|r| r.oldest_unsaved_ms).min();
        let help = "Age of the oldest of the newest snapshots of units with something newer, in seconds.";
        page.gauge("weir_snapshot_age_seconds", help, unsaved.map_or(0.0, age))?;
    }
    Ok(())
}

fn components(page: &Page, reports: &[Report]) -> Result<(), prometheus::Error> {
    let bytes = reports.iter().map(|r| r.state_bytes).sum::<u64>() as f64;
    page.gauge("weir_state_bytes", "Keyed state in memory, in bytes.", bytes)?;
    let units = || reports.iter().flat_map(|r| &r.units);
    page.gauges(("weir_units", "state"), "Units by state.", units().map(|unit| (word(unit.state), 1)))?;
    let live = units().filter(|unit| unit.state == UnitState::Live).count() as f64;
    page.gauge("streaming_active_components", "Units that are live.", live)?;
    if let Some(health) = report::health(reports) {
        page.gauge("streaming_component_health", "From 0 to 1, see the reference.", health)?;
    }
    Ok(())
}

fn word(state: UnitState) -> &'static str {
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
