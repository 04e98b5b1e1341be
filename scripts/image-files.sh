#!/bin/sh
# Puts everything that is in the image below a folder: the programs, the libraries that they are linked to, the certificates
# of authorities, two users. The Dockerfile calls it, and scripts/image.sh where there is no registry to build it with.
#   scripts/image-files.sh FOLDER PROGRAM…
set -eu

folder=$1
shift
mkdir -p "$folder/usr/local/bin" "$folder/etc/ssl/certs" "$folder/usr/share/stagedoor" "$folder/var/lib/dpkg/status.d"

for program in "$@"; do
    name=$(basename "$program")
    cp "$program" "$folder/usr/local/bin/$name"
    strip --strip-all "$folder/usr/local/bin/$name"
    chmod 0755 "$folder/usr/local/bin/$name"
    # `linux-vdso` has no path, and is no file.
    for library in $(ldd "$program" | grep -o '/[^ ]*'); do
        mkdir -p "$folder$(dirname "$library")"
        cp --dereference "$library" "$folder$library"
    done
done

# Debian's packages that files are from, in the place where scanners look for them in images without dpkg.
for package in libc6 libgcc-s1 ca-certificates; do
    if dpkg-query --status "$package" >/dev/null 2>&1; then
        dpkg-query --status "$package" >"$folder/var/lib/dpkg/status.d/$package"
    fi
done

cp --dereference /etc/ssl/certs/ca-certificates.crt "$folder/etc/ssl/certs/ca-certificates.crt"
echo 'hosts: files dns' >"$folder/etc/nsswitch.conf"
printf '%s\n' 'root:x:0:0:root:/:/sbin/nologin' 'stagedoor:x:65532:65532:stagedoor:/:/sbin/nologin' >"$folder/etc/passwd"
printf '%s\n' 'root:x:0:' 'stagedoor:x:65532:' >"$folder/etc/group"
