#!/usr/bin/env bash
# Everything that the build service runs, cheapest first; ends with the closing lines of the test runner.
set -euo pipefail
cd "$(dirname "$0")/.."

log=$(mktemp)
trap 'rm -f "$log"' EXIT

just check
cargo nextest run --workspace --locked --no-fail-fast "$@" 2>&1 | tee "$log"
# The programs that the tests ran are those of the suites, too.
programs="$(realpath "${CARGO_TARGET_DIR:-target}/debug")"
export STAGEDOOR_BINARY="$programs/stagedoor" STAGEDOOR_OPERATOR_BINARY="$programs/stagedoor-operator"
for suite in "clients" "oauth" "chart" "conformance" "audit-verifier"; do
    just "$suite"
done
echo
sed 's/\x1b\[[0-9;]*m//g' "$log" | grep -E '^ +Summary \[' | tail -n 1
