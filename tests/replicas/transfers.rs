//! Long work that outlives gateways: playlists brought from Spotify to Tidal, each followed in one of the ways that
//! clients have, and compared with its source when it is done.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use stagedoor_domain::Provider;
use stagedoor_sandbox::{SampleTrack, Sandbox};

use crate::agents::Agent;
use crate::calls::Wanted;
use crate::ledger::{Kind, Ledger};

/// Tracks of a playlist that is moved.
const TRACKS: usize = 60;
/// How often a job is asked for, as the gateway proposes.
const POLL: Duration = Duration::from_secs(1);
/// After so long a transfer is lost.
const PATIENCE: Duration = Duration::from_mins(2);

/// How a client follows long work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Follow {
    /// As a task (2026-07-28).
    Task,
    /// By progress on the response stream.
    Progress,
    /// It waits for the answer.
    Wait,
}

impl Follow {
    /// Every way.
    pub(crate) const ALL: &'static [Self] = &[Self::Task, Self::Progress, Self::Wait];

    /// Whether clients before 2026-07-28 have no such way.
    pub(crate) fn is_modern(self) -> bool {
        self == Self::Task
    }
}

/// Moves one playlist after the other until `stop`.
pub(crate) async fn again_and_again(
    sandbox: Sandbox,
    agent: Arc<Agent>,
    follow: Follow,
    ledger: Arc<Ledger>,
    stop: Arc<AtomicBool>,
) {
    let shared = shared_tracks(&sandbox);
    let mut number = 0;
    while !stop.load(Ordering::Acquire) {
        let tracks: Vec<&SampleTrack> = shared.iter().cycle().skip(number * 7).take(TRACKS).collect();
        let begun = ledger.now();
        let moved = tokio::time::timeout(PATIENCE, once(&sandbox, &agent, follow, &ledger, &tracks)).await;
        let moved = moved.context("it did not end in time").flatten();
        match moved {
            Ok(()) => {
                let took = ledger.now().saturating_sub(begun);
                ledger.pages().transfers.push(took);
            }
            Err(error) => ledger.pages().transfers_wrong.push(format!("{follow:?}: {error:#}")),
        }
        number += 1;
    }
}

async fn once(
    sandbox: &Sandbox,
    agent: &Agent,
    follow: Follow,
    ledger: &Ledger,
    tracks: &[&SampleTrack],
) -> anyhow::Result<()> {
    let ids: Vec<&str> = tracks.iter().map(|track| track.id.as_str()).collect();
    let source = sandbox.make_playlist(Provider::Spotify, &agent.account, "To be moved", &ids);
    let arguments = json!({
        "ref": format!("spotify:playlist:{source}"), "to_provider": "tidal", "idempotency_key": source,
    });
    let mut wanted = Wanted::tool("playlist_transfer", &arguments, Kind::Untimed);
    if follow == Follow::Progress {
        wanted.params["_meta"] = json!({ "progressToken": source });
    }
    let asked = agent.caller.result(ledger, &wanted, ledger.now()).await.context("the call failed")?;
    let done = finished(agent, ledger, asked).await?;
    ensure!(done["state"] == "done", "it ended otherwise: {done}");
    let target = done["report"]["target"].as_str().context("it names no target")?;
    let target = target.rsplit(':').next().unwrap_or_default();
    let there = sandbox.playlist_tracks(Provider::Tidal, target).context("the target is not there")?;
    let codes: HashMap<String, Option<String>> =
        sandbox.catalogue(Provider::Tidal).tracks().map(|track| (track.id, track.isrc)).collect();
    let there: Vec<Option<&String>> = there.iter().map(|id| codes.get(id).and_then(Option::as_ref)).collect();
    let wanted: Vec<Option<&String>> = tracks.iter().map(|track| track.isrc.as_ref()).collect();
    ensure!(there == wanted, "the target holds {} of {} tracks, or others", there.len(), wanted.len());
    Ok(())
}

/// The job's report, once it rests.
async fn finished(agent: &Agent, ledger: &Ledger, asked: Value) -> anyhow::Result<Value> {
    let task = (asked["resultType"] == "task").then(|| asked["taskId"].clone());
    let mut seen = asked["structuredContent"].clone();
    loop {
        if task.is_none() && !matches!(seen["state"].as_str(), Some("queued" | "running")) {
            return Ok(seen);
        }
        tokio::time::sleep(POLL).await;
        let wanted = match &task {
            Some(task) => Wanted {
                tool: Some("job_get"),
                kind: Kind::Untimed,
                ..Wanted::method("tasks/get", json!({ "taskId": task }))
            },
            None => Wanted::tool("job_get", &json!({ "job": seen["job"] }), Kind::Untimed),
        };
        let result = agent.caller.result(ledger, &wanted, ledger.now()).await.context("a look failed")?;
        if task.is_none() {
            seen = result["structuredContent"].clone();
        } else if result["status"] != "working" {
            return Ok(result["result"]["structuredContent"].clone());
        }
    }
}

/// Tracks of Spotify whose code Tidal has, too, for everyone; no code twice.
fn shared_tracks(sandbox: &Sandbox) -> Vec<SampleTrack> {
    let mut theirs: HashMap<String, bool> = HashMap::new();
    for track in sandbox.catalogue(Provider::Tidal).tracks() {
        if let Some(isrc) = track.isrc {
            *theirs.entry(isrc).or_default() |= track.blocked_in.is_empty();
        }
    }
    let ours = sandbox.catalogue(Provider::Spotify);
    ours.tracks()
        .filter(|track| track.blocked_in.is_empty())
        .filter(|track| track.isrc.as_ref().is_some_and(|isrc| theirs.remove(isrc) == Some(true)))
        .take(130)
        .collect()
}
