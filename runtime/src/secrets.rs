//! The Secrets of a plan as they are mounted now. Only names of keys and a hash of the content are ever told.

use crate::cluster::{credentials_mounted, resolve_mounted};
use connect::kafka::secret::{content_hash, read_mounted};
use connect::snapshot::object::CredentialsError;
use control::status::SecretStatus;
use pipeline::plan::{Bucket, KafkaAccess, Plan, SecretKey, Storage};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Names and where they are mounted.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    accesses: Vec<KafkaAccess>,
    /// Keys of masks.
    masks: BTreeSet<SecretKey>,
    /// Where snapshots go, when it is opened by a Secret.
    bucket: Option<Bucket>,
    directory: PathBuf,
    /// Keys the hashes.
    owner: String,
}

impl Secrets {
    /// Those that the plan refers to, each mounted in a folder of its name below `directory`. `owner` tells pipelines
    /// apart: equal content of two owners has two hashes.
    pub fn of(plan: &Plan, directory: impl Into<PathBuf>, owner: impl Into<String>) -> Self {
        let mut accesses: Vec<KafkaAccess> = Vec::new();
        for access in plan.kafka_accesses().filter_map(|(_, _, access)| access) {
            if !accesses.contains(access) {
                accesses.push(access.clone());
            }
        }
        let masks = plan.mask_secrets().into_iter().cloned().collect();
        let bucket = match &plan.settings().checkpoint_storage {
            Some(Storage::Bucket(bucket)) if bucket.secret.is_some() => Some(bucket.clone()),
            _ => None,
        };
        Self { accesses, masks, bucket, directory: directory.into(), owner: owner.into() }
    }

    /// What is mounted now: a Secret may be made, changed or rotated while the pod runs.
    pub fn look(&self) -> Vec<SecretStatus> {
        let mut missing: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for access in &self.accesses {
            for name in access.secrets() {
                missing.entry(name).or_default();
            }
        }
        let named = self.accesses.iter().flat_map(KafkaAccess::secret_keys);
        for key in named.chain(&self.masks) {
            let missing = missing.entry(&key.name).or_default();
            if matches!(read_mounted(&self.directory, &key.name, &key.key), Ok(None)) {
                missing.insert(key.key.clone());
            }
        }
        for access in &self.accesses {
            // Which keys a Secret as a whole needs depends on what it says itself.
            if let KafkaAccess::Secret { name, ca, .. } = access
                && let Err(error) = resolve_mounted(access, &self.directory)
                && let Some(key) = error.missing_key()
                && ca.as_ref().is_none_or(|ca| ca.key != key)
            {
                missing.entry(name).or_default().insert(key.to_owned());
            }
        }
        if let Some(bucket) = &self.bucket
            && let Some(name) = &bucket.secret
        {
            let missing = missing.entry(name).or_default();
            if let Err(CredentialsError::Missing { keys, .. }) = credentials_mounted(bucket, &self.directory)
            {
                missing.extend(keys);
            }
        }
        let status = |(name, keys): (&str, BTreeSet<String>)| SecretStatus {
            name: name.to_owned(),
            missing_keys: keys.into_iter().collect(),
            hash: content_hash(&self.directory.join(name), &format!("{}/{name}", self.owner)),
        };
        missing.into_iter().map(status).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipeline::plan::from_yaml;

    fn looked(kafka: &str, files: &[(&str, &str, &str)]) -> Vec<(String, Vec<String>, bool)> {
        let folder = tempfile::tempdir().unwrap();
        for (name, key, value) in files {
            std::fs::create_dir_all(folder.path().join(name)).unwrap();
            std::fs::write(folder.path().join(name).join(key), value).unwrap();
        }
        let plan = from_yaml(&format!(
            "apiVersion: weir.dev/v1alpha1\nkind: StreamPipeline\nmetadata: {{name: p}}\nspec:\n  kafka: {kafka}\n  sources: [{{name: a, kafka: {{topic: a}}}}]\n  sinks: [{{name: out, kafka: {{topic: b}}}}]\n"
        ))
        .unwrap();
        let all = Secrets::of(&plan, folder.path(), "k").look();
        all.into_iter().map(|secret| (secret.name, secret.missing_keys, secret.hash.is_some())).collect()
    }

    fn said(name: &str, missing: &[&str], hash: bool) -> (String, Vec<String>, bool) {
        (name.to_owned(), missing.iter().map(|&key| key.to_owned()).collect(), hash)
    }

    #[test]
    fn a_secret_that_is_not_there_lacks_what_is_needed_first() {
        let whole = "{secretRef: {name: s}}";
        assert_eq!(looked(whole, &[]), [said("s", &["bootstrap.servers"], false)]);
        assert_eq!(looked(whole, &[("s", "password", "hush")]), [said("s", &["bootstrap.servers"], true)]);
        assert_eq!(looked(whole, &[("s", "bootstrapServers", "a:1")]), [said("s", &[], true)]);
        let tls = [("s", "bootstrap.servers", "a:1"), ("s", "security.protocol", "SSL")];
        assert_eq!(looked(whole, &tls), [said("s", &["ssl.truststore.crt"], true)]);
    }

    #[test]
    fn keys_that_are_named_one_by_one_are_looked_for_one_by_one() {
        let inline = "{bootstrapServers: \"a:1\", tls: {caSecretKeyRef: {name: ca, key: ca.crt}}, sasl: {mechanism: Plain, username: u, passwordSecretKeyRef: {name: u, key: password}}}";
        assert_eq!(looked(inline, &[]), [said("ca", &["ca.crt"], false), said("u", &["password"], false)]);
        let other = [("u", "passwort", "hush")];
        assert_eq!(looked(inline, &other), [said("ca", &["ca.crt"], false), said("u", &["password"], true)]);
    }

    #[test]
    fn the_keys_of_masks_are_looked_for() {
        let folder = tempfile::tempdir().unwrap();
        let mask = |name: &str, key: &str| {
            format!(
                "{{name: {name}, mask: {{fields: [x], method: Hash, secretKeyRef: {{name: salt, key: {key}}}}}}}"
            )
        };
        let plan = from_yaml(&format!(
            "apiVersion: weir.dev/v1alpha1\nkind: StreamPipeline\nmetadata: {{name: p}}\nspec:\n  sources: [{{name: a, kafka: {{topic: a}}}}]\n  steps: [{}, {}]\n  sinks: [{{name: out, kafka: {{topic: b}}}}]\n",
            mask("first", "one"), mask("second", "two")
        ))
        .unwrap();
        let secrets = Secrets::of(&plan, folder.path(), "k");
        assert_eq!(secrets.look()[0].missing_keys, ["one", "two"]);
        std::fs::create_dir_all(folder.path().join("salt")).unwrap();
        std::fs::write(folder.path().join("salt/two"), "any").unwrap();
        assert_eq!(secrets.look()[0].missing_keys, ["one"]);
    }

    #[test]
    fn the_keys_of_the_storage_are_looked_for() {
        let folder = tempfile::tempdir().unwrap();
        let plan = from_yaml(
            "apiVersion: weir.dev/v1alpha1\nkind: StreamPipeline\nmetadata: {name: p}\nspec:\n  checkpoint: {storage: {uri: 's3://state/weir', secretRef: {name: s3}}}\n  sources: [{name: a, kafka: {topic: a}}]\n  sinks: [{name: out, kafka: {topic: b}}]\n",
        )
        .unwrap();
        let secrets = Secrets::of(&plan, folder.path(), "k");
        assert_eq!(secrets.look()[0].missing_keys, ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]);
        std::fs::create_dir_all(folder.path().join("s3")).unwrap();
        std::fs::write(folder.path().join("s3/AWS_ACCESS_KEY_ID"), "id").unwrap();
        assert_eq!(secrets.look()[0].missing_keys, ["AWS_SECRET_ACCESS_KEY"]);
        let before = secrets.look()[0].hash.clone();
        std::fs::write(folder.path().join("s3/AWS_SECRET_ACCESS_KEY"), "hush").unwrap();
        assert!(secrets.look()[0].missing_keys.is_empty());
        assert_ne!(secrets.look()[0].hash, before);
    }

    #[test]
    fn the_authority_of_a_user_is_looked_for_in_its_own_secret() {
        let user = "{bootstrapServers: \"a:1\", secretRef: {name: u}, tls: {caSecretKeyRef: {name: ca, key: ca.crt}}}";
        let jaas = "ScramLoginModule required username=\"u\" password=\"hush\";";
        let files = [("u", "sasl.jaas.config", jaas)];
        assert_eq!(looked(user, &files), [said("ca", &["ca.crt"], false), said("u", &[], true)]);
    }
}
