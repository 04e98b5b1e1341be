//! Who a token's subject is: someone the tenant knows, someone new where the issuer may bring people, nobody who is being
//! erased, and never a person whom another issuer speaks for.

use std::time::Duration;

use serde_json::json;
use stagedoor_domain::issuer::UserProvisioning;
use stagedoor_testkit::{Stage, TestGateway, TestIssuer};

use super::{ALL_SCOPES, SUBJECT, knock, resource, welcome, welcome_with};

/// How often it is looked again, and for how long: replicas see a change within a second.
const LOOK: Duration = Duration::from_millis(50);
const PATIENCE: u32 = 200;

#[tokio::test]
async fn people_are_added_once_and_on_record_where_the_issuer_may() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let issuer = TestIssuer::start(stage.clock()).await;
    let ada = stage.inhabit("ada").await;
    ada.tenant
        .register(&issuer, |issuer| {
            issuer.provisioning = UserProvisioning::Create;
            issuer.subject_prefix = "corp:".to_owned();
            issuer.subject_claim = "employee".to_owned();
        })
        .await;
    let mut claims = issuer.claims(&resource(&gateway, "ada"), "an opaque number", ALL_SCOPES);
    claims["employee"] = json!("kim");
    let token = issuer.token(&claims);
    let calls = (0..10).map(|_| async { knock(&gateway.client("ada", &token)).await.verdict() });
    let verdicts = futures_util::future::join_all(calls).await;
    assert!(verdicts.iter().all(|verdict| verdict == "200 ok"), "{verdicts:?}");
    let people = stage.sql("SELECT external_subject FROM users WHERE external_subject IS NOT NULL").await;
    assert_eq!(people, "corp:kim");
    gateway.flush_audit().await;
    let added = ada.tenant.audit_trail().await;
    let added: Vec<_> = added
        .iter()
        .filter_map(stagedoor_audit::AuditView::json)
        .filter(|json| json["action"] == "person_add")
        .collect();
    assert!(!added.is_empty() && added.iter().all(|json| !json.to_string().contains("kim")), "{added:?}");
    assert_eq!(gateway.client("ada", &token).call("accounts_list", json!({})).await["accounts"], json!([]));
}

#[tokio::test]
async fn one_issuer_cannot_speak_for_anothers_people() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let (staff, guests) = (TestIssuer::start(stage.clock()).await, TestIssuer::start(stage.clock()).await);
    let ada = stage.inhabit("ada").await;
    ada.tenant.person_called("staff:kim").await;
    ada.tenant.person_called("kim").await;
    ada.tenant.register(&staff, |issuer| issuer.subject_prefix = "staff:".to_owned()).await;
    ada.tenant.register(&guests, |issuer| issuer.provisioning = UserProvisioning::Create).await;
    let verdict = async |issuer: &TestIssuer, subject: &str| {
        let token = issuer.token(&issuer.claims(&resource(&gateway, "ada"), subject, ALL_SCOPES));
        knock(&gateway.client("ada", &token)).await.verdict()
    };
    assert_eq!(verdict(&staff, "kim").await, "200 ok");
    assert_eq!(verdict(&guests, "kim").await, "200 ok");
    assert_eq!(verdict(&guests, "staff:kim").await, "401 unauthenticated", "that name belongs to the other");
    assert_eq!(verdict(&guests, "staff:new").await, "401 unauthenticated", "and so do new ones");
    assert_eq!(verdict(&staff, "new").await, "401 unauthenticated", "it may not bring people");
}

#[tokio::test]
async fn an_issuer_that_is_disabled_or_deleted_is_refused_within_a_second() {
    let stage = Stage::start().await;
    let replicas = [TestGateway::start(&stage).await, TestGateway::start(&stage).await];
    let issuer = TestIssuer::start(stage.clock()).await;
    let _ada = welcome(&stage, "ada", &issuer).await;
    let clients: Vec<_> = replicas
        .iter()
        .map(|replica| {
            let token = issuer.token(&issuer.claims(&resource(replica, "ada"), SUBJECT, ALL_SCOPES));
            replica.client("ada", &token)
        })
        .collect();
    let until = async |wanted: &str| {
        for client in &clients {
            let mut looks = 0;
            while knock(client).await.verdict() != wanted {
                looks += 1;
                assert!(looks < PATIENCE, "a replica never said {wanted}");
                tokio::time::sleep(LOOK).await;
            }
        }
    };
    until("200 ok").await;
    stage.sql("UPDATE issuers SET enabled = false").await;
    until("401 unauthenticated").await;
    stage.sql("UPDATE issuers SET enabled = true").await;
    until("200 ok").await;
    stage.sql("UPDATE issuers SET deleted_at = now()").await;
    until("401 unauthenticated").await;
}

#[tokio::test]
async fn whoever_is_being_erased_signs_in_no_more() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let issuer = TestIssuer::start(stage.clock()).await;
    let ada = welcome(&stage, "ada", &issuer).await;
    let token = issuer.token(&issuer.claims(&resource(&gateway, "ada"), SUBJECT, ALL_SCOPES));
    let client = gateway.client("ada", &token);
    assert_eq!(knock(&client).await.verdict(), "200 ok");
    // As `privacy_begin_erasure` does.
    stage
        .sql(&format!(
            "UPDATE users SET erasing_at = now() WHERE user_id = '{}'; UPDATE tenants SET updated_at = now()",
            ada.user
        ))
        .await;
    let mut looks = 0;
    while knock(&client).await.verdict() != "401 unauthenticated" {
        looks += 1;
        assert!(looks < PATIENCE, "someone who is being erased signs in");
        tokio::time::sleep(LOOK).await;
    }
}

#[tokio::test]
async fn a_job_that_a_token_began_is_done_for_its_person() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let issuer = TestIssuer::start(stage.clock()).await;
    let _ada = welcome_with(&stage, "ada", &issuer, crate::music::everything_allowed()).await;
    let token = issuer.token(&issuer.claims(&resource(&gateway, "ada"), SUBJECT, ALL_SCOPES));
    let client = gateway.client("ada", &token);
    client.call("playlist_create", json!({ "name": "Mine", "provider": "spotify" })).await;
    let listed = client.call("playlists_list", json!({ "provider": "spotify" })).await;
    let source = listed["playlists"].as_array().unwrap().iter().find(|one| one["name"] == "Mine");
    let source = source.expect("the playlist that was made")["ref"].clone();
    let begun = client.call("playlist_transfer", json!({ "ref": source, "to_provider": "tidal" })).await;
    let job = begun["job"].clone();
    let mut looks = 0;
    while stage.sql("SELECT state FROM jobs").await.trim() != "done" {
        looks += 1;
        assert!(looks < PATIENCE, "{}", stage.sql("SELECT state FROM jobs").await);
        tokio::time::sleep(LOOK).await;
    }
    let seen = client.call("job_get", json!({ "job": job })).await;
    assert_eq!(seen["job"], job, "{seen}");
    let moved = client.call("playlists_list", json!({ "provider": "tidal" })).await;
    assert!(moved.to_string().contains("Mine"), "{moved}");
}
