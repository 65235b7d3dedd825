# shellcheck shell=bash
# Long-running processes, known by recorded pid and start time, so that a reused pid is never signalled.

started_at() {
  local stat
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  # The name in field 2 may hold spaces and parentheses; field 22 counts from the last parenthesis.
  stat=${stat##*) }
  local fields
  read -ra fields <<<"$stat"
  # A zombie has ended; whoever inherited it may be slow to notice.
  [[ ${fields[0]} != Z ]] || return 1
  printf '%s' "${fields[19]}"
}

# running <name>: prints the pid.
running() {
  local pid start
  { read -r pid start <"$PIDS/$1"; } 2>/dev/null || return 1
  [[ $(started_at "$pid") == "$start" ]] || return 1
  printf '%s' "$pid"
}

# spawn <name> <program> [argument]...: in a session of its own, output in logs/<name>.log; that of the
# start before is kept beside it.
spawn() {
  local name=$1
  shift
  if running "$name" >/dev/null; then return 0; fi
  mkdir -p "$LOGS" "$PIDS"
  if [[ -e $LOGS/$name.log ]]; then mv "$LOGS/$name.log" "$LOGS/$name.log.previous"; fi
  setsid "$@" >"$LOGS/$name.log" 2>&1 </dev/null 9>&- &
  local pid=$!
  printf '%s %s\n' "$pid" "$(started_at "$pid")" >"$PIDS/$name"
}

# wait_for <name> <command>...: until the command holds; ends at once when the process has died.
wait_for() {
  local name=$1
  shift
  until_true "$LOGS/$name.log" died_or_true "$name" "$@"
  running "$name" >/dev/null && return 0
  tail -n 20 "$LOGS/$name.log"
  echo "$name ended; all of its log: $LOGS/$name.log"
  return 1
}

died_or_true() {
  local name=$1
  shift
  running "$name" >/dev/null || return 0
  "$@"
}

gone() { ! running "$1"; }

signal() {
  local pid
  pid=$(running "$1") || return 1
  kill -s "$2" "$pid"
}

# stop <name> [seconds]: SIGTERM, and SIGKILL when that was not enough.
stop() {
  local name=$1 patience=${2:-10}
  signal "$name" TERM || return 0
  signal "$name" CONT || true
  local end=$((SECONDS + patience))
  until gone "$name" >/dev/null; do
    if ((SECONDS >= end)); then signal "$name" KILL || true; fi
    sleep 0.05
  done
  rm -f "$PIDS/$name"
}

port_open() { (exec 3<>"/dev/tcp/${1%:*}/${1##*:}") 2>/dev/null; }
