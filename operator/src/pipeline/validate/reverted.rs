//! What is wanted while a change is taken back: not what the spec says, but what ran before, as its generation wrote it
//! down. How many pods there are and whether they run is still the spec's word.

use super::{Desired, generation_hash, guarantees};
use crate::pipeline::observe::{Facts, Observed};
use crate::pipeline::references;
use ::pipeline::manifest::Documents;
use ::pipeline::plan::from_yaml;
use ::pipeline::spec::StreamPipelineSpec;
use control::generation::Shape;
use std::collections::BTreeMap;

/// `spec` as it is, or what it was before the change that is taken back; the latter as long as the same is wanted as was
/// taken back, and as there is a record of what was before.
pub(super) fn or_reverted(observed: &Observed, spec: Desired) -> Desired {
    let back = observed.status().rolled_back.filter(|back| back.hash == spec.attempt_hash);
    let facts = back.and_then(|back| observed.generation(back.to?)?.facts.as_ref());
    facts.and_then(|facts| reverted(observed, facts, &spec)).unwrap_or(spec)
}

fn reverted(observed: &Observed, facts: &Facts, spec: &Desired) -> Option<Desired> {
    let documents = Documents::read([("generation", facts.file.manifest.as_str())]);
    let manifest = documents.pipelines().next()?;
    let plan = from_yaml(&facts.file.manifest).ok()?;
    let shape = Shape { replicas: spec.shape.replicas, ..facts.file.shape };
    let image = facts.image.clone()?;
    Some(Desired {
        reverted: true,
        manifest: facts.file.manifest.clone(),
        plan_hash: facts.file.plan_hash.clone(),
        revision_hash: facts.revision_hash.clone(),
        generation_hash: generation_hash(&facts.revision_hash, shape, observed.restarted_at()),
        shape,
        secrets: references::secrets(&manifest.spec, &BTreeMap::new()),
        sinks: guarantees(&plan),
        spec: Box::new(StreamPipelineSpec { image: Some(image.clone()), ..manifest.spec.clone() }),
        image,
        ..spec.clone()
    })
}
