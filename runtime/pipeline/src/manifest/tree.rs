//! YAML as a tree whose nodes know where they stand in the text.

use crate::problem::{Path, PathPart, Place};
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;
use std::fmt;

/// Words that are text here, as YAML 1.2 says, and true or false in YAML 1.1, which `kubectl` reads.
const WORDS_OF_TRUTH: [&str; 16] =
    ["y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "n", "N", "no", "No", "NO", "off", "Off", "OFF"];

/// A value and where it begins.
#[derive(Clone, Debug)]
pub struct Node {
    /// Line and column, from 1.
    at: (u64, u64),
    /// First byte in the text, when it is known.
    byte: Option<u64>,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    Scalar(serde_json::Value),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Content>::deserialize(deserializer)?;
        let location = spanned.referenced;
        Ok(Self {
            at: (location.line(), location.column()),
            byte: location.span().byte_offset(),
            content: spanned.value,
        })
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Content, E> {
        Ok(Content::Scalar(serde_json::Value::Null))
    }

    fn visit_none<E: de::Error>(self) -> Result<Content, E> {
        self.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Content, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Content, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element::<Node>()? {
            list.push(item);
        }
        Ok(Content::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Content, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry::<Node, Node>()? {
            map.push(entry);
        }
        Ok(Content::Map(map))
    }
}

impl Node {
    /// The value without places. A key that is not text becomes its text.
    pub fn to_value(&self) -> serde_json::Value {
        match &self.content {
            Content::Scalar(value) => value.clone(),
            Content::List(items) => items.iter().map(Node::to_value).collect(),
            Content::Map(entries) => entries
                .iter()
                .map(|(key, value)| (key.key_text(), value.to_value()))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }

    /// The value of a field.
    pub fn get(&self, field: &str) -> Option<&Node> {
        self.entry(field).map(|(_, value)| value)
    }

    /// The names of the fields; none for what is not a block.
    pub fn names(&self) -> Vec<String> {
        match &self.content {
            Content::Map(entries) => entries.iter().map(|(key, _)| key.key_text()).collect(),
            Content::Scalar(_) | Content::List(_) => Vec::new(),
        }
    }

    /// The text, when it is one.
    pub fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar(value) => value.as_str(),
            Content::List(_) | Content::Map(_) => None,
        }
    }

    /// True for a block of fields.
    pub fn is_map(&self) -> bool {
        matches!(self.content, Content::Map(_))
    }

    /// Values without quotes that another reader of YAML takes for true or false, with their paths.
    pub fn words_of_truth<'a>(&'a self, source: &Source, path: &Path, found: &mut Vec<(Path, &'a str)>) {
        match &self.content {
            Content::Scalar(_) => {
                let Some(text) = self.text().filter(|text| WORDS_OF_TRUTH.contains(text)) else { return };
                let written = self.byte.and_then(|at| source.text.get(at as usize..));
                if written.is_some_and(|written| written.starts_with(text)) {
                    found.push((path.clone(), text));
                }
            }
            Content::List(items) => {
                let numbered = items.iter().enumerate();
                numbered.for_each(|(i, item)| item.words_of_truth(source, &path.index(i), found));
            }
            Content::Map(entries) => {
                let named = entries.iter().map(|(key, value)| (key.key_text(), value));
                named.for_each(|(key, value)| value.words_of_truth(source, &path.field(&key), found));
            }
        }
    }

    fn entry(&self, field: &str) -> Option<&(Node, Node)> {
        match &self.content {
            Content::Map(entries) => entries.iter().find(|(key, _)| key.key_text() == field),
            Content::Scalar(_) | Content::List(_) => None,
        }
    }

    fn key_text(&self) -> String {
        match &self.content {
            Content::Scalar(serde_json::Value::String(text)) => text.clone(),
            Content::Scalar(other) => other.to_string(),
            Content::List(_) | Content::Map(_) => self.to_value().to_string(),
        }
    }

    /// Where a problem at a path is shown: at the key of a block or of an unknown field, at a value that is not a
    /// block, and for a path that does not exist at its deepest part that does. `offset` is a byte of the text value.
    pub fn place(&self, source: &Source, path: &Path, at_key: bool, offset: Option<usize>) -> Place {
        let mut node = self;
        let mut at = self.at;
        let parts = path.parts();
        for (i, part) in parts.iter().enumerate() {
            let last = i + 1 == parts.len();
            let (key, next) = match (part, &node.content) {
                (PathPart::Field(name), Content::Map(_)) => match node.entry(name) {
                    Some((key, value)) => (key.at, value),
                    None => break,
                },
                (PathPart::Index(index), Content::List(items)) => match items.get(*index) {
                    Some(item) => (item.at, item),
                    None => break,
                },
                _ => break,
            };
            let scalar = matches!(&next.content, Content::Scalar(value) if !value.is_null());
            at = if scalar && !(last && at_key) { next.at } else { key };
            node = next;
            if last && let (Some(offset), Some(text)) = (offset, node.text()) {
                at = source.inside(node, text, offset).unwrap_or(at);
            }
        }
        Place { file: source.name.clone(), line: at.0, column: at.1 }
    }
}

/// A file: its name as given and its text.
#[derive(Clone, Debug)]
pub struct Source {
    /// Name.
    pub name: String,
    /// Text.
    pub text: String,
}

impl Source {
    /// Line and column of byte `offset` of a text value. The value and its source differ in indentation, folded line
    /// ends, quotes and escapes; what is not white space appears in both in the same order, and is counted.
    fn inside(&self, node: &Node, value: &str, offset: usize) -> Option<(u64, u64)> {
        let start = node.byte? as usize;
        let source = self.text.get(start..)?;
        let solid = value.get(..offset)?.chars().filter(|c| !c.is_whitespace()).count();
        let target = Target { solid, end: value.get(offset..)?.trim_end().is_empty() };
        let mut position = Position { line: node.at.0, column: node.at.1 };
        let mut rest = source.chars().peekable();
        let quote = match rest.peek() {
            Some(first @ ('"' | '\'')) => Some(*first),
            Some('|' | '>') => None,
            _ => return position.skip(&mut rest, target, None),
        };
        if quote.is_some() {
            position.step(rest.next()?);
        } else {
            // The head of a block scalar ends with its line.
            while position.step(rest.next()?) != '\n' {}
        }
        position.skip(&mut rest, target, quote)
    }
}

/// What is looked for: the character behind so many that are not white space, or the end of the value.
#[derive(Clone, Copy)]
struct Target {
    solid: usize,
    end: bool,
}

struct Position {
    line: u64,
    column: u64,
}

impl Position {
    fn step(&mut self, c: char) -> char {
        if c == '\n' {
            self.line += 1;
            self.column = 1;
        } else {
            self.column += 1;
        }
        c
    }

    fn skip(
        &mut self,
        rest: &mut std::iter::Peekable<std::str::Chars<'_>>,
        target: Target,
        quote: Option<char>,
    ) -> Option<(u64, u64)> {
        let mut solid = target.solid;
        loop {
            if solid == 0 && target.end {
                return Some((self.line, self.column));
            }
            let next = *rest.peek()?;
            if next.is_whitespace() {
                self.step(rest.next()?);
                continue;
            }
            if solid == 0 {
                return Some((self.line, self.column));
            }
            self.step(rest.next()?);
            // Two characters of the source stand for one of the value.
            let escape = (quote == Some('"') && next == '\\') || (quote == Some('\'') && next == '\'');
            if escape {
                self.step(rest.next()?);
            }
            solid -= 1;
        }
    }
}

#[cfg(test)]
mod tests;
