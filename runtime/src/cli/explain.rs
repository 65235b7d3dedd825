//! `weir explain`: what a pipeline really does: every effective value, its stages and its topics.

mod stages;
mod values;

use super::Exit;
use super::input::{Manifests, fail, print};
use pipeline::plan::LoadedPipeline;
use protocol::identity::PipelineIdentity;

/// Print what pipelines really do: effective values, resolved windows, stages and internal topics
///
/// Values that the manifest does not give are marked as defaults.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
#[command(after_help = "Examples:
  weir explain pipeline.yaml
  weir explain --defaults
  weir explain pipeline.yaml windows.yaml
  kubectl get streampipeline clicks-per-user -o yaml | weir explain - windows.yaml

Exit codes: 0 done, 2 a file cannot be read, 78 the manifests have problems.")]
pub struct Args {
    /// Files with manifests (YAML, several documents in each if you like); `-` is stdin
    ///
    /// StreamWindow, ConfigMap and Secret documents among them resolve the references of the pipelines.
    #[arg(value_name = "FILE", required_unless_present = "defaults")]
    files: Vec<String>,
    /// Print the resolved manifests instead: windows in place, and the ConfigMap keys that are used
    #[arg(long)]
    resolved: bool,
    /// Print every default and bound that there is instead
    #[arg(long, conflicts_with_all = ["files", "resolved"])]
    defaults: bool,
}

pub fn run(args: &Args) -> Exit {
    if args.defaults {
        return print(&values::defaults());
    }
    let loaded = match Manifests::new(args.files.clone()).load() {
        Ok(loaded) => loaded,
        Err(error) => return fail(&error),
    };
    let mut texts = Vec::new();
    for pipeline in &loaded.pipelines {
        if args.resolved {
            match pipeline.resolved.to_yaml() {
                Ok(text) => texts.push(text),
                Err(error) => {
                    eprintln!("weir: {error}");
                    return Exit::Failed;
                }
            }
        } else {
            texts.push(explain(pipeline));
        }
    }
    print(&texts.join(if args.resolved { "---\n" } else { "\n" }))
}

/// The whole explanation of one pipeline.
fn explain(pipeline: &LoadedPipeline) -> String {
    let plan = &pipeline.plan;
    let mut text = format!("StreamPipeline {}/{}\nplan {}\n", plan.namespace(), plan.name(), plan.hash());
    text.push_str(&values::print(pipeline));
    text.push_str(&stages::print(plan));
    text
}

/// The names of a pipeline in Kafka before it exists: what it will be given stands in angle brackets.
pub(super) fn identity(plan: &pipeline::plan::Plan) -> PipelineIdentity {
    PipelineIdentity {
        namespace: plan.namespace().to_owned(),
        pipeline: plan.name().to_owned(),
        uid8: "<uid>".to_owned(),
    }
}

#[cfg(test)]
mod tests;
