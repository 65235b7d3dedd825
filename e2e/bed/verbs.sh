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
  if [[ $parts == *cluster* ]]; then begin_cluster; fi
  # A broker that runs already gets its listener for pods.
  if [[ $parts == *kafka* ]] || running kafka >/dev/null; then phase "kafka start" "$DEADLINE_START" start_kafka; fi
  if [[ $parts == *cluster* ]]; then await_cluster; fi
  if running kafka >/dev/null; then phase "kafka ready" "$DEADLINE_READY" kafka_ready; fi
}

# Everything that takes a while is started first and waited for afterwards.
begin_cluster() {
  phase "network" "$DEADLINE_START" start_network
  phase "certificates" "$DEADLINE_START" make_certificates
  phase "control plane start" "$DEADLINE_START" start_control_plane
  phase "container runtime" "$DEADLINE_START" start_container_runtime
}

await_cluster() {
  phase "control plane ready" "$DEADLINE_READY" control_plane_ready
  phase "dns start" "$DEADLINE_START" start_dns
  phase "node start" "$DEADLINE_START" start_node
  phase "node ready" "$DEADLINE_READY" node_ready
  phase "dns ready" "$DEADLINE_READY" dns_ready
}

# The state goes with the processes: the next `up` begins from nothing. Logs stay.
verb_down() {
  local parts
  parts=$(parse_parts "$@") || exit
  exclusively
  if [[ $parts == *kafka* ]]; then down_kafka; fi
  if [[ $parts == *cluster* ]] && bridge_exists; then down_cluster; fi
}

down_kafka() {
  phase "kafka stop" "$DEADLINE_STOP" stop kafka "$((DEADLINE_STOP / 2))"
  rm -rf "$RUN/kafka"
}

down_cluster() {
  is_root || lacking "the cluster of the bed needs root to be stopped" "run this as root"
  phase "node stop" "$DEADLINE_STOP" stop_node
  phase "dns stop" "$DEADLINE_STOP" stop_dns
  phase "control plane stop" "$DEADLINE_STOP" stop_control_plane
  phase "network stop" "$DEADLINE_STOP" stop_network
  rm -rf "$SOCKETS" "$RUN"/{containerd,kubelet,etcd,cni,pki,pod-logs,kubeconfig,Corefile,*.yaml,*.toml,*.tar}
}

readonly CLUSTER_PROCESSES="etcd kube-apiserver kube-controller-manager kube-scheduler containerd kubelet kube-proxy dns"

verb_status() {
  local name pid all=0
  for name in kafka $CLUSTER_PROCESSES; do
    if pid=$(running "$name"); then
      printf '%-24s running   pid %s\n' "$name" "$pid"
    else
      printf '%-24s stopped\n' "$name"
      all=$EXIT_NOT_RUNNING
    fi
  done
  return "$all"
}

# Only what runs is named; nothing is said of a part that does not.
verb_env() {
  local cluster='' kafka=''
  if running kube-apiserver >/dev/null; then cluster=yes; fi
  if running kafka >/dev/null; then kafka=yes; fi
  if [[ -z $cluster$kafka ]]; then
    say "nothing runs; start it with: $BED up"
    exit "$EXIT_NOT_RUNNING"
  fi
  if [[ -n $kafka ]]; then
    printf 'export KAFKA=%q KAFKA_TLS=%q KAFKA_MTLS=%q KAFKA_SASL=%q KAFKA_PKI=%q\n' \
      "$KAFKA_LOCAL" "$KAFKA_TLS" "$KAFKA_MTLS" "$KAFKA_SASL" "$KAFKA_PKI"
  fi
  if [[ -n $cluster ]]; then
    printf 'export KUBECONFIG=%q\n' "$ADMIN_KUBECONFIG"
    printf 'export PATH=%q:%q:$PATH\n' "$(go_dir kubernetes)" "$(go_dir helm)"
    if [[ -n $kafka ]]; then
      printf 'export KAFKA_IN_CLUSTER=%q KAFKA_SASL_IN_CLUSTER=%q\n' "$KAFKA_FOR_PODS" "$KAFKA_SASL_FOR_PODS"
    fi
    if [[ -e $AUDIT_LOG ]]; then printf 'export AUDIT_LOG=%q\n' "$AUDIT_LOG"; fi
  fi
}

verb_check() {
  exclusively
  running kubelet >/dev/null && running kafka >/dev/null || fail "not all runs; start it with: $BED up"
  phase "check" "$DEADLINE_READY" check
  tail -n 4 "$LOGS/phase-check.log"
}

verb_load_image() {
  [[ $# -ge 1 ]] || fail "which archive?"
  running containerd >/dev/null || fail "no cluster runs; start it with: $BED up cluster"
  local archive
  for archive in "$@"; do
    [[ -r $archive ]] || fail "cannot read $archive"
    phase "load $(basename "$archive" .tar)" "$DEADLINE_START" load_image "$(realpath "$archive")"
  done
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
    stop | restart) phase "kafka stop" "$DEADLINE_STOP" stop kafka "$((DEADLINE_STOP / 2))" ;;
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

verb_apiserver() {
  case ${1:-} in
    stop | start) ;;
    *)
      usage >&2
      exit "$EXIT_USAGE"
      ;;
  esac
  exclusively
  bridge_exists || fail "no cluster runs; start it with: $BED up cluster"
  case $1 in
    stop) phase "api server stop" "$DEADLINE_STOP" stop_apiserver ;;
    start) phase "api server start" "$DEADLINE_READY" start_apiserver_again ;;
  esac
}

verb_topics() {
  local act=${1:-}
  [[ $# -gt 0 ]] && shift
  case $act in
    create | renew | delete) [[ $# -gt 0 ]] || fail "which topics?" ;;
    list | describe) ;;
    *)
      usage >&2
      exit "$EXIT_USAGE"
      ;;
  esac
  kafka_tools_ready
  case $act in
    create) topics_create "$@" ;;
    renew) topics_delete "${@%:*}" && topics_create "$@" ;;
    delete) topics_delete "$@" ;;
    list) kafka_tool org.apache.kafka.tools.TopicCommand --list ;;
    describe) kafka_tool org.apache.kafka.tools.TopicCommand --describe ${1:+--topic "$1"} ;;
  esac
}

verb_user() {
  [[ $# -eq 2 ]] || fail "which name and password?"
  kafka_tools_ready
  kafka_user "$@"
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

# The store is built when it is missing; its path is all that is printed.
verb_s3_server() {
  exclusively
  build_s3
  printf '%s\n' "$(go_dir s3)/versitygw"
}

# The tools need no broker of ours: KAFKA may name any.
kafka_tools_ready() {
  require_java
  build_kafka
}
