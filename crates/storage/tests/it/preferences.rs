//! Preferences: sealed for one person, one writer at a time, nothing of a later release lost.

use stagedoor_domain::{ErrorCode, Preferences, UserId};
use stagedoor_storage::{StoreError, preferences};

use crate::support::Database;

fn seconds(duration: u32) -> Preferences {
    let mut preferences = Preferences::default();
    preferences.cache_preferences.cache_duration = Some(duration);
    preferences
}

#[tokio::test]
async fn the_second_of_two_writers_is_told() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let (vault, context) = (&database.vault, &ada.context);
    let none = preferences::load(vault, context, ada.user).await.unwrap();
    assert_eq!((none.preferences, none.revision, none.updated_at), (Preferences::default(), 0, None));

    let first = preferences::store(vault, context, ada.user, &none, &seconds(60)).await.unwrap();
    assert_eq!(first.revision, 1);
    let late = preferences::store(vault, context, ada.user, &none, &seconds(61)).await.unwrap_err();
    assert!(matches!(late, StoreError::Changed(_)), "{late:?}");
    assert_eq!(late.public().code, ErrorCode::Conflict);

    let second = preferences::store(vault, context, ada.user, &first, &seconds(62)).await.unwrap();
    let late = preferences::store(vault, context, ada.user, &first, &seconds(63)).await;
    assert!(matches!(late, Err(StoreError::Changed(_))), "{late:?}");
    let loaded = preferences::load(vault, context, ada.user).await.unwrap();
    assert_eq!(loaded, second);
    assert_eq!((loaded.preferences, loaded.revision), (seconds(62), 2));

    let stranger = UserId::generate(vault.clock(), vault.entropy());
    let none = preferences::load(vault, context, stranger).await.unwrap();
    let stored = preferences::store(vault, context, stranger, &none, &seconds(1)).await;
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
                preferences::store(&vault, &context, user, &before, &seconds(number)).await
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
    let first = preferences::store(vault, context, ada.user, &none, &seconds(4711)).await.unwrap();
    assert!(!format!("{first:?}").contains("4711"));
    let clear =
        "SELECT position('4711'::bytea IN document) + position('cache'::bytea IN document) FROM preferences";
    assert_eq!(database.tamper(clear).await, "0");

    database.tamper("CREATE TABLE copies AS SELECT * FROM preferences").await;
    preferences::store(vault, context, ada.user, &first, &seconds(1)).await.unwrap();
    database.tamper("UPDATE preferences p SET document = c.document FROM copies c").await;
    let replayed = preferences::load(vault, context, ada.user).await;
    assert!(matches!(replayed, Err(StoreError::Unreadable { .. })), "an old document is not this revision's");

    database.tamper("UPDATE preferences SET schema_version = '9.0'").await;
    let newer = preferences::load(vault, context, ada.user).await;
    assert!(matches!(&newer, Err(StoreError::NotUnderstood { found, .. }) if found == "9.0"), "{newer:?}");

    database.tamper("DELETE FROM users").await;
    assert_eq!(database.tamper("SELECT count(*) FROM preferences").await, "0", "they go with the person");
}

/// While two releases run, the older one must not lose what the newer one stored.
#[tokio::test]
async fn members_of_a_later_release_survive_a_write_of_this_one() {
    use stagedoor_crypto::{KeyOwner, SealContext};

    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let (vault, context) = (&database.vault, &ada.context);
    let none = preferences::load(vault, context, ada.user).await.unwrap();
    preferences::store(vault, context, ada.user, &none, &seconds(60)).await.unwrap();
    let place = |revision| SealContext {
        tenant: context.tenant_id(),
        table: "preferences",
        column: "document",
        row: ada.user.0,
        revision,
    };
    let later = br#"{"audio_quality":"HIGH","cache_preferences":{"cache_duration":60,"share":true}}"#;
    let sealed = vault.seal(context, KeyOwner::Subject(ada.user), &place(1), later).await.unwrap();
    let hex = sealed.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    database.tamper(&format!("UPDATE preferences SET document = '\\x{hex}'")).await;

    let read = preferences::load(vault, context, ada.user).await.unwrap();
    assert_eq!(read.preferences, seconds(60));
    preferences::store(vault, context, ada.user, &read, &Preferences::default()).await.unwrap();
    let stored = database.tamper("SELECT encode(document, 'hex') FROM preferences").await;
    let bytes: Vec<u8> =
        (0..stored.len()).step_by(2).map(|at| u8::from_str_radix(&stored[at..at + 2], 16).unwrap()).collect();
    let opened = vault.open(context, &place(2), &bytes, "test").await.unwrap();
    assert_eq!(
        std::str::from_utf8(&opened).unwrap(),
        r#"{"audio_quality":"HIGH","cache_preferences":{"cache_duration":null,"enable_cache":true,"share":true}}"#
    );
}
