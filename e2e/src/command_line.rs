//! The reference page of the command line: what the programs print when they are asked for help.

use clap::{Command, CommandFactory};
use operator::plugin::Plugin;

const HEAD: &str = "<!-- Generated from the help of the programs by `make generate`; do not edit. -->
# The command line

`weir` is the data plane: on a laptop, beside a Kafka, and in the pods of pipelines. `weir-operator` keeps a cluster.
`kubectl-weir` answers questions about it; on the path of kubectl it is `kubectl weir`.
What stands here is what `weir help COMMAND`, `weir-operator help COMMAND` and `kubectl-weir help COMMAND` print.
";

/// The page as Markdown.
pub fn page() -> String {
    let mut text = HEAD.to_owned();
    for program in [runtime::cli::command(), operator::command::Program::command(), Plugin::command()] {
        let mut program = hidden(program);
        program.build();
        text.push_str(&section(&mut program));
        program.get_subcommands_mut().filter(|command| command.get_name() != "help").for_each(|command| {
            text.push_str(&section(command));
        });
    }
    text
}

/// Names of variables are part of the page, what they hold on this machine is not.
fn hidden(command: Command) -> Command {
    let command = command.mut_args(|argument| argument.hide_env_values(true));
    command.mut_subcommands(hidden)
}

fn section(command: &mut Command) -> String {
    let name = command.get_bin_name().unwrap_or(command.get_name()).to_owned();
    let help = command.render_long_help().to_string();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    format!("\n## {name}\n\n```text\n{}\n```\n", lines.join("\n").trim())
}
