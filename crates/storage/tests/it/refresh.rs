//! One refresh at a time over all replicas: claims, their end, and whose answer counts.

use std::time::Duration;

use secrecy::ExposeSecret as _;
use stagedoor_storage::linked_accounts::{self, AccountStatus};
use stagedoor_storage::provider_sessions::{
    OpenedSession, RefreshClaim, SaveOutcome, claim_refresh, load, mark_relink_needed_at, release_refresh,
    save_refreshed,
};

use crate::attempts::in_tenant;
use crate::support::{Database, Inhabited, tokens};

const LEASE: Duration = Duration::from_mins(1);

async fn session(database: &Database, one: &Inhabited) -> OpenedSession {
    load(&database.vault, &one.context, one.account).await.unwrap().unwrap()
}

async fn status(database: &Database, one: &Inhabited) -> AccountStatus {
    let found = in_tenant(database, one, async |tx| linked_accounts::find(tx, one.account).await).await;
    found.unwrap().status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_replicas_one_refreshes() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let session = session(&database, &ada).await;
    let mut replicas = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let (vault, context, session) = (database.vault.clone(), ada.context.clone(), session.clone());
        replicas.spawn(async move { claim_refresh(&vault, &context, &session, LEASE).await.unwrap() });
    }
    let claims = replicas.join_all().await;
    let won = |claim: &RefreshClaim| *claim == RefreshClaim::Won { claim: 1, took_over: false };
    assert_eq!(claims.iter().filter(|claim| won(claim)).count(), 1);
    for claim in claims.iter().filter(|claim| !won(claim)) {
        let RefreshClaim::Busy { remaining } = claim else { panic!("{claim:?}") };
        assert!(*remaining <= LEASE, "{remaining:?}");
    }

    let saved = save_refreshed(&database.vault, &ada.context, &session, &tokens("second")).await.unwrap();
    assert_eq!(saved, SaveOutcome::Saved { revision: 2 });
    let late = claim_refresh(&database.vault, &ada.context, &session, LEASE).await.unwrap();
    assert_eq!(late, RefreshClaim::Moved);
}

#[tokio::test]
async fn the_claim_of_a_dead_holder_ends_and_a_late_holder_loses_to_what_was_stored() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let (vault, context) = (&database.vault, &ada.context);
    let session = session(&database, &ada).await;
    let claim = async || claim_refresh(vault, context, &session, LEASE).await.unwrap();
    assert_eq!(claim().await, RefreshClaim::Won { claim: 1, took_over: false });
    // The clock of the replica has no say.
    database.clock.advance(LEASE * 60);
    assert!(matches!(claim().await, RefreshClaim::Busy { .. }));
    database.tamper("UPDATE provider_sessions SET refresh_claimed_until = now() - interval '1 ms'").await;
    assert_eq!(claim().await, RefreshClaim::Won { claim: 2, took_over: true });
    assert!(!release_refresh(vault, context, &session, 1).await.unwrap(), "another's claim");
    assert!(matches!(claim().await, RefreshClaim::Busy { .. }));
    assert!(release_refresh(vault, context, &session, 2).await.unwrap());
    assert_eq!(claim().await, RefreshClaim::Won { claim: 3, took_over: false });

    // The first holder was slow, not dead: whoever stores first counts, and the other is told.
    let saved = save_refreshed(vault, context, &session, &tokens("first holder's")).await.unwrap();
    assert_eq!(saved, SaveOutcome::Saved { revision: 2 });
    let lost = save_refreshed(vault, context, &session, &tokens("third holder's")).await.unwrap();
    assert_eq!(lost, SaveOutcome::Superseded);
    let stored = load(vault, context, ada.account).await.unwrap().unwrap();
    assert_eq!(stored.access_token.expose_secret(), "access-first holder's");
}

#[tokio::test]
async fn what_the_provider_refused_marks_the_account_only_while_it_is_what_is_stored() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let (vault, context) = (&database.vault, &ada.context);
    let session = session(&database, &ada).await;
    claim_refresh(vault, context, &session, LEASE).await.unwrap();
    assert!(mark_relink_needed_at(vault, context, ada.account, session.revision).await.unwrap());
    assert_eq!(status(&database, &ada).await, AccountStatus::RelinkNeeded);
    let free = claim_refresh(vault, context, &session, LEASE).await.unwrap();
    assert_eq!(free, RefreshClaim::Won { claim: 2, took_over: false }, "marking ended the claim");

    // A slower holder's exchange had taken effect after all.
    let saved = save_refreshed(vault, context, &session, &tokens("second")).await.unwrap();
    assert_eq!(saved, SaveOutcome::Saved { revision: 2 });
    assert_eq!(status(&database, &ada).await, AccountStatus::Active);
    assert!(!mark_relink_needed_at(vault, context, ada.account, session.revision).await.unwrap());
    assert_eq!(status(&database, &ada).await, AccountStatus::Active);
}

/// A replica of the release before stores what it exchanged without looking at the account's status.
#[tokio::test]
async fn what_is_stored_after_a_refusal_is_usable_though_nobody_took_the_mark_away() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let (vault, context) = (&database.vault, &ada.context);
    let session = session(&database, &ada).await;
    assert!(mark_relink_needed_at(vault, context, ada.account, session.revision).await.unwrap());
    // A new seal of what was refused is no news.
    database.clock.advance(Duration::from_hours(24));
    let rotated = load(vault, context, ada.account).await.unwrap().unwrap();
    assert!(rotated.rotated);
    assert_eq!(status(&database, &ada).await, AccountStatus::RelinkNeeded);
    database.tamper("UPDATE provider_sessions SET revision = revision + 1").await;
    assert_eq!(status(&database, &ada).await, AccountStatus::Active);
    assert!(mark_relink_needed_at(vault, context, ada.account, rotated.revision + 1).await.unwrap());
    assert_eq!(status(&database, &ada).await, AccountStatus::RelinkNeeded, "refused again");
}
