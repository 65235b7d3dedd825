//! `weir lint`: every problem of every manifest, in one go.

use super::Exit;
use super::input::{InputError, Manifests, count, fail, print};

/// Check manifests and print every problem with its place
///
/// The check is the same one that the operator and a starting pipeline make: what passes here is accepted there. Each
/// problem is a line `file:line:column: field: what is wrong`.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
#[command(after_help = "Examples:
  weir lint pipeline.yaml
  weir lint pipelines/*.yaml windows.yaml
  kustomize build . | weir lint -

Exit codes: 0 no problem, 2 a file cannot be read, 78 there are problems.")]
pub struct Args {
    #[command(flatten)]
    manifests: Manifests,
}

pub fn run(args: &Args) -> Exit {
    let texts = match args.manifests.read() {
        Ok(texts) => texts,
        Err(error) => return fail(&error),
    };
    match texts.load() {
        Ok(loaded) => {
            let pipelines = count(loaded.pipelines.len() as u64, "pipeline");
            eprintln!("{pipelines} in {}, no problem", count(texts.len() as u64, "file"));
            Exit::Done
        }
        Err(InputError::Problems(problems)) => {
            let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
            if print(&(lines.join("\n") + "\n")) == Exit::Failed {
                return Exit::Failed;
            }
            eprintln!("{} in {}", count(problems.len() as u64, "problem"), count(texts.len() as u64, "file"));
            Exit::Configuration
        }
        Err(error) => fail(&error),
    }
}
