//! Three gateway processes, keys, and as many calls over all of them as there is to prove. The calls are the cheapest
//! that count: tools without their arguments, refused for that after they were counted.

use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::join_all;
use serde_json::json;
use stagedoor_domain::{LimitClass, TenantSettings};
use stagedoor_testkit::proof::remark;
use stagedoor_testkit::{Client, GatewayProcess, KeySpec, Stage};

pub(super) const REPLICAS: usize = 3;

/// What became of calls.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) admitted: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) failed: AtomicU64,
}

impl Tally {
    pub(super) fn admitted(&self) -> u64 {
        self.admitted.load(Ordering::Relaxed)
    }

    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    pub(super) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }
}

/// Replicas that record nothing but what the limiter decides, with these settings on top.
pub(super) async fn replicas(stage: &Stage, name: &str, variables: &[(&str, String)]) -> Vec<GatewayProcess> {
    let mut all = vec![("STAGEDOOR_AUDIT__ENABLED", false.to_string())];
    all.extend(variables.iter().cloned());
    let names: Vec<String> = (0..REPLICAS).map(|number| format!("{name}-{number}")).collect();
    join_all(names.iter().map(|name| GatewayProcess::start(stage, name, &all))).await
}

/// A tenant with these settings, and clients at every replica for each of its `keys` keys.
pub(super) async fn clients(
    stage: &Stage,
    replicas: &[GatewayProcess],
    slug: &str,
    settings: TenantSettings,
    keys: usize,
) -> Vec<Vec<Client>> {
    let tenant = stage.tenant(slug, settings).await;
    let user = tenant.person("Robin").await;
    let mut clients = Vec::new();
    for _ in 0..keys {
        let key = tenant.key(&KeySpec::for_user(user)).await;
        clients.push(replicas.iter().map(|replica| replica.client(slug, &key)).collect());
    }
    clients
}

/// One call of a class.
pub(super) async fn call(client: &Client, class: LimitClass, tally: &Tally) {
    let tool = if class == LimitClass::Search { "search" } else { "track_get" };
    let params = json!({ "name": tool, "arguments": {} });
    let counter = match client.try_rpc("tools/call", params).await {
        Ok(answer) => match answer.verdict().as_str() {
            "200 invalid_arguments" => &tally.admitted,
            "200 rate_limited" => &tally.refused,
            _ => {
                remark(answer.text());
                &tally.failed
            }
        },
        Err(error) => {
            remark(format_args!("{error:?}"));
            &tally.failed
        }
    };
    counter.fetch_add(1, Ordering::Relaxed);
}
