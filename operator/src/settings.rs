//! What the operator is started with.

use clap::Parser;
use std::net::SocketAddr;

/// Keeps the cluster as StreamPipeline, StreamWindow, ScalingPolicy and StreamSavepoint objects say.
#[derive(Clone, Debug, Parser)]
#[command(name = "weir-operator", version)]
pub struct Settings {
    /// The namespace to watch; all namespaces when it is not given.
    #[arg(long, env = "WEIR_NAMESPACE")]
    pub namespace: Option<String>,
    /// Image of the pods of pipelines that name none.
    #[arg(long, env = "WEIR_RUNTIME_IMAGE")]
    pub runtime_image: String,
    /// Further images that a pipeline may name, separated by commas; an entry that ends with `*` allows every image
    /// that begins so.
    #[arg(long, env = "WEIR_ALLOWED_IMAGES", value_delimiter = ',')]
    pub allowed_images: Vec<String>,
    /// When the nodes pull the image of the pods: Always, IfNotPresent or Never.
    #[arg(long, env = "WEIR_IMAGE_PULL_POLICY", default_value = "IfNotPresent")]
    pub image_pull_policy: String,
    /// Keep everybody but this namespace, which is the operator's own, from the control API of the pods, by a NetworkPolicy
    /// for each pipeline; none when it is not given.
    #[arg(long, env = "WEIR_NETWORK_POLICY_FOR")]
    pub network_policy_for: Option<String>,
    /// Name of the Lease that decides which of several operators works; those with equal names compete.
    #[arg(long, env = "WEIR_LEASE", default_value = "weir-operator")]
    pub lease: String,
    /// Namespace of the Lease; the one that the operator runs in when it is not given.
    #[arg(long, env = "WEIR_LEASE_NAMESPACE")]
    pub lease_namespace: Option<String>,
    /// What the holder of the Lease is called, before a number drawn by chance; in a pod its name.
    #[arg(long, env = "WEIR_IDENTITY", default_value = "weir-operator")]
    pub identity: String,
    /// Where `/health` and `/ready` are served.
    #[arg(long, env = "WEIR_HEALTH_ADDRESS", default_value = "0.0.0.0:8080")]
    pub health_address: SocketAddr,
    /// Where `/metrics` is served.
    #[arg(long, env = "WEIR_METRICS_ADDRESS", default_value = "0.0.0.0:8000")]
    pub metrics_address: SocketAddr,
}

impl Settings {
    /// True when a pipeline may run this image.
    pub fn allows(&self, image: &str) -> bool {
        let matches = |allowed: &String| match allowed.strip_suffix('*') {
            Some(start) => image.starts_with(start),
            None => image == allowed,
        };
        image == self.runtime_image || self.allowed_images.iter().any(matches)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_images_may_run() {
        let settings = Settings::parse_from([
            "weir-operator",
            "--runtime-image=weir:1",
            "--allowed-images=weir:2,registry.example/weir/*",
        ]);
        for image in ["weir:1", "weir:2", "registry.example/weir/own:3"] {
            assert!(settings.allows(image), "{image}");
        }
        for image in ["weir:3", "weir", "registry.example/other:1", ""] {
            assert!(!settings.allows(image), "{image}");
        }
    }
}
