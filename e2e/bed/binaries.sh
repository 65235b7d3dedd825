# shellcheck shell=bash
# Binaries and jars, each part in a cache folder named by what went into it. A part is built in a
# temporary folder and renamed when whole, so that an interrupted build is never mistaken for a result.

# part_dir <part> <file that decides its content>...: the code that fills the folder decides it, too.
part_dir() {
  local part=$1 key
  shift
  key=$({ declare -f "fill_$part" go_build && cat "$@"; } | sha256sum)
  printf '%s/%s-%s' "$CACHE" "$part" "${key:0:12}"
}

kafka_dir() { part_dir kafka "$BED_DIR/kafka/pom.xml"; }

go_dir() {
  local sources
  mapfile -t sources < <(find "$BED_DIR/go/$1" -type f | LC_ALL=C sort)
  part_dir "$1" "${sources[@]}"
}

# part <name> <folder> <function that fills the folder given to it>
part() {
  local name=$1 dir=$2 fill=$3
  [[ -d $dir ]] && return 0
  phase "build $name" "$DEADLINE_BUILD" fill_part "$dir" "$fill"
}

fill_part() {
  local dir=$1 fill=$2 unfinished=$1.unfinished
  rm -rf "$unfinished"
  mkdir -p "$unfinished"
  "$fill" "$unfinished"
  mv "$unfinished" "$dir"
}

build_kafka() {
  [[ -d $(kafka_dir) ]] && return 0
  require "fetching Kafka" mvn:maven
  part kafka "$(kafka_dir)" fill_kafka
}

fill_kafka() {
  mvn --batch-mode --quiet --file "$BED_DIR/kafka/pom.xml" \
    dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$1"
}

# The store is no process of the bed: whoever tests starts as many as it needs, and stops them (bed s3-server).
build_s3() {
  [[ -d $(go_dir s3) ]] || require_go "the object store"
  part s3 "$(go_dir s3)" fill_s3
}

build_cluster() {
  local name
  for name in kubernetes etcd helm dns own; do
    [[ -d $(go_dir "$name") ]] || require_go "the cluster"
    part "$name" "$(go_dir "$name")" "fill_$name"
  done
}

# go_build <module folder below go/> <output folder> <linker flags> <package>...
# Static, so that one binary runs on the node and in an empty image alike.
go_build() {
  local module=$1 out=$2 flags=$3
  shift 3
  (cd "$BED_DIR/go/$module" && CGO_ENABLED=0 GOFLAGS='-mod=readonly -buildvcs=false' \
    go build -trimpath -ldflags="-s -w $flags" -o "$out/" "$@")
}

fill_kubernetes() {
  local version=k8s.io/component-base/version commands=(kube-apiserver kube-controller-manager
    kube-scheduler kubelet kube-proxy kubectl)
  go_build kubernetes "$1" \
    "-X $version.gitVersion=$KUBERNETES_VERSION -X $version.gitMajor=1 -X $version.gitMinor=35" \
    "${commands[@]/#/k8s.io/kubernetes/cmd/}"
}

fill_etcd() {
  go_build etcd "$1" "" go.etcd.io/etcd/server/v3
  mv "$1/v3" "$1/etcd" 2>/dev/null || mv "$1/server" "$1/etcd"
}

fill_helm() { go_build helm "$1" "" helm.sh/helm/v3/cmd/helm; }

fill_s3() { go_build s3 "$1" "" github.com/versity/versitygw/cmd/versitygw; }

fill_dns() { go_build dns "$1" "" .; }

fill_own() { go_build own "$1" "" ./pause ./probe; }
