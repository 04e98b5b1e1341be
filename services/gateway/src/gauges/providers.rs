//! What the quota broker did for each music service, and how long its lines are.

use std::fmt;

use stagedoor_domain::Provider;
use stagedoor_providers::{BrokerCounters, Providers};

use super::Page;

type Figure = fn(&BrokerCounters) -> u64;

pub(super) fn write(page: &mut Page<'_, '_>, providers: &Providers) -> fmt::Result {
    let all: Vec<_> = Provider::ALL
        .iter()
        .map(|provider| (provider.as_str(), providers.broker_counters(*provider)))
        .collect();
    let counters: [(&str, &str, Figure); 6] = [
        ("provider_calls_queued", "Calls that waited for their turn", |broker| broker.queued),
        ("provider_calls_refused", "Calls refused because their turn would come too late", |broker| {
            broker.refused
        }),
        ("provider_background_refused", "Fetches beside calls refused under pressure", |broker| {
            broker.refused_background
        }),
        ("provider_calls_given_way", "Calls refused while they waited", |broker| broker.given_way),
        ("provider_pauses", "Times that a provider asked to wait", |broker| broker.pauses),
        ("provider_shared_pauses", "Pauses learned from another replica", |broker| broker.shared_pauses),
    ];
    for (name, help, figure) in counters {
        page.counters(name, help, all.iter().map(|(name, broker)| ([("provider", *name)], figure(broker))))?;
    }
    let gauges: [(&str, &str, Figure); 4] = [
        ("provider_calls_waiting", "Calls that wait for their turn", |broker| broker.waiting),
        ("provider_requests_in_flight", "Requests under way", |broker| broker.in_flight),
        ("provider_clients_paced", "Client ids that are called at a learned pace", |broker| broker.paced),
        ("provider_clients_paused", "Client ids that are left alone for now", |broker| broker.paused),
    ];
    for (name, help, figure) in gauges {
        page.gauges(name, help, all.iter().map(|(name, broker)| ([("provider", *name)], figure(broker))))?;
    }
    Ok(())
}
