//! The cases of this crate (`cases/<name>/`), run through units in memory: with 1, 2 and 3 units, in batches of several
//! sizes, with a restart of everything at every commit. What comes out is the same each time.

use super::rig::Rig;
use crate::plan::{MaskKeys, Plan, SourceConnector};
use crate::record::{NewRecord, RecordBatch};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The wall clock of the case runner: 2026-11-21T00:00:00Z.
const WALL_MS: i64 = 1_795_219_200_000;

struct Case {
    folder: PathBuf,
    plan: Arc<Plan>,
    partitions: u32,
}

impl Case {
    fn open(folder: PathBuf) -> Self {
        let text = std::fs::read_to_string(folder.join("pipeline.yaml")).unwrap();
        let loaded = crate::plan::load([("pipeline.yaml", text.as_str())]);
        let loaded = loaded.unwrap_or_else(|problems| panic!("{}: {problems:#?}", folder.display()));
        let plan = &loaded.pipelines[0].plan;
        let secrets = loaded.secrets(plan.namespace());
        let keys = plan.mask_secrets().into_iter().map(|at| (at.clone(), secrets[&at.name][&at.key].clone()));
        let plan = Arc::new(plan.with_keys(MaskKeys::new(keys).unwrap()));
        let partitions = std::fs::read_to_string(folder.join("partitions"));
        Self { folder, plan, partitions: partitions.map_or(1, |text| text.trim().parse().unwrap()) }
    }

    fn run(&self, units: u32, batch_rows: usize, restart: bool) -> Rig {
        let mut rig = Rig::new(&self.plan, units, self.partitions);
        rig.clock_ms = WALL_MS;
        let mut queues = Vec::new();
        for (input, source) in (0..).zip(self.plan.sources()) {
            let SourceConnector::Kafka { .. } = &source.connector;
            for (partition, batch) in (0..).zip(self.input(&source.name)) {
                queues.push((input, partition, batch, 0));
            }
        }
        while queues.iter().any(|(_, _, batch, at)| *at < batch.len()) {
            for (input, partition, batch, at) in &mut queues {
                let mut part = RecordBatch::new();
                let end = batch.len().min(*at + batch_rows);
                (*at..end).for_each(|row| part.push_from(batch, row));
                *at = end;
                rig.feed_batch(*input, *partition, &part);
            }
            if restart {
                rig.settle();
                rig.restart_all();
            }
        }
        rig.finish();
        rig
    }

    /// The records of a source by partition.
    fn input(&self, source: &str) -> Vec<RecordBatch> {
        let mut batches = vec![RecordBatch::new(); self.partitions as usize];
        let (envelope, text) = lines(&self.folder, source).unwrap();
        for (number, line) in text.iter().enumerate() {
            let batch = &mut batches[number % self.partitions as usize];
            if envelope {
                push_envelope(batch, line);
            } else {
                batch.push(NewRecord { timestamp_ms: WALL_MS, value: Some(line), ..NewRecord::default() });
            }
        }
        batches
    }

    fn check(&self, how: &str, rig: &Rig) {
        for (id, sink) in (0..).zip(self.plan.sinks()) {
            let (envelope, text) = lines(&self.folder.join("expected"), &sink.name).unwrap_or_default();
            let mut expected: Vec<String> = text.iter().map(|line| normal(line, envelope)).collect();
            let empty = RecordBatch::new();
            let batch = rig.outputs.get(&id).unwrap_or(&empty);
            let mut found: Vec<String> = (0..batch.len()).map(|row| line_of(batch, row, envelope)).collect();
            expected.sort();
            found.sort();
            assert_eq!(found, expected, "{} {how}: sink {}", self.folder.display(), sink.name);
        }
    }
}

fn lines(folder: &Path, name: &str) -> Option<(bool, Vec<Vec<u8>>)> {
    let plain = std::fs::read(folder.join(format!("{name}.jsonl"))).map(|text| (false, text));
    let envelope = || std::fs::read(folder.join(format!("{name}.envelope.jsonl"))).map(|text| (true, text));
    let (form, text) = plain.or_else(|_| envelope()).ok()?;
    Some((
        form,
        text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect(),
    ))
}

fn push_envelope(batch: &mut RecordBatch, line: &[u8]) {
    let line: Value = serde_json::from_slice(line).unwrap();
    let value = match (&line["value"], line["base64"].as_str()) {
        (_, Some("e3s=")) => Some(b"{{".to_vec()),
        (Value::Null, _) => None,
        (value, _) => Some(value.to_string().into_bytes()),
    };
    let key = line["key"].as_str().map(str::as_bytes);
    let timestamp_ms = line["timestamp"].as_i64().unwrap();
    batch.push(NewRecord { offset: 0, timestamp_ms, key, value: value.as_deref() });
    for (name, value) in line["headers"].as_object().into_iter().flatten() {
        batch.push_header(name.as_bytes(), value.as_str().map(str::as_bytes));
    }
}

/// A line with sorted members, as far as it is JSON.
fn normal(line: &[u8], envelope: bool) -> String {
    let Ok(mut value) = serde_json::from_slice::<Value>(line) else {
        return String::from_utf8_lossy(line).into_owned();
    };
    if envelope {
        value.as_object_mut().unwrap().remove("partition");
    }
    value.to_string()
}

fn line_of(batch: &RecordBatch, row: usize, envelope: bool) -> String {
    let value = batch.value(row).unwrap_or(b"null");
    if !envelope {
        return normal(value, false);
    }
    let text = |bytes: &[u8]| Value::from(String::from_utf8_lossy(bytes));
    let mut line = serde_json::Map::new();
    if let Some(key) = batch.key(row) {
        line.insert("key".into(), text(key));
    }
    match serde_json::from_slice(value) {
        Ok(value) => line.insert("value".into(), value),
        Err(_) => line.insert("base64".into(), "e3s=".into()),
    };
    let headers: serde_json::Map<String, Value> = batch
        .headers(row)
        .map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), value.map_or(Value::Null, text)))
        .collect();
    if !headers.is_empty() {
        line.insert("headers".into(), headers.into());
    }
    line.insert("timestamp".into(), batch.records()[row].timestamp_ms.into());
    Value::from(line).to_string()
}

#[test]
fn every_case_gives_what_it_expects() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let mut folders: Vec<_> = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    assert!(folders.len() >= 12);
    for case in folders.into_iter().map(Case::open) {
        for units in 1..=3 {
            for batch_rows in [1, 7, 1000] {
                case.check(&format!("{units} units"), &case.run(units, batch_rows, false));
                case.check(&format!("{units} units, restarted"), &case.run(units, batch_rows, true));
            }
        }
    }
}
