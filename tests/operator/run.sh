#!/usr/bin/env bash
# The operator's scenarios against a real API server; README.md says what may be given.
set -euo pipefail
cd "$(dirname "$0")/../.."

work=$(mktemp -d)
started=()
own_cluster=
finish() {
    for pid in "${started[@]}"; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    [ -z "$own_cluster" ] || forget
    rm -rf "$work"
}
# What scenarios leave in a cluster: namespaces, and in them objects whose operator is gone.
forget() {
    local kind object namespaces
    namespaces=$(kubectl get namespaces -l stagedoor.dev/e2e=true -o name | cut -d/ -f2)
    for namespace in $namespaces; do
        for kind in tenants providerapps agentkeys; do
            for object in $(kubectl get "$kind.stagedoor.dev" -n "$namespace" -o name); do
                kubectl patch "$object" -n "$namespace" --type merge -p '{"metadata":{"finalizers":null}}' >/dev/null
            done
        done
        kubectl delete namespace "$namespace" --wait=false >/dev/null
    done
}
trap finish EXIT

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

if [ -n "${STAGEDOOR_E2E_APISERVER:-}" ] && [ -n "${STAGEDOOR_E2E_ETCD:-}" ]; then
    client=$(free_port) peer=$(free_port) port=$(free_port)
    "$STAGEDOOR_E2E_ETCD" --data-dir "$work/etcd" \
        --listen-client-urls "http://127.0.0.1:$client" --advertise-client-urls "http://127.0.0.1:$client" \
        --listen-peer-urls "http://127.0.0.1:$peer" --initial-advertise-peer-urls "http://127.0.0.1:$peer" \
        --initial-cluster "default=http://127.0.0.1:$peer" >"$work/etcd.log" 2>&1 &
    started+=($!)
    "$STAGEDOOR_E2E_APISERVER" --etcd-servers "http://127.0.0.1:$client" --bind-address 127.0.0.1 \
        --secure-port "$port" --cert-dir "$work/certificates" >"$work/apiserver.log" 2>&1 &
    started+=($!)
    # A token keeps kubectl from asking for a name; the server asks nobody for anything.
    cat >"$work/kubeconfig" <<YAML
apiVersion: v1
kind: Config
clusters: [{name: e2e, cluster: {server: "https://127.0.0.1:$port", insecure-skip-tls-verify: true}}]
users: [{name: e2e, user: {token: none}}]
contexts: [{name: e2e, context: {cluster: e2e, user: e2e}}]
current-context: e2e
YAML
    export KUBECONFIG="$work/kubeconfig" STAGEDOOR_E2E_CUSTOM_RESOURCES_ONLY=1
    for _ in $(seq 100); do
        curl -sk "https://127.0.0.1:$port/healthz" 2>/dev/null | grep -q '^ok' && break
        sleep 0.2
    done
elif [ -n "${KUBECONFIG:-}" ]; then
    own_cluster=yes
else
    echo "SKIPPED: neither KUBECONFIG nor STAGEDOOR_E2E_APISERVER with STAGEDOOR_E2E_ETCD is set (tests/operator/README.md)"
    exit 0
fi

for definition in charts/stagedoor/crds/*.yaml; do
    kubectl apply --server-side --force-conflicts --validate=false -f "$definition"
done
kubectl wait --for=condition=Established --timeout=30s \
    crd/tenants.stagedoor.dev crd/providerapps.stagedoor.dev crd/agentkeys.stagedoor.dev
[ -n "${STAGEDOOR_E2E_ADMIN_URL:-}" ] || echo "SKIPPED: STAGEDOOR_E2E_ADMIN_URL names no installation; the admin API is the stand-in"
STAGEDOOR_E2E_KUBECONFIG="$KUBECONFIG" cargo test --locked -p stagedoor-operator --test scenarios
