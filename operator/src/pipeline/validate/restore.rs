//! The saved state that a new pipeline begins with: where it is, or what is waited for.

use super::Restoration;
use crate::pipeline::observe::{Generation, Observed, SavepointSeen};
use ::pipeline::spec::CheckpointStorage;
use control::Reason;
use control::savepoint::{RESTORED_GENERATION, SavepointPlace};
use crds::StreamSavepointStatus;

/// None for a pipeline that begins without, or has begun: then nothing has to be there any more.
pub(super) fn restoration(observed: &Observed) -> Result<Option<Restoration>, (Reason, String)> {
    let Some(from) = &observed.pipeline.spec.restore_from else { return Ok(None) };
    let has_pods =
        |generation: &Generation| generation.facts.as_ref().is_some_and(|facts| facts.file.restore.is_none());
    if observed.status().generation.is_some() || observed.generations.iter().any(has_pods) {
        return Ok(None);
    }
    let seen = observed.savepoint.as_ref();
    // What was written down once counts: the savepoint may be gone by now.
    let written = observed.facts(RESTORED_GENERATION).and_then(|facts| facts.file.restore.clone());
    if let Some(place) = written {
        let manifest_hash = match seen {
            Some(SavepointSeen::Here(status)) => status.manifest_hash.clone(),
            _ => None,
        };
        return Ok(Some(Restoration::From { place, manifest_hash }));
    }
    if let Some(storage) = from.storage() {
        return Ok(Some(Restoration::From { place: place(storage), manifest_hash: None }));
    }
    let name = from.savepoint_ref.as_ref().map(|savepoint| savepoint.name.as_str()).unwrap_or_default();
    match seen {
        None | Some(SavepointSeen::Missing) => {
            let message = format!("spec.restoreFrom.savepointRef: StreamSavepoint `{name}` was not found");
            Err((Reason::RefNotFound, message))
        }
        Some(SavepointSeen::Unreadable(error)) => {
            Err((Reason::ConfigInvalid, format!("StreamSavepoint/{name} cannot be read: {error}")))
        }
        Some(SavepointSeen::Here(status)) => of_savepoint(name, status).map(Some),
    }
}

fn of_savepoint(name: &str, status: &StreamSavepointStatus) -> Result<Restoration, (Reason, String)> {
    if let (Some(uri), Some(hash)) = (&status.uri, &status.manifest_hash) {
        let place = SavepointPlace {
            uri: uri.clone(),
            secret: status.secret.clone(),
            endpoint: status.endpoint.clone(),
            region: status.region.clone(),
        };
        return Ok(Restoration::From { place, manifest_hash: Some(hash.clone()) });
    }
    match status.failure.as_ref().filter(|failure| failure.last) {
        Some(failure) => {
            let message = format!(
                "spec.restoreFrom.savepointRef: StreamSavepoint `{name}` holds nothing, because it failed: {}; create the pipeline anew with another one",
                failure.message
            );
            Err((Reason::ConfigInvalid, message))
        }
        None => Ok(Restoration::Waits(format!("waits for StreamSavepoint `{name}` to be ready"))),
    }
}

fn place(storage: CheckpointStorage) -> SavepointPlace {
    SavepointPlace {
        uri: storage.uri,
        secret: storage.secret_ref.map(|secret| secret.name),
        endpoint: storage.endpoint,
        region: storage.region,
    }
}
