#!/usr/bin/env bash
# Everything that can be judged without running the code: format, lints, licences and bans, spelling, unused dependencies, alert rules and dashboards.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/tools.sh cargo-deny typos
PATH="${XDG_CACHE_HOME:-$HOME/.cache}/stagedoor/tools/bin:$PATH"

cargo fmt --all --check
typos
# Advisories need a database from the network, which not every machine reaches; `cargo deny check advisories` asks it.
cargo deny --log-level error check bans licenses sources
if command -v cargo-machete >/dev/null; then
    cargo machete
else
    echo "check: unused dependencies skipped because cargo-machete is not installed"
fi
tests/dashboards/run.sh
cargo clippy --workspace --all-targets --locked -- -D warnings
