//! A pipeline that begins with a savepoint: the generation that stands for it, and the Job that makes the journals.

use super::super::plan::RESTORE_SECONDS;
use super::task::Task;
use super::{Error, Restoring, config_map, metadata, restore_name, service_account};
use crate::pipeline::observe::Observed;
use crate::pipeline::plan::Intent;
use crate::pipeline::validate::{Desired, Restoration};
use crate::settings::Settings;
use control::generation::{FILE_PATH, Placement, Shape};
use control::savepoint::{RESTORED_GENERATION, SavepointPlace};

/// No pod ever belongs to the generation; a shape has at least one worker.
const SHAPE: Shape = Shape { replicas: 1, workers_per_replica: 1, placement: Placement::Modulo };

pub(super) fn restoring(
    observed: &Observed,
    desired: &Desired,
    intent: &Intent,
    settings: &Settings,
) -> Result<Restoring, Error> {
    let Some(Restoration::From { place, manifest_hash }) = &desired.restore else {
        return Err(Error::NoSavepoint);
    };
    let mut args = ["savepoint", "restore", "--generation-file", FILE_PATH].map(str::to_owned).to_vec();
    // What is restored is what the StreamSavepoint says, or nothing.
    args.extend(manifest_hash.iter().flat_map(|hash| ["--manifest-hash".to_owned(), hash.clone()]));
    let exists = observed.facts(RESTORED_GENERATION).is_some();
    let first = Desired { shape: SHAPE, ..desired.clone() };
    let file = || config_map(observed, &first, RESTORED_GENERATION, intent, Some(place));
    let name = observed.name();
    let task = Task {
        pipeline: &name,
        spec: Some(&desired.spec),
        generation: Some(RESTORED_GENERATION),
        secrets: desired.secrets.iter().chain(&place.secret).cloned().collect(),
        args,
        retries: 0,
        seconds: RESTORE_SECONDS,
    };
    Ok(Restoring {
        service_account: service_account(&observed.pipeline)?,
        config_map: if exists { None } else { Some(file()?) },
        job: task.job(metadata(&observed.pipeline, restore_name(&name), None)?, settings),
    })
}

/// Secrets of the savepoints whose state the units of a generation may have to restore.
pub(super) fn secrets(observed: &Observed, number: u64, intent: &Intent) -> Vec<String> {
    let secret = |place: &SavepointPlace| place.secret.clone();
    if let Some(facts) = observed.facts(number) {
        return facts.file.priors.iter().filter_map(|prior| secret(prior.restore.as_ref()?)).collect();
    }
    let priors = intent.priors.iter().filter_map(|prior| observed.facts(prior.generation));
    priors.filter_map(|facts| secret(facts.file.restore.as_ref()?)).collect()
}
