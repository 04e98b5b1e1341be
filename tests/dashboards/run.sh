#!/usr/bin/env bash
# Dashboards, alert rules and runbooks, without a cluster and without Grafana; ends with `dashboards: N dashboards … hold`.
#   tests/dashboards/run.sh            checks
#   tests/dashboards/run.sh --write    first writes the dashboards' files, from tests/dashboards/boards
# promtool parses queries and runs the rules' unit tests. It comes from Debian's package, unpacked beside the other tools and
# not installed; where neither is to be had, that part is skipped and said to be.
set -euo pipefail
cd "$(dirname "$0")/../.."

tools="${XDG_CACHE_HOME:-$HOME/.cache}/stagedoor/tools"
PATH="$tools/bin:$PATH"
export PYTHONDONTWRITEBYTECODE=1

fetch_promtool() {
    local folder
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || return 1
    echo "dashboards: unpacking promtool from the package prometheus into $tools (once)" >&2
    folder=$(mktemp -d)
    (cd "$folder" && apt-get download prometheus >/dev/null 2>&1 && dpkg-deb --extract prometheus_*.deb unpacked) &&
        mkdir -p "$tools/bin" && install "$folder/unpacked/usr/bin/promtool" "$tools/bin/promtool"
    local done=$?
    rm -rf "$folder"
    return $done
}

if command -v promtool >/dev/null || fetch_promtool; then
    promtool check rules docs/alerts.yaml >&2
    promtool test rules docs/alerts.test.yaml docs/alerts.days.test.yaml >&2
    exec python3 tests/dashboards/check.py --promtool "$(command -v promtool)" "$@"
fi
echo "dashboards: SKIPPED parsing queries and testing rules, because promtool is not to be had (package prometheus)" >&2
exec python3 tests/dashboards/check.py "$@"
