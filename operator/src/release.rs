//! Before Weir is uninstalled: takes the finalizer off every pipeline and every savepoint, so that nobody who deletes one
//! later waits for an operator that is gone. Pods go on: they need no operator. What savepoints have saved stays.
//!
//! ```text
//!   [delete the pipelines, wait for the operator to clean up] → take its lease away → wait until it must have noticed
//!   → take the finalizers off → keep the lease until it expires
//! ```
//!
//! An operator would put the finalizers back. So none may work when they are taken off, and none does: this process is
//! a candidate for the same Lease that does not wait for its turn. It is not given back, so that no other operator
//! begins before it is uninstalled as well.

use crate::context::{FIELD_MANAGER, with_causes};
use crate::lease::{Elector, Handles, Term, Timing};
use crate::metrics::Metrics;
use crate::{pipeline, savepoint};
use clap::Args;
use crds::{StreamPipeline, StreamSavepoint};
use futures::{StreamExt, TryStreamExt};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::core::{NamespaceResourceScope, PartialObjectMeta};
use kube::runtime::events::{Recorder, Reporter};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::json;
use std::fmt::Debug;
use std::time::Duration;
use tokio::sync::watch;

/// Objects that are written at the same time.
const WRITES_AT_ONCE: usize = 16;
/// How many objects one answer lists.
const PAGE: u32 = 500;
/// Pause between two looks at what is left.
const LOOK: Duration = Duration::from_secs(1);
/// Finalizers are taken off as often; an operator that did not notice in time could have put one back.
const ROUNDS_MAX: usize = 3;

/// What to release.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// The namespace whose pipelines are released; all namespaces when it is not given.
    #[arg(long, env = "WEIR_NAMESPACE")]
    pub namespace: Option<String>,
    /// Name of the Lease of the operators.
    #[arg(long, env = "WEIR_LEASE", default_value = "weir-operator")]
    pub lease: String,
    /// Namespace of the Lease; the one that this process runs in when it is not given.
    #[arg(long, env = "WEIR_LEASE_NAMESPACE")]
    pub lease_namespace: Option<String>,
    /// What the holder of the Lease is called, before a number drawn by chance.
    #[arg(long, env = "WEIR_IDENTITY", default_value = "weir-release")]
    pub identity: String,
    /// Delete the pipelines first, while an operator can still remove what they have in Kafka.
    #[arg(long)]
    pub delete: bool,
    /// How many seconds the operator gets to clean up after pipelines that are deleted.
    #[arg(long, default_value_t = 180)]
    pub patience_seconds: u64,
}

/// Why pipelines were not released.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No access to a cluster.
    #[error("failed to find out how to reach the cluster")]
    Cluster(#[source] kube::Error),
    /// The metrics.
    #[error("failed to register the metrics")]
    Metrics(#[source] prometheus::Error),
    /// What is there is not known.
    #[error("failed to list objects of the kind {0}")]
    List(String, #[source] kube::Error),
    /// A pipeline that was to be deleted.
    #[error("failed to delete StreamPipeline {0}")]
    Delete(String, #[source] kube::Error),
    /// A finalizer that was to go.
    #[error("failed to take the finalizer off {kind} {name}")]
    Finalizer {
        /// What it is on.
        kind: String,
        /// Which one.
        name: String,
        /// Why it did not go.
        #[source]
        source: kube::Error,
    },
    /// Somebody else took the lease, too.
    #[error("another process took the lease away before all pipelines were released")]
    Lost,
}

/// A kind whose objects are held by a finalizer of the operator.
trait Kind:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned
{
    /// The finalizer.
    const FINALIZER: &str;
}

impl Kind for StreamPipeline {
    const FINALIZER: &str = pipeline::FINALIZER;
}

impl Kind for StreamSavepoint {
    const FINALIZER: &str = savepoint::FINALIZER;
}

/// Releases the pipelines of the cluster that this process finds.
pub async fn run(options: &Options) -> Result<(), Error> {
    let client = Client::try_default().await.map_err(Error::Cluster)?;
    Box::pin(release(&client, options, Timing::default())).await
}

/// Releases the pipelines of this cluster.
pub async fn release(client: &Client, options: &Options, timing: Timing) -> Result<(), Error> {
    let pipelines = api::<StreamPipeline>(client, options);
    let savepoints = api::<StreamSavepoint>(client, options);
    if options.delete {
        delete(client, &pipelines, Duration::from_secs(options.patience_seconds)).await?;
    }
    let term = Term::default();
    let reporter = Reporter { controller: "weir-release".to_owned(), instance: None };
    let handles = Handles {
        term: term.clone(),
        recorder: Recorder::new(client.clone(), reporter),
        metrics: Metrics::new().map_err(Error::Metrics)?,
    };
    let namespace = options.lease_namespace.as_deref().unwrap_or(client.default_namespace());
    let me = Elector::identity(&options.identity);
    let elector = Elector::new(client.clone(), namespace, &options.lease, me, timing, handles).out_of_turn();
    // Never told to finish: it keeps the lease.
    let (_keep, finished) = watch::channel(false);
    tokio::select! {
        () = elector.run(finished) => Err(Error::Lost),
        result = let_go(client, (&pipelines, &savepoints), &term, timing) => result,
    }
}

fn api<K: Kind>(client: &Client, options: &Options) -> Api<K> {
    match &options.namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

/// Deletes all pipelines, and waits a while for the operator to clean up after them.
async fn delete(client: &Client, pipelines: &Api<StreamPipeline>, patience: Duration) -> Result<(), Error> {
    let all = list(pipelines).await?;
    tracing::info!(pipelines = all.len(), "the pipelines are deleted");
    each(&all, async |pipeline| {
        // The answer holds the object, which need not be one that can be read.
        let api = of_namespace(client, pipeline);
        match api.delete(&pipeline.name_any(), &DeleteParams::background()).await {
            Err(error) if !is_gone(&error) => Err(Error::Delete(pipeline.name_any(), error)),
            _ => Ok(()),
        }
    })
    .await?;
    let gone = async {
        let mut look = tokio::time::interval(LOOK);
        loop {
            look.tick().await;
            match list(pipelines).await {
                Ok(left) if left.is_empty() => return,
                Ok(_) => {}
                Err(error) => tracing::warn!(error = with_causes(&error), "what is left is not known"),
            }
        }
    };
    if tokio::time::timeout(patience, gone).await.is_err() {
        tracing::warn!(?patience, "some pipelines were not cleaned up in time; their internal topics stay");
    }
    Ok(())
}

/// Waits until no operator can be at work, then takes the finalizers off.
async fn let_go(
    client: &Client,
    (pipelines, savepoints): (&Api<StreamPipeline>, &Api<StreamSavepoint>),
    term: &Term,
    timing: Timing,
) -> Result<(), Error> {
    let mut terms = std::pin::pin!(term.begins());
    terms.next().await.ok_or(Error::Lost)?;
    let work = async {
        tokio::time::sleep(timing.lease).await;
        for _ in 0..ROUNDS_MAX {
            if take_off_all(client, pipelines).await? + take_off_all(client, savepoints).await? == 0 {
                break;
            }
        }
        Ok(())
    };
    term.during(work).await.unwrap_or(Err(Error::Lost))
}

/// How many had one.
async fn take_off_all<K: Kind>(client: &Client, objects: &Api<K>) -> Result<usize, Error> {
    let all = list(objects).await?;
    let held: Vec<PartialObjectMeta<K>> = all.into_iter().filter(is_held).collect();
    if !held.is_empty() {
        tracing::info!(kind = %K::kind(&()), objects = held.len(), "the finalizers are taken off");
        each(&held, async |object| take_off(client, object).await).await?;
    }
    Ok(held.len())
}

fn is_held<K: Kind>(object: &PartialObjectMeta<K>) -> bool {
    object.finalizers().iter().any(|name| name == K::FINALIZER)
}

/// With the version that was read, so that no finalizer of somebody else is lost. One that has changed meanwhile is
/// taken in the next round.
async fn take_off<K: Kind>(client: &Client, object: &PartialObjectMeta<K>) -> Result<(), Error> {
    let others: Vec<&String> = object.finalizers().iter().filter(|name| *name != K::FINALIZER).collect();
    let patch = json!({"metadata": {"finalizers": others, "resourceVersion": object.resource_version()}});
    let parameters = PatchParams::apply(FIELD_MANAGER);
    match of_namespace(client, object)
        .patch_metadata(&object.name_any(), &parameters, &Patch::Merge(&patch))
        .await
    {
        Err(kube::Error::Api(status)) if status.is_conflict() => Ok(()),
        Err(source) if !is_gone(&source) => {
            Err(Error::Finalizer { kind: K::kind(&()).into_owned(), name: object.name_any(), source })
        }
        _ => Ok(()),
    }
}

fn is_gone(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.is_not_found())
}

/// What is answered need not be an object that can be read.
fn of_namespace<K: Kind>(client: &Client, object: &PartialObjectMeta<K>) -> Api<PartialObjectMeta<K>> {
    Api::namespaced(client.clone(), &object.namespace().unwrap_or_default())
}

async fn each<K: Kind>(
    objects: &[PartialObjectMeta<K>],
    act: impl AsyncFn(&PartialObjectMeta<K>) -> Result<(), Error>,
) -> Result<(), Error> {
    futures::stream::iter(objects)
        .map(|object| act(object))
        .buffer_unordered(WRITES_AT_ONCE)
        .try_collect()
        .await
}

/// All objects of a kind, page by page. None where the kind is not known.
async fn list<K: Kind>(objects: &Api<K>) -> Result<Vec<PartialObjectMeta<K>>, Error> {
    let mut all = Vec::new();
    let mut parameters = ListParams::default().limit(PAGE);
    loop {
        let page = match objects.list_metadata(&parameters).await {
            Err(error) if is_gone(&error) => return Ok(all),
            page => page.map_err(|source| Error::List(K::kind(&()).into_owned(), source))?,
        };
        all.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => parameters = parameters.continue_token(&token),
            None => return Ok(all),
        }
    }
}
