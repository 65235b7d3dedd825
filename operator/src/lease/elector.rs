//! Talks to the API server as the election says, and tells the term until when it lasts.

use super::election::{Election, Moment, Request};
use super::{Term, Timing};
use crate::context::{self, with_causes};
use crate::metrics::Metrics;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::runtime::events::{Event, EventType, Recorder};
use kube::{Api, Client, Resource};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Attempts to give the lease back at the end.
const RELEASES_MAX: usize = 3;

/// What an elector reports to.
#[derive(Clone)]
pub struct Handles {
    /// Told until when it lasts.
    pub term: Term,
    /// Events about the Lease.
    pub recorder: Recorder,
    /// Who leads.
    pub metrics: Metrics,
}

/// One candidate of this process.
pub struct Elector {
    leases: Api<Lease>,
    name: String,
    me: String,
    timing: Timing,
    election: Election,
    started: Instant,
    /// What was last said of us.
    said: bool,
    handles: Handles,
}

/// Why an attempt failed. It is made again after a pause.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("failed to read Lease {0}")]
    Read(String, #[source] kube::Error),
    #[error("failed to create Lease {0}")]
    Create(String, #[source] kube::Error),
    #[error("failed to write Lease {0}")]
    Write(String, #[source] kube::Error),
    #[error("the API server did not answer about Lease {0} in time")]
    Late(String),
}

impl Elector {
    /// A candidate for the Lease `name`. Nobody else may ever have the identity `me`.
    pub fn new(
        client: Client,
        namespace: &str,
        name: &str,
        me: String,
        timing: Timing,
        handles: Handles,
    ) -> Self {
        Self {
            leases: Api::namespaced(client, namespace),
            name: name.to_owned(),
            election: Election::new(name.to_owned(), me.clone(), timing),
            me,
            timing,
            started: Instant::now(),
            said: false,
            handles,
        }
    }

    /// Does not wait for its turn: the lease is taken from whoever holds it, who may work on for as long as a lease is
    /// good for.
    #[must_use]
    pub fn out_of_turn(mut self) -> Self {
        self.election.take_out_of_turn();
        self
    }

    /// An identity that nobody else has: the name that the process knows itself by, and a number drawn by chance.
    pub fn identity(name: &str) -> String {
        format!("{name}_{:016x}", drawn())
    }

    /// Competes until `finished` is true, then lets go of the lease.
    pub async fn run(mut self, mut finished: watch::Receiver<bool>) {
        while !*finished.borrow() {
            self.attempt().await;
            let told = self.tell("LeaderLost");
            let pause = tokio::time::sleep(self.pause());
            let pause = async { tokio::join!(pause, tokio::time::timeout(self.timing.retry, told)) };
            tokio::select! {
                _ = pause => {}
                // An error means that nobody is left who could want us to go on.
                _ = finished.wait_for(|finished| *finished) => break,
            }
            let now = self.now();
            self.election.look_again(now);
            self.handles.metrics.leads(self.handles.term.lasts());
        }
        self.release().await;
    }

    fn now(&self) -> Moment {
        self.started.elapsed()
    }

    /// Never past the end of the term, which is then seen to be over.
    fn pause(&self) -> Duration {
        let pause = self.timing.pause(drawn() as f64 / u64::MAX as f64);
        self.election.until().map_or(pause, |until| pause.min(until.saturating_sub(self.now())))
    }

    /// Reads and writes once. Ends before the term does.
    async fn attempt(&mut self) {
        let left = self.election.until().map(|until| until.saturating_sub(self.now()));
        let patience =
            left.filter(|left| !left.is_zero()).map_or(self.timing.call, |left| left.min(self.timing.call));
        let result = match tokio::time::timeout(patience, self.read_and_write()).await {
            Ok(result) => result,
            Err(_) => Err(Error::Late(self.name.clone())),
        };
        if let Err(error) = result {
            self.election.failed();
            tracing::warn!(error = with_causes(&error), "the lease could not be looked after");
        }
        self.handles.term.set(self.election.until().map(|until| self.started + until));
    }

    async fn read_and_write(&mut self) -> Result<(), Error> {
        loop {
            let sent_at = self.now();
            match self.election.next(sent_at, Timestamp::now()) {
                Request::Nothing => return Ok(()),
                Request::Read => {
                    let found = self.leases.get_opt(&self.name).await;
                    let found = found.map_err(|source| Error::Read(self.name.clone(), source))?;
                    let now = self.now();
                    self.election.found(found, now);
                }
                Request::Create(lease) => {
                    let made = self.leases.create(&PostParams::default(), &lease).await;
                    let made = made.map_err(|source| Error::Create(self.name.clone(), source))?;
                    self.election.wrote(made, sent_at);
                    return Ok(());
                }
                Request::Replace(lease) => {
                    let written = self.leases.replace(&self.name, &PostParams::default(), &lease).await;
                    let written = written.map_err(|source| Error::Write(self.name.clone(), source))?;
                    self.election.wrote(written, sent_at);
                    return Ok(());
                }
            }
        }
    }

    /// Says that a term has begun or ended, if it has.
    fn tell(&mut self, end: &'static str) -> impl Future<Output = ()> + use<> {
        let leads = self.handles.term.lasts();
        self.handles.metrics.leads(leads);
        let changed = std::mem::replace(&mut self.said, leads) != leads;
        let event = changed.then(|| {
            let reason = if leads { "LeaderElected" } else { end };
            let holder = self.election.holder().unwrap_or("nobody");
            tracing::info!(lease = self.name, me = self.me, holder, reason, "the leader changes");
            let what = if leads { "leads" } else { "does not lead any more" };
            let note = format!("{} {what}", self.me);
            let type_ = if reason == "LeaderLost" { EventType::Warning } else { EventType::Normal };
            let action = format!("Lead-{}", self.me);
            Event { type_, reason: reason.to_owned(), note: Some(note), action, secondary: None }
        });
        publish(self.handles.recorder.clone(), event, self.reference())
    }

    fn reference(&self) -> ObjectReference {
        let mut lease = Lease::default();
        lease.metadata.name = Some(self.name.clone());
        lease.metadata.namespace = self.leases.namespace().map(str::to_owned);
        lease.object_ref(&())
    }

    /// Lets somebody else begin. What we did is over: without a term nobody works.
    async fn release(&mut self) {
        self.handles.term.set(None);
        for _ in 0..RELEASES_MAX {
            let Some(lease) = self.election.release(Timestamp::now()) else { break };
            let parameters = PostParams::default();
            let written = self.leases.replace(&self.name, &parameters, &lease);
            match tokio::time::timeout(self.timing.retry, written).await {
                Ok(Ok(_)) => {
                    tracing::info!(lease = self.name, me = self.me, "the lease is released");
                    break;
                }
                // Our own last renewal may have had its effect without an answer.
                Ok(Err(kube::Error::Api(status))) if status.is_conflict() => {
                    let found =
                        tokio::time::timeout(self.timing.retry, self.leases.get_opt(&self.name)).await;
                    let Ok(Ok(found)) = found else { break };
                    let now = self.now();
                    self.election.found(found, now);
                }
                _ => break,
            }
        }
        // The process ends: an event that is not written by then is none.
        let _ = tokio::time::timeout(self.timing.retry, self.tell("LeaderReleased")).await;
    }
}

async fn publish(recorder: Recorder, event: Option<Event>, about: ObjectReference) {
    if let Some(event) = event {
        context::publish(&recorder, &event, &about).await;
    }
}

/// A number drawn by chance. The keys of the standard library's hasher are.
fn drawn() -> u64 {
    RandomState::new().build_hasher().finish()
}
