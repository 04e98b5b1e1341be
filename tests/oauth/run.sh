#!/usr/bin/env bash
# An authorization server of someone else's (npm `oidc-provider`) against one demo gateway: it is registered by the admin
# API, then clients sign in with its tokens, by hand and as the official MCP client does it.
# usage: tests/oauth/run.sh
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/../clients/lib.sh"
here="$root/tests/oauth"

# Without any Node there is nothing to run it with, and that is said. A Node without npm, or of another version, is a machine
# that is set up wrong: passing then would hide that nothing was proved.
if ! install_packages; then
  if ! command -v node >/dev/null && ! command -v npm >/dev/null; then
    echo "SKIPPED: oauth was not tried: there is no Node on this machine"
    echo "oauth: 0 passed, 0 failed, 5 skipped"
    exit 0
  fi
  echo "oauth failed: $missing" >&2
  exit 1
fi
stamp="$here/node_modules/.installed"
if ! cmp -s "$here/package-lock.json" "$stamp"; then
  echo "installing the pinned Node packages (once)"
  if ! (cd "$here" && npm ci --no-audit --no-fund --loglevel=error >"$work/npm.log" 2>&1); then
    echo "npm ci failed:" >&2
    tail -n 20 "$work/npm.log" >&2
    exit 1
  fi
  cp "$here/package-lock.json" "$stamp"
fi

gateway="${STAGEDOOR_BINARY:-}"
if [[ -z "$gateway" ]]; then
  (cd "$root" && cargo build -p stagedoor-gateway --bin stagedoor)
  gateway="${CARGO_TARGET_DIR:-$root/target}/debug/stagedoor"
fi
# The server is on this machine, which no issuer may be otherwise.
export STAGEDOOR_OAUTH__ALLOW_HTTP=true STAGEDOOR_OAUTH__ALLOWED_NETWORKS='["127.0.0.0/8"]'
start_demo "$gateway"
greeting="$(head -n 1 "$work/demo.out")"
admin_url="$(json_member admin_url "$greeting")"
admin_key_file="$(json_member admin_key_file "$greeting")"
tenant="$(json_member tenant "$greeting")"

: >"$work/server.out"
"$node" "$here/server.mjs" >"$work/server.out" 2>"$work/server.log" &
started+=("$!")
if ! line="$(first_line "$work/server.out" "$!" 30)"; then
  echo "the authorization server did not start:" >&2
  cat "$work/server.log" >&2
  exit 1
fi
issuer="$(json_member issuer "$line")"

registered="$(
  curl --silent --show-error --fail-with-body --max-time 30 \
    --header "Authorization: Bearer $(cat "$admin_key_file")" --header "Content-Type: application/json" \
    --data "{\"issuer\":{\"issuer\":\"$issuer\",\"user_provisioning\":\"USER_PROVISIONING_CREATE\",\"subject_prefix\":\"npm:\"}}" \
    "$admin_url/v1/tenants/$tenant/issuers"
)" || {
  echo "the issuer was not registered: $registered" >&2
  tail -n 20 "$work/demo.log" >&2
  exit 1
}

if ! ENDPOINT="$endpoint" ISSUER="$issuer" "$node" "$here/story.mjs"; then
  echo "the gateway's last lines:"
  tail -n 20 "$work/demo.log"
  exit 1
fi
