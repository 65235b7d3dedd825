//! YAML in pages: whole documents are linted as `weir lint` does it, fragments are at least YAML.

use crate::pages::{Block, Page};
use crate::{none, pages};
use serde_json::Value;

/// What a whole document of ours says in its first lines.
const OURS: &str = "weir.dev/";

#[test]
fn every_yaml_block_is_accepted() {
    let (mut problems, mut whole, mut fragments) = (Vec::new(), 0, 0);
    for page in pages() {
        for block in &page.blocks {
            match block.info.as_str() {
                "yaml" => {
                    whole += 1;
                    problems.extend(document_problems(&page, block));
                }
                "yaml fragment" => {
                    fragments += 1;
                    problems.extend(parsed(&page, block).err());
                }
                other if other.starts_with("yaml") || other.starts_with("yml") => {
                    problems.push(format!("{}: `{other}`: say yaml, or yaml fragment", place(&page, block)));
                }
                _ => {}
            }
        }
    }
    println!("{whole} whole blocks, {fragments} fragments");
    none(&problems);
}

fn place(page: &Page, block: &Block) -> String {
    format!("{}:{}", page.path.display(), block.line)
}

fn parsed(page: &Page, block: &Block) -> Result<Vec<Value>, String> {
    serde_saphyr::from_multiple(&block.text).map_err(|error| format!("{}: {error}", place(page, block)))
}

/// A block without a mark holds whole Kubernetes objects; those of ours make a plan.
fn document_problems(page: &Page, block: &Block) -> Vec<String> {
    let documents = match parsed(page, block) {
        Ok(documents) => documents,
        Err(problem) => return vec![problem],
    };
    let version = |document: &Value| document["apiVersion"].as_str().map(str::to_owned);
    if documents.iter().any(|document| version(document).is_none() || !document["kind"].is_string()) {
        return vec![format!("{}: no whole object; mark it as yaml fragment", place(page, block))];
    }
    if !documents.iter().filter_map(version).any(|version| version.starts_with(OURS)) {
        return Vec::new();
    }
    let name = place(page, block);
    match pipeline::plan::load([(name.as_str(), block.text.as_str())]) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}
