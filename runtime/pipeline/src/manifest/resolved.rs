//! The resolved form: everything that decides what a pipeline means, and nothing else.

use super::{API_VERSION, Manifest, References};
use crate::spec::StreamWindowSpec;
use serde_json::json;
use std::collections::BTreeMap;

/// A pipeline together with the windows and ConfigMap keys that it refers to. What it refers to and what does not
/// exist stays a reference, which [`crate::plan::Plan::build`] reports.
#[derive(Clone, Debug, PartialEq)]
pub struct ResolvedManifest {
    manifest: Manifest,
    references: References,
}

impl ResolvedManifest {
    /// Picks what the pipeline refers to.
    pub fn new(manifest: Manifest, references: &References) -> Self {
        let mut used = References::default();
        for name in manifest.windows() {
            if let Some(window) = references.windows.get(name) {
                used.windows.insert(name.to_owned(), window.clone());
            }
        }
        let keys = manifest
            .spec
            .sources
            .iter()
            .filter_map(|source| source.schema.as_ref()?.config_map_key_ref.as_ref());
        for key in keys {
            if let Some(map) = references.config_maps.get(&key.name) {
                let kept: &mut BTreeMap<_, _> = used.config_maps.entry(key.name.clone()).or_default();
                kept.extend(map.get(&key.key).map(|text| (key.key.clone(), text.clone())));
            }
        }
        Self { manifest, references: used }
    }

    /// The pipeline.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The StreamWindow with a name.
    pub fn window(&self, name: &str) -> Option<&StreamWindowSpec> {
        self.references.windows.get(name)
    }

    /// The ConfigMap with a name; it holds only the keys that are used.
    pub fn config_map(&self, name: &str) -> Option<&BTreeMap<String, String>> {
        self.references.config_maps.get(name)
    }

    /// The pipeline as it is with every window written in place.
    pub fn inlined(&self) -> Manifest {
        let mut manifest = self.manifest.clone();
        for step in &mut manifest.spec.steps {
            let window = step.window_ref.as_ref().and_then(|window| self.window(&window.name));
            if step.window.is_none()
                && let Some(window) = window
            {
                step.window = Some(window.clone());
                step.window_ref = None;
            }
        }
        manifest
    }

    /// The text of the resolved manifests: one document with the pipeline, windows inlined, and one for each
    /// ConfigMap. It is what `weir run` and `weir worker` take, and it gives the same plan hash.
    pub fn to_yaml(&self) -> Result<String, ResolvedError> {
        let manifest = self.inlined();
        let mut metadata = serde_json::Map::from_iter([("name".to_owned(), json!(manifest.name))]);
        if let Some(namespace) = &manifest.namespace {
            metadata.insert("namespace".to_owned(), json!(namespace));
        }
        let spec = serde_json::to_value(&manifest.spec).map_err(ResolvedError::Spec)?;
        let pipeline =
            json!({"apiVersion": API_VERSION, "kind": "StreamPipeline", "metadata": metadata, "spec": spec});
        let maps = self.references.config_maps.iter().map(|(name, data)| {
            let mut metadata = metadata.clone();
            metadata.insert("name".to_owned(), json!(name));
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
        });
        let documents: Result<Vec<String>, _> = std::iter::once(pipeline)
            .chain(maps)
            .map(|document| serde_saphyr::to_string(&document))
            .collect();
        Ok(documents.map_err(ResolvedError::Yaml)?.join("---\n"))
    }
}

/// Why the text could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ResolvedError {
    /// The spec has no JSON form.
    #[error("failed to turn the spec into a value")]
    Spec(#[source] serde_json::Error),
    /// The value has no YAML form.
    #[error("failed to write the manifest as YAML")]
    Yaml(#[source] serde_saphyr::SerializeError),
}
