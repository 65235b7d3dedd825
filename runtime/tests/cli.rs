//! The program as its users see it: what it prints where, and how it ends.

use std::io::Write;
use std::process::{Command, Output, Stdio};

fn weir(arguments: &[&str], stdin: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(arguments)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

const SAMPLE: &str = "config/samples/clicks-per-user.yaml";

#[test]
fn a_good_manifest_ends_with_0() {
    let out = weir(&["lint", SAMPLE, "config/samples/filter-and-route.yaml"], "");
    assert_eq!(out.status.code(), Some(0));
    assert_eq!(text(&out.stdout), "");
    assert_eq!(text(&out.stderr), "2 pipelines in 2 files, no problem\n");
}

#[test]
fn problems_are_printed_one_per_line_and_end_with_78() {
    let out = weir(
        &["lint", "-"],
        "apiVersion: weir.dev/v1alpha1\nkind: StreamPipelines\nmetadata: {name: a}\n---\nkind: x\n",
    );
    assert_eq!(out.status.code(), Some(78));
    let lines = text(&out.stdout);
    assert_eq!(lines.lines().count(), 2, "{lines}");
    assert!(
        lines
            .starts_with("<stdin>:2:7: kind: unknown kind `StreamPipelines`; did you mean `StreamPipeline`?")
    );
    assert_eq!(text(&out.stderr), "2 problems in 1 file\n");
}

#[test]
fn explain_and_topics_end_with_78_when_there_are_problems() {
    for command in ["explain", "topics"] {
        let out = weir(&[command, "runtime/pipeline/tests/bad/flow.yaml"], "");
        assert_eq!(out.status.code(), Some(78));
        assert!(text(&out.stdout).is_empty());
        assert!(text(&out.stderr).contains("flow.yaml:9:7: spec.steps[0]: there are several sources"));
    }
}

#[test]
fn wrong_usage_ends_with_2() {
    for arguments in
        [&["lint"][..], &["lint", "--no-such-option", "x"], &["no-such-command"], &["lint", "no/such/file"]]
    {
        assert_eq!(weir(arguments, "").status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn the_resolved_manifests_are_manifests() {
    let resolved = weir(&["explain", "--resolved", SAMPLE], "");
    assert_eq!(resolved.status.code(), Some(0));
    let again = weir(&["explain", "--resolved", "-"], &text(&resolved.stdout));
    assert_eq!(text(&again.stdout), text(&resolved.stdout));
}

#[test]
fn topics_lists_what_must_exist_and_what_is_created() {
    let out = text(&weir(&["topics", SAMPLE], "").stdout);
    for topic in ["clicks ", "clicks-per-user ", "clicks-late ", "clicks-dlq "] {
        assert!(out.lines().any(|line| line.starts_with(topic) && line.contains("must exist")), "{out}");
    }
    assert!(out.contains("weir.default.clicks-per-user.<uid>.per-user.repartition.e1"), "{out}");
}

#[test]
fn every_command_has_a_help_with_examples() {
    for command in ["lint", "explain", "topics"] {
        let out = weir(&[command, "--help"], "");
        assert_eq!(out.status.code(), Some(0));
        assert!(text(&out.stdout).contains("Examples:\n"), "{command}");
    }
}
