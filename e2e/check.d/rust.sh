# shellcheck shell=bash
# Phases that need the Rust toolchain only.

# libssl, zlib: librdkafka links the system's; a C compiler builds it.
needs_of_rust() {
  local missing=()
  for header in openssl/ssl.h zlib.h; do
    echo "#include <$header>" | cc -E - >/dev/null 2>&1 || missing+=("$header")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  if [ "$(id -u)" -ne 0 ]; then
    echo "missing: ${missing[*]}; install libssl-dev, zlib1g-dev, pkg-config and a C compiler" >&2
    return 78
  fi
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq libssl-dev zlib1g-dev pkg-config build-essential
}

check_lint() {
  phase 'rust: needs' 5m bash -c "$(declare -f needs_of_rust); needs_of_rust"
  phase 'rust: format' 1m cargo fmt --all --check
  phase 'rust: clippy' 20m cargo clippy --profile ci --workspace --all-targets --locked -- -D warnings
}

check_bench() {
  phase 'bench: decode' 20m cargo bench --locked -p pipeline
}
