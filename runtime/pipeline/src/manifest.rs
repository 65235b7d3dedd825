//! Manifests: from YAML text to typed objects whose problems know their line, and the resolved form in which a
//! pipeline travels: with its windows inlined and the ConfigMap keys that it uses.
//!
//! Nothing here decides what a pipeline means; that is [`crate::plan`].

mod documents;
mod resolved;
mod tree;

pub use documents::{Documents, SecretData};
pub use resolved::{ResolvedError, ResolvedManifest};

use crate::spec::{StreamPipelineSpec, StreamWindowSpec};
use std::collections::BTreeMap;

/// The group and version of our kinds.
pub const API_VERSION: &str = "weir.dev/v1alpha1";

/// The namespace of a manifest that names none.
pub const DEFAULT_NAMESPACE: &str = "default";

/// One StreamPipeline.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// Its namespace, if it says one.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// What the user wrote.
    pub spec: StreamPipelineSpec,
}

/// The objects of the pipeline's namespace that it may refer to, by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct References {
    /// StreamWindows.
    pub windows: BTreeMap<String, StreamWindowSpec>,
    /// The text values of ConfigMaps.
    pub config_maps: BTreeMap<String, BTreeMap<String, String>>,
}

impl Manifest {
    /// Names of the StreamWindows that the pipeline refers to, each once, in order.
    pub fn windows(&self) -> Vec<&str> {
        once(
            self.spec
                .steps
                .iter()
                .filter_map(|step| step.window_ref.as_ref())
                .map(|window| window.name.as_str()),
        )
    }

    /// Names of the ConfigMaps that the pipeline refers to, each once, in order.
    pub fn config_maps(&self) -> Vec<&str> {
        let schemas = self.spec.sources.iter().filter_map(|source| source.schema.as_ref());
        once(schemas.filter_map(|schema| schema.config_map_key_ref.as_ref()).map(|map| map.name.as_str()))
    }

    /// The namespace, `default` when the manifest has none.
    pub fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE)
    }
}

fn once<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut found: Vec<&str> = Vec::new();
    for name in names {
        if !found.contains(&name) {
            found.push(name);
        }
    }
    found
}
