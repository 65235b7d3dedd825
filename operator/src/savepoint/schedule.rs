//! Savepoints by the clock, and how many are kept of those of before a change. By the clock one is created when its time has come, at most one at a time, and old ones are deleted. They belong to
//! nobody, so that they survive the pipeline.
//!
//! When a time was followed last stands in the status of the pipeline. A savepoint is created before that is written, under a name
//! that says its minute: a look that ends between the two creates the same one again, or notices that it is there.

use super::TRIGGER_LABEL;
use super::decide::is_over;
use crate::context::{Context, FIELD_MANAGER, with_causes};
use crate::pipeline::PIPELINE_LABEL;
use crate::pipeline::build::labels;
use crate::pipeline::report::write_status;
use ::pipeline::scaling::Clock;
use ::pipeline::spec::{DeletionPolicy, NameRef, StreamSavepointSpec};
use crds::{StreamPipeline, StreamSavepoint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::controller::Action;
use kube::{Api, Resource, ResourceExt};
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Time between two looks at a pipeline with a schedule.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// Savepoints of before a change that are kept, where nothing else is said.
const HISTORY_LIMIT: usize = 10;
/// Savepoints that failed and are kept, so that somebody can see why.
const FAILED_KEPT: usize = 3;

/// Why a look failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The pipeline.
    #[error("failed to read StreamPipeline {0}")]
    Read(String, #[source] kube::Error),
    /// Its savepoints.
    #[error("failed to list the savepoints of StreamPipeline {0}")]
    List(String, #[source] kube::Error),
    /// A savepoint whose time has come.
    #[error("failed to create StreamSavepoint {0}")]
    Create(String, #[source] kube::Error),
    /// A savepoint that is old.
    #[error("failed to delete StreamSavepoint {0}")]
    Delete(String, #[source] kube::Error),
    /// When a time was followed last.
    #[error("failed to write the status of StreamPipeline {0}")]
    Write(String, #[source] kube::Error),
}

/// One savepoint of the schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scheduled {
    /// Its name.
    pub name: String,
    /// When it was created.
    pub at: Timestamp,
    /// How far it is.
    pub how: How,
}

/// How far a savepoint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It is not over.
    Open,
    /// It holds the state.
    Ready,
    /// It holds nothing, and never will.
    Failed,
    /// It was deleted already.
    Going,
}

/// What is to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// A savepoint is created.
    pub creates: bool,
    /// From now on times count that come later.
    pub marks: bool,
    /// Savepoints that go.
    pub deletes: Vec<String>,
}

/// Decides what is to be done at `now`. `last` is when a time was followed last; none when the schedule is seen first, which
/// makes up for nothing. Pure.
pub fn decide(
    clock: &Clock,
    last: Option<Timestamp>,
    may_be_saved: bool,
    all: &[Scheduled],
    now: Timestamp,
) -> Turn {
    let mut turn = Turn::default();
    let newest = all.iter().map(|savepoint| savepoint.at).max();
    match last {
        None => turn.marks = may_be_saved,
        Some(last) => {
            let open = all.iter().any(|savepoint| savepoint.how == How::Open);
            // One may have been created without a word about it.
            let last = newest.map_or(last, |newest| newest.max(last));
            turn.creates = may_be_saved && !open && clock.is_due(last, now);
            turn.marks = turn.creates;
        }
    }
    turn.deletes = too_many(all, clock.history_limit());
    turn
}

/// The oldest of those that are beyond what is kept.
fn too_many(all: &[Scheduled], limit: usize) -> Vec<String> {
    let mut names = Vec::new();
    for (how, kept) in [(How::Ready, limit), (How::Failed, FAILED_KEPT)] {
        let mut of_it: Vec<&Scheduled> = all.iter().filter(|savepoint| savepoint.how == how).collect();
        of_it.sort_by_key(|savepoint| std::cmp::Reverse(savepoint.at));
        names.extend(of_it.into_iter().skip(kept).map(|savepoint| savepoint.name.clone()));
    }
    names
}

/// A savepoint is taken before each change of the plan.
fn saves_first(pipeline: &StreamPipeline) -> bool {
    pipeline.spec.update_strategy.as_ref().and_then(|strategy| strategy.savepoint) == Some(true)
}

/// Looks at one pipeline.
pub async fn reconcile(
    object: Arc<DeserializeGuard<StreamPipeline>>,
    context: Arc<Context>,
) -> Result<Action, Error> {
    let Ok(cached) = &object.0 else { return Ok(Action::await_change()) };
    let known = cached.status.as_ref().is_some_and(|status| status.last_scheduled_savepoint.is_some());
    if cached.spec.savepoints.is_none() && !known && !saves_first(cached) {
        return Ok(Action::await_change());
    }
    let began = Instant::now();
    let result = step(cached, &context).await;
    context.conclude(("SavepointSchedule", &key(&object)), &object.object_ref(&()), began, &result).await;
    result
}

async fn step(cached: &StreamPipeline, context: &Context) -> Result<Action, Error> {
    let (namespace, name) = (cached.namespace().unwrap_or_default(), cached.name_any());
    let api: Api<DeserializeGuard<StreamPipeline>> = Api::namespaced(context.client.clone(), &namespace);
    let found = api.get_opt(&name).await.map_err(|source| Error::Read(name.clone(), source))?;
    let Some(DeserializeGuard(Ok(pipeline))) = found else { return Ok(Action::await_change()) };
    if pipeline.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let look = Look { context, pipeline: &pipeline, namespace: &namespace, name: &name };
    if saves_first(&pipeline) {
        let limit = pipeline.spec.savepoints.as_ref().and_then(|savepoints| savepoints.history_limit);
        let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(HISTORY_LIMIT);
        for name in too_many(&look.all("Upgrade").await?, limit) {
            look.delete(name).await?;
        }
    }
    let Some(savepoints) = &pipeline.spec.savepoints else {
        // A schedule that comes back begins anew.
        if pipeline.status.as_ref().is_some_and(|status| status.last_scheduled_savepoint.is_some()) {
            look.mark(None).await?;
        }
        // Without a schedule only a change of the pipeline makes another one.
        return Ok(Action::await_change());
    };
    // What is wrong with it stands in the status of the pipeline.
    let Ok(clock) = Clock::build(savepoints) else { return Ok(Action::await_change()) };
    let now = Timestamp::now();
    let status = pipeline.status.as_ref();
    let last = status.and_then(|status| status.last_scheduled_savepoint.as_ref()).map(|last| last.0);
    let works = status.is_some_and(|status| status.promoted == Some(true));
    let may_be_saved = works && pipeline.spec.suspend != Some(true);
    let turn = decide(&clock, last, may_be_saved, &look.all("Schedule").await?, now);
    if turn.creates {
        look.create(now).await?;
    }
    if turn.marks {
        look.mark(Some(now)).await?;
    }
    for name in turn.deletes {
        look.delete(name).await?;
    }
    Ok(Action::requeue(LOOK_AGAIN))
}

/// A look in the making.
struct Look<'a> {
    context: &'a Context,
    pipeline: &'a StreamPipeline,
    namespace: &'a str,
    name: &'a str,
}

impl Look<'_> {
    fn savepoints<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    {
        Api::namespaced(self.context.client.clone(), self.namespace)
    }

    async fn all(&self, trigger: &str) -> Result<Vec<Scheduled>, Error> {
        let labels = format!("{PIPELINE_LABEL}={},{TRIGGER_LABEL}={trigger}", self.name);
        let parameters = ListParams::default().labels(&labels);
        let found = self.savepoints::<DeserializeGuard<StreamSavepoint>>().list(&parameters).await;
        let found = found.map_err(|source| Error::List(self.name.to_owned(), source))?;
        // One that cannot be read is left to whoever has written it.
        let readable = found.items.iter().filter_map(|savepoint| savepoint.0.as_ref().ok());
        Ok(readable.filter_map(scheduled).collect())
    }

    async fn create(&self, now: Timestamp) -> Result<(), Error> {
        let savepoint = savepoint(self.pipeline, now);
        let name = savepoint.name_any();
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        // The answer may be one that a newer version has written.
        let api = self.savepoints::<PartialObjectMeta<StreamSavepoint>>();
        let created = api.patch(&name, &parameters, &Patch::Apply(&savepoint)).await;
        created.map_err(|source| Error::Create(name, source))?;
        self.context.metrics.operated("save");
        Ok(())
    }

    async fn mark(&self, at: Option<Timestamp>) -> Result<(), Error> {
        let patch = json!({"lastScheduledSavepoint": at.map(Time)});
        let written = write_status::<StreamPipeline>(self.context, self.namespace, self.name, &patch).await;
        written.map_err(|source| Error::Write(self.name.to_owned(), source))
    }

    async fn delete(&self, name: String) -> Result<(), Error> {
        let api = self.savepoints::<PartialObjectMeta<StreamSavepoint>>();
        match api.delete(&name, &DeleteParams::background()).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            deleted => drop(deleted.map_err(|source| Error::Delete(name, source))?),
        }
        self.context.metrics.operated("forget");
        Ok(())
    }
}

fn scheduled(savepoint: &StreamSavepoint) -> Option<Scheduled> {
    let status = savepoint.status.clone().unwrap_or_default();
    let how = match (savepoint.metadata.deletion_timestamp.is_some(), status.manifest_hash.is_some()) {
        (true, _) => How::Going,
        (false, true) => How::Ready,
        (false, false) if is_over(&status) => How::Failed,
        (false, false) => How::Open,
    };
    let at = savepoint.metadata.creation_timestamp.as_ref()?.0;
    Some(Scheduled { name: savepoint.name_any(), at, how })
}

/// The savepoint of a minute.
fn savepoint(pipeline: &StreamPipeline, now: Timestamp) -> StreamSavepoint {
    let name = pipeline.name_any();
    let mut labels = labels(&name);
    labels.insert(TRIGGER_LABEL.to_owned(), "Schedule".to_owned());
    StreamSavepoint {
        api_version: StreamSavepoint::api_version(&()).into_owned(),
        kind: StreamSavepoint::kind(&()).into_owned(),
        metadata: ObjectMeta {
            name: Some(format!("{name}-{}", now.as_second() / 60)),
            namespace: pipeline.namespace(),
            labels: Some(labels),
            ..ObjectMeta::default()
        },
        spec: StreamSavepointSpec {
            pipeline_ref: NameRef { name },
            deletion_policy: Some(DeletionPolicy::Delete),
            storage: pipeline.spec.checkpoint.as_ref().and_then(|checkpoint| checkpoint.storage.clone()),
        },
        status: None,
    }
}

/// What is done after a failed look.
#[expect(clippy::needless_pass_by_value, reason = "the signature that the controller calls")]
pub fn after_failure(
    object: Arc<DeserializeGuard<StreamPipeline>>,
    error: &Error,
    context: Arc<Context>,
) -> Action {
    let key = key(&object);
    let pause = context.pause_after_failure(&key);
    tracing::warn!(schedule = key, error = with_causes(error), ?pause, "reconcile failed");
    Action::requeue(pause)
}

fn key(object: &DeserializeGuard<StreamPipeline>) -> String {
    format!("schedule {}/{}", object.namespace().unwrap_or_default(), object.name_any())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::fixture::{created, noon};
    use ::pipeline::spec::SavepointSchedule;

    fn hourly(limit: i32) -> Clock {
        let spec = SavepointSchedule {
            schedule: "0 * * * *".to_owned(),
            time_zone: None,
            history_limit: Some(limit),
        };
        Clock::build(&spec).expect("valid")
    }

    fn at(minutes: i64) -> Timestamp {
        noon() + k8s_openapi::jiff::SignedDuration::from_mins(minutes)
    }

    fn of(minutes: i64, how: How) -> Scheduled {
        Scheduled { name: format!("clicks-{minutes}"), at: at(minutes), how }
    }

    #[test]
    fn a_savepoint_is_created_when_its_time_has_come_and_never_two_at_a_time() {
        let clock = hourly(3);
        let creates = |last, all: &[Scheduled], now| decide(&clock, last, true, all, at(now)).creates;
        assert!(!creates(Some(at(1)), &[], 59));
        assert!(creates(Some(at(1)), &[], 60));
        assert!(creates(Some(at(1)), &[], 400), "missed times are made up for by one");
        assert!(!creates(Some(at(1)), &[of(20, How::Open)], 60), "the one before is not over");
        assert!(!creates(Some(at(1)), &[of(61, How::Ready)], 62), "it was created, and nobody has said so");
        assert!(!decide(&clock, Some(at(1)), false, &[], at(60)).creates, "there is nothing to be saved");
        let first = decide(&clock, None, true, &[], at(400));
        assert!(first.marks && !first.creates, "a schedule makes up for nothing that was before it");
    }

    #[test]
    fn the_oldest_are_deleted_and_some_that_failed_are_kept() {
        let ready = (0..5).map(|number| of(number * 60, How::Ready));
        let failed = (0..5).map(|number| of(number * 60 + 1, How::Failed));
        let others = [of(400, How::Open), of(-60, How::Going)];
        let all: Vec<Scheduled> = ready.chain(failed).chain(others).collect();
        let turn = decide(&hourly(2), Some(at(390)), true, &all, at(401));
        assert_eq!(turn.deletes, ["clicks-120", "clicks-60", "clicks-0", "clicks-61", "clicks-1"]);
    }

    #[test]
    fn a_savepoint_of_the_schedule_belongs_to_nobody_and_takes_along_what_it_holds() {
        let savepoint = savepoint(&created().pipeline, noon());
        assert_eq!(savepoint.name_any(), format!("clicks-{}", noon().as_second() / 60));
        assert_eq!(savepoint.owner_references(), []);
        assert_eq!(savepoint.spec.deletion_policy, Some(DeletionPolicy::Delete));
        assert_eq!(super::super::observe::trigger(&savepoint), crds::savepoint::Trigger::Schedule);
    }
}
