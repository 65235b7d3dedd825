# shellcheck shell=bash
# What each name on the command line runs.

check_test() {
  phase 'rust: needs' 5m bash -c "$(declare -f needs_of_rust); needs_of_rust"
  phase 'rust: format' 1m cargo fmt --all --check
  phase 'rust: build' 30m cargo test --profile ci --workspace --locked --no-run
  phase 'rust: tests' 10m cargo test --profile ci --workspace --locked
}
