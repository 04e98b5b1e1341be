//! Many agents edit one queue through three replicas: nothing that was acknowledged is lost, nothing is there twice, no
//! two items stand at one place.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use stagedoor_testkit::proof::{ProofSize, prove_equal, remark};
use stagedoor_testkit::{Client, GatewayProcess, KeySpec, Stage};

use crate::music;
use crate::queues::{EDIT, GET, items, text, texts};

const REPLICAS: usize = 3;
const SEED: u64 = 0x9_e11e;

/// What an agent was told was done.
#[derive(Debug, Default)]
struct Done {
    added: Vec<String>,
    removed: Vec<String>,
    votes: i64,
    refused: u64,
    wrong: Vec<String>,
}

#[tokio::test(flavor = "multi_thread")]
async fn many_agents_lose_and_double_nothing() {
    let size = ProofSize::wanted();
    let (agents, steps): (u64, u64) = (size.of(12, 50), size.of(6, 40));
    let stage = Stage::start().await;
    let ada = stage.inhabit_with("ada", music::everything_allowed()).await;
    let replicas = join_all((0..REPLICAS).map(|number| {
        let (stage, name) = (&stage, format!("replica-{number}"));
        async move { GatewayProcess::start(stage, &name, &[]).await }
    }))
    .await;
    let owner = replicas[0].client("ada", &ada.key);
    let queue = text(&owner.call(EDIT, json!({ "action": "create", "name": "Crowd" })).await["queue"]);
    let tracks: Vec<String> = music::known_tracks(&stage, stagedoor_domain::Provider::Spotify)
        .iter()
        .map(|track| format!("spotify:track:{}", track.id))
        .collect();
    let shared = texts(
        &owner.call(EDIT, json!({ "action": "add", "queue": queue, "tracks": tracks[..10] })).await["items"],
    );
    let mut crowd = Vec::new();
    for number in 0..agents {
        let user = ada.tenant.person(&format!("Agent {number}")).await;
        let key = ada.tenant.key(&KeySpec::for_user(user)).await;
        let invite = json!({ "action": "invite", "queue": queue, "person": user, "role": "editor" });
        owner.call(EDIT, invite).await;
        let clients: Vec<Client> = replicas.iter().map(|replica| replica.client("ada", &key)).collect();
        crowd.push(work(clients, queue.clone(), (shared.clone(), tracks.clone()), (number, steps)));
    }
    let done = join_all(crowd).await;

    let mut shown = Vec::new();
    let mut from = json!(0);
    let mut score = 0;
    loop {
        let page = owner.call(GET, json!({ "queue": queue, "from": from })).await;
        shown.extend(items(&page));
        score +=
            page["items"].as_array().unwrap().iter().map(|item| item["score"].as_i64().unwrap()).sum::<i64>();
        match page.get("next_from") {
            Some(next) => from = next.clone(),
            None => break,
        }
    }
    let held: BTreeSet<&String> = shown.iter().collect();
    let removed: BTreeSet<&String> = done.iter().flat_map(|one| &one.removed).collect();
    let wanted: BTreeSet<&String> = shared
        .iter()
        .chain(done.iter().flat_map(|one| &one.added))
        .filter(|item| !removed.contains(item))
        .collect();
    let (refused, votes) =
        (done.iter().map(|one| one.refused).sum::<u64>(), done.iter().map(|one| one.votes).sum::<i64>());
    remark(format_args!("{agents} agents, {} items at the end, {refused} clear refusals", shown.len()));
    let wrong: Vec<&String> = done.iter().flat_map(|one| &one.wrong).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    let same_place = "SELECT count(*) FROM (SELECT position FROM shared_queue_items WHERE removed_in IS NULL
        GROUP BY queue_id, position HAVING count(*) > 1) twice";
    let same_place: u64 = stage.sql(same_place).await.trim().parse().unwrap();
    prove_equal("queues.lost_updates", wanted.difference(&held).count() as u64, 0);
    prove_equal("queues.items_that_nobody_put_in", held.difference(&wanted).count() as u64, 0);
    prove_equal("queues.doubled_items", (shown.len() - held.len()) as u64, 0);
    prove_equal("queues.duplicate_positions", same_place, 0);
    prove_equal("queues.lost_votes", votes.abs_diff(score), 0);
}

/// One agent's changes, each through another replica.
async fn work(
    clients: Vec<Client>,
    queue: String,
    (shared, tracks): (Vec<String>, Vec<String>),
    (number, steps): (u64, u64),
) -> Done {
    let mut random = StdRng::seed_from_u64(SEED + number);
    let (mut done, mut voted) = (Done::default(), BTreeSet::new());
    for step in 0..steps {
        let client = clients.choose(&mut random).unwrap();
        let anywhere = shared.choose(&mut random).unwrap().clone();
        let of_own = done.added.iter().find(|item| !done.removed.contains(item)).cloned();
        let (kind, arguments) = match (random.random_range(0..6), of_own) {
            (0, Some(item)) => ("remove", json!({ "action": "remove", "queue": queue, "items": [item] })),
            (1, _) => ("vote", json!({ "action": "vote", "queue": queue, "items": [anywhere], "vote": 1 })),
            (2 | 3, _) => {
                let before = shared.choose(&mut random).unwrap();
                if *before == anywhere {
                    continue;
                }
                (
                    "move",
                    json!({ "action": "reorder", "queue": queue, "items": [anywhere], "before": before }),
                )
            }
            _ => {
                let track = tracks.choose(&mut random).unwrap();
                let before = if step % 2 == 0 { json!(anywhere) } else { json!(null) };
                ("add", json!({ "action": "add", "queue": queue, "tracks": [track], "before": before }))
            }
        };
        let answer = client.tool(EDIT, arguments.clone()).await;
        match (answer.code().as_deref(), kind) {
            (None, "add") => done.added.extend(texts(&answer.result()["structuredContent"]["items"])),
            (None, "remove") => done.removed.push(text(&arguments["items"][0])),
            (None, "vote") => done.votes += i64::from(voted.insert(anywhere)),
            (None, _) => {}
            // Full, or the database was too busy: nothing was done.
            (Some("queue_full" | "overloaded"), _) => done.refused += 1,
            (Some(_), _) => done.wrong.push(format!("{arguments}: {}", answer.text())),
        }
    }
    done
}
