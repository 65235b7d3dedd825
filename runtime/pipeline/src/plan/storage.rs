//! Where snapshots go: what `checkpoint.storage` means. Values of Secrets stay references until the runtime reads them.

use super::build::exactly_one;
use super::problems::{At, Problems};
use crate::problem::{Problem, ProblemKind};
use crate::spec::{CheckpointStorage, RestoreFrom, StreamSavepointSpec, wire};

/// What is wrong with a StreamSavepoint for itself, whatever its pipeline is.
pub fn check_savepoint(name: &str, spec: &StreamSavepointSpec) -> Vec<Problem> {
    let at = At::spec_of("StreamSavepoint", name);
    let mut problems = Problems::default();
    if let Ok(value) = serde_json::to_value(spec) {
        problems.add_mismatches(&at, wire::check(&value, wire::savepoint_schema(), at.path()));
    }
    if let Some(storage) = &spec.storage {
        // What it means is of no interest here.
        let _ = parse(storage, &at.field("storage"), &mut problems);
    }
    problems.into_found()
}

/// A savepoint to begin with is named, or its folder is.
pub(super) fn check_restore(from: &RestoreFrom, at: &At, problems: &mut Problems) {
    let named = [("savepointRef", from.savepoint_ref.is_some()), ("uri", from.uri.is_some())];
    if !exactly_one(&named, at, problems) {
        return;
    }
    let Some(storage) = from.storage() else {
        let given = [
            ("secretRef", from.secret_ref.is_some()),
            ("endpoint", from.endpoint.is_some()),
            ("region", from.region.is_some()),
        ];
        for (field, _) in given.into_iter().filter(|(_, given)| *given) {
            let message = format!("`{field}` is for `uri`; a StreamSavepoint knows its own: remove it");
            problems.add(ProblemKind::Union, &at.field(field), message);
        }
        return;
    };
    if let Some(Storage::Bucket(bucket)) = parse(&storage, at, problems)
        && bucket.prefix.is_empty()
    {
        let message = format!("`{}` names no folder; write `status.uri` of the StreamSavepoint", storage.uri);
        problems.add(ProblemKind::BadText, &at.field("uri"), message);
    }
}

/// A place for snapshots that is no Kafka topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// A directory, by its absolute path.
    Directory(String),
    /// A bucket of an object store.
    Bucket(Bucket),
}

/// A bucket, and a prefix in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Whose language the store speaks.
    pub cloud: Cloud,
    /// Its name.
    pub name: String,
    /// Names of objects begin with this; parts are separated by `/`, none is empty, and there is none at an end.
    pub prefix: String,
    /// Address of the store in place of that of the cloud.
    pub endpoint: Option<String>,
    /// Region of the bucket.
    pub region: Option<String>,
    /// The Secret with the credentials; without one the environment gives them.
    pub secret: Option<String>,
}

/// The languages of object stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cloud {
    /// S3 of AWS, and everything that speaks it.
    S3,
    /// Google Cloud Storage.
    Google,
    /// Azure Blob Storage; a bucket is called container there.
    Azure,
}

impl Cloud {
    /// The scheme of its addresses.
    pub fn scheme(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Google => "gs",
            Self::Azure => "az",
        }
    }

    fn of(scheme: &str) -> Option<Self> {
        [Self::S3, Self::Google, Self::Azure].into_iter().find(|cloud| cloud.scheme() == scheme)
    }

    /// Shortest and longest name of a bucket, and what it may have besides small letters, digits and `-`.
    fn names(self) -> (std::ops::RangeInclusive<usize>, &'static str) {
        match self {
            Self::S3 => (3..=63, "."),
            Self::Google => (3..=222, "._"),
            Self::Azure => (3..=63, ""),
        }
    }
}

/// As the manifest says it, without a slash at the end.
impl std::fmt::Display for Bucket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let slash = if self.prefix.is_empty() { "" } else { "/" };
        write!(f, "{}://{}{slash}{}", self.cloud.scheme(), self.name, self.prefix)
    }
}

impl std::fmt::Display for Storage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Directory(path) => write!(f, "file://{path}"),
            Self::Bucket(bucket) => write!(f, "{bucket}"),
        }
    }
}

impl Storage {
    /// The Secret that it refers to.
    pub fn secret(&self) -> Option<&str> {
        match self {
            Self::Directory(_) => None,
            Self::Bucket(bucket) => bucket.secret.as_deref(),
        }
    }
}

/// What an address of a store means, outside of the manifest of a pipeline; else what is wrong with it.
pub fn storage(spec: &CheckpointStorage) -> Result<Storage, String> {
    let mut problems = Problems::default();
    let found = parse(spec, &At::spec_of("", ""), &mut problems);
    let wrong: Vec<String> = problems.into_found().into_iter().map(|problem| problem.message).collect();
    found.filter(|_| wrong.is_empty()).ok_or_else(|| wrong.join("; "))
}

const FORMS: &str = "s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX or file:///PATH";

pub(super) fn parse(spec: &CheckpointStorage, at: &At, problems: &mut Problems) -> Option<Storage> {
    let found = Uri::split(&spec.uri).and_then(|uri| uri.place());
    let place = match found {
        Ok(place) => place,
        Err(message) => {
            let message = format!("`{}` {message}", without_credentials(&spec.uri));
            problems.add(ProblemKind::BadText, &at.field("uri"), message);
            return None;
        }
    };
    match place {
        Place::Directory(path) => {
            refuse_beside_a_directory(spec, at, problems);
            Some(Storage::Directory(path))
        }
        Place::Bucket { cloud, name, prefix } => {
            check_address(spec, cloud, at, problems);
            Some(Storage::Bucket(Bucket {
                cloud,
                name,
                prefix,
                endpoint: spec.endpoint.as_ref().map(|endpoint| endpoint.trim_end_matches('/').to_owned()),
                region: spec.region.clone(),
                secret: spec.secret_ref.as_ref().map(|secret| secret.name.clone()),
            }))
        }
    }
}

/// An address with a password in it is shown without.
fn without_credentials(uri: &str) -> String {
    match (uri.split_once("://"), uri.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://***@{rest}"),
        _ => uri.to_owned(),
    }
}

struct Uri<'a> {
    scheme: &'a str,
    rest: &'a str,
}

enum Place {
    Directory(String),
    Bucket { cloud: Cloud, name: String, prefix: String },
}

impl<'a> Uri<'a> {
    fn split(uri: &'a str) -> Result<Self, String> {
        let (scheme, rest) = uri
            .split_once("://")
            .ok_or_else(|| format!("is no address of a storage; allowed are {FORMS}"))?;
        if rest.contains('@') {
            return Err("holds credentials; put them into a Secret and name it in `secretRef`".to_owned());
        }
        if let Some(sign) = rest.chars().find(|c| "?#".contains(*c)) {
            return Err(format!("has a `{sign}`; an address has no query and no fragment"));
        }
        Ok(Self { scheme, rest })
    }

    fn place(&self) -> Result<Place, String> {
        if self.scheme == "file" {
            return self.directory().map(Place::Directory);
        }
        let cloud = Cloud::of(self.scheme)
            .ok_or_else(|| format!("has the unknown scheme `{}`; allowed are {FORMS}", self.scheme))?;
        let (name, prefix) = self.rest.split_once('/').unwrap_or((self.rest, ""));
        check_name(cloud, name)?;
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        check_prefix(prefix)?;
        Ok(Place::Bucket { cloud, name: name.to_owned(), prefix: prefix.to_owned() })
    }

    fn directory(&self) -> Result<String, String> {
        let relative = || "is no absolute path; write file:///an/absolute/path".to_owned();
        if self.rest.starts_with('/') && self.rest.len() > 1 {
            Ok(self.rest.to_owned())
        } else {
            Err(relative())
        }
    }
}

fn check_name(cloud: Cloud, name: &str) -> Result<(), String> {
    let scheme = cloud.scheme();
    if name.is_empty() {
        return Err(format!("names no bucket; write {scheme}://BUCKET/PREFIX"));
    }
    let (lengths, also) = cloud.names();
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_name = name.chars().all(|c| letter(c) || c == '-' || also.contains(c))
        && name.starts_with(letter)
        && name.ends_with(letter)
        && lengths.contains(&name.len());
    if is_name {
        return Ok(());
    }
    let also: String = also.chars().map(|c| format!(", `{c}`")).collect();
    Err(format!(
        "has the bucket `{name}`; a name of {scheme} has {} to {} small letters, digits, `-`{also}, and a letter or digit at its ends",
        lengths.start(),
        lengths.end()
    ))
}

/// Names of objects have 1024 bytes at most everywhere, and those of a pipeline need some 300.
const PREFIX_BYTES_MAX: usize = 512;

fn check_prefix(prefix: &str) -> Result<(), String> {
    if prefix.len() > PREFIX_BYTES_MAX {
        return Err(format!("has a prefix of {} bytes; allowed are {PREFIX_BYTES_MAX}", prefix.len()));
    }
    let is_part = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.=".contains(c))
    };
    if prefix.is_empty() || prefix.split('/').all(is_part) {
        return Ok(());
    }
    Err(format!(
        "has the prefix `{prefix}`; its parts between `/` are of letters, digits, `-`, `_`, `.` and `=`, and none is empty or begins with `.`"
    ))
}

fn refuse_beside_a_directory(spec: &CheckpointStorage, at: &At, problems: &mut Problems) {
    let given = [
        ("secretRef", spec.secret_ref.is_some()),
        ("endpoint", spec.endpoint.is_some()),
        ("region", spec.region.is_some()),
    ];
    for (field, _) in given.into_iter().filter(|(_, given)| *given) {
        let message = format!("`{field}` is for buckets; a directory has none: remove it");
        problems.add(ProblemKind::Union, &at.field(field), message);
    }
}

fn check_address(spec: &CheckpointStorage, cloud: Cloud, at: &At, problems: &mut Problems) {
    if let Some(endpoint) = &spec.endpoint {
        let field = at.field("endpoint");
        match cloud {
            Cloud::Google => {
                problems.add(ProblemKind::Union, &field, "`endpoint` is for s3 and az: remove it");
            }
            // Its requests carry what somebody else could use again; those of S3 are signed one by one.
            Cloud::Azure if !endpoint.starts_with("https://") => {
                let message = format!("`{endpoint}` would send credentials unencrypted; use https");
                problems.add(ProblemKind::BadText, &field, message);
            }
            Cloud::S3 | Cloud::Azure => {}
        }
    }
    if spec.region.is_some() && cloud != Cloud::S3 {
        problems.add(ProblemKind::Union, &at.field("region"), "`region` is for s3: remove it");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::from_yaml;

    fn planned(storage: &str) -> Result<Storage, Vec<String>> {
        let text = format!(
            "apiVersion: weir.dev/v1alpha1\nkind: StreamPipeline\nmetadata: {{name: p}}\nspec:\n  checkpoint: {{storage: {storage}}}\n  sources: [{{name: a, kafka: {{topic: a}}}}]\n  sinks: [{{name: out, kafka: {{topic: b}}}}]\n"
        );
        match from_yaml(&text) {
            Ok(plan) => Ok(plan.settings().checkpoint_storage.clone().expect("a storage")),
            Err(problems) => {
                Err(problems.iter().map(|problem| format!("{} {}", problem.path, problem.message)).collect())
            }
        }
    }

    fn bucket(cloud: Cloud, name: &str, prefix: &str) -> Bucket {
        let (name, prefix) = (name.to_owned(), prefix.to_owned());
        Bucket { cloud, name, prefix, endpoint: None, region: None, secret: None }
    }

    #[test]
    fn addresses_are_taken_apart() {
        let cases = [
            ("{uri: 's3://state'}", bucket(Cloud::S3, "state", "")),
            ("{uri: 's3://state/'}", bucket(Cloud::S3, "state", "")),
            ("{uri: 's3://my.state/weir/prod/'}", bucket(Cloud::S3, "my.state", "weir/prod")),
            ("{uri: 'gs://my_state/a=1'}", bucket(Cloud::Google, "my_state", "a=1")),
            ("{uri: 'az://snapshots/weir'}", bucket(Cloud::Azure, "snapshots", "weir")),
            (
                "{uri: 's3://state', endpoint: 'http://minio:9000/', region: eu-1, secretRef: {name: s3}}",
                Bucket {
                    endpoint: Some("http://minio:9000".to_owned()),
                    region: Some("eu-1".to_owned()),
                    secret: Some("s3".to_owned()),
                    ..bucket(Cloud::S3, "state", "")
                },
            ),
        ];
        for (text, want) in cases {
            assert_eq!(planned(text), Ok(Storage::Bucket(want)), "{text}");
        }
        assert_eq!(planned("{uri: 'file:///var/x'}"), Ok(Storage::Directory("/var/x".to_owned())));
    }

    #[test]
    fn an_address_is_written_as_it_was_given() {
        for uri in ["s3://state", "gs://state/a/b", "az://state/a", "file:///var/x"] {
            let storage = planned(&format!("{{uri: '{uri}'}}")).expect("an address");
            assert_eq!(storage.to_string(), uri);
        }
    }

    #[test]
    fn what_is_wrong_with_an_address_is_said() {
        let wrong: [(&str, &str); 15] = [
            ("{uri: 'hdfs://state/a'}", "unknown scheme `hdfs`"),
            ("{uri: 'S3://state/a'}", "unknown scheme `S3`"),
            ("{uri: 'state/a-b-c'}", "is no address"),
            ("{uri: 's3:///a/b/c'}", "names no bucket"),
            ("{uri: 's3://State/a'}", "has the bucket `State`"),
            ("{uri: 's3://ab/c'}", "3 to 63"),
            ("{uri: 'az://my.state/c'}", "has the bucket `my.state`"),
            ("{uri: 's3://state/a//b'}", "has the prefix `a//b`"),
            ("{uri: 's3://state/../b'}", "has the prefix `../b`"),
            ("{uri: 's3://state/a?versionId=1'}", "has a `?`"),
            ("{uri: 's3://key:hush@state/a'}", "`s3://***@state/a` holds credentials"),
            ("{uri: 'file://var/x'}", "no absolute path"),
            (
                "{uri: 'file:///var/x', secretRef: {name: s}}",
                "spec.checkpoint.storage.secretRef `secretRef` is for buckets",
            ),
            ("{uri: 'gs://state', endpoint: 'https://a'}", "is for s3 and az"),
            ("{uri: 'az://state', endpoint: 'http://a'}", "would send credentials unencrypted"),
        ];
        for (text, want) in wrong {
            let problems = planned(text).expect_err(text);
            assert_eq!(problems.len(), 1, "{text}: {problems:?}");
            assert!(problems[0].contains(want), "{text}: {problems:?}");
            assert!(!problems[0].contains("hush"), "{text}: {problems:?}");
        }
        assert!(planned("{uri: 'gs://state', region: eu}").is_err());
        let long = planned(&format!("{{uri: 's3://state/{}'}}", "a".repeat(513))).expect_err("too long");
        assert!(long[0].ends_with("has a prefix of 513 bytes; allowed are 512"), "{long:?}");
    }
}
