//! What the user writes to Kubernetes: one kind per file, with its spec, status, rules and columns.
//!
//! The specs live in `pipeline::spec`, because `weir run` reads the same manifests without Kubernetes; here they get a
//! status, a schema that the API server accepts, and rules that it checks at admission. The rules are a subset: the one
//! full check is `Plan::try_from`. The YAML beside this folder and the reference page are generated from here by the example
//! `generate`.

pub mod condition;
pub mod definition;
pub mod page;
pub mod pipeline;
pub mod reference;
mod schema;
pub mod savepoint;
pub mod scaling;
pub mod window;

pub use definition::{Definition, all, yaml};
pub use pipeline::{StreamPipeline, StreamPipelineStatus};
pub use savepoint::{StreamSavepoint, StreamSavepointStatus};
pub use scaling::{ScalingPolicy, ScalingPolicyStatus};
pub use window::{StreamWindow, StreamWindowStatus};

/// API group of all kinds.
pub const GROUP: &str = "weir.dev";
/// The version of all kinds.
pub const VERSION: &str = "v1alpha1";

/// Gives a struct with `metadata` the identity of a namespaced kind.
macro_rules! kind {
    ($type:ident, $kind:literal, $plural:literal) => {
        impl kube::Resource for $type {
            type DynamicType = ();
            type Scope = kube::core::NamespaceResourceScope;

            fn kind((): &()) -> std::borrow::Cow<'_, str> {
                $kind.into()
            }
            fn group((): &()) -> std::borrow::Cow<'_, str> {
                crate::GROUP.into()
            }
            fn version((): &()) -> std::borrow::Cow<'_, str> {
                crate::VERSION.into()
            }
            fn plural((): &()) -> std::borrow::Cow<'_, str> {
                $plural.into()
            }
            fn meta(&self) -> &kube::core::ObjectMeta {
                &self.metadata
            }
            fn meta_mut(&mut self) -> &mut kube::core::ObjectMeta {
                &mut self.metadata
            }
        }
    };
}
pub(crate) use kind;
