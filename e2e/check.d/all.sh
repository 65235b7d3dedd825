# shellcheck shell=bash
# What each name on the command line runs.

check_test() {
  all_checks
  bed_is_down
}

all_checks() {
  check_lint
  phase 'rust: build' 45m cargo test --profile ci --workspace --locked --no-run
  phase 'rust: tests' 15m cargo test --profile ci --workspace --locked
  phase 'programs' 15m build_programs
  phase 'sample against its oracle' 2m e2e/expected/check "$(program weir)"
  model_short
  phase 'simulation: 200 seeds' 5m "$(program simulate)" --seeds 200
  phase 'simulation: no defence' 2m "$(program simulate)" --seeds 3000 --mutants
  check_storage
  cluster_is_up
  check_kafka
  phase 'audit: plain workers' 5m "$(program audit)" --weir "$(program weir)" --kafka "$KAFKA" \
    --rate 1000 --seconds 20 --kills 2 --open-kills 2 --restore-kills 1
  check_cluster
}

check_acceptance() {
  all_checks
  phase 'simulation: 1000 seeds, twice' 30m "$(program simulate)" --seeds 1000 --twice
  phase 'audit: plain workers' 15m "$(program audit)" --weir "$(program weir)" --kafka "$KAFKA" \
    --restart-broker 'e2e/bed/bed kafka restart'
  phase 'sink stalled for 5 minutes' 15m stalled_sink 300
  if on_the_bed; then acceptance_cluster; fi
  bed_is_down
}

check_simulate() {
  phase 'programs' 45m build_programs
  phase 'simulation' 30m "$(program simulate)" --seeds "${SEEDS:-1000}"
}

# The path of a program of ours.
program() {
  echo "$CARGO_TARGET_DIR/ci/$1"
}
