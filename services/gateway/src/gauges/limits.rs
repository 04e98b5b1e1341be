//! What limits did: quotas and penalties, requests under way, refused calls on record, changes of tenants.

use std::fmt;

use super::{Gauges, Page};

pub(super) fn write(page: &mut Page<'_, '_>, gauges: &Gauges) -> fmt::Result {
    let limiter = gauges.limiter.counters();
    let under_way = gauges.concurrency.counts();
    let violations = gauges.violations.counts();
    let tenants = gauges.tenants.counts();
    let channel = tenants.channel.unwrap_or_default();
    page.counters(
        "limiter_refused",
        "Calls that a limit refused",
        [
            ([("limit", "principal")], limiter.refused_principal),
            ([("limit", "tenant")], limiter.refused_tenant),
            ([("limit", "penalty")], limiter.refused_penalty),
        ],
    )?;
    page.counters(
        "requests_overloaded",
        "Requests refused because too many were under way",
        [
            ([("scope", "tenant")], under_way.refused_tenant),
            ([("scope", "replica")], under_way.refused_replica),
        ],
    )?;
    let counters = [
        ("limiter_redis", "Decisions by the shared buckets", limiter.redis),
        ("limiter_lease", "Calls paid from a lease", limiter.lease),
        ("limiter_local", "Decisions without Redis", limiter.local),
        ("limiter_degraded", "Decisions while Redis was out of reach", limiter.degraded),
        ("limiter_penalties", "Penalties begun", limiter.penalties),
        ("limiter_redis_trips", "Round trips of the limiter to Redis", limiter.redis_trips),
        ("limit_violations_recorded", "Refused calls that the store has on record", violations.recorded),
        ("limit_violations_lost", "Refused calls that were not recorded", violations.lost),
        ("tenant_changes", "Changes of tenants' settings and status seen", tenants.changes),
        ("key_changes", "Changes of API keys seen", tenants.key_changes),
        ("key_uses_written", "Times of last use of API keys that were written", gauges.key_uses.written()),
        ("tenant_watch_failures", "Times that changes of tenants could not be asked for", tenants.failures),
        ("change_channel_heard", "Times that the database told of changes", channel.heard),
        ("change_channel_losses", "Times that the channel on which it tells was lost", channel.losses),
    ];
    for (name, help, value) in counters {
        page.counter(name, help, value)?;
    }
    if let Some(channel) = tenants.channel {
        let help =
            "Whether the database tells this replica of changes: 1, or 0 while they are only asked for";
        page.gauge("change_channel_open", help, channel.open.into())?;
    }
    page.gauge(
        "limiter_replicas",
        "Replicas that share the limits, as far as is known",
        gauges.limiter.known_replicas().into(),
    )?;
    page.gauge(
        "requests_in_flight",
        "Requests under way, open streams among them",
        under_way.in_flight.into(),
    )
}
