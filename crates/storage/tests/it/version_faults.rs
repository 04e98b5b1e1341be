//! What may go wrong with versions: rows that were damaged, writes that were cut off or came late.

use stagedoor_domain::{CallId, ErrorCode, ToolName};
use stagedoor_storage::StoreError;
use stagedoor_storage::playlist_versions::{Cause, NewVersion, append_after, load, newest};

use crate::support::Database;
use crate::versions::{head, names, playlist, store};

#[tokio::test]
async fn damage_is_told_and_heals_with_the_next_version() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let (vault, context, first) = (&database.vault, &ada.context, playlist(1));
    let mut entries = names(0..300);
    store(vault, context, (&ada, 1), &entries).await.unwrap();
    entries.push("spotify:track:last".into());
    store(vault, context, (&ada, 1), &entries).await.unwrap();
    let clear = "SELECT count(*) FROM playlist_chunks c, playlist_versions v
        WHERE position('spotify'::bytea IN c.entries) + position('Morning'::bytea IN v.head) > 0";
    assert_eq!(database.tamper(clear).await, "0", "it is sealed");

    let read = async |number| load(vault, context, ada.account, &first, number).await;
    let damaged = |loaded: Result<_, StoreError>| match loaded {
        Err(error @ StoreError::Damaged { .. }) => error.public(),
        other => panic!("{other:?}"),
    };
    database.tamper("CREATE TABLE copies AS SELECT * FROM playlist_versions").await;
    // Another version's pieces, another version's whole row, and no pieces at all.
    for damage in [
        "UPDATE playlist_versions v SET chunks = c.chunks FROM copies c WHERE c.number = 2 AND v.number = 1",
        "UPDATE playlist_versions v SET chunks = c.chunks, head = c.head, version_id = c.version_id
            FROM copies c WHERE c.number = 2 AND v.number = 1",
        "UPDATE playlist_versions SET chunks = '{}' WHERE number = 1",
        "UPDATE playlist_versions SET chunks[1] = gen_random_uuid() WHERE number = 1",
        "UPDATE playlist_versions SET head = set_byte(head, 90, get_byte(head, 90) # 1) WHERE number = 1",
    ] {
        database.tamper(damage).await;
        let told = damaged(read(1).await);
        assert_eq!(told.code, ErrorCode::VersionUnknown, "{damage}");
        assert!(read(2).await.unwrap().is_some());
        let mend =
            "UPDATE playlist_versions v SET chunks = c.chunks, head = c.head, version_id = c.version_id
            FROM copies c WHERE c.number = v.number";
        database.tamper(mend).await;
    }
    database.tamper("UPDATE playlist_versions SET playlist = 'spotify:playlist:2' WHERE number = 1").await;
    damaged(load(vault, context, ada.account, &playlist(2), 1).await);
    database.tamper("UPDATE playlist_versions SET playlist = 'spotify:playlist:1'").await;

    let damage = "UPDATE playlist_chunks SET entries = set_byte(entries, 80, get_byte(entries, 80) # 1)";
    database.tamper(damage).await;
    damaged(read(1).await);
    assert_eq!(store(vault, context, (&ada, 1), &entries).await.unwrap().number, 2, "nothing changed");
    assert_eq!(read(2).await.unwrap().unwrap().entries, entries, "what is stored now opens");
}

/// A process that dies, or a database that does, leaves a version whole or not at all.
#[tokio::test]
async fn a_write_that_was_cut_off_leaves_nothing() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let (vault, context) = (&database.vault, &ada.context);
    store(vault, context, (&ada, 1), &names(0..100)).await.unwrap();
    database
        .tamper(
            "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END';
            CREATE TRIGGER die BEFORE INSERT ON playlist_versions FOR EACH ROW EXECUTE FUNCTION die()",
        )
        .await;
    let before = "SELECT (SELECT count(*) FROM playlist_versions), (SELECT count(*) FROM playlist_chunks)";
    let rows = database.tamper(before).await;
    let cut_off = store(vault, context, (&ada, 1), &names(500..900)).await.unwrap_err();
    assert!(cut_off.is_transient(), "{cut_off:?}");
    assert_eq!(database.tamper(before).await, rows);
    database.tamper("DROP TRIGGER die ON playlist_versions").await;
    assert_eq!(store(vault, context, (&ada, 1), &names(500..900)).await.unwrap().number, 2);
}

#[tokio::test]
async fn a_write_does_not_overrule_what_was_stored_since_it_began() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let (vault, context, first) = (&database.vault, &ada.as_user(ada.user), playlist(1));
    let (before, ours, others) = (names(0..3), names(0..4), names(0..5));
    let cause = Cause::After(ToolName::PlaylistAdd);
    let call = Some(CallId::generate(vault.clock(), vault.entropy()));
    let morning = head("Morning");
    let write = |entries| NewVersion {
        account: ada.account,
        user: ada.user,
        playlist: &first,
        provider_version: None,
        cause,
        call,
        head: &morning,
        entries,
    };
    assert_eq!(store(vault, context, (&ada, 1), &before).await.unwrap().number, 1);
    // Someone else's look was faster; what it saw is what was written.
    assert_eq!(store(vault, context, (&ada, 1), &ours).await.unwrap().cause, Cause::Elsewhere);
    let stored = append_after(vault, context, write(&ours), 1).await.unwrap().unwrap();
    assert_eq!((stored.number, stored.cause, stored.call), (2, cause, call));
    assert_eq!(newest(vault, context, ada.account, &first).await.unwrap(), Some(stored));
    // It saw something else: nobody knows what the playlist holds now.
    store(vault, context, (&ada, 1), &others).await.unwrap();
    assert_eq!(append_after(vault, context, write(&before), 2).await.unwrap(), None);
    let newest = newest(vault, context, ada.account, &first).await.unwrap().unwrap();
    assert_eq!((newest.number, newest.cause), (3, Cause::Elsewhere));
    // What is elsewhere's stays so for whoever knew of it.
    let known = append_after(vault, context, write(&others), 3).await.unwrap().unwrap();
    assert_eq!((known.number, known.cause), (3, Cause::Elsewhere));
    assert_eq!(append_after(vault, context, write(&before), 3).await.unwrap().unwrap().number, 4);
}
