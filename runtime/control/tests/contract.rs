//! The golden files are the contract: what a released version wrote must decode, and encode to the same bytes.

use control::call::{Drain, DrainId, InvalidDrainId, bounded_message, drain_path, promote_path, resume_path};
use control::generation::InvalidGeneration;
use control::savepoint::{JobResult, Restored, Taken};
use control::status::{MESSAGE_BYTES_MAX, PartitionLag, Processing, UnitState, Usage};
use control::{Condition, GenerationFile, PodStatus, Reason};
use serde::{Serialize, de::DeserializeOwned};

const POD_STATUS: &str = include_str!("golden/pod-status-v1.json");
const GENERATION: &str = include_str!("golden/generation-v1.json");

fn same_after_a_round_trip<T: Serialize + DeserializeOwned>(golden: &str) -> T {
    let value: T = serde_json::from_str(golden).expect("a released document decodes");
    let text = serde_json::to_string_pretty(&value).expect("it encodes");
    assert_eq!(text.trim(), golden.trim());
    value
}

#[test]
fn a_released_pod_status_reads_and_writes_the_same() {
    let status: PodStatus = same_after_a_round_trip(POD_STATUS);
    assert_eq!(status.units[1].state, UnitState::Cut);
    assert_eq!(status.problems[0].reason, Some(Reason::TopicNotFound));
}

#[test]
fn what_scaling_goes_by_is_unknown_in_the_words_of_an_older_pod() {
    let old: PodStatus = serde_json::from_str(POD_STATUS).expect("golden");
    assert_eq!((old.queue_records, old.processing, old.health), (None, None, None));
    assert_eq!((old.usage, &old.laggiest), (None, &None));
    let new = PodStatus {
        queue_records: Some(12),
        processing: Some(Processing { seconds: 1.5, commits: 10 }),
        health: Some(0.5),
        usage: Some(Usage { cpu_seconds: 3.25, memory_bytes: 1_024 }),
        laggiest: Some(PartitionLag { topic: "clicks".to_owned(), partition: 3, records: 1_000 }),
        ..old
    };
    let value = serde_json::to_value(&new).expect("it encodes");
    assert_eq!(value["processing"], serde_json::json!({"seconds": 1.5, "commits": 10}));
    assert_eq!(value["usage"], serde_json::json!({"cpuSeconds": 3.25, "memoryBytes": 1_024}));
    assert_eq!(value["laggiest"], serde_json::json!({"topic": "clicks", "partition": 3, "records": 1_000}));
    assert_eq!(serde_json::from_value::<PodStatus>(value).expect("it decodes"), new);
}

#[test]
fn a_released_generation_file_reads_and_writes_the_same() {
    let file: GenerationFile = same_after_a_round_trip(GENERATION);
    assert_eq!(file.check(), Ok(()));
    assert_eq!(file.workers_of_pod("clicks-per-user-g2-2"), Ok(4..6));
    assert_eq!((0..8).map(|unit| file.shape.owner(unit)).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5, 0, 1]);
}

#[test]
fn a_pod_of_another_generation_or_beyond_the_replicas_has_no_workers() {
    let file: GenerationFile = serde_json::from_str(GENERATION).expect("golden");
    for pod in [
        "clicks-per-user-g2-3",
        "clicks-per-user-g1-0",
        "clicks-per-user-g2-",
        "other",
        "clicks-per-user-g2-x",
    ] {
        assert!(matches!(file.workers_of_pod(pod), Err(InvalidGeneration::Pod { .. })), "{pod}");
    }
}

#[test]
fn a_generation_file_that_no_worker_can_run_is_refused() {
    let file: GenerationFile = serde_json::from_str(GENERATION).expect("golden");
    assert_eq!(GenerationFile { version: 2, ..file.clone() }.check(), Err(InvalidGeneration::Version(2)));
    assert_eq!(GenerationFile { generation: 0, ..file.clone() }.check(), Err(InvalidGeneration::Zero));
    let mut idle = file;
    idle.shape.replicas = 0;
    assert_eq!(idle.check(), Err(InvalidGeneration::NoWorkers));
}

#[test]
fn words_and_fields_of_a_newer_peer_do_not_fail_the_document() {
    let newer = POD_STATUS
        .replace("\"TopicNotFound\"", "\"MoonPhase\"")
        .replace("\"SourcesConnected\"", "\"TidesIn\"")
        .replace("\"Cut\"", "\"Teleported\"")
        .replace("\"apiVersion\": \"v1\",", "\"apiVersion\": \"v1\", \"aNewField\": {\"a\": [1]},");
    let status: PodStatus = serde_json::from_str(&newer).expect("a newer document decodes");
    assert_eq!(status.problems[0].reason, None);
    assert_eq!(status.problems[0].condition, Condition::Ready);
    assert_eq!(status.units[1].state, UnitState::Unknown);
}

#[test]
fn what_a_pod_cannot_measure_is_absent_and_not_zero() {
    let minimal = r#"{"apiVersion":"v1","uid8":"0a1b2c3d","generation":1,"planHash":"","version":"0.1.0","startedAtMs":0,"workers":[],"units":[],"unitsKnown":false}"#;
    let status: PodStatus = serde_json::from_str(minimal).expect("only the required fields");
    assert_eq!((status.lag.records, status.lag.seconds, status.watermark_ms), (None, None, None));
    let text = serde_json::to_value(&status).expect("encodes");
    assert_eq!(text["lag"], serde_json::json!({}));
    assert!(text.get("watermarkMs").is_none());
}

#[test]
fn every_word_is_parsed_from_its_own_text() {
    for reason in Reason::ALL {
        assert_eq!(Reason::parse(reason.as_str()), Some(*reason));
        assert_eq!(serde_json::to_value(reason).expect("encodes"), reason.as_str());
    }
    assert_eq!(Reason::ALL.len(), 23);
    assert_eq!(Condition::ALL.len(), 8);
    assert_eq!(Reason::parse("running"), None);
}

#[test]
fn calls_name_their_subject_in_the_path() {
    let id = DrainId::new("g2-7f3a").expect("a valid id");
    assert_eq!(promote_path(7), "/control/v1/promote/7");
    assert_eq!(drain_path(&id), "/control/v1/drain/g2-7f3a");
    assert_eq!(resume_path(&id), "/control/v1/resume/g2-7f3a");
    assert_eq!(serde_json::to_string(&Drain { cut: true }).expect("encodes"), r#"{"cut":true}"#);
}

#[test]
fn an_id_that_could_change_the_path_is_refused() {
    for text in ["", "a/b", "a?b", "A", "..", &"x".repeat(64)] {
        assert_eq!(DrainId::new(text), Err(InvalidDrainId(text.to_owned())));
    }
}

#[test]
fn a_long_message_is_cut_between_characters() {
    let cut = bounded_message("é".repeat(MESSAGE_BYTES_MAX));
    assert!(cut.len() <= MESSAGE_BYTES_MAX && cut.ends_with('…'), "{}", cut.len());
    assert_eq!(bounded_message("short".to_owned()), "short");
}

#[test]
fn what_a_job_says_reads_and_writes_the_same() {
    let taken = JobResult::Taken(Taken {
        manifest_hash: "00ff".to_owned(),
        bytes: 1_234,
        units: 12,
        plan_hash: "11aa".to_owned(),
        generation: 3,
        taken_at_ms: 1_700_000_000_000,
        drained: true,
    });
    let texts = [
        (
            taken,
            r#"{"taken":{"manifestHash":"00ff","bytes":1234,"units":12,"planHash":"11aa","generation":3,"takenAtMs":1700000000000,"drained":true}}"#,
        ),
        (
            JobResult::Restored(Restored {
                plan_hash: "11aa".to_owned(),
                units: 12,
                manifest_hash: "00ff".to_owned(),
            }),
            r#"{"restored":{"planHash":"11aa","units":12,"manifestHash":"00ff"}}"#,
        ),
        (JobResult::Deleted, r#""deleted""#),
        (
            JobResult::failed(Some(Reason::StateIncompatible), "no".to_owned(), true),
            r#"{"failed":{"reason":"StateIncompatible","message":"no","permanent":true}}"#,
        ),
    ];
    for (result, text) in texts {
        assert_eq!(result.encode(), text);
        assert_eq!(JobResult::decode(text), Some(result));
    }
    let newer =
        JobResult::decode(r#"{"failed":{"reason":"Tired","message":"no","permanent":false,"since":1}}"#);
    assert_eq!(newer, Some(JobResult::failed(None, "no".to_owned(), false)));
    assert_eq!(JobResult::decode("Killed"), None);
}
