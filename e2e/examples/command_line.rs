//! Writes the reference page of the command line: `cargo run -p e2e --example command_line > docs/reference/cli.md`

fn main() {
    print!("{}", e2e::command_line::page());
}
