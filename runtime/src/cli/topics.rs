//! `weir topics`: every topic that a pipeline reads, writes or creates, with the rights that it needs.

use super::Exit;
use super::explain::identity;
use super::input::{Manifests, fail, print};
use crate::topology::repartition_name;
use pipeline::plan::{KafkaAccess, Plan, SinkConnector, SourceConnector};
use protocol::identity::{Generation, Lineage, WorkerIndex, Writer};

/// Print the topics of pipelines: what must exist, what is created, and the rights that are needed
///
/// `<uid>` stands for eight characters that a pipeline is given when it is created on a cluster; for `weir run --kafka` and
/// for workers that are started by hand it is `local`.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
#[command(after_help = "Examples:
  weir topics pipeline.yaml
  weir topics pipeline.yaml | grep 'must exist'

Exit codes: 0 done, 2 a file cannot be read, 78 the manifests have problems.")]
pub struct Args {
    #[command(flatten)]
    manifests: Manifests,
}

pub fn run(args: &Args) -> Exit {
    match args.manifests.load() {
        Ok(loaded) => {
            let tables: Vec<String> = loaded.pipelines.iter().map(|pipeline| table(&pipeline.plan)).collect();
            print(&tables.join("\n"))
        }
        Err(error) => fail(&error),
    }
}

type Row = [String; 4];

fn table(plan: &Plan) -> String {
    let mut rows: Vec<Row> = vec![["TOPIC", "USE", "WHO MAKES IT", "RIGHTS"].map(str::to_owned)];
    rows.extend(of_user(plan));
    rows.extend(internal(plan));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (topic, role, maker) = (width(0), width(1), width(2));
    let mut lines = vec![format!("StreamPipeline {}/{}", plan.namespace(), plan.name())];
    lines.extend(rows.iter().map(|[a, b, c, d]| format!("{a:topic$}  {b:role$}  {c:maker$}  {d}")));
    let prefix = format!("{}.", identity(plan).group_id());
    lines.push(format!(
        "Names of Weir begin with `{prefix}`, so one prefixed ACL each for topics and transactional ids is enough."
    ));
    lines.push("The numbers at their ends are those of generations and workers; they grow.\n".to_owned());
    lines.join("\n")
}

fn of_user(plan: &Plan) -> Vec<Row> {
    let row = |topic: &str, access: Option<&KafkaAccess>, role: String, rights: &str| {
        let maker = match access {
            Some(_) => "must exist",
            None => "must exist (no kafka access given)",
        };
        [topic.to_owned(), role, maker.to_owned(), rights.to_owned()]
    };
    let sources = plan.sources().iter().map(|source| {
        let SourceConnector::Kafka { topic, access } = &source.connector;
        row(topic, access.as_ref(), format!("source {}", source.name), "Read, Describe")
    });
    let sinks = plan.sinks().iter().filter_map(|sink| match &sink.connector {
        SinkConnector::Kafka { topic, access } => {
            Some(row(topic, access.as_ref(), format!("sink {}", sink.name), "Write, Describe"))
        }
        SinkConnector::File { .. } | SinkConnector::Log => None,
    });
    sources.chain(sinks).collect()
}

fn internal(plan: &Plan) -> Vec<Row> {
    let identity = identity(plan);
    let rights = "Create, Describe, DescribeConfigs, Read, Write, Delete";
    let row = |topic: String, role: String| [topic, role, "created by Weir".to_owned(), rights.to_owned()];
    let mut rows = Vec::new();
    for stage in plan.stages() {
        rows.push(row(identity.commits_topic(&stage.name), format!("journal of stage {}", stage.name)));
        if plan.settings().checkpoint_storage.is_none() {
            let topic = identity.snapshots_topic(&stage.name);
            rows.push(row(topic, format!("snapshots of stage {}", stage.name)));
        }
        for window in stage.inputs.iter().filter_map(|input| repartition_name(plan, *input)) {
            let topic = identity.repartition_topic(window, Lineage(1));
            rows.push(row(topic, format!("blocks of window {window} for stage {}", stage.name)));
        }
    }
    let writer = Writer { generation: Generation(1), worker: WorkerIndex(0) };
    let fixed =
        |name: String, role: &str, rights: &str| [name, role.to_owned(), String::new(), rights.to_owned()];
    rows.push(fixed(
        identity.transactional_id(writer),
        "transactional id of the first worker",
        "Write, Describe",
    ));
    rows.push(fixed(identity.group_id(), "consumer group, for lag tools", "Read, Describe"));
    rows
}
