//! Known music of the sandbox, and for every tool a call that works.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use stagedoor_domain::{PolicyGate, Provider, TenantSettings, ToolName};
use stagedoor_testkit::{Client, Inhabited, Stage, generous};

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
    /// What only some tools need, and what some of them use up.
    more: Option<More>,
}

/// What stands ready for tools that work on more than the catalogue and one playlist.
#[derive(Debug, Clone)]
struct More {
    mix: String,
    device: String,
    /// A playlist of two tracks.
    short: String,
    job: String,
    /// A shared queue of one track, and its item.
    queue: (String, String),
    /// Playlists to be deleted.
    doomed: Arc<Mutex<Vec<String>>>,
}

/// A track that is there for everyone in Germany, with its code.
pub(crate) fn known_tracks(stage: &Stage, provider: Provider) -> Vec<stagedoor_sandbox::SampleTrack> {
    let catalogue = stage.sandbox().catalogue(provider);
    let everywhere =
        |track: &stagedoor_sandbox::SampleTrack| track.isrc.is_some() && track.blocked_in.is_empty();
    catalogue.tracks().filter(everywhere).take(150).collect()
}

/// Generous limits, and every policy gate open: what a tenant needs whose tools are all to work.
pub(crate) fn everything_allowed() -> TenantSettings {
    let gates = || PolicyGate::ALL.iter().map(|gate| (*gate, true)).collect();
    let policy_gates = Provider::ALL.iter().map(|provider| (*provider, gates())).collect();
    TenantSettings { policy_gates, ..generous() }
}

/// Whether a service has what the tool is about.
pub(crate) fn has(provider: Provider, tool: ToolName) -> bool {
    match tool {
        ToolName::Similar | ToolName::Radio => provider == Provider::Tidal,
        ToolName::LibraryContains | ToolName::QueueAdd => provider == Provider::Spotify,
        _ => true,
    }
}

/// An empty playlist.
async fn playlist(client: &Client, provider: Provider, name: &str) -> String {
    let created = client.call("playlist_create", json!({ "name": name, "provider": provider })).await;
    created["playlist"]["ref"].as_str().unwrap_or_else(|| panic!("{created}")).to_owned()
}

impl Music {
    /// Finds the items, and makes a playlist with 120 tracks through the gateway itself.
    pub(crate) async fn of(stage: &Stage, client: &Client, provider: Provider) -> Self {
        let known = known_tracks(stage, provider);
        let reference = |id: &str| format!("{provider}:track:{id}");
        let track = reference(&known[0].id);
        let found = client.call("track_get", json!({ "ref": track })).await;
        let playlist = playlist(client, provider, "Known").await;
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
            more: None,
        }
    }

    /// The same, and all that the other tools need, the person's consent too. Takes open gates, and accounts at both
    /// services.
    pub(crate) async fn of_all_tools(stage: &Stage, client: &Client, provider: Provider) -> Self {
        let music = Self::of(stage, client, provider).await;
        let agreed = json!({ "purpose": "analytics", "granted": true, "policy_version": "1" });
        client.call("consent_set", agreed).await;
        let mixes = client.call("mixes_list", json!({})).await;
        let devices = client.call("devices", json!({})).await;
        let short = playlist(client, provider, "Short").await;
        let tracks = &music.many[..2];
        client.call("playlist_add", json!({ "ref": short, "tracks": tracks })).await;
        let elsewhere = elsewhere(provider);
        let transfer = json!({ "ref": short, "to_provider": elsewhere, "name": "Moved" });
        let job = client.call("playlist_transfer", transfer).await;
        let queue = client.call("shared_queue_edit", json!({ "action": "create", "name": "Known" })).await;
        let put = json!({ "action": "add", "queue": queue["queue"], "tracks": [music.track] });
        let put = client.call("shared_queue_edit", put).await;
        let mut doomed = Vec::new();
        for _ in 0..3 {
            doomed.push(playlist(client, provider, "Doomed").await);
        }
        let text =
            |value: &Value| value.as_str().unwrap_or_else(|| panic!("a text is not {value}")).to_owned();
        let more = More {
            mix: text(&mixes["items"][0]["ref"]),
            device: text(&devices["devices"][0]["id"]),
            short,
            job: text(&job["job"]),
            queue: (text(&queue["queue"]), text(&put["items"][0])),
            doomed: Arc::new(Mutex::new(doomed)),
        };
        Self { more: Some(more), ..music }
    }

    /// Arguments with which `tool` works, or is told that the service has no such thing ([`has`]).
    pub(crate) fn arguments(&self, tool: ToolName) -> Value {
        let provider = self.provider;
        match tool {
            ToolName::Search => json!({ "query": self.title, "provider": provider, "limit": 5 }),
            ToolName::SearchAll => json!({ "query": self.title, "limit": 3 }),
            ToolName::TrackGet | ToolName::Similar | ToolName::Radio => json!({ "ref": self.track }),
            ToolName::AlbumGet => json!({ "ref": self.album }),
            ToolName::ArtistGet | ToolName::ArtistAlbums => json!({ "ref": self.artist }),
            ToolName::Resolve => json!({ "ref": format!("isrc:{}", self.isrc), "provider": provider }),
            // Unlinking is the last that works on the account: there is none afterwards.
            ToolName::PlaylistsList | ToolName::AccountLink | ToolName::AccountUnlink | ToolName::Profile => {
                json!({ "provider": provider })
            }
            ToolName::PlaylistGet
            | ToolName::PlaylistVersions
            | ToolName::PlaylistDiff
            | ToolName::PlaylistUndo
            | ToolName::PlaylistDedupe => json!({ "ref": self.playlist }),
            ToolName::PlaylistCreate => json!({ "name": "One more", "provider": provider }),
            ToolName::PlaylistUpdate => json!({ "ref": self.playlist, "description": "Known to all" }),
            ToolName::PlaylistDelete => {
                let doomed = self.more().doomed.lock().unwrap().pop();
                json!({ "ref": doomed.expect("a playlist is left to be deleted") })
            }
            ToolName::PlaylistAdd => json!({ "ref": self.playlist, "tracks": [self.track] }),
            ToolName::PlaylistRemove => json!({ "ref": self.playlist, "positions": [0] }),
            ToolName::PlaylistReorder => json!({ "ref": self.playlist, "start": 0, "before": 2 }),
            ToolName::PlaylistReplace => json!({ "ref": self.playlist, "tracks": &self.many[..100] }),
            ToolName::PlaylistTransfer => {
                json!({ "ref": self.more().short, "to_provider": elsewhere(provider), "name": "Moved" })
            }
            ToolName::JobGet | ToolName::JobCancel => json!({ "job": self.more().job }),
            ToolName::MixItems => json!({ "ref": self.more().mix }),
            ToolName::LibraryList => json!({ "kind": "track", "provider": provider }),
            ToolName::LibraryContains | ToolName::LibrarySave | ToolName::LibraryRemove => {
                json!({ "refs": [self.track, self.album] })
            }
            ToolName::TopItems => json!({ "range": "short" }),
            ToolName::PlaybackState => json!({ "queue": true }),
            ToolName::PlaybackControl => {
                json!({ "action": "volume", "volume_percent": 30, "device": self.more().device })
            }
            ToolName::QueueAdd => json!({ "ref": self.track, "device": self.more().device }),
            ToolName::SharedQueueGet => json!({ "queue": self.queue() }),
            ToolName::SharedQueueEdit => {
                let item = &self.more().queue.1;
                json!({ "action": "vote", "queue": self.queue(), "items": [item], "vote": 1 })
            }
            ToolName::SharedQueueCommit => json!({
                "queue": self.queue(), "playlist": self.playlist, "idempotency_key": self.queue()
            }),
            ToolName::PreferencesSet => {
                json!({ "preferences": { "cache_preferences": { "cache_duration": 600 } } })
            }
            ToolName::ConsentSet => {
                json!({ "purpose": "analytics", "granted": true, "policy_version": "1" })
            }
            ToolName::MixesList
            | ToolName::RecentlyPlayed
            | ToolName::Devices
            | ToolName::AccountsList
            | ToolName::PreferencesGet
            | ToolName::ConsentGet
            | ToolName::ExportMyData
            | ToolName::DeleteMyData
            | ToolName::PrivacyRequests
            | ToolName::AuditQuery
            | ToolName::UsageStatus
            | ToolName::HistoryStatus
            | ToolName::HistoryQuery
            | ToolName::Insights => json!({}),
        }
    }

    /// The job that was begun.
    pub(crate) fn job(&self) -> &str {
        &self.more().job
    }

    /// The shared queue.
    pub(crate) fn queue(&self) -> &str {
        &self.more().queue.0
    }

    fn more(&self) -> &More {
        self.more.as_ref().expect("of_all_tools makes what this tool needs")
    }
}

/// The other service.
pub(crate) fn elsewhere(provider: Provider) -> Provider {
    match provider {
        Provider::Spotify => Provider::Tidal,
        Provider::Tidal => Provider::Spotify,
    }
}

/// A client of the tenant's own key.
pub(crate) fn client(gateway: &stagedoor_testkit::TestGateway, who: &Inhabited<'_>) -> Client {
    gateway.client(who.tenant.slug(), &who.key)
}
