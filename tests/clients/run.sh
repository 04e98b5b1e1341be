#!/usr/bin/env bash
# Real MCP clients against one demo gateway, both eras, limits on: each lists tools, searches, makes a playlist,
# adds to it and reads it back.
# usage: tests/clients/run.sh
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
here="$root/tests/clients"
passed=0
failed=0
skipped=0

client() {
  if "$@"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
}

skip() {
  echo "$1 skipped: $2"
  skipped=$((skipped + 1))
}

node_ready=yes
install_packages || node_ready="$missing"
python_ready=yes
install_python || python_ready="$missing"
if [[ "$node_ready" != yes && "$python_ready" != yes ]]; then
  skip "all clients" "$node_ready; $python_ready"
  echo "clients: 0 passed, 0 failed, 6 skipped"
  exit 0
fi

gateway="${STAGEDOOR_BINARY:-}"
if [[ -z "$gateway" ]]; then
  (cd "$root" && cargo build -p stagedoor-gateway --bin stagedoor)
  gateway="${CARGO_TARGET_DIR:-$root/target}/debug/stagedoor"
fi
start_demo "$gateway"
export ENDPOINT="$endpoint" API_KEY="$api_key" WORK="$work"

if [[ "$node_ready" == yes ]]; then
  client "$node" "$here/inspector.mjs" modern
  client "$node" "$here/inspector.mjs" legacy
  client "$node" "$here/typescript_client.mjs"
  client "$node" "$here/typescript_sdk.mjs"
else
  for name in "inspector-cli 2026-07-28" "inspector-cli 2025-11-25" "typescript-client 2026-07-28" "typescript-sdk 2025-11-25"; do
    skip "$name" "$node_ready"
  done
fi
if [[ "$python_ready" == yes ]]; then
  client "$python" "$here/python_client.py" 2026-07-28
  client "$python" "$here/python_client.py" 2025-11-25
else
  for name in "python-mcp 2026-07-28" "python-mcp 2025-11-25"; do skip "$name" "$python_ready"; done
fi

if [[ "$failed" -ne 0 ]]; then
  echo "the gateway's last lines:"
  tail -n 20 "$work/demo.log"
fi
echo "clients: $passed passed, $failed failed, $skipped skipped"
[[ "$failed" -eq 0 ]]
