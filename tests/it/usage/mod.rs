//! What calls are counted as, through the front door: by tenant, person, key and tool, over replicas, and as nobody's
//! where the person does not let it be counted.

mod figures;
mod keeping;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use stagedoor_domain::Clock as _;
use stagedoor_storage::usage::{self, GroupBy, Period, UsageFilter, UsageLine, UsageQuery};
use stagedoor_testkit::{Client, FrozenClock, Inhabited, Stage, StageOptions, TestGateway};

use crate::limits_hot_reload::until;

/// A stage whose clock stands, in the middle of a minute.
async fn stage() -> (Stage, Arc<FrozenClock>) {
    let now = Period::Minute.begin(FrozenClock::now().now()) + TimeDelta::seconds(20);
    let clock = Arc::new(FrozenClock::at(now));
    let options = StageOptions { clock: clock.clone(), ..StageOptions::default() };
    (Stage::start_with(options).await, clock)
}

/// Lets the person's use be counted.
async fn consent(client: &Client) {
    let consent = json!({ "purpose": "analytics", "granted": true, "policy_version": "1" });
    client.call("consent_set", consent).await;
}

/// Ends the minute, and waits until the store has it.
async fn end_minute(clock: &FrozenClock, gateways: &[&TestGateway]) {
    clock.advance(Duration::from_mins(1));
    for gateway in gateways {
        let usage = gateway.state().dispatcher.desk().usage();
        until("the store takes them", async || {
            usage.flush(false).await.is_ok() && usage.counts().waiting == 0 && usage.counts().series == 0
        })
        .await;
    }
}

/// What the tenant's calls of an hour before and after `now` came to.
async fn told(stage: &Stage, who: &Inhabited<'_>, now: DateTime<Utc>, group_by: GroupBy) -> Vec<UsageLine> {
    let (from, to) = (now - TimeDelta::days(2), now + TimeDelta::hours(1));
    let query = UsageQuery { from, to, group_by, filter: UsageFilter::default(), skip: 0 };
    let read = stage
        .admin()
        .store()
        .with_tenant(who.tenant.context(), async |tx| usage::query(tx, &query, 1_000).await);
    read.await.unwrap().lines
}

const BY_ALL: GroupBy = GroupBy { user: true, key: true, tool: true, content: false, interval: None };
