//! What the cache did, and what was fetched beside calls for it.

use std::fmt;

use stagedoor_cache::{CacheCounters, Outcome};
use stagedoor_domain::CacheClass;
use stagedoor_tools::BesideCounts;

use super::Page;

pub(super) fn write(page: &mut Page<'_, '_>, cache: &CacheCounters, beside: BesideCounts) -> fmt::Result {
    let calls = || cache.calls.iter().filter(|(class, _)| *class != CacheClass::Never);
    let by_outcome = calls().flat_map(|(class, counts)| {
        let series = move |outcome: &Outcome| {
            ([("class", class.as_str()), ("outcome", outcome.as_str())], counts.get(*outcome))
        };
        Outcome::ALL.iter().map(series)
    });
    page.counters(
        "cache_calls",
        "Calls that asked the cache, and fetches for it, by how they ended",
        by_outcome,
    )?;
    let ratios = calls().filter_map(|(class, counts)| Some(([("class", class.as_str())], counts.ratio()?)));
    page.gauges("cache_hit_ratio", "The part of calls that needed no provider, since the start", ratios)?;
    let saved = calls().map(|(class, counts)| ([("class", class.as_str())], counts.saved()));
    page.gauges("cache_saved_calls", "Calls to providers that the cache saved, since the start", saved)?;
    let (generations, flights) = (&cache.generations, &cache.flights);
    let counters = [
        ("cache_poisoned", "Entries of Redis that were not what was put there", cache.poisoned),
        ("cache_degraded", "Steps left out because Redis or a sealing key was out of reach", cache.degraded),
        (
            "cache_early_refreshes",
            "Answers to be fetched again before their lives were over",
            cache.early_refreshes,
        ),
        ("cache_warmed", "Answers read from Redis before anyone asked", cache.warmed),
        ("cache_seeded", "Answers that came along inside others", cache.seeded),
        ("cache_evictions", "Answers that made room for others", cache.evictions),
        ("cache_redis_trips", "Round trips of the cache to Redis", cache.redis_trips),
        ("cache_redis_trips_beside", "Of these, those that no call waited for", cache.redis_trips_beside),
        ("cache_generation_reads", "Readings of people's generations from Redis", generations.renewals),
        ("cache_generation_bumps", "Writes that raised a generation", generations.bumps),
        (
            "cache_generation_bumps_deferred",
            "Writes answered before Redis knew of them",
            generations.deferred,
        ),
        (
            "cache_generation_bumps_lost",
            "Changes that other replicas were never told of before this one ended",
            generations.lost,
        ),
    ];
    for (name, help, value) in counters {
        page.counter(name, help, value)?;
    }
    page.counters(
        "cache_generation_bump_waits",
        "Writes that waited for other replicas, by how the wait ended",
        [
            ([("ending", "acknowledged")], generations.acknowledged),
            ([("ending", "waited_out")], generations.waited_out),
        ],
    )?;
    page.counters(
        "cache_flights",
        "Fetches that are one over all replicas, by this one's part in them",
        [
            ([("part", "led")], flights.led),
            ([("part", "held")], flights.held),
            ([("part", "taken_over")], flights.taken_over),
            ([("part", "fenced_out")], flights.fenced_out),
            ([("part", "alone")], flights.alone),
        ],
    )?;
    page.counters(
        "cache_beside",
        "Fetches beside calls, by kind and by how they ended",
        [
            ([("kind", "refetch"), ("outcome", "done")], beside.refetched),
            ([("kind", "refetch"), ("outcome", "failed")], beside.refetches_failed),
            ([("kind", "refetch"), ("outcome", "left_out")], beside.refetches_left_out),
            ([("kind", "prefetch"), ("outcome", "done")], beside.prefetched),
            ([("kind", "prefetch"), ("outcome", "failed")], beside.prefetches_failed),
            ([("kind", "prefetch"), ("outcome", "left_out")], beside.prefetches_left_out),
        ],
    )?;
    page.counter("cache_prefetches_used", "Pages fetched ahead that were asked for", beside.prefetches_used)?;
    page.gauge(
        "cache_generation_leases",
        "People whose generations are known without asking",
        generations.leases,
    )?;
    page.gauge("cache_l1_bytes", "Bytes of answers in this process", cache.l1_bytes)?;
    page.gauge("cache_l1_entries", "Answers in this process", cache.l1_entries)
}
