//! The database is away: no tool that changes something does anything, and says so; reads whose records were promised are
//! on record afterwards.

use std::time::Duration;

use serde_json::json;
use stagedoor_domain::{Provider, ToolName};
use stagedoor_testkit::proof::{ProofSize, prove, prove_equal, remark};
use stagedoor_testkit::{FaultProxy, Stage, TestGateway, Weather};

use crate::music::{self, Music};

#[tokio::test]
async fn while_the_database_is_away_nothing_is_changed() {
    let rounds: u64 = ProofSize::wanted().of(2, 20);
    let stage = Stage::start().await;
    let postgres = FaultProxy::to(([127, 0, 0, 1], stage.postgres().port()).into()).await;
    let gateway = TestGateway::start_with(&stage, |config| {
        config.storage.database_url = stage.database_url_at(postgres.address()).into();
        config.storage.acquire_timeout_ms = 500;
        config.cache.prefetch = false;
    })
    .await;
    let ada = stage.inhabit_with("ada", music::everything_allowed()).await;
    let client = music::client(&gateway, &ada);
    let music = Music::of_all_tools(&stage, &client, Provider::Spotify).await;
    let changing: Vec<(ToolName, serde_json::Value)> = ToolName::ALL
        .iter()
        .filter(|tool| tool.writes())
        .map(|tool| match tool {
            ToolName::AccountUnlink => (*tool, json!({ "account": ada.account(Provider::Tidal).id })),
            tool => (*tool, music.arguments(*tool)),
        })
        .collect();
    gateway.settle().await;
    gateway.flush_audit().await;
    let before = ada.tenant.audit_trail().await.len();

    let (mut refused, mut otherwise, mut effects, mut reads) = (0_u64, 0_u64, 0_u64, 0_u64);
    for round in 0..rounds {
        let known = json!({ "ref": music.track });
        client.call("track_get", known.clone()).await;
        postgres.set(if round % 2 == 0 { Weather::Broken } else { Weather::Silent });
        stage.sandbox().reset_requests();
        for (tool, arguments) in &changing {
            let answer = client.tool(tool.as_str(), arguments.clone()).await;
            if answer.code().as_deref() == Some("audit_unavailable") {
                refused += 1;
            } else {
                otherwise += 1;
                remark(format_args!("{tool}: {}", answer.text()));
            }
            effects += stage.sandbox().request_log().len() as u64;
            stage.sandbox().reset_requests();
        }
        // A read that needs nothing else is answered; its record waits for the database.
        reads += u64::from(client.tool("track_get", known).await.verdict() == "200 ok");
        postgres.set(Weather::Broken);
        postgres.set(Weather::Fair);
        // The first tries may meet a connection that has not noticed yet.
        while client
            .tool("preferences_set", music.arguments(ToolName::PreferencesSet))
            .await
            .code()
            .as_deref()
            == Some("audit_unavailable")
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    gateway.flush_audit().await;
    let trail = ada.tenant.audit_trail().await.split_off(before);
    let recorded = trail.iter().filter(|view| view.json().unwrap()["action"] == "track_get").count() as u64;
    prove(
        "audit.changes_refused_without_database",
        refused,
        format_args!("={}", rounds * changing.len() as u64),
        otherwise == 0,
    );
    prove_equal("audit.requests_to_services_without_database", effects, 0);
    prove("audit.reads_answered_without_database", reads, ">0", reads > 0);
    prove_equal("audit.reads_of_the_outage_not_on_record", rounds + reads - recorded.min(rounds + reads), 0);
    prove_equal("audit.records_dropped_by_the_outage", gateway.metric("audit_dropped").await, 0);
    prove_equal(
        "audit.chain_faults_after_the_outage",
        ada.tenant.verify_chain().await.faults.len() as u64,
        0,
    );
}
