# shellcheck shell=bash
# What the machine itself must offer: programs on the PATH, installed from Debian when that is possible.

is_root() { [[ $EUID -eq 0 ]]; }

have() { command -v "$1" >/dev/null 2>&1; }

# require <purpose> <program or its path>:<Debian package>...
# Installs the packages of missing programs when root on a Debian; says what to do otherwise.
require() {
  local purpose=$1 pair packages=() programs=()
  shift
  for pair in "$@"; do
    have "${pair%%:*}" && continue
    programs+=("${pair%%:*}")
    packages+=("${pair##*:}")
  done
  ((${#packages[@]} == 0)) && return 0
  if ! is_root || ! have apt-get; then
    lacking "$purpose needs ${programs[*]}, not found on this machine" \
      "install them (on Debian, as root: apt-get install ${packages[*]}), or run the bed as root there"
  fi
  phase "packages" "$DEADLINE_PACKAGES" install_packages "${packages[@]}"
  for pair in "$@"; do
    have "${pair%%:*}" || fail "package ${pair##*:} is installed, yet ${pair%%:*} is not on the PATH"
  done
}

install_packages() {
  export DEBIAN_FRONTEND=noninteractive
  apt-get update
  apt-get install --yes --no-install-recommends "$@"
}

require_java() {
  require Kafka java:default-jre-headless openssl:openssl
  local version
  version=$(java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p')
  ((${version:-0} >= 17)) || lacking "Kafka needs Java 17, this machine has ${version:-an unknown version}" \
    "install a Java of at least version 17"
}

# Go comes from no Debian package here: theirs is older than what the modules ask for.
require_go() {
  have go || lacking "building $1 needs Go, which is not on the PATH" "install Go 1.26 or newer, then run this again"
}

# The cluster moves interfaces, mounts and cgroups.
require_cluster() {
  is_root || lacking "the cluster of the bed needs root" \
    "run it as root, or use a cluster of yours: export KUBECONFIG=... KAFKA=host:port"
  ((${#RUN} <= 70)) || lacking "the path $RUN is too long for the sockets below it" \
    "name a shorter cache folder: export WEIR_CACHE=..."
  require "the cluster" \
    containerd:containerd runc:runc nft:nftables ip:iproute2 openssl:openssl \
    "$CNI_PLUGINS/bridge:containernetworking-plugins"
}
