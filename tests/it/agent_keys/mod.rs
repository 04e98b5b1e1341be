//! Agents' keys from making to ending, through the front door of several replicas.

mod channel;
mod last_used;
mod leaks;
mod life;

use serde_json::json;
use stagedoor_domain::ApiKeyId;
use stagedoor_storage::api_keys::{self, KeySummary};
use stagedoor_storage::{StoreError, TenantTransaction};
use stagedoor_testkit::{Client, Stage, TestGateway, TestTenant};

pub(crate) use crate::limits_hot_reload::until;

/// The public part of a key.
pub(crate) fn id_of(key: &str) -> ApiKeyId {
    key[8..20].parse().unwrap()
}

/// What is told of a key.
pub(crate) async fn told(stage: &Stage, tenant: &TestTenant<'_>, key: &str) -> KeySummary {
    let id = id_of(key);
    let get = async |tx: &mut TenantTransaction| api_keys::get(tx, &id).await;
    stage.reader().store().with_tenant::<_, StoreError>(tenant.context(), get).await.unwrap().unwrap()
}

/// How a light call ends.
pub(crate) async fn verdict(client: &Client) -> String {
    client.rpc("tools/list", json!({})).await.verdict()
}

pub(crate) const SERVED: &str = "200 ok";
pub(crate) const REFUSED: &str = "401 unauthenticated";

/// Counts the look-ups of keys by the database's own statistics, from now on and in connections to come.
pub(crate) async fn count_look_ups(stage: &Stage) {
    stage.sql("ALTER DATABASE stagedoor SET track_functions = 'pl'").await;
}

/// Look-ups of keys so far. Connections tell what they did when they end, so gateways have to be stopped before.
pub(crate) async fn look_ups(stage: &Stage) -> u64 {
    settled(stage).await;
    let calls =
        "SELECT COALESCE(sum(calls), 0) FROM pg_stat_user_functions WHERE funcname = 'api_key_for_sign_in'";
    stage.sql(calls).await.parse().unwrap()
}

/// Waits until the gateway, where there is a tenant `ada`, has asked for changes of tenants twice: what is looked up
/// before the first question is looked up again after it, even within one call. Two changes are not seen by one question.
pub(crate) async fn watched(stage: &Stage, gateway: &TestGateway) {
    until("the second question for changes", async || {
        stage.sql("UPDATE tenants SET name = name || '.' WHERE slug = 'ada'").await;
        gateway.metric("tenant_changes").await >= 2
    })
    .await;
}

/// Waits until no gateway has a connection any more: the database's statistics are whole then.
pub(crate) async fn settled(stage: &Stage) {
    let connections = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'stagedoor-gateway'";
    until("the end of the connections", async || stage.sql(connections).await == "0").await;
}
