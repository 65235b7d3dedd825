//! Which members of an object are wanted, and where they will come: the tree of a projection, with a memory of the
//! keys that the last objects had.
//!
//! Producers write the members of an object in the same order again and again. Each object of the projection remembers
//! the texts `"key":` that it saw, in order; the next object is read by comparing the text that should come now. Only
//! when that fails a key is scanned and looked up.

use super::literal::Literal;
use super::scan::{Scan, Text};
use super::{RejectReason, SyntaxError, escape};
use crate::column::{FieldPath, Projection};

/// What to do with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// Check it.
    Skip,
    /// Put it into a column.
    Leaf(u32),
    /// Look into it: index of its [`Node`].
    Inner(u32),
}

/// One object of the projection.
#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    /// The column of the object itself.
    pub column: Option<u32>,
    /// All columns of the object and of what is inside it.
    pub columns_below: Vec<u32>,
    /// The row that last had this object, to notice a repeated key.
    pub last_row: Option<u64>,
    members: Vec<(Box<[u8]>, Target)>,
    expected: Vec<Expected>,
    misses: u32,
}

/// What to do with the value behind a text `"key":`, which has the space in and around it.
#[derive(Clone, Debug)]
struct Expected {
    text: Literal,
    target: Target,
}

/// Texts that an object remembers, at most.
const EXPECTED_MAX: usize = 64;
/// The longest text that is remembered, in bytes.
const EXPECTED_LEN_MAX: usize = 128;
/// Texts not found while the memory is full, after which it begins anew.
const MISSES_MAX: u32 = 4_096;

impl Node {
    /// The objects of a projection; the first one is the record.
    pub fn tree(projection: &Projection) -> Vec<Node> {
        let mut nodes = vec![Node::default()];
        for (column, FieldPath(parts)) in projection.paths().iter().enumerate() {
            let mut at = 0;
            nodes[at].columns_below.push(column as u32);
            for part in parts {
                at = Self::child(&mut nodes, at, part.as_bytes());
                nodes[at].columns_below.push(column as u32);
            }
            nodes[at].column = Some(column as u32);
        }
        let targets: Vec<Target> = (0..).zip(&nodes).map(|(index, node)| node.target(index)).collect();
        for node in &mut nodes {
            for (_, target) in &mut node.members {
                if let Target::Inner(index) = *target {
                    *target = targets[index as usize];
                }
            }
        }
        nodes
    }

    /// What to do with a value that this node, at `index`, stands for.
    pub fn target(&self, index: u32) -> Target {
        match self.column {
            Some(column) if self.members.is_empty() => Target::Leaf(column),
            None if self.members.is_empty() => Target::Skip,
            _ => Target::Inner(index),
        }
    }

    fn child(nodes: &mut Vec<Node>, parent: usize, name: &[u8]) -> usize {
        let found = nodes[parent].members.iter().find(|(key, _)| **key == *name);
        if let Some((_, Target::Inner(index))) = found {
            return *index as usize;
        }
        let index = nodes.len();
        nodes.push(Node::default());
        nodes[parent].members.push((name.into(), Target::Inner(index as u32)));
        index
    }

    /// Passes over the key at `p` when its text is the one remembered at `next`.
    #[inline(always)]
    pub fn expect(&self, text: Text<'_>, p: usize, next: usize) -> Option<(usize, Target)> {
        let expected = self.expected.get(next)?;
        expected.text.is_at(text, p).then(|| (p + expected.text.len(), expected.target))
    }

    /// Passes over a key that was not expected: the position of its value, what to do with it, and which text should
    /// come after it. None is the brace of an empty object.
    #[inline(never)]
    pub fn search(&mut self, text: Text<'_>, start: usize, next: usize) -> Scan<(usize, Target, usize)> {
        // Members that are left out now and then.
        for skipped in next + 1..(next + 4).min(self.expected.len()) {
            if let Some((p, target)) = self.expect(text, start, skipped) {
                return Ok((text.skip_space(p), target, skipped + 1));
            }
        }
        let key = text.skip_space(start);
        if text.at(key) != b'"' {
            return Err(text.unexpected(key, SyntaxError::ExpectedKey));
        }
        let string = text.string(key + 1)?;
        let name = text.slice(key + 1, string.end - 1);
        let target = if string.escaped { self.escaped_member(name)? } else { self.member(name) };
        let p = text.colon(string.end)?;
        let next = self.remember(text.slice(start, p), target, next);
        Ok((p, target, next))
    }

    fn member(&self, name: &[u8]) -> Target {
        self.members.iter().find(|(key, _)| **key == *name).map_or(Target::Skip, |(_, target)| *target)
    }

    fn escaped_member(&self, raw: &[u8]) -> Result<Target, RejectReason> {
        let mut name = Vec::with_capacity(raw.len());
        escape::unescape(raw, &mut name)?;
        Ok(self.member(&name))
    }

    /// Which text should come after this one, which is put into the memory when it is not there.
    fn remember(&mut self, text: &[u8], target: Target, next: usize) -> usize {
        if text.len() > EXPECTED_LEN_MAX {
            return next;
        }
        let text = Literal::new(text);
        if let Some(at) = self.expected.iter().position(|known| known.text == text) {
            return at + 1;
        }
        if self.expected.len() < EXPECTED_MAX {
            self.expected.insert(next, Expected { text, target });
            return next + 1;
        }
        self.misses += 1;
        if self.misses > MISSES_MAX {
            self.misses = 0;
            self.expected.clear();
        }
        0
    }
}
