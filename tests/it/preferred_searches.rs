//! What a person's preferences do to what is found: how much, explicit or not, and in which quality of sound.

use serde_json::{Value, json};
use stagedoor_domain::Provider;
use stagedoor_testkit::{Client, KeySpec, Stage, TestGateway};

use crate::music::{self, everything_allowed, known_tracks};

#[expect(clippy::needless_pass_by_value, reason = "so that calls read well")]
fn prefer(members: Value) -> Value {
    json!({ "preferences": members })
}

fn items(answer: &Value) -> &Vec<Value> {
    answer["tracks"]["items"].as_array().unwrap_or_else(|| panic!("no tracks in {answer}"))
}

fn count(answer: &Value, of: impl Fn(&Value) -> bool) -> usize {
    items(answer).iter().filter(|item| of(item)).count()
}

/// The query of a search of which something holds, and its answer.
async fn search_of(
    stage: &Stage,
    client: &Client,
    provider: Provider,
    fits: impl Fn(&Value) -> bool,
) -> (Value, Value) {
    for track in known_tracks(stage, provider) {
        let query = json!({ "query": track.title, "provider": provider, "limit": 50 });
        let found = client.call("search", query.clone()).await;
        if fits(&found) {
            return (query, found);
        }
    }
    panic!("no known track is found like that at {provider}");
}

#[tokio::test]
async fn a_search_without_a_limit_has_the_preferred_one() {
    let stage = Stage::start().await;
    let gateways = [TestGateway::start(&stage).await, TestGateway::start(&stage).await];
    let ada = stage.inhabit_with("ada", everything_allowed()).await;
    let robins = gateways.each_ref().map(|gateway| music::client(gateway, &ada));
    let many = |found: &Value| items(found).len() > 20;
    let (mut query, _) = search_of(&stage, &robins[0], Provider::Spotify, many).await;
    let limited = query.clone();
    query.as_object_mut().unwrap().remove("limit");
    let everywhere = json!({ "query": query["query"] });
    let found = async |tool: &str, arguments: &Value| {
        let found = robins[1].call(tool, arguments.clone()).await;
        match found.get("services") {
            Some(services) => services[0]["tracks"].as_array().unwrap().len(),
            None => items(&found).len(),
        }
    };
    assert_eq!((found("search", &query).await, found("search_all", &everywhere).await), (20, 20));
    for (preferred, of_all) in [(3, 3), (21, 20)] {
        let limit = prefer(json!({ "search_defaults": { "limit": preferred } }));
        robins[0].call("preferences_set", limit).await;
        assert_eq!(found("search", &query).await, preferred);
        assert_eq!(found("search_all", &everywhere).await, of_all);
    }
    assert!(found("search", &limited).await > 21, "a call that names its own has that");
}

#[tokio::test]
async fn who_wants_nothing_explicit_finds_none_and_is_told() {
    let stage = Stage::start().await;
    let gateways = [TestGateway::start(&stage).await, TestGateway::start(&stage).await];
    let ada = stage.inhabit_with("ada", everything_allowed()).await;
    let eve = ada.tenant.person("Eve").await;
    let eve = gateways[0].client("ada", &ada.tenant.key(&KeySpec::for_user(eve)).await);
    let robins = gateways.each_ref().map(|gateway| music::client(gateway, &ada));
    let is_explicit = |item: &Value| item["explicit"] == true;
    for provider in Provider::ALL {
        let some = |found: &Value| count(found, is_explicit) > 0;
        let (query, before) = search_of(&stage, &robins[0], *provider, some).await;
        let explicit = count(&before, is_explicit);
        let off = prefer(json!({ "search_defaults": { "include_explicit": false } }));
        robins[1].call("preferences_set", off).await;
        for robin in &robins {
            let found = robin.call("search", query.clone()).await;
            assert_eq!(
                (count(&found, is_explicit), items(&found).len()),
                (0, items(&before).len() - explicit)
            );
            assert!(found["warnings"][0].as_str().unwrap().contains("they are explicit"), "{found}");
        }
        let everywhere = json!({ "query": query["query"], "limit": 20, "kinds": ["track", "album"] });
        let found = robins[0].call("search_all", everywhere.clone()).await;
        for service in found["services"].as_array().unwrap() {
            let tracks = service["tracks"].as_array().into_iter().flatten();
            let shown = tracks.chain(service["albums"].as_array().into_iter().flatten());
            assert!(shown.into_iter().all(|item| !is_explicit(item)), "{service}");
        }
        assert!(found.to_string().contains("they are explicit"), "{found}");
        assert_eq!(
            eve.call("search", query.clone()).await["tracks"],
            before["tracks"],
            "for others all is there"
        );
        let on = prefer(json!({ "search_defaults": null }));
        robins[0].call("preferences_set", on).await;
        assert_eq!(robins[1].call("search", query).await["tracks"], before["tracks"]);
    }
}

#[tokio::test]
async fn what_is_offered_in_the_preferred_quality_comes_first_and_what_is_not_is_told() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit("ada").await;
    let robin = music::client(&gateway, &ada);
    let is = |quality: &'static str| move |item: &Value| item["audio_quality"] == quality;
    let both = |found: &Value| count(found, is("LOSSLESS")) > 0 && count(found, is("HI_RES_LOSSLESS")) > 0;
    let (query, before) = search_of(&stage, &robin, Provider::Tidal, both).await;
    let best = prefer(json!({ "audio_quality": "HI_RES_LOSSLESS" }));
    robin.call("preferences_set", best).await;
    let found = robin.call("search", query.clone()).await;
    assert_eq!(found["tracks"], before["tracks"], "a search keeps its order and leaves nothing out");
    let lossless = count(&before, is("LOSSLESS"));
    let told = found["warnings"][0].as_str().unwrap();
    assert!(
        told.starts_with(&format!(
            "Not offered in HI_RES_LOSSLESS, which the person prefers: {lossless} item"
        )),
        "{told}"
    );

    // The same recording on an old record and on a later one.
    let tracks: Vec<_> = known_tracks(&stage, Provider::Tidal);
    let mut seen_both = false;
    for track in &tracks {
        let found = robin
            .call(
                "resolve",
                json!({ "ref": format!("isrc:{}", track.isrc.as_ref().unwrap()), "provider": "tidal" }),
            )
            .await;
        let qualities: Vec<&str> = found["tracks"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|item| item["audio_quality"].as_str())
            .collect();
        assert!(qualities.is_sorted(), "HI_RES_LOSSLESS before LOSSLESS: {qualities:?}");
        seen_both |= qualities.first() != qualities.last();
    }
    assert!(seen_both, "no recording is there in two qualities");

    // Spotify does not tell, so nothing is said.
    let silent = robin.call("search", json!({ "query": query["query"], "provider": "spotify" })).await;
    assert!(silent.get("warnings").is_none() && !silent.to_string().contains("audio_quality"), "{silent}");
}
