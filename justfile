# Every task of the project. `./dev RECIPE` runs one and first sees to what the machine lacks.

set positional-arguments

# Lists the recipes.
default:
    @just --list

# One command to try everything: private PostgreSQL, sandbox providers, a tenant, a key. Takes --json, --port N, --reset.
demo *ARGS:
    @exec cargo run --locked -p stagedoor-gateway --bin stagedoor -- demo "$@"

# The command line of operators: ./dev ctl --server URL --key-file FILE tenants list.
ctl *ARGS:
    @exec cargo run --quiet --locked -p stagedoor-ctl -- "$@"

# Writes docs/admin-api.md anew, from the comments in proto/stagedoor/admin.
reference:
    @page=$(cargo run --quiet --locked -p stagedoor-ctl -- reference) && printf '%s\n' "$page" > docs/admin-api.md

# The keeper's jobs; the demo says which configuration is its own: ./dev keeper --config FILE run-due.
keeper *ARGS:
    @exec cargo run --quiet --locked -p stagedoor-keeper -- "$@"

# Everything that the build service runs; ends with the test runner's closing lines.
test *ARGS:
    @exec scripts/test.sh "$@"

# Format, lints, licences, spelling: everything that needs no run.
check:
    @exec scripts/check.sh

# The tests in Rust only, or those that match a filter.
nextest *ARGS:
    @exec cargo nextest run --workspace --locked "$@"

# Formats the code.
fmt:
    cargo fmt --all

# Lints alone, warnings being errors.
lint:
    cargo clippy --workspace --all-targets --locked -- -D warnings

# The official MCP suite through the whole stack, for every revision or one of them.
conformance *REVISION:
    @exec tests/conformance/run.sh "$@"

# Real MCP clients against a running gateway.
clients:
    @exec tests/clients/run.sh

# Signing in with tokens of an independent authorization server, by hand and as the official client does it.
oauth:
    @exec tests/oauth/run.sh

# The tour of docs/tour.md once more, with real clients; fails if it differs. --write makes the page anew.
tour *ARGS:
    @exec tests/tour/run.sh "$@"

# The suites' exchanges with the music services (or those recorded in a folder) against the services' own descriptions, by openapi-core.
contract *FOLDER:
    @exec tests/contract/run.sh "$@"

# What a collector of someone else's (PyPI rotel) gets from a demo gateway, over gRPC and over HTTP.
telemetry:
    @exec tests/telemetry/run.sh

# Exports of the audit trail, checked by a verifier in another language.
audit-verifier:
    @exec tests/audit/run.sh

# CPU, latency and memory of a call, against the bare floor; also writes target/bench.json.
bench *ARGS:
    @cargo build --locked --release -p stagedoor-gateway -p stagedoor-tests --bins
    @exec "${CARGO_TARGET_DIR:-target}/release/stagedoor-bench" "$@"

# Three gateways behind a proxy, mixed load, rolling restarts: 0 failed requests, or it says which; also writes target/replicas.json.
replicas *ARGS:
    @cargo build --locked --release --workspace --bins
    @exec "${CARGO_TARGET_DIR:-target}/release/stagedoor-replicas" "$@"

# How good recommendations are on seeded populations, or on a FILE of lines `person<TAB>track<TAB>rating`.
recommendation-quality *FILE:
    @exec cargo run --quiet --locked --release -p stagedoor-recommend --example recommendation_quality -- "$@"

# The promises in figures, at full size, all areas or some (sessions): one line `PROOF area.name figure bound ok|FAIL` each.
prove *AREAS:
    @exec scripts/prove.sh "$@"

# The Helm chart without a cluster: lint, schemas, policy, golden manifests, refusals. --write makes what is generated anew.
chart *ARGS:
    @exec scripts/chart.sh "$@"

# Dashboards, alert rules and runbooks: structure, queries, the rules' unit tests. --write makes the dashboards' files anew.
dashboards *ARGS:
    @exec tests/dashboards/run.sh "$@"

# The image: lints the Dockerfile, writes the bill of materials, holds sizes to their budgets, builds the last stage where it can.
image *ARGS:
    @exec scripts/image.sh "$@"

# Checks every SQL query against the migrations on a private PostgreSQL and rewrites .sqlx/.
sqlx:
    @exec scripts/sqlx-prepare.sh

# Fuzzes one target of docs/security.md for some seconds.
fuzz TARGET SECONDS="60":
    @exec scripts/fuzz.sh "$@"

# The operator's scenarios against a real API server, if one is given (tests/operator/README.md); says so if none is.
e2e-cluster:
    @exec tests/operator/run.sh
