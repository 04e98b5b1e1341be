//! What limits did: quotas and penalties, requests under way, refused calls on record, changes of tenants.

use std::fmt;

use super::{Gauges, Page};

pub(super) fn write(page: &mut Page<'_, '_>, gauges: &Gauges) -> fmt::Result {
    let limiter = gauges.limiter.counters();
    let under_way = gauges.concurrency.counts();
    let violations = gauges.violations.counts();
    let tenants = gauges.tenants.counts();
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
        ("tenant_watch_failures", "Times that changes of tenants could not be asked for", tenants.failures),
    ];
    for (name, help, value) in counters {
        page.counter(name, help, value)?;
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
