//! Bad manifests at every command that reads one: the exit code, and what is said, where, and what to do.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::io::Write;
use std::process::{Command, Output, Stdio};

fn weir(arguments: &[&str], stdin: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(arguments)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/pipeline/tests/bad"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Who refuses its arguments does not read.
    let _closed = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    child.wait_with_output().unwrap()
}

/// File under `pipeline/tests/bad`, and a line that is said of it.
const MANIFESTS: &[(&str, &str)] = &[
    ("not-yaml.yaml", "not-yaml.yaml:8:5: not readable as YAML: "),
    (
        "unknown-fields.yaml",
        "unknown-fields.yaml:5:3: spec.souces: unknown field `souces`; did you mean `sources`?",
    ),
    (
        "two-union-keys.yaml",
        "two-union-keys.yaml:9:7: spec.steps[0]: `filter` and `map` are set; exactly one of `filter`, `map`, `mask`, `route`, `window`, `windowRef` is allowed",
    ),
    (
        "missing-references.yaml",
        "missing-references.yaml:9:65: spec.steps[0].windowRef.name: StreamWindow `per-user-5m` was not found",
    ),
    (
        "missing-references.yaml",
        "missing-references.yaml:6:79: spec.sources[0].schema.configMapKeyRef.name: ConfigMap `click-schema` was not found",
    ),
    ("missing-fields.yaml", "missing-fields.yaml:"),
    (
        "bad-expressions.yaml",
        "bad-expressions.yaml:14:11: spec.steps[1].filter.expression: `evnt` is not known; did you mean `event`?",
    ),
    (
        "affinity.yaml",
        "affinity.yaml:13:17: spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[1].matchExpressions[0]: operator `In` needs `values`, at least one",
    ),
    (
        "names.yaml",
        "names.yaml:3:18: metadata.name: `this-name-has-more-than-forty-characters-in-it` has 46 characters, at most 40 are allowed",
    ),
    (
        "one-topic-twice.yaml",
        "one-topic-twice.yaml:8:45: spec.sources[2].kafka.topic: source `clicks` reads topic `clicks` already; several steps may read one source: write `from: [clicks]`",
    ),
];

#[test]
fn every_command_refuses_a_bad_manifest_with_78_and_says_where() {
    for (file, line) in MANIFESTS {
        let run = ["run", file, "--kafka", "127.0.0.1:1"];
        let worker = ["worker", file, "--kafka", "127.0.0.1:1", "--log-format", "text"];
        for arguments in [&["lint", file][..], &["explain", file], &["topics", file], &run, &worker] {
            let out = weir(arguments, "");
            let said = String::from_utf8([out.stdout, out.stderr].concat()).unwrap();
            assert_eq!(out.status.code(), Some(78), "{arguments:?}: {said}");
            assert!(said.contains(line), "{arguments:?}: {said}");
        }
    }
}

const GOOD: &str = "
apiVersion: weir.dev/v1alpha1
kind: StreamPipeline
metadata: {name: p}
spec:
  sources: [{name: in, kafka: {topic: in}}]
  steps: [{name: positive, filter: {expression: event.n > 0}}]
  sinks: [{name: out, kafka: {topic: out}}]
  deadLetterSink: {kafka: {topic: dlq}}
";

#[test]
fn wrong_use_ends_with_2_or_78_and_says_what_to_give() {
    let folder = tempfile::tempdir().unwrap();
    let good = folder.path().join("good.yaml");
    std::fs::write(&good, GOOD).unwrap();
    let good = good.to_str().unwrap();
    for (arguments, code, said) in [
        (
            &["run", good][..],
            78,
            "source `in` reads topic `in`: give it a file with --input in=FILE, or a broker with --kafka HOST:PORT",
        ),
        (&["run", good, "--input", "inn=-"], 2, "--input inn: there is no such source"),
        (&["run", good, "--input", "in=-", "--output", "oot=-"], 2, "--output oot: there is no such sink"),
        (&["run", good, "--input", "in=no/such/file"], 2, "no/such/file"),
        (&["run", "no/such/manifest"], 2, "no/such/manifest"),
        (&["worker", good, "--kafka", "127.0.0.1:1", "--worker", "3"], 2, "--worker 3 is not one of 0 to 0"),
    ] {
        let out = weir(arguments, "");
        let stderr = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(code), "{arguments:?}: {stderr}");
        assert!(stderr.contains(said), "{arguments:?}: {stderr}");
    }
}

#[test]
fn a_bad_record_is_a_dead_letter_and_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let good = folder.path().join("good.yaml");
    std::fs::write(&good, GOOD).unwrap();
    let lines = "{\"n\":1}\n{\"n\":\"one\"}\nhello\n{}\n{\"n\":2}\n";
    let dead = folder.path().join("dead.jsonl");
    let output = format!("deadLetterSink={}", dead.display());
    let out = weir(&["run", good.to_str().unwrap(), "--input", "in=-", "--output", &output], lines);
    let stderr = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(0), "{stderr}");
    assert_eq!(String::from_utf8(out.stdout).unwrap(), "{\"n\":1}\n{\"n\":2}\n");
    assert!(stderr.contains("5 records in, 2 out, 0 late, 3 dead letters"), "{stderr}");
    let dead = std::fs::read_to_string(dead).unwrap();
    let mut dead: Vec<&str> = dead.lines().collect();
    dead.sort_unstable();
    assert_eq!(dead, ["hello", "{\"n\":\"one\"}", "{}"]);
}
