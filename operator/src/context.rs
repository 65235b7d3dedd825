//! What every reconcile needs: the client, the pods, the settings, and memory that only speeds up or smooths.

use crate::backoff;
use crate::metrics::Metrics;
use crate::pipeline::report::Counted;
use crate::pods::Pods;
use crate::scaling::controller::Memory;
use crate::settings::Settings;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Name under which the operator owns fields of objects.
pub const FIELD_MANAGER: &str = "weir-operator";

/// Longest note of an event that the API server takes, in bytes.
const NOTE_BYTES_MAX: usize = 1_000;

/// Cuts a note to what the API server takes.
pub fn bounded_note(mut note: String) -> String {
    note.truncate(note.floor_char_boundary(NOTE_BYTES_MAX));
    note
}

/// Failures in a row after which an event says so. Fewer are an API server or a network that was busy.
const FAILURES_TO_SAY: u32 = 4;

/// An error with everything that caused it, in one line.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        // What the API server says is meant for people; what the client makes of it is not.
        if let Some(kube::Error::Api(status)) = error.downcast_ref() {
            text.push_str(&status.message);
            return text;
        }
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Publishes an event. It is a courtesy: what it says is in the log or in a status as well, and nothing fails for it.
pub async fn publish(recorder: &Recorder, event: &Event, about: &ObjectReference) {
    if let Err(error) = recorder.publish(event, about).await {
        tracing::debug!(reason = event.reason, error = with_causes(&error), "an event was not written");
    }
}

/// What every reconcile needs.
pub struct Context {
    /// The API server.
    pub client: Client,
    /// The control API of the pods.
    pub pods: Pods,
    /// Events.
    pub recorder: Recorder,
    /// How the operator was started.
    pub settings: Settings,
    /// What is counted.
    pub metrics: Metrics,
    /// Reconciles that failed in a row, by object.
    failures: Mutex<HashMap<String, u32>>,
    /// Counters of the pods at the last look, by uid of the pipeline. Losing it loses no decision: what is counted
    /// while it is lost is missing from a column.
    counted: Mutex<HashMap<String, Counted>>,
    /// What is remembered of scaling policies, by uid. Losing it delays decisions.
    scaling: Mutex<HashMap<String, Memory>>,
}

impl Context {
    /// Puts the parts together.
    pub fn new(client: Client, pods: Pods, recorder: Recorder, settings: Settings, metrics: Metrics) -> Self {
        Self {
            client,
            pods,
            recorder,
            settings,
            metrics,
            failures: Mutex::default(),
            counted: Mutex::default(),
            scaling: Mutex::default(),
        }
    }

    /// How long to wait after the failure of `key`.
    pub fn pause_after_failure(&self, key: &str) -> Duration {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failures.entry(key.to_owned()).or_default();
        *count = count.saturating_add(1);
        backoff::after_failures(key, *count)
    }

    /// Says in an event that the reconciles of an object fail again and again: its status may be what cannot be written.
    /// Said when it has failed some times, and each time that has doubled.
    async fn complain(&self, key: &str, about: &ObjectReference, error: &(dyn std::error::Error + Sync)) {
        let failures =
            self.failures.lock().unwrap_or_else(PoisonError::into_inner).get(key).map_or(1, |n| n + 1);
        if failures < FAILURES_TO_SAY || !failures.is_power_of_two() {
            return;
        }
        let note = bounded_note(with_causes(error));
        let event = Event {
            type_: EventType::Warning,
            reason: "ReconcileFailed".to_owned(),
            note: Some(note),
            action: "Reconcile".to_owned(),
            secondary: None,
        };
        publish(&self.recorder, &event, about).await;
    }

    /// Counts a reconcile of `key` that began then, and says so when its failures do not end.
    pub async fn conclude<T, E: std::error::Error + Sync>(
        &self,
        (kind, key): (&'static str, &str),
        about: &ObjectReference,
        began: Instant,
        result: &Result<T, E>,
    ) {
        self.metrics.reconciled(kind, result.is_ok(), began.elapsed());
        match result {
            Ok(_) => self.succeeded(key),
            Err(error) => self.complain(key, about, error).await,
        }
    }

    /// The failures of `key` are over.
    fn succeeded(&self, key: &str) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    /// The counters of the pods of `uid` at the last look.
    pub fn counted(&self, uid: &str) -> Counted {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner).get(uid).cloned().unwrap_or_default()
    }

    /// Keeps the counters of the pods of `uid`, or forgets them.
    pub fn keep_counted(&self, uid: &str, counted: Option<Counted>) {
        let mut all = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        match counted {
            Some(counted) => all.insert(uid.to_owned(), counted),
            None => all.remove(uid),
        };
    }

    /// What is remembered of the scaling policy `uid`.
    pub fn scaling(&self, uid: &str) -> Option<Memory> {
        self.scaling.lock().unwrap_or_else(PoisonError::into_inner).get(uid).cloned()
    }

    /// Forgets the scaling policies that are not known, when more are remembered than there are.
    pub fn forget_scaling(&self, policies: usize, known: impl Fn(&str) -> bool) {
        let mut all = self.scaling.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() > policies {
            all.retain(|uid, _| known(uid));
        }
    }

    /// Remembers something of the scaling policy `uid`, or forgets it.
    pub fn keep_scaling(&self, uid: &str, memory: Option<Memory>) {
        let mut all = self.scaling.lock().unwrap_or_else(PoisonError::into_inner);
        match memory {
            Some(memory) => all.insert(uid.to_owned(), memory),
            None => all.remove(uid),
        };
    }

    /// Forgets everything: while another operator works, what was remembered grows old.
    pub fn forget(&self) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.counted.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.scaling.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
