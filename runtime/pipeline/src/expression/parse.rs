//! From text to a syntax tree. The grammar is the `cel` crate's; nothing else here knows that crate but `check`, which
//! walks its tree.

use super::CompileError;
use cel::common::ast::SourceInfo;
use cel::{Env, IdedExpr, ParseErrors};

/// Parentheses, lists, maps, calls and conditionals inside each other.
const MAX_NESTING: u16 = 32;

/// A text and its tree.
pub(super) struct Parsed<'t> {
    /// The text.
    pub text: &'t str,
    /// The tree, macros not expanded.
    pub tree: IdedExpr,
    info: SourceInfo,
}

/// Parses a text.
pub(super) fn parse(text: &str) -> Result<Parsed<'_>, CompileError> {
    // An environment without macros: the check sees `has`, `map` and so on as they are written.
    let parser = Env::default().with_optional_support(true).parser().max_recursion_depth(MAX_NESTING);
    match parser.parse_with_source_info(text) {
        Ok((tree, info)) => Ok(Parsed { text, tree, info }),
        Err(errors) => Err(first_error(text, &errors)),
    }
}

impl Parsed<'_> {
    /// Where a node starts, as a byte offset.
    pub fn position(&self, id: u64) -> usize {
        let start = self.info.offset_for(id).map_or(0, |(start, _)| start as usize);
        self.text.floor_char_boundary(start.min(self.text.len()))
    }

    /// Where the name of a call starts, whose node is at its parenthesis.
    pub fn call_position(&self, id: u64, name: &str) -> usize {
        let open = self.position(id);
        let before = self.text[..open].trim_end();
        if before.ends_with(name) { before.len() - name.len() } else { open }
    }
}

fn first_error(text: &str, errors: &ParseErrors) -> CompileError {
    let Some(error) = errors.errors.first() else {
        return CompileError { position: 0, message: "this is not an expression".to_owned() };
    };
    if errors.errors.iter().any(|e| e.msg == "UNKNOWN" || e.msg.contains("Recursion limit")) {
        let message = format!("nested deeper than {MAX_NESTING} levels");
        return CompileError { position: 0, message };
    }
    let (line, column) = error.pos;
    CompileError { position: byte_offset(text, line, column), message: plain(&error.msg) }
}

/// The byte offset of a line and column, both from 1.
fn byte_offset(text: &str, line: isize, column: isize) -> usize {
    let skipped = usize::try_from(line - 1).unwrap_or(0);
    let start: usize = text.split_inclusive('\n').take(skipped).map(str::len).sum();
    let column = usize::try_from(column - 1).unwrap_or(0);
    let rest = &text[start.min(text.len())..];
    start + rest.char_indices().nth(column).map_or(rest.len(), |(at, _)| at)
}

/// The parser's message without the list of everything that could have stood there.
fn plain(message: &str) -> String {
    let message = message.strip_prefix("Syntax error: ").unwrap_or(message);
    let what = message.split(" expecting ").next().unwrap_or(message);
    let quoted = |text: &str| text.trim().trim_matches('\'').to_owned();
    if what.contains("<EOF>") {
        return "the expression ends too early".to_owned();
    }
    for prefix in ["mismatched input ", "extraneous input ", "no viable alternative at input "] {
        if let Some(token) = what.strip_prefix(prefix) {
            let token = quoted(token);
            return format!("unexpected `{token}`{}", of_other_languages(&token));
        }
    }
    if let Some(token) = what.strip_prefix("token recognition error at: ") {
        let token = quoted(token);
        return match of_other_languages(token.trim()) {
            "" => format!("`{token}` is not part of an expression; strings stand in quotes"),
            hint => format!("`{}` is not part of an expression{hint}", token.trim()),
        };
    }
    what.to_owned()
}

/// What other languages write for an operator of this one.
fn of_other_languages(token: &str) -> &'static str {
    match token.to_ascii_lowercase().as_str() {
        "=" | "is" => "; values are compared with `==`",
        "and" | "&" => "; write `&&`",
        "or" | "|" => "; write `||`",
        "not" => "; write `!`",
        "<>" => "; write `!=`",
        _ => "",
    }
}
