//! The common part of JSON Schema as checks straight over the bytes, without a tree of values.
//!
//! ```text
//!  schema -> compile -> Some(checks) -> value: valid for sure, or ask the general validator
//!                       None: a keyword that is not common; always ask
//! ```
//!
//! A check says either "valid" or "not sure"; what is invalid, repeats a key, or has an escape where it matters, is not
//! sure. So these checks decide how fast a valid value passes, and nothing else.

use super::keywords::{self, Limits};
use crate::format::json::{Literal, Number, Text, deeper, number};
use std::sync::atomic::{AtomicU8, Ordering};

/// Checks of one schema and of those inside it.
#[derive(Debug)]
pub(super) struct Checks {
    /// Each refers only to checks before it, so that there is no way in a circle.
    all: Vec<Check>,
    root: CheckId,
}

/// Index into [`Checks::all`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CheckId(pub u32);

/// One schema.
#[derive(Debug)]
pub(super) struct Check {
    /// Types that are allowed.
    pub types: Types,
    /// Limits of numbers.
    pub limits: Limits,
    /// Characters of strings, at least and at most.
    pub length: Option<(usize, usize)>,
    /// `enum` or `const`.
    pub options: Option<Options>,
    /// Members of objects.
    pub object: Option<Object>,
    /// Elements of arrays.
    pub array: Option<Array>,
    /// One of these must hold besides, when there is any.
    pub any_of: Vec<CheckId>,
}

/// A set of JSON types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Types(pub u8);

impl Types {
    pub const NULL: u8 = 1;
    pub const BOOLEAN: u8 = 2;
    pub const INTEGER: u8 = 4;
    /// Numbers that are no integers.
    pub const FRACTION: u8 = 8;
    pub const STRING: u8 = 16;
    pub const ARRAY: u8 = 32;
    pub const OBJECT: u8 = 64;
    pub const ALL: Types = Types(127);

    fn has(self, kind: u8) -> Option<()> {
        (self.0 & kind != 0).then_some(())
    }
}

/// Values that are allowed.
#[derive(Debug, Default)]
pub(super) struct Options {
    pub strings: Vec<Box<[u8]>>,
    pub integers: Vec<i64>,
    pub null: bool,
    pub truth: [bool; 2],
}

/// What the members of an object must fulfil.
#[derive(Debug)]
pub(super) struct Object {
    properties: Vec<Property>,
    /// One bit per property.
    required: u128,
    additional: Additional,
    /// Which property came after each property, and at `properties.len()` which one came first, the last time: where to
    /// look first. It says how fast a property is found, never which one.
    followers: Vec<AtomicU8>,
}

#[derive(Debug)]
pub(super) struct Property {
    pub name: Box<[u8]>,
    pub check: Additional,
    /// `"name":`; none when the name needs an escape.
    text: Option<Literal>,
}

/// What a member must fulfil.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Additional {
    Anything,
    Nothing,
    Check(CheckId),
}

/// What the elements of an array must fulfil.
#[derive(Debug)]
pub(super) struct Array {
    pub items: Additional,
    pub count: (usize, usize),
}

impl Checks {
    /// The checks of a schema, or none when it has a keyword that they do not know.
    pub fn compile(schema: &serde_json::Value) -> Option<Checks> {
        keywords::compile(schema).map(|(all, root)| Checks { all, root })
    }

    /// True when the text from `start` on is JSON and surely valid.
    pub fn surely_valid(&self, text: Text<'_>, start: usize) -> bool {
        let end = self.check(self.root, text, text.skip_space(start), 0);
        end.is_some_and(|end| text.skip_space(end) == text.end())
    }

    /// The position behind the value at `p`, inside `depth` objects and arrays, if it is valid for sure.
    fn check(&self, id: CheckId, text: Text<'_>, p: usize, depth: u32) -> Option<usize> {
        let check = &self.all[id.0 as usize];
        if !check.any_of.is_empty() {
            check.any_of.iter().find_map(|&option| self.check(option, text, p, depth))?;
        }
        match text.at(p) {
            b'"' => check.string(text, p),
            b'{' => {
                check.types.has(Types::OBJECT)?;
                check.allow(|_| false)?;
                match &check.object {
                    Some(object) => self.object(object, text, p, depth),
                    None => text.container(p, depth).ok(),
                }
            }
            b'[' => {
                check.types.has(Types::ARRAY)?;
                check.allow(|_| false)?;
                match &check.array {
                    Some(array) => self.array(array, text, p, depth),
                    None => text.container(p, depth).ok(),
                }
            }
            b't' | b'f' => {
                check.types.has(Types::BOOLEAN)?;
                check.allow(|options| options.truth[usize::from(text.at(p) == b't')])?;
                text.scalar(p).ok()
            }
            b'n' => {
                check.types.has(Types::NULL)?;
                check.allow(|options| options.null)?;
                text.scalar(p).ok()
            }
            _ => check.number(text, p),
        }
    }

    fn member(&self, check: Additional, text: Text<'_>, p: usize, depth: u32) -> Option<usize> {
        match check {
            Additional::Anything => text.value(p, depth).ok(),
            Additional::Nothing => None,
            Additional::Check(id) => self.check(id, text, p, depth),
        }
    }

    fn object(&self, object: &Object, text: Text<'_>, brace: usize, depth: u32) -> Option<usize> {
        let depth = deeper(brace, depth).ok()?;
        let mut seen = 0_u128;
        let mut last = object.properties.len();
        let mut p = text.skip_space(brace + 1);
        if text.at(p) == b'}' {
            return (object.required == 0).then_some(p + 1);
        }
        loop {
            let (property, value) = object.key(text, p, last)?;
            let check = match property {
                Some(at) if seen >> at & 1 == 1 => return None,
                Some(at) => {
                    seen |= 1 << at;
                    last = at;
                    object.properties[at].check
                }
                None => object.additional,
            };
            p = text.skip_space(self.member(check, text, value, depth)?);
            match text.at(p) {
                b',' => p = text.skip_space(p + 1),
                b'}' => return (seen & object.required == object.required).then_some(p + 1),
                _ => return None,
            }
        }
    }

    fn array(&self, array: &Array, text: Text<'_>, bracket: usize, depth: u32) -> Option<usize> {
        let depth = deeper(bracket, depth).ok()?;
        let mut count = 0;
        let mut p = text.skip_space(bracket + 1);
        if text.at(p) != b']' {
            loop {
                p = text.skip_space(self.member(array.items, text, p, depth)?);
                count += 1;
                match text.at(p) {
                    b',' => p = text.skip_space(p + 1),
                    b']' => break,
                    _ => return None,
                }
            }
        }
        (array.count.0 <= count && count <= array.count.1).then_some(p + 1)
    }
}

impl Check {
    fn allow(&self, allowed: impl FnOnce(&Options) -> bool) -> Option<()> {
        self.options.as_ref().is_none_or(allowed).then_some(())
    }

    fn string(&self, text: Text<'_>, quote: usize) -> Option<usize> {
        self.types.has(Types::STRING)?;
        let string = text.string(quote + 1).ok()?;
        if self.length.is_some() || self.options.is_some() {
            if string.escaped {
                return None;
            }
            let content = text.slice(quote + 1, string.end - 1);
            self.allow(|options| options.strings.iter().any(|option| **option == *content))?;
            if let Some((min, max)) = self.length {
                // Bytes that begin a character.
                let characters = content.iter().filter(|&&byte| byte & 0xC0 != 0x80).count();
                (min <= characters && characters <= max).then_some(())?;
            }
        }
        Some(string.end)
    }

    fn number(&self, text: Text<'_>, p: usize) -> Option<usize> {
        if !matches!(text.at(p), b'-' | b'0'..=b'9') {
            return None;
        }
        let (end, number) = number(text, p).ok()?;
        match number {
            Number::Int(value) => {
                self.types.has(Types::INTEGER)?;
                self.allow(|options| options.integers.contains(&value))?;
                self.limits.allow_int(value).then_some(end)
            }
            Number::Double(value) => {
                self.types.has(if value.fract() == 0.0 { Types::INTEGER } else { Types::FRACTION })?;
                self.allow(|_| false)?;
                self.limits.allow_double(value).then_some(end)
            }
            Number::Decimal => None,
        }
    }
}

impl Property {
    pub fn new(name: &str, check: Additional) -> Self {
        let plain = name.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\');
        let text = plain.then(|| Literal::new(format!("\"{name}\":").as_bytes()));
        Self { name: name.as_bytes().into(), check, text }
    }
}

impl Object {
    /// Properties, at most: one bit each.
    pub const PROPERTIES_MAX: usize = 128;

    /// None when there are too many properties.
    pub fn new(properties: Vec<Property>, required: u128, additional: Additional) -> Option<Self> {
        let followers = (0..=properties.len()).map(|_| AtomicU8::new(0)).collect();
        (properties.len() <= Self::PROPERTIES_MAX).then_some(Self {
            properties,
            required,
            additional,
            followers,
        })
    }

    /// The property of the key at `p`, and the position of its value; `last` is the property before it. None is no key, or
    /// one with an escape.
    #[inline]
    fn key(&self, text: Text<'_>, p: usize, last: usize) -> Option<(Option<usize>, usize)> {
        let guess = usize::from(self.followers[last].load(Ordering::Relaxed));
        if let Some(Property { text: Some(expected), .. }) = self.properties.get(guess)
            && expected.is_at(text, p)
        {
            return Some((Some(guess), text.skip_space(p + expected.len())));
        }
        self.other_key(text, p, last)
    }

    #[inline(never)]
    fn other_key(&self, text: Text<'_>, p: usize, last: usize) -> Option<(Option<usize>, usize)> {
        if text.at(p) != b'"' {
            return None;
        }
        let key = text.string(p + 1).ok().filter(|key| !key.escaped)?;
        let name = text.slice(p + 1, key.end - 1);
        let property = self.properties.iter().position(|property| *property.name == *name);
        if let Some(at) = property {
            self.followers[last].store(at as u8, Ordering::Relaxed);
        }
        Some((property, text.colon(key.end).ok()?))
    }
}
