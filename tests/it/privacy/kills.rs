//! Replicas that die in the middle of a deletion: whoever is left ends it, once.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use stagedoor_domain::Provider;
use stagedoor_sandbox::{Effect, FaultRule};
use stagedoor_testkit::{GatewayProcess, Stage, TestTenant};

use super::held::Held;
use super::{REVOKE, confirm_deletion, keys, lines, live, reached, receipt, state};

/// A state, and a table without which a deletion cannot leave it.
const STEPS: [(&str, &str); 3] =
    [("revoked", "consents"), ("erased", "erasure_tombstones"), ("key_destroyed", "signing_keys")];

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_outlives_the_replica_that_dies_while_it_tells_the_provider() {
    let stage = Stage::start().await;
    let mut doomed = GatewayProcess::start(&stage, "doomed", &[]).await;
    let ada = stage.inhabit("ada").await;
    live(&doomed.client("ada", &ada.key), &stage, &ada, "Lost").await;
    let hold = FaultRule::new(Provider::Tidal, Effect::Hold).path_prefix(REVOKE);
    stage.sandbox().faults().push(hold);
    let page = confirm_deletion(&doomed.client("ada", &ada.key)).await;
    // The grant is claimed before the provider is told.
    let told = "SELECT count(*) FROM provider_sessions JOIN linked_accounts USING (tenant_id, account_id)
        WHERE provider = 'tidal' AND refresh_claimed_until > clock_timestamp()";
    while stage.sql(told).await.trim() == "0" {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    doomed.kill().await;
    stage.sandbox().faults().clear();
    assert_eq!(state(&stage, "erasure").await, "verified");
    finish(&stage, &ada.tenant, &page, doomed.address()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_outlives_replicas_that_die_in_each_later_step() {
    let stage = Arc::new(Stage::start().await);
    let mut replica = GatewayProcess::start(&stage, "first", &[]).await;
    let ada = stage.inhabit("ada").await;
    live(&replica.client("ada", &ada.key), &stage, &ada, "Found").await;
    // It waits for the provider until the table of its first later step is held.
    stage.sandbox().faults().push(FaultRule::new(Provider::Tidal, Effect::Hold).path_prefix(REVOKE));
    let page = confirm_deletion(&replica.client("ada", &ada.key)).await;
    let born_at = replica.address();
    for (number, (wanted, table)) in STEPS.into_iter().enumerate() {
        let held = Held::take(&stage, table).await;
        if number == 0 {
            stage.sandbox().faults().clear();
        } else {
            release_claim(&stage).await;
            replica = GatewayProcess::start(&stage, &format!("replica-{number}"), &[]).await;
        }
        reached(&stage, "erasure", wanted).await;
        held.is_waited_for().await;
        replica.kill().await;
        assert_eq!(state(&stage, "erasure").await, wanted);
        held.release().await;
    }
    finish(&stage, &ada.tenant, &page, born_at).await;
}

/// Another replica ends it; nothing is lost, and nothing is counted twice.
async fn finish(stage: &Stage, tenant: &TestTenant<'_>, page: &url::Url, born_at: SocketAddr) {
    release_claim(stage).await;
    let heir = GatewayProcess::start(stage, "heir", &[]).await;
    reached(stage, "erasure", "done").await;
    // The address is the dead replica's; people reach replicas behind one name.
    let at_heir = page.as_str().replace(&born_at.to_string(), &heir.address().to_string());
    let file = receipt(&at_heir.parse().unwrap()).await;
    let told = lines(&file, &keys(stage, tenant).await);
    let rows = &told[1]["deleted"]["rows"];
    assert_eq!((rows["users"].as_u64(), rows["linked_accounts"].as_u64()), (Some(1), Some(2)), "{rows}");
    assert_eq!(stage.sql("SELECT count(*) FROM users").await.trim(), "0");
    let chain = tenant.verify_chain().await;
    assert!(chain.faults.is_empty(), "{chain:?}");
}

/// Ends the dead replica's claim, which would end by itself in half a minute.
async fn release_claim(stage: &Stage) {
    stage.sql("UPDATE privacy_requests SET due_at = clock_timestamp() WHERE due_at IS NOT NULL").await;
}
