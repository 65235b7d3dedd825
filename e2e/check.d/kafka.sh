# shellcheck shell=bash
# Phases that need a real broker: the one named by KAFKA, else the bed's.

# Sets KAFKA: what the caller gave, else the bed's broker, which is started.
kafka_is_up() {
  [ -n "${KAFKA:-}" ] && return 0
  phase 'bed: kafka' 15m e2e/bed/bed up kafka
  eval "$(e2e/bed/bed env)"
}

# The door to the log does on Kafka what it does in memory, also when the network fails; and the program takes bad records,
# missing topics and brokers that are down as docs/reference/bad-input.md says; every way to log in works with the rights
# that `weir topics` prints, and what is refused is told. Needs the programs to be built.
check_kafka() {
  kafka_is_up
  local tests=(--test conformance_kafka --test kafka_faults --test bad_input_kafka --test stalled_sink)
  # A broker that somebody else runs may have no other listeners; that of the bed has.
  if [ -n "${KAFKA_PKI:-}" ]; then
    tests+=(--test kafka_security)
  else
    echo 'no KAFKA_PKI: the listeners with TLS and logins are those of the bed, and are not tested' >&2
  fi
  # They wait more than they work.
  phase 'kafka: conformance, bad input, security' 15m env KAFKA="$KAFKA" RUST_TEST_THREADS=8 cargo test --profile ci --locked --workspace \
    --features connect/kafka-tests,e2e/kafka-tests "${tests[@]}"
}

# stalled_sink SECONDS: how much memory a worker takes while its sink takes nothing, with more input than it can hold.
stalled_sink() {
  KAFKA=$KAFKA STALL_SECONDS=$1 cargo test --profile ci --locked --workspace \
    --features connect/kafka-tests,e2e/kafka-tests --test stalled_sink -- --nocapture
}
