# Shared by the runs of tests/clients, tests/conformance and tests/tour: finds Node and Python, installs the pinned packages, runs
# one demo gateway on loopback, and ends what it started. Sourced, not executed.

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
packages="$root/tests/clients/node_modules"
work="$(mktemp -d)"
chmod 755 "$work" # As root, the private PostgreSQL runs under another user, who has to get in.
started=()

finish() {
  local pid
  for pid in ${started[@]+"${started[@]}"}; do kill -TERM "$pid" 2>/dev/null || true; done
  for pid in ${started[@]+"${started[@]}"}; do wait "$pid" 2>/dev/null || true; done
  rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

# Installs the packages of tests/clients/package-lock.json unless they are there, and sets $node to a Node >= 22.19.
# Fails, with the reason in $missing, where there is no npm or no such Node; ends the run if installing fails.
install_packages() {
  if ! command -v npm >/dev/null; then
    missing="npm is not installed"
    return 1
  fi
  local lock="$root/tests/clients/package-lock.json" stamp="$packages/.installed"
  if ! cmp -s "$lock" "$stamp"; then
    echo "installing the pinned Node packages (once, about a minute)"
    if ! (cd "$root/tests/clients" && npm ci --no-audit --no-fund --loglevel=error >"$work/npm.log" 2>&1); then
      echo "npm ci failed:" >&2
      tail -n 20 "$work/npm.log" >&2
      exit 1
    fi
    cp "$lock" "$stamp"
  fi
  node="$(find "$packages" -maxdepth 3 -path "*/node-*/bin/node" -print -quit)"
  if [[ -z "$node" ]] || ! "$node" --version >/dev/null 2>&1; then
    node="$(command -v node || true)"
  fi
  if [[ -z "$node" ]] || ! "$node" -e 'const [a,b]=process.versions.node.split(".");process.exit(a>22||(a==22&&b>=19)?0:1)'; then
    missing="Node 22.19 or newer is not installed, and none of the packages has one for this platform"
    return 1
  fi
}

# Makes the virtual environment of tests/clients/requirements.txt unless it is there, and sets $python to its Python.
# Fails, with the reason in $missing, where there is no Python for it; ends the run if installing fails.
install_python() {
  local clients="$root/tests/clients"
  local stamp="$clients/.venv/.installed"
  python="$clients/.venv/bin/python"
  if ! command -v python3 >/dev/null; then
    missing="python3 is not installed"
    return 1
  fi
  if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    missing="Python 3.11 or newer is not installed"
    return 1
  fi
  if cmp -s "$clients/requirements.txt" "$stamp"; then return 0; fi
  echo "installing the pinned Python packages (once)"
  if ! (python3 -m venv --clear "$clients/.venv" && "$clients/.venv/bin/pip" install -q -r "$clients/requirements.txt") >"$work/pip.log" 2>&1; then
    echo "pip install failed:" >&2
    tail -n 20 "$work/pip.log" >&2
    exit 1
  fi
  cp "$clients/requirements.txt" "$stamp"
}

# Waits until process $2 has written a line into file $1, at most $3 seconds, and prints it.
first_line() {
  local tries=$(($3 * 10))
  until [[ "$(wc -l <"$1")" -gt 0 ]]; do
    tries=$((tries - 1))
    if [[ "$tries" -le 0 ]] || ! kill -0 "$2" 2>/dev/null; then return 1; fi
    sleep 0.1
  done
  head -n 1 "$1"
}

# Prints a text member of a one-line JSON object whose texts have no escapes.
json_member() {
  sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p" <<<"$2"
}

# Starts `$1 demo` with a data folder of its own and waits for its first line; sets $endpoint and $api_key.
start_demo() {
  local line
  : >"$work/demo.out"
  "$1" demo --json --port 0 --reset --data-dir "$work/demo" >"$work/demo.out" 2>"$work/demo.log" &
  started+=("$!")
  if ! line="$(first_line "$work/demo.out" "$!" 120)"; then
    echo "the demo gateway did not start:" >&2
    tail -n 40 "$work/demo.log" >&2
    exit 1
  fi
  endpoint="$(json_member endpoint "$line")"
  api_key="$(json_member api_key "$line")"
}
