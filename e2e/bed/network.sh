# shellcheck shell=bash
# The bridge that pods hang on. Its address is how pods reach what runs on this machine (the API server,
# Kafka), and the other way round.

bridge_exists() { [[ -d /sys/class/net/$BRIDGE ]]; }

start_network() {
  if ! bridge_exists; then
    if ip -4 route show | grep -q "^${NET_PREFIX//./\\.}\."; then
      echo "another network of this machine uses $NET_PREFIX.0/24; choose a free one: export WEIR_BED_NET=10.x.y"
      return "$EXIT_CONFIGURATION"
    fi
    ip link add "$BRIDGE" type bridge
    ip address add "$BRIDGE_ADDRESS/24" dev "$BRIDGE"
    ip link set "$BRIDGE" up
  fi
  local was=$RUN/ip_forward
  mkdir -p "$RUN"
  [[ -e $was ]] || cat /proc/sys/net/ipv4/ip_forward >"$was"
  echo 1 >/proc/sys/net/ipv4/ip_forward
}

# Two pods on one bridge answer each other past the machine's address translation, unless bridged frames
# pass it too. Where the kernel cannot do that, traffic to services hides its source instead.
bridge_is_filtered() {
  local switch=/proc/sys/net/bridge/bridge-nf-call-iptables
  [[ -e $switch ]] || modprobe br_netfilter 2>/dev/null || return 1
  echo 1 2>/dev/null >"$switch"
}

stop_network() {
  if bridge_exists; then ip link delete "$BRIDGE"; fi
  local table
  for table in "ip kube-proxy" "ip6 kube-proxy"; do
    # shellcheck disable=SC2086 # family and name are two words
    nft delete table $table 2>/dev/null || true
  done
  if [[ -e $RUN/ip_forward ]]; then
    cat "$RUN/ip_forward" >/proc/sys/net/ipv4/ip_forward
    rm "$RUN/ip_forward"
  fi
}
