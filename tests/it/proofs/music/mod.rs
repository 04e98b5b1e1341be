//! Playlists and what moves between services: undoing restores, what was foretold happens, nothing is done twice, nothing
//! is taken for another recording, nothing is lost or doubled by a crash; and how much of it all is stored and told.

mod bytes;
mod changes;
mod history;
mod kills;
mod matches;
mod repeats;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use stagedoor_domain::Provider;
use stagedoor_testkit::{Client, Stage};

/// What a playlist holds at the service itself.
fn held(stage: &Stage, playlist: &str) -> Vec<String> {
    let (provider, id) = parts(playlist);
    let ids = stage.sandbox().playlist_tracks(provider, id).unwrap();
    ids.iter().map(|id| format!("{provider}:track:{id}")).collect()
}

fn parts(reference: &str) -> (Provider, &str) {
    let mut parts = reference.split(':');
    let provider = parts.next().unwrap().parse().unwrap();
    (provider, parts.next_back().unwrap())
}

fn bare(references: &[String]) -> Vec<&str> {
    references.iter().map(|reference| parts(reference).1).collect()
}

/// A playlist that the account had before anybody came here.
fn playlist(stage: &Stage, account: &str, provider: Provider, name: &str, tracks: &[String]) -> String {
    let id = stage.sandbox().make_playlist(provider, account, name, &bare(tracks));
    format!("{provider}:playlist:{id}")
}

/// How many of the person's playlists have this name.
async fn of_that_name(client: &Client, provider: Provider, name: &str) -> u64 {
    let mut found = 0;
    let mut arguments = json!({ "provider": provider, "limit": 50 });
    loop {
        let page = client.call("playlists_list", arguments.clone()).await;
        let named = page["playlists"].as_array().unwrap().iter().filter(|one| one["name"] == name);
        found += named.count() as u64;
        match page.get("next_cursor") {
            Some(cursor) if cursor.is_string() => arguments["cursor"] = cursor.clone(),
            _ => return found,
        }
    }
}

/// What a transfer found, by the position in its source.
async fn matched(client: &Client, job: &str) -> BTreeMap<u64, String> {
    let mut found = BTreeMap::new();
    let mut arguments = json!({ "job": job, "show": "all" });
    loop {
        let page = client.call("job_get", arguments.clone()).await;
        let tracks = page["report"]["matched"].as_array().cloned().unwrap_or_default();
        for track in tracks {
            found.insert(track["position"].as_u64().unwrap(), text(&track["to"]));
        }
        match page["report"].get("next_from") {
            Some(from) => arguments["from"] = from.clone(),
            None => return found,
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}
