//! Links between pages lead to files and headings that exist.

use crate::pages::{Page, root};
use crate::{none, pages};
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

#[test]
fn every_link_leads_somewhere() {
    let pages = pages();
    let headings: BTreeMap<&Path, Vec<String>> =
        pages.iter().map(|page| (page.path.as_path(), anchors(page))).collect();
    let (mut problems, mut count) = (Vec::new(), 0);
    for page in &pages {
        for (line, target) in links(page) {
            count += 1;
            if let Some(problem) = wrong(&page.path, &target, &headings) {
                problems.push(format!("{}:{line}: {target}: {problem}", page.path.display()));
            }
        }
    }
    println!("{count} links in {} pages", pages.len());
    assert!(count > 30, "only {count} links were found");
    none(&problems);
}

#[test]
fn every_page_is_reached_from_the_index() {
    let pages = pages();
    let by_path: BTreeMap<&Path, &Page> = pages.iter().map(|page| (page.path.as_path(), page)).collect();
    let mut reached = vec![PathBuf::from("docs/README.md")];
    let mut at = 0;
    while let Some(path) = reached.get(at).cloned() {
        at += 1;
        for (_, target) in by_path.get(path.as_path()).into_iter().flat_map(|page| links(page)) {
            let next = beside(&path, target.split('#').next().unwrap_or_default());
            if by_path.contains_key(next.as_path()) && !reached.contains(&next) {
                reached.push(next);
            }
        }
    }
    // The index names the folder of decisions, not each of them.
    let meant = |page: &&Page| page.path.starts_with("docs") && !page.path.starts_with("docs/adr");
    let lost = pages.iter().filter(meant).filter(|page| !reached.contains(&page.path));
    none(&lost.map(|page| format!("{} is linked by no page", page.path.display())).collect::<Vec<_>>());
}

/// Targets of `[text](target)` and `![text](target)`, outside of code, that are not on other machines.
fn links(page: &Page) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (line, text) in &page.prose {
        // Every second part between backquotes is code.
        let prose: Vec<&str> = text.split('`').step_by(2).collect();
        let prose = prose.join("");
        for rest in prose.split("](").skip(1) {
            let target = rest.split([')', ' ']).next().unwrap_or_default();
            if !target.contains("://") && !target.starts_with("mailto:") {
                found.push((*line, target.to_owned()));
            }
        }
    }
    found
}

fn wrong(from: &Path, target: &str, headings: &BTreeMap<&Path, Vec<String>>) -> Option<&'static str> {
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = if file.is_empty() { from.to_owned() } else { beside(from, file) };
    if !root().join(&path).exists() {
        return Some("there is no such file");
    }
    let known = headings.get(path.as_path());
    let missing = known.is_some_and(|known| !known.iter().any(|heading| heading == anchor));
    (!anchor.is_empty() && missing).then_some("there is no such heading")
}

/// A path as it is meant in the file `from`, without `..`.
fn beside(from: &Path, path: &str) -> PathBuf {
    let mut result = from.parent().map(Path::to_owned).unwrap_or_default();
    for part in Path::new(path).components() {
        match part {
            Component::ParentDir => drop(result.pop()),
            Component::CurDir => {}
            other => result.push(other),
        }
    }
    result
}

/// The anchors that a forge makes of headings: lower case, words joined by `-`, no other punctuation.
fn anchors(page: &Page) -> Vec<String> {
    let headings = page.prose.iter().filter(|(_, line)| line.starts_with('#'));
    headings
        .map(|(_, line)| {
            let text = line.trim_start_matches('#').trim().to_lowercase();
            let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}
