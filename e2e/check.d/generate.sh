# shellcheck shell=bash
# What is generated from the code: the definitions of the kinds, for kubectl and for the chart, and config/install.yaml.

check_generate() {
  phase 'generate: definitions' 30m cargo run --quiet --profile ci --locked --package crds --example generate -- crds charts/weir/files/crds
  phase 'generate: install.yaml' 10m with_helm install_yaml config/install.yaml
}

# The oldest cluster that is supported; helm has to be told, because here is none to ask.
template() {
  helm template weir charts/weir --kube-version 1.33.0 "$@"
}

# install_yaml FILE: everything that `kubectl apply` needs, from the chart.
install_yaml() {
  {
    echo '# Generated from charts/weir by `make generate`; do not edit.'
    echo '# kubectl apply -f config/install.yaml'
    printf 'apiVersion: v1\nkind: Namespace\nmetadata:\n  name: weir-system\n'
    printf '  labels:\n    pod-security.kubernetes.io/enforce: restricted\n'
    template --namespace weir-system --set crds.keep=false --no-hooks |
      grep -v -e 'helm.sh/chart:' -e '^# Source:' |
      sed 's|app.kubernetes.io/managed-by: Helm|app.kubernetes.io/managed-by: kubectl|'
  } >"$1"
}

# The chart and what is made of it: linted, its schema tried, and config/install.yaml as fresh as the chart.
chart_is_good() {
  local fresh
  fresh=$(mktemp)
  helm lint --strict --kube-version 1.33.0 charts/weir
  template --set watchNamespace=shop | grep -q 'kind: RoleBinding'
  template --set replicas=2 | grep -q 'kind: PodDisruptionBudget'
  if template --set image.pullPolicy=Sometimes >/dev/null 2>&1; then
    echo 'the schema of the values takes a word that it does not know' >&2
    return 1
  fi
  if template | grep -A3 'resources:.*secrets'; then
    echo 'the operator must have no right on Secrets' >&2
    return 1
  fi
  install_yaml "$fresh"
  diff "$fresh" config/install.yaml || {
    echo 'config/install.yaml is stale: run `make generate`' >&2
    return 1
  }
}

# with_helm COMMAND…: the helm of the machine, else the one that the bed builds.
with_helm() {
  if ! command -v helm >/dev/null; then
    e2e/bed/bed build cluster
    PATH=$(dirname "$(ls -t "$WEIR_CACHE"/bed/helm-*/helm | head -1)"):$PATH
  fi
  "$@"
}
