//! A session that does not open is set aside to the byte, never deleted, and the account can be linked again over it.

use std::sync::Arc;

use secrecy::ExposeSecret as _;
use stagedoor_crypto::envelope::OpenError;
use stagedoor_crypto::{KeyEncryptionKeys, SystemEntropy};
use stagedoor_domain::ErrorCode;
use stagedoor_storage::keys::OPEN_FOR;
use stagedoor_storage::linked_accounts;
use stagedoor_storage::provider_sessions::{SaveOutcome, load, quarantine, save_refreshed};
use stagedoor_storage::{KeyVault, Store, StoreError, provision};

use crate::attempts::in_tenant;
use crate::support::{Database, account_of, tokens};

const SEALED: &str = "access_token, refresh_token, scopes, token_expires_at, authorized_at, revision, session_id, \
    schema_version";

#[tokio::test]
async fn a_damaged_session_is_kept_to_the_byte_and_linked_over() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let (vault, context) = (&database.vault, &ada.context);
    assert!(!quarantine(vault, context, ada.account, "damaged").await.unwrap(), "it opens");
    database
        .tamper(
            "UPDATE provider_sessions SET refresh_token = set_byte(refresh_token, 99, get_byte(refresh_token, 99) # 4)",
        )
        .await;
    let damaged = database.tamper(&format!("SELECT {SEALED} FROM provider_sessions")).await;
    assert!(matches!(load(vault, context, ada.account).await, Err(StoreError::Unreadable { .. })));
    assert!(quarantine(vault, context, ada.account, "damaged").await.unwrap());
    assert!(!quarantine(vault, context, ada.account, "damaged").await.unwrap(), "once");

    let aside = load(vault, context, ada.account).await.unwrap_err();
    assert!(matches!(aside, StoreError::Quarantined), "{aside:?}");
    assert_eq!(aside.public().code, ErrorCode::SessionUnreadable);
    assert_eq!(database.tamper(&format!("SELECT {SEALED} FROM provider_sessions")).await, damaged);
    let copy = format!("SELECT {SEALED} FROM session_quarantine WHERE account_id = '{}'", ada.account);
    assert_eq!(database.tamper(&copy).await, damaged);
    let found = in_tenant(&database, &ada, async |tx| linked_accounts::find(tx, ada.account).await).await;
    assert!(found.unwrap().session.unwrap().quarantined);

    let again =
        provision::link_account(vault, context, account_of(ada.user), &tokens("again")).await.unwrap();
    assert_eq!(again, ada.account);
    let session = load(vault, context, ada.account).await.unwrap().unwrap();
    assert_eq!(session.access_token.expose_secret(), "access-again");
    assert_eq!(database.tamper(&copy).await, damaged, "the copy outlives linking again");

    // The gateway's role can neither change a copy nor empty the table for a trial.
    let update = database.bare("stagedoor_app").await;
    let refused = refuse(update, "UPDATE session_quarantine SET reason = 'x'").await;
    assert!(refused.contains("permission denied"), "{refused}");
}

async fn refuse(mut connection: sqlx::PgConnection, sql: &'static str) -> String {
    sqlx::query(sql).execute(&mut connection).await.unwrap_err().to_string()
}

#[tokio::test]
async fn a_key_that_is_missing_sets_nothing_aside() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let store = Store::connect(&database.options("stagedoor_app")).await.unwrap();
    let other: &[u8] = b"AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";
    let keys = KeyEncryptionKeys::from_files([("1", other)]).unwrap();
    let keyless = KeyVault::new(store, Arc::new(keys), database.clock.clone(), Arc::new(SystemEntropy));
    let closed = load(&keyless, &ada.context, ada.account).await.unwrap_err();
    assert!(matches!(closed, StoreError::KeyUnavailable { .. }), "{closed:?}");
    assert_eq!(closed.public().code, ErrorCode::KeyUnavailable);
    let refused = quarantine(&keyless, &ada.context, ada.account, "no key").await;
    assert!(matches!(refused, Err(StoreError::KeyUnavailable { .. })), "{refused:?}");

    // Nor does an envelope whose key was there and is destroyed: nobody will ever read it, and nothing is damaged.
    let destroy = "UPDATE data_keys SET state = 'destroyed', wrapped_key = NULL WHERE purpose = 2";
    let destroyed = format!("CREATE TABLE kept AS SELECT * FROM data_keys; {destroy}");
    database.tamper(&destroyed).await;
    database.clock.advance(OPEN_FOR);
    let refused = quarantine(&database.vault, &ada.context, ada.account, "no key").await;
    assert!(matches!(refused, Err(StoreError::Missing("data key"))), "{refused:?}");
    let told = refused.unwrap_err().public();
    assert_eq!(told.code, ErrorCode::KeyUnavailable);
    assert!(!told.hint.unwrap().contains("does not help"));
    // Nor one that names a key which never was, while the person's own is not at hand.
    let other_key = "UPDATE provider_sessions SET access_token = set_byte(access_token, 5, get_byte(access_token, 5) # 1)";
    database.tamper(other_key).await;
    let refused = quarantine(&database.vault, &ada.context, ada.account, "no key").await;
    assert!(matches!(refused, Err(StoreError::Missing("data key"))), "{refused:?}");
    let aside = "SELECT count(*) FROM provider_sessions WHERE quarantined_at IS NOT NULL";
    assert_eq!(database.tamper(aside).await, "0");
    assert_eq!(database.tamper("SELECT count(*) FROM session_quarantine").await, "0");

    // With the person's key at hand it is damage like any other, and names the key.
    let back = "UPDATE data_keys d SET state = k.state, wrapped_key = k.wrapped_key FROM kept k WHERE k.key_id = d.key_id";
    database.tamper(back).await;
    let damaged = load(&database.vault, &ada.context, ada.account).await.unwrap_err();
    assert!(matches!(damaged, StoreError::Unreadable { source: OpenError::OtherKey(_), .. }), "{damaged:?}");
    assert!(quarantine(&database.vault, &ada.context, ada.account, "damaged").await.unwrap());
    assert_eq!(database.tamper("SELECT count(*) FROM session_quarantine").await, "1");
}

#[tokio::test]
async fn tokens_that_were_on_their_way_heal_a_session_that_was_set_aside() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let (vault, context) = (&database.vault, &ada.context);
    let session = load(vault, context, ada.account).await.unwrap().unwrap();
    database.tamper("UPDATE provider_sessions SET access_token = 'x'").await;
    assert!(quarantine(vault, context, ada.account, "damaged").await.unwrap());
    let saved = save_refreshed(vault, context, &session, &tokens("second")).await.unwrap();
    assert_eq!(saved, SaveOutcome::Saved { revision: 2 });
    let healed = load(vault, context, ada.account).await.unwrap().unwrap();
    assert_eq!(healed.access_token.expose_secret(), "access-second");
    assert_eq!(database.tamper("SELECT count(*) FROM session_quarantine").await, "1");
}
