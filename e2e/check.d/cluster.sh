# shellcheck shell=bash
# Phases that need a cluster: the one that KUBECONFIG names, else the bed's; and a Kafka that its pods reach.

# Sets KUBECONFIG, KAFKA and KAFKA_IN_CLUSTER: what the caller gave, else the bed's, which is started.
bed_is_ours=
cluster_is_up() {
  if [ -n "${KUBECONFIG:-}" ]; then
    : "${KAFKA:?is not set although KUBECONFIG is}"
    KAFKA_IN_CLUSTER=${KAFKA_IN_CLUSTER:-$KAFKA}
    export KAFKA KAFKA_IN_CLUSTER
    return 0
  fi
  e2e/bed/bed status >/dev/null || bed_is_ours=yes
  phase 'bed' 50m e2e/bed/bed up
  eval "$(e2e/bed/bed env)"
}

# What this run has started ends with it; a bed that ran before stays.
bed_is_down() {
  [ -z "$bed_is_ours" ] || phase 'bed: down' 3m e2e/bed/bed down
}

check_cluster() {
  phase 'chart' 5m with_helm chart_is_good
  phase 'alerts' 30m rules_are_good
  phase 'cluster: definitions' 5m e2e/cluster/definitions
  phase 'cluster: demo' 10m e2e/demo up
  phase 'cluster: helm test' 2m helm test weir --namespace weir-system
  phase 'cluster: samples' 10m e2e/cluster/samples "$(program weir)"
  phase 'cluster: bad input' 10m e2e/cluster/bad-input
  phase 'cluster: broken objects' 10m e2e/cluster/broken
  phase 'cluster: life of a pipeline' 15m e2e/cluster/pipeline "$(program kubectl-weir)"
  phase 'cluster: scaling' 15m e2e/cluster/scaling
  if on_the_bed; then
    phase 'cluster: savepoints' 10m e2e/cluster/savepoint
    phase 'cluster: two operators' 10m e2e/cluster/operator
  fi
  phase 'audit: pods' 10m "$(program audit)" --pods --kafka "$KAFKA" --kafka-in-cluster "$KAFKA_IN_CLUSTER" \
    --keys 10000 --rate 1000 --seconds 100 --kills 2 --open-kills 1 --restore-kills 0 --force-deletes 1 --rescales 1 \
    --upgrades 3 --operator-kills 1 --refusals 3 --rollbacks 1
  if on_the_bed; then
    phase 'cluster: rights' 10m e2e/cluster/rbac
  fi
  phase 'cluster: uninstall' 10m e2e/cluster/uninstall
  phase 'cluster: demo down' 5m e2e/demo down
}

# What the operator needs and how fast it is, on the bed; installed anew.
acceptance_cluster() {
  phase 'cluster: install' 5m e2e/cluster/install
  phase 'cluster: broken objects' 10m e2e/cluster/broken --limits
  phase 'cluster: two operators' 10m e2e/cluster/operator --limits
  phase 'audit: upgrades, rescales, rollbacks' 25m "$(program audit)" --pods --kafka "$KAFKA" --kafka-in-cluster "$KAFKA_IN_CLUSTER" \
    --keys 1000000 --rate 1000 --seconds 720 --kills 6 --open-kills 2 --restore-kills 2 --force-deletes 2 --rescales 10 \
    --upgrades 20 --operator-kills 10 --rollbacks 5
  phase 'audit: TLS, SCRAM, rotation' 15m e2e/cluster/secure-audit "$(program audit)"
  phase 'cluster: many pipelines' 75m e2e/cluster/scale
  phase 'cluster: uninstall' 10m e2e/cluster/uninstall
}

# The API server of somebody else is not stopped, and who did what there is not known.
on_the_bed() {
  [ -n "${AUDIT_LOG:-}" ]
}
