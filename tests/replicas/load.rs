//! The load: agents that read, search and write at random times, transfers beside them, and an agent that asks for more
//! than its quota. It runs until it is ended, whatever happens to the gateways.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use stagedoor_domain::{Clock, Provider};
use stagedoor_sandbox::{Effect, FaultRule, SampleTrack, Sandbox};
use tokio::task::JoinSet;

use crate::agents::{Agent, Population};
use crate::calls::{Reply, Wanted};
use crate::ledger::{Kind, Ledger};
use crate::promises::Promises;
use crate::town::Town;
use crate::transfers::{self, Follow};

/// Searches of the agent at its limit in a second: four times what it may.
const LIMITED_RATE: f64 = 8.0;
/// What Tidal's stand-in takes for an answer, so that transfers last.
const TIDAL_DELAY: Duration = Duration::from_millis(200);
/// The load goes on by itself.
const PACE: &str = "the load is as planned";

/// A load that runs.
#[derive(Debug)]
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    running: JoinSet<()>,
}

/// What the calls are about.
#[derive(Debug)]
struct Mix {
    agents: Vec<Arc<Agent>>,
    known: Arc<Vec<SampleTrack>>,
    ledger: Arc<Ledger>,
    sandbox: Sandbox,
    written: AtomicUsize,
}

impl Load {
    /// Begins it, `rate` calls a second.
    pub(crate) fn begin(
        population: &Population<'_>,
        town: &Town<'_>,
        ledger: &Arc<Ledger>,
        rate: f64,
        clock: &Arc<dyn Clock>,
    ) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let mut running = JoinSet::new();
        let mix = Arc::new(Mix {
            agents: population.agents.clone(),
            known: Arc::clone(&population.known),
            ledger: Arc::clone(ledger),
            sandbox: town.stage().sandbox().clone(),
            written: AtomicUsize::new(0),
        });
        let ends = || Arc::clone(&stop);
        let dice = StdRng::seed_from_u64(1);
        running.spawn(paced(rate, dice, Arc::clone(clock), ends(), move |due, dice| {
            let (mix, roll, agent) = (Arc::clone(&mix), dice.random_range(0..100), dice.random::<u32>());
            let track = popular(dice, mix.known.len());
            async move { mix.call(roll, agent, track, due).await }
        }));
        let (limited, books) = (population.limited.clone(), Arc::clone(ledger));
        let query = population.known[0].title.clone();
        let dice = StdRng::seed_from_u64(2);
        running.spawn(paced(LIMITED_RATE, dice, Arc::clone(clock), ends(), move |due, dice| {
            let agent = Arc::clone(&limited[dice.random_range(0..limited.len())]);
            ask_beyond(agent, Arc::clone(&books), query.clone(), due)
        }));
        let sandbox = town.stage().sandbox();
        sandbox.faults().push(FaultRule::new(Provider::Tidal, Effect::delay(TIDAL_DELAY)));
        // One person of each busy tenant moves playlists: by its modern agent, or by its legacy one.
        let movers = population.agents.chunks(6).zip(Follow::ALL.iter().cycle());
        for (people, follow) in movers {
            let agent = &people[usize::from(!follow.is_modern())];
            let (sandbox, ledger) = (sandbox.clone(), Arc::clone(ledger));
            running.spawn(transfers::again_and_again(sandbox, Arc::clone(agent), *follow, ledger, ends()));
        }
        Self { stop, running }
    }

    /// Ends it, once all that is under way is answered.
    pub(crate) async fn end(mut self, promises: &Promises) -> anyhow::Result<()> {
        let early = self.running.try_join_next().is_some();
        self.stop.store(true, Ordering::Release);
        while let Some(ended) = self.running.join_next().await {
            ended.context("a part of the load panicked")?;
        }
        if early {
            promises.broken(PACE, "a part of the load had ended before".to_owned());
        }
        Ok(())
    }
}

impl Mix {
    /// One call: which, by a number below 100; whose; about which track.
    async fn call(&self, roll: u32, agent: u32, track: usize, due: Duration) {
        let agent = &self.agents[agent as usize % self.agents.len()];
        let (ledger, known) = (&*self.ledger, &self.known[track]);
        let reference = format!("spotify:track:{}", known.id);
        let read = |tool, arguments: Value| Wanted::read(tool, &arguments);
        let wanted = match roll {
            0..30 => read("search", json!({ "query": known.title, "provider": "spotify", "limit": 5 })),
            30..44 => read("track_get", json!({ "ref": reference })),
            44..50 => read("album_get", json!({ "ref": format!("spotify:album:{}", known.album_id) })),
            50..60 => read("playlists_list", json!({ "provider": "spotify" })),
            60..75 => read("playlist_get", json!({ "ref": agent.playlist(track), "limit": 20 })),
            75..80 => read("accounts_list", json!({})),
            80..82 => read("usage_status", json!({})),
            82..85 => Wanted::method("tools/list", json!({})),
            85..88 => hello(agent),
            _ => return self.add(agent, &reference, roll >= 98, due).await,
        };
        agent.caller.result(ledger, &wanted, due).await;
    }

    /// Adds a track; with `twice` the same call is made again, which must add nothing.
    async fn add(&self, agent: &Agent, track: &str, twice: bool, due: Duration) {
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        let playlist = agent.playlist_with_room(number, &self.sandbox);
        let mut arguments = json!({ "ref": playlist, "tracks": [track] });
        if twice {
            arguments["idempotency_key"] = json!(format!("write-{number}"));
        }
        let wanted = Wanted::write("playlist_add", &arguments);
        let Some(first) = agent.caller.result(&self.ledger, &wanted, due).await else { return };
        self.ledger.added(&playlist, track);
        if !twice {
            return;
        }
        let Some(again) = agent.caller.result(&self.ledger, &wanted, self.ledger.now()).await else { return };
        let answers = [first, again].map(|result| result["structuredContent"].clone());
        if answers[0] != answers[1] {
            self.ledger.pages().answered_otherwise.push(format!("{} then {}", answers[0], answers[1]));
        }
    }
}

/// What a client of the agent's revision asks first.
fn hello(agent: &Agent) -> Wanted {
    let revision = agent.caller.revision;
    if revision == "2026-07-28" {
        return Wanted::method("server/discover", json!({}));
    }
    let client = json!({ "name": "stagedoor-replicas", "version": "1" });
    Wanted::method(
        "initialize",
        json!({ "protocolVersion": revision, "capabilities": {}, "clientInfo": client }),
    )
}

/// A search of the agent at its limit.
async fn ask_beyond(agent: Arc<Agent>, ledger: Arc<Ledger>, query: String, due: Duration) {
    let arguments = json!({ "query": query, "provider": "spotify", "limit": 5 });
    let sent = ledger.now();
    ledger.pages().quota.first.get_or_insert(sent);
    // Not timed: a refusal costs little.
    let wanted = Wanted::tool("search", &arguments, Kind::Untimed);
    let reply = agent.caller.ask(&ledger, &wanted, due).await;
    let now = ledger.now();
    let mut pages = ledger.pages();
    pages.quota.last = pages.quota.last.max(now);
    match reply {
        Reply::Result(_) => pages.quota.admitted += 1,
        Reply::Limited => pages.quota.refused += 1,
        Reply::Failed => {}
    }
}

/// A place among `count`, the first far more often than the last: popularity falls as 1/rank, as in `tests/mix`.
fn popular(dice: &mut StdRng, count: usize) -> usize {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    let rank = f64::from(count).powf(dice.random::<f64>());
    (0..count).find(|at| f64::from(at + 1) >= rank).unwrap_or_default() as usize
}

/// Begins `each` at random times, `rate` a second on average, until `stop`; then waits for what it began.
async fn paced<F: Future<Output = ()> + Send + 'static>(
    rate: f64,
    mut dice: StdRng,
    clock: Arc<dyn Clock>,
    stop: Arc<AtomicBool>,
    mut each: impl FnMut(Duration, &mut StdRng) -> F + Send,
) {
    let mut begun = JoinSet::new();
    let mut due = clock.elapsed();
    while !stop.load(Ordering::Acquire) {
        due += Duration::from_secs_f64(-(1.0 - dice.random::<f64>()).ln() / rate);
        if let Some(early) = due.checked_sub(clock.elapsed()) {
            tokio::time::sleep(early).await;
        }
        begun.spawn(each(due, &mut dice));
        while begun.try_join_next().is_some() {}
    }
    while begun.join_next().await.is_some() {}
}
