# shellcheck shell=bash
# What is generated: the definitions of the kinds and the reference pages from the code, manifests from the chart.

check_generate() {
  phase 'generate: definitions' 30m cargo run --quiet --profile ci --locked --example generate -- \
    crds charts/weir/files/crds config/crd docs/reference/crds.md
  phase 'generate: command line' 30m command_line docs/reference/cli.md
  phase 'generate: manifests' 10m with_helm manifests .
}

command_line() {
  cargo run --quiet --profile ci --locked --example command_line >"$1"
}

# What `manifests` makes.
readonly MADE_OF_CHART=(config/install.yaml config/default/operator.yaml config/monitoring/monitors.yaml charts/weir/README.md
  charts/weir/files/monitoring)
readonly MONITORING=(--set 'podMonitor.enabled=true,serviceMonitor.enabled=true,prometheusRule.enabled=true'
  --set dashboards.enabled=true)

# The oldest cluster that is supported; helm has to be told, because here is none to ask.
template() {
  helm template weir charts/weir --kube-version 1.33.0 "$@"
}

# manifests FOLDER: everything in MADE_OF_CHART, below a folder that may be the root.
manifests() {
  local to=$1
  mkdir -p "$to"/{config/default,config/monitoring,charts/weir/files}
  rm -rf "$to/charts/weir/files/monitoring"
  mkdir "$to/charts/weir/files/monitoring"
  cp -R config/monitoring/rules.yaml config/monitoring/dashboards "$to/charts/weir/files/monitoring"
  {
    generated 'kubectl apply -f config/install.yaml'
    namespace
    plain --set crds.keep=false
  } >"$to/config/install.yaml"
  {
    generated 'kubectl apply -k config/default'
    namespace
    plain --set crds.enabled=false
  } >"$to/config/default/operator.yaml"
  {
    generated 'kubectl apply -k config/monitoring'
    plain "${MONITORING[@]}" --show-only templates/pod-monitor.yaml --show-only templates/service-monitor.yaml \
      --show-only templates/prometheus-rule.yaml
  } >"$to/config/monitoring/monitors.yaml"
  readme charts/weir/README.md >"$to/readme"
  mv "$to/readme" "$to/charts/weir/README.md"
}

generated() {
  printf '# Generated from charts/weir by `make generate`; do not edit.\n# %s\n' "$1"
}

namespace() {
  printf 'apiVersion: v1\nkind: Namespace\nmetadata:\n  name: weir-system\n'
  printf '  labels:\n    pod-security.kubernetes.io/enforce: restricted\n'
}

# The chart as kubectl takes it: nothing of it says that Helm was there.
plain() {
  template --namespace weir-system --no-hooks "$@" |
    grep -v -e 'helm.sh/chart:' -e '^# Source:' |
    sed 's|app.kubernetes.io/managed-by: Helm|app.kubernetes.io/managed-by: kubectl|'
}

# readme FILE: the page with the table of values between its marks.
readme() {
  sed '/^<!-- values:/q' "$1"
  echo
  awk -f charts/values.awk charts/weir/values.yaml
  echo
  sed -n '/^<!-- values end/,$p' "$1"
}

# The chart and what is made of it: linted, rendered with every switch, its schema tried, and everything fresh.
chart_is_good() {
  local fresh file stale=
  helm lint --strict --kube-version 1.33.0 charts/weir
  helm lint --strict --kube-version 1.33.0 charts/weir "${MONITORING[@]}"
  template --set watchNamespace=shop | grep 'kind: RoleBinding' >/dev/null
  template --set replicas=2 | grep 'kind: PodDisruptionBudget' >/dev/null
  chart_has_every_switch
  schema_knows_its_words
  if template | grep -A3 'resources:.*secrets'; then
    echo 'the operator must have no right on Secrets' >&2
    return 1
  fi
  fresh=$(mktemp -d)
  manifests "$fresh"
  for file in "${MADE_OF_CHART[@]}"; do
    diff -r "$fresh/$file" "$file" || stale="$stale $file"
  done
  rm -rf "$fresh"
  [ -z "$stale" ] || {
    echo "stale:$stale: run \`make generate\`" >&2
    return 1
  }
  bases_are_whole
}

# Each switch adds what it says and nothing else does.
chart_has_every_switch() {
  local pair
  for pair in podMonitor=PodMonitor serviceMonitor=ServiceMonitor prometheusRule=PrometheusRule dashboards=ConfigMap; do
    template --set "${pair%%=*}.enabled=true" --no-hooks | grep "^kind: ${pair#*=}$" >/dev/null
    if template --no-hooks | grep "^kind: ${pair#*=}$" >/dev/null; then
      echo "the chart makes a ${pair#*=} that nobody has asked for" >&2
      return 1
    fi
  done
}

schema_knows_its_words() {
  local wrong
  for wrong in image.pullPolicy=Sometimes podMonitor.interval=often dashboard.enabled=true; do
    if template --set "$wrong" >/dev/null 2>&1; then
      echo "the schema of the values takes $wrong" >&2
      return 1
    fi
  done
}

# Every base of kustomize can be built, and the default one holds what install.yaml holds.
bases_are_whole() {
  local base
  for base in config/crd config/default config/monitoring; do
    kubectl kustomize "$base" >/dev/null
  done
  diff <(kubectl kustomize config/default | objects) <(objects <config/install.yaml)
}

# The kinds and names of a stream of objects, sorted.
objects() {
  awk '/^kind: / {kind = $2} /^metadata:/ {inside = 1} inside && /^  name: / {print kind, $2; inside = 0}' | sort
}

# with_helm COMMAND…: helm and kubectl of the machine, else those that the bed builds.
with_helm() {
  if ! command -v helm >/dev/null || ! command -v kubectl >/dev/null; then
    e2e/bed/bed build cluster
    PATH=$PATH:$(dirname "$(ls -t "$WEIR_CACHE"/bed/helm-*/helm | head -1)")
    PATH=$PATH:$(dirname "$(ls -t "$WEIR_CACHE"/bed/kubernetes-*/kubectl | head -1)")
  fi
  "$@"
}
