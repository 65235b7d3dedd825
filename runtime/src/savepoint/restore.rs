//! Restores a savepoint: makes journals, snapshots and repartition topics of it, before anybody works on them.

use super::{Journals, SavepointError, open};
use connect::door::{CommitOutcome, KafkaIo, NewTopic, Partitioning, TopicPartition};
use connect::snapshot::{Folder, Shard, SnapshotStore, key};
use pipeline::plan::PlanHash;
use pipeline::record::{NewRecord, RecordBatch};
use protocol::identity::{
    DrainId, Generation, Incarnation, Owner, PipelineIdentity, UnitId, WorkerIndex, Writer,
};
use protocol::journal::JournalRecord;
use protocol::savepoint::{Restoring, Savepoint, Target};
use protocol::snapshot::{SnapshotHeader, SnapshotPointer};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long one call waits for records, or for the end of a commit.
const WAIT: Duration = Duration::from_millis(100);
/// How often that is done before it is given up.
const WAITS_MAX: u32 = 600;

/// The pipeline that gets the state.
#[derive(Clone, Debug)]
pub struct Destination {
    /// Its names in Kafka.
    pub identity: PipelineIdentity,
    /// The plan that it is going to follow.
    pub plan: PlanHash,
    /// The generation that its journals name as the one before.
    pub generation: Generation,
    /// The drain that it begins behind.
    pub drain: DrainId,
    /// The hash that the manifest must have, if somebody said.
    pub manifest_hash: Option<String>,
}

/// Restores the savepoint of a folder into the journals of a pipeline that has never worked, and gives it with the hash of its manifest. To do it again does nothing.
/// `io` has the transactional id of worker 0 of the generation.
pub fn restore(
    destination: &Destination,
    io: &mut impl KafkaIo,
    folder: &mut dyn Folder,
    snapshots: &mut dyn SnapshotStore,
) -> Result<(Savepoint, u128), SavepointError> {
    let (savepoint, hash) = open(folder)?;
    let found = format!("{hash:032x}");
    if let Some(wanted) = destination.manifest_hash.clone().filter(|wanted| *wanted != found) {
        return Err(SavepointError::Other { found, wanted });
    }
    if !savepoint.is_cut() && savepoint.plan != destination.plan {
        let (saved, own) = (savepoint.plan.to_string(), destination.plan.to_string());
        return Err(SavepointError::OtherPlan { saved, own });
    }
    let writer = Writer { generation: destination.generation, worker: WorkerIndex(0) };
    let target = Target {
        identity: destination.identity.clone(),
        // So that the journals say which savepoint they were made of.
        owner: Owner { writer, incarnation: Incarnation(hash) },
        drain: destination.drain,
        topic_ids: BTreeMap::new(),
    };
    let mut restoring = Restoring::new(&savepoint, target);
    same_sources(&restoring, io)?;
    // Fences another one that does the same: what it has begun is aborted, what it has finished is read.
    make(&restoring.journals(), io)?;
    io.init_transactions()?;
    if is_done(&savepoint, &restoring, io)? {
        return Ok((savepoint, hash));
    }
    let topics = restoring.repartition_topics();
    make(&topics, io)?;
    for (topic, _) in topics {
        let id = io.describe(&topic)?.map(|info| info.id).unwrap_or_default();
        restoring.topic_ids().insert(topic, id);
    }
    let mut states = BTreeMap::new();
    for (unit, saved) in savepoint.units() {
        let Some(pointer) = &saved.state else { continue };
        let bytes = folder.read(&pointer.key).map_err(SavepointError::Folder)?;
        let Some(state) = restoring.state(&unit, saved, &bytes)? else { continue };
        in_the_log(&destination.identity, &state.header, io)?;
        let units = savepoint.stages.iter().find(|stage| stage.name == unit.stage);
        let units = units.map_or(0, |stage| stage.units.len() as u32);
        let shard = Shard { stage: unit.stage.to_string(), unit: unit.index, units };
        let pointer =
            SnapshotPointer::of(&state.sealed, state.header.seq, |content| key(state.header.seq.0, content));
        let name = snapshots.put(&shard, &pointer.key, &state.sealed);
        let name = name.map_err(|source| SavepointError::Snapshot { unit: unit.clone(), source })?;
        states.insert(unit, (state.header, SnapshotPointer { key: name.into(), ..pointer }));
    }
    write(&savepoint, &restoring, &states, destination, io, folder)?;
    Ok((savepoint, hash))
}

/// The topics that the state has positions of are there, and no others by their names.
fn same_sources(restoring: &Restoring<'_>, io: &mut impl KafkaIo) -> Result<(), SavepointError> {
    for (topic, id) in restoring.sources() {
        let found = match io.describe(topic)? {
            Some(info) if info.id == id => continue,
            Some(_) => "another topic has its name: it was made again, or this is another Kafka".to_owned(),
            None => "it does not exist".to_owned(),
        };
        return Err(SavepointError::OtherTopic { topic: topic.to_owned(), found });
    }
    Ok(())
}

fn make(topics: &[(String, u32)], io: &mut impl KafkaIo) -> Result<(), SavepointError> {
    for (topic, partitions) in topics {
        let found = io.describe(topic)?.map(|info| info.partitions);
        match found.filter(|found| found != partitions) {
            Some(found) => {
                return Err(SavepointError::Width { topic: topic.clone(), found, wanted: *partitions });
            }
            None => io.ensure_topics(&[NewTopic { name: topic.clone(), partitions: *partitions }])?,
        }
    }
    Ok(())
}

/// True when the journals say already what they have to say.
fn is_done(
    savepoint: &Savepoint,
    restoring: &Restoring<'_>,
    io: &mut impl KafkaIo,
) -> Result<bool, SavepointError> {
    let stages = savepoint.stages.iter().zip(restoring.journals());
    let mut journals =
        Journals::new(stages.map(|(stage, (topic, units))| (topic, stage.name.clone(), units)));
    journals.assign(io)?;
    let mut fetched = Vec::new();
    for _ in 0..WAITS_MAX {
        if journals.are_read() {
            break;
        }
        io.poll(WAIT, &mut fetched)?;
        for fetched in fetched.drain(..) {
            journals.take(&fetched)?;
        }
    }
    if !journals.are_read() {
        let detail = "their ends were not reached in time".to_owned();
        return Err(connect::door::IoError::Lost { operation: "reading the journals", detail }.into());
    }
    let mut views = journals.views.iter().flatten();
    if views.clone().all(|view| view.ownership().is_empty()) {
        return Ok(false);
    }
    // All of them were written at once.
    let owner = restoring.owner();
    let restored = |view: &protocol::journal::JournalView| {
        view.ownership().claim_of(owner.generation()).is_some_and(|claim| claim.owner == owner)
    };
    if views.all(restored) { Ok(true) } else { Err(SavepointError::NotNew) }
}

/// What the state has not read yet is still there.
fn in_the_log(
    identity: &PipelineIdentity,
    header: &SnapshotHeader,
    io: &mut impl KafkaIo,
) -> Result<(), SavepointError> {
    let source = |at: &protocol::journal::InputPartition| {
        let input = header.inputs.get(usize::from(at.input))?;
        identity.lineage_of(&input.topic).is_none().then(|| input.topic.to_string())
    };
    let positions = header.positions.iter().filter_map(|(at, next)| {
        Some((TopicPartition { topic: source(at)?, partition: at.partition }, *next))
    });
    let (at, next): (Vec<TopicPartition>, Vec<i64>) = positions.unzip();
    if at.is_empty() {
        return Ok(());
    }
    for ((at, (low, high)), position) in at.iter().zip(io.watermarks(&at)?).zip(next) {
        if !(low..=high).contains(&position) {
            let (topic, partition) = (at.topic.clone(), at.partition);
            return Err(SavepointError::OutOfLog { topic, partition, position, low, high });
        }
    }
    Ok(())
}

/// Everything in one transaction.
fn write(
    savepoint: &Savepoint,
    restoring: &Restoring<'_>,
    states: &BTreeMap<UnitId, (SnapshotHeader, SnapshotPointer)>,
    destination: &Destination,
    io: &mut impl KafkaIo,
    folder: &mut dyn Folder,
) -> Result<(), SavepointError> {
    io.begin()?;
    for (unit, saved) in savepoint.units() {
        for part in &saved.blocks {
            let bytes = folder.read(&part.name).map_err(SavepointError::Folder)?;
            part.verify(&bytes)?;
            for (topic, value) in restoring.blocks(saved, &part.name, &bytes)? {
                produce(io, &topic, unit.index, &value)?;
            }
        }
        let state = states.get(&unit).map(|(header, pointer)| (header, pointer.clone()));
        let journal = destination.identity.commits_topic(&unit.stage);
        for record in restoring.records(saved, state) {
            produce(io, &journal, unit.index, &JournalRecord::encode(&record))?;
        }
    }
    io.start_commit()?;
    for _ in 0..WAITS_MAX {
        match io.commit_outcome(WAIT)? {
            None => {}
            Some(CommitOutcome::Committed) => return Ok(()),
            Some(CommitOutcome::Aborted | CommitOutcome::Unknown) => break,
        }
    }
    Err(SavepointError::NotCommitted)
}

fn produce(io: &mut impl KafkaIo, topic: &str, partition: u32, value: &[u8]) -> Result<(), SavepointError> {
    let mut batch = RecordBatch::new();
    batch.push(NewRecord { offset: 0, timestamp_ms: 0, key: None, value: Some(value) });
    Ok(io.produce(topic, Partitioning::Exact(partition), &batch)?)
}
