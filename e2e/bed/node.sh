# shellcheck shell=bash
# This machine as the cluster's one node: containerd, kubelet, kube-proxy, each with state of its own, so
# that a container runtime of the machine is neither used nor disturbed.

# fill <template> <result>: the values that the templates in cluster/ name.
fill() {
  sed -e "s|@RUN@|$RUN|g" -e "s|@PKI@|$PKI|g" -e "s|@SOCKETS@|$SOCKETS|g" -e "s|@SOCKET@|$CONTAINERD_SOCKET|g" \
    -e "s|@PAUSE@|$PAUSE_IMAGE|g" -e "s|@SNAPSHOTTER@|$(snapshotter)|g" -e "s|@NO_APPARMOR@|$(no_apparmor)|g" \
    -e "s|@CNI_PLUGINS@|$CNI_PLUGINS|g" -e "s|@CNI_NETWORK@|$CNI_NETWORK|g" -e "s|@BRIDGE@|$BRIDGE|g" \
    -e "s|@BRIDGE_ADDRESS@|$BRIDGE_ADDRESS|g" -e "s|@NET_PREFIX@|$NET_PREFIX|g" \
    "$BED_DIR/cluster/$1" >"$2"
}

# An overlay cannot lie on an overlay, which is what the root of a container is.
snapshotter() {
  if [[ $(stat --file-system --format %T "$RUN") == overlay* ]]; then echo native; else echo overlayfs; fi
}

# With AppArmor in the kernel but its parser not installed, no profile can be loaded.
no_apparmor() { if have apparmor_parser; then echo false; else echo true; fi; }

start_container_runtime() {
  mkdir -p "$RUN/containerd" "$RUN/cni/net.d" "$SOCKETS"
  fill cni.conflist.in "$RUN/cni/net.d/10-weir-bed.conflist"
  fill containerd.toml.in "$RUN/containerd.toml"
  spawn containerd containerd --config "$RUN/containerd.toml"
  wait_for containerd ctr_bed version
  import_pause
}

ctr_bed() { ctr --address "$CONTAINERD_SOCKET" --namespace k8s.io "$@"; }

import_pause() {
  ctr_bed images list --quiet | grep -qx "$PAUSE_IMAGE" && return 0
  "$BED_DIR/image" --name "$PAUSE_IMAGE" --binary "$(go_dir own)/pause" --out "$RUN/pause.tar"
  ctr_bed images import "$RUN/pause.tar"
}

start_node() {
  mkdir -p "$RUN/kubelet"
  make_cgroup
  fill kubelet.yaml.in "$RUN/kubelet.yaml"
  spawn kubelet "$(go_dir kubernetes)/kubelet" --config "$RUN/kubelet.yaml" --root-dir "$RUN/kubelet" \
    --kubeconfig "$PKI/kubelet.kubeconfig" --cert-dir "$PKI" \
    --hostname-override "$NODE" --node-ip "$BRIDGE_ADDRESS"
  start_kube_proxy
}

start_kube_proxy() {
  local masquerade=()
  bridge_is_filtered || masquerade=(--masquerade-all)
  spawn kube-proxy "$(go_dir kubernetes)/kube-proxy" --kubeconfig "$PKI/proxy.kubeconfig" \
    --proxy-mode nftables --hostname-override "$NODE" --conntrack-max-per-core 0 "${masquerade[@]}"
}

# All pods live below one cgroup of the bed's: whatever is in it at the end is ours to kill.
readonly CGROUPS=/sys/fs/cgroup
readonly CGROUP=weir-bed

make_cgroup() {
  local controller hierarchy
  if [[ -e $CGROUPS/cgroup.controllers ]]; then
    for controller in $(cat "$CGROUPS/cgroup.controllers"); do
      echo "+$controller" >"$CGROUPS/cgroup.subtree_control" || echo "cannot delegate $controller"
    done
    mkdir -p "$CGROUPS/$CGROUP"
    return 0
  fi
  for hierarchy in "$CGROUPS"/*/; do
    [[ -e $hierarchy/tasks ]] || continue
    mkdir -p "$hierarchy/$CGROUP"
    # A new cpuset is empty, and nothing can run in it.
    [[ -e $hierarchy/$CGROUP/cpuset.cpus ]] || continue
    cat "$hierarchy/cpuset.cpus" >"$hierarchy/$CGROUP/cpuset.cpus"
    cat "$hierarchy/cpuset.mems" >"$hierarchy/$CGROUP/cpuset.mems"
  done
}

node_is_ready() {
  local state
  state=$(kubectl_admin get node "$NODE" \
    --output jsonpath='{.status.conditions[?(@.type=="Ready")].status}/{.spec.taints}') || return 1
  [[ $state == True/ ]]
}

node_ready() {
  wait_for kubelet node_is_ready
  running kube-proxy >/dev/null
}

stop_node() {
  local name
  for name in kubelet kube-proxy; do signal "$name" KILL || true; done
  for name in kubelet kube-proxy; do stop "$name"; done
  kill_pods
  stop containerd
  remove_mounts
  remove_cgroup
}

# The processes of all pods, then what watched over them.
kill_pods() {
  local pid
  for pid in $(find "$CGROUPS" -path "*/$CGROUP/*" -name cgroup.procs -exec cat {} + 2>/dev/null | sort -u) $(shims); do
    kill -s KILL "$pid" 2>/dev/null || true
  done
  until_true /dev/null no_shims
  remove_pod_networks
}

shims() {
  local file
  for file in /proc/[0-9]*/cmdline; do
    if tr '\0' ' ' 2>/dev/null <"$file" | grep -q "^[^ ]*containerd-shim.* -address $CONTAINERD_SOCKET"; then
      file=${file#/proc/}
      echo "${file%/cmdline}"
    fi
  done
}

no_shims() { [[ -z $(shims) ]]; }

# The library that runs the plugins remembers each pod's network namespace in a file.
remove_pod_networks() {
  local results=/var/lib/cni/results result namespace container
  for result in "$results/$CNI_NETWORK"-*; do
    [[ -e $result ]] || continue
    namespace=$(grep -o 'netns/cni-[0-9a-f-]*' "$result" | head -n 1) || true
    if [[ -n $namespace ]]; then ip netns delete "${namespace#netns/}" 2>/dev/null || true; fi
    container=${result#"$results/$CNI_NETWORK-"}
    rm -f "$result" "$results/cni-loopback-${container%-*}-lo"
  done
  # Links that the kubelet keeps for log collectors, whose targets go with the bed.
  find /var/log/containers -type l -lname "$RUN/*" -delete 2>/dev/null || true
}

remove_mounts() {
  local place
  awk '{ print $2 }' /proc/self/mounts | { grep -e "^$RUN/" -e "^$SOCKETS/" || true; } | sort --reverse |
    while read -r place; do umount "$place" || umount --lazy "$place"; done
}

remove_cgroup() {
  find "$CGROUPS" -depth -type d -path "*/$CGROUP*" -exec rmdir {} + 2>/dev/null || true
}
