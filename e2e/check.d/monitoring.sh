# shellcheck shell=bash
# Alerts: whether each one is silent and fires when it should, asked of Prometheus' own tool.

rules_are_good() {
  local tool
  tool=$(promtool_path)
  "$tool" check rules config/monitoring/rules.yaml
  "$tool" test rules e2e/monitoring/rules.test.yaml
}

# The promtool of the machine, else one that is built once, into the cache; without the ways to find targets, which need
# the libraries of every cloud.
promtool_path() {
  local key tool
  type -P promtool && return 0
  key=$(cat e2e/monitoring/promtool/go.* | sha256sum)
  tool=$WEIR_CACHE/tools/promtool-${key:0:12}
  [ -x "$tool" ] || (cd e2e/monitoring/promtool && CGO_ENABLED=0 GOFLAGS='-mod=readonly -buildvcs=false' \
    go build -tags remove_all_sd -trimpath -ldflags='-s -w' -o "$tool" github.com/prometheus/prometheus/cmd/promtool) >&2
  echo "$tool"
}
