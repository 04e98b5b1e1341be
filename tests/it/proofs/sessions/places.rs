//! Sealed sessions that were moved: to another account or tenant, to the other column, back in time. None opens, and two
//! people of two tenants never see one another's accounts.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use stagedoor_domain::Provider;
use stagedoor_storage::StoreError;
use stagedoor_storage::provider_sessions::{self, OpenedSession};
use stagedoor_testkit::proof::{ProofSize, prove_equal};
use stagedoor_testkit::{Inhabited, Stage, TestGateway};

/// What is done to Ada's session at Spotify, from `f`: another row.
const FROM_ANOTHER_ROW: [&str; 3] = [
    "access_token = f.access_token",
    "refresh_token = f.refresh_token",
    "access_token = f.access_token, refresh_token = f.refresh_token, revision = f.revision",
];
/// The same from `f`: its own state at an earlier revision, or now.
const FROM_ITSELF: [&str; 4] = [
    "access_token = f.refresh_token",
    "refresh_token = f.access_token",
    "access_token = f.refresh_token, refresh_token = f.access_token",
    "revision = f.revision + 1",
];

const EVERYTHING: &str =
    "access_token = f.access_token, refresh_token = f.refresh_token, revision = f.revision";

#[tokio::test]
async fn no_session_opens_in_another_place() {
    let rounds: usize = ProofSize::wanted().of(1, 25);
    let stage = Stage::start().await;
    let (ada, bob) = (stage.inhabit("ada").await, stage.inhabit("bob").await);
    let own = ada.account(Provider::Spotify).id;
    let others =
        [ada.account(Provider::Tidal).id, bob.account(Provider::Spotify).id, bob.account(Provider::Tidal).id];
    // Apart from the tables of the schema, which the stages of other tests find as they left them.
    stage.sql("DROP SCHEMA IF EXISTS scratch CASCADE; CREATE SCHEMA scratch").await;
    stage.sql("CREATE TABLE scratch.kept AS SELECT * FROM provider_sessions").await;
    let from_others =
        others.iter().flat_map(|from| FROM_ANOTHER_ROW.iter().map(move |change| (*change, *from)));
    let from_itself = FROM_ITSELF.iter().map(|change| (*change, own));
    let moves: Vec<_> = from_others.chain(from_itself).collect();
    let (mut tried, mut opened) = (0, 0);
    for _ in 0..rounds {
        for (change, from) in &moves {
            stage.sql(&moved(change, &own.to_string(), &from.to_string())).await;
            let outcome = open(&stage, &ada).await;
            let refused = matches!(outcome, Err(StoreError::Unreadable { .. } | StoreError::Missing(_)));
            opened += u64::from(!refused);
            tried += 1;
            stage.sql(&moved(EVERYTHING, &own.to_string(), &own.to_string())).await;
            assert!(open(&stage, &ada).await.unwrap().is_some(), "put back, it opens");
        }
    }
    prove_equal(&format!("sessions.moved_opened_of_{tried}"), opened, 0);
}

#[tokio::test]
async fn two_people_of_two_tenants_never_see_one_anothers_accounts() {
    let operations: usize = ProofSize::wanted().of(200, 5_000);
    let stage = Stage::start().await;
    let people = [stage.inhabit("ada").await, stage.inhabit("bob").await];
    let gateway = TestGateway::start(&stage).await;
    let clients = people.each_ref().map(|person| gateway.client(person.tenant.slug(), &person.key));
    let mut random = StdRng::seed_from_u64(0x0a_ccd0);
    let (mut foreign, mut answered) = (0, 0);
    for _ in 0..operations {
        let own = random.random_range(0..2);
        let (client, other) = (&clients[own], &people[1 - own]);
        let provider = *Provider::ALL.choose(&mut random).unwrap();
        let theirs = other.account(provider);
        let answer = match random.random_range(0..4) {
            0 => client.tool("accounts_list", json!({})).await,
            1 => client.tool("playlists_list", json!({ "account": theirs.id })).await,
            2 => client.tool("playlists_list", json!({ "provider": provider })).await,
            _ => client.tool("account_unlink", json!({ "account": theirs.id })).await,
        };
        answered += usize::from(answer.result()["isError"] == false);
        let text = answer.result().to_string();
        // Our own question comes back in the refusal; what the service calls the account must not.
        foreign += u64::from(
            text.contains(&theirs.account) || text.contains(&format!("{} at", other.tenant.slug())),
        );
    }
    assert!(answered > operations / 4, "only {answered} of {operations} calls were answered");
    let left = stage.sql("SELECT count(*) FROM linked_accounts").await;
    prove_equal("sessions.accounts_unlinked_by_strangers", 4 - left.trim().parse::<u64>().unwrap(), 0);
    prove_equal(&format!("sessions.foreign_accounts_seen_in_{operations}"), foreign, 0);
}

async fn open(stage: &Stage, person: &Inhabited<'_>) -> Result<Option<OpenedSession>, StoreError> {
    let account = person.account(Provider::Spotify).id;
    provider_sessions::load(stage.reader(), person.tenant.context(), account).await
}

fn moved(change: &str, to: &str, from: &str) -> String {
    format!(
        "UPDATE provider_sessions s SET {change} FROM scratch.kept f WHERE s.account_id = '{to}' AND f.account_id = '{from}'"
    )
}
