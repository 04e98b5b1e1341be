#!/usr/bin/env bash
# Runs the proofs of tests/it at full size in an optimised build: scripts/prove.sh [AREA…]. Prints one line for each,
# `PROOF area.name figure bound ok|FAIL`, and fails if one does not hold.
set -euo pipefail
cd "$(dirname "$0")/.."

areas=("$@")
known=$(find tests/it/proofs -mindepth 1 -maxdepth 1 ! -name mod.rs -exec basename {} .rs \; | sort)
for area in "${areas[@]}"; do
    grep -qx "$area" <<<"$known" || { echo "prove: no area $area; there are: ${known//$'\n'/, }" >&2; exit 2; }
done
filter='test(/^proofs::/)'
if [ ${#areas[@]} -gt 0 ]; then
    filter="test(/^proofs::($(IFS='|'; echo "${areas[*]}"))::/)"
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
# The replicas and keepers that the proofs start are processes of their own.
cargo build --quiet --locked --profile proof -p stagedoor-gateway -p stagedoor-keeper --bin stagedoor --bin stagedoor-keeper
status=0
STAGEDOOR_PROOF=full cargo nextest run --locked --cargo-profile proof --cargo-quiet -p stagedoor-tests \
    --test-threads 1 --no-capture -E "$filter" >"$log" 2>&1 || status=$?
grep -o 'PROOF .*' "$log" || { cat "$log" >&2; exit 1; }
if [ "$status" != 0 ]; then
    tail -n 60 "$log" >&2
    exit 1
fi
