//! Changes of playlists that were cut off, or that others interfered with: nothing is lost, doubled or vouched for that
//! nobody read.

use std::time::Duration;

use serde_json::json;
use stagedoor_domain::Provider;
use stagedoor_sandbox::{Effect, FaultRule};

use crate::playlist_scene::{Scene, at_both, error};

/// What a request meets that writes entries.
fn fails(scene: &Scene<'_>, method: &str, effect: Effect) {
    let path = match scene.provider {
        Provider::Spotify => "/playlists/{id}/items",
        Provider::Tidal => "/playlists/{id}/relationships/items",
    };
    let rule = FaultRule::new(scene.provider, effect).operation(&format!("{method} {path}"));
    scene.stage.sandbox().faults().push(rule);
}

#[tokio::test]
async fn what_is_left_of_taking_out_duplicates_is_done_by_the_same_call() {
    at_both(async |scene| {
        if scene.provider != Provider::Spotify {
            return;
        }
        // All of an equal name go out at once, and one comes back; or everything is written anew.
        let first: Vec<usize> = (0..120).chain([0]).chain(120..130).collect();
        let second: Vec<usize> = (0..150).chain((0..150).step_by(7)).collect();
        for (name, numbers, once) in [("put-back", first, 130), ("rewritten", second, 150)] {
            scene.change_elsewhere(&numbers);
            fails(&scene, "POST", Effect::status(503));
            let call = json!({ "idempotency_key": name });
            let failed = scene.tool("playlist_dedupe", call.clone()).await;
            assert_ne!(failed.verdict(), "200 ok", "{name}: {}", failed.text());
            scene.stage.sandbox().faults().clear();
            let done = scene.call("playlist_dedupe", call).await;
            assert_eq!(done["count"], once, "{name}: {done}");
            assert_eq!(scene.held(), scene.named(&(0..once).collect::<Vec<_>>()), "{name}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_lost_replacement_does_not_write_over_what_the_person_did_since() {
    at_both(async |scene| {
        scene.add(&[0, 1, 2, 3]).await;
        let method = if scene.provider == Provider::Spotify { "PUT" } else { "POST" };
        let lost = async |name: &str, to: &[usize]| {
            let call = json!({ "tracks": scene.named(to), "idempotency_key": scene.key(name) });
            for method in [method, "POST", "DELETE"] {
                fails(&scene, method, Effect::CloseConnection);
            }
            assert_ne!(scene.tool("playlist_replace", call.clone()).await.verdict(), "200 ok");
            scene.stage.sandbox().faults().clear();
            call
        };
        let call = lost("over", &[10, 11, 12]).await;
        let theirs = [0, 1, 2, 3, 20, 21, 22];
        scene.change_elsewhere(&theirs);
        let refused = scene.tool("playlist_replace", call).await;
        assert_eq!(refused.verdict(), "200 conflict", "{}", refused.text());
        assert_eq!(error(&refused)["details"]["changed"]["added"], 3, "{}", refused.text());
        assert_eq!(scene.held(), scene.named(&theirs));
        // Nobody did anything since: it is done now.
        let call = lost("alone", &[10, 11, 12]).await;
        scene.call("playlist_replace", call).await;
        assert_eq!(scene.held(), scene.named(&[10, 11, 12]));
        // Neither is a new name lost.
        let call = lost("named", &[13]).await;
        scene.call("playlist_update", json!({ "name": "Theirs" })).await;
        assert_eq!(scene.tool("playlist_replace", call).await.verdict(), "200 conflict");
    })
    .await;
}

#[tokio::test]
async fn a_list_that_nobody_read_is_not_vouched_for() {
    at_both(async |scene| {
        for length in [10, 120_usize] {
            let numbers: Vec<usize> = (0..length).collect();
            scene.change_elsewhere(&numbers);
            let seen = scene.call("playlist_versions", json!({ "limit": 1 })).await["versions"][0].clone();
            let before = scene.writes();
            fails(&scene, "POST", Effect::Delay { milliseconds: 2_000 });
            let add = json!({ "tracks": scene.named(&[130]), "expected_version": seen["version"] });
            // The person moves the last one to the front while the request is on its way.
            let mut theirs = numbers.clone();
            theirs.rotate_right(1);
            let meanwhile = async {
                while scene.writes() == before {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                scene.change_elsewhere(&theirs);
            };
            let (added, ()) = tokio::join!(scene.tool("playlist_add", add), meanwhile);
            scene.stage.sandbox().faults().clear();
            assert_eq!(added.verdict(), "200 ok", "{}", added.text());
            let told = added.text().contains("does not hold what was written");
            assert_eq!(told, length == 10, "only a short one is read at once: {}", added.text());
            let version = added.result()["structuredContent"]["version"].clone();
            let remove = json!({ "positions": [0], "expected_version": version });
            let refused = scene.tool("playlist_remove", remove).await;
            assert_eq!(refused.verdict(), "200 conflict", "{}", refused.text());
            theirs.push(130);
            assert_eq!(scene.held(), scene.named(&theirs));
            let removed = scene.call("playlist_remove", json!({ "positions": [0] })).await;
            assert_eq!(removed["changes"][0]["refs"], json!(scene.named(&[length - 1])), "{removed}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_undo_takes_back_the_whole_of_what_was_done_in_two_goes() {
    at_both(async |scene| {
        scene.add(&[140]).await;
        let all: Vec<usize> = (0..130).collect();
        scene.second_batch(Effect::status(400), false);
        let call = json!({ "tracks": scene.named(&all), "idempotency_key": scene.key("goes") });
        assert_eq!(scene.tool("playlist_add", call.clone()).await.verdict(), "200 partly_done");
        scene.stage.sandbox().faults().clear();
        let first = scene.tool("playlist_add", call.clone()).await;
        let again = scene.tool("playlist_add", call).await;
        let text = |answer: &stagedoor_testkit::Answer| answer.result()["content"][0]["text"].clone();
        assert_eq!(text(&first), text(&again), "word for word, in the same order");
        scene.call("playlist_undo", json!({})).await;
        assert_eq!(scene.held(), scene.named(&[140]));
    })
    .await;
}
