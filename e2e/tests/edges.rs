//! Who may import whom: an edge between our packages that is not listed here is forbidden.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// `package -> packages of ours that it may import`, as docs/ARCHITECTURE.md says.
const ALLOWED: &[(&str, &[&str])] = &[
    ("pipeline", &[]),
    ("control", &[]),
    ("crds", &["pipeline", "control"]),
    ("protocol", &["pipeline"]),
    ("connect", &["pipeline", "protocol"]),
    ("runtime", &["pipeline", "protocol", "connect", "control"]),
    ("operator", &["pipeline", "crds", "control"]),
    ("e2e", &["pipeline", "control", "crds", "protocol", "connect", "runtime", "operator"]),
];

/// Third-party packages that only these of ours may name.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("kube", &["crds", "operator", "e2e"]),
    ("k8s-openapi", &["crds", "operator", "e2e"]),
    ("rdkafka", &["connect", "e2e"]),
    ("object_store", &["connect", "runtime"]),
    ("tokio", &["connect", "runtime", "operator", "e2e"]),
    ("cel", &["pipeline"]),
    ("anyhow", &["runtime", "operator", "e2e"]),
];

/// Direct dependencies of each of our packages, those of tests and builds included.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo is on the path of its own tests");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let text = |value: &Value| value.as_str().expect("names are strings").to_owned();
    metadata["packages"]
        .as_array()
        .expect("packages is a list")
        .iter()
        .map(|package| {
            let names = package["dependencies"].as_array().expect("dependencies is a list");
            (text(&package["name"]), names.iter().map(|d| text(&d["name"])).collect())
        })
        .collect()
}

#[test]
fn packages_import_only_what_the_architecture_lists() {
    let found = dependencies();
    let ours: BTreeSet<&str> = ALLOWED.iter().map(|(name, _)| *name).collect();
    let members: BTreeSet<&str> = found.keys().map(String::as_str).collect();
    assert_eq!(members, ours, "every member of the workspace stands in the list");
    for (package, allowed) in ALLOWED {
        for dependency in &found[*package] {
            let forbidden = ours.contains(dependency.as_str()) && !allowed.contains(&dependency.as_str());
            assert!(!forbidden, "{package} imports {dependency}: write an ADR before you add an edge");
        }
    }
}

#[test]
fn foreign_packages_stay_behind_their_walls() {
    let found = dependencies();
    for (foreign, homes) in ONLY_IN {
        for (package, dependencies) in &found {
            let outside = dependencies.contains(*foreign) && !homes.contains(&package.as_str());
            assert!(!outside, "{package} names {foreign}, which only {homes:?} may");
        }
    }
}
