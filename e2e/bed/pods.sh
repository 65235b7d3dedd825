# shellcheck shell=bash
# Images into the node, and the bed's own pod that shows that all parts work together.

load_image() {
  local archive
  for archive in "$@"; do ctr_bed images import "$archive"; done
}

check() {
  local archive=$RUN/probe.tar namespace=weir-bed-check
  "$BED_DIR/image" --name "$PROBE_IMAGE" --binary "$(go_dir own)/probe" --out "$archive"
  load_image "$archive"
  kubectl_admin delete namespace "$namespace" --ignore-not-found
  sed -e "s|@IMAGE@|$PROBE_IMAGE|g" -e "s|@KAFKA@|$KAFKA_FOR_PODS|g" "$BED_DIR/cluster/probe.yaml.in" |
    kubectl_admin apply -f -
  kubectl_admin wait --namespace "$namespace" --for=condition=Ready pod/probe --timeout=60s || {
    kubectl_admin describe pod probe --namespace "$namespace"
    kubectl_admin logs probe --namespace "$namespace" || true
    return 1
  }
  kubectl_admin logs probe --namespace "$namespace"
  local service
  service=$(kubectl_admin get service probe --namespace "$namespace" --output jsonpath='{.spec.clusterIP}')
  until_true "$LOGS/kube-proxy.log" port_open "$service:80"
  kubectl_admin delete namespace "$namespace" --wait=false
}
