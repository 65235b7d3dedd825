# shellcheck shell=bash
# Certificate authorities and what they sign: the cluster's, with one certificate for each who speaks to the API server
# and the kubeconfigs made of them, and the broker's. They live as long as the cluster and the broker.

make_certificates() {
  local pki=$PKI
  [[ -e $pki/done ]] && return 0
  begin_certificates
  make_authority authority weir-bed
  make_certificate apiserver /CN=kube-apiserver serverAuth "DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,\
DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,IP:127.0.0.1,IP:$BRIDGE_ADDRESS,IP:$SERVICE_APISERVER"
  make_certificate kubelet-server "/CN=$NODE" serverAuth "DNS:$NODE,IP:$BRIDGE_ADDRESS"
  make_certificate apiserver-to-kubelet /O=system:masters/CN=kube-apiserver-kubelet-client
  make_client admin /O=system:masters/CN=weir-bed-admin "$ADMIN_KUBECONFIG"
  make_client controller-manager /CN=system:kube-controller-manager
  make_client scheduler /CN=system:kube-scheduler
  make_client kubelet "/O=system:nodes/CN=system:node:$NODE"
  make_client proxy /CN=system:kube-proxy
  make_client dns /O=system:masters/CN=weir-bed-dns
  make_key service-accounts
  openssl pkey -in "$pki/service-accounts.key" -pubout -out "$pki/service-accounts.pub"
  touch "$pki/done"
}

# Of the broker and of clients that log in with a certificate. `localhost` is not among the names of the broker, so that
# it can be a name that does not fit; `other` is an authority that nobody trusts.
make_kafka_certificates() {
  local pki=$KAFKA_PKI
  [[ -e $pki/done ]] && return 0
  begin_certificates
  make_authority authority weir-bed-kafka
  make_authority other somebody-else
  make_certificate broker /CN=weir-bed-kafka serverAuth "IP:127.0.0.1,IP:$BRIDGE_ADDRESS"
  cat "$pki/broker.key" "$pki/broker.crt" >"$pki/broker.pem"
  make_certificate client /CN=weir-client
  make_certificate next /CN=weir-client
  # Valid until now.
  days=0 make_certificate expired /CN=weir-client
  touch "$pki/done"
}

begin_certificates() {
  rm -rf "$pki"
  mkdir -p "$pki"
  chmod 700 "$pki"
}

# Below, `pki` is the folder of whoever calls.

make_key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$pki/$1.key" 2>&1; }

# make_authority <name> <common name>
make_authority() {
  make_key "$1"
  openssl req -x509 -new -key "$pki/$1.key" -subj "/CN=$2" -days 365 -out "$pki/$1.crt"
}

# make_certificate <name> <subject> [usage] [alternative names]
make_certificate() {
  local name=$1 subject=$2 usage=${3:-clientAuth} names=${4:-}
  make_key "$name"
  openssl req -new -key "$pki/$name.key" -subj "$subject" |
    openssl x509 -req -CA "$pki/authority.crt" -CAkey "$pki/authority.key" -CAcreateserial -days "${days:-365}" \
      -extfile <(printf 'extendedKeyUsage=%s\n%s\n' "$usage" "${names:+subjectAltName=$names}") -out "$pki/$name.crt"
}

# make_client <name> <subject> [kubeconfig]
make_client() {
  local name=$1 out=${3:-$pki/$1.kubeconfig}
  make_certificate "$name" "$2"
  (
    umask 077
    cat >"$out" <<TEXT
apiVersion: v1
kind: Config
current-context: weir-bed
contexts:
  - {name: weir-bed, context: {cluster: weir-bed, user: $name}}
clusters:
  - name: weir-bed
    cluster:
      server: https://$APISERVER
      certificate-authority-data: $(base64 --wrap=0 "$pki/authority.crt")
users:
  - name: $name
    user:
      client-certificate-data: $(base64 --wrap=0 "$pki/$name.crt")
      client-key-data: $(base64 --wrap=0 "$pki/$name.key")
TEXT
  )
}
