//! What a Claim says of the inputs of a unit: topics, their ids, and where partitions without a position start.

use super::error::WorkerError;
use super::setup::{SEMANTICS, Setup, Surroundings};
use super::unit::Member;
use crate::topology::{partitions_of, repartition_name, source_topic};
use connect::door::{IoError, KafkaIo, NewTopic, TopicPartition};
use pipeline::plan::{Input, StageId, StartFrom};
use protocol::going_live::{ClaimOrder, Me};
use protocol::identity::Lineage;
use protocol::journal::record::{Claim, ClaimedInput};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Makes the repartition topics of a lineage where they do not exist, and gives Kafka's ids of them, by window.
pub fn open_lineage(
    setup: &Setup,
    surroundings: &Surroundings,
    lineage: Lineage,
    io: &mut impl KafkaIo,
) -> Result<BTreeMap<String, String>, IoError> {
    let plan = &setup.plan;
    let mut topics = Vec::new();
    for (index, stage) in plan.stages().iter().enumerate() {
        let partitions = surroundings.topology.units(StageId(index as u16));
        for window in stage.inputs.iter().filter_map(|input| repartition_name(plan, *input)) {
            let name = setup.identity.repartition_topic(window, lineage);
            topics.push((window.to_owned(), NewTopic { name, partitions }));
        }
    }
    let new: Vec<_> = topics.iter().map(|(_, topic)| topic.clone()).collect();
    io.ensure_topics(&new)?;
    topics
        .into_iter()
        .map(|(window, topic)| match io.describe(&topic.name)? {
            Some(info) => Ok((window, info.id)),
            None => Err(IoError::TopicNotFound { topic: topic.name }),
        })
        .collect()
}

/// The Claim of one unit.
pub fn claim(
    setup: &Setup,
    surroundings: &Surroundings,
    me: &Me,
    member: &Member,
    order: ClaimOrder,
    lineage: (Lineage, &BTreeMap<String, String>),
    io: &mut impl KafkaIo,
) -> Result<Claim, WorkerError> {
    let stage = setup.plan.stage(member.stage);
    let (lineage, ids) = lineage;
    let mut inputs = Vec::new();
    for input in &stage.inputs {
        inputs.push(match input {
            Input::Source(source) => {
                let name = Arc::from(&*setup.plan.sources()[usize::from(source.0)].name);
                let topic = source_topic(&setup.plan, *source);
                let partitions =
                    partitions_of(&surroundings.topology, *source, member.stage, member.id.index);
                let id = &surroundings.source_ids[usize::from(source.0)];
                let known = known_partitions(member, topic, id);
                let starts = partitions
                    .filter(|partition| !known.contains(partition))
                    .map(|partition| {
                        let at = TopicPartition { topic: topic.to_owned(), partition };
                        Ok((partition, start(setup.plan.settings().start_from, &at, io)?))
                    })
                    .collect::<Result<Vec<_>, IoError>>()
                    .map_err(WorkerError::Io)?;
                ClaimedInput { name, topic: Arc::from(topic), topic_id: Arc::from(&**id), starts }
            }
            Input::Repartition { .. } => {
                let window = repartition_name(&setup.plan, *input).unwrap_or_default();
                ClaimedInput {
                    name: Arc::from(window),
                    topic: Arc::from(setup.identity.repartition_topic(window, lineage)),
                    topic_id: Arc::from(ids.get(window).map_or("", |id| id)),
                    starts: vec![(member.id.index, 0)],
                }
            }
        });
    }
    Ok(Claim {
        owner: me.owner,
        plan: me.plan,
        placement: me.placement,
        semantics: SEMANTICS,
        lineage,
        resume: order.resume,
        retired: false,
        base: None,
        inputs,
        stages: setup.plan.stages().iter().map(|stage| Arc::from(&*stage.name)).collect(),
    })
}

/// Partitions of this very topic that the journal has a position of.
fn known_partitions(member: &Member, topic: &str, id: &str) -> Vec<u32> {
    let input =
        member.replay.inputs().iter().position(|known| *known.topic == *topic && *known.topic_id == *id);
    let of_input = |at: u16| usize::from(at) == input.unwrap_or(usize::MAX);
    member
        .replay
        .positions()
        .into_iter()
        .filter(|(at, _)| of_input(at.input))
        .map(|(at, _)| at.partition)
        .collect()
}

/// Where a partition that nobody has read starts: resolved once, and then written down.
fn start(from: StartFrom, at: &TopicPartition, io: &mut impl KafkaIo) -> Result<i64, IoError> {
    if let StartFrom::Timestamp(timestamp_ms) = from {
        return io.offset_at(at, timestamp_ms);
    }
    let ends = io.watermarks(std::slice::from_ref(at))?;
    let (first, high) = ends.first().copied().unwrap_or_default();
    Ok(if from == StartFrom::Latest { high } else { first })
}
