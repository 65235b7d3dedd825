# shellcheck shell=bash
# Names of services and pods: CoreDNS as a process of this machine, at the address of the bridge.

start_dns() {
  cat >"$RUN/Corefile" <<TEXT
.:53 {
  bind $BRIDGE_ADDRESS
  errors
  kubernetes cluster.local in-addr.arpa {
    kubeconfig $PKI/dns.kubeconfig
  }
  forward . /etc/resolv.conf
}
TEXT
  spawn dns "$(go_dir dns)/dns" -conf "$RUN/Corefile"
}

dns_ready() { wait_for dns port_open "$BRIDGE_ADDRESS:53"; }

stop_dns() { stop dns 1; }
