//! What is wrong with a manifest, said so that the reader can mend it: what, where, what is allowed, and what was
//! probably meant.

use std::fmt;

/// One problem of one manifest. All problems are found at once; none hides another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Its kind, for programs.
    pub kind: ProblemKind,
    /// The object it was found in, when one could be told.
    pub object: Option<ObjectId>,
    /// Where in the text; none when the object did not come from a text.
    pub place: Option<Place>,
    /// The field, such as `spec.steps[1].filter.expression`; empty for the whole object.
    pub path: Path,
    /// Where inside a text value the problem lies, in bytes of that value.
    pub offset: Option<usize>,
    /// What is wrong and what is allowed.
    pub message: String,
}

/// The kinds of problems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProblemKind {
    /// The text is not YAML.
    Syntax,
    /// The document is of a kind or version that is not known.
    UnknownKind,
    /// Two documents with the same kind, namespace and name.
    DuplicateObject,
    /// There is no pipeline to run.
    NoPipeline,
    /// The field does not exist.
    UnknownField,
    /// A field that must be there is not.
    MissingField,
    /// The value has another type.
    WrongType,
    /// The value is not one of those allowed.
    UnknownValue,
    /// The text does not have the form that is needed.
    BadText,
    /// A number, duration, length or count is out of its bounds.
    OutOfBounds,
    /// Not exactly one block of a union is set, or two fields exclude each other.
    Union,
    /// A name is used twice.
    DuplicateName,
    /// A StreamWindow, ConfigMap or key that is referred to does not exist.
    RefNotFound,
    /// A source, step, branch or sink that is named does not exist or cannot be read from there.
    NameNotFound,
    /// Records would flow in a circle, or from nowhere, or to nobody.
    Flow,
    /// An expression does not compile.
    Expression,
    /// A path does not name a field, or names one that its records cannot have.
    FieldPath,
    /// A window or its aggregates make no sense.
    Window,
    /// A JSON Schema does not compile.
    Schema,
}

/// Kind and name of an object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId {
    /// Such as `StreamPipeline`.
    pub kind: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

/// A place in a text. Lines and columns count from 1, columns in characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// Name of the file, as it was given.
    pub file: String,
    /// Line.
    pub line: u64,
    /// Column.
    pub column: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

impl Problem {
    /// A problem at a path of an object, without a place in a text.
    pub fn new(kind: ProblemKind, path: Path, message: impl Into<String>) -> Self {
        Self { kind, object: None, place: None, path, offset: None, message: message.into() }
    }

    /// The same problem, of this object.
    #[must_use]
    pub fn of(mut self, object: ObjectId) -> Self {
        self.object = Some(object);
        self
    }

    /// The same problem, at this byte of the text value.
    #[must_use]
    pub fn at_offset(mut self, offset: usize) -> Self {
        self.offset = Some(offset);
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.place, &self.object) {
            (Some(place), _) => write!(f, "{place}: ")?,
            (None, Some(object)) => write!(f, "{object}: ")?,
            (None, None) => {}
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

/// The way to a field of a manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Path(Vec<PathPart>);

/// One part of a [`Path`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PathPart {
    /// A field of a block.
    Field(String),
    /// An entry of a list, from 0.
    Index(usize),
}

impl Path {
    /// The whole object.
    pub fn root() -> Self {
        Self::default()
    }

    /// The field `spec`.
    pub fn spec() -> Self {
        Self::root().field("spec")
    }

    /// A field below this one.
    #[must_use]
    pub fn field(&self, name: &str) -> Self {
        self.with(PathPart::Field(name.to_owned()))
    }

    /// An entry of this list.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.with(PathPart::Index(index))
    }

    fn with(&self, part: PathPart) -> Self {
        let mut parts = self.0.clone();
        parts.push(part);
        Self(parts)
    }

    /// The parts, from the top.
    pub fn parts(&self) -> &[PathPart] {
        &self.0
    }

    /// True for the whole object.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True when this is `other` or lies below it.
    pub fn starts_with(&self, other: &Path) -> bool {
        self.0.starts_with(&other.0)
    }

    /// The block or list that holds this field.
    #[must_use]
    pub fn parent(&self) -> Self {
        Self(self.0[..self.0.len().saturating_sub(1)].to_vec())
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, part) in self.0.iter().enumerate() {
            match part {
                PathPart::Field(name) if i == 0 => f.write_str(name)?,
                // A key with dots, such as one of a ConfigMap, would read as several fields.
                PathPart::Field(name) if name.contains('.') => write!(f, "[{name}]")?,
                PathPart::Field(name) => write!(f, ".{name}")?,
                PathPart::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// How alike two words must be to be suggested for each other, from 0 to 1.
const ALIKE: f64 = 0.8;
/// How many words a message lists.
const LISTED_MAX: usize = 12;

/// What was probably meant by an unknown word.
pub fn closest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    let likeness = |other: &str| strsim::jaro_winkler(&lower, &other.to_lowercase());
    known
        .map(|other| (likeness(other), other))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0).then_with(|| b.1.cmp(a.1)))
        .map(|(_, best)| best)
}

/// The end of a message about an unknown word: what was probably meant, and what there is.
pub fn suggest<'a>(word: &str, known: impl Iterator<Item = &'a str>, allowed: &str) -> String {
    let known: Vec<&str> = known.collect();
    let best = closest(word, known.iter().copied());
    let listed: Vec<String> = known.iter().take(LISTED_MAX).map(|word| format!("`{word}`")).collect();
    let more = known.len() - listed.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    match best {
        Some(best) if known.len() > LISTED_MAX || known.len() == 1 => {
            format!("; did you mean `{best}`?")
        }
        Some(best) => format!("; did you mean `{best}`? ({allowed} {})", listed.join(", ")),
        None if known.is_empty() => String::new(),
        None => format!("; {allowed} {}{more}", listed.join(", ")),
    }
}
