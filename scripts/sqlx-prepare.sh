#!/usr/bin/env bash
# Writes .sqlx/, by which the SQL macros are checked without a database: starts a private PostgreSQL, applies
# migrations/ as `stagedoor_storage::migrate` does, and compiles the crate that holds every query against it.
set -euo pipefail
cd "$(dirname "$0")/.."

for folder in "$(pg_config --bindir 2>/dev/null || true)" /usr/lib/postgresql/*/bin /opt/homebrew/opt/postgresql*/bin /usr/local/opt/postgresql*/bin; do
    if [ -x "$folder/initdb" ]; then PATH="$folder:$PATH"; fi
done
command -v initdb >/dev/null || { echo "sqlx-prepare: no PostgreSQL found; install the package postgresql" >&2; exit 1; }

work=$(mktemp -d)
chmod 711 "$work"
run=()
if [ "$(id -u)" = 0 ]; then
    # PostgreSQL refuses to run as root.
    account=$(getent passwd postgres nobody | head -n 1)
    run=(setpriv --reuid "$(cut -d: -f3 <<<"$account")" --regid "$(cut -d: -f4 <<<"$account")" --clear-groups)
    chown "$(cut -d: -f3,4 <<<"$account")" "$work"
fi
stop() {
    (cd / && "${run[@]}" pg_ctl -D "$work/data" -m immediate -w stop >/dev/null 2>&1) || true
    rm -rf "$work"
}
trap stop EXIT

port=$((20000 + RANDOM % 20000))
(cd / && "${run[@]}" initdb -D "$work/data" -U postgres -A trust --no-sync >/dev/null)
(cd / && "${run[@]}" pg_ctl -D "$work/data" -l "$work/log" -w \
    -o "-p $port -k $work -c listen_addresses=127.0.0.1 -c fsync=off" start >/dev/null)
sql() { psql -X -q -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$port" -U postgres "$@"; }
sql -f migrations/roles/roles.sql
for file in migrations/*.sql; do
    sql -1 -c 'SET ROLE stagedoor_owner' -f "$file"
done

# Replaced only once every query was checked.
fresh="$work/sqlx"
mkdir "$fresh"
touch crates/storage/src/lib.rs
SQLX_OFFLINE_DIR="$fresh" DATABASE_URL="postgres://postgres@127.0.0.1:$port/postgres" \
    cargo check --quiet -p stagedoor-storage
rm -rf .sqlx && mkdir .sqlx && cp "$fresh"/*.json .sqlx/
# Built once more the way everyone else builds it, so that nothing that was compiled against the database stays.
touch crates/storage/src/lib.rs
cargo check --quiet -p stagedoor-storage
echo "sqlx-prepare: $(find .sqlx -name '*.json' | wc -l) queries in .sqlx/"
