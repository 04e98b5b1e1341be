#!/usr/bin/env bash
# The official conformance suite through the whole stack: authentication, tenancy, limits switched wide, audit.
# A gateway built with the suite's fixtures runs as `stagedoor demo`; a small proxy adds the key.
# usage: tests/conformance/run.sh [2026-07-28 | 2025-11-25]      (default: both)
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/../clients/lib.sh"
here="$root/tests/conformance"
suite="$packages/@modelcontextprotocol/conformance"
revisions=("$@")
if [[ ${#revisions[@]} -eq 0 ]]; then revisions=(2026-07-28 2025-11-25); fi

if ! install_packages; then
  echo "CONFORMANCE skipped: $missing"
  exit 0
fi

for revision in "${revisions[@]}"; do
  if [[ ! -f "$suite/requirements/$revision.yaml" ]]; then
    echo "unknown revision $revision; there are: $(cd "$suite/requirements" && ls | sed 's/\.yaml$//' | tr '\n' ' ')" >&2
    exit 2
  fi
done

gateway="${STAGEDOOR_CONFORMANCE_BINARY:-}"
if [[ -z "$gateway" ]]; then
  target="${CARGO_TARGET_DIR:-$root/target}"
  (cd "$root" && cargo build -p stagedoor-gateway --bin stagedoor --features conformance-fixtures)
  # A copy, because the next build without the fixtures puts its own binary in this place.
  gateway="$work/stagedoor"
  cp "$target/debug/stagedoor" "$gateway"
fi

export STAGEDOOR_RATE_LIMITING__ENABLED=false # The suite sends more in a second than a tenant may in a minute.
start_demo "$gateway"
: >"$work/proxy.out"
STAGEDOOR_API_KEY="$api_key" "$node" "$here/proxy.mjs" "$endpoint" >"$work/proxy.out" &
started+=("$!")
url="$(first_line "$work/proxy.out" "$!" 20)"

failed=0
lines=()
for revision in "${revisions[@]}"; do
  results="$work/$revision"
  mkdir "$results"
  "$node" "$suite/dist/index.js" server --url "$url" --requirements "$revision" --output-dir "$results" \
    >"$work/$revision.log" 2>&1 || true # The summary decides; the suite's own exit status knows no warnings.
  expected=()
  if [[ "$revision" == 2025-11-25 ]]; then expected=("$here/base.yml"); fi
  summary="$("$node" "$here/summary.mjs" "$revision" "$results" "$suite/requirements/$revision.yaml" ${expected[@]+"${expected[@]}"})" \
    || failed=1
  if [[ -n "${STAGEDOOR_CONFORMANCE_KEEP:-}" ]]; then cp -r "$results" "$work/$revision.log" "$work/demo.log" "$STAGEDOOR_CONFORMANCE_KEEP/"; fi
  sed '$d' <<<"$summary"
  lines+=("$(tail -n 1 <<<"$summary")")
done
if [[ "$failed" -ne 0 ]]; then
  echo "the gateway's last lines:"
  tail -n 20 "$work/demo.log"
fi
printf '%s\n' "${lines[@]}"
exit "$failed"
