//! Who calls: tenants with people, accounts at both services, keys, and agents of every revision at either door.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::{StreamExt, stream};
use serde_json::json;
use stagedoor_domain::policy::Quota;
use stagedoor_domain::{LimitClass, PolicyGate, Provider, TenantSettings};
use stagedoor_sandbox::{SampleTrack, Sandbox};
use stagedoor_testkit::{Client, Era, Inhabited, KeySpec, Linked, Stage, generous};

use crate::balancer::Doors;
use crate::calls::{Caller, Wanted};
use crate::ledger::Ledger;
use crate::town::Town;

/// Tenants that make the load.
const BUSY: usize = 4;
/// People of each.
const PEOPLE: usize = 3;
/// The tenant whose agent asks for more than its quota.
pub(crate) const LIMITED: usize = BUSY;
/// Its searches a minute.
pub(crate) const SEARCHES_A_MINUTE: u32 = 120;
/// Tenants that are made, or that call, at a time.
const AT_A_TIME: usize = 8;
/// Playlists that an agent fills at a time: two writes at once are seldom to the same one, which would be a conflict if
/// it happened again and again.
const PLAYLISTS: usize = 4;
/// Tracks of a playlist that is full. What a write costs grows with the playlist.
const FULL: usize = 40;
/// Tracks that searches and playlists are about.
const KNOWN: usize = 400;

const MODERN: (&str, Era) = ("2026-07-28", Era::Modern);
const LEGACY: [(&str, Era); 3] = [
    ("2025-11-25", Era::Legacy("2025-11-25")),
    ("2025-06-18", Era::Legacy("2025-06-18")),
    ("2025-03-26", Era::Legacy("2025-03-26")),
];

/// Everyone who calls.
#[derive(Debug)]
pub(crate) struct Population<'a> {
    tenants: Vec<Inhabited<'a>>,
    /// Agents that make the load.
    pub(crate) agents: Vec<Arc<Agent>>,
    /// Two agents with one key at its limit, one of each era.
    pub(crate) limited: Vec<Arc<Agent>>,
    /// Tracks that Spotify has for everyone.
    pub(crate) known: Arc<Vec<SampleTrack>>,
}

/// An agent of a person.
#[derive(Debug)]
pub(crate) struct Agent {
    /// How it calls.
    pub(crate) caller: Caller,
    /// The person's account at Spotify.
    pub(crate) account: String,
    /// The playlists that it fills, and how many tracks it has begun to add to each.
    playlists: Mutex<Vec<(String, usize)>>,
}

impl<'a> Population<'a> {
    /// Makes them all.
    pub(crate) async fn settle(stage: &'a Stage, doors: Doors, tenants: u32) -> anyhow::Result<Self> {
        let make = |at: usize| async move {
            let slug = format!("tenant-{at}");
            stage.inhabit_with(&slug, if at == LIMITED { narrow() } else { open() }).await
        };
        let tenants: Vec<_> =
            stream::iter(0..usize::try_from(tenants)?).map(make).buffered(AT_A_TIME).collect().await;
        let catalogue = stage.sandbox().catalogue(Provider::Spotify);
        let everywhere = |track: &SampleTrack| track.isrc.is_some() && track.blocked_in.is_empty();
        let known: Vec<SampleTrack> = catalogue.tracks().filter(everywhere).take(KNOWN).collect();
        let mut population = Self { tenants, agents: Vec::new(), limited: Vec::new(), known: known.into() };
        for at in 0..BUSY {
            for person in 0..PEOPLE {
                population.employ(stage, doors, at, person).await;
            }
        }
        let limited = &population.tenants[LIMITED];
        let account = limited.account(Provider::Spotify).clone();
        population.limited = [(doors.requests, MODERN), (doors.connections, LEGACY[0])]
            .map(|(door, revision)| {
                let client = client(door, limited.tenant.slug(), &limited.key, revision.1);
                let caller = Caller { tenant: LIMITED, revision: revision.0, client };
                Arc::new(Agent::new(caller, &account.account, stage.sandbox(), 0))
            })
            .into();
        Ok(population)
    }

    /// Gives a person of a busy tenant two agents, one of each era, at different doors.
    async fn employ(&mut self, stage: &Stage, doors: Doors, at: usize, person: usize) {
        let of = &self.tenants[at];
        let (user, linked) = if person == 0 {
            (of.user, of.account(Provider::Spotify).clone())
        } else {
            let user = of.tenant.person(&format!("Person {person}")).await;
            of.tenant.link(user, Provider::Tidal).await;
            (user, of.tenant.link(user, Provider::Spotify).await)
        };
        let Linked { account, .. } = linked;
        let number = at * PEOPLE + person;
        for (which, (revision, era)) in [MODERN, LEGACY[number % LEGACY.len()]].into_iter().enumerate() {
            let key = of.tenant.key(&KeySpec::for_user(user)).await;
            let door = if (number + which).is_multiple_of(2) { doors.requests } else { doors.connections };
            let client = client(door, of.tenant.slug(), &key, era);
            let caller = Caller { tenant: at, revision, client };
            self.agents.push(Arc::new(Agent::new(caller, &account, stage.sandbox(), PLAYLISTS)));
        }
    }

    /// The tenants.
    pub(crate) fn tenants(&self) -> &[Inhabited<'a>] {
        &self.tenants
    }

    /// Callers of one tenant at each gateway itself.
    pub(crate) fn callers_at(&self, town: &Town<'_>, at: usize) -> Vec<Caller> {
        let of = &self.tenants[at];
        let caller = |address| {
            let client = client(address, of.tenant.slug(), &of.key, MODERN.1);
            Caller { tenant: at, revision: MODERN.0, client }
        };
        town.addresses().map(caller).collect()
    }

    /// Has every tenant search and list playlists at every gateway, so that each gateway knows each tenant, its keys, its
    /// person's session, and answers of its own.
    pub(crate) async fn call_everywhere(&self, town: &Town<'_>, ledger: &Ledger) {
        let call = |at: usize| async move {
            let title = &self.known[at % self.known.len()].title;
            for caller in self.callers_at(town, at) {
                for (tool, arguments) in [
                    ("search", json!({ "query": title, "provider": "spotify", "limit": 5 })),
                    ("playlists_list", json!({ "provider": "spotify" })),
                ] {
                    caller.result(ledger, &Wanted::read(tool, &arguments), ledger.now()).await;
                }
            }
        };
        stream::iter(0..self.tenants.len()).map(call).buffer_unordered(AT_A_TIME).collect::<Vec<()>>().await;
    }
}

impl Agent {
    fn new(caller: Caller, account: &str, sandbox: &Sandbox, playlists: usize) -> Self {
        let playlists = (0..playlists).map(|_| (new_playlist(sandbox, account), 0)).collect();
        Self { caller, account: account.to_owned(), playlists: Mutex::new(playlists) }
    }

    /// One of its playlists.
    pub(crate) fn playlist(&self, which: usize) -> String {
        let playlists = self.playlists.lock().unwrap_or_else(PoisonError::into_inner);
        playlists[which % playlists.len()].0.clone()
    }

    /// The same to add a track to. Once it is full there is a new one in its place.
    pub(crate) fn playlist_with_room(&self, which: usize, sandbox: &Sandbox) -> String {
        let mut playlists = self.playlists.lock().unwrap_or_else(PoisonError::into_inner);
        let which = which % playlists.len();
        if playlists[which].1 == FULL {
            playlists[which] = (new_playlist(sandbox, &self.account), 0);
        }
        playlists[which].1 += 1;
        playlists[which].0.clone()
    }
}

fn new_playlist(sandbox: &Sandbox, account: &str) -> String {
    format!("spotify:playlist:{}", sandbox.make_playlist(Provider::Spotify, account, "To be filled", &[]))
}

/// A client that takes tasks where its revision has them.
fn client(address: SocketAddr, slug: &str, key: &str, era: Era) -> Client {
    let tasks = json!({ "extensions": { "io.modelcontextprotocol/tasks": {} } });
    Client::new(address, slug, Some(key)).speaking(era).declaring(tasks).named("stagedoor-replicas", "1")
}

/// Generous limits, and every policy gate open.
fn open() -> TenantSettings {
    let gates = || PolicyGate::ALL.iter().map(|gate| (*gate, true)).collect();
    let policy_gates = Provider::ALL.iter().map(|provider| (*provider, gates())).collect();
    TenantSettings { policy_gates, ..generous() }
}

/// The same with few searches.
fn narrow() -> TenantSettings {
    let mut settings = open();
    settings.limits.insert(LimitClass::Search, vec![Quota::per_minute(SEARCHES_A_MINUTE)]);
    settings
}
