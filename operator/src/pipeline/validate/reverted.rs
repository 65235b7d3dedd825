//! What is wanted while a change is taken back: not what the spec says, but what ran before, as its generation wrote it
//! down. How many pods there are and whether they run is still the spec's word.

use super::{Desired, Invalid, Reverted, generation_hash, guarantees, incompatible, uses_state};
use crate::pipeline::observe::{Facts, Generation, Observed};
use crate::pipeline::references;
use ::pipeline::manifest::Documents;
use ::pipeline::plan::from_yaml;
use ::pipeline::spec::StreamPipelineSpec;
use control::generation::Shape;
use crds::pipeline::RolledBack;
use std::collections::BTreeMap;

/// `spec` as it is, or what it was before the change that is taken back; the latter as long as the same is wanted as was
/// taken back, and as there is a record of what was before.
pub(super) fn or_reverted(observed: &Observed, spec: Desired) -> Result<Desired, Invalid> {
    let back = observed.status().rolled_back.filter(|back| back.hash == spec.attempt_hash);
    let back = back.filter(|back| !back.asked || is_still_asked(observed));
    let facts = back.as_ref().and_then(|back| observed.facts(back.to?));
    match back.as_ref().zip(facts) {
        Some((back, facts)) => reverted(observed, back, facts, spec),
        None => Ok(spec),
    }
}

/// `spec.rollbackTo` says what was followed last.
fn is_still_asked(observed: &Observed) -> bool {
    let asked = observed.pipeline.spec.rollback_to.map(|to| to.revision);
    asked.is_some() && asked == observed.status().rollback_to
}

fn reverted(
    observed: &Observed,
    back: &RolledBack,
    facts: &Facts,
    spec: Desired,
) -> Result<Desired, Invalid> {
    let documents = Documents::read([("generation", facts.file.manifest.as_str())]);
    let plan = from_yaml(&facts.file.manifest).ok();
    let known = documents.pipelines().next().zip(plan).zip(facts.image.clone());
    // A record that this version cannot read is none.
    let Some(((manifest, plan), image)) = known else { return Ok(spec) };
    if !back.rewinds
        && let Err(steps) = uses_state(observed, &plan)
    {
        return Err(incompatible(&steps, spec.references));
    }
    let shape = Shape { replicas: spec.shape.replicas, ..facts.file.shape };
    Ok(Desired {
        reverted: Some(Reverted { undone: back.rewinds.then_some(back.generation) }),
        manifest: facts.file.manifest.clone(),
        plan_hash: facts.file.plan_hash.clone(),
        revision_hash: facts.revision_hash.clone(),
        generation_hash: generation_hash(&facts.revision_hash, shape, observed.restarted_at()),
        shape,
        secrets: references::secrets(&manifest.spec, &BTreeMap::new()),
        sinks: guarantees(&plan),
        spec: Box::new(StreamPipelineSpec { image: Some(image.clone()), ..manifest.spec.clone() }),
        image,
        ..spec
    })
}

/// The revision that the user asks for and that was not followed yet, with the newest generation that ran it.
pub(super) fn asks_for(observed: &Observed) -> Result<Option<(i64, u64)>, String> {
    let status = observed.status();
    let Some(asked) = observed.pipeline.spec.rollback_to.map(|to| to.revision) else { return Ok(None) };
    if status.rollback_to == Some(asked) {
        return Ok(None);
    }
    let is_kept = |generation: &&Generation, hash: &str| {
        generation.facts.as_ref().is_some_and(|facts| facts.revision_hash == hash && facts.image.is_some())
    };
    let newest = |hash: &str| {
        let mut of_it = observed.generations.iter().rev().filter(|generation| is_kept(generation, hash));
        of_it.next().map(|generation| generation.number)
    };
    let kept = status.history.iter().filter_map(|entry| Some((entry.revision, newest(&entry.hash)?)));
    let kept: BTreeMap<i64, u64> = kept.collect();
    if let Some(generation) = kept.get(&asked) {
        return Ok(Some((asked, *generation)));
    }
    let there: Vec<String> = kept.keys().map(ToString::to_string).collect();
    let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
    Err(format!("spec.rollbackTo.revision: revision {asked} is not kept; there are {there}"))
}
