//! The HTTP side of a pod: control API and probes on one port, metrics on another. It records intents and shows
//! reports; it decides nothing.

use crate::pod::{Intents, Pod};
use crate::secrets::Secrets;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use control::call::{
    Accepted, DRAIN_ROUTE, Drain, DrainId, PROMOTE_ROUTE, RESUME_ROUTE, Refused, STATUS_PATH,
};
use control::status::UnitState;
use control::{GenerationFile, PodStatus};
use std::sync::Arc;
use std::time::Duration;

/// What the handlers need.
#[derive(Clone)]
pub struct Served {
    /// Intents and reports.
    pub pod: Arc<Pod>,
    /// The generation of this pod.
    pub generation: Arc<GenerationFile>,
    /// Start of the process, milliseconds since the epoch.
    pub started_at_ms: i64,
    /// The Secrets that the plan refers to.
    pub secrets: Arc<Secrets>,
}

/// The routes of the control port.
pub fn control_routes(served: Served) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/ready", get(ready))
        .route(STATUS_PATH, get(status))
        .route(PROMOTE_ROUTE, post(promote))
        .route(DRAIN_ROUTE, post(drain))
        .route(RESUME_ROUTE, post(resume))
        .with_state(served)
}

/// The routes of the metrics port.
pub fn metrics_routes(served: Served) -> Router {
    Router::new().route("/metrics", get(crate::metrics::page)).with_state(served)
}

/// Workers speak four times a second. One that is silent for so long is stuck in a call that does not come back, and only
/// a restart of the process helps: it loses nothing.
const SILENCE_MAX: Duration = Duration::from_mins(3);

async fn health(State(served): State<Served>) -> Response {
    alive(served.pod.silence())
}

fn alive(silence: Duration) -> Response {
    if silence < SILENCE_MAX {
        return "ok".into_response();
    }
    let text = format!("a worker has been silent for {} s\n", silence.as_secs());
    (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
}

/// Ready means: every worker of this pod knows its units, and every unit is live.
async fn ready(State(served): State<Served>) -> Response {
    let reports = served.pod.reports();
    let waiting: Vec<_> =
        reports.iter().flat_map(|r| &r.units).filter(|u| u.state != UnitState::Live).collect();
    match waiting.first() {
        _ if !crate::report::units_known(&reports) => {
            (StatusCode::SERVICE_UNAVAILABLE, "starting\n").into_response()
        }
        None => "ready\n".into_response(),
        Some(unit) => {
            let text =
                format!("{} units wait, {}/{} is {:?}\n", waiting.len(), unit.stage, unit.unit, unit.state);
            (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
        }
    }
}

async fn status(State(served): State<Served>) -> Json<PodStatus> {
    Json(crate::report::pod_status(&served, served.secrets.look(), crate::clock::wall_ms()))
}

async fn promote(State(served): State<Served>, Path(generation): Path<u64>) -> Response {
    let mine = served.generation.generation;
    if generation != mine {
        return refused(mine, format!("this pod is of generation {mine}, not {generation}"));
    }
    served.pod.intend(|intents| intents.promoted = Some(generation));
    accepted(mine)
}

async fn drain(State(served): State<Served>, Path(id): Path<String>, Json(body): Json<Drain>) -> Response {
    let mine = served.generation.generation;
    let id = match DrainId::new(id) {
        Ok(id) => id,
        Err(error) => return refused(mine, error.to_string()),
    };
    match served.pod.intend(|intents| ask_drain(intents, id, body.cut)) {
        Ok(()) => accepted(mine),
        Err(other) => refused(mine, format!("drain `{other}` is not resumed")),
    }
}

/// The same drain may be asked again; another one only after the first was resumed.
fn ask_drain(intents: &mut Intents, id: DrainId, cut: bool) -> Result<(), DrainId> {
    match &intents.drain {
        Some((running, _)) if *running != id && intents.resumed.as_ref() != Some(running) => {
            Err(running.clone())
        }
        _ => {
            intents.drain = Some((id, cut));
            Ok(())
        }
    }
}

async fn resume(State(served): State<Served>, Path(id): Path<String>) -> Response {
    let mine = served.generation.generation;
    match DrainId::new(id) {
        Err(error) => refused(mine, error.to_string()),
        Ok(id) => served.pod.intend(|intents| match &intents.drain {
            Some((newest, _)) if *newest != id => refused(mine, format!("the newest drain is `{newest}`")),
            _ => {
                intents.resumed = Some(id);
                accepted(mine)
            }
        }),
    }
}

fn accepted(generation: u64) -> Response {
    (StatusCode::ACCEPTED, Json(Accepted { generation })).into_response()
}

fn refused(generation: u64, message: String) -> Response {
    (StatusCode::CONFLICT, Json(Refused { generation, message })).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_a_worker_that_is_stuck_is_not_alive() {
        assert_eq!(alive(Duration::from_secs(179)).status(), StatusCode::OK);
        assert_eq!(alive(Duration::from_secs(180)).status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(Pod::default().silence(), Duration::ZERO, "who has said nothing yet is starting");
    }
}
