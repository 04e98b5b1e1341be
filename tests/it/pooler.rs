//! Through PgBouncer in transaction mode: the same flows, and no row of one tenant in another's transaction.

use futures_util::StreamExt;
use serde_json::json;
use stagedoor_bootstrap::private_servers::PrivatePgBouncer;
use stagedoor_domain::{Provider, ToolName};
use stagedoor_testkit::{Stage, TestGateway};

use crate::music::{self, Music};

#[tokio::test]
async fn the_main_flows_pass_through_a_transaction_pooler() {
    let stage = Stage::start().await;
    let folder = stage.folder().join("pgbouncer");
    std::fs::create_dir(&folder).unwrap();
    let pooler = PrivatePgBouncer::start(&folder, stage.postgres(), &["stagedoor_app"]).await.unwrap();
    let gateway = TestGateway::start_with(&stage, |config| {
        config.storage.database_url = pooler.url_for("stagedoor", "stagedoor_app").into();
        config.storage.statement_cache = 0;
    })
    .await;
    let allowed = music::everything_allowed;
    let tenants = [stage.inhabit_with("ada", allowed()).await, stage.inhabit_with("bob", allowed()).await];
    let clients = tenants.each_ref().map(|tenant| music::client(&gateway, tenant));
    for (client, tenant) in clients.iter().zip(&tenants) {
        for provider in Provider::ALL {
            let music = Music::of_all_tools(&stage, client, *provider).await;
            for tool in ToolName::ALL.iter().filter(|tool| music::has(*provider, **tool)) {
                let arguments = match tool {
                    // One more account, so that the rest of the test finds its own.
                    ToolName::AccountUnlink => {
                        json!({ "account": tenant.tenant.link(tenant.user, *provider).await.id })
                    }
                    tool => music.arguments(*tool),
                };
                client.call(tool.as_str(), arguments).await;
            }
        }
    }
    // `accounts_list` reads the database each time: transactions of both tenants share server connections.
    let calls = (0..300).map(|number| {
        let (client, tenant) = (&clients[number % 2], &tenants[number % 2]);
        async move {
            let listed = client.call("accounts_list", json!({})).await;
            let ids: Vec<_> =
                listed["accounts"].as_array().unwrap().iter().map(|account| account["id"].clone()).collect();
            let own =
                |id: &serde_json::Value| tenant.accounts.values().any(|linked| *id == linked.id.to_string());
            assert!(ids.len() == 2 && ids.iter().all(own), "{}: {listed}", tenant.tenant.slug());
        }
    });
    futures_util::stream::iter(calls).buffer_unordered(16).collect::<Vec<()>>().await;
    gateway.flush_audit().await;
    for tenant in &tenants {
        let report = tenant.tenant.verify_chain().await;
        assert!(
            report.records >= 150 + 2 * ToolName::ALL.len() as u64 && report.faults.is_empty(),
            "{report:?}"
        );
    }
}
