//! Claims: their transaction, and what each says of the inputs of a unit: topics, their ids, and where partitions without
//! a position start.

use super::Now;
use super::error::WorkerError;
use super::heritage::{awaits_cuts, headers, heritage, position_before};
use super::journals::{lineage, plan_before};
use super::life::{Life, Stop, write_journal};
use super::rewind::{base, reprocess};
use super::setup::{Environment, SEMANTICS, Setup, Surroundings};
use super::unit::Member;
use crate::topology::{partitions_of, repartition_name, source_topic};
use connect::door::{CommitOutcome, IoError, KafkaIo, NewTopic, TopicPartition};
use pipeline::plan::{Input, SourceId, StageId, StartFrom};
use protocol::going_live::{ClaimOrder, Me};
use protocol::identity::Lineage;
use protocol::journal::record::{Claim, ClaimedInput, Heritage, JournalRecord};
use protocol::restore::is_same_input;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

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

impl<Io: KafkaIo> Life<Io> {
    /// Writes the Claims, or asks how that ended; none while it is in flight, or waits for the state of others.
    pub(super) fn claim<E: Environment<Io = Io>>(
        &mut self,
        setup: &Setup,
        environment: &mut E,
        orders: &[ClaimOrder],
        now: Now,
    ) -> Result<Option<bool>, Stop> {
        if !self.claims_in_flight {
            if awaits_cuts(setup, &self.surroundings, &self.journals, &self.members) {
                return Ok(None);
            }
            let claims = self.claims(setup, environment, orders, now)?;
            match self.write_claims(&claims) {
                Ok(()) => self.claims_in_flight = true,
                Err(error) if error.is_refusal() => return Err(WorkerError::Write(error).into()),
                Err(_) => return Ok(Some(false)),
            }
        }
        match self.io.commit_outcome(Duration::from_millis(100)) {
            Ok(None) => Ok(None),
            Ok(Some(outcome)) => {
                self.claims_in_flight = false;
                Ok(Some(outcome == CommitOutcome::Committed))
            }
            Err(error) if error.is_refusal() => Err(WorkerError::Write(error).into()),
            Err(_) => Ok(Some(false)),
        }
    }

    fn claims<E: Environment<Io = Io>>(
        &mut self,
        setup: &Setup,
        environment: &mut E,
        orders: &[ClaimOrder],
        now: Now,
    ) -> Result<Vec<(usize, JournalRecord)>, Stop> {
        if self.lineage.is_none() {
            let lineage = lineage(&self.journals, self.me.owner.generation(), self.me.plan);
            let ids = open_lineage(setup, &self.surroundings, lineage, &mut self.io)?;
            self.lineage = Some((lineage, ids));
        }
        let Some((number, ids)) = &self.lineage else { return Ok(Vec::new()) };
        let (surroundings, me) = (&self.surroundings, &self.me);
        let common = Common { setup, surroundings, me, lineage: (*number, ids) };
        let mut claims = Vec::new();
        for order in orders {
            let slot = order.slot as usize;
            let claim = match self.members.iter().find(|member| member.slot == slot) {
                Some(member) => {
                    let heritage = heritage(setup, surroundings, &self.journals, member)?;
                    let claim = common.claim(environment, &mut self.io, member, *order, heritage)?;
                    let reprocess = reprocess(setup, surroundings, &self.journals, member, &claim.inputs);
                    Claim { base: base(setup, member), reprocess, ..claim }
                }
                None => common.retired(*order),
            };
            let in_force = self.journals[slot].ownership(&self.members).in_force();
            let changes = setup.rewind.is_none()
                && in_force != Some(me.plan)
                && plan_before(&self.journals, me.plan).is_some();
            let window_ms = setup.rollback_window_ms.filter(|_| changes);
            let rollback_until_ms = window_ms.map(|window_ms| now.wall_ms + window_ms);
            let claim = Claim { rollback_until_ms, ..claim };
            claims.push((slot, JournalRecord::Claim(Box::new(claim))));
        }
        Ok(claims)
    }

    fn write_claims(&mut self, claims: &[(usize, JournalRecord)]) -> Result<(), IoError> {
        self.io.begin()?;
        for (slot, record) in claims {
            write_journal(&mut self.io, &self.surroundings.journals[*slot], record, 0)?;
        }
        self.io.start_commit()
    }
}

/// What all Claims of one life have in common.
pub struct Common<'a> {
    /// The facts.
    pub setup: &'a Setup,
    /// What Kafka adds.
    pub surroundings: &'a Surroundings,
    /// Who claims.
    pub me: &'a Me,
    /// The repartition topics, and Kafka's ids of them by window.
    pub lineage: (Lineage, &'a BTreeMap<String, String>),
}

impl Common<'_> {
    /// The Claim of one unit.
    pub fn claim<E: Environment>(
        &self,
        environment: &mut E,
        io: &mut E::Io,
        member: &Member,
        order: ClaimOrder,
        heritage: Option<Heritage>,
    ) -> Result<Claim, WorkerError> {
        let (lineage, ids) = self.lineage;
        let mut inputs = Vec::new();
        for input in &self.setup.plan.stage(member.stage).inputs {
            inputs.push(match input {
                Input::Source(source) => self.source(environment, io, member, *source, heritage.as_ref())?,
                Input::Repartition { .. } => {
                    let window = repartition_name(&self.setup.plan, *input).unwrap_or_default();
                    ClaimedInput {
                        name: Arc::from(window),
                        topic: Arc::from(self.setup.identity.repartition_topic(window, lineage)),
                        topic_id: Arc::from(ids.get(window).map_or("", |id| id)),
                        starts: vec![(member.id.index, 0)],
                    }
                }
            });
        }
        Ok(Claim { retired: false, heritage, inputs, ..self.retired(order) })
    }

    /// The Claim of a unit that the plan does not have: it only keeps older generations out.
    pub fn retired(&self, order: ClaimOrder) -> Claim {
        Claim {
            owner: self.me.owner,
            plan: self.me.plan,
            placement: self.me.placement,
            semantics: SEMANTICS,
            lineage: self.lineage.0,
            resume: order.resume,
            retired: true,
            base: None,
            reprocess: None,
            rollback_until_ms: None,
            heritage: None,
            secrets: self.setup.plan.secrets_hash(),
            inputs: Vec::new(),
            stages: self.setup.plan.stages().iter().map(|stage| Arc::from(&*stage.name)).collect(),
        }
    }

    /// A source, with the start of each partition that this unit has not read: where the plan before stood, at its first
    /// record when it was added, or where the manifest says when the source is new.
    fn source<E: Environment>(
        &self,
        environment: &mut E,
        io: &mut E::Io,
        member: &Member,
        source: SourceId,
        heritage: Option<&Heritage>,
    ) -> Result<ClaimedInput, WorkerError> {
        let plan = &self.setup.plan;
        let topic = source_topic(plan, source);
        let mut input = ClaimedInput {
            name: Arc::from(&*plan.sources()[usize::from(source.0)].name),
            topic: Arc::from(topic),
            topic_id: Arc::from(&*self.surroundings.source_ids[usize::from(source.0)]),
            starts: Vec::new(),
        };
        let known = known_partitions(member, &input);
        let all = partitions_of(&self.surroundings.topology, source, member.stage, member.id.index);
        let new: Vec<u32> = all.filter(|partition| !known.contains(partition)).collect();
        let headers = match heritage.filter(|_| !new.is_empty()) {
            Some(heritage) => headers(self.setup, environment, heritage)?,
            None => Vec::new(),
        };
        // A partition that was added to what is read already: nothing of it was there when reading began.
        let read = |inputs: &[ClaimedInput]| inputs.iter().any(|known| is_same_input(known, &input));
        let is_added = read(member.replay.inputs()) || headers.iter().any(|header| read(&header.inputs));
        let from = if is_added { StartFrom::Earliest } else { plan.settings().start_from };
        for partition in new {
            let at = TopicPartition { topic: topic.to_owned(), partition };
            let next = match position_before(&headers, &input, partition) {
                Some(next) => next,
                None => start(from, &at, io).map_err(WorkerError::Io)?,
            };
            input.starts.push((partition, next));
        }
        Ok(input)
    }
}

/// Partitions of this very input that the journal has a position of.
fn known_partitions(member: &Member, input: &ClaimedInput) -> Vec<u32> {
    let input = member.replay.inputs().iter().position(|known| is_same_input(known, input));
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
