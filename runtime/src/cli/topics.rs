//! `weir topics`: every topic that a pipeline reads, writes or creates, with the rights that it needs.

use super::Exit;
use super::explain::identity;
use super::input::{Manifests, fail, print};
use crate::topology::repartition_name;
use pipeline::plan::{KafkaAccess, Plan, SinkConnector, SourceConnector};
use protocol::identity::Lineage;
use std::collections::BTreeMap;

/// Print the topics of pipelines: what must exist, what is created, and the ACLs that are needed
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

/// Topic, use, maker.
type Row = [String; 3];

/// Rights on one resource, as Kafka names them.
struct Acl {
    kind: &'static str,
    name: String,
    prefixed: bool,
    rights: &'static str,
}

const READ: &str = "Describe, DescribeConfigs, Read";
const WRITE: &str = "Describe, DescribeConfigs, Write";
const READ_AND_WRITE: &str = "Describe, DescribeConfigs, Read, Write";
const OWN: &str = "Create, Delete, Describe, DescribeConfigs, Read, Write";

fn table(plan: &Plan) -> String {
    let mut rows: Vec<Row> = vec![["TOPIC", "USE", "WHO MAKES IT"].map(str::to_owned)];
    rows.extend(of_user(plan));
    rows.extend(internal(plan));
    let mut lines = vec![format!("StreamPipeline {}/{}", plan.namespace(), plan.name())];
    lines.extend(columns(&rows));
    lines.push("The numbers at the ends of internal names are those of generations; they grow.\n".to_owned());
    let mut rows = vec![["ACL ON", "NAME", "PATTERN", "OPERATIONS"].map(str::to_owned)];
    rows.extend(acls(plan).into_iter().map(|acl| {
        let pattern = if acl.prefixed { "Prefixed" } else { "Literal" };
        [acl.kind, &acl.name, pattern, acl.rights].map(str::to_owned)
    }));
    lines.extend(columns(&rows));
    lines.push("These rights are all that the user of the pipeline needs; none on the cluster.\n".to_owned());
    lines.join("\n")
}

/// Rows with their columns below each other.
fn columns<const N: usize>(rows: &[[String; N]]) -> Vec<String> {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |row: &[String; N]| {
        let cells: Vec<String> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// What the user of Kafka must be allowed to do, and nothing more.
fn acls(plan: &Plan) -> Vec<Acl> {
    let mut topics: BTreeMap<&str, &'static str> = BTreeMap::new();
    for source in plan.sources() {
        topics.insert(source.connector.topic(), READ);
    }
    for sink in plan.sinks() {
        if let SinkConnector::Kafka { topic, .. } = &sink.connector {
            let rights = if topics.get(topic.as_str()) == Some(&READ) { READ_AND_WRITE } else { WRITE };
            topics.insert(topic, rights);
        }
    }
    let acl = |kind, name: &str, prefixed, rights| Acl { kind, name: name.to_owned(), prefixed, rights };
    let group = identity(plan).group_id();
    let own = format!("{group}.");
    let of_user = topics.into_iter().map(|(topic, rights)| acl("Topic", topic, false, rights));
    of_user
        .chain([
            acl("Topic", &own, true, OWN),
            acl("TransactionalId", &own, true, "Describe, Write"),
            acl("Group", &group, false, "Read"),
        ])
        .collect()
}

fn of_user(plan: &Plan) -> Vec<Row> {
    let row = |topic: &str, access: Option<&KafkaAccess>, role: String| {
        let maker = match access {
            Some(_) => "must exist",
            None => "must exist (no kafka access given)",
        };
        [topic.to_owned(), role, maker.to_owned()]
    };
    let sources = plan.sources().iter().map(|source| {
        let SourceConnector::Kafka { topic, access } = &source.connector;
        row(topic, access.as_deref(), format!("source {}", source.name))
    });
    let sinks = plan.sinks().iter().filter_map(|sink| match &sink.connector {
        SinkConnector::Kafka { topic, access } => {
            Some(row(topic, access.as_deref(), format!("sink {}", sink.name)))
        }
        SinkConnector::File { .. } | SinkConnector::Log => None,
    });
    sources.chain(sinks).collect()
}

fn internal(plan: &Plan) -> Vec<Row> {
    let identity = identity(plan);
    let row = |topic: String, role: String| [topic, role, "created by Weir".to_owned()];
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
    rows
}
