//! Where the fields stand in the text of a record. Every place counts: of repeated keys each one, of a list each element,
//! and a key that is written with escapes too.

use super::method::Method;
use crate::column::FieldPath;
use crate::format::json::{MAX_BYTES, RejectReason, Scan, Text, deeper, unescape, write_string};

/// The members of an object that are masked, or that have such members.
#[derive(Clone, Debug, Default)]
struct Node {
    children: Vec<(Vec<u8>, Node)>,
    masked: bool,
}

/// Masks fields of JSON texts.
#[derive(Clone, Debug)]
pub(super) struct Masker {
    root: Node,
    method: Method,
    /// Of strings with escapes, and of objects and arrays.
    plain: Vec<u8>,
}

impl Masker {
    pub(super) fn new(fields: &[FieldPath], method: Method) -> Self {
        let mut root = Node::default();
        for path in fields {
            let leaf = path.0.iter().fold(&mut root, |node, part| node.child(part.as_bytes()));
            leaf.masked = true;
        }
        Self { root, method, plain: Vec::new() }
    }

    /// Appends the text with its fields masked. A text that is not JSON appends who knows what.
    pub(super) fn mask(&mut self, value: &[u8], out: &mut Vec<u8>) -> Scan<()> {
        if value.len() > MAX_BYTES {
            return Err(RejectReason::TooLarge { len: value.len() as u32 });
        }
        let text = Text::new(value, value.len());
        let Self { root, method, plain } = self;
        let mut walk = Walk { text, method, plain, out, copied: 0 };
        let end = walk.value(root, text.skip_space(0), 0)?;
        let end = text.skip_space(end);
        if end < text.end() {
            return Err(RejectReason::Trailing { at: end as u32 });
        }
        walk.copy_to(end);
        Ok(())
    }
}

impl Node {
    fn child(&mut self, name: &[u8]) -> &mut Node {
        let known = self.children.iter().position(|(other, _)| other == name);
        let at = known.unwrap_or_else(|| {
            self.children.push((name.to_vec(), Node::default()));
            self.children.len() - 1
        });
        &mut self.children[at].1
    }

    fn find(&self, name: &[u8]) -> Option<&Node> {
        self.children.iter().find(|(other, _)| other == name).map(|(_, node)| node)
    }
}

/// One text.
struct Walk<'a> {
    text: Text<'a>,
    method: &'a mut Method,
    plain: &'a mut Vec<u8>,
    out: &'a mut Vec<u8>,
    /// What is before stands in `out`.
    copied: usize,
}

impl Walk<'_> {
    fn copy_to(&mut self, end: usize) {
        self.out.extend_from_slice(self.text.slice(self.copied, end));
        self.copied = end;
    }

    /// Passes over a value in which fields are masked. The recursion is as deep as the text, which is bounded.
    fn value(&mut self, node: &Node, p: usize, depth: u32) -> Scan<usize> {
        match self.text.at(p) {
            b'{' => members(self.text, p, depth, |name, p, depth| match node.find(name) {
                Some(child) if child.masked => self.masked(p, depth),
                Some(child) => self.value(child, p, depth),
                None => self.text.value(p, depth),
            }),
            b'[' => elements(self.text, p, depth, |p, depth| self.value(node, p, depth)),
            _ => self.text.scalar(p),
        }
    }

    /// Replaces a value.
    fn masked(&mut self, p: usize, depth: u32) -> Scan<usize> {
        let end = self.text.value(p, depth)?;
        if self.text.at(p) == b'n' {
            return Ok(end);
        }
        self.copy_to(p);
        self.copied = end;
        self.plain.clear();
        match self.text.at(p) {
            b'"' => {
                unescape(self.text.slice(p + 1, end - 1), self.plain)?;
                self.method.write(self.plain, self.out);
            }
            b'{' | b'[' => {
                canonical(self.text, p, depth, self.plain)?;
                self.method.write_whole(self.plain, self.out);
            }
            _ => self.method.write(self.text.slice(p, end), self.out),
        }
        Ok(end)
    }
}

/// Passes over an object; `member` is given the name of each member and passes over its value.
fn members(
    text: Text<'_>,
    p: usize,
    depth: u32,
    mut member: impl FnMut(&[u8], usize, u32) -> Scan<usize>,
) -> Scan<usize> {
    use crate::format::json::SyntaxError::{ExpectedCommaOrBrace, ExpectedKey};
    let depth = deeper(p, depth)?;
    let mut p = text.skip_space(p + 1);
    if text.at(p) == b'}' {
        return Ok(p + 1);
    }
    loop {
        if text.at(p) != b'"' {
            return Err(text.unexpected(p, ExpectedKey));
        }
        let key = text.string(p + 1)?;
        let raw = text.slice(p + 1, key.end - 1);
        let value = text.colon(key.end)?;
        p = if key.escaped {
            let mut name = Vec::new();
            unescape(raw, &mut name)?;
            member(&name, value, depth)?
        } else {
            member(raw, value, depth)?
        };
        p = text.skip_space(p);
        match text.at(p) {
            b',' => p = text.skip_space(p + 1),
            b'}' => return Ok(p + 1),
            _ => return Err(text.unexpected(p, ExpectedCommaOrBrace)),
        }
    }
}

/// Passes over an array; `element` passes over each element.
fn elements(
    text: Text<'_>,
    p: usize,
    depth: u32,
    mut element: impl FnMut(usize, u32) -> Scan<usize>,
) -> Scan<usize> {
    use crate::format::json::SyntaxError::ExpectedCommaOrBracket;
    let depth = deeper(p, depth)?;
    let mut p = text.skip_space(p + 1);
    if text.at(p) == b']' {
        return Ok(p + 1);
    }
    loop {
        p = text.skip_space(element(p, depth)?);
        match text.at(p) {
            b',' => p = text.skip_space(p + 1),
            b']' => return Ok(p + 1),
            _ => return Err(text.unexpected(p, ExpectedCommaOrBracket)),
        }
    }
}

/// Appends a value without white space, members sorted by name, of repeated names the last one, strings with as few
/// escapes as there can be, numbers as they are written.
fn canonical(text: Text<'_>, p: usize, depth: u32, out: &mut Vec<u8>) -> Scan<usize> {
    match text.at(p) {
        b'{' => {
            let mut all: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
            let end = members(text, p, depth, |name, p, depth| {
                let mut value = Vec::new();
                let end = canonical(text, p, depth, &mut value)?;
                match all.iter_mut().find(|(other, _)| other == name) {
                    Some((_, known)) => *known = value,
                    None => all.push((name.to_vec(), value)),
                }
                Ok(end)
            })?;
            all.sort();
            out.push(b'{');
            for (at, (name, value)) in all.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write_string(name, out);
                out.push(b':');
                out.extend_from_slice(value);
            }
            out.push(b'}');
            Ok(end)
        }
        b'[' => {
            out.push(b'[');
            let mut first = true;
            let end = elements(text, p, depth, |p, depth| {
                if !std::mem::take(&mut first) {
                    out.push(b',');
                }
                canonical(text, p, depth, out)
            })?;
            out.push(b']');
            Ok(end)
        }
        b'"' => {
            let string = text.string(p + 1)?;
            let mut plain = Vec::new();
            unescape(text.slice(p + 1, string.end - 1), &mut plain)?;
            write_string(&plain, out);
            Ok(string.end)
        }
        _ => {
            let end = text.scalar(p)?;
            out.extend_from_slice(text.slice(p, end));
            Ok(end)
        }
    }
}
