//! Changing playlists through the front door: each tool, what would be done, versions that are expected, keys that make
//! a call happen once, failures half-way, undoing, and what was changed elsewhere. At both services.

use serde_json::json;
use stagedoor_domain::Provider;
use stagedoor_sandbox::{Effect, FaultRule};

use crate::playlist_scene::{at_both, error};

#[tokio::test]
async fn each_tool_makes_the_service_hold_what_it_says() {
    at_both(async |scene| {
        let added = scene.add(&[0, 1, 2, 3, 4]).await;
        assert_eq!((&added["added"], &added["count"], &added["version"]), (&json!(5), &json!(5), &json!(2)));
        let added = scene.call("playlist_add", json!({ "tracks": scene.named(&[0]), "position": 2 })).await;
        assert_eq!(added["changes"][0]["position"], 2, "{added}");
        assert_eq!(scene.held(), scene.named(&[0, 1, 0, 2, 3, 4]));
        let moved = scene.call("playlist_reorder", json!({ "start": 3, "length": 2, "before": 0 })).await;
        assert_eq!(scene.held(), scene.named(&[2, 3, 0, 1, 0, 4]), "{moved}");
        let removed = scene.call("playlist_remove", json!({ "positions": [4] })).await;
        assert_eq!((&removed["removed"], scene.held()), (&json!(1), scene.named(&[2, 3, 0, 1, 4])));
        let removed = scene.call("playlist_remove", json!({ "tracks": scene.named(&[2, 9]) })).await;
        assert_eq!(removed["skipped"][0]["reason"], "not_in_playlist", "{removed}");
        assert_eq!(scene.held(), scene.named(&[3, 0, 1, 4]));
        let replaced = scene.call("playlist_replace", json!({ "tracks": scene.named(&[5, 3, 6, 5]) })).await;
        assert_eq!((&replaced["count"], scene.held()), (&json!(4), scene.named(&[5, 3, 6, 5])));
        let deduped = scene.call("playlist_dedupe", json!({})).await;
        assert_eq!((&deduped["removed"], scene.held()), (&json!(1), scene.named(&[5, 3, 6])));
        let change = json!({ "name": "Road II", "description": "Southward", "public": true });
        let updated = scene.call("playlist_update", change).await;
        assert_eq!(updated["head"].as_array().unwrap().len(), 3, "{updated}");
        let read = scene.call("playlist_get", json!({})).await;
        assert_eq!(
            (&read["playlist"]["name"], &read["playlist"]["description"]),
            (&json!("Road II"), &json!("Southward"))
        );
        let emptied = scene.call("playlist_replace", json!({ "tracks": [] })).await;
        assert_eq!((&emptied["removed"], scene.held()), (&json!(3), vec![]));
        let deleted = scene.call("playlist_delete", json!({})).await;
        assert_eq!((&deleted["deleted"], &deleted["name"]), (&json!(true), &json!("Road II")));
        let listed = scene.client.call("playlists_list", json!({ "provider": scene.provider })).await;
        assert_eq!(listed["playlists"], json!([]));
    })
    .await;
}

#[tokio::test]
async fn a_dry_run_tells_the_exact_effect_and_sends_nothing() {
    at_both(async |scene| {
        scene.add(&[0, 1, 2, 1]).await;
        let held = scene.held();
        scene.stage.sandbox().reset_requests();
        let calls = [
            ("playlist_add", json!({ "tracks": scene.named(&[1, 5]), "skip_duplicates": true })),
            ("playlist_remove", json!({ "tracks": scene.named(&[1]) })),
            ("playlist_reorder", json!({ "start": 3, "before": 0 })),
            ("playlist_replace", json!({ "tracks": scene.named(&[7, 8]) })),
            ("playlist_dedupe", json!({})),
            ("playlist_undo", json!({})),
            ("playlist_update", json!({ "name": "Other" })),
            ("playlist_delete", json!({})),
        ];
        for (tool, arguments) in calls {
            let mut dry = arguments.clone();
            dry["dry_run"] = true.into();
            dry["idempotency_key"] = format!("dry-{}", scene.provider).into();
            let told = scene.call(tool, dry).await;
            assert_eq!((scene.writes(), scene.held()), (0, held.clone()), "{tool}: {told}");
            if tool == "playlist_add" {
                let change = json!([{ "change": "added", "position": 4, "refs": scene.named(&[5]) }]);
                assert_eq!(
                    (&told["changes"], &told["count_before"], &told["count"]),
                    (&change, &json!(4), &json!(5))
                );
                assert_eq!(told["skipped"], json!([{ "ref": scene.tracks[1], "reason": "duplicate" }]));
            }
            if tool == "playlist_dedupe" {
                let change = json!([{ "change": "removed", "position": 3, "refs": scene.named(&[1]) }]);
                assert_eq!((&told["changes"], &told["dry_run"]), (&change, &json!(true)));
            }
        }
    })
    .await;
}

#[tokio::test]
async fn an_edit_for_another_version_is_refused_with_what_changed() {
    at_both(async |scene| {
        let added = scene.add(&[0, 1, 2]).await;
        scene.change_elsewhere(&[0, 3, 2]);
        for expected in
            [added["version"].clone(), json!(added["version"].to_string()), added["provider_version"].clone()]
        {
            let stale = json!({ "tracks": scene.named(&[5]), "expected_version": expected });
            let refused = scene.tool("playlist_add", stale).await;
            assert_eq!(refused.verdict(), "200 conflict", "{}", refused.text());
            let changed = &error(&refused)["details"]["changed"];
            assert_eq!((&changed["added"], &changed["removed"]), (&json!(1), &json!(1)), "{changed}");
            assert!(refused.message().contains("1 added, 1 removed"), "{}", refused.message());
        }
        assert_eq!(scene.held(), scene.named(&[0, 3, 2]));
        let versions = scene.call("playlist_versions", json!({ "limit": 1 })).await;
        assert_eq!(versions["versions"][0]["cause"], "elsewhere", "{versions}");
        let fits =
            json!({ "tracks": scene.named(&[5]), "expected_version": versions["versions"][0]["version"] });
        scene.call("playlist_add", fits).await;
        assert_eq!(scene.held(), scene.named(&[0, 3, 2, 5]));
    })
    .await;
}

#[tokio::test]
async fn a_key_makes_a_call_happen_once() {
    at_both(async |scene| {
        let call = json!({ "tracks": scene.named(&[0, 1]), "idempotency_key": scene.key("once") });
        let first = scene.call("playlist_add", call.clone()).await;
        let again = scene.tool("playlist_add", call).await;
        assert_eq!(again.result()["structuredContent"]["changes"], first["changes"], "{}", again.text());
        assert!(again.text().contains("nothing was done now"), "{}", again.text());
        assert_eq!(scene.held(), scene.named(&[0, 1]));
        let other = json!({ "tracks": scene.named(&[2]), "idempotency_key": scene.key("once") });
        assert_eq!(scene.tool("playlist_add", other).await.verdict(), "200 idempotency_mismatch");
        // What was refused before anything was done leaves the key free.
        let refused =
            json!({ "tracks": scene.named(&[2]), "position": 9, "idempotency_key": scene.key("twice") });
        assert_eq!(scene.tool("playlist_add", refused).await.verdict(), "200 invalid_arguments");
        let corrected =
            json!({ "tracks": scene.named(&[2]), "position": 0, "idempotency_key": scene.key("twice") });
        scene.call("playlist_add", corrected).await;
        assert_eq!(scene.held(), scene.named(&[2, 0, 1]));
        let create =
            json!({ "name": "One", "provider": scene.provider, "idempotency_key": scene.key("make") });
        let made = scene.client.call("playlist_create", create.clone()).await;
        let same = scene.client.call("playlist_create", create).await;
        assert_eq!(made["playlist"]["ref"], same["playlist"]["ref"]);
    })
    .await;
}

#[tokio::test]
async fn a_write_that_fails_half_way_says_what_was_done_and_goes_on() {
    at_both(async |scene| {
        let all: Vec<usize> = (0..130).collect();
        scene.add(&[140]).await;
        scene.second_batch(Effect::status(400), false);
        let call = json!({ "tracks": scene.named(&all), "idempotency_key": scene.key("long") });
        let partly = scene.tool("playlist_add", call.clone()).await;
        assert_eq!(partly.verdict(), "200 partly_done", "{}", partly.text());
        let details = error(&partly)["details"].clone();
        let batch = if scene.provider == Provider::Spotify { 100 } else { 50 };
        assert_eq!(
            (&details["done"]["added"], &details["remaining"]["added"]),
            (&json!(batch), &json!(130 - batch))
        );
        assert_eq!((scene.held().len(), &details["version"]), (1 + batch, &json!(3)));
        scene.stage.sandbox().faults().clear();
        let done = scene.call("playlist_add", call.clone()).await;
        assert_eq!((&done["added"], &done["count"]), (&json!(130), &json!(131)), "{done}");
        assert_eq!(scene.held(), [scene.named(&[140]), scene.named(&all)].concat());
        let again = scene.call("playlist_add", call).await;
        assert_eq!((again["added"].clone(), scene.held().len()), (json!(130), 131));
        // Without a key: back to where it began.
        scene.second_batch(Effect::status(400), false);
        let partly = scene.tool("playlist_add", json!({ "tracks": scene.named(&all) })).await;
        let before = error(&partly)["details"]["version_before"].clone();
        scene.stage.sandbox().faults().clear();
        scene.call("playlist_undo", json!({ "to_version": before })).await;
        assert_eq!(scene.held(), [scene.named(&[140]), scene.named(&all)].concat());
    })
    .await;
}

#[tokio::test]
async fn a_call_that_was_cut_off_does_not_go_on_over_what_others_changed() {
    at_both(async |scene| {
        let all: Vec<usize> = (0..130).collect();
        scene.second_batch(Effect::status(400), false);
        let call = json!({ "tracks": scene.named(&all), "idempotency_key": scene.key("long") });
        assert_eq!(scene.tool("playlist_add", call.clone()).await.verdict(), "200 partly_done");
        scene.stage.sandbox().faults().clear();
        scene.change_elsewhere(&[7, 8]);
        let refused = scene.tool("playlist_add", call).await;
        assert_eq!(refused.verdict(), "200 conflict", "{}", refused.text());
        assert_eq!(scene.held(), scene.named(&[7, 8]));
    })
    .await;
}

#[tokio::test]
async fn a_lost_answer_is_not_repeated_where_that_could_do_it_twice() {
    at_both(async |scene| {
        let rule =
            FaultRule::new(scene.provider, Effect::CloseConnection).path_prefix("/playlists").after_work();
        let operation = match scene.provider {
            Provider::Spotify => "POST /playlists/{id}/items",
            Provider::Tidal => "POST /playlists/{id}/relationships/items",
        };
        scene.stage.sandbox().faults().push(rule.operation(operation));
        // Two calls of which nobody knows what became: of one the work is done, of the other it is not.
        let call = json!({ "tracks": scene.named(&[0, 1]), "idempotency_key": scene.key("lost") });
        let lost = scene.tool("playlist_add", call.clone()).await;
        assert_ne!(lost.verdict(), "200 ok");
        scene.stage.sandbox().faults().clear();
        assert_eq!(scene.held(), scene.named(&[0, 1]));
        // It holds what it was to hold: that was it.
        let done = scene.call("playlist_add", call).await;
        assert_eq!((&done["added"], scene.held()), (&json!(2), scene.named(&[0, 1])), "{done}");

        let rule = FaultRule::new(scene.provider, Effect::CloseConnection).operation(operation);
        scene.stage.sandbox().faults().push(rule);
        let call = json!({ "tracks": scene.named(&[2]), "idempotency_key": scene.key("lost-again") });
        assert_ne!(scene.tool("playlist_add", call.clone()).await.verdict(), "200 ok");
        scene.stage.sandbox().faults().clear();
        let again = scene.tool("playlist_add", call).await;
        match scene.provider {
            Provider::Spotify => {
                assert_eq!(again.verdict(), "200 outcome_unknown", "{}", again.text());
                assert_eq!(scene.held(), scene.named(&[0, 1]));
            }
            Provider::Tidal => {
                assert_eq!(again.verdict(), "200 ok", "{}", again.text());
                assert_eq!(scene.held(), scene.named(&[0, 1, 2]));
            }
        }
    })
    .await;
}

#[tokio::test]
async fn an_undo_restores_what_was_there_and_can_be_undone() {
    at_both(async |scene| {
        scene.add(&[0, 1, 2, 3]).await;
        scene.call("playlist_update", json!({ "name": "Renamed", "description": "New" })).await;
        scene.call("playlist_replace", json!({ "tracks": scene.named(&[3, 9, 0]) })).await;
        let undone = scene.call("playlist_undo", json!({})).await;
        assert_eq!((&undone["restored"], scene.held()), (&json!(3), scene.named(&[0, 1, 2, 3])), "{undone}");
        let back = scene.call("playlist_undo", json!({ "to_version": 2 })).await;
        assert_eq!(back["head"][0]["to"], "Road", "{back}");
        assert_eq!(scene.held(), scene.named(&[0, 1, 2, 3]));
        let versions = scene.call("playlist_versions", json!({})).await;
        let causes: Vec<&str> = versions["versions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|version| version["cause"].as_str().unwrap())
            .collect();
        assert_eq!(
            causes,
            [
                "undo of 2",
                "undo of 3",
                "playlist_replace",
                "playlist_update",
                "playlist_add",
                "playlist_create"
            ]
        );
        let diff = scene.call("playlist_diff", json!({ "from": 4, "to": 5 })).await;
        assert_eq!((&diff["added"], &diff["removed"]), (&json!(2), &json!(1)), "{diff}");
        let unknown = scene.tool("playlist_undo", json!({ "to_version": 99 })).await;
        assert_eq!(unknown.verdict(), "200 version_unknown");
    })
    .await;
}

#[tokio::test]
async fn what_was_changed_elsewhere_is_a_version_of_its_own() {
    at_both(async |scene| {
        scene.add(&[0, 1]).await;
        scene.change_elsewhere(&[1, 2, 3]);
        let diff = scene.call("playlist_diff", json!({})).await;
        assert_eq!(
            (&diff["to"]["cause"], &diff["to"]["version"]),
            (&json!("elsewhere"), &json!(3)),
            "{diff}"
        );
        assert_eq!((&diff["added"], &diff["removed"]), (&json!(2), &json!(1)));
        // An undo would take it back, too, which has to be asked for.
        assert_eq!(scene.tool("playlist_undo", json!({})).await.verdict(), "200 conflict");
        scene.call("playlist_undo", json!({ "to_version": 2 })).await;
        assert_eq!(scene.held(), scene.named(&[0, 1]));
    })
    .await;
}
