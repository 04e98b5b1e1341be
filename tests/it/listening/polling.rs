//! The keeper asks what was played: exactly that is kept, with gaps where the service forgot, of those who agreed and of
//! nobody else.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;
use stagedoor_domain::Provider;
use stagedoor_keeper::jobs::listening::Listening;
use stagedoor_keeper::{Ended, Ending, Keeper, RunOptions};
use stagedoor_sandbox::{Effect, FaultRule};
use stagedoor_storage::listening::{self, Gap, GapReason};
use stagedoor_testkit::proof::ProofSize;
use stagedoor_testkit::{FrozenClock, TestGateway};

use super::{Listener, stage};
use crate::limits_hot_reload::until;

const MINUTE: Duration = Duration::from_mins(1);
const OPERATION: &str = "GET /me/player/recently-played";

pub(super) async fn poll(keeper: &Keeper) -> Ended {
    Box::pin(keeper.execute(&Listening::default(), RunOptions::default())).await.unwrap()
}

async fn gaps(listener: &Listener<'_>) -> Vec<Gap> {
    let (store, user) = (listener.stage.reader().store(), listener.ada.user);
    store
        .with_tenant(listener.ada.tenant.context(), async |tx| listening::gaps(tx, user).await)
        .await
        .unwrap()
}

#[tokio::test]
async fn what_is_kept_is_exactly_what_was_played_since_the_person_agreed() {
    let clock = Arc::new(FrozenClock::now());
    let stage = stage(&clock).await;
    let gateway = TestGateway::start(&stage).await;
    let ada = Listener::of(&stage, &gateway, &clock, "ada").await;
    let keeper = stage.keeper().await;
    for number in 0..5 {
        ada.passes(3 * MINUTE);
        ada.plays(number);
    }
    assert_eq!(poll(&keeper).await.count("accounts_due"), 0, "nobody was asked");
    ada.consents(true).await;
    let mut expected = BTreeSet::new();
    for number in 5..9 {
        ada.passes(3 * MINUTE);
        expected.insert(ada.plays(number));
    }
    let first = poll(&keeper).await;
    assert_eq!((first.ending, first.count("plays_added")), (Ending::Succeeded, 4), "{first}");
    assert_eq!(ada.heard().await, expected);
    assert_eq!(poll(&keeper).await.count("accounts_due"), 0, "not every run asks");

    ada.passes(131 * MINUTE);
    expected.insert(ada.plays(5));
    let second = poll(&keeper).await;
    assert_eq!((second.count("plays_added"), second.count("plays_known")), (1, 4), "{second}");
    assert_eq!(second.count("gaps_found"), 0);
    assert_eq!((ada.heard().await, gaps(&ada).await), (expected, vec![]));
    assert_eq!(stage.sql("SELECT count(*) FROM listening_rollups WHERE built < wanted").await, "0");
    keeper.audit.flush().await.unwrap();
    let trail = ada.ada.tenant.audit_trail().await;
    let polls = trail.iter().filter(|view| view.json().unwrap()["action"] == "listening_poll").count();
    assert_eq!(polls, 2, "each poll is on record");
}

/// Bursts that the list cannot hold, faults of every kind, a service whose clock is wrong, tokens that end.
#[tokio::test]
async fn bursts_faults_and_skewed_clocks_lose_and_double_nothing() {
    let rounds: usize = ProofSize::wanted().of(60, 800);
    let clock = Arc::new(FrozenClock::now());
    let stage = stage(&clock).await;
    let gateway = TestGateway::start(&stage).await;
    let ada = Listener::of(&stage, &gateway, &clock, "ada").await;
    ada.consents(true).await;
    let keeper = stage.keeper().await;
    let mut random = StdRng::seed_from_u64(20_261_123);
    let ahead = random.random_range(-90_000..90_000_i64);
    ada.passes(5 * MINUTE);
    let mut played = BTreeSet::new();
    let (mut failed, mut missed) = (0, 0);
    for _ in 0..rounds {
        let tracks = if random.random_range(0..12) == 0 {
            random.random_range(51..90)
        } else {
            random.random_range(0..30)
        };
        for _ in 0..tracks {
            ada.passes(Duration::from_millis(random.random_range(31_000..240_000)));
            played.insert(ada.plays_by_clock_of_service(random.random_range(0..40), ahead));
        }
        ada.passes(random.random_range(1..40) * MINUTE);
        let effect = match random.random_range(0..8) {
            0 => Some(Effect::Status { status: 503, retry_after: None }),
            1 => Some(Effect::Status { status: 429, retry_after: Some(1) }),
            2 => Some(Effect::Garbage),
            3 => Some(Effect::WrongShape),
            _ => None,
        };
        if random.random_range(0..6) == 0 {
            stage.sandbox().expire_access_tokens(Provider::Spotify);
        }
        if let Some(effect) = effect {
            stage.sandbox().faults().push(FaultRule::new(Provider::Spotify, effect).operation(OPERATION));
        }
        let polled = poll(&keeper).await;
        assert_eq!(polled.ending, Ending::Succeeded, "{polled}");
        failed += polled.count("polls_failed");
        missed += polled.count("gaps_found");
        stage.sandbox().faults().clear();
    }
    // A poll of everything that is left, once the service's last word to wait has passed.
    let last = AtomicU64::new(0);
    until("a poll that succeeds", async || {
        ada.passes(Duration::from_hours(7));
        let polled = poll(&keeper).await;
        last.store(polled.count("gaps_found"), Ordering::Relaxed);
        polled.count("accounts_polled") == 1
    })
    .await;
    missed += last.into_inner();
    assert!(failed > 0 && missed > 0, "{failed} polls failed, {missed} found gaps");

    let heard = ada.heard().await;
    assert!(heard.is_subset(&played), "something is kept that was not played");
    let gaps = gaps(&ada).await;
    let within = |at: &DateTime<Utc>| gaps.iter().any(|gap| gap.from < *at && *at < gap.to);
    let lost: Vec<_> = played.difference(&heard).filter(|(_, at)| !within(at)).collect();
    assert!(lost.is_empty(), "{} plays are neither kept nor in a gap: {lost:?}", lost.len());
    assert!(heard.iter().all(|(_, at)| !within(at)), "a gap is where plays are known");
    assert!(gaps.iter().all(|gap| gap.reason == GapReason::Missed));
    assert_eq!(gaps.len() as u64, missed);
}

#[tokio::test]
async fn nothing_is_kept_of_times_without_consent_and_the_gap_says_so() {
    let clock = Arc::new(FrozenClock::now());
    let stage = stage(&clock).await;
    let gateway = TestGateway::start(&stage).await;
    let ada = Listener::of(&stage, &gateway, &clock, "ada").await;
    ada.consents(true).await;
    let keeper = stage.keeper().await;
    ada.passes(3 * MINUTE);
    let before = ada.plays(1);
    poll(&keeper).await;
    ada.consents(false).await;
    ada.passes(180 * MINUTE);
    ada.plays(2);
    assert_eq!(poll(&keeper).await.count("accounts_due"), 0, "taken back is taken back");
    assert_eq!(ada.heard().await, BTreeSet::from([before.clone()]));

    ada.passes(MINUTE);
    ada.consents(true).await;
    let again = ada.now();
    ada.passes(3 * MINUTE);
    let after = ada.plays(3);
    assert_eq!(poll(&keeper).await.count("plays_added"), 1);
    assert_eq!(ada.heard().await, BTreeSet::from([before.clone(), after]));
    let gaps = gaps(&ada).await;
    assert_eq!((gaps.len(), gaps[0].reason, gaps[0].from), (1, GapReason::NoConsent, before.1));
    assert!((gaps[0].to - again).abs() < TimeDelta::seconds(1), "{:?}", gaps[0]);
}

#[tokio::test]
async fn a_closed_gate_a_suspended_tenant_and_a_dry_run_ask_nobody() {
    let clock = Arc::new(FrozenClock::now());
    let stage = stage(&clock).await;
    let gateway = TestGateway::start(&stage).await;
    let ada = Listener::of(&stage, &gateway, &clock, "ada").await;
    ada.consents(true).await;
    ada.passes(3 * MINUTE);
    ada.plays(1);
    let keeper = stage.keeper().await;
    let dry = RunOptions { dry_run: true, ..RunOptions::default() };
    let dry = Box::pin(keeper.execute(&Listening::default(), dry)).await.unwrap();
    assert_eq!((dry.count("accounts_due"), dry.count("accounts_polled")), (1, 0), "{dry}");
    stage.sql("UPDATE tenants SET settings = settings || '{\"policy_gates\": {}}'").await;
    assert_eq!(poll(&keeper).await.count("accounts_due"), 0);
    let open = json!({ "policy_gates": { "spotify": { "history_insights": true } } });
    stage.sql(&format!("UPDATE tenants SET settings = settings || '{open}', status = 'suspended'")).await;
    assert_eq!(poll(&keeper).await.count("accounts_due"), 0);
    assert_eq!(ada.history().await.len(), 0);
    let asked = stage.sandbox().requests(Provider::Spotify).get(OPERATION).copied();
    assert_eq!(asked.unwrap_or_default(), 0);
    stage.sql("UPDATE tenants SET status = 'active'").await;
    assert_eq!(poll(&keeper).await.count("plays_added"), 1);
}

#[tokio::test]
async fn what_an_account_brought_goes_with_it_and_the_rest_is_added_up_anew() {
    let clock = Arc::new(FrozenClock::now());
    let stage = stage(&clock).await;
    let gateway = TestGateway::start(&stage).await;
    let (ada, bob) = (
        Listener::of(&stage, &gateway, &clock, "ada").await,
        Listener::of(&stage, &gateway, &clock, "bob").await,
    );
    for listener in [&ada, &bob] {
        listener.consents(true).await;
        listener.passes(3 * MINUTE);
        listener.plays(1);
    }
    let keeper = stage.keeper().await;
    assert_eq!(poll(&keeper).await.count("plays_added"), 2);
    let built = "SELECT count(*) FROM listening_rollups WHERE heard IS NOT NULL";
    assert_eq!(stage.sql(built).await, "2");
    ada.client.call("account_unlink", json!({ "provider": "spotify" })).await;
    assert_eq!((ada.history().await.len(), bob.history().await.len()), (0, 1));
    assert_eq!(stage.sql(built).await, "1", "a roll-up of what was deleted is none");
    assert_eq!(stage.sql("SELECT count(*) FROM listening_cursors").await, "1");
    ada.passes(200 * MINUTE);
    let polled = poll(&keeper).await;
    assert_eq!((polled.ending, polled.count("accounts_due")), (Ending::Succeeded, 1), "{polled}");
}
