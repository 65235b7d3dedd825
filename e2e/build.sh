# shellcheck shell=bash
# How everything is built, whoever builds it: sourced by e2e/check, e2e/demo and e2e/bed/images.

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
export WEIR_CACHE="${WEIR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/weir}"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$WEIR_CACHE/target}"
export CARGO_TERM_COLOR=never CARGO_INCREMENTAL="${CARGO_INCREMENTAL:-0}"
export RUSTC_WORKSPACE_WRAPPER=$root/e2e/bed/link-static
mkdir -p "$WEIR_CACHE"

# OpenSSL and zlib go into the binary. Where the machine has OpenSSL as an archive it is taken, else it is compiled,
# which takes minutes.
static_features=()
static_libraries() {
  local archive
  archive=$(cc -print-file-name=libssl.a 2>/dev/null || true)
  if [[ $archive == /* && -e $archive && -e /usr/include/openssl/ssl.h ]]; then
    OPENSSL_LIB_DIR=$(dirname "$(realpath "$archive")")
    export OPENSSL_STATIC=1 OPENSSL_LIB_DIR OPENSSL_INCLUDE_DIR=/usr/include LIBZ_SYS_STATIC=1
  else
    static_features=(--features runtime/static)
  fi
}
static_libraries

# build_programs: all programs of the workspace; those of the images are static.
build_programs() {
  (cd "$root" && cargo build --locked --profile "${WEIR_PROFILE:-ci}" --workspace --bins "${static_features[@]}")
}

# needs_of_rust: a C compiler and make build librdkafka, OpenSSL is the system's. As root on a Debian they are installed.
needs_of_rust() {
  local missing=() tool
  for tool in cc make perl strip; do command -v "$tool" >/dev/null || missing+=("$tool"); done
  echo '#include <openssl/ssl.h>' | cc -E - >/dev/null 2>&1 || missing+=(openssl/ssl.h)
  if ! command -v cargo >/dev/null; then
    echo 'Rust is missing: install Rust 1.95 or newer (rustup), then run this again' >&2
    return 78
  fi
  [[ ${#missing[@]} -eq 0 ]] && return 0
  if [[ $EUID -ne 0 ]] || ! command -v apt-get >/dev/null; then
    echo "missing: ${missing[*]}; install a C compiler, make, perl, binutils and the headers of OpenSSL" >&2
    return 78
  fi
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq libssl-dev pkg-config build-essential perl
  static_libraries
}
