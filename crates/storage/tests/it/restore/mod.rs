//! What comes back of a tenant, under which conditions, and what stays away.

mod shelf;

use std::sync::Arc;

use secrecy::ExposeSecret as _;
use serde_json::Value;
use stagedoor_crypto::SystemEntropy;
use stagedoor_domain::BackupClass;
use stagedoor_storage::keys::OPEN_FOR;
use stagedoor_storage::provider_sessions::{load, quarantine};
use stagedoor_storage::restore::{
    PLACES, Recovered, RestoreError, RestoreOptions, Restorer, find, set_aside,
};
use stagedoor_storage::{StoreError, preferences};

use self::shelf::{Shelf, furnish, prefer};

#[tokio::test]
async fn the_database_and_the_code_agree_on_what_comes_back() {
    let shelf = Shelf::start().await;
    let there = shelf.database.tamper("SELECT array_to_string(restore_places(), ' ')").await;
    let places: Vec<&str> = PLACES.iter().map(|place| place.name).collect();
    assert_eq!(there.split(' ').collect::<Vec<_>>(), places);
    for table in BackupClass::ALL.into_iter().flat_map(BackupClass::tables) {
        assert!(find(table).is_some(), "{table} is backed up and cannot come back");
    }
    for place in PLACES {
        let key = shelf
            .database
            .tamper(&format!(
                "SELECT string_agg(a.attname, ' ' ORDER BY array_position(i.indkey::smallint[], a.attnum))
                FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
                WHERE i.indrelid = '{}'::regclass AND i.indisprimary",
                place.name
            ))
            .await;
        let wanted: Vec<&str> = std::iter::once("tenant_id").chain(place.key.iter().copied()).collect();
        assert_eq!(key.split(' ').collect::<Vec<_>>(), wanted, "{}", place.name);
    }
}

#[tokio::test]
async fn a_lost_tenant_comes_back_to_the_byte() {
    let shelf = Shelf::start().await;
    let ada = shelf.database.inhabit("ada").await;
    let other = shelf.database.inhabit("other").await;
    furnish(&shelf, &ada).await;
    let (saved, others) = (shelf.save(&ada).await, shelf.save(&other).await);
    assert!(!saved["preferences"].is_empty() && !saved["signing_keys"].is_empty());

    let refused = shelf.restore(&other, &saved, RestoreOptions::default(), &[]).await.unwrap_err();
    assert!(matches!(refused, RestoreError::Store(_)), "another tenant's rows: {refused:?}");
    shelf.lose(&ada).await;
    let restored = shelf.restore(&ada, &saved, RestoreOptions::default(), &[]).await.unwrap();
    assert_eq!(restored.losses, []);
    let total = restored.total();
    assert_eq!((total.inserted, total.kept, total.changed), (total.given, 0, 0), "{restored:?}");
    assert_eq!(shelf.save(&ada).await, saved);
    assert_eq!(shelf.save(&other).await, others, "nobody else is touched");
    let session = load(&shelf.database.vault, &ada.as_user(ada.user), ada.account).await.unwrap().unwrap();
    assert_eq!(session.access_token.expose_secret(), "access-first");

    // Once more: all of it is there.
    let again = shelf.restore(&ada, &saved, RestoreOptions::default(), &[]).await.unwrap();
    assert_eq!(again.total().same, again.total().given);
    shelf.lose(&ada).await;
    let mut transaction = shelf.keeper.begin(&ada.context).await.unwrap();
    let (options, entropy) = (RestoreOptions::default(), SystemEntropy);
    let none = Restorer::begin(&mut transaction, &shelf.keys, &entropy, options, None, &[]).await;
    assert!(matches!(none, Err(RestoreError::NoTenant)));
}

#[tokio::test]
async fn nobody_who_was_erased_comes_back() {
    let shelf = Shelf::start().await;
    let ada = shelf.database.inhabit("ada").await;
    furnish(&shelf, &ada).await;
    let saved = shelf.save(&ada).await;
    shelf.lose(&ada).await;
    let gone = shelf.tombstone(&ada, ada.user);
    let restored =
        shelf.restore(&ada, &saved, RestoreOptions::default(), std::slice::from_ref(&gone)).await.unwrap();
    assert_eq!((restored.people_erased, restored.losses.len()), (1, 0), "{restored:?}");
    for table in ["users", "data_keys", "api_keys", "linked_accounts", "provider_sessions", "preferences"] {
        let rows = shelf.database.tamper(&format!("SELECT count(*) FROM {table}")).await;
        let wanted = if table == "data_keys" { "1" } else { "0" };
        assert_eq!(rows, wanted, "{table}");
    }
    assert_eq!(shelf.database.tamper("SELECT count(*) FROM erasure_tombstones").await, "1");
    assert_eq!(shelf.database.tamper("SELECT state FROM privacy_requests").await, "done");
    let only = RestoreOptions { only: Some(ada.user), ..RestoreOptions::default() };
    let refused = shelf.restore(&ada, &saved, only, &[]).await.unwrap_err();
    assert!(matches!(refused, RestoreError::PersonErased), "{refused:?}");

    // The database refuses it too, whoever asks it.
    let mut bare = shelf.database.bare("stagedoor_keeper").await;
    let row = &saved["users"][0];
    let told: String = sqlx::query_scalar(
        "SELECT r.outcome FROM (SELECT set_config('stagedoor.tenant_id', $1, false)) s,
            restore_rows('users', ARRAY[$2], false) r",
    )
    .bind(ada.context.tenant_id().to_string())
    .bind(row)
    .fetch_one(&mut bare)
    .await
    .unwrap();
    assert_eq!(told, "erased");
}

#[tokio::test]
async fn whoever_is_back_in_spite_of_a_tombstone_is_erased_again() {
    let shelf = Shelf::start().await;
    let ada = shelf.database.inhabit("ada").await;
    let saved = shelf.save(&ada).await;
    let gone = shelf.tombstone(&ada, ada.user);
    let restored = shelf.restore(&ada, &saved, RestoreOptions::default(), &[gone]).await.unwrap();
    assert_eq!(restored.erased_again, 1);
    let request = shelf
        .database
        .tamper("SELECT state || ' ' || (due_at <= clock_timestamp()) FROM privacy_requests WHERE user_id IS NOT NULL")
        .await;
    assert_eq!(request, "verified true");
    assert_eq!(shelf.database.tamper("SELECT count(*) FROM api_keys WHERE revoked_at IS NULL").await, "0");
}

#[tokio::test]
async fn a_person_who_was_being_erased_goes_on_being_erased() {
    let shelf = Shelf::start().await;
    let ada = shelf.database.inhabit("ada").await;
    shelf.database.tamper("UPDATE users SET erasing_at = now()").await;
    let saved = shelf.save(&ada).await;
    shelf.lose(&ada).await;
    let restored = shelf.restore(&ada, &saved, RestoreOptions::default(), &[]).await.unwrap();
    assert_eq!(restored.table("users").inserted, 1);
    let told = "SELECT (u.erasing_at IS NOT NULL) || ' ' || r.state FROM users u JOIN privacy_requests r USING (tenant_id, user_id)";
    assert_eq!(shelf.database.tamper(told).await, "true verified");
    assert_eq!(shelf.save(&ada).await["users"], saved["users"]);
}

#[tokio::test]
async fn what_does_not_open_and_what_has_no_parent_is_told_to_the_row() {
    let shelf = Shelf::start().await;
    let ada = shelf.database.inhabit("ada").await;
    furnish(&shelf, &ada).await;
    let mut saved = shelf.save(&ada).await;
    shelf.lose(&ada).await;
    let preferences = saved.get_mut("preferences").unwrap();
    let mut row: Value = serde_json::from_str(&preferences[0]).unwrap();
    let sealed = row["document"].as_str().unwrap();
    let last = if sealed.ends_with('0') { "1" } else { "0" };
    row["document"] = format!("{}{last}", &sealed[..sealed.len() - 1]).into();
    preferences[0] = row.to_string();
    saved.get_mut("linked_accounts").unwrap().clear();
    let refused = shelf.restore(&ada, &saved, RestoreOptions::default(), &[]).await.unwrap_err();
    let RestoreError::Losses(losses) = refused else { panic!("{refused:?}") };
    let told: Vec<_> = losses.iter().map(|loss| (loss.table, loss.row.clone())).collect();
    let session: Value = serde_json::from_str(&saved["provider_sessions"][0]).unwrap();
    assert_eq!(
        told,
        [
            ("preferences", format!("user_id={}", ada.user)),
            ("provider_sessions", format!("session_id={}", session["session_id"].as_str().unwrap())),
        ]
    );
    assert_eq!(shelf.database.tamper("SELECT count(*) FROM tenants").await, "0", "nothing was kept");
    let partial = RestoreOptions { partial: true, ..RestoreOptions::default() };
    let restored = shelf.restore(&ada, &saved, partial, &[]).await.unwrap();
    assert_eq!((restored.total().lost, restored.losses), (2, losses));
    assert_eq!(shelf.database.tamper("SELECT count(*) FROM users").await, "1");

    let mut later = saved.clone();
    let mut row: Value = serde_json::from_str(&later["users"][0]).unwrap();
    row["shoe_size"] = 44.into();
    later.insert("users".to_owned(), vec![row.to_string()]);
    let refused = shelf.restore(&ada, &later, partial, &[]).await.unwrap_err();
    assert!(matches!(&refused, RestoreError::Schema(text) if text.contains("shoe_size")), "{refused:?}");
}

#[tokio::test]
async fn keys_that_were_destroyed_since_open_again_and_seal_no_more() {
    let shelf = Shelf::start().await;
    let ada = shelf.database.inhabit("ada").await;
    furnish(&shelf, &ada).await;
    let saved = shelf.save(&ada).await;
    let person = format!("purpose = 2 AND user_id = '{}'", ada.user);
    shelf
        .database
        .tamper(&format!(
            "UPDATE data_keys SET state = 'destroyed', wrapped_key = NULL WHERE {person}; DELETE FROM preferences"
        ))
        .await;
    shelf.database.clock.advance(OPEN_FOR);
    shelf.database.vault.forget_expired();
    // A new one seals meanwhile.
    let key = shelf.database.vault.subject_key(&ada.context, ada.user).await.unwrap();
    let restored = shelf.restore(&ada, &saved, RestoreOptions::default(), &[]).await.unwrap();
    assert_eq!(restored.table("preferences").inserted, 1, "{restored:?}");
    let states = format!("SELECT string_agg(state, ' ' ORDER BY state) FROM data_keys WHERE {person}");
    assert_eq!(shelf.database.tamper(&states).await, "active decrypt_only");
    let active = format!("SELECT key_id FROM data_keys WHERE {person} AND state = 'active'");
    assert_eq!(shelf.database.tamper(&active).await, key.id().to_string());
    assert!(preferences::load(&shelf.database.vault, &ada.context, ada.user).await.is_ok());
}

#[tokio::test]
async fn a_present_row_stays_unless_it_may_be_replaced() {
    let shelf = Shelf::start().await;
    let ada = shelf.database.inhabit("ada").await;
    furnish(&shelf, &ada).await;
    let saved = shelf.save(&ada).await;
    shelf
        .database
        .tamper("UPDATE users SET label = 'Later'; UPDATE api_keys SET revoked_at = now(), name = 'later'")
        .await;
    prefer(&shelf, &ada, 90).await;
    let kept = shelf.restore(&ada, &saved, RestoreOptions::default(), &[]).await.unwrap();
    assert_eq!((kept.table("users").kept, kept.table("preferences").kept), (1, 1), "{kept:?}");
    assert_eq!(shelf.database.tamper("SELECT label FROM users").await, "Later");

    let replacing = RestoreOptions { replacing: true, ..RestoreOptions::default() };
    let replaced = shelf.restore(&ada, &saved, replacing, &[]).await.unwrap();
    assert_eq!(replaced.table("users").replaced, 1, "{replaced:?}");
    assert_eq!(replaced.table("preferences").replaced, 1);
    let told =
        "SELECT u.label || ' ' || k.name || ' ' || (k.revoked_at IS NOT NULL) FROM users u, api_keys k";
    assert_eq!(shelf.database.tamper(told).await, "Ada test true", "a revoked key stays revoked");
    // At a later revision than both, and readable.
    assert_eq!(shelf.database.tamper("SELECT revision FROM preferences").await, "3");
    let preferred = preferences::load(&shelf.database.vault, &ada.context, ada.user).await.unwrap();
    assert_eq!(preferred.document()["cache_preferences"]["cache_duration"], 60);
    assert!(load(&shelf.database.vault, &ada.as_user(ada.user), ada.account).await.unwrap().is_some());
}

#[tokio::test]
async fn a_grant_that_was_set_aside_comes_back_from_a_backup() {
    let shelf = Shelf::start().await;
    let ada = shelf.database.inhabit("ada").await;
    let saved = shelf.save(&ada).await;
    shelf
        .database
        .tamper("UPDATE provider_sessions SET access_token = set_byte(access_token, 99, get_byte(access_token, 99) # 4)")
        .await;
    let vault = Arc::clone(&shelf.database.vault);
    assert!(quarantine(&vault, &ada.context, ada.account, "damaged").await.unwrap());
    let damaged = shelf.save(&ada).await;
    let recover = async |candidates: &[String], keep: bool| {
        let mut transaction = shelf.keeper.begin(&ada.context).await.unwrap();
        let (options, entropy) = (RestoreOptions::default(), SystemEntropy);
        let begun = Restorer::begin(&mut transaction, &shelf.keys, &entropy, options, None, &[]).await;
        let mut restorer = begun.unwrap();
        let outcome = restorer.recover(ada.account, candidates).await.unwrap();
        restorer.finish().await.unwrap();
        if keep {
            transaction.commit().await.unwrap();
        } else {
            transaction.rollback().await.unwrap();
        }
        outcome
    };
    let aside = shelf.keeper.with_tenant::<_, StoreError>(&ada.context, set_aside).await.unwrap();
    assert_eq!((aside.len(), aside[0].account, aside[0].user), (1, ada.account, ada.user));
    assert_eq!(recover(&damaged["provider_sessions"], true).await, Recovered::RelinkNeeded);
    assert_eq!(recover(&saved["provider_sessions"], false).await, Recovered::Back(2));
    assert!(matches!(load(&vault, &ada.as_user(ada.user), ada.account).await, Err(StoreError::Quarantined)));
    assert_eq!(recover(&saved["provider_sessions"], true).await, Recovered::Back(2));
    let session = load(&vault, &ada.as_user(ada.user), ada.account).await.unwrap().unwrap();
    assert_eq!((session.access_token.expose_secret(), session.revision), ("access-first", 2));
    assert_eq!(session.refresh_token.unwrap().expose_secret(), "refresh-first");
    assert_eq!(recover(&saved["provider_sessions"], true).await, Recovered::InUse);
    let copies = shelf.database.tamper("SELECT count(*) FROM session_quarantine").await;
    assert_eq!(copies, "1", "the copy stays");
}

#[tokio::test]
async fn a_class_comes_back_beside_people_who_were_erased_or_are_leaving() {
    let shelf = Shelf::start().await;
    let ada = shelf.database.inhabit("ada").await;
    furnish(&shelf, &ada).await;
    // What is sealed in them opens under no key: nobody is to try.
    let (tenant, account, user) = (ada.context.tenant_id(), ada.account, ada.user);
    shelf
        .database
        .tamper(&format!(
            "INSERT INTO playlist_chunks VALUES ('{tenant}', '{account}', 'p', gen_random_uuid(), 'x');
            INSERT INTO playlist_versions (tenant_id, account_id, playlist, number, version_id, user_id, cause,
                recorded_at, entries, fingerprint, head, chunks)
            VALUES ('{tenant}', '{account}', 'p', 1, gen_random_uuid(), '{user}', 'c', now(), 0,
                sha256('x'), 'x', '{{}}')"
        ))
        .await;
    let saved = shelf.save(&ada).await;

    shelf.database.tamper("UPDATE users SET erasing_at = now(); DELETE FROM provider_sessions").await;
    let replacing = RestoreOptions { replacing: true, ..RestoreOptions::default() };
    let restored = shelf.restore(&ada, &saved, replacing, &[]).await.unwrap();
    let kept =
        ["users", "api_keys", "linked_accounts", "provider_sessions", "preferences", "playlist_chunks"];
    for table in kept {
        assert_eq!(restored.table(table).kept, 1, "{table}: {restored:?}");
    }
    assert_eq!(shelf.database.tamper("SELECT count(*) FROM provider_sessions").await, "0");

    shelf.database.tamper("DELETE FROM users").await;
    let mut class = saved.clone();
    for table in BackupClass::Sessions.tables().iter().filter(|table| **table != "tenants") {
        class.insert((*table).to_owned(), Vec::new());
    }
    let told =
        shelf.restore(&ada, &class, RestoreOptions::default(), &[shelf.tombstone(&ada, user)]).await.unwrap();
    for table in ["preferences", "playlist_chunks", "playlist_versions"] {
        assert_eq!(told.table(table).erased, 1, "{table}: {told:?}");
    }
    assert_eq!((told.total().lost, told.losses.len()), (0, 0));
}
