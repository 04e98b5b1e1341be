//! Changes of a queue: what each does, what it needs, and how it is undone.

use futures_util::future::join_all;
use serde_json::json;
use stagedoor_domain::{Provider, QueueLimits, TenantSettings};
use stagedoor_sandbox::{Effect, FaultRule};
use stagedoor_testkit::{Stage, TestGateway, generous};

use super::{Band, EDIT, GET, items, text, texts};
use crate::music;

#[tokio::test]
async fn a_queue_is_filled_moved_voted_on_and_undone() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let band = Band::form(&stage, &gateway, &ada).await;
    let first = band.add(0..3).await;
    let shown = band.get().await;
    assert_eq!(items(&shown), first);
    assert!(shown["items"][0]["track"]["title"].is_string(), "{shown}");
    assert_eq!((&shown["queue"]["role"], &shown["queue"]["count"]), (&json!("owner"), &json!(3)));

    let moved = band.call(json!({ "action": "reorder", "items": [first[2]], "before": first[0] })).await;
    let by_hand = [&first[2], &first[0], &first[1]].map(String::clone);
    assert_eq!(band.order().await, by_hand);
    let removed = band.call(json!({ "action": "remove", "items": [first[0], first[1]] })).await;
    assert_eq!(band.order().await, [first[2].clone()]);
    band.call(json!({ "action": "undo", "change": removed["change"] })).await;
    assert_eq!(band.order().await, by_hand, "they are where they were");
    let undone = band.call(json!({ "action": "undo", "change": moved["change"] })).await;
    assert_eq!(band.order().await, first);
    band.call(json!({ "action": "undo", "change": undone["change"] })).await;
    assert_eq!(band.order().await, by_hand, "undoing is a change too");

    let vote = json!({ "action": "vote", "items": [first[1]], "vote": 1 });
    let (one, two) = (band.call(vote.clone()).await, band.call(vote).await);
    assert_eq!(one["version"], two["version"], "twice is once");
    let shown = band.get().await;
    assert_eq!((&shown["items"][2]["score"], &shown["items"][2]["own_vote"]), (&json!(1), &json!(1)));
    let same = json!({ "queue": band.queue, "since_version": shown["queue"]["version"] });
    let unchanged = band.owner.call(GET, same).await;
    assert!(unchanged["changed"] == false && unchanged.get("items").is_none(), "{unchanged}");

    let history = band.owner.call(GET, json!({ "queue": band.queue, "history": true })).await;
    let actions: Vec<&str> =
        history["changes"].as_array().unwrap().iter().map(|one| one["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["undo", "undo", "undo", "remove", "reorder", "add", "create"]);
    assert_eq!(history["changes"][3]["undone_by"], history["changes"][2]["change"]);
    let listed = band.owner.call(GET, json!({})).await;
    assert_eq!(listed["queues"][0]["name"], "Friday");
}

#[tokio::test]
async fn what_cannot_be_done_is_said_and_changes_nothing() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let queues = QueueLimits { per_person: 2, items: 4, members: 2 };
    let ada = stage.inhabit_with("ada", TenantSettings { queues, ..generous() }).await;
    let band = Band::form(&stage, &gateway, &ada).await;
    let put = band.add(0..3).await;
    let before = band.get().await;
    let owner = &band.owner;
    let code = async |arguments| band.code(owner, arguments).await.unwrap_or_default();
    let another = "00000000-0000-0000-0000-000000000001";
    assert_eq!(code(json!({ "action": "add", "tracks": band.tracks[3..5] })).await, "queue_full");
    assert_eq!(
        code(json!({ "action": "add", "tracks": ["spotify:track:0000000000000000000000"] })).await,
        "item_not_found"
    );
    assert_eq!(
        code(json!({ "action": "add", "tracks": [band.tracks[4]], "before": another })).await,
        "queue_item_unknown"
    );
    assert_eq!(code(json!({ "action": "remove", "items": [put[0], another] })).await, "queue_item_unknown");
    assert_eq!(
        code(json!({ "action": "remove", "items": [put[0]], "expected_version": 1 })).await,
        "conflict"
    );
    assert_eq!(code(json!({ "action": "undo", "change": 1 })).await, "version_unknown");
    assert_eq!(code(json!({ "action": "undo", "change": 99 })).await, "version_unknown");
    assert_eq!(code(json!({ "action": "vote", "items": [put[0]], "vote": 2 })).await, "invalid_arguments");
    assert_eq!(
        code(json!({ "action": "invite", "person": "nobody", "role": "voter" })).await,
        "object_unknown"
    );
    assert_eq!(code(json!({ "action": "add" })).await, "invalid_arguments");
    assert_eq!(band.get().await, before);
    owner.call(EDIT, json!({ "action": "create", "name": "Second" })).await;
    let third = owner.tool(EDIT, json!({ "action": "create", "name": "Third" })).await;
    assert!(
        third.code().as_deref() == Some("queue_full") && third.text().contains("is 2"),
        "{}",
        third.text()
    );
    band.join(&gateway, "Bea", Some("voter")).await;
    let eve = band.join(&gateway, "Eve", None).await;
    assert_eq!(code(json!({ "action": "invite", "person": eve.user, "role": "voter" })).await, "queue_full");
}

#[tokio::test]
async fn a_repeated_key_does_nothing_twice() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let band = Band::form(&stage, &gateway, &ada).await;
    let create = json!({ "action": "create", "name": "Once", "idempotency_key": "create" });
    let made = join_all((0..4).map(|_| band.owner.tool(EDIT, create.clone()))).await;
    for answer in made {
        assert!(answer.code().is_none_or(|code| code == "idempotency_underway"), "{}", answer.text());
    }
    let listed = band.owner.call(GET, json!({})).await;
    assert_eq!(listed["queues"].as_array().unwrap().len(), 2, "{listed}");
    let add = json!({ "action": "add", "tracks": band.tracks[..2], "idempotency_key": "add" });
    let (one, two) = (band.call(add.clone()).await, band.call(add).await);
    assert_eq!(one["items"], two["items"]);
    assert_eq!(band.order().await, texts(&one["items"]));
    let other = json!({ "action": "add", "tracks": band.tracks[2..3], "idempotency_key": "add" });
    assert_eq!(band.code(&band.owner, other).await.as_deref(), Some("idempotency_mismatch"));
}

#[tokio::test]
async fn of_two_who_undo_the_same_one_does() {
    let stage = Stage::start().await;
    let gateways = [TestGateway::start(&stage).await, TestGateway::start(&stage).await];
    let ada = stage.inhabit("ada").await;
    let band = Band::form(&stage, &gateways[0], &ada).await;
    let kept = band.add(0..1).await;
    let added = band.call(json!({ "action": "add", "tracks": band.tracks[1..3] })).await;
    let clients = gateways.each_ref().map(|gateway| music::client(gateway, &ada));
    let undo = json!({ "action": "undo", "change": added["change"] });
    let (one, two) = tokio::join!(band.code(&clients[0], undo.clone()), band.code(&clients[1], undo));
    let mut codes = [one, two];
    codes.sort();
    assert_eq!(codes, [None, Some("conflict".to_owned())]);
    assert_eq!(band.order().await, kept);
}

#[tokio::test]
async fn what_someone_did_since_is_not_undone_along() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let band = Band::form(&stage, &gateway, &ada).await;
    let put = band.add(0..3).await;
    let first = band.call(json!({ "action": "reorder", "items": [put[2]], "before": put[0] })).await;
    band.call(json!({ "action": "reorder", "items": [put[2]], "before": put[1] })).await;
    let undo = json!({ "action": "undo", "change": first["change"] });
    assert_eq!(band.code(&band.owner, undo).await.as_deref(), Some("conflict"));
    assert_eq!(band.order().await, [&put[0], &put[2], &put[1]].map(String::clone));
}

#[tokio::test]
async fn a_queue_by_votes_shows_the_most_wanted_first() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let band = Band::with(&stage, &gateway, &ada, json!({ "by_votes": true })).await;
    let put = band.add(0..3).await;
    let bea = band.join(&gateway, "Bea", Some("voter")).await;
    for (client, item, vote) in
        [(&band.owner, &put[2], 1), (&bea.client, &put[2], 1), (&bea.client, &put[0], -1)]
    {
        let voted = band.tool(client, json!({ "action": "vote", "items": [item], "vote": vote })).await;
        assert_eq!(voted.code(), None, "{}", voted.text());
    }
    assert_eq!(band.order().await, [&put[2], &put[1], &put[0]].map(String::clone));
    let by_hand = json!({ "action": "reorder", "items": [put[0]] });
    assert_eq!(band.code(&band.owner, by_hand).await.as_deref(), Some("conflict"));
    band.call(json!({ "action": "invite", "person": bea.user, "role": "none" })).await;
    assert_eq!(band.order().await, [&put[2], &put[0], &put[1]].map(String::clone), "votes go with the voter");
}

#[tokio::test]
async fn a_queue_is_edited_while_the_service_is_down() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let band = Band::form(&stage, &gateway, &ada).await;
    for provider in Provider::ALL {
        stage
            .sandbox()
            .faults()
            .push(FaultRule::new(*provider, Effect::Status { status: 503, retry_after: None }));
    }
    let put = band.add(0..2).await;
    band.call(json!({ "action": "reorder", "items": [put[1]], "before": put[0] })).await;
    band.call(json!({ "action": "vote", "items": [put[1]], "vote": 1 })).await;
    let shown = band.get().await;
    assert_eq!(items(&shown), [put[1].clone(), put[0].clone()]);
    assert!(shown["items"][0].get("track").is_none() && shown["items"][0]["ref"].is_string(), "{shown}");
    stage.sandbox().faults().clear();
    let caught_up = async {
        loop {
            let shown = band.get().await;
            if shown["items"].as_array().unwrap().iter().all(|item| item["track"].is_object()) {
                return shown;
            }
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    };
    let shown = tokio::time::timeout(std::time::Duration::from_mins(2), caught_up).await.unwrap();
    assert_eq!(text(&shown["items"][1]["track"]["ref"]), band.tracks[0]);
}

#[tokio::test]
async fn services_are_not_mixed_unless_the_tenant_may() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let (ada, bob) =
        (stage.inhabit("ada").await, stage.inhabit_with("bob", music::everything_allowed()).await);
    let tidal = format!("tidal:track:{}", music::known_tracks(&stage, Provider::Tidal)[0].id);
    for (who, wanted) in [(&ada, Some("policy_gate_closed")), (&bob, None)] {
        let band = Band::form(&stage, &gateway, who).await;
        band.add(0..1).await;
        let code = band.code(&band.owner, json!({ "action": "add", "tracks": [tidal] })).await;
        assert_eq!(code.as_deref(), wanted);
        assert_eq!(band.order().await.len(), if wanted.is_some() { 1 } else { 2 });
    }
}
