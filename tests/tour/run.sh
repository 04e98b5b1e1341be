#!/usr/bin/env bash
# Takes the tour of docs/tour.md with real clients against `stagedoor demo`, and compares what it was told with the page.
# usage: tests/tour/run.sh [--write]      --write makes the page anew
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/../clients/lib.sh"
here="$root/tests/tour"
page="$root/docs/tour.md"

install_packages || { echo "tour: skipped: $missing"; exit 0; }
install_python || { echo "tour: skipped: $missing"; exit 0; }

gateway="${STAGEDOOR_BINARY:-}"
if [[ -z "$gateway" ]]; then
  (cd "$root" && cargo build --locked -p stagedoor-gateway --bin stagedoor)
  gateway="${CARGO_TARGET_DIR:-$root/target}/debug/stagedoor"
fi
export STAGEDOOR="$gateway"
export INSPECTOR="$node $packages/@modelcontextprotocol/inspector/clients/launcher/build/index.js"

if ! PYTHONPATH="$here" "$python" "$here/tour.py" "$work" >"$work/tour.md"; then
  echo "tour: FAILED; the gateway's last lines:" >&2
  tail -n 20 "$work/demo.log" >&2
  exit 1
fi
if [[ "${1:-}" == --write ]]; then
  cp "$work/tour.md" "$page"
  echo "tour: docs/tour.md is written anew"
elif diff -u "$page" "$work/tour.md"; then
  echo "tour: as docs/tour.md tells it"
else
  echo "tour: the run differs from docs/tour.md; if that is meant, run: just tour --write" >&2
  exit 1
fi
