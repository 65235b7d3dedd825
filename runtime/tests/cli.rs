//! The program as its users see it: what it prints where, and how it ends.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

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

const IN_A_BUCKET: &str = "config/samples/snapshots-in-s3.yaml";

#[test]
fn snapshots_in_a_bucket_need_no_topics() {
    assert_eq!(weir(&["lint", IN_A_BUCKET], "").status.code(), Some(0));
    let explained = text(&weir(&["explain", IN_A_BUCKET], "").stdout);
    let storage = "  checkpoint.storage   s3://my-weir-state/prod in eu-central-1 with Secret weir-state\n";
    assert!(explained.contains(storage), "{explained}");
    assert!(!explained.contains("put-yours-here"), "{explained}");
    for (file, topics) in [(IN_A_BUCKET, 0), (SAMPLE, 2)] {
        let printed = text(&weir(&["topics", file], "").stdout);
        assert_eq!(printed.matches("snapshots of stage").count(), topics, "{printed}");
    }
    let run = weir(&["run", IN_A_BUCKET, "--input", "clicks=config/samples/data/clicks.jsonl"], "");
    assert_eq!(run.status.code(), Some(0), "{}", text(&run.stderr));
}

#[test]
fn an_address_of_a_bucket_that_cannot_be_right_is_said_with_its_place() {
    let sample = std::fs::read_to_string(format!("{}/../{IN_A_BUCKET}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let linted = |uri: &str| {
        let out = weir(&["lint", "-"], &sample.replace("s3://my-weir-state/prod ", &format!("{uri} ")));
        assert_eq!(out.status.code(), Some(78), "{uri}");
        text(&out.stdout)
    };
    let said = linted("hdfs://my-weir-state/prod");
    assert!(said.starts_with("<stdin>:18:12: "), "{said}");
    assert!(said.contains("spec.checkpoint.storage.uri"), "{said}");
    assert!(said.contains("has the unknown scheme `hdfs`; allowed are s3://BUCKET/PREFIX"), "{said}");
    assert!(linted("s3:///my/weir/state").contains("names no bucket"));
    assert!(linted("gs://my-weir-state").contains("`region` is for s3"));
}

#[test]
fn a_worker_by_hand_says_what_the_secret_of_a_bucket_lacks() {
    let sample = std::fs::read_to_string(format!("{}/../{IN_A_BUCKET}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pipeline.yaml");
    std::fs::write(&file, sample.replace("AWS_SECRET_ACCESS_KEY: put-yours-here", "OTHER: x")).unwrap();
    let out = weir(&["worker", file.to_str().unwrap()], "");
    let said = text(&out.stderr) + &text(&out.stdout);
    assert_eq!(out.status.code(), Some(78), "{said}");
    let want = "secret `weir-state`: key `AWS_SECRET_ACCESS_KEY` is missing in the checkpoint storage secret at the Secret documents, or in $WEIR_SECRET_WEIR_STATE_<KEY>";
    assert!(said.contains(want), "{said}");
    assert!(!said.contains("put-yours-here"), "{said}");
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
fn a_scaling_policy_beside_a_pipeline_is_checked_and_passed_over() {
    let sample = std::fs::read_to_string(format!("{}/../{SAMPLE}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let policy = "apiVersion: weir.dev/v1alpha1\nkind: ScalingPolicy\nmetadata: {name: a}\n\
                  spec: {scaleTargetRef: {name: clicks-per-user}, maxReplicas: 4, metrics: [{lagSeconds: {value: 30}}]}\n";
    let both = format!("{sample}\n---\n{policy}");
    assert_eq!(weir(&["lint", "-"], &both).status.code(), Some(0));
    let run = weir(&["run", "-", "--input", "clicks=config/samples/data/clicks.jsonl"], &both);
    assert_eq!(run.status.code(), Some(0), "{}", text(&run.stderr));
    let wrong = policy.replace("maxReplicas: 4", "maxReplicas: 4, minReplicas: 5");
    let out = weir(&["lint", "-"], &wrong);
    assert_eq!(out.status.code(), Some(78));
    assert!(text(&out.stdout).contains("spec.minReplicas: 5 is more than the 4 of maxReplicas"));
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
fn every_line_of_the_log_says_of_which_pipeline_it_is() {
    let data = "clicks=config/samples/data/clicks.jsonl";
    let out = weir(&["run", SAMPLE, "--input", data, "--log", "info"], "");
    assert_eq!(out.status.code(), Some(0));
    let log = text(&out.stderr);
    let lines: Vec<_> = log.lines().filter(|line| line.contains("INFO")).collect();
    assert!(lines.iter().any(|line| line.contains("live")), "{log}");
    for line in lines {
        assert!(line.contains("clicks-per-user") && line.contains("generation"), "{line}");
        assert!(!line.contains("user_id"), "no record is logged: {line}");
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
    let acls = out
        .lines()
        .skip_while(|line| !line.starts_with("ACL ON"))
        .skip(1)
        .take_while(|line| line.starts_with(char::is_uppercase) && !line.starts_with("These"));
    insta::assert_snapshot!(acls.collect::<Vec<_>>().join("\n"), @r"
    Topic            clicks                         Literal   Describe, DescribeConfigs, Read
    Topic            clicks-dlq                     Literal   Describe, DescribeConfigs, Write
    Topic            clicks-late                    Literal   Describe, DescribeConfigs, Write
    Topic            clicks-per-user                Literal   Describe, DescribeConfigs, Write
    Topic            weir.default.clicks-per-user.  Prefixed  Create, Delete, Describe, DescribeConfigs, Read, Write
    TransactionalId  weir.default.clicks-per-user.  Prefixed  Describe, Write
    Group            weir.default.clicks-per-user   Literal   Read
    ");
}

#[test]
fn every_command_has_a_help_with_examples() {
    for command in ["run", "lint", "explain", "topics", "worker", "cleanup"] {
        let out = weir(&[command, "--help"], "");
        assert_eq!(out.status.code(), Some(0));
        assert!(text(&out.stdout).contains("Examples:\n"), "{command}");
    }
}

/// A pipeline that hands on what has a number `x` above 1.
const FILTER: &str = "apiVersion: weir.dev/v1alpha1
kind: StreamPipeline
metadata: {name: big}
spec:
  sources: [{name: in, kafka: {topic: in}}]
  steps: [{name: above, filter: {expression: event.x > 1}}]
  sinks: [{name: out, kafka: {topic: out}}]
  deadLetterSink: {kafka: {topic: bad}}
";

/// A folder with files, and their paths.
struct Folder(tempfile::TempDir);

impl Folder {
    fn with(files: &[(&str, &[u8])]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for (name, bytes) in files {
            std::fs::write(folder.path(name), bytes).unwrap();
        }
        folder
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    fn read(&self, name: &str) -> String {
        text(&std::fs::read(self.path(name)).unwrap())
    }

    /// Runs the pipeline `p.yaml` of the folder; `{}` in an argument stands for the folder.
    fn run(&self, arguments: &[&str], stdin: &str) -> Output {
        let arguments: Vec<String> = arguments
            .iter()
            .map(|argument| argument.replace("{}", self.0.path().to_str().unwrap()))
            .collect();
        let manifest = self.path("p.yaml");
        let mut all = vec!["run", &manifest];
        all.extend(arguments.iter().map(String::as_str));
        weir(&all, stdin)
    }
}

#[track_caller]
fn ends(out: &Output, code: i32, said: &str) {
    let stderr = text(&out.stderr);
    assert_eq!(out.status.code(), Some(code), "{stderr}");
    assert!(stderr.contains(said), "{stderr}");
}

#[test]
fn records_go_to_stdout_and_the_summary_to_stderr() {
    let folder = Folder::with(&[("p.yaml", FILTER.as_bytes())]);
    let out = folder.run(&["--input", "in=-"], "{\"x\":1}\n{\"x\":2}\n{\"x\":3}\nno\n");
    ends(&out, 0, "big: 4 records in, 2 out, 0 late, 1 dead letter, ");
    assert_eq!(text(&out.stdout), "{\"x\":2}\n{\"x\":3}\n");
    let first = "big: the first dead letter is in/0 offset 3, step in: invalid JSON at byte 0";
    assert!(text(&out.stderr).contains(first), "{}", text(&out.stderr));
}

#[test]
fn without_a_dead_letter_sink_the_summary_says_how_to_keep_them() {
    let manifest = FILTER.replace("  deadLetterSink: {kafka: {topic: bad}}\n", "");
    let folder = Folder::with(&[("p.yaml", manifest.as_bytes())]);
    ends(
        &folder.run(&["--input", "in=-"], "no\n"),
        0,
        "dead letters were dropped; spec.deadLetterSink keeps them",
    );
}

#[test]
fn files_are_read_as_they_come() {
    let lines = b"\xef\xbb\xbf{\"x\":2}\r\n\r\n\xff\xfe\n{\"x\":3}\n\n{\"x\":4}";
    let folder = Folder::with(&[("p.yaml", FILTER.as_bytes()), ("odd", lines), ("empty", b"")]);
    let out = folder.run(&["--input", "in={}/odd", "--output", "deadLetterSink={}/bad"], "");
    ends(&out, 0, "4 records in, 3 out, 0 late, 1 dead letter");
    assert_eq!(text(&out.stdout), "{\"x\":2}\n{\"x\":3}\n{\"x\":4}\n");
    assert_eq!(std::fs::read(folder.path("bad")).unwrap(), b"\xff\xfe\n");
    let empty = folder.run(&["--input", "in={}/empty"], "");
    ends(&empty, 0, "0 records in, 0 out, 0 late, 0 dead letters");
    assert_eq!(text(&empty.stdout), "");
}

#[test]
fn a_line_that_kafka_would_not_take_is_a_dead_letter() {
    let long = format!("{{\"x\":2,\"text\":\"{}\"}}\n{{\"x\":3}}\n", "x".repeat(3 << 20));
    let folder = Folder::with(&[("p.yaml", FILTER.as_bytes()), ("long", long.as_bytes())]);
    let out = folder.run(&["--input", "in={}/long", "--output", "deadLetterSink={}/bad"], "");
    ends(&out, 0, "2 records in, 1 out, 0 late, 1 dead letter");
    assert_eq!(folder.read("bad").len(), (64 << 10) + 1);
}

#[test]
fn what_cannot_be_opened_is_wrong_usage_and_empties_no_output() {
    let folder = Folder::with(&[("p.yaml", FILTER.as_bytes()), ("out", b"old")]);
    for (input, said) in [
        ("in={}/none", "none: cannot be read: No such file or directory"),
        ("in={}", "cannot be read: is a directory"),
    ] {
        ends(&folder.run(&["--input", input, "--output", "out={}/out"], ""), 2, said);
        assert_eq!(folder.read("out"), "old");
    }
    ends(&folder.run(&["--input", "in=-", "--output", "out={}"], ""), 2, "failed to open ");
}

#[test]
fn options_that_cannot_be_meant_are_refused() {
    let folder = Folder::with(&[("p.yaml", FILTER.as_bytes()), ("data", b"{\"x\":2}\n")]);
    for (arguments, code, said) in [
        (&[][..], 78, "source `in` reads topic `in`: give it a file with --input in=FILE, or a broker"),
        (&["--input", "inn=-"], 2, "--input inn: there is no such source; did you mean `in`?"),
        (
            &["--input", "in=-", "--output", "outt=x"],
            2,
            "there is no such sink; did you mean `out`? (the sinks are",
        ),
        (&["--input", "in=-", "--input", "in=-"], 2, "--input in is given twice"),
        (&["--input", "in=-", "--output", "out=-", "--output", "out=-"], 2, "--output out is given twice"),
        (&["-", "--input", "in=-"], 2, "`-` is given for a manifest and for --input in"),
        (
            &["--input", "in={}/data", "--output", "out={}/data"],
            2,
            "is read by the same run and would be overwritten",
        ),
        (
            &["--input", "in={}/data", "--output", "out={}/p.yaml"],
            2,
            "p.yaml: this file is read by the same run",
        ),
    ] {
        ends(&folder.run(arguments, ""), code, said);
    }
    assert_eq!(folder.read("data"), "{\"x\":2}\n");
}

#[test]
fn two_sinks_may_share_a_file() {
    let folder = Folder::with(&[("p.yaml", FILTER.as_bytes())]);
    let outputs = ["--input", "in=-", "--output", "out={}/all", "--output", "deadLetterSink={}/all"];
    ends(&folder.run(&outputs, "{\"x\":2}\nno\n{\"x\":3}\n"), 0, "2 out");
    let mut lines: Vec<String> = folder.read("all").lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(lines, ["no", "{\"x\":2}", "{\"x\":3}"]);
}

#[test]
fn a_log_sink_prints_and_a_file_sink_writes() {
    let folder = Folder::with(&[]);
    let sinks = format!(
        "sinks: [{{name: out, log: {{}}}}, {{name: kept, from: [above], file: {{path: {}}}}}]",
        folder.path("kept")
    );
    let manifest = FILTER.replace("sinks: [{name: out, kafka: {topic: out}}]", &sinks);
    std::fs::write(folder.path("p.yaml"), manifest).unwrap();
    let out = folder.run(&["--input", "in=-"], "{\"x\":2}\n");
    ends(&out, 0, "1 record in");
    assert_eq!(text(&out.stdout), "{\"x\":2}\n");
    assert_eq!(folder.read("kept"), "{\"x\":2}\n");
}

fn pass(name: &str, from: &str, to: &str) -> String {
    format!(
        "apiVersion: weir.dev/v1alpha1\nkind: StreamPipeline\nmetadata: {{name: {name}}}\nspec:\n  sources: [{{name: {from}, \
             kafka: {{topic: {from}}}}}]\n  sinks: [{{name: {to}, kafka: {{topic: {to}}}}}]\n"
    )
}

#[test]
fn pipelines_of_one_run_feed_each_other_in_any_order_of_the_files() {
    // `last` reads what both others write, and comes first.
    let all = [pass("last", "middle", "end"), pass("a", "left", "middle"), pass("b", "right", "middle")];
    let folder = Folder::with(&[("p.yaml", all.join("---\n").as_bytes()), ("l", b"1\n2\n"), ("r", b"3\n")]);
    let out = folder.run(
        &[
            "--input",
            "left={}/l",
            "--input",
            "right={}/r",
            "--output",
            "end={}/end",
            "--output",
            "middle={}/middle",
        ],
        "",
    );
    ends(&out, 0, "last: 3 records in, 3 out");
    let mut lines: Vec<String> = folder.read("end").lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(lines, ["1", "2", "3"]);
}

#[test]
fn pipelines_in_a_circle_are_refused() {
    let all = [pass("a", "one", "two"), pass("b", "two", "one")].join("---\n");
    let folder = Folder::with(&[("p.yaml", all.as_bytes())]);
    ends(&folder.run(&[], ""), 78, "pipelines `a`, `b` read what they write, in a circle");
}

#[test]
fn an_output_may_be_a_pipe() {
    let folder = Folder::with(&[("p.yaml", FILTER.as_bytes()), ("data", b"{\"x\":2}\n{\"x\":3}\n")]);
    assert!(Command::new("mkfifo").arg(folder.path("pipe")).status().unwrap().success());
    let reader = Command::new("cat").arg(folder.path("pipe")).stdout(Stdio::piped()).spawn().unwrap();
    ends(&folder.run(&["--input", "in={}/data", "--output", "out={}/pipe"], ""), 0, "2 out");
    assert_eq!(text(&reader.wait_with_output().unwrap().stdout), "{\"x\":2}\n{\"x\":3}\n");
}

#[test]
fn a_full_disk_ends_the_run() {
    let folder = Folder::with(&[("p.yaml", FILTER.as_bytes())]);
    let out = folder.run(&["--input", "in=-", "--output", "out=/dev/full"], "{\"x\":2}\n");
    ends(&out, 1, "failed to write to /dev/full: No space left on device");
}

#[test]
fn an_envelope_that_is_none_ends_the_run_with_its_line() {
    let folder = Folder::with(&[("p.yaml", FILTER.as_bytes())]);
    let out = folder.run(&["--input", "in=-", "--envelope"], "{\"value\":{\"x\":2}}\n{\"x\":2}\n");
    ends(&out, 1, "--input in=-: line 2: not an envelope");
}

/// Starts a run whose input stays open.
fn start(folder: &Folder) -> std::process::Child {
    Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(["run", &folder.path("p.yaml"), "--input", "in=-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn a_reader_that_has_read_enough_ends_the_run_quietly() {
    use std::io::{BufRead, BufReader};
    let folder = Folder::with(&[("p.yaml", FILTER.as_bytes())]);
    let mut child = start(&folder);
    let mut stdin = child.stdin.take().unwrap();
    let mut line = String::new();
    // Records come out while the input is still open.
    stdin.write_all(b"{\"x\":2}\n").unwrap();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "{\"x\":2}\n");
    // The pipe is closed now; writing goes on until the run has noticed.
    while stdin.write_all(b"{\"x\":3}\n").is_ok() && child.try_wait().unwrap().is_none() {}
    let out = child.wait_with_output().unwrap();
    assert_eq!((out.status.code(), text(&out.stderr)), (Some(0), String::new()));
}

#[test]
fn a_signal_ends_the_run_behind_what_was_read() {
    use std::io::{BufRead, BufReader};
    let folder = Folder::with(&[("p.yaml", FILTER.as_bytes())]);
    let mut child = start(&folder);
    let mut stdin = child.stdin.take().unwrap();
    let mut line = String::new();
    stdin.write_all(b"{\"x\":2}\n").unwrap();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let out = child.wait_with_output().unwrap();
    ends(&out, 0, "weir: stopping after this commit; Ctrl-C again ends at once\n");
    ends(&out, 0, "big: stopped before the end of its input: 1 record in, 1 out");
    drop(stdin);
}

#[test]
fn a_command_without_arguments_prints_its_usage_with_examples() {
    for command in ["run", "lint", "explain", "topics", "worker", "cleanup"] {
        let out = weir(&[command], "");
        ends(&out, 2, "Examples:\n");
        ends(&out, 2, "Exit codes: 0 ");
    }
}

#[test]
fn all_defaults_are_printed() {
    let out = weir(&["explain", "--defaults"], "");
    assert_eq!(out.status.code(), Some(0));
    let lines = text(&out.stdout);
    assert!(lines.starts_with("FIELD "), "{lines}");
    for row in pipeline::spec::defaults::table() {
        let found = lines.lines().find(|line| line.starts_with(&row.field));
        assert!(
            found.is_some_and(|line| line.contains(&row.default) && line.ends_with(&row.bound)),
            "{row:?}"
        );
    }
}

#[test]
fn a_worker_by_hand_names_the_secret_that_it_lacks() {
    let manifest = FILTER.replace("spec:\n", "spec:\n  kafka: {secretRef: {name: my-kafka}}\n");
    let secret = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: my-kafka}\nstringData: {bootstrap.servers: 'a:1', security.protocol: KERBEROS}\n";
    let folder = Folder::with(&[("p.yaml", manifest.as_bytes()), ("s.yaml", secret.as_bytes())]);
    let out = weir(&["worker", &folder.path("p.yaml")], "");
    ends(&out, 78, "secret `my-kafka`: key `bootstrap.servers` is missing");
    ends(&out, 78, "$WEIR_SECRET_MY_KAFKA_<KEY>");
    // What a document of the files says is used.
    let out = weir(&["worker", &folder.path("p.yaml"), &folder.path("s.yaml")], "");
    ends(&out, 78, "key `security.protocol` of the Kafka access secret");
}

const SALTED: &str = "mask: {fields: [x], method: Hash, secretKeyRef: {name: my-salt, key: value}}";

fn salt(value: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: my-salt}}\nstringData: {{value: '{value}'}}\n"
    )
}

#[test]
fn the_key_of_a_mask_is_a_document_or_a_variable_and_is_named_when_it_is_missing() {
    let manifest = FILTER.replace("filter: {expression: event.x > 1}", SALTED);
    let (good, short) = (salt("0123456789abcdef"), salt("0123456789"));
    let files = [("p.yaml", manifest.as_str()), ("good.yaml", &good), ("short.yaml", &short)];
    let folder = Folder::with(&files.map(|(name, text)| (name, text.as_bytes())));
    let input = ["--input", "in=-"];
    let lacks = "key `value` of Secret `my-salt` is missing in the Secret documents, or in $WEIR_SECRET_MY_SALT_VALUE";
    let out = folder.run(&input, "");
    ends(&out, 78, lacks);
    let out = folder.run(&["{}/short.yaml", "--input", "in=-"], "");
    ends(&out, 78, "key `value` of Secret my-salt: has 10 bytes; a key of a mask has at least 16");
    let masked = "{\"x\":\"0c806ca38a87cad91ed9f55abcb2a45358586aff964a56d422066dc2b6c0e0ff\"}\n";
    let out = folder.run(&["{}/good.yaml", "--input", "in=-"], "{\"x\":\"a\"}\n");
    ends(&out, 0, "1 record in, 1 out");
    assert_eq!(text(&out.stdout), masked);
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.args(["run", &folder.path("p.yaml"), "--input", &format!("in={}", folder.path("in.jsonl"))]);
    std::fs::write(folder.path("in.jsonl"), "{\"x\":\"a\"}\n").unwrap();
    let out = command.env("WEIR_SECRET_MY_SALT_VALUE", "0123456789abcdef").output().unwrap();
    ends(&out, 0, "1 record in, 1 out");
    assert_eq!(text(&out.stdout), masked);
    let out = weir(&["explain", &folder.path("p.yaml")], "");
    ends(&out, 0, "");
    let said = "mask of in, x: Hash with key `value` of Secret my-salt";
    assert!(text(&out.stdout).contains(said), "{}", text(&out.stdout));
}
