"""The cache: what it answers, what it costs, and whether readers can trust it (docs/cache.md)."""

from panels import board, figure, lines, rate, row

ANSWERED = 'outcome=~"hit_l1|hit_l2|stale|negative|coalesced"'
# Fetches beside calls are no calls, and what goes past the cache asked nothing of it.
CALLS = 'outcome!~"refreshed|prefetched|bypassed"'

PANELS = [
    row("Now"),
    figure(
        "Answered without a service",
        "The part of calls that needed no request to a music service.",
        "percentunit",
        rate("cache_calls_total", match=ANSWERED) + " / " + rate("cache_calls_total", match=CALLS),
        width=6,
        limits=(0.5, 0.3),
        lower_is_worse=True,
    ),
    figure("Requests saved", "Requests to music services that were not made, since the replicas started.", "none", "sum(stagedoor_cache_saved_calls{FILTER})", width=6),
    figure("Answers in memory", "Level 1, of all replicas.", "bytes", "sum(stagedoor_cache_l1_bytes{FILTER})", width=6),
    figure("Entries that were not ours", "Entries of Redis that were not what was put there: none was used, and there should be none.", "none", "sum(increase(stagedoor_cache_poisoned_total{FILTER}[$__range]))", width=6, limits=(1, 1), decimals=0),
    row("What it answers"),
    lines("Calls", "By how they ended: from this process, from Redis, past its life, known not to exist, by another's fetch, fetched.", "reqps", (rate("cache_calls_total", "outcome"), "{{outcome}}"), stacked=True, width=12),
    lines(
        "Answered without a service, by class",
        "Tracks live for hours, searches for minutes.",
        "percentunit",
        (rate("cache_calls_total", "class", ANSWERED) + " / " + rate("cache_calls_total", "class", CALLS), "{{class}}"),
        width=12,
        limits=(),
    ),
    lines("Calls by class", "What is asked for.", "reqps", (rate("cache_calls_total", "class", CALLS), "{{class}}"), stacked=True),
    lines("Since the start, by class", "The ratio as a replica counts it, the mean of all.", "percentunit", ("avg by (class) (stagedoor_cache_hit_ratio{FILTER})", "{{class}}")),
    lines(
        "Old answers for want of new ones",
        "Answers that stood in for an error of a service, and answers past their life while they are fetched again.",
        "reqps",
        (rate("cache_calls_total", match='outcome="rescued"'), "in place of an error"),
        (rate("cache_calls_total", match='outcome="stale"'), "while fetched again"),
        (rate("cache_calls_total", match='outcome="bypassed"'), "past the cache"),
    ),
    row("Memory and Redis"),
    lines("Level 1", "Bytes by replica.", "bytes", ("sum by (instance) (stagedoor_cache_l1_bytes{FILTER})", "{{instance}}")),
    lines(
        "Entries of level 1",
        "By replica, and those that made room for others.",
        "none",
        ("sum by (instance) (stagedoor_cache_l1_entries{FILTER})", "{{instance}}"),
        ("sum(increase(stagedoor_cache_evictions_total{FILTER}[$__rate_interval]))", "made room"),
    ),
    lines(
        "Round trips to Redis",
        "Those that calls waited for, and those beside calls.",
        "ops",
        (rate("cache_redis_trips_total") + " - " + rate("cache_redis_trips_beside_total"), "calls waited"),
        (rate("cache_redis_trips_beside_total"), "beside calls"),
    ),
    lines(
        "Faults",
        "Steps left out because Redis or a sealing key was out of reach, and entries that were not what was put there.",
        "ops",
        (rate("cache_degraded_total"), "left out"),
        (rate("cache_poisoned_total"), "not ours"),
    ),
    lines(
        "Filled ahead",
        "Answers to be fetched again before their end, read from Redis before anyone asked, or that came along inside others.",
        "ops",
        (rate("cache_early_refreshes_total"), "early"),
        (rate("cache_warmed_total"), "warmed"),
        (rate("cache_seeded_total"), "came along"),
    ),
    lines("Fetches beside calls", "By kind, and how they ended.", "ops", (rate("cache_beside_total", "kind, outcome"), "{{kind}} {{outcome}}")),
    lines(
        "Pages fetched ahead that were asked for",
        "The part of them: below a third they cost more than they give.",
        "percentunit",
        (rate("cache_prefetches_used_total") + " / " + rate("cache_beside_total", match='kind="prefetch",outcome="done"'), "used"),
    ),
    row("Fresh for its reader"),
    lines("Writes that waited", "For other replicas to forget, by how the wait ended. waited_out is a replica that did not answer within its lease of two seconds.", "ops", (rate("cache_generation_bump_waits_total", "ending"), "{{ending}}")),
    lines(
        "Generations",
        "Readings from Redis, and writes that raised one.",
        "ops",
        (rate("cache_generation_reads_total"), "read"),
        (rate("cache_generation_bumps_total"), "raised"),
    ),
    lines(
        "Changes that Redis heard of late, or never",
        "Writes answered before Redis knew of them, and changes that other replicas were never told of before this one ended.",
        "none",
        ("sum(increase(stagedoor_cache_generation_bumps_deferred_total{FILTER}[$__rate_interval]))", "late"),
        ("sum(increase(stagedoor_cache_generation_bumps_lost_total{FILTER}[$__rate_interval]))", "never"),
    ),
    lines("Leases", "People whose generations a replica knows without asking.", "none", ("sum by (instance) (stagedoor_cache_generation_leases{FILTER})", "{{instance}}")),
    lines("One fetch for all replicas", "By this replica's part: led it, held for another's, took it over, was fenced out, or was alone without Redis.", "ops", (rate("cache_flights_total", "part"), "{{part}}")),
]

BOARD = board("stagedoor-cache", "Stagedoor / Cache", "What the cache answers, what it costs, and whether it is fresh.", PANELS)
