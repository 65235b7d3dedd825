//! What to do next about a savepoint: from what is seen to a status, actions, and when to look again. Pure.
//!
//! What was saved is final, and so is a failure for good: neither is looked at again. Everything else is repeated by the next
//! look, because every action is idempotent by the name of its Job.

use super::build::{folder, patience};
use super::observe::{Observed, PipelineSeen};
use crate::job::JobSeen;
use crate::pipeline::build::upgrade_name;
use ::pipeline::plan::check_savepoint;
use ::pipeline::spec::{CheckpointStorage, DeletionPolicy, StreamSavepointSpec};
use control::Reason;
use control::call::bounded_message;
use control::savepoint::{Failed, JobResult, Taken};
use crds::savepoint::{Failure, Trigger};
use crds::{StreamPipeline, StreamSavepointStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use std::time::Duration;

/// How long it is tried, from the first attempt on, when nothing is known of the pipeline any more.
const GIVE_UP_SECONDS: i64 = 600;
/// Pause after the first attempt that failed; it doubles with each further one.
const PAUSE_SECONDS: i64 = 5;
/// Longest pause between two attempts.
const PAUSE_SECONDS_MAX: i64 = 60;
/// How long a savepoint that was deleted waits for what was saved to be deleted.
const DELETE_SECONDS: i64 = 300;
/// Watches wake the operator for what it waits for; a look besides costs little.
const LOOK_AGAIN: Duration = Duration::from_secs(15);

/// What to do next.
#[derive(Clone, Debug)]
pub struct Decision {
    /// What the status has to say before anything is done, but for its conditions.
    pub status: StreamSavepointStatus,
    /// How far it is.
    pub course: Course,
    /// What is to be done, in this order.
    pub actions: Vec<Action>,
    /// When to look again even if nothing changes; never when nothing is left to be done.
    pub look_again: Option<Duration>,
    /// What was saved is left although it should have been deleted.
    pub left: bool,
}

/// How far a savepoint is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Course {
    /// The state is saved.
    Taken,
    /// It did not work, and is not tried again.
    Failed(Failure),
    /// Somebody has to change something first: why, and what.
    Refused(Reason, String),
    /// It waits for this.
    Waits(String),
    /// It was deleted.
    Deleting,
}

/// One thing to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// From now on the object may only disappear after what was saved.
    AddFinalizer,
    /// The object may disappear.
    RemoveFinalizer,
    /// The Job that saves, of the attempt that the status names.
    Take,
    /// This Job goes, after it has ended or in its midst.
    ForgetTake,
    /// The Job that deletes what was saved.
    Delete,
    /// This Job goes, so that another one can be made.
    ForgetDelete,
}

/// Decides what to do next.
pub fn decide(observed: &Observed) -> Decision {
    let mut status = observed.status();
    status.trigger = Some(observed.trigger());
    let mut decider = Decider { observed, status, actions: Vec::new(), left: false };
    let (course, look_again) = if observed.deleting() { decider.delete() } else { decider.go_on() };
    Decision { status: decider.status, course, actions: decider.actions, look_again, left: decider.left }
}

/// Nothing will change any more.
pub fn is_over(status: &StreamSavepointStatus) -> bool {
    status.manifest_hash.is_some() || status.failure.as_ref().is_some_and(|failure| failure.last)
}

/// A decision in the making.
struct Decider<'a> {
    observed: &'a Observed,
    status: StreamSavepointStatus,
    actions: Vec<Action>,
    left: bool,
}

type Next = (Course, Option<Duration>);

impl Decider<'_> {
    fn go_on(&mut self) -> Next {
        if self.status.manifest_hash.is_some() {
            self.forget_take();
            return (Course::Taken, None);
        }
        if let Some(failure) = self.status.failure.clone().filter(|failure| failure.last) {
            self.forget_take();
            return (Course::Failed(failure), None);
        }
        match (self.status.attempts, self.status.next_attempt.clone()) {
            (None, _) => self.begin(),
            (Some(_), None) => self.attend(),
            (Some(_), Some(at)) if at.0 > self.observed.now => {
                self.forget_take();
                self.pause(at.0)
            }
            // Two that write the same folder would not know of each other.
            (Some(_), Some(_)) if self.observed.take.is_some() => {
                self.forget_take();
                waits("waits for the Job before to disappear")
            }
            (Some(attempt), Some(_)) => self.attempt(attempt + 1),
        }
    }

    /// Nothing was tried yet: can it be?
    fn begin(&mut self) -> Next {
        let storage = self.observed.savepoint.spec.storage.clone();
        match storage.and_then(|storage| problems_of(storage, self.observed)) {
            Some(message) => refused(Reason::ConfigInvalid, message),
            None => self.attempt(1),
        }
    }

    /// The Job of the present attempt is there, will be, or has ended.
    fn attend(&mut self) -> Next {
        match &self.observed.take {
            // It was not made yet, or is lost with what it would have said; to save again does no harm.
            None => {
                self.protect();
                self.actions.push(Action::Take);
                waits("the Job that saves the state is made")
            }
            Some(JobSeen::Running(None)) => waits("waits for the Job that saves the state"),
            Some(JobSeen::Running(Some(trouble))) => {
                waits(&format!("waits for the Job that saves the state: {trouble}"))
            }
            Some(JobSeen::Going) => waits("waits for a Job that was deleted to disappear"),
            Some(JobSeen::Ended(end)) => match end.said.clone() {
                Ok(JobResult::Taken(taken)) => self.take(taken),
                Ok(JobResult::Failed(failed)) => self.fail(failed),
                Ok(JobResult::Restored(_) | JobResult::Deleted) => {
                    self.fail(silent("its Job has said something that is not about saving".to_owned()))
                }
                Err(why) => self.fail(silent(why)),
            },
        }
    }

    fn take(&mut self, taken: Taken) -> Next {
        let at = Timestamp::from_millisecond(taken.taken_at_ms).unwrap_or(self.observed.now);
        self.status.manifest_hash = Some(taken.manifest_hash);
        self.status.bytes = i64::try_from(taken.bytes).ok();
        self.status.size = Some(size(taken.bytes));
        self.status.units = Some(i64::from(taken.units));
        self.status.generation = Some(taken.generation);
        self.status.drained = Some(taken.drained);
        self.status.taken_at = Some(Time(at));
        self.status.failure = None;
        self.forget_take();
        (Course::Taken, None)
    }

    fn fail(&mut self, failed: Failed) -> Next {
        let now = self.observed.now;
        let first = self.status.first_attempt.as_ref().map_or(now, |first| first.0);
        let patience = self.observed.pipeline.object().map_or(GIVE_UP_SECONDS, |seen| patience(&seen.spec));
        let last = failed.permanent || later(first, patience) <= now;
        let reason = failed.reason.unwrap_or(Reason::SavepointFailed);
        let failure = Failure {
            reason: if failed.permanent { reason } else { Reason::SavepointFailed }.as_str().to_owned(),
            message: bounded_message(failed.message),
            last,
        };
        self.status.failure = Some(failure.clone());
        self.forget_take();
        if last {
            return (Course::Failed(failure), None);
        }
        let at = later(now, pause(self.status.attempts.unwrap_or(1)));
        self.status.next_attempt = Some(Time(at));
        self.pause(at)
    }

    /// It failed, and is tried again at this time.
    fn pause(&self, at: Timestamp) -> Next {
        let why = self.status.failure.as_ref().map_or("", |failure| failure.message.as_str());
        let message = bounded_message(format!("it did not work, and is tried again: {why}"));
        let left = Duration::try_from(at.duration_since(self.observed.now)).unwrap_or_default();
        (Course::Waits(message), Some(left.clamp(Duration::from_secs(1), LOOK_AGAIN)))
    }

    /// A Job is made, once the pipeline stands as a whole; what it does is written down first.
    fn attempt(&mut self, number: i64) -> Next {
        let name = &self.observed.savepoint.spec.pipeline_ref.name;
        let pipeline = match &self.observed.pipeline {
            PipelineSeen::Missing if number == 1 => {
                let message =
                    format!("StreamPipeline `{name}` does not exist; create it, or correct the name");
                return refused(Reason::RefNotFound, message);
            }
            PipelineSeen::Missing => return self.give_up(format!("StreamPipeline `{name}` is gone")),
            PipelineSeen::Unreadable(why) => {
                let message = format!("StreamPipeline/{name} cannot be read: {why}");
                return refused(Reason::ConfigInvalid, message);
            }
            PipelineSeen::Here { pipeline, .. } => pipeline,
        };
        let at_the_end = self.observed.trigger() == Trigger::Termination;
        let deleted = pipeline.metadata.deletion_timestamp.is_some();
        if deleted && !at_the_end {
            let message = format!("StreamPipeline `{name}` is being deleted, and nothing of it was saved");
            return self.give_up(message);
        }
        if let Err(next) = self.choose_place(pipeline) {
            return next;
        }
        let status = pipeline.status.clone().unwrap_or_default();
        // At its end the pipeline waits for nothing but this.
        // A change waits for nothing but this, too.
        let waited_for = upgrade_name(pipeline).as_deref() == Some(&self.observed.savepoint.name_any());
        let stands = deleted || (status.transition.is_none() || waited_for) && status.promoted == Some(true);
        let Some(facts) = self.observed.pipeline.facts().filter(|_| stands) else {
            return waits(&format!("waits for StreamPipeline `{name}` to run or to be suspended"));
        };
        if let Some(place) = &facts.file.restore {
            let from = &place.uri;
            return waits(&format!(
                "StreamPipeline `{name}` has done nothing since it was restored from {from}, which is its state: waits for it to run"
            ));
        }
        self.status.attempts = Some(number);
        self.status.next_attempt = None;
        self.status.generation = Some(facts.file.generation);
        self.status.revision = status.revision;
        self.status.first_attempt.get_or_insert(Time(self.observed.now));
        self.protect();
        self.actions.push(Action::Take);
        waits("the Job that saves the state is made")
    }

    /// Where the state goes, written down before anything is there.
    fn choose_place(&mut self, pipeline: &StreamPipeline) -> Result<(), Next> {
        if self.status.uri.is_some() {
            return Ok(());
        }
        let of_pipeline =
            pipeline.spec.checkpoint.as_ref().and_then(|checkpoint| checkpoint.storage.as_ref());
        let Some(storage) = self.observed.savepoint.spec.storage.as_ref().or(of_pipeline) else {
            let message = format!(
                "there is no place for the state: set `spec.storage` of a new savepoint, or `spec.checkpoint.storage` of StreamPipeline `{}`",
                pipeline.name_any()
            );
            return Err(refused(Reason::ConfigInvalid, message));
        };
        let CheckpointStorage { uri, secret_ref, endpoint, region } = storage;
        let uri = folder(uri, &self.observed.savepoint);
        if uri.starts_with("file:") {
            let message = format!(
                "`{uri}` would be inside of the Job's pod, and go with it: set `spec.storage` of a new savepoint to a bucket"
            );
            return Err(refused(Reason::ConfigInvalid, message));
        }
        // Whoever restores it writes this address, which has to be one.
        let problems = problems_of(CheckpointStorage { uri: uri.clone(), ..storage.clone() }, self.observed);
        if let Some(message) = problems {
            return Err(refused(Reason::ConfigInvalid, message));
        }
        self.status.uri = Some(uri);
        self.status.secret = secret_ref.as_ref().map(|secret| secret.name.clone());
        self.status.endpoint.clone_from(endpoint);
        self.status.region.clone_from(region);
        Ok(())
    }

    fn give_up(&mut self, message: String) -> Next {
        let reason = Reason::SavepointFailed.as_str().to_owned();
        let failure = Failure { reason, message, last: true };
        self.status.failure = Some(failure.clone());
        (Course::Failed(failure), None)
    }

    fn protect(&mut self) {
        let deletes = self.observed.savepoint.spec.deletion_policy == Some(DeletionPolicy::Delete);
        if deletes && !self.observed.is_protected() {
            self.actions.push(Action::AddFinalizer);
        }
    }

    /// What the Job has said stands in the status.
    fn forget_take(&mut self) {
        if self.observed.take.as_ref().is_some_and(|job| *job != JobSeen::Going) {
            self.actions.push(Action::ForgetTake);
        }
    }

    /// What was saved goes first; and before it whoever might still save.
    fn delete(&mut self) -> Next {
        let next = (Course::Deleting, Some(Duration::from_secs(2)));
        if !self.observed.is_protected() {
            return (Course::Deleting, None);
        }
        let deleted = self.observed.savepoint.metadata.deletion_timestamp.as_ref();
        let late = deleted.is_some_and(|at| later(at.0, DELETE_SECONDS) <= self.observed.now);
        let hopeless = |failed: &Failed| failed.permanent;
        match (&self.observed.take, &self.observed.delete) {
            _ if self.status.attempts.is_none() => self.actions.push(Action::RemoveFinalizer),
            (_, Some(JobSeen::Ended(end))) if end.said == Ok(JobResult::Deleted) => {
                self.actions.push(Action::RemoveFinalizer);
            }
            _ if late => self.leave(),
            (Some(JobSeen::Going), _) | (None, Some(JobSeen::Running(_) | JobSeen::Going)) => {}
            (Some(_), _) => self.actions.push(Action::ForgetTake),
            (None, None) => self.actions.push(Action::Delete),
            (None, Some(JobSeen::Ended(end))) => match &end.said {
                Ok(JobResult::Failed(failed)) if hopeless(failed) => self.leave(),
                _ => self.actions.push(Action::ForgetDelete),
            },
        }
        next
    }

    /// Deleting never hangs because a store is gone.
    fn leave(&mut self) {
        self.left = true;
        self.actions.push(Action::RemoveFinalizer);
    }
}

fn problems_of(storage: CheckpointStorage, observed: &Observed) -> Option<String> {
    let spec = StreamSavepointSpec { storage: Some(storage), ..observed.savepoint.spec.clone() };
    let problems = check_savepoint(&observed.savepoint.name_any(), &spec);
    let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
    (!texts.is_empty()).then(|| texts.join("\n"))
}

fn waits(for_what: &str) -> Next {
    (Course::Waits(bounded_message(for_what.to_owned())), Some(LOOK_AGAIN))
}

fn refused(reason: Reason, message: String) -> Next {
    (Course::Refused(reason, bounded_message(message)), Some(LOOK_AGAIN))
}

/// A Job that was killed, or could not begin, may do better next time.
fn silent(message: String) -> Failed {
    Failed { reason: None, message, permanent: false }
}

fn pause(attempts: i64) -> i64 {
    let doublings = attempts.clamp(1, 8) - 1;
    (PAUSE_SECONDS << doublings).min(PAUSE_SECONDS_MAX)
}

fn later(from: Timestamp, seconds: i64) -> Timestamp {
    from.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}

/// A number of bytes for people: three digits at most, and what they count.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 1_000.0 && unit + 1 < UNITS.len() {
        (value, unit) = (value / 1_024.0, unit + 1);
    }
    let digits = usize::from(unit > 0 && value < 99.95);
    format!("{value:.digits$} {}", UNITS[unit])
}
