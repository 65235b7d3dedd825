# shellcheck shell=bash
# The cluster's certificate authority, one certificate for each who speaks to the API server, and the
# kubeconfigs made of them. They live as long as the cluster.

make_certificates() {
  [[ -e $PKI/done ]] && return 0
  rm -rf "$PKI"
  mkdir -p "$PKI"
  chmod 700 "$PKI"
  make_authority
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
  openssl pkey -in "$PKI/service-accounts.key" -pubout -out "$PKI/service-accounts.pub"
  touch "$PKI/done"
}

make_key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$PKI/$1.key" 2>&1; }

make_authority() {
  make_key authority
  openssl req -x509 -new -key "$PKI/authority.key" -subj /CN=weir-bed -days 365 -out "$PKI/authority.crt"
}

# make_certificate <name> <subject> [usage] [alternative names]
make_certificate() {
  local name=$1 subject=$2 usage=${3:-clientAuth} names=${4:-}
  make_key "$name"
  openssl req -new -key "$PKI/$name.key" -subj "$subject" |
    openssl x509 -req -CA "$PKI/authority.crt" -CAkey "$PKI/authority.key" -CAcreateserial -days 365 \
      -extfile <(printf 'extendedKeyUsage=%s\n%s\n' "$usage" "${names:+subjectAltName=$names}") -out "$PKI/$name.crt"
}

# make_client <name> <subject> [kubeconfig]
make_client() {
  local name=$1 out=${3:-$PKI/$1.kubeconfig}
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
      certificate-authority-data: $(base64 --wrap=0 "$PKI/authority.crt")
users:
  - name: $name
    user:
      client-certificate-data: $(base64 --wrap=0 "$PKI/$name.crt")
      client-key-data: $(base64 --wrap=0 "$PKI/$name.key")
TEXT
  )
}
