#!/usr/bin/env bash
# A second proof of the contracts, by other hands than ours: the suites run with their sandboxes recording, then
# openapi-core holds every exchange against the providers' descriptions. Skips where the descriptions are not there.
# usage: tests/contract/run.sh [FOLDER]   FOLDER has records of an earlier run (STAGEDOOR_SANDBOX_RECORD); runs no suite
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
root="$(cd "$here/../.." && pwd)"
descriptions="$root/../shared/openapi"
venv="${XDG_CACHE_HOME:-$HOME/.cache}/stagedoor/contract"
python="$venv/bin/python"

skip() {
  echo "contract skipped: $1"
  exit 0
}

[[ -f "$descriptions/spotify-current.slim.json" && -f "$descriptions/tidal-third-party.slice.json" ]] ||
  skip "no shared/openapi beside the checkout"
command -v python3 >/dev/null || skip "python3 is not installed"
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || skip "Python 3.11 or newer is not installed"
if ! cmp -s "$here/requirements.txt" "$venv/.installed"; then
  echo "installing the pinned Python packages (once)"
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$python" -m pip install --quiet --disable-pip-version-check --no-deps -r "$here/requirements.txt"
  cp "$here/requirements.txt" "$venv/.installed"
fi

records="${1:-}"
if [[ -z "$records" ]]; then
  records="$(mktemp -d)"
  trap 'rm -rf "$records"' EXIT
  cd "$root"
  # Servers of tests run under other users as well.
  chmod 777 "$records"
  STAGEDOOR_SANDBOX_RECORD="$records" cargo nextest run --workspace --locked --no-fail-fast \
    -E 'package(stagedoor-sandbox) + package(stagedoor-providers) + package(stagedoor-tests)'
fi
"$python" "$here/validate.py" "$descriptions" "$records"
