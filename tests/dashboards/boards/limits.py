"""Limits: who decides, who is refused, and whether the shared buckets are in reach (docs/limits.md)."""

from panels import board, figure, lines, rate, row

PANELS = [
    row("Now"),
    figure(
        "Refused",
        "The part of HTTP requests that a limit refused.",
        "percentunit",
        rate("limiter_refused_total") + " / " + rate("http_requests_total"),
        width=6,
        limits=(0.05, 0.1),
        decimals=1,
    ),
    figure("Penalties", "Begun within the time shown: callers that keep on calling although they are refused.", "none", "sum(increase(stagedoor_limiter_penalties_total{FILTER}[$__range]))", width=6, limits=(10, 50), decimals=0),
    figure("Replicas that share the limits", "As far as the one that knows fewest knows.", "none", "min(stagedoor_limiter_replicas{FILTER})", width=6),
    figure("Decisions without Redis", "While it is out of reach each replica keeps its part of every limit for itself.", "reqps", rate("limiter_degraded_total"), width=6, limits=(0.001, 1)),
    row("Who is refused"),
    lines("Refused by limits", "By whose limit it was: one key's, the whole tenant's, or a penalty.", "reqps", (rate("limiter_refused_total", "limit"), "{{limit}}"), stacked=True),
    lines("Penalties begun", "By replica.", "none", ("sum by (instance) (increase(stagedoor_limiter_penalties_total{FILTER}[$__rate_interval]))", "{{instance}}")),
    lines(
        "Refusals on record",
        "Refused calls that the database has on record, and those that it was not told of.",
        "reqps",
        (rate("limit_violations_recorded_total"), "recorded"),
        (rate("limit_violations_lost_total"), "lost"),
    ),
    lines("Tool calls that met a limit", "A quota, a place, or the music service's own limit.", "reqps", (rate("calls_total", match='outcome="limited"'), "limited"), (rate("http_requests_total", match='outcome="limited"'), "HTTP 429")),
    lines("Networks shut out", "Requests with wrong keys, of networks that had sent too many.", "reqps", (rate("auth_failures_total", match='reason="blocked"'), "blocked")),
    lines("Music services' own limits", "Requests that services answered with 429, and requests that were not sent for that reason.", "reqps", (rate("provider_requests_total", "provider, outcome", 'outcome=~"limited|circuit_open"'), "{{provider}} {{outcome}}")),
    row("How it is decided"),
    lines(
        "Decisions",
        "By the shared buckets, from a lease, in process, or in process because Redis was out of reach.",
        "reqps",
        (rate("limiter_redis_total"), "shared buckets"),
        (rate("limiter_lease_total"), "from a lease"),
        (rate("limiter_local_total"), "in process"),
        (rate("limiter_degraded_total"), "out of reach"),
        stacked=True,
    ),
    lines("Round trips to Redis", "Of the limiter.", "ops", (rate("limiter_redis_trips_total"), "trips")),
    lines(
        "Round trips for each request",
        "One without leases, less with them.",
        "none",
        (rate("limiter_redis_trips_total") + " / " + rate("http_requests_total"), "trips"),
    ),
    row("Places"),
    lines("Requests under way", "By replica, open streams among them.", "none", ("sum by (instance) (stagedoor_requests_in_flight{FILTER})", "{{instance}}")),
    lines("No place free", "Requests refused because too many of the tenant, or of the replica, were under way.", "reqps", (rate("requests_overloaded_total", "scope"), "{{scope}}"), stacked=True),
    lines("Replicas known", "As each of them counts the others, itself among them.", "none", ("max by (instance) (stagedoor_limiter_replicas{FILTER})", "{{instance}}")),
]

BOARD = board("stagedoor-limits", "Stagedoor / Limits", "Who is refused, who decides, and whether it is decided together.", PANELS)
