//! The pages, taken apart: prose, and blocks of code with the words behind their fences.

use std::path::{Path, PathBuf};

/// Folders with pages, and pages elsewhere.
const PLACES: [&str; 5] = ["docs", "README.md", "CHANGELOG.md", "charts/weir/README.md", "e2e/bed/README.md"];

/// One Markdown file.
pub struct Page {
    /// Path below the root.
    pub path: PathBuf,
    /// Lines that are in no block, with their numbers.
    pub prose: Vec<(usize, String)>,
    /// Blocks of code.
    pub blocks: Vec<Block>,
}

/// A block of code between fences.
pub struct Block {
    /// Number of its first line.
    pub line: usize,
    /// What stands behind the opening fence, such as `yaml` or `yaml fragment`.
    pub info: String,
    /// What is between the fences, without the indentation of the fence.
    pub text: String,
}

/// The folder of the workspace.
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// All pages.
pub fn read() -> Vec<Page> {
    let mut files = Vec::new();
    for place in PLACES {
        collect(Path::new(place), &mut files);
    }
    files.sort();
    files.into_iter().map(page).collect()
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) {
    let full = root().join(path);
    if !full.is_dir() {
        files.extend((path.extension().is_some_and(|ending| ending == "md")).then(|| path.to_owned()));
        return;
    }
    for entry in std::fs::read_dir(full).expect("a folder can be read") {
        collect(&path.join(entry.expect("an entry can be read").file_name()), files);
    }
}

fn page(path: PathBuf) -> Page {
    let text = std::fs::read_to_string(root().join(&path)).expect("a page can be read");
    let (mut prose, mut blocks, mut open) = (Vec::new(), Vec::new(), None::<(usize, Block)>);
    for (line, content) in (1..).zip(text.lines()) {
        let bare = content.trim_start();
        let indent = content.len() - bare.len();
        match (bare.strip_prefix("```"), open.take()) {
            (Some(info), None) => {
                open = Some((
                    indent,
                    Block { line: line + 1, info: info.trim().to_owned(), text: String::new() },
                ));
            }
            (Some(_), Some((_, block))) => blocks.push(block),
            (None, Some((indent, mut block))) => {
                block.text.push_str(content.get(indent..).unwrap_or(bare));
                block.text.push('\n');
                open = Some((indent, block));
            }
            (None, None) => prose.push((line, content.to_owned())),
        }
    }
    assert!(open.is_none(), "{}: a block is not closed", path.display());
    Page { path, prose, blocks }
}
