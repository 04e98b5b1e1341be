//! Who may do what, another tenant, and who goes.

use serde_json::json;
use stagedoor_keeper::Ending;
use stagedoor_keeper::jobs::retention::{Part, Retention};
use stagedoor_testkit::{Stage, TestGateway};

use super::{Band, COMMIT, GET, text};
use crate::music;

#[tokio::test]
async fn each_role_may_do_what_it_may_and_no_more() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let band = Band::form(&stage, &gateway, &ada).await;
    let put = band.add(0..4).await;
    let change = band.call(json!({ "action": "add", "tracks": [band.tracks[5]] })).await["change"].clone();
    let other = band.join(&gateway, "Zoe", None).await;
    let actions = [
        (json!({ "action": "vote", "items": [put[0]], "vote": 1 }), 1),
        (json!({ "action": "add", "tracks": [band.tracks[6]] }), 2),
        (json!({ "action": "reorder", "items": [put[1]] }), 2),
        (json!({ "action": "remove", "items": [put[3]] }), 2),
        (json!({ "action": "undo", "change": change }), 2),
        (json!({ "action": "lock" }), 3),
        (json!({ "action": "unlock" }), 3),
        (json!({ "action": "invite", "person": other.user, "role": "listener" }), 3),
        (json!({ "action": "end" }), 3),
    ];
    for (rank, role) in [None, Some("listener"), Some("voter"), Some("editor")].into_iter().enumerate() {
        let member = band.join(&gateway, role.unwrap_or("nobody"), role).await;
        let seen = member.client.tool(GET, json!({ "queue": band.queue })).await.code();
        assert_eq!(seen.as_deref(), role.is_none().then_some("queue_unknown"), "{role:?}");
        for (arguments, needs) in &actions {
            let code = band.code(&member.client, arguments.clone()).await;
            let wanted = match role {
                None => Some("queue_unknown"),
                Some(_) if rank - 1 < *needs => Some("queue_role_needed"),
                Some(_) => None,
            };
            assert_eq!(code.as_deref(), wanted, "{role:?} {arguments}");
        }
        if role.is_none() {
            let commit = json!({ "queue": band.queue, "player": true, "idempotency_key": "k" });
            assert_eq!(member.client.tool(COMMIT, commit).await.code().as_deref(), Some("queue_unknown"));
        }
    }
    let editor = band.join(&gateway, "Second editor", Some("editor")).await;
    band.call(json!({ "action": "lock" })).await;
    let locked = band.code(&editor.client, json!({ "action": "add", "tracks": [band.tracks[7]] })).await;
    assert_eq!(locked.as_deref(), Some("queue_locked"));
    band.call(json!({ "action": "unlock" })).await;
    band.call(json!({ "action": "invite", "person": editor.user, "role": "owner" })).await;
    assert_eq!(
        band.code(&band.owner, json!({ "action": "lock" })).await.as_deref(),
        Some("queue_role_needed")
    );
    assert_eq!(band.code(&editor.client, json!({ "action": "end" })).await, None);
    assert_eq!(band.code(&band.owner, json!({ "action": "leave" })).await.as_deref(), Some("queue_unknown"));
}

#[tokio::test]
async fn another_tenants_queue_is_not_there() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let (ada, bob) = (stage.inhabit("ada").await, stage.inhabit("bob").await);
    let band = Band::form(&stage, &gateway, &ada).await;
    let put = band.add(0..1).await;
    let thief = music::client(&gateway, &bob);
    for arguments in [
        json!({ "action": "add", "tracks": [band.tracks[1]] }),
        json!({ "action": "remove", "items": put }),
        json!({ "action": "vote", "items": put, "vote": 1 }),
        json!({ "action": "lock" }),
        json!({ "action": "invite", "person": bob.user, "role": "editor" }),
    ] {
        assert_eq!(band.code(&thief, arguments).await.as_deref(), Some("queue_unknown"));
    }
    let foreign = json!({ "action": "invite", "person": bob.user, "role": "editor" });
    assert_eq!(band.code(&band.owner, foreign).await.as_deref(), Some("object_unknown"));
    assert_eq!(band.order().await, put);
}

/// What the database does to each table when a person is erased.
async fn erase(stage: &Stage, tenant: &str, person: &str) {
    stage
        .sql(&format!(
            "BEGIN; SET LOCAL stagedoor.tenant_id = '{tenant}';
            SELECT privacy_delete_rows('{tenant}', '{person}', place, 500) FROM unnest(privacy_places()) AS place
            WHERE place LIKE 'shared_queue%';
            COMMIT"
        ))
        .await;
}

#[tokio::test]
async fn an_erased_persons_votes_and_name_go_and_the_queue_passes_on() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let band = Band::form(&stage, &gateway, &ada).await;
    let put = band.add(0..2).await;
    let alone = band.owner.call(super::EDIT, json!({ "action": "create", "name": "Alone" })).await;
    band.call(json!({ "action": "vote", "items": [put[0]], "vote": 1 })).await;
    let bea = band.join(&gateway, "Bea", Some("voter")).await;
    let (carl, _dan) =
        (band.join(&gateway, "Carl", Some("editor")).await, band.join(&gateway, "Dan", Some("editor")).await);
    let before = carl.client.call(GET, json!({ "queue": band.queue })).await;
    assert_eq!((&before["items"][0]["score"], before["items"][0]["added_by"].is_string()), (&json!(1), true));
    erase(&stage, &ada.tenant.id(), &ada.user.to_string()).await;
    let after = carl.client.call(GET, json!({ "queue": band.queue })).await;
    assert_eq!(after["queue"]["role"], "owner", "the editor who was in it longest");
    assert_eq!((&after["items"][0]["score"], after["items"][0].get("added_by")), (&json!(0), None));
    assert!(
        after["queue"]["version"].as_i64() > before["queue"]["version"].as_i64(),
        "whoever polls sees it"
    );
    assert_eq!(super::items(&after), put);
    let history = carl.client.call(GET, json!({ "queue": band.queue, "history": true })).await;
    assert!(history["changes"].as_array().unwrap().iter().all(|one| one.get("by").is_none()), "{history}");
    let left = format!("SELECT count(*) FROM shared_queues WHERE queue_id = '{}'", text(&alone["queue"]));
    assert_eq!(stage.sql(&left).await, "0", "nobody was left in it");
    let said = bea.client.call(GET, json!({ "queue": band.queue })).await.to_string();
    assert!(!said.contains(&ada.user.to_string()), "{said}");
}

#[tokio::test]
async fn idle_queues_end() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let (old, young) = (Band::form(&stage, &gateway, &ada).await, Band::form(&stage, &gateway, &ada).await);
    for (band, days) in [(&old, 181), (&young, 179)] {
        let age = format!(
            "UPDATE shared_queues SET changed_at = now() - interval '{days} days' WHERE queue_id = '{}'",
            band.queue
        );
        band.stage.sql(&age).await;
    }
    let ended = stage.keep(&Retention::of(Part::Daily)).await;
    assert_eq!(ended.ending, Ending::Succeeded, "{ended:?}");
    assert_eq!(stage.sql("SELECT queue_id FROM shared_queues").await, young.queue);
}
