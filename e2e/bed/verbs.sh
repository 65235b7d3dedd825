# shellcheck shell=bash
# What each verb of the command line does, in terms of the other files.

# parts_of <kafka|cluster|all|nothing>: refuses any other word.
parts_of() {
  case ${1:-all} in
    all) echo kafka cluster ;;
    kafka | cluster) echo "$1" ;;
    *) return 1 ;;
  esac
}

parse_parts() {
  if (($# > 1)) || ! parts_of "$@" >/dev/null; then
    usage >&2
    exit "$EXIT_USAGE"
  fi
  parts_of "$@"
}

verb_build() {
  local parts
  parts=$(parse_parts "$@") || exit
  exclusively
  build_parts "$parts"
}

build_parts() {
  if [[ $1 == *kafka* ]]; then build_kafka; fi
  if [[ $1 == *cluster* ]]; then build_cluster; fi
}

verb_up() {
  local parts
  parts=$(parse_parts "$@") || exit
  exclusively
  if [[ $parts == *cluster* ]]; then require_cluster; fi
  if [[ $parts == *kafka* ]]; then require_java; fi
  build_parts "$parts"
  if [[ $parts == *kafka* ]]; then phase "kafka" "$DEADLINE_START" start_kafka_whole; fi
}

verb_down() {
  exclusively
  phase "kafka stop" "$DEADLINE_STOP" stop kafka
  rm -rf "$RUN/kafka"
}

verb_status() {
  local name pid all=0
  for name in kafka; do
    if pid=$(running "$name"); then
      printf '%-24s running   pid %s\n' "$name" "$pid"
    else
      printf '%-24s stopped\n' "$name"
      all=$EXIT_NOT_RUNNING
    fi
  done
  return "$all"
}

verb_env() {
  running kafka >/dev/null || { say "nothing runs; start it with: $BED up" && exit "$EXIT_NOT_RUNNING"; }
  printf 'export KAFKA=%s\n' "$KAFKA_LOCAL"
}

verb_kafka() {
  case ${1:-} in
    start | stop | restart | kill | pause | resume) ;;
    *)
      usage >&2
      exit "$EXIT_USAGE"
      ;;
  esac
  exclusively
  case $1 in
    stop | restart) phase "kafka stop" "$DEADLINE_STOP" stop kafka "$DEADLINE_STOP" ;;
    kill) phase "kafka kill" "$DEADLINE_STOP" kill_kafka ;;
    pause) signal kafka STOP || fail "kafka does not run" ;;
    resume) signal kafka CONT || fail "kafka does not run" ;;
  esac
  case $1 in
    start | restart)
      require_java
      build_kafka
      phase "kafka" "$DEADLINE_START" start_kafka_whole
      ;;
  esac
}

verb_topics() {
  local act=${1:-}
  [[ $# -gt 0 ]] && shift
  case $act in
    create | delete) [[ $# -gt 0 ]] || fail "which topics?" ;;
    list | describe) ;;
    *)
      usage >&2
      exit "$EXIT_USAGE"
      ;;
  esac
  kafka_tools_ready
  case $act in
    create) topics_create "$@" ;;
    delete) topics_delete "$@" ;;
    list) kafka_tool org.apache.kafka.tools.TopicCommand --list ;;
    describe) kafka_tool org.apache.kafka.tools.TopicCommand --describe ${1:+--topic "$1"} ;;
  esac
}

verb_produce() {
  [[ $# -ge 1 ]] || fail "which topic?"
  kafka_tools_ready
  produce "$@"
}

verb_consume() {
  [[ $# -ge 1 ]] || fail "which topic?"
  kafka_tools_ready
  consume "$@"
}

# The tools need no broker of ours: KAFKA may name any.
kafka_tools_ready() {
  require_java
  build_kafka
}
