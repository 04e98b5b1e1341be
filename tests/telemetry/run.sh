#!/usr/bin/env bash
# What a collector of someone else's (PyPI `rotel`) gets from a demo gateway, over gRPC and over HTTP: traces, metrics, logs.
# usage: tests/telemetry/run.sh
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/../clients/lib.sh"
here="$root/tests/telemetry"

skip() {
  echo "SKIPPED: telemetry was not tried: $1"
  echo "telemetry: 0 passed, 0 failed, 2 skipped"
  exit 0
}

command -v python3 >/dev/null || skip "python3 is not installed"
stamp="$here/.venv/.installed"
if ! cmp -s "$here/requirements.txt" "$stamp"; then
  echo "installing the pinned collector (once)"
  python3 -m venv --clear "$here/.venv" >"$work/pip.log" 2>&1 || skip "python3 makes no virtual environment"
  if ! "$here/.venv/bin/pip" install -q --disable-pip-version-check --no-deps -r "$here/requirements.txt" >>"$work/pip.log" 2>&1; then
    tail -n 5 "$work/pip.log" >&2
    skip "rotel is not there for this Python and platform"
  fi
  cp "$here/requirements.txt" "$stamp"
fi
collector="$(find "$here/.venv" -name rotel-agent -type f -print -quit)"
[[ -n "$collector" ]] || skip "rotel came without its program"
chmod +x "$collector"
"$collector" version >/dev/null 2>&1 || skip "rotel does not run on this machine"

gateway="${STAGEDOOR_BINARY:-}"
if [[ -z "$gateway" ]]; then
  (cd "$root" && cargo build --locked -p stagedoor-gateway --bin stagedoor)
  gateway="${CARGO_TARGET_DIR:-$root/target}/debug/stagedoor"
fi

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# Waits until something listens on port $1, at most 10 seconds.
listening() {
  local tries=100
  until (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; do
    tries=$((tries - 1))
    [[ "$tries" -gt 0 ]] || return 1
    sleep 0.1
  done
}

passed=0
failed=0

# Runs a demo whose telemetry goes to a collector over $1.
try() {
  local protocol="$1" grpc http port out="$work/collector-$1.log" answer missing=()
  grpc="$(free_port)"
  http="$(free_port)"
  "$collector" start --otlp-grpc-endpoint "127.0.0.1:$grpc" --otlp-http-endpoint "127.0.0.1:$http" --exporter blackhole --pid-file "$work/collector.pid" \
    --debug-log traces --debug-log metrics --debug-log logs --debug-log-verbosity detailed >"$out" 2>&1 &
  local collector_pid=$!
  started+=("$collector_pid")
  if [[ "$protocol" == grpc ]]; then port="$grpc"; else port="$http"; fi
  if ! listening "$port"; then
    echo "the collector did not start:" >&2
    tail -n 20 "$out" >&2
    exit 1
  fi
  export STAGEDOOR_TELEMETRY__OTLP_ENDPOINT="http://127.0.0.1:$port" STAGEDOOR_TELEMETRY__OTLP_PROTOCOL="$protocol"
  export STAGEDOOR_TELEMETRY__OTLP_SIGNALS="traces,metrics,logs"
  start_demo "$gateway"
  local demo_pid="${started[-1]}"
  answer="$(python3 "$here/call.py" "$endpoint" "$api_key")"
  # Its last spans, lines and figures go out when it ends, and the collector writes what it has got when that ends.
  kill -TERM "$demo_pid"
  wait "$demo_pid" || true
  sleep 1
  kill -TERM "$collector_pid"
  wait "$collector_pid" 2>/dev/null || true
  local wanted
  for wanted in "tools/call" "authenticate" "gen_ai.tool.name" "stagedoor_calls" "stagedoor_call_duration_seconds" "stagedoor::request"; do
    grep -qF "$wanted" "$out" || missing+=("$wanted")
  done
  if [[ "${#missing[@]}" -eq 0 ]]; then
    passed=$((passed + 1))
    echo "telemetry over $protocol: traces, metrics and logs arrived ($answer)"
  else
    failed=$((failed + 1))
    echo "telemetry over $protocol FAILED: the collector did not get ${missing[*]}" >&2
    tail -n 20 "$work/demo.log" "$out" >&2
  fi
}

try grpc
try http
echo "telemetry: $passed passed, $failed failed, 0 skipped"
[[ "$failed" -eq 0 ]]
