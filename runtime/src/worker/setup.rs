//! What a worker is given: everything that somebody wrote down before it started.

use super::error::{SINK, SOURCE, WorkerError};
use crate::topology::{first_topology, source_topic};
use connect::door::{IoError, KafkaIo, NewTopic, TopicInfo, TopicPartition};
use connect::snapshot::Uploads;
use pipeline::plan::{MaskKeys, Plan, PlanHash, SinkConnector, SinkId, Source, SourceId, Stage, StageId};
use pipeline::problem::closest;
use pipeline::record::RecordBatch;
use pipeline::unit::Topology;
use protocol::defences::Defences;
use protocol::going_live::Promotion;
use protocol::identity::{
    Generation, Incarnation, PipelineIdentity, PlacementHash, UnitId, WorkerIndex, Writer,
};
use protocol::restore::Rewind;
use protocol::snapshot::Limits;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// The version of the meaning of plans in this release.
pub const SEMANTICS: u32 = 1;

/// The world of one worker: the log, the snapshots, and what only the shell may draw.
pub trait Environment {
    /// The door to the log.
    type Io: KafkaIo;

    /// Opens a door.
    fn connect(&mut self, transactional_id: &str) -> Result<Self::Io, IoError>;

    /// True when a new door would be another one, because a password or a certificate was rotated. Asked all the time,
    /// between commits.
    fn is_outdated(&mut self) -> bool {
        false
    }

    /// What the Secrets that a plan's masks need hold now; none where the plan was given them.
    fn mask_keys(&mut self, _plan: &Plan) -> Result<Option<MaskKeys>, WorkerError> {
        Ok(None)
    }

    /// A random id, another one each time.
    fn incarnation(&mut self) -> Incarnation;

    /// Where snapshots are.
    fn store(&mut self) -> &mut Uploads;

    /// Takes records of a sink that is no topic: at least once, before the commit that they belong to.
    fn emit(&mut self, sink: SinkId, records: &RecordBatch) -> Result<(), IoError>;

    /// The offset at which a bounded input partition ends; none while it grows, which a topic in Kafka always does.
    fn end_of_input(&self, partition: &TopicPartition) -> Option<i64>;

    /// True when every input is bounded, so that the worker ends when all of it is processed.
    fn is_bounded(&self) -> bool;

    /// Time since some moment of the past, for how long things take; nothing is decided by it.
    fn elapsed(&self) -> Duration;
}

/// The facts of one worker; they do not change.
#[derive(Clone, Debug)]
pub struct Setup {
    /// What it runs.
    pub plan: Arc<Plan>,
    /// Plans of earlier generations, whose commits it may have to replay.
    pub earlier_plans: BTreeMap<PlanHash, Arc<Plan>>,
    /// Names in Kafka.
    pub identity: PipelineIdentity,
    /// Its generation; none when nobody wrote it down: then the journals tell.
    pub generation: Option<Generation>,
    /// Its number.
    pub worker: WorkerIndex,
    /// How many there are.
    pub workers: u32,
    /// Every id of earlier generations.
    pub prior: Vec<Writer>,
    /// The change of plan that this generation takes back, to its own plan.
    pub rewind: Option<Rewind>,
    /// How long the state before a change of the plan is kept, in milliseconds; none is not at all.
    pub rollback_window_ms: Option<i64>,
    /// Who decides when it goes live.
    pub promotion: Promotion,
    /// All on, but for tests that look for the harm.
    pub defences: Defences,
    /// How far back snapshots may refer.
    pub snapshots: Limits,
}

impl Setup {
    /// The plan with this hash, if it is known here.
    pub fn plan_of(&self, hash: PlanHash) -> Option<&Arc<Plan>> {
        if self.plan.hash() == hash { Some(&self.plan) } else { self.earlier_plans.get(&hash) }
    }
}

/// What Kafka adds to the facts: counts and ids of topics, and with them the list of journals.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Units and partitions.
    pub topology: Topology,
    /// Kafka's ids of the source topics, by source.
    pub source_ids: Vec<String>,
    /// Every unit of the plan, by slot: stage by stage.
    pub units: Vec<(StageId, UnitId)>,
    /// Units of stages that only earlier plans have, by slot behind those of the plan.
    pub retired: Vec<UnitId>,
    /// Their journals, by slot.
    pub journals: Vec<TopicPartition>,
    /// Stages of earlier plans that were looked for, whether their journals exist or not.
    pub looked_for: BTreeSet<Arc<str>>,
    /// Partitions of the source topics of all plans, by topic.
    topics: BTreeMap<String, u32>,
    /// Who owns what.
    pub placement: PlacementHash,
    /// What the topic of each sink takes; none for a sink that is no topic.
    pub sink_topics: Vec<Option<TopicInfo>>,
}

impl Surroundings {
    /// Describes the topics of the user, and makes and describes the journals. `stages` are names of stages that plans
    /// before had, besides those of the plans that the generation carries.
    pub fn discover(
        setup: &Setup,
        stages: &BTreeSet<Arc<str>>,
        io: &mut impl KafkaIo,
    ) -> Result<Self, WorkerError> {
        let plan = &setup.plan;
        let sources = (0u16..)
            .zip(plan.sources())
            .map(|(id, source)| existing(io, SOURCE, &source.name, source_topic(plan, SourceId(id))))
            .collect::<Result<Vec<_>, _>>()?;
        let sink_topics = sinks(plan, io)?;
        let mut topology = first_topology(plan, sources.iter().map(|topic| topic.partitions).collect());
        for (index, stage) in plan.stages().iter().enumerate() {
            let (id, name) = (StageId(index as u16), setup.identity.commits_topic(&stage.name));
            if let Some(commits) = io.describe(&name).map_err(WorkerError::Io)? {
                topology.units[index] = commits.partitions;
            } else {
                let partitions = topology.units(id);
                io.ensure_topics(&[NewTopic { name, partitions }]).map_err(WorkerError::Io)?;
            }
        }
        let (units, mut journals) = journals(setup, &topology);
        let (retired, of_retired) = retired(setup, stages, io).map_err(WorkerError::Io)?;
        journals.extend(of_retired);
        let table = units.iter().map(|(_, unit)| (unit, WorkerIndex(unit.index % setup.workers)));
        let placement = PlacementHash::of(table);
        let source_ids = sources.into_iter().map(|topic| topic.id).collect();
        let topics = source_topics(setup, &topology, io).map_err(WorkerError::Io)?;
        Ok(Self {
            topology,
            source_ids,
            placement,
            units,
            retired,
            journals,
            looked_for: stages.clone(),
            topics,
            sink_topics,
        })
    }

    /// The unit of a slot.
    pub fn unit(&self, slot: usize) -> &UnitId {
        match self.units.get(slot) {
            Some((_, unit)) => unit,
            None => &self.retired[slot - self.units.len()],
        }
    }

    /// True for a unit that the plan does not have.
    pub fn is_retired(&self, slot: usize) -> bool {
        slot >= self.units.len()
    }

    /// The slot of a unit.
    pub fn slot(&self, unit: &UnitId) -> Option<usize> {
        (0..self.journals.len()).find(|slot| self.unit(*slot) == unit)
    }

    /// How wide everything is under a plan, the own one or an earlier one.
    pub fn topology_of(&self, plan: &Plan) -> Topology {
        let all = || (0..self.journals.len()).map(|slot| self.unit(slot));
        let units = |stage: &Stage| all().filter(|unit| *unit.stage == *stage.name).count() as u32;
        let partitions = |source: &Source| self.topics.get(source.connector.topic()).copied().unwrap_or(0);
        Topology {
            units: plan.stages().iter().map(units).collect(),
            source_partitions: plan.sources().iter().map(partitions).collect(),
        }
    }

    /// True when the placement gives the unit to this worker.
    pub fn is_own(&self, setup: &Setup, slot: usize) -> bool {
        self.unit(slot).index % setup.workers == setup.worker.0
    }
}

/// Units of stages that only earlier plans have, as far as their journals exist, with their journals.
fn retired(
    setup: &Setup,
    stages: &BTreeSet<Arc<str>>,
    io: &mut impl KafkaIo,
) -> Result<(Vec<UnitId>, Vec<TopicPartition>), IoError> {
    let earlier = setup.earlier_plans.values().flat_map(|plan| plan.stages());
    let names: BTreeSet<Arc<str>> =
        earlier.map(|stage| Arc::from(&*stage.name)).chain(stages.iter().cloned()).collect();
    let is_own = |name: &Arc<str>| setup.plan.stages().iter().any(|stage| *stage.name == **name);
    let (mut units, mut journals) = (Vec::new(), Vec::new());
    for stage in names.into_iter().filter(|name| !is_own(name)) {
        let topic = setup.identity.commits_topic(&stage);
        let Some(commits) = io.describe(&topic)? else { continue };
        for index in 0..commits.partitions {
            units.push(UnitId { stage: stage.clone(), index });
            journals.push(TopicPartition { topic: topic.clone(), partition: index });
        }
    }
    Ok((units, journals))
}

/// Partitions of the source topics of all plans; a topic that is gone has none.
fn source_topics(
    setup: &Setup,
    topology: &Topology,
    io: &mut impl KafkaIo,
) -> Result<BTreeMap<String, u32>, IoError> {
    let own = setup.plan.sources().iter().zip(&topology.source_partitions);
    let mut topics: BTreeMap<String, u32> =
        own.map(|(source, count)| (source.connector.topic().to_owned(), *count)).collect();
    for source in setup.earlier_plans.values().flat_map(|plan| plan.sources()) {
        let topic = source.connector.topic();
        if !topics.contains_key(topic) {
            let count = io.describe(topic)?.map_or(0, |found| found.partitions);
            topics.insert(topic.to_owned(), count);
        }
    }
    Ok(topics)
}

fn journals(setup: &Setup, topology: &Topology) -> (Vec<(StageId, UnitId)>, Vec<TopicPartition>) {
    let (mut units, mut journals) = (Vec::new(), Vec::new());
    for (index, stage) in (0u16..).zip(setup.plan.stages()) {
        let (name, topic) = (Arc::<str>::from(&*stage.name), setup.identity.commits_topic(&stage.name));
        for unit in 0..topology.units(StageId(index)) {
            units.push((StageId(index), UnitId { stage: name.clone(), index: unit }));
            journals.push(TopicPartition { topic: topic.clone(), partition: unit });
        }
    }
    (units, journals)
}

fn sinks(plan: &Plan, io: &mut impl KafkaIo) -> Result<Vec<Option<TopicInfo>>, WorkerError> {
    let mut all = Vec::new();
    for sink in plan.sinks() {
        all.push(match &sink.connector {
            SinkConnector::Kafka { topic, .. } => Some(existing(io, SINK, &sink.name, topic)?),
            SinkConnector::File { .. } | SinkConnector::Log => None,
        });
    }
    Ok(all)
}

fn existing(
    io: &mut impl KafkaIo,
    role: &'static str,
    name: &str,
    topic: &str,
) -> Result<TopicInfo, WorkerError> {
    if let Some(info) = io.describe(topic).map_err(WorkerError::Io)? {
        return Ok(info);
    }
    // Who may not list topics gets no hint.
    let all = io.topics().unwrap_or_default();
    let of_users = all.iter().map(String::as_str).filter(|other| !other.starts_with("weir."));
    let hint = closest(topic, of_users).map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default();
    let place = io.address().map(|address| format!(" on {address}")).unwrap_or_default();
    let (name, topic) = (name.to_owned(), topic.to_owned());
    Err(WorkerError::NoTopic { role, name, topic, place, hint })
}
