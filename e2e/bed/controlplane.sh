# shellcheck shell=bash
# etcd, API server, controller manager, scheduler: started together, for each waits for those it needs.

start_control_plane() {
  start_etcd
  start_apiserver
  start_controller_manager
  start_scheduler
}

# The data is gone with the bed, so nothing is worth an fsync.
start_etcd() {
  spawn etcd "$(go_dir etcd)/etcd" --name weir-bed --data-dir "$RUN/etcd" --unsafe-no-fsync --log-level warn \
    --listen-client-urls "http://$ETCD_CLIENT" --advertise-client-urls "http://$ETCD_CLIENT" \
    --listen-peer-urls "http://$ETCD_PEER" --initial-advertise-peer-urls "http://$ETCD_PEER" \
    --initial-cluster "weir-bed=http://$ETCD_PEER"
}

# Node names do not resolve, hence the address type; webhooks are called at pod addresses, hence the routing.
start_apiserver() {
  spawn kube-apiserver "$(go_dir kubernetes)/kube-apiserver" \
    --bind-address "$BRIDGE_ADDRESS" --advertise-address "$BRIDGE_ADDRESS" --secure-port "${APISERVER##*:}" \
    --etcd-servers "http://$ETCD_CLIENT" --service-cluster-ip-range "$SERVICE_RANGE" \
    --tls-cert-file "$PKI/apiserver.crt" --tls-private-key-file "$PKI/apiserver.key" \
    --client-ca-file "$PKI/authority.crt" --cert-dir "$PKI" \
    --service-account-issuer https://kubernetes.default.svc.cluster.local \
    --service-account-key-file "$PKI/service-accounts.pub" \
    --service-account-signing-key-file "$PKI/service-accounts.key" \
    --kubelet-client-certificate "$PKI/apiserver-to-kubelet.crt" \
    --kubelet-client-key "$PKI/apiserver-to-kubelet.key" \
    --kubelet-certificate-authority "$PKI/authority.crt" \
    --kubelet-preferred-address-types InternalIP --enable-aggregator-routing \
    --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction \
    --enable-bootstrap-token-auth=false --profiling=false \
    "${AUDIT_FLAGS[@]}"
}

# Who did what, in files of a bounded size. A path in WEIR_BED_AUDIT names a policy of the caller's own; 0 is none.
AUDIT_FLAGS=()
case ${WEIR_BED_AUDIT:-1} in
  0) ;;
  1) AUDIT_POLICY=$BED_DIR/cluster/audit-policy.yaml ;;
  *) AUDIT_POLICY=$WEIR_BED_AUDIT ;;
esac
if [[ -n ${AUDIT_POLICY:-} ]]; then
  AUDIT_FLAGS=(--audit-policy-file "$AUDIT_POLICY" --audit-log-path "$AUDIT_LOG"
    --audit-log-maxsize 100 --audit-log-maxbackup 3)
fi

start_controller_manager() {
  spawn kube-controller-manager "$(go_dir kubernetes)/kube-controller-manager" \
    --kubeconfig "$PKI/controller-manager.kubeconfig" --leader-elect=false \
    --use-service-account-credentials --service-account-private-key-file "$PKI/service-accounts.key" \
    --root-ca-file "$PKI/authority.crt" --cert-dir "$PKI" --profiling=false
}

start_scheduler() {
  spawn kube-scheduler "$(go_dir kubernetes)/kube-scheduler" \
    --kubeconfig "$PKI/scheduler.kubeconfig" --leader-elect=false --profiling=false
}

kubectl_admin() { "$(go_dir kubernetes)/kubectl" --kubeconfig "$ADMIN_KUBECONFIG" "$@"; }

# Ready: the API server answers, and the controller manager has made what every pod needs.
control_plane_ready() {
  wait_for kube-apiserver kubectl_admin get --raw /readyz
  wait_for kube-controller-manager kubectl_admin get serviceaccount default --namespace default
  running kube-scheduler >/dev/null
}

# Kills the API server alone, as if it were away: one that ends in order tells everybody not to ask it any more. The rest
# goes on and waits for it.
stop_apiserver() {
  signal kube-apiserver KILL
  stop kube-apiserver
}

start_apiserver_again() {
  start_apiserver
  wait_for kube-apiserver kubectl_admin get --raw /readyz
}

stop_control_plane() {
  local name
  for name in kube-scheduler kube-controller-manager kube-apiserver etcd; do signal "$name" KILL || true; done
  for name in kube-scheduler kube-controller-manager kube-apiserver etcd; do stop "$name"; done
}
