//! Sealed sessions: round trip, refresh by compare-and-swap, and every way of tampering with a row.

use secrecy::ExposeSecret as _;
use stagedoor_domain::{Clock as _, ErrorCode, UserId};
use stagedoor_storage::provider_sessions::{RefreshedTokens, SaveOutcome, load, save_refreshed};
use stagedoor_storage::{StoreError, provision};

use crate::support::{Database, account_of, tokens};

#[tokio::test]
async fn a_session_comes_back_as_it_was_saved_and_refreshes_once() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let vault = &database.vault;

    let session = load(vault, &ada.context, ada.account).await.unwrap().unwrap();
    assert_eq!(session.access_token.expose_secret(), "access-first");
    assert_eq!(session.refresh_token.as_ref().unwrap().expose_secret(), "refresh-first");
    assert_eq!((session.user, session.revision), (ada.user, 1));
    assert_eq!(session.scopes, ["playlist-read-private"]);
    assert_eq!(session.authorized_at, database.clock.now());
    assert!(!format!("{session:?}").contains("-first"));

    let refreshed = RefreshedTokens { refresh_token: None, scopes: None, ..tokens("second") };
    let saved = save_refreshed(vault, &ada.context, &session, &refreshed).await.unwrap();
    assert_eq!(saved, SaveOutcome::Saved { revision: 2 });
    let late = save_refreshed(vault, &ada.context, &session, &tokens("third")).await.unwrap();
    assert_eq!(late, SaveOutcome::Superseded);

    let session = load(vault, &ada.context, ada.account).await.unwrap().unwrap();
    assert_eq!(session.access_token.expose_secret(), "access-second");
    assert_eq!(session.refresh_token.unwrap().expose_secret(), "refresh-first", "kept where none came");
    assert_eq!(session.scopes, ["playlist-read-private"]);
}

#[tokio::test]
async fn a_call_bound_to_one_person_does_not_see_anothers_session() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    assert!(load(&database.vault, &ada.as_user(ada.user), ada.account).await.unwrap().is_some());
    let stranger = UserId(ada.account.0);
    assert!(load(&database.vault, &ada.as_user(stranger), ada.account).await.unwrap().is_none());
}

#[tokio::test]
async fn nothing_in_the_table_is_readable_and_no_moved_value_opens() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let admin = &database.admin;
    let eve = provision::create_user(admin, &ada.context, None, "Eve").await.unwrap();
    let eves = provision::link_account(admin, &ada.context, account_of(eve), &tokens("eve")).await.unwrap();

    let text = database
        .tamper("SELECT encode(access_token || refresh_token, 'escape') FROM provider_sessions")
        .await;
    assert!(!text.contains("access-") && !text.contains("refresh-"));

    let keep = "CREATE TABLE kept AS SELECT * FROM provider_sessions";
    database.tamper(keep).await;
    let eves_token = format!("(SELECT access_token FROM kept WHERE account_id = '{eves}')");
    let change = [
        "SET access_token = refresh_token, refresh_token = access_token".to_owned(),
        format!("SET access_token = {eves_token}"),
        "SET revision = revision + 1".to_owned(),
        "SET access_token = set_byte(access_token, 90, get_byte(access_token, 90) # 1)".to_owned(),
        "SET access_token = 'x'".to_owned(),
    ];
    for change in change {
        database
            .tamper(&format!("UPDATE provider_sessions {change} WHERE account_id = '{}'", ada.account))
            .await;
        let outcome = load(&database.vault, &ada.context, ada.account).await;
        let Err(error @ StoreError::Unreadable { .. }) = outcome else { panic!("{change}: {outcome:?}") };
        assert_eq!(error.public().code, ErrorCode::SessionUnreadable);
        database
            .tamper(
                "UPDATE provider_sessions s SET access_token = k.access_token, refresh_token = k.refresh_token,
                revision = k.revision FROM kept k WHERE s.session_id = k.session_id",
            )
            .await;
        assert!(load(&database.vault, &ada.context, ada.account).await.unwrap().is_some(), "restored");
    }
}
