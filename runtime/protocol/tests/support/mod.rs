//! Records and generators that several test files use.
#![allow(dead_code, reason = "each test file uses its own part")]

pub mod toy;

use pipeline::plan::{PlanHash, SecretsHash};
use pipeline::record::{NewRecord, RecordBatch};
use pipeline::unit::{Channel, Tick};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use protocol::identity::{
    DrainId, Generation, Incarnation, Lineage, Owner, PlacementHash, Seq, UnitId, WorkerIndex, Writer,
};
use protocol::journal::{
    Base, Claim, ClaimedInput, Commit, Cut, Heritage, Hold, InputPartition, JournalRecord, Leg, Released,
    Renewal, Reprocess, Reprocessed, SinkProgress,
};
use protocol::schedule::{OutputDigest, Scheduled, ScheduledBatch};
use protocol::snapshot::SnapshotPointer;
use std::sync::Arc;

pub const PLAN: PlanHash = PlanHash([7; 16]);
pub const OTHER_PLAN: PlanHash = PlanHash([8; 16]);

pub fn unit() -> UnitId {
    UnitId { stage: "count".into(), index: 0 }
}

pub fn owner(generation: u32, worker: u32, life: u128) -> Owner {
    Owner {
        writer: Writer { generation: Generation(generation), worker: WorkerIndex(worker) },
        incarnation: Incarnation(life),
    }
}

pub fn claim(owner: Owner, plan: PlanHash) -> Claim {
    Claim {
        owner,
        plan,
        placement: PlacementHash(1),
        semantics: 1,
        lineage: Lineage(1),
        resume: None,
        retired: false,
        base: None,
        heritage: None,
        reprocess: None,
        rollback_until_ms: None,
        secrets: None,
        inputs: vec![ClaimedInput {
            name: "clicks".into(),
            topic: "clicks".into(),
            topic_id: "id-1".into(),
            starts: vec![(0, 0)],
        }],
        stages: vec!["count".into()],
    }
}

pub fn commit(owner: Owner, seq: u64) -> Commit {
    Commit {
        owner,
        seq: Seq(seq),
        clock_ms: 1_000 + seq as i64,
        positions: vec![(InputPartition { input: 0, partition: 0 }, seq as i64)],
        schedule: Vec::new(),
        watermarks: Vec::new(),
        outputs: OutputDigest::default(),
        snapshot: None,
        renewal: None,
        sinks: Vec::new(),
    }
}

pub fn pointer(seq: u64) -> SnapshotPointer {
    SnapshotPointer { key: format!("snapshot-{seq}").into(), hash: u128::from(seq), bytes: 3, seq: Seq(seq) }
}

pub fn batch(records: &[(i64, &str)]) -> RecordBatch {
    let mut batch = RecordBatch::new();
    for (offset, value) in records {
        let value = Some(value.as_bytes());
        batch.push(NewRecord { offset: *offset, timestamp_ms: *offset * 10, key: None, value });
    }
    batch
}

pub fn any_name() -> impl Strategy<Value = Arc<str>> {
    "[a-z]{0,12}".prop_map(Arc::from)
}

pub fn any_owner() -> impl Strategy<Value = Owner> {
    (any::<u32>(), any::<u32>(), any::<u128>())
        .prop_map(|(generation, worker, life)| owner(generation, worker, life))
}

pub fn any_positions() -> impl Strategy<Value = Vec<(InputPartition, i64)>> {
    vec(
        (any::<u16>(), any::<u32>(), any::<i64>())
            .prop_map(|(input, partition, next)| (InputPartition { input, partition }, next)),
        0..5,
    )
}

pub fn any_watermarks() -> impl Strategy<Value = Vec<(Channel, i64)>> {
    vec(
        (any::<u16>(), any::<u32>(), any::<i64>())
            .prop_map(|(input, partition, at)| (Channel { input, partition }, at)),
        0..4,
    )
}

pub fn any_inputs() -> impl Strategy<Value = Vec<ClaimedInput>> {
    let input = (any_name(), any_name(), any_name(), vec((any::<u32>(), any::<i64>()), 0..4));
    vec(
        input.prop_map(|(name, topic, topic_id, starts)| ClaimedInput { name, topic, topic_id, starts }),
        0..3,
    )
}

pub fn any_pointer() -> impl Strategy<Value = SnapshotPointer> {
    (any_name(), any::<u128>(), any::<u64>(), any::<u64>())
        .prop_map(|(key, hash, bytes, seq)| SnapshotPointer { key, hash, bytes, seq: Seq(seq) })
}

pub fn any_claim() -> impl Strategy<Value = Claim> {
    let base =
        (option::of(any_pointer()), any::<u64>(), any::<u32>()).prop_map(|(pointer, through, undone)| Base {
            pointer,
            through: Seq(through),
            undone: Generation(undone),
        });
    let leg = (any_positions(), vec(any_tick(), 0..3)).prop_map(|(until, ticks)| Leg { until, ticks });
    let reprocess = (any::<u64>(), vec(leg, 0..3)).prop_map(|(id, legs)| Reprocess { id: DrainId(id), legs });
    let rollback = (option::of(reprocess), any::<Option<i64>>());
    let head = (any_owner(), any::<[u8; 16]>(), any::<u64>(), any::<u32>(), any::<u32>());
    let tail =
        (option::of(any::<u64>()), any::<bool>(), option::of(base), any_inputs(), vec(any_name(), 0..3));
    let unit = (any_name(), any::<u32>()).prop_map(|(stage, index)| UnitId { stage, index });
    let heritage = (any::<[u8; 16]>(), vec((unit, any_pointer()), 0..3))
        .prop_map(|(plan, units)| Heritage { plan: PlanHash(plan), units });
    let tail = (tail, option::of(heritage), any::<Option<u128>>(), rollback);
    (head, tail).prop_map(|((owner, plan, placement, semantics, lineage), tail)| {
        let ((resume, retired, base, inputs, stages), heritage, secrets, rollback) = tail;
        let (reprocess, rollback_until_ms) = rollback;
        Claim {
            owner,
            plan: PlanHash(plan),
            placement: PlacementHash(placement),
            semantics,
            lineage: Lineage(lineage),
            resume: resume.map(DrainId),
            retired,
            base,
            reprocess,
            rollback_until_ms,
            heritage,
            secrets: secrets.map(SecretsHash),
            inputs,
            stages,
        }
    })
}

pub fn any_tick() -> impl Strategy<Value = Tick> {
    (any::<u16>(), any::<u32>(), any::<bool>()).prop_map(|(input, partition, idle)| {
        let channel = Channel { input, partition };
        if idle { Tick::Idle(channel) } else { Tick::EndOfInput(channel) }
    })
}

pub fn any_scheduled() -> impl Strategy<Value = Scheduled> {
    let at = (any::<u16>(), any::<u32>());
    prop_oneof![
        (at, any::<i64>(), any::<u32>(), any::<u64>(), any::<i64>()).prop_map(
            |((input, partition), end, count, hash, clock_ms)| {
                let at = InputPartition { input, partition };
                Scheduled::Batch(ScheduledBatch { at, end, count, hash, clock_ms })
            }
        ),
        (any_tick(), any::<i64>()).prop_map(|(tick, clock_ms)| Scheduled::Tick { tick, clock_ms }),
    ]
}

pub fn any_hold() -> impl Strategy<Value = Hold> {
    ("[a-z]{0,8}", any::<u32>(), any::<i64>()).prop_map(|(name, generation, until_ms)| Hold {
        name,
        generation: Generation(generation),
        until_ms,
    })
}

pub fn any_commit() -> impl Strategy<Value = Commit> {
    let renewal = (any_claim(), vec(any_hold(), 0..3)).prop_map(|(claim, holds)| Renewal { claim, holds });
    let sinks =
        vec((any_name(), any::<u64>()).prop_map(|(sink, seq)| SinkProgress { sink, seq: Seq(seq) }), 0..3);
    let head = (any_owner(), any::<u64>(), any::<i64>(), any_positions(), vec(any_scheduled(), 0..6));
    let tail = (any_watermarks(), any::<(u64, u64)>(), option::of(any_pointer()), option::of(renewal), sinks);
    (head, tail).prop_map(|((owner, seq, clock_ms, positions, schedule), tail)| {
        let (watermarks, (count, hash), snapshot, renewal, sinks) = tail;
        let outputs = OutputDigest { count, hash };
        Commit {
            owner,
            seq: Seq(seq),
            clock_ms,
            positions,
            schedule,
            watermarks,
            outputs,
            snapshot,
            renewal,
            sinks,
        }
    })
}

pub fn any_record() -> impl Strategy<Value = JournalRecord> {
    prop_oneof![
        any_claim().prop_map(|claim| JournalRecord::Claim(Box::new(claim))),
        any_commit().prop_map(|commit| JournalRecord::Commit(Box::new(commit))),
        any_hold().prop_map(JournalRecord::Hold),
        "[a-z]{0,8}".prop_map(|name| JournalRecord::Unhold { name }),
        (any_owner(), any::<u64>(), option::of(any::<u64>())).prop_map(|(owner, seq, drain)| {
            JournalRecord::Released(Released { owner, seq: Seq(seq), drain: drain.map(DrainId) })
        }),
        (any_owner(), any::<u64>(), any_pointer()).prop_map(|(owner, drain, pointer)| JournalRecord::Cut(
            Cut { owner, drain: DrainId(drain), pointer }
        )),
        (any_owner(), any::<u64>())
            .prop_map(|(owner, id)| JournalRecord::Reprocessed(Reprocessed { owner, id: DrainId(id) })),
    ]
}
