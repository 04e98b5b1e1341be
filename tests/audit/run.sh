#!/usr/bin/env bash
# The audit trail's exports, checked by other hands than ours: tests/audit/verify.py, on a real export and on damaged ones.
# Skips where there is no Python for it.
# usage: tests/audit/run.sh
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/../clients/lib.sh"

if ! install_python; then
  echo "audit verifier skipped: $missing"
  exit 0
fi
cd "$root"
cargo build --locked -p stagedoor-gateway --bin stagedoor
STAGEDOOR_AUDIT_PYTHON="$python" cargo nextest run --locked -p stagedoor-tests --test it --run-ignored only \
  -E 'test(=audit_commands::a_verifier_by_other_hands_agrees)'
