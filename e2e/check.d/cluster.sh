# shellcheck shell=bash
# Phases that need a cluster: the one that KUBECONFIG names, else the bed's; and a Kafka that its pods reach.

cluster_is_up() {
  if [ -z "${KUBECONFIG:-}" ]; then phase 'bed: cluster' 30m e2e/bed/bed up; fi
  eval "$(e2e/bed/bed env)"
}

check_cluster() {
  cluster_is_up
  phase 'images' 45m e2e/bed/images
  phase 'chart' 5m with_helm chart_is_good
  phase 'cluster: definitions' 5m e2e/cluster/definitions
  phase 'cluster: install' 5m e2e/cluster/install
  phase 'cluster: samples' 10m e2e/cluster/samples "$(program weir)"
  phase 'cluster: pipeline' 15m e2e/cluster/pipeline
  phase 'audit: pods' 10m "$(program audit)" --pods --kafka "$KAFKA" --kafka-in-cluster "$KAFKA_IN_CLUSTER" \
    --rate 1000 --seconds 60 --kills 2 --open-kills 1 --restore-kills 0 --force-deletes 3
}
