//! Plays a mix against real gateways: people, accounts and playlists as the mix has them, the clock moved to each
//! call, everything that a gateway does beside a call over before the next.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use serde_json::{Value, json};
use stagedoor_domain::{Provider, UserId};
use stagedoor_sandbox::SampleTrack;
use stagedoor_testkit::{Client, FrozenClock, KeySpec, Stage, TestGateway, TestTenant, generous};
use stagedoor_tests::mix::{Agent, CATALOGUE, Call, Person, Population, Query, SEED, Timed, people};

/// Steps between two ranks in the service's own order, which goes by albums; prime to any catalogue's size.
const STRIDE: usize = 7_919;
/// People that are set up at the same time.
const AT_A_TIME: usize = 4;

/// Who plays.
pub(crate) struct Player<'a> {
    clock: &'a FrozenClock,
    gateways: &'a [TestGateway],
    music: BTreeMap<Provider, Vec<SampleTrack>>,
    cast: HashMap<(Population, u16), Cast>,
    /// The cursor after each page that was read.
    cursors: HashMap<(Agent, Call), String>,
    next: usize,
    /// Calls that were made, in order.
    pub(crate) made: Vec<Timed>,
}

/// A person of the mix on the stage.
struct Cast {
    agents: BTreeMap<u8, Vec<Client>>,
    playlists: Vec<Value>,
}

impl<'a> Player<'a> {
    /// Sets up everyone who calls in `calls`.
    pub(crate) async fn cast(
        stage: &Stage,
        clock: &'a FrozenClock,
        gateways: &'a [TestGateway],
        calls: &[Timed],
    ) -> Self {
        let music = Provider::ALL.iter().map(|provider| (*provider, by_rank(stage, *provider))).collect();
        let mut player = Self {
            clock,
            gateways,
            music,
            cast: HashMap::new(),
            cursors: HashMap::new(),
            next: 0,
            made: Vec::new(),
        };
        let mut agents: BTreeMap<(Population, u16), Vec<Agent>> = BTreeMap::new();
        for timed in calls {
            let known = agents.entry((timed.agent.population, timed.agent.person)).or_default();
            if !known.contains(&timed.agent) {
                known.push(timed.agent);
            }
        }
        let mut tenants: BTreeMap<String, TestTenant<'_>> = BTreeMap::new();
        for agent in agents.values().map(|agents| agents[0]) {
            if let Entry::Vacant(place) = tenants.entry(agent.tenant()) {
                let tenant = stage.tenant(place.key(), generous()).await;
                for provider in Provider::ALL {
                    tenant.set_up(*provider).await;
                }
                place.insert(tenant);
            }
        }
        let everyone = people(SEED);
        let set_up = agents.iter().map(|(who, agents)| {
            let person = everyone.iter().find(|person| (person.population, person.number) == *who).unwrap();
            let (player, tenant) = (&player, &tenants[&agents[0].tenant()]);
            async move { (*who, player.introduce(tenant, person, agents).await) }
        });
        let cast = stream::iter(set_up).buffer_unordered(AT_A_TIME).collect().await;
        player.cast = cast;
        player
    }

    async fn introduce(&self, tenant: &TestTenant<'_>, person: &Person, agents: &[Agent]) -> Cast {
        let provider = agents[0].provider();
        let user: UserId = tenant.person("Robin").await;
        tenant.link(user, provider).await;
        let mut clients = BTreeMap::new();
        for agent in agents {
            let key = tenant.key(&KeySpec::for_user(user)).await;
            let at = |gateway: &TestGateway| gateway.client(tenant.slug(), &key);
            clients.insert(agent.number, self.gateways.iter().map(at).collect::<Vec<_>>());
        }
        let owner = &clients[&agents[0].number][0];
        let mut playlists = Vec::new();
        for (number, length) in person.playlists.iter().enumerate() {
            let created = owner.call("playlist_create", json!({ "name": format!("List {number}") })).await;
            let playlist = created["playlist"]["ref"].clone();
            let first = number * 131 + usize::from(person.number) * 17;
            let tracks: Vec<String> = (first..first + usize::from(*length))
                .map(|rank| self.track(provider, rank % usize::from(CATALOGUE)))
                .collect();
            owner.call("playlist_add", json!({ "ref": playlist, "tracks": tracks })).await;
            playlists.push(playlist);
        }
        Cast { agents: clients, playlists }
    }

    /// Plays the calls in their order.
    pub(crate) async fn play(&mut self, calls: &[Timed]) {
        let mut now = Duration::ZERO;
        for timed in calls {
            self.clock.advance(timed.since_start().saturating_sub(now));
            now = now.max(timed.since_start());
            if self.call(timed).await {
                self.made.push(timed.clone());
            }
        }
    }

    /// Makes one call; `false` if it asks for a page that there is not.
    async fn call(&mut self, timed: &Timed) -> bool {
        let Timed { agent, call, .. } = timed;
        let Some((tool, arguments)) = self.arguments(*agent, call) else { return false };
        let cast = &self.cast[&(agent.population, agent.person)];
        self.next += 1;
        let at = self.next % self.gateways.len();
        let answer = cast.agents[&agent.number][at].call(tool, arguments).await;
        self.note(*agent, call, &answer);
        for gateway in self.gateways {
            gateway.settle().await;
        }
        true
    }

    /// Keeps what later calls need: cursors, and new playlists.
    fn note(&mut self, agent: Agent, call: &Call, answer: &Value) {
        if *call == Call::Create {
            let cast = self.cast.get_mut(&(agent.population, agent.person)).unwrap();
            cast.playlists.push(answer["playlist"]["ref"].clone());
        }
        let cursor = match call {
            Call::Search(Query::Artist(_), _) => &answer["artists"]["next_cursor"],
            Call::Search(..) => &answer["tracks"]["next_cursor"],
            _ => &answer["next_cursor"],
        };
        match cursor.as_str() {
            Some(cursor) => _ = self.cursors.insert((agent, call.clone()), cursor.to_owned()),
            None => _ = self.cursors.remove(&(agent, call.clone())),
        }
    }

    fn arguments(&self, agent: Agent, call: &Call) -> Option<(&'static str, Value)> {
        let provider = agent.provider();
        let rank = |rank: u16| &self.music[&provider][usize::from(rank)];
        let playlist = |number: u8| {
            let playlists = &self.cast[&(agent.population, agent.person)].playlists;
            playlists.get(usize::from(number)).or(playlists.first()).cloned()
        };
        let (tool, mut arguments) = match call {
            Call::Accounts => ("accounts_list", json!({})),
            Call::Search(query, _) => ("search", self.query(provider, *query)),
            Call::Track(at) => ("track_get", json!({ "ref": self.track(provider, usize::from(*at)) })),
            Call::Album(at) => {
                ("album_get", json!({ "ref": format!("{provider}:album:{}", rank(*at).album_id) }))
            }
            Call::Artist(at) => {
                ("artist_get", json!({ "ref": format!("{provider}:artist:{}", rank(*at).artist_ids[0]) }))
            }
            Call::Isrc(at) => (
                "resolve",
                json!({ "ref": format!("isrc:{}", rank(*at).isrc.clone()?), "provider": provider }),
            ),
            Call::Link(at) => ("resolve", json!({ "ref": link(provider, &rank(*at).id) })),
            Call::Playlists(_) => ("playlists_list", json!({})),
            Call::Playlist(number, _) => ("playlist_get", json!({ "ref": playlist(*number)? })),
            Call::Create => ("playlist_create", json!({ "name": "Made in the mix" })),
            Call::Add(number, ranks) => {
                let tracks: Vec<String> =
                    ranks.iter().map(|at| self.track(provider, usize::from(*at))).collect();
                ("playlist_add", json!({ "ref": playlist(*number)?, "tracks": tracks }))
            }
        };
        if call.page() > 0 {
            arguments["cursor"] = self.cursors.get(&(agent, call.page_before()))?.as_str().into();
        }
        Some((tool, arguments))
    }

    fn query(&self, provider: Provider, query: Query) -> Value {
        let music = &self.music[&provider];
        match query {
            Query::Artist(rank) => {
                let artist = &music[usize::from(rank)].artists[0];
                json!({ "query": artist, "provider": provider, "kinds": ["artist"] })
            }
            Query::Theme(number) => {
                let track = &music[usize::from(number) % music.len()];
                json!({ "query": format!("{} for evening {number}", track.title), "provider": provider })
            }
            Query::Track { rank, form, few } => {
                let track = &music[usize::from(rank)];
                let (title, artist) = (&track.title, &track.artists[0]);
                let text = match form {
                    0 => format!("{artist} {title}"),
                    1 => format!("{title} {artist}"),
                    2 => title.clone(),
                    _ => format!("{title} by {artist}").to_lowercase(),
                };
                let mut arguments = json!({ "query": text, "provider": provider });
                if few {
                    arguments["limit"] = json!(5);
                }
                arguments
            }
        }
    }

    fn track(&self, provider: Provider, rank: usize) -> String {
        format!("{provider}:track:{}", self.music[&provider][rank].id)
    }
}

fn link(provider: Provider, track: &str) -> String {
    match provider {
        Provider::Spotify => format!("https://open.spotify.com/track/{track}"),
        Provider::Tidal => format!("https://tidal.com/browse/track/{track}"),
    }
}

/// The service's tracks by the popularity that the mix gives them.
fn by_rank(stage: &Stage, provider: Provider) -> Vec<SampleTrack> {
    let all: Vec<SampleTrack> = stage
        .sandbox()
        .catalogue(provider)
        .tracks()
        .filter(|track| track.isrc.is_some() && track.blocked_in.is_empty())
        .collect();
    assert!(all.len() >= usize::from(CATALOGUE), "{provider} has {} tracks", all.len());
    (0..usize::from(CATALOGUE)).map(|rank| all[rank * STRIDE % all.len()].clone()).collect()
}

/// A frozen clock and the stage that it moves.
pub(crate) async fn stage() -> (Stage, Arc<FrozenClock>) {
    let clock = Arc::new(FrozenClock::now());
    let options = stagedoor_testkit::StageOptions {
        clock: Arc::<FrozenClock>::clone(&clock),
        ..stagedoor_testkit::StageOptions::default()
    };
    (Stage::start_with(options).await, clock)
}
