//! `/health` and `/ready` on one address, `/metrics` on another.

use crate::metrics::Metrics;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// Why a server ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be listened on.
    #[error("failed to listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The server failed.
    #[error("failed to serve {address}")]
    Serve {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// True once the first list of every watched kind is done, until shutdown begins.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// Says whether the operator does its work.
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Release);
    }
}

/// Serves `/health` and `/ready` until `stop` turns true.
pub async fn health(
    address: SocketAddr,
    readiness: Readiness,
    stop: watch::Receiver<bool>,
) -> Result<(), Error> {
    let ready = |State(readiness): State<Readiness>| async move {
        if readiness.0.load(Ordering::Acquire) {
            (StatusCode::OK, "ready\n")
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, "not all objects are listed yet\n")
        }
    };
    let router = Router::new()
        .route("/health", get(async || "alive\n"))
        .route("/ready", get(ready))
        .with_state(readiness);
    serve(address, router, stop).await
}

/// Serves `/metrics` until `stop` turns true.
pub async fn metrics(
    address: SocketAddr,
    metrics: Metrics,
    stop: watch::Receiver<bool>,
) -> Result<(), Error> {
    let text = |State(metrics): State<Metrics>| async move {
        metrics.text().map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
    };
    serve(address, Router::new().route("/metrics", get(text)).with_state(metrics), stop).await
}

async fn serve(address: SocketAddr, router: Router, mut stop: watch::Receiver<bool>) -> Result<(), Error> {
    let listener = TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })?;
    let stopped = async move {
        // An error means that the sender is gone, which is the end as well.
        let _ = stop.wait_for(|stop| *stop).await;
    };
    axum::serve(listener, router)
        .with_graceful_shutdown(stopped)
        .await
        .map_err(|source| Error::Serve { address, source })
}
