//! Sealed sessions in use: refreshed, rotated, set aside, watched, foreseen. Altering and swapping what is sealed is
//! tested where it is stored.

mod devices;
mod foresight;
mod owners;
mod recovery;
mod refresh;
mod refused;
mod unlinking;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use stagedoor_domain::{Clock, Provider};
use stagedoor_testkit::{Client, FrozenClock, Inhabited, Stage, StageOptions};

/// A stage whose clock stands still.
async fn frozen() -> (Stage, Arc<FrozenClock>) {
    let clock = Arc::new(FrozenClock::now());
    let shared: Arc<dyn Clock> = clock.clone();
    (Stage::start_with(StageOptions { clock: shared, ..StageOptions::default() }).await, clock)
}

/// A personal call that is never answered from a cache.
async fn create(client: &Client, provider: Provider) -> stagedoor_testkit::Answer {
    client.tool("playlist_create", json!({ "name": "Made", "provider": provider })).await
}

/// Makes every access token of the provider ended, for the provider and for whoever opens a session from now on.
pub(crate) async fn end_access(stage: &Stage, provider: Provider) {
    stage.sandbox().expire_access_tokens(provider);
    let ended = format!(
        "UPDATE provider_sessions SET token_expires_at = now() - interval '1 minute' WHERE account_id IN \
         (SELECT account_id FROM linked_accounts WHERE provider = '{provider}')"
    );
    stage.sql(&ended).await;
}

/// Waits until something is so, for half a minute at most.
pub(crate) async fn until(is_so: impl AsyncFn() -> bool) {
    let look = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), look).await.expect("it has not come about");
}

/// How often the provider was asked to refresh.
pub(crate) fn refreshes(stage: &Stage, provider: Provider) -> u64 {
    stage.sandbox().token_requests(provider).get("refresh_token").copied().unwrap_or_default()
}

/// The account as `accounts_list` shows it.
async fn listed(client: &Client, provider: Provider) -> Value {
    let answer = client.call("accounts_list", json!({})).await;
    let accounts = answer["accounts"].as_array().unwrap();
    accounts.iter().find(|account| account["provider"] == json!(provider)).unwrap().clone()
}

/// The endings of the records of an action: its error's code, or `ok`.
async fn recorded(who: &Inhabited<'_>, action: &str) -> Vec<String> {
    let trail = who.tenant.audit_trail().await;
    let of_action = trail
        .iter()
        .filter_map(stagedoor_audit::AuditView::json)
        .filter(|record| record["action"] == action && record["record"] == "closed");
    of_action.map(|record| record["details"]["outcome"].as_str().unwrap_or("none").to_owned()).collect()
}

/// What an answer warns of.
fn warnings(result: &Value) -> Vec<String> {
    let list = result["_meta"]["dev.stagedoor/warnings"].as_array().cloned().unwrap_or_default();
    list.iter().map(|warning| warning.as_str().unwrap().to_owned()).collect()
}

/// What the agent reads of a failure.
fn told(answer: &stagedoor_testkit::Answer) -> String {
    answer.result()["content"][0]["text"].as_str().unwrap().to_owned()
}
