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

#[tokio::test]
async fn a_session_that_was_moved_to_another_tenant_does_not_open() {
    let database = Database::start().await;
    let (ada, bob) = (database.inhabit("ada").await, database.inhabit("bob").await);
    let refused = async |with: &str| {
        let outcome = load(&database.vault, &bob.context, bob.account).await;
        let error = outcome.expect_err(with);
        assert!(
            matches!(error.public().code, ErrorCode::KeyUnavailable | ErrorCode::SessionUnreadable),
            "{error:?}"
        );
    };
    let (adas, bobs) = (ada.context.tenant_id(), bob.context.tenant_id());
    database
        .tamper(&format!(
            "CREATE TABLE kept AS SELECT * FROM provider_sessions WHERE tenant_id = '{bobs}';
            UPDATE provider_sessions s SET session_id = a.session_id, access_token = a.access_token,
                refresh_token = a.refresh_token, revision = a.revision
            FROM provider_sessions a WHERE s.tenant_id = '{bobs}' AND a.tenant_id = '{adas}'"
        ))
        .await;
    refused("the session alone").await;
    database
        .tamper(&format!(
            "INSERT INTO data_keys (tenant_id, key_id, purpose, user_id, state, revision, wrapped_key, wrapped_by)
            SELECT '{bobs}', key_id, purpose, CASE purpose WHEN 2 THEN '{}'::uuid END, 'decrypt_only', revision,
                wrapped_key, wrapped_by
            FROM data_keys WHERE tenant_id = '{adas}'",
            bob.user
        ))
        .await;
    refused("with the keys above it").await;

    database
        .tamper(
            "UPDATE provider_sessions s SET session_id = k.session_id, access_token = k.access_token,
                refresh_token = k.refresh_token FROM kept k WHERE s.account_id = k.account_id",
        )
        .await;
    let own = load(&database.vault, &bob.context, bob.account).await.unwrap().unwrap();
    assert_eq!(own.access_token.expose_secret(), "access-first", "restored");
}

/// A key of a tenant that acts for nobody must not open anyone's session; only jobs are not bound to a person.
#[tokio::test]
async fn a_call_that_is_bound_to_nobody_loads_no_session() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    assert!(load(&database.vault, &ada.as_user(None), ada.account).await.unwrap().is_none());
    assert!(load(&database.vault, &ada.context, ada.account).await.unwrap().is_some(), "a job");
}
