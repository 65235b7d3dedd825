//! `kubectl-weir simulate-scaling` as its users see it: what it prints where, and how it ends.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

const POLICY: &str = "apiVersion: weir.dev/v1alpha1
kind: ScalingPolicy
metadata: {name: clicks}
spec:
  scaleTargetRef: {name: clicks}
  maxReplicas: 12
  metrics: [{consumerLag: {averageValue: 1000}}]
";
const PIPELINE: &str = "apiVersion: weir.dev/v1alpha1
kind: StreamPipeline
metadata: {name: clicks}
spec:
  replicas: 2
  partitions: 6
  sources: [{name: clicks, kafka: {topic: clicks}}]
  sinks: [{name: out, kafka: {topic: out}}]
";
const OTHERS: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
---
apiVersion: weir.dev/v1alpha1
kind: StreamPipeline
metadata: {name: other}
spec: {replicas: 9, partitions: 9, sources: [{name: a, kafka: {topic: a}}], sinks: [{name: b, kafka: {topic: b}}]}
";
const TRACE: &str = "seconds,lag_records\n0,1900\n60,9000\n120,\n";

struct Folder(TempDir);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).expect("a file");
        }
        Self(folder)
    }

    fn run(&self, arguments: &[&str], stdin: &str) -> Output {
        let mut child = Command::new(program())
            .arg("simulate-scaling")
            .args(arguments)
            .current_dir(self.0.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        child.stdin.take().expect("piped").write_all(stdin.as_bytes()).expect("it reads");
        child.wait_with_output().expect("it ends")
    }
}

/// Cargo says where the program is. Not when it compiles: a shell around the compiler drops names with a hyphen.
fn program() -> PathBuf {
    std::env::var_os("CARGO_BIN_EXE_kubectl-weir").expect("cargo runs the test").into()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

#[test]
fn each_row_is_decided_about() {
    let all = format!("{PIPELINE}---\n{POLICY}---\n{OTHERS}");
    let folder = Folder::new(&[("all.yaml", all.as_str()), ("trace.csv", TRACE)]);
    let out = folder.run(&["all.yaml", "--metrics", "trace.csv"], "");
    assert_eq!((out.status.code(), text(&out.stderr)), (Some(0), ""));
    assert_eq!(
        text(&out.stdout),
        "seconds,replicas,limited_by,reason\n\
         0,2,,consumerLag 1900 is within 10 % of 2 × 1000\n\
         60,6,PartitionCount,consumerLag 9000 / 1000 = 9; more than 6 would be idle\n\
         120,6,MetricsUnavailable,consumerLag is not known\n"
    );
}

#[test]
fn options_win_over_the_pipeline_and_without_one_the_policy_begins_at_its_least() {
    let folder = Folder::new(&[("policy.yaml", POLICY), ("pipeline.yaml", PIPELINE), ("trace.csv", TRACE)]);
    let options = ["--replicas", "4", "--partitions", "3"];
    let files = ["policy.yaml", "pipeline.yaml", "--metrics", "trace.csv"];
    let out = folder.run(&[&files[..], &options[..]].concat(), "");
    let lines: Vec<&str> = text(&out.stdout).lines().collect();
    assert!(lines[1].starts_with("0,3,PartitionCount,"), "{lines:?}");
    let out = folder.run(&["-", "--metrics", "trace.csv"], POLICY);
    let lines: Vec<&str> = text(&out.stdout).lines().collect();
    assert!(lines[1].starts_with("0,2,,consumerLag 1900 / 1000 = 2"), "{lines:?}");
    assert!(lines[2].starts_with("60,2,Cooldown,"), "{lines:?}");
}

#[test]
fn schedules_follow_the_time_of_second_0() {
    let policy = format!(
        "{POLICY}  schedules: [{{name: day, schedule: 0 8 * * 1-5, timeZone: Europe/Berlin, duration: 9h, minReplicas: 5}}]\n"
    );
    let trace = "seconds,lag_records\n0,0\n3600,0\n";
    let folder = Folder::new(&[("policy.yaml", policy.as_str()), ("trace.csv", trace)]);
    let start = ["--start", "2026-01-05T06:30:00Z", "--replicas", "1"];
    let out = folder.run(&[&["policy.yaml", "--metrics", "trace.csv"][..], &start[..]].concat(), "");
    let lines: Vec<&str> = text(&out.stdout).lines().collect();
    assert!(lines[1].starts_with("0,1,,"), "{lines:?}");
    assert!(lines[2].starts_with("3600,5,MinReplicas,") && lines[2].contains("schedule day"), "{lines:?}");
}

#[test]
fn what_is_wrong_ends_with_78_and_its_place() {
    let two = format!("{POLICY}---\n{}", POLICY.replace("name: clicks}\nspec", "name: more}\nspec"));
    let typo = POLICY.replace("averageValue", "averageValu");
    let none = POLICY.replace("metrics: [{consumerLag: {averageValue: 1000}}]", "metrics: []");
    for (policy, trace, words) in [
        (POLICY, "seconds,lag\n0,1\n", "trace.csv:1: unknown column `lag`"),
        (POLICY, "seconds,lag_records\n0,1\n0,2\n", "trace.csv:3: seconds: 0 is not more than 0"),
        (POLICY, "seconds,lag_records\n0,much\n", "trace.csv:2: lag_records: `much` is not a number"),
        (OTHERS, TRACE, "expected one ScalingPolicy in policy.yaml, found 0"),
        (two.as_str(), TRACE, "expected one ScalingPolicy in policy.yaml, found 2"),
        (typo.as_str(), TRACE, "policy.yaml:7:28: spec.metrics[0].consumerLag.averageValu: unknown field"),
        (none.as_str(), TRACE, "policy.yaml:4:1: spec: there is nothing to scale by"),
        ("a: [", TRACE, "policy.yaml:1:"),
    ] {
        let folder = Folder::new(&[("policy.yaml", policy), ("trace.csv", trace)]);
        let out = folder.run(&["policy.yaml", "--metrics", "trace.csv"], "");
        assert_eq!((out.status.code(), text(&out.stdout)), (Some(78), ""), "{words}");
        assert!(text(&out.stderr).contains(words), "{words}: {}", text(&out.stderr));
    }
}

#[test]
fn a_file_that_cannot_be_read_and_wrong_usage_end_with_2() {
    let folder = Folder::new(&[("policy.yaml", POLICY), ("trace.csv", TRACE)]);
    for arguments in [
        &["none.yaml", "--metrics", "trace.csv"][..],
        &["policy.yaml", "--metrics", "none.csv"],
        &["policy.yaml"],
        &["policy.yaml", "--metrics", "trace.csv", "--replicas", "0"],
        &["policy.yaml", "--metrics", "trace.csv", "--start", "noon"],
    ] {
        let out = folder.run(arguments, "");
        assert_eq!(out.status.code(), Some(2), "{arguments:?}: {}", text(&out.stderr));
    }
}
