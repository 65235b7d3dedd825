//! The documents of a set of files: parsed, recognised, checked against the wire shape.

use super::tree::{Node, Source};
use super::{API_VERSION, DEFAULT_NAMESPACE, Manifest, References};
use crate::problem::{ObjectId, Path, Place, Problem, ProblemKind, suggest};
use crate::spec::defaults::NAME_LENGTH_MAX;
use crate::spec::wire;
use crate::spec::{ScalingPolicySpec, StreamSavepointSpec, StreamWindowSpec};
use base64::Engine;
use serde_json::Value;
use std::collections::BTreeMap;

const KINDS: [(&str, &str); 6] = [
    (API_VERSION, "StreamPipeline"),
    (API_VERSION, "StreamWindow"),
    (API_VERSION, "ScalingPolicy"),
    (API_VERSION, "StreamSavepoint"),
    ("v1", "ConfigMap"),
    ("v1", "Secret"),
];

/// What the metadata of an object may hold: what users write, then what an API server adds.
const METADATA: [&str; 14] = [
    "name",
    "namespace",
    "labels",
    "annotations",
    "finalizers",
    "ownerReferences",
    "generateName",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
];

/// The values of a Secret by key.
pub type SecretData = BTreeMap<String, Vec<u8>>;

/// Everything that the files hold, with the problems found on the way.
#[derive(Clone, Debug, Default)]
pub struct Documents {
    sources: Vec<Source>,
    objects: Vec<Object>,
    problems: Vec<Problem>,
}

/// One document.
#[derive(Clone, Debug)]
struct Object {
    id: ObjectId,
    namespace: Option<String>,
    source: usize,
    root: Node,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    Pipeline(Box<Manifest>),
    Window(Box<StreamWindowSpec>),
    Scaling(Box<ScalingPolicySpec>),
    Savepoint(Box<StreamSavepointSpec>),
    ConfigMap(BTreeMap<String, String>),
    Secret(SecretData),
    /// So far from its shape that it has no typed form; its problems are reported.
    Unreadable,
}

impl Documents {
    /// Reads files, given as name and text. Problems are collected, not returned: a file that is not YAML does not
    /// keep the others from being read.
    pub fn read<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut documents = Self::default();
        for (name, text) in files {
            documents.read_file(Source { name: name.to_owned(), text: text.to_owned() });
        }
        documents.find_duplicates();
        documents
    }

    /// All pipelines, in the order of the files.
    pub fn pipelines(&self) -> impl Iterator<Item = &Manifest> {
        self.objects.iter().filter_map(|object| match &object.content {
            Content::Pipeline(manifest) => Some(manifest.as_ref()),
            _ => None,
        })
    }

    /// All StreamWindows with their namespace and name, whether a pipeline uses them or not.
    pub fn windows(&self) -> impl Iterator<Item = (&str, &str, &StreamWindowSpec)> {
        self.objects.iter().filter_map(|object| match &object.content {
            Content::Window(window) => Some((object.namespace(), object.id.name.as_str(), window.as_ref())),
            _ => None,
        })
    }

    /// All ScalingPolicies with their namespace and name.
    pub fn scaling_policies(&self) -> impl Iterator<Item = (&str, &str, &ScalingPolicySpec)> {
        self.objects.iter().filter_map(|object| match &object.content {
            Content::Scaling(policy) => Some((object.namespace(), object.id.name.as_str(), policy.as_ref())),
            _ => None,
        })
    }

    /// All StreamSavepoints with their namespace and name.
    pub fn savepoints(&self) -> impl Iterator<Item = (&str, &str, &StreamSavepointSpec)> {
        self.objects.iter().filter_map(|object| match &object.content {
            Content::Savepoint(savepoint) => {
                Some((object.namespace(), object.id.name.as_str(), savepoint.as_ref()))
            }
            _ => None,
        })
    }

    /// What pipelines of a namespace may refer to.
    pub fn references(&self, namespace: &str) -> References {
        let mut references = References::default();
        for object in self.objects.iter().filter(|object| object.namespace() == namespace) {
            let name = object.id.name.clone();
            match &object.content {
                Content::Window(window) => {
                    references.windows.insert(name, window.as_ref().clone());
                }
                Content::ConfigMap(data) => {
                    references.config_maps.insert(name, data.clone());
                }
                Content::Pipeline(_)
                | Content::Scaling(_)
                | Content::Savepoint(_)
                | Content::Secret(_)
                | Content::Unreadable => {}
            }
        }
        references
    }

    /// The Secrets of a namespace, by name.
    pub fn secrets(&self, namespace: &str) -> BTreeMap<String, SecretData> {
        let of_namespace = self.objects.iter().filter(|object| object.namespace() == namespace);
        of_namespace
            .filter_map(|object| match &object.content {
                Content::Secret(data) => Some((object.id.name.clone(), data.clone())),
                _ => None,
            })
            .collect()
    }

    /// What was found while reading.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// True when there is no document of a known kind.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// True when the object that a reference problem misses is there, but so far from its shape that it has no typed
    /// form; that is reported for itself.
    pub fn holds_reference(&self, namespace: &str, problem: &Problem) -> bool {
        self.objects.iter().any(|object| {
            let named = problem.message.starts_with(&format!("{} `{}`", object.id.kind, object.id.name));
            object.namespace() == namespace && matches!(object.content, Content::Unreadable) && named
        })
    }

    /// Sorts problems by file in the order given, then line and column; those without a place come last.
    pub fn rank(&self, problem: &Problem) -> (usize, u64, u64) {
        let Some(place) = &problem.place else { return (usize::MAX, 0, 0) };
        let file = self.sources.iter().position(|source| source.name == place.file).unwrap_or(usize::MAX);
        (file, place.line, place.column)
    }

    /// Gives a problem of an object of a namespace its place in the text.
    pub fn locate(&self, namespace: &str, problem: &mut Problem) {
        let Some(id) = &problem.object else { return };
        let object = self.objects.iter().find(|object| object.namespace() == namespace && object.id == *id);
        if let Some(object) = object {
            let source = &self.sources[object.source];
            problem.place = Some(object.root.place(source, &problem.path, false, problem.offset));
        }
    }

    fn read_file(&mut self, source: Source) {
        // The defaults of the parser bound depth, aliases and size.
        let options = serde_saphyr::options! { with_snippet: false, strict_booleans: true };
        let parsed = serde_saphyr::from_multiple_with_options::<Node>(&source.text, options);
        let index = self.sources.len();
        match parsed {
            Ok(roots) => {
                self.sources.push(source);
                for root in roots {
                    self.read_document(index, root);
                }
            }
            Err(error) => {
                self.problems.push(syntax_problem(&source.name, &error));
                self.sources.push(source);
            }
        }
    }

    fn read_document(&mut self, source: usize, root: Node) {
        let mut reader =
            Reader { source: &self.sources[source], root: &root, object: None, problems: Vec::new() };
        let read = reader.read();
        self.problems.append(&mut reader.problems);
        if let Some((id, namespace, content)) = read {
            self.objects.push(Object { id, namespace, source, root, content });
        }
    }

    fn find_duplicates(&mut self) {
        let mut found = Vec::new();
        for (i, object) in self.objects.iter().enumerate() {
            let same = |other: &&Object| other.id == object.id && other.namespace() == object.namespace();
            if let Some(first) = self.objects[..i].iter().find(same) {
                let path = Path::root().field("metadata").field("name");
                let at =
                    |object: &Object| object.root.place(&self.sources[object.source], &path, false, None);
                let message = format!("{} is already defined at {}", object.id, at(first));
                let mut problem = Problem::new(ProblemKind::DuplicateObject, path.clone(), message);
                problem.place = Some(at(object));
                found.push(problem.of(object.id.clone()));
            }
        }
        self.problems.append(&mut found);
    }
}

impl Object {
    fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE)
    }
}

fn syntax_problem(file: &str, error: &serde_saphyr::Error) -> Problem {
    let (line, column) = error.location().map_or((1, 1), |at| (at.line(), at.column()));
    let text = error.without_snippet().to_string();
    // The parser repeats the place behind its message, and speaks of its own options.
    let text = text.lines().next().unwrap_or_default();
    let text = [" at line ", ", set DuplicateKeyPolicy"]
        .iter()
        .fold(text, |text, end| text.split(end).next().unwrap_or(text));
    let hint = match text {
        text if text.contains("tabs") => "; indent with spaces",
        text if text.contains("flow") => "; a text with `: `, `, `, `{` or `[` in it stands in quotes",
        text if text.contains("block collection") => "; fields of one block begin in one column",
        _ => "",
    };
    let message = format!("not readable as YAML: {text}{hint}");
    let mut problem = Problem::new(ProblemKind::Syntax, Path::root(), message);
    problem.place = Some(Place { file: file.to_owned(), line, column });
    problem
}

/// Reads one document.
struct Reader<'a> {
    source: &'a Source,
    root: &'a Node,
    object: Option<ObjectId>,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn report(&mut self, kind: ProblemKind, path: Path, message: impl Into<String>) {
        let at_key = kind == ProblemKind::UnknownField;
        let mut problem = Problem::new(kind, path, message);
        problem.place = Some(self.root.place(self.source, &problem.path, at_key, None));
        problem.object.clone_from(&self.object);
        self.problems.push(problem);
    }

    fn read(&mut self) -> Option<(ObjectId, Option<String>, Content)> {
        if !self.root.is_map() {
            self.report(
                ProblemKind::WrongType,
                Path::root(),
                "expected a manifest with apiVersion, kind, metadata",
            );
            return None;
        }
        let kind = self.kind()?;
        let (name, namespace) = self.metadata(kind);
        let name = name?;
        let id = ObjectId { kind: kind.to_owned(), name: name.clone() };
        self.object = Some(id.clone());
        self.words_of_truth();
        let content = match kind {
            "StreamPipeline" => self.spec(wire::pipeline_schema()).map(|spec| {
                Content::Pipeline(Box::new(Manifest { namespace: namespace.clone(), name, spec }))
            }),
            "StreamWindow" => self.spec(wire::window_schema()).map(|spec| Content::Window(Box::new(spec))),
            "ScalingPolicy" => self.spec(wire::scaling_schema()).map(|spec| Content::Scaling(Box::new(spec))),
            "StreamSavepoint" => {
                self.spec(wire::savepoint_schema()).map(|spec| Content::Savepoint(Box::new(spec)))
            }
            "ConfigMap" => Some(Content::ConfigMap(self.texts("data"))),
            _ => Some(Content::Secret(self.secret())),
        };
        Some((id, namespace, content.unwrap_or(Content::Unreadable)))
    }

    /// The same file is read by `kubectl`, which would refuse it with a message that nobody understands.
    fn words_of_truth(&mut self) {
        let mut found = Vec::new();
        self.root.words_of_truth(self.source, &Path::root(), &mut found);
        for (path, word) in found {
            let message = format!(
                "`{word}` without quotes is true or false for kubectl, which reads YAML 1.1; write \"{word}\""
            );
            self.report(ProblemKind::WrongType, path, message);
        }
    }

    fn kind(&mut self) -> Option<&'static str> {
        let text = |field: &str| self.root.get(field).and_then(Node::text).unwrap_or_default().to_owned();
        let (version, kind) = (text("apiVersion"), text("kind"));
        let path = Path::root();
        if kind.is_empty() {
            self.report(ProblemKind::MissingField, path, "the field `kind` is missing");
            return None;
        }
        let Some((known_version, known)) = KINDS.iter().find(|(_, known)| *known == kind) else {
            let hint = suggest(&kind, KINDS.iter().map(|(_, kind)| *kind), "known are");
            self.report(ProblemKind::UnknownKind, path.field("kind"), format!("unknown kind `{kind}`{hint}"));
            return None;
        };
        if version != *known_version {
            let got = if version.is_empty() { "is missing".to_owned() } else { format!("is `{version}`") };
            let message = format!("apiVersion {got}; a {known} has `{known_version}`");
            self.report(ProblemKind::UnknownKind, path.field("apiVersion"), message);
        }
        let fields: &[&str] = match *known {
            "ConfigMap" => &["apiVersion", "kind", "metadata", "data", "binaryData", "immutable"],
            "Secret" => &["apiVersion", "kind", "metadata", "data", "stringData", "type", "immutable"],
            _ => &["apiVersion", "kind", "metadata", "spec", "status"],
        };
        self.fields(self.root, &Path::root(), fields);
        Some(known)
    }

    /// Reports the fields of a block that are not known.
    fn fields(&mut self, block: &Node, path: &Path, known: &[&str]) {
        for name in block.names().into_iter().filter(|name| !known.contains(&name.as_str())) {
            let hint = suggest(&name, known.iter().copied(), "allowed are");
            self.report(
                ProblemKind::UnknownField,
                path.field(&name),
                format!("unknown field `{name}`{hint}"),
            );
        }
    }

    fn metadata(&mut self, kind: &str) -> (Option<String>, Option<String>) {
        let path = Path::root().field("metadata");
        if let Some(metadata) = self.root.get("metadata") {
            self.fields(metadata, &path, &METADATA);
        }
        let text = |field: &str| self.root.get("metadata").and_then(|m| m.get(field)).map(Node::to_value);
        let (name, namespace) = (text("name"), text("namespace"));
        let name = match name {
            Some(Value::String(name)) if !name.is_empty() => Some(name),
            None | Some(Value::Null | Value::String(_)) => {
                self.report(ProblemKind::MissingField, path.clone(), "the field `name` is missing");
                None
            }
            Some(other) => {
                let message = format!("a name is text, got `{other}`; put it in quotes");
                self.report(ProblemKind::WrongType, path.field("name"), message);
                None
            }
        };
        if let Some(name) = &name {
            let longest = if kind == "StreamPipeline" { NAME_LENGTH_MAX } else { 253 };
            let dots = kind != "StreamPipeline";
            if let Some(message) = bad_name(name, longest, dots) {
                self.report(ProblemKind::BadText, path.field("name"), message);
            }
        }
        let namespace = match namespace {
            None | Some(Value::Null) => None,
            Some(Value::String(namespace)) => {
                if let Some(message) = bad_name(&namespace, 63, false) {
                    self.report(ProblemKind::BadText, path.field("namespace"), message);
                }
                Some(namespace)
            }
            Some(other) => {
                let message = format!("a namespace is text, got `{other}`; put it in quotes");
                self.report(ProblemKind::WrongType, path.field("namespace"), message);
                None
            }
        };
        (name, namespace)
    }

    /// The typed spec. Unknown fields are reported and left out, so that what is behind them is still checked.
    fn spec<T: serde::de::DeserializeOwned>(&mut self, schema: &Value) -> Option<T> {
        let Some(node) = self.root.get("spec").filter(|node| !node.to_value().is_null()) else {
            self.report(ProblemKind::MissingField, Path::root(), "the field `spec` is missing");
            return None;
        };
        let mut value = node.to_value();
        let mismatches = wire::check(&value, schema, &Path::spec());
        let found = mismatches.len();
        for mismatch in mismatches {
            if mismatch.kind == ProblemKind::UnknownField {
                wire::remove(&mut value, &mismatch.path.parts()[1..]);
            }
            self.report(mismatch.kind, mismatch.path, mismatch.message);
        }
        match serde_json::from_value(value) {
            Ok(spec) => Some(spec),
            Err(error) => {
                if found == 0 {
                    self.report(ProblemKind::WrongType, Path::spec(), error.to_string());
                }
                None
            }
        }
    }

    fn texts(&mut self, field: &str) -> BTreeMap<String, String> {
        let path = Path::root().field(field);
        let mut texts = BTreeMap::new();
        match self.root.get(field).map(Node::to_value) {
            None | Some(Value::Null) => {}
            Some(Value::Object(entries)) => {
                for (key, value) in entries {
                    if let Value::String(text) = value {
                        texts.insert(key, text);
                    } else {
                        let message = "expected text; put it in quotes or behind `|`";
                        self.report(ProblemKind::WrongType, path.field(&key), message);
                    }
                }
            }
            Some(_) => self.report(ProblemKind::WrongType, path, "expected a block of keys and texts"),
        }
        texts
    }

    fn secret(&mut self) -> SecretData {
        let mut data = SecretData::new();
        for (key, text) in self.texts("data") {
            let compact: String = text.split_whitespace().collect();
            if let Ok(bytes) = base64::engine::general_purpose::STANDARD.decode(compact) {
                data.insert(key, bytes);
            } else {
                let path = Path::root().field("data").field(&key);
                self.report(ProblemKind::BadText, path, "not base64; plain text belongs under stringData");
            }
        }
        data.extend(self.texts("stringData").into_iter().map(|(key, text)| (key, text.into_bytes())));
        data
    }
}

/// What is wrong with a name, if anything is.
fn bad_name(name: &str, longest: usize, dots: bool) -> Option<String> {
    let label = |label: &str| {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        !label.is_empty()
            && label.chars().all(|c| inner(c) || c == '-')
            && label.starts_with(inner)
            && label.ends_with(inner)
    };
    let good = if dots { name.split('.').all(label) } else { label(name) };
    if name.len() > longest {
        Some(format!("`{name}` has {} characters, at most {longest} are allowed", name.len()))
    } else if good {
        None
    } else {
        let dots = if dots { ", and dots between such parts" } else { "" };
        Some(format!(
            "`{name}` is not allowed here; a name is lower-case letters, digits and `-`, with a letter or digit at both ends{dots}"
        ))
    }
}
