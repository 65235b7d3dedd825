# shellcheck shell=bash disable=SC2034 # read by the other files
# Versions, places, addresses and deadlines. No behaviour here.

readonly EXIT_USAGE=2
readonly EXIT_NOT_RUNNING=3
readonly EXIT_CONFIGURATION=78

# Debian keeps administrators' programs off the path of others.
export PATH=$PATH:/usr/sbin:/sbin

# Versions. Those of the Go modules and of Kafka are pinned once more, by go.mod and pom.xml.
readonly KUBERNETES_VERSION=v1.35.4

# Places. Everything big or built is cached; everything that runs is below RUN; the checkout is only read.
readonly CACHE=${WEIR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/weir}/bed
readonly RUN=$CACHE/run
readonly LOGS=$RUN/logs
readonly PIDS=$RUN/pids
readonly PKI=$RUN/pki
readonly AUDIT_LOG=$LOGS/audit.log
readonly KAFKA_PKI=$RUN/kafka/pki
readonly ADMIN_KUBECONFIG=$RUN/kubeconfig
# Sockets have names of at most 107 bytes: they live on a short path.
readonly SOCKETS=/run/weir-bed

# Addresses.
readonly KAFKA_PORT=${WEIR_BED_KAFKA_PORT:-9092}
readonly KAFKA_LOCAL=127.0.0.1:$KAFKA_PORT
readonly KAFKA_CONTROLLER=127.0.0.1:$((KAFKA_PORT + 1))
# Encrypted, with a client certificate, with a name and a password.
readonly KAFKA_TLS=127.0.0.1:$((KAFKA_PORT + 3))
readonly KAFKA_MTLS=127.0.0.1:$((KAFKA_PORT + 4))
readonly KAFKA_SASL=127.0.0.1:$((KAFKA_PORT + 5))
readonly NET_PREFIX=${WEIR_BED_NET:-10.88.0}
readonly BRIDGE=weir0
readonly BRIDGE_ADDRESS=$NET_PREFIX.1
readonly KAFKA_FOR_PODS=$BRIDGE_ADDRESS:$((KAFKA_PORT + 2))
readonly KAFKA_SASL_FOR_PODS=$BRIDGE_ADDRESS:$((KAFKA_PORT + 6))
readonly SERVICE_RANGE=10.96.0.0/16
readonly SERVICE_APISERVER=10.96.0.1
readonly ETCD_CLIENT=127.0.0.1:12379
readonly ETCD_PEER=127.0.0.1:12380
readonly APISERVER=$BRIDGE_ADDRESS:6443
readonly NODE=weir-bed
readonly CNI_PLUGINS=/usr/lib/cni
readonly CNI_NETWORK=weir-bed
readonly CONTAINERD_SOCKET=$SOCKETS/containerd.sock
readonly PAUSE_IMAGE=localhost/pause:weir-bed
readonly PROBE_IMAGE=localhost/probe:weir-bed

# Deadlines in seconds, for a slow machine that does other work too.
readonly DEADLINE_PACKAGES=600
readonly DEADLINE_BUILD=3000
readonly DEADLINE_START=120
readonly DEADLINE_READY=180
readonly DEADLINE_STOP=60
