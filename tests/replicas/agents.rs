//! Who calls: tenants with people, accounts at both services, keys, and agents of every revision at either door.

use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use serde_json::json;
use stagedoor_domain::policy::Quota;
use stagedoor_domain::{LimitClass, PolicyGate, Provider, TenantSettings};
use stagedoor_sandbox::SampleTrack;
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
    /// The playlist that both agents of the person fill.
    pub(crate) playlist: String,
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
                Arc::new(Agent { caller, account: account.account.clone(), playlist: String::new() })
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
        let playlist = stage.sandbox().make_playlist(Provider::Spotify, &account, "Ours", &[]);
        let playlist = format!("spotify:playlist:{playlist}");
        let number = at * PEOPLE + person;
        for (which, (revision, era)) in [MODERN, LEGACY[number % LEGACY.len()]].into_iter().enumerate() {
            let key = of.tenant.key(&KeySpec::for_user(user)).await;
            let door = if (number + which).is_multiple_of(2) { doors.requests } else { doors.connections };
            let client = client(door, of.tenant.slug(), &key, era);
            let caller = Caller { tenant: at, revision, client };
            self.agents.push(Arc::new(Agent {
                caller,
                account: account.clone(),
                playlist: playlist.clone(),
            }));
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
