//! Preferences: sealed for one person, one writer at a time, brought to the present version when read, nothing of a
//! later release lost.

use serde_json::{Value, json};
use stagedoor_crypto::{KeyOwner, SealContext};
use stagedoor_domain::{ErrorCode, PreferencesLayer, UserId};
use stagedoor_storage::StoreError;
use stagedoor_storage::preferences::{self, Document};

use crate::support::{Database, Inhabited};

fn seconds(duration: u32) -> Document {
    let document = json!({ "cache_preferences": { "cache_duration": duration } });
    document.as_object().unwrap().clone()
}

fn layer(document: Document) -> PreferencesLayer {
    PreferencesLayer::read(&Value::Object(document)).0
}

#[tokio::test]
async fn the_second_of_two_writers_is_told() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let (vault, context) = (&database.vault, &ada.context);
    let none = preferences::load(vault, context, ada.user).await.unwrap();
    assert_eq!((none.preferences, none.revision, none.updated_at), (PreferencesLayer::default(), 0, None));

    let first = preferences::store(vault, context, ada.user, &none, seconds(60)).await.unwrap();
    assert_eq!(first.revision, 1);
    let late = preferences::store(vault, context, ada.user, &none, seconds(61)).await.unwrap_err();
    assert!(matches!(late, StoreError::Changed(_)), "{late:?}");
    assert_eq!(late.public().code, ErrorCode::Conflict);

    let second = preferences::store(vault, context, ada.user, &first, seconds(62)).await.unwrap();
    let late = preferences::store(vault, context, ada.user, &first, seconds(63)).await;
    assert!(matches!(late, Err(StoreError::Changed(_))), "{late:?}");
    let loaded = preferences::load(vault, context, ada.user).await.unwrap();
    assert_eq!(loaded, second);
    assert_eq!((loaded.preferences, loaded.revision), (layer(seconds(62)), 2));
    assert_eq!(*loaded.document(), seconds(62));

    let stranger = UserId::generate(vault.clock(), vault.entropy());
    let none = preferences::load(vault, context, stranger).await.unwrap();
    let stored = preferences::store(vault, context, stranger, &none, seconds(1)).await;
    assert!(matches!(stored, Err(StoreError::Missing("person"))), "{stored:?}");
}

#[tokio::test]
async fn of_many_writers_at_once_one_wins_each_round() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    for round in 1..=3 {
        let before = preferences::load(&database.vault, &ada.context, ada.user).await.unwrap();
        let mut writers = tokio::task::JoinSet::new();
        for number in 0..6 {
            let (vault, context, before) = (database.vault.clone(), ada.context.clone(), before.clone());
            let user = ada.user;
            writers.spawn(async move {
                preferences::store(&vault, &context, user, &before, seconds(number)).await
            });
        }
        let won = writers.join_all().await.into_iter().filter_map(Result::ok).collect::<Vec<_>>();
        let [won] = &won[..] else { panic!("{} won round {round}", won.len()) };
        assert_eq!(*won, preferences::load(&database.vault, &ada.context, ada.user).await.unwrap());
        assert_eq!(won.revision, round);
    }
}

#[tokio::test]
async fn what_is_stored_is_sealed_for_its_person_and_revision() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let (vault, context) = (&database.vault, &ada.context);
    let none = preferences::load(vault, context, ada.user).await.unwrap();
    let first = preferences::store(vault, context, ada.user, &none, seconds(4711)).await.unwrap();
    assert!(!format!("{first:?}").contains("4711"));
    let clear =
        "SELECT position('4711'::bytea IN document) + position('cache'::bytea IN document) FROM preferences";
    assert_eq!(database.tamper(clear).await, "0");

    database.tamper("CREATE TABLE copies AS SELECT * FROM preferences").await;
    preferences::store(vault, context, ada.user, &first, seconds(1)).await.unwrap();
    database.tamper("UPDATE preferences p SET document = c.document FROM copies c").await;
    let replayed = preferences::load(vault, context, ada.user).await;
    assert!(matches!(replayed, Err(StoreError::Unreadable { .. })), "an old document is not this revision's");

    database.tamper("UPDATE preferences SET schema_version = '9.0'").await;
    let newer = preferences::load(vault, context, ada.user).await;
    assert!(matches!(&newer, Err(StoreError::NotUnderstood { found, .. }) if found == "9.0"), "{newer:?}");

    database.tamper("DELETE FROM users").await;
    assert_eq!(database.tamper("SELECT count(*) FROM preferences").await, "0", "they go with the person");
}

fn place(ada: &Inhabited, revision: i64) -> SealContext {
    SealContext {
        tenant: ada.context.tenant_id(),
        table: "preferences",
        column: "document",
        row: ada.user.0,
        revision,
    }
}

/// Puts a document where another release would have put it.
async fn plant(database: &Database, ada: &Inhabited, version: &str, document: &Value) {
    let vault = &database.vault;
    let none = preferences::load(vault, &ada.context, ada.user).await.unwrap();
    preferences::store(vault, &ada.context, ada.user, &none, seconds(60)).await.unwrap();
    let (owner, place, bytes) = (KeyOwner::Subject(ada.user), place(ada, 1), document.to_string());
    let sealed = vault.seal(&ada.context, owner, &place, bytes.as_bytes()).await.unwrap();
    let hex = sealed.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    let update = format!("UPDATE preferences SET document = '\\x{hex}', schema_version = '{version}'");
    database.tamper(&update).await;
}

/// What is stored at a revision, and as which version.
async fn stored(database: &Database, ada: &Inhabited, revision: i64) -> (Value, String) {
    let row =
        database.tamper("SELECT encode(document, 'hex') || ' ' || schema_version FROM preferences").await;
    let (hex, version) = row.split_once(' ').unwrap();
    let pairs = (0..hex.len()).step_by(2);
    let bytes: Vec<u8> = pairs.map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
    let opened = database.vault.open(&ada.context, &place(ada, revision), &bytes, "test").await.unwrap();
    (serde_json::from_slice(&opened).unwrap(), version.to_owned())
}

/// While two releases run, the older one must not lose what the newer one stored.
#[tokio::test]
async fn members_of_a_later_release_survive_a_write_of_this_one() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let later = json!({
        "audio_quality": "HOLOGRAPHIC",
        "cache_preferences": { "cache_duration": 60, "share": true },
        "theme": "dark",
    });
    plant(&database, &ada, "2.0", &later).await;
    let (vault, context) = (&database.vault, &ada.context);
    let read = preferences::load(vault, context, ada.user).await.unwrap();
    assert_eq!(read.preferences, layer(seconds(60)));
    let paths: Vec<&str> = read.not_understood.iter().map(|problem| &*problem.path).collect();
    assert_eq!(paths, ["theme", "audio_quality", "cache_preferences.share"]);

    let mut document = read.document().clone();
    document["cache_preferences"]["cache_duration"] = json!(61);
    let written = preferences::store(vault, context, ada.user, &read, document).await.unwrap();
    assert_eq!(written.preferences, layer(seconds(61)));
    let mut wanted = later;
    wanted["cache_preferences"]["cache_duration"] = json!(61);
    assert_eq!(stored(&database, &ada, 2).await, (wanted, "2.0".to_owned()));
}

#[tokio::test]
async fn a_document_of_the_first_version_is_read_as_the_present_one_and_written_back_as_that() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let first = json!({ "cache_preferences": { "enable_cache": true, "cache_duration": 60 } });
    plant(&database, &ada, "1.0", &first).await;
    let (vault, context) = (&database.vault, &ada.context);
    let read = preferences::load(vault, context, ada.user).await.unwrap();
    assert_eq!(*read.document(), seconds(60), "what is the default was not set");
    assert_eq!((read.revision, read.not_understood.len()), (1, 0));
    assert_eq!(stored(&database, &ada, 1).await, (first, "1.0".to_owned()), "reading writes nothing");
    preferences::store(vault, context, ada.user, &read, seconds(61)).await.unwrap();
    assert_eq!(stored(&database, &ada, 2).await, (Value::Object(seconds(61)), "2.0".to_owned()));
}

#[tokio::test]
async fn a_document_of_a_later_version_is_not_read_and_not_replaced() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let later = json!({ "cache_preferences": "none" });
    plant(&database, &ada, "3.0", &later).await;
    let (vault, context) = (&database.vault, &ada.context);
    for loaded in [
        preferences::load(vault, context, ada.user).await.map(drop),
        preferences::load_to_replace(vault, context, ada.user).await.map(drop),
    ] {
        assert!(
            matches!(&loaded, Err(StoreError::NotUnderstood { found, .. }) if found == "3.0"),
            "{loaded:?}"
        );
    }
    assert_eq!(stored(&database, &ada, 1).await, (later, "3.0".to_owned()));
}
