# shellcheck shell=bash
# How the bed speaks, waits and fails: phases with a name, a duration and a deadline.

say() { printf 'bed: %s\n' "$*" >&2; }

fail() {
  say "$*"
  exit 1
}

# lacking <what is missing> <what to do>: this machine cannot do it as it is; a caller may offer another way.
lacking() {
  say "$1"
  say "what to do: $2"
  exit "$EXIT_CONFIGURATION"
}

milliseconds() { printf '%s' "$((${EPOCHREALTIME/[.,]/} / 1000))"; }

# phase <name> <deadline in seconds> <function> [argument]...
# Runs the function in a process of its own, with its output in a log, and prints how long it took.
phase() {
  local name=$1 deadline=$2 started code=0
  shift 2
  local log=$LOGS/phase-${name// /-}.log
  mkdir -p "$LOGS"
  started=$(milliseconds)
  timeout --kill-after=5 "$deadline" "$BED" _step "$@" >"$log" 2>&1 9>&- &
  local step=$!
  # timeout is the leader of a group of its own, which a Ctrl-C does not reach.
  trap 'kill "$step" 2>/dev/null; exit 130' INT TERM
  wait "$step" || code=$?
  trap - INT TERM
  local took=$(($(milliseconds) - started))
  if ((code == 0)); then
    printf 'bed: %-22s %4d.%01d s\n' "$name" $((took / 1000)) $((took % 1000 / 100)) >&2
    return 0
  fi
  phase_failed "$name" "$deadline" "$code" "$log"
}

phase_failed() {
  local name=$1 deadline=$2 code=$3 log=$4
  if ((code == EXIT_CONFIGURATION)); then
    tail -n 5 "$log" >&2
    exit "$code"
  fi
  if ((code == 124 || code == 137)); then
    say "$name: not done within $deadline s"
  else
    say "$name: failed with exit code $code"
  fi
  say "the end of $log:"
  tail -n 25 "$log" >&2
  exit 1
}

# until_true <log to show on a timeout> <command> [argument]...
# The phase around it holds the deadline. The pause only keeps the question from eating a core.
until_true() {
  local log=$1
  shift
  # shellcheck disable=SC2064 # the log's name as it is now
  trap "tail -n 20 '$log'; echo 'all of it: $log'; exit 124" TERM
  until "$@" >/dev/null 2>&1; do sleep 0.1; done
  trap - TERM
}

# One change at a time, whoever asks.
exclusively() {
  mkdir -p "$RUN"
  exec 9>"$RUN/lock"
  flock --nonblock 9 && return 0
  say "waiting for another bed command to end"
  flock --timeout "$DEADLINE_BUILD" 9 || fail "another bed command holds $RUN/lock"
}
