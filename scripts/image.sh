#!/usr/bin/env bash
# The image, as far as it can be judged and built on this machine: lints the Dockerfile, writes the bill of materials, holds the
# programs against their sizes, and builds the last stage of the Dockerfile from them, without a registry.
#   scripts/image.sh                    programs of target/release (`cargo build --release`)
#   scripts/image.sh --programs FOLDER  other ones
#   scripts/image.sh --tag NAME         what the image is called in buildah's store; stagedoor:VERSION else
# With a registry: docker build --tag NAME --build-arg REVISION=$(git rev-parse HEAD) .
set -euo pipefail
cd "$(dirname "$0")/.."

# Program and most MiB without symbols.
budgets=("stagedoor 40" "stagedoor-keeper 40" "stagedoor-operator 40" "stagedoorctl 40")
programs="${CARGO_TARGET_DIR:-target}/release"
version="$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)"
tag="stagedoor:$version"
while [ $# -gt 0 ]; do
    case "$1" in
        --programs) programs="$2"; shift 2 ;;
        --tag) tag="$2"; shift 2 ;;
        *) echo "image: no such option: $1" >&2; exit 2 ;;
    esac
done

out="${CARGO_TARGET_DIR:-target}/image"
failed=0
skipped=""
wrong() { echo "image: $*" >&2; failed=1; }
skip() { echo "image: SKIPPED: $*"; skipped=" (in part)"; }
mkdir -p "$out"

scripts/tools.sh hadolint
PATH="${XDG_CACHE_HOME:-$HOME/.cache}/stagedoor/tools/bin:$PATH"
hadolint --failure-threshold style Dockerfile || wrong "the Dockerfile has faults"

missing=""
for budget in "${budgets[@]}"; do
    [ -x "$programs/${budget% *}" ] || missing="$missing ${budget% *}"
done

root="$out/context/image"
if [ -n "$missing" ]; then
    skip "sizes and image:$missing not in $programs (cargo build --release)"
else
    rm -rf "$out/context"
    names=("${budgets[@]% *}")
    scripts/image-files.sh "$root" "${names[@]/#/$programs/}"
    cp LICENSE "$root/usr/share/stagedoor/LICENSE"
    for budget in "${budgets[@]}"; do
        name="${budget% *}" most="${budget#* }"
        bytes="$(stat --format %s "$root/usr/local/bin/$name")"
        printf 'image: %-18s %6.1f MiB of %s\n' "$name" "$(awk "BEGIN { print $bytes / 1048576 }")" "$most"
        [ "$bytes" -le $((most * 1048576)) ] || wrong "$name is bigger than $most MiB"
    done
fi

packages=()
[ -n "$missing" ] || packages=("$root/var/lib/dpkg/status.d")
# Written first and counted then: a bill that cannot be made must not look like one.
cargo metadata --locked --format-version 1 --filter-platform x86_64-unknown-linux-gnu |
    python3 scripts/sbom.py "${packages[@]}" >"$out/sbom.cdx.json"
echo "image: $out/sbom.cdx.json names $(grep -c '"purl"' "$out/sbom.cdx.json") parts"

if [ -z "$missing" ]; then
    cp "$out/sbom.cdx.json" "$root/usr/share/stagedoor/sbom.cdx.json"
    if command -v buildah >/dev/null; then
        # A store of its own, and no kernel features that a container may lack.
        store=(buildah --root "$PWD/$out/store" --runroot "$PWD/$out/run")
        [[ "$out" = /* ]] && store=(buildah --root "$out/store" --runroot "$out/run")
        export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot
        "${store[@]}" bud --quiet --pull-never --timestamp "$(git log -1 --format=%ct)" \
            --build-arg "VERSION=$version" --build-arg "REVISION=$(git rev-parse HEAD)" \
            --build-context "build=$out/context" --tag "$tag" . >/dev/null
        container="$("${store[@]}" from --pull-never "localhost/$tag")"
        trap '"${store[@]}" rm "$container" >/dev/null' EXIT
        for budget in "${budgets[@]}"; do
            name="${budget% *}"
            told="$("${store[@]}" run "$container" -- "/usr/local/bin/$name" --version)" || wrong "$name does not start in the image"
            [ "${told:-}" = "$name $version" ] || wrong "$name --version says ${told:-nothing}"
        done
        if "${store[@]}" run "$container" -- /bin/sh -c true 2>/dev/null; then
            wrong "there is a shell in the image"
        fi
        about="$("${store[@]}" inspect --type image --format '{{.OCIv1.Config.User}} {{.OCIv1.Config.Entrypoint}} {{.OCIv1.Config.Cmd}}' "localhost/$tag")"
        [ "$about" = "65532:65532 [/usr/local/bin/stagedoor] [serve]" ] || wrong "user, entry point or command: $about"
        mounted="$("${store[@]}" mount "$container")"
        loose="$(find "$mounted" -xdev \( -perm /6000 -o \( -type f -perm /0022 \) \) -printf '/%P ')"
        [ -z "$loose" ] || wrong "others may write, or run as someone else: $loose"
        echo "image: localhost/$tag has $(find "$mounted" -xdev -type f | wc -l) files, $(du --summarize --apparent-size --block-size=1M "$mounted" | cut -f 1) MiB"
        "${store[@]}" umount "$container" >/dev/null
    else
        skip "building: there is no buildah (package buildah)"
    fi
fi

[ "$failed" = 0 ] || exit 1
echo "image: all that was looked at holds$skipped"
