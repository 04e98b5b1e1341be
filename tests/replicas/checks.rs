//! Whether what was promised was kept: by what the music services hold, what the audit trail has, and what agents saw.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use serde_json::json;
use stagedoor_domain::{Provider, ToolName};
use stagedoor_testkit::{Inhabited, Stage};

use crate::agents::{Population, SEARCHES_A_MINUTE};
use crate::calls::Wanted;
use crate::ledger::Ledger;
use crate::promises::Promises;
use crate::town::Town;

/// Searches that nobody made before.
const NEW_SEARCHES: usize = 20;
/// The least part of a quota that leases leave usable (docs/limits.md says 99 % for a gateway that is not restarted).
const USABLE: f64 = 0.9;

const SHARED: &str = "what one gateway fetched, all answer";
const ANSWERED: &str = "no request fails";
const ONCE: &str = "every write is there once";
const REPEATED: &str = "a repeated write is answered alike";
const MOVED: &str = "transfers arrive whole, once, in order";
const ON_RECORD: &str = "every call is on record once";
const CHAINED: &str = "the audit trail's chains hold";
const QUOTA: &str = "a quota is one for all gateways";

/// Searches for something new at every gateway, one after the other and all at once: the service must be asked once for
/// each.
pub(crate) async fn answers_are_shared(
    town: &Town<'_>,
    population: &Population<'_>,
    ledger: &Ledger,
    promises: &Promises,
) {
    let asked = || {
        let requests = town.stage().sandbox().requests(Provider::Spotify);
        requests.get("GET /search").copied().unwrap_or_default()
    };
    let callers = population.callers_at(town, 0);
    let before = asked();
    for (at, track) in population.known.iter().rev().take(2 * NEW_SEARCHES).enumerate() {
        let arguments =
            json!({ "query": format!("{} {at}", track.title), "provider": "spotify", "limit": 3 });
        let wanted = Wanted::read("search", &arguments);
        if at < NEW_SEARCHES {
            for caller in callers.iter().cycle().skip(at).take(callers.len()) {
                caller.result(ledger, &wanted, ledger.now()).await;
            }
        } else {
            join_all(callers.iter().map(|caller| caller.result(ledger, &wanted, ledger.now()))).await;
        }
    }
    let (new, fetched) = (2 * NEW_SEARCHES as u64, asked() - before);
    promises.looked_at(
        SHARED,
        format!("{new} new searches at {} gateways, half of them at once: {fetched} fetched", callers.len()),
    );
    if fetched != new {
        promises.broken(SHARED, format!("{fetched} requests for {new} searches"));
    }
}

/// Looks whether anything failed.
pub(crate) fn every_call_was_answered(ledger: &Ledger, promises: &Promises) {
    let pages = ledger.pages();
    let all: u64 = pages.revisions.values().sum();
    promises.looked_at(ANSWERED, format!("{} of {all} requests failed", pages.failed));
    pages.failures.iter().for_each(|failure| promises.broken(ANSWERED, failure.clone()));
}

/// Compares what the music services hold with what was acknowledged.
pub(crate) fn every_write_is_there_once(stage: &Stage, ledger: &Ledger, promises: &Promises) {
    let pages = ledger.pages();
    let (mut acknowledged, mut wrong) = (0, 0);
    for (playlist, added) in &pages.added {
        let id = playlist.rsplit(':').next().unwrap_or_default();
        let mut there = BTreeMap::<String, u64>::new();
        for track in stage.sandbox().playlist_tracks(Provider::Spotify, id).unwrap_or_default() {
            *there.entry(format!("spotify:track:{track}")).or_default() += 1;
        }
        acknowledged += added.values().sum::<u64>();
        for track in added.keys().chain(there.keys().filter(|track| !added.contains_key(*track))) {
            let count = |map: &BTreeMap<String, u64>| map.get(track).copied().unwrap_or_default();
            if count(added) != count(&there) {
                wrong += 1;
                let (added, there) = (count(added), count(&there));
                promises.broken(ONCE, format!("{track}: {added} times added, {there} times in {playlist}"));
            }
        }
    }
    promises.looked_at(ONCE, format!("{acknowledged} writes, {wrong} tracks too often or not often enough"));
    promises.looked_at(REPEATED, format!("{} answered otherwise", pages.answered_otherwise.len()));
    pages.answered_otherwise.iter().for_each(|how| promises.broken(REPEATED, how.clone()));
    promises.looked_at(MOVED, format!("{} transfers", pages.transfers.len()));
    pages.transfers_wrong.iter().for_each(|how| promises.broken(MOVED, how.clone()));
}

/// Compares the audit trail with what was asked, for each tenant and tool.
pub(crate) async fn every_call_is_on_record(
    population: &Population<'_>,
    ledger: &Ledger,
    promises: &Promises,
) {
    let answered = ledger.pages().answered.clone();
    let (mut calls, mut records) = (0, 0);
    for (at, tenant) in population.tenants().iter().enumerate() {
        let found = Found::of(tenant).await;
        records += found.records;
        let chain = tenant.tenant.verify_chain().await;
        if !chain.faults.is_empty() {
            promises.broken(CHAINED, format!("{}: {:?}", tenant.tenant.slug(), chain.faults));
        }
        if found.opened != found.closed {
            promises.broken(ON_RECORD, format!("{} opened, {} closed", found.opened, found.closed));
        }
        for tool in ToolName::ALL {
            let expected = answered.get(&(at, tool.as_str())).copied().unwrap_or_default();
            let recorded = found.calls.get(tool.as_str()).copied().unwrap_or_default();
            calls += expected;
            if recorded != expected {
                let slug = tenant.tenant.slug();
                promises.broken(ON_RECORD, format!("{slug}: {expected} of {tool}, {recorded} on record"));
            }
        }
    }
    promises.looked_at(ON_RECORD, format!("{calls} calls"));
    promises.looked_at(CHAINED, format!("{records} records of {} tenants", population.tenants().len()));
}

/// What a tenant's audit trail has.
#[derive(Debug, Default)]
struct Found {
    records: usize,
    opened: u64,
    closed: u64,
    /// Calls that are over, by tool.
    calls: BTreeMap<String, u64>,
}

impl Found {
    async fn of(tenant: &Inhabited<'_>) -> Self {
        let mut found = Self::default();
        for view in tenant.tenant.audit_trail().await {
            found.records += 1;
            let payload = view.json().unwrap_or_default();
            match payload["record"].as_str() {
                Some("opened") => {
                    found.opened += 1;
                    continue;
                }
                Some("closed") => found.closed += 1,
                _ => {}
            }
            let action = payload["action"].as_str().unwrap_or("unreadable").to_owned();
            *found.calls.entry(action).or_default() += 1;
        }
        found
    }
}

/// Compares what was admitted with what the quota allows in that time.
pub(crate) fn the_quota_held(ledger: &Ledger, promises: &Promises) {
    let quota = ledger.pages().quota;
    let lasted = quota.last.saturating_sub(quota.first.unwrap_or_default()).as_secs_f64();
    let capacity = f64::from(SEARCHES_A_MINUTE);
    let most = capacity + capacity / 60.0 * lasted;
    let admitted = f64::from(u32::try_from(quota.admitted).unwrap_or(u32::MAX));
    promises.looked_at(
        QUOTA,
        format!(
            "{} of {} admitted in {lasted:.1} s, at most {most:.0}",
            quota.admitted,
            quota.admitted + quota.refused
        ),
    );
    if admitted > most || admitted < USABLE * most {
        promises.broken(QUOTA, format!("{admitted} admitted, {:.0} to {most:.0} expected", USABLE * most));
    }
}
