#!/usr/bin/env bash
# Fuzzes one target (docs/security.md) from its seeds and what earlier runs found. Targets that need no more than domain
# and crypto are built without the rest of the project.
set -euo pipefail
cd "$(dirname "$0")/../fuzz"

target="${1:?a target, such as references}"
seconds="${2:-60}"
[ -f "fuzz_targets/$target.rs" ] || { echo "fuzz: there is no target $target; there are:" >&2; ls fuzz_targets >&2; exit 2; }
command -v cargo-fuzz >/dev/null || { echo "fuzz: cargo-fuzz is missing: cargo install cargo-fuzz" >&2; exit 2; }

light=()
if grep -qE 'stagedoor_(crypto|domain)::' "fuzz_targets/$target.rs"; then light=(--no-default-features); fi
mkdir -p "corpus/$target"
# libFuzzer's hooks are a flag of the compiler that is not yet stable; no sanitizer is needed where nothing is unsafe.
RUSTC_BOOTSTRAP=1 exec cargo fuzz run --sanitizer none "${light[@]}" "$target" "corpus/$target" "seeds/$target" -- \
    -max_total_time="$seconds" -print_final_stats=1
