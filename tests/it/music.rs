//! Known music of the sandbox, and for every tool a call that works.

use serde_json::{Value, json};
use stagedoor_domain::{Provider, ToolName};
use stagedoor_testkit::{Client, Inhabited, Stage};

/// Items of one provider that exist, and a playlist of the caller with tracks in it.
#[derive(Debug, Clone)]
pub(crate) struct Music {
    pub(crate) provider: Provider,
    pub(crate) track: String,
    pub(crate) album: String,
    pub(crate) artist: String,
    pub(crate) isrc: String,
    pub(crate) title: String,
    /// The references of tracks, more than one page of them.
    pub(crate) many: Vec<String>,
    pub(crate) playlist: String,
}

/// A track that is there for everyone in Germany, with its code.
pub(crate) fn known_tracks(stage: &Stage, provider: Provider) -> Vec<stagedoor_sandbox::SampleTrack> {
    let catalogue = stage.sandbox().catalogue(provider);
    let everywhere =
        |track: &stagedoor_sandbox::SampleTrack| track.isrc.is_some() && track.blocked_in.is_empty();
    catalogue.tracks().filter(everywhere).take(150).collect()
}

impl Music {
    /// Finds the items, and makes a playlist with 120 tracks through the gateway itself.
    pub(crate) async fn of(stage: &Stage, client: &Client, provider: Provider) -> Self {
        let known = known_tracks(stage, provider);
        let reference = |id: &str| format!("{provider}:track:{id}");
        let track = reference(&known[0].id);
        let found = client.call("track_get", json!({ "ref": track })).await;
        let created = client.call("playlist_create", json!({ "name": "Known", "provider": provider })).await;
        let playlist = created["playlist"]["ref"].as_str().unwrap().to_owned();
        let many: Vec<String> = known.iter().take(120).map(|known| reference(&known.id)).collect();
        let added = client.call("playlist_add", json!({ "ref": playlist, "tracks": many })).await;
        assert_eq!(added["added"], 120, "{added}");
        Self {
            provider,
            album: format!("{provider}:album:{}", known[0].album_id),
            artist: found["track"]["artists"][0]["ref"].as_str().unwrap().to_owned(),
            isrc: known[0].isrc.clone().unwrap(),
            title: known[0].title.clone(),
            track,
            many,
            playlist,
        }
    }

    /// Arguments with which `tool` works.
    pub(crate) fn arguments(&self, tool: ToolName) -> Value {
        let provider = self.provider;
        match tool {
            ToolName::Search => json!({ "query": self.title, "provider": provider, "limit": 5 }),
            ToolName::TrackGet => json!({ "ref": self.track }),
            ToolName::AlbumGet => json!({ "ref": self.album }),
            ToolName::ArtistGet => json!({ "ref": self.artist }),
            ToolName::Resolve => json!({ "ref": format!("isrc:{}", self.isrc), "provider": provider }),
            // Unlinking is the last that works on the account: there is none afterwards.
            ToolName::PlaylistsList | ToolName::AccountLink | ToolName::AccountUnlink => {
                json!({ "provider": provider })
            }
            ToolName::PlaylistGet => json!({ "ref": self.playlist }),
            ToolName::PlaylistCreate => json!({ "name": "One more", "provider": provider }),
            ToolName::PlaylistAdd => json!({ "ref": self.playlist, "tracks": [self.track] }),
            ToolName::PreferencesSet => {
                json!({ "preferences": { "cache_preferences": { "cache_duration": 600 } } })
            }
            ToolName::AccountsList | ToolName::PreferencesGet | ToolName::UsageStatus => json!({}),
        }
    }
}

/// A client of the tenant's own key.
pub(crate) fn client(gateway: &stagedoor_testkit::TestGateway, who: &Inhabited<'_>) -> Client {
    gateway.client(who.tenant.slug(), &who.key)
}
