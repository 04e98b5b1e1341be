//! Sessions get a new id and a new seal every day, at their next use.

use std::time::Duration;

use secrecy::ExposeSecret as _;
use stagedoor_storage::StoreError;
use stagedoor_storage::provider_sessions::{
    RefreshClaim, SaveOutcome, claim_refresh, load, release_refresh, save_refreshed,
};

use crate::support::{Database, tokens};

const DAY: Duration = Duration::from_hours(24);

#[tokio::test]
async fn a_session_rotates_after_a_day_and_its_old_seal_is_worth_nothing() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let (vault, context) = (&database.vault, &ada.context);
    let first = load(vault, context, ada.account).await.unwrap().unwrap();
    database.tamper("CREATE TABLE kept AS SELECT * FROM provider_sessions").await;
    database.clock.advance(DAY.checked_sub(Duration::from_micros(1)).unwrap());
    let same = load(vault, context, ada.account).await.unwrap().unwrap();
    assert_eq!((same.id, same.revision, same.rotated), (first.id, first.revision, false));

    database.clock.advance(Duration::from_micros(1));
    let rotated = load(vault, context, ada.account).await.unwrap().unwrap();
    assert!(rotated.rotated && rotated.id != first.id);
    assert_eq!(rotated.revision, first.revision + 1);
    assert_eq!(rotated.access_token.expose_secret(), "access-first");
    assert_eq!(rotated.refresh_token.unwrap().expose_secret(), "refresh-first");
    let again = load(vault, context, ada.account).await.unwrap().unwrap();
    assert_eq!((again.id, again.rotated), (rotated.id, false));
    let unsealed_anew = "SELECT count(*) FROM provider_sessions s JOIN kept k USING (account_id)
        WHERE s.access_token = k.access_token OR s.refresh_token = k.refresh_token OR s.session_id = k.session_id";
    assert_eq!(database.tamper(unsealed_anew).await, "0");

    // Neither the old seal in the new row, nor under the old revision, nor under the old id.
    for change in [
        "access_token = k.access_token",
        "refresh_token = k.refresh_token",
        "access_token = k.access_token, refresh_token = k.refresh_token, revision = k.revision",
        "session_id = k.session_id",
        "revision = k.revision",
    ] {
        database.tamper("CREATE TABLE now AS SELECT * FROM provider_sessions").await;
        database
            .tamper(&format!(
                "UPDATE provider_sessions s SET {change} FROM kept k WHERE k.account_id = s.account_id"
            ))
            .await;
        let outcome = load(vault, context, ada.account).await;
        assert!(matches!(outcome, Err(StoreError::Unreadable { .. })), "{change}: {outcome:?}");
        database.tamper("DELETE FROM provider_sessions; INSERT INTO provider_sessions SELECT * FROM now; DROP TABLE now").await;
    }
    assert!(load(vault, context, ada.account).await.unwrap().is_some(), "restored");

    database.clock.advance(DAY);
    assert!(load(vault, context, ada.account).await.unwrap().unwrap().rotated, "every day");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_loads_one_rotates() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    database.clock.advance(DAY);
    let mut loads = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (vault, context, account) = (database.vault.clone(), ada.context.clone(), ada.account);
        loads.spawn(async move { load(&vault, &context, account).await.unwrap().unwrap() });
    }
    let sessions = loads.join_all().await;
    assert_eq!(sessions.iter().filter(|session| session.rotated).count(), 1);
    assert!(sessions.iter().all(|session| session.id == sessions[0].id && session.revision == 2));
}

/// A rotation between the exchange and the store would make the store lose, and the grant with it.
#[tokio::test]
async fn a_session_that_is_being_refreshed_does_not_rotate() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let (vault, context) = (&database.vault, &ada.context);
    let session = load(vault, context, ada.account).await.unwrap().unwrap();
    let lease = Duration::from_mins(1);
    let RefreshClaim::Won { claim, .. } = claim_refresh(vault, context, &session, lease).await.unwrap()
    else {
        panic!("nobody else is at it");
    };
    database.clock.advance(DAY);
    assert!(!load(vault, context, ada.account).await.unwrap().unwrap().rotated);
    // Not even when the holder is late: what it brings must still find the row.
    database.tamper("UPDATE provider_sessions SET refresh_claimed_until = now() - interval '1 hour'").await;
    assert!(!load(vault, context, ada.account).await.unwrap().unwrap().rotated);
    let saved = save_refreshed(vault, context, &session, &tokens("late")).await.unwrap();
    assert_eq!(saved, SaveOutcome::Saved { revision: 2 });
    let rotated = load(vault, context, ada.account).await.unwrap().unwrap();
    assert!(rotated.rotated);
    assert_eq!(rotated.access_token.expose_secret(), "access-late");
    assert!(!release_refresh(vault, context, &session, claim).await.unwrap(), "saving ended the claim");
}
