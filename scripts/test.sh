#!/usr/bin/env bash
# Everything that the build service runs, cheapest first; ends with the closing lines of the test runner.
set -euo pipefail
cd "$(dirname "$0")/.."

log=$(mktemp)
trap 'rm -f "$log"' EXIT

just check
cargo nextest run --workspace --locked --no-fail-fast "$@" 2>&1 | tee "$log"
# The program that the tests ran is that of the suites, too.
STAGEDOOR_BINARY="$(realpath "${CARGO_TARGET_DIR:-target}/debug/stagedoor")"
export STAGEDOOR_BINARY
for suite in "clients" "oauth" "chart" "conformance" "audit-verifier"; do
    just "$suite"
done
echo
sed 's/\x1b\[[0-9;]*m//g' "$log" | grep -E '^ +Summary \[' | tail -n 1
