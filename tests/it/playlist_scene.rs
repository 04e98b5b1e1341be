//! One person with a playlist at one service, and what tests do to it through the front door and behind its back.

use serde_json::{Value, json};
use stagedoor_domain::Provider;
use stagedoor_sandbox::{Effect, FaultRule};
use stagedoor_testkit::{Answer, Client, Inhabited, Stage, TestGateway};

use crate::music::{self, known_tracks};

/// One person with a playlist at one service.
pub(crate) struct Scene<'a> {
    pub(crate) stage: &'a Stage,
    pub(crate) client: Client,
    pub(crate) provider: Provider,
    /// Known tracks.
    pub(crate) tracks: Vec<String>,
    pub(crate) playlist: String,
}

impl<'a> Scene<'a> {
    pub(crate) async fn set(
        stage: &'a Stage,
        gateway: &TestGateway,
        who: &Inhabited<'_>,
        provider: Provider,
    ) -> Self {
        let client = music::client(gateway, who);
        let known = known_tracks(stage, provider);
        let tracks = known.iter().map(|track| format!("{provider}:track:{}", track.id)).collect();
        let made = client.call("playlist_create", json!({ "name": "Road", "provider": provider })).await;
        assert_eq!(made["version"], 1, "{made}");
        let playlist = made["playlist"]["ref"].as_str().unwrap().to_owned();
        Self { stage, client, provider, tracks, playlist }
    }

    /// Known tracks by number.
    pub(crate) fn named(&self, numbers: &[usize]) -> Vec<String> {
        numbers.iter().map(|number| self.tracks[*number].clone()).collect()
    }

    /// A key of its own at each service.
    pub(crate) fn key(&self, name: &str) -> String {
        format!("{name}-{}", self.provider)
    }

    /// What the service itself holds.
    pub(crate) fn held(&self) -> Vec<String> {
        let held = self.stage.sandbox().playlist_tracks(self.provider, self.id()).unwrap();
        held.iter().map(|id| format!("{}:track:{id}", self.provider)).collect()
    }

    fn id(&self) -> &str {
        self.playlist.rsplit(':').next().unwrap()
    }

    /// Changes the playlist as another application would.
    pub(crate) fn change_elsewhere(&self, numbers: &[usize]) {
        let tracks = self.named(numbers);
        let ids: Vec<&str> = tracks.iter().map(|track| track.rsplit(':').next().unwrap()).collect();
        assert!(self.stage.sandbox().change_playlist(self.provider, self.id(), &ids));
    }

    fn on_it(&self, arguments: &Value) -> Value {
        let mut members = json!({ "ref": self.playlist });
        members.as_object_mut().unwrap().extend(arguments.as_object().unwrap().clone());
        members
    }

    pub(crate) async fn call(&self, tool: &str, arguments: Value) -> Value {
        self.client.call(tool, self.on_it(&arguments)).await
    }

    pub(crate) async fn tool(&self, tool: &str, arguments: Value) -> Answer {
        self.client.tool(tool, self.on_it(&arguments)).await
    }

    pub(crate) async fn add(&self, numbers: &[usize]) -> Value {
        self.call("playlist_add", json!({ "tracks": self.named(numbers) })).await
    }

    /// The request that adds entries, once right and then as `rule` says.
    pub(crate) fn second_batch(&self, effect: Effect, after_work: bool) {
        let operation = match self.provider {
            Provider::Spotify => "POST /playlists/{id}/items",
            Provider::Tidal => "POST /playlists/{id}/relationships/items",
        };
        let rule = |effect| FaultRule::new(self.provider, effect).operation(operation);
        self.stage.sandbox().faults().push(rule(Effect::Delay { milliseconds: 0 }).times(1));
        let strikes = rule(effect);
        self.stage.sandbox().faults().push(if after_work { strikes.after_work() } else { strikes });
    }

    /// How many requests wrote to a playlist.
    pub(crate) fn writes(&self) -> u64 {
        let requests = self.stage.sandbox().requests(self.provider);
        let writes =
            requests.iter().filter(|(name, _)| !name.starts_with("GET") && name.contains("/playlists"));
        writes.map(|(_, count)| count).sum()
    }
}

pub(crate) fn error(answer: &Answer) -> Value {
    answer.result()["_meta"]["dev.stagedoor/error"].clone()
}

/// At both services, each with a playlist of its own.
pub(crate) async fn at_both<F: AsyncFn(Scene<'_>)>(test: F) {
    let stage = Box::pin(Stage::start()).await;
    let gateway = Box::pin(TestGateway::start(&stage)).await;
    let ada = Box::pin(stage.inhabit("ada")).await;
    for provider in Provider::ALL {
        let scene = Box::pin(Scene::set(&stage, &gateway, &ada, *provider)).await;
        Box::pin(test(scene)).await;
    }
}
