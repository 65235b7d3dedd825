//! What the documentation says is true as far as a program can tell: manifests are accepted, links lead somewhere, pages
//! of the command line are fresh, metrics exist.

mod pages;
mod blocks;
mod links;
mod monitoring;

use control::Reason;
use pages::{Page, root};

#[test]
fn the_page_of_the_command_line_is_fresh() {
    let path = "docs/reference/cli.md";
    let found = std::fs::read_to_string(root().join(path)).unwrap_or_default();
    assert!(found == e2e::command_line::page(), "{path} is stale: run `make generate`");
}

/// Fails with everything that is wrong, one line each.
fn none(problems: &[String]) {
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

/// Every page that is written for users.
fn pages() -> Vec<Page> {
    let pages = pages::read();
    assert!(pages.len() > 10, "only {} pages were found", pages.len());
    pages
}

/// Words of the list that nothing shows in this version.
const NEVER_SHOWN: [Reason; 5] =
    [Reason::HandingOver, Reason::RollingBack, Reason::RolledBack, Reason::Succeeded, Reason::Backpressured];

#[test]
fn troubleshooting_has_a_section_for_every_status() {
    let pages = pages();
    let page = pages.iter().find(|page| page.path.ends_with("how-to/troubleshooting.md")).expect("the page");
    let has = |reason: &&Reason| page.prose.iter().any(|(_, line)| *line == format!("## {reason}"));
    let lost = Reason::ALL.iter().filter(|reason| !NEVER_SHOWN.contains(reason) && !has(reason));
    none(&lost.map(|reason| format!("there is no section {reason}")).collect::<Vec<_>>());
}
