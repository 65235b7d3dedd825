# shellcheck shell=bash
# Phases that need the Rust toolchain only.

check_lint() {
  phase 'rust: needs' 5m needs_of_rust
  static_libraries
  phase 'rust: format' 1m cargo fmt --all --check
  phase 'rust: licences' 30m cargo_deny
  # With the tests that need servers: they are compiled here, long before one of them is there.
  phase 'rust: clippy' 20m cargo clippy --profile ci --workspace --all-targets --locked \
    --features connect/s3-tests,runtime/s3-tests,connect/kafka-tests,e2e/kafka-tests -- -D warnings
}

check_bench() {
  phase 'bench: engine' 30m cargo bench --locked -p pipeline --bench engine
  phase 'bench: decode' 20m cargo bench --locked -p pipeline --bench decode
  phase 'bench: expression' 20m cargo bench --locked -p pipeline --bench expression
  phase 'bench: snapshot' 20m cargo bench --locked -p pipeline --bench snapshot
}

# Licences, banned crates and sources; the tool is built once, into the cache.
cargo_deny() {
  local tools=$WEIR_CACHE/tools
  [ -x "$tools/bin/cargo-deny" ] || env -u RUSTC_WORKSPACE_WRAPPER CARGO_TARGET_DIR="$tools/target" \
    cargo install --quiet --locked cargo-deny --root "$tools"
  "$tools/bin/cargo-deny" check licenses bans sources
}
