//! How large the list of all tools is, and what the memory of an edit costs.

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use stagedoor_domain::{Provider, ToolName};
use stagedoor_testkit::proof::{ProofSize, prove, remark};
use stagedoor_testkit::{Client, Stage, TestGateway};

use super::playlist;
use crate::music;

const SEED: u64 = 0xb1_7e5;
const TRACKS: usize = 1_000;

#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_tools_is_short_and_an_edit_costs_little() {
    let stage = Stage::start().await;
    let gateway = TestGateway::start(&stage).await;
    let ada = stage.inhabit_with("ada", music::everything_allowed()).await;
    let client = music::client(&gateway, &ada);
    let list = client.rpc("tools/list", json!({})).await.result();
    assert_eq!(
        (list["tools"].as_array().unwrap().len(), list.get("nextCursor")),
        (ToolName::ALL.len(), None)
    );
    let bytes = list["tools"].to_string().len();
    prove("music.tool_list_bytes", bytes, "<=38400", bytes <= 38_400);

    // Longer references cost more: Spotify's.
    let (services, edits): (&[Provider], u64) =
        ProofSize::wanted().of((&[Provider::Spotify], 12), (Provider::ALL, 150));
    let costs = services.iter().map(async |provider| {
        let tracks: Vec<String> = stage
            .sandbox()
            .catalogue(*provider)
            .tracks()
            .filter(|track| track.blocked_in.is_empty())
            .map(|track| format!("{provider}:track:{}", track.id))
            .collect();
        let account = &ada.account(*provider).account;
        let playlist = playlist(&stage, account, *provider, "Long", &tracks[..TRACKS]);
        // What it held before is stored at the first edit.
        client.call("playlist_reorder", json!({ "ref": playlist, "start": 0, "before": 2 })).await;
        let before = stored(&stage, &playlist).await;
        edit(&client, &playlist, &tracks[TRACKS..], edits).await;
        let cost = (stored(&stage, &playlist).await - before) / edits;
        remark(format_args!(
            "{provider}: {before} bytes for {TRACKS} tracks, {cost} for each of {edits} edits"
        ));
        cost
    });
    let most = join_all(costs).await.into_iter().max().unwrap();
    prove("music.version_bytes_per_edit", most, "<=3000", most <= 3_000);
}

/// Puts in, takes out and moves single tracks, anywhere.
async fn edit(client: &Client, playlist: &str, new: &[String], edits: u64) {
    let mut random = StdRng::seed_from_u64(SEED);
    let mut length = TRACKS;
    for number in 0..edits {
        let at = random.random_range(0..length);
        let (tool, mut arguments) = match number % 3 {
            0 => (
                "playlist_add",
                json!({ "tracks": [new[random.random_range(0..new.len())]], "position": at }),
            ),
            1 => ("playlist_remove", json!({ "positions": [at] })),
            _ => ("playlist_reorder", json!({ "start": at, "before": (at + length / 2) % length })),
        };
        arguments["ref"] = playlist.into();
        let done = client.call(tool, arguments).await;
        length = usize::try_from(done["count"].as_u64().unwrap()).unwrap();
    }
}

/// The values of all rows about a playlist, as they are kept.
async fn stored(stage: &Stage, playlist: &str) -> u64 {
    let table = |name: &str, columns: &[&str]| {
        let sizes: Vec<String> =
            columns.iter().map(|column| format!("coalesce(pg_column_size({column}), 0)")).collect();
        format!("(SELECT coalesce(sum({}), 0) FROM {name} WHERE playlist = '{playlist}')", sizes.join(" + "))
    };
    let versions = [
        "tenant_id",
        "account_id",
        "playlist",
        "number",
        "version_id",
        "user_id",
        "provider_version",
        "cause",
        "call_id",
        "recorded_at",
        "entries",
        "fingerprint",
        "head",
        "chunks",
    ];
    let chunks = ["tenant_id", "account_id", "playlist", "chunk_id", "entries"];
    let sum =
        format!("SELECT {} + {}", table("playlist_versions", &versions), table("playlist_chunks", &chunks));
    stage.sql(&sum).await.trim().parse().unwrap()
}
