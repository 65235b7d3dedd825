# shellcheck shell=bash
# Phases that need a real broker: the one named by KAFKA, else the bed's.

# Sets KAFKA: what the caller gave, else the bed's broker, which is started.
kafka_is_up() {
  [ -n "${KAFKA:-}" ] && return 0
  phase 'bed: kafka' 15m e2e/bed/bed up kafka
  eval "$(e2e/bed/bed env)"
}

# The door to the log does on Kafka what it does in memory, also when the network fails.
check_kafka() {
  kafka_is_up
  phase 'kafka: conformance' 15m env KAFKA="$KAFKA" cargo test --profile ci --locked -p connect \
    --features kafka-tests --test conformance_kafka --test kafka_faults
}
