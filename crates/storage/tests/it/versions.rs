//! What playlists held: versions rise, hold what was stored, are bounded, and belong to one person's account.

use std::collections::BTreeSet;

use stagedoor_domain::{CallId, Clock as _, ErrorCode, ItemRef, Provider, TenantContext, ToolName};
use stagedoor_storage::playlist_versions::{
    Cause, Head, KEPT, NewVersion, Summary, append, append_after, list, load, newest,
};
use stagedoor_storage::provision::{self, NewLinkedAccount};
use stagedoor_storage::{KeyVault, StoreError, linked_accounts};

use crate::support::{Database, Inhabited, account_of, tokens};

pub(crate) fn playlist(number: u32) -> ItemRef {
    format!("spotify:playlist:{number}").parse().unwrap()
}

fn names(numbers: impl IntoIterator<Item = u32>) -> Vec<Box<str>> {
    numbers.into_iter().map(|number| format!("spotify:track:{number:022}").into()).collect()
}

fn head(name: &str) -> Head {
    Head { name: name.to_owned(), description: Some("über alles".to_owned()), public: Some(false) }
}

/// Stores what one person's first playlist holds.
async fn store(
    vault: &KeyVault,
    context: &TenantContext,
    one: (&Inhabited, u32),
    entries: &[Box<str>],
) -> Result<Summary, StoreError> {
    let (one, number) = one;
    let new = NewVersion {
        account: one.account,
        user: one.user,
        playlist: &playlist(number),
        provider_version: Some("snapshot"),
        cause: Cause::Elsewhere,
        call: None,
        head: &head("Morning"),
        entries,
    };
    append(vault, context, new).await
}

/// The same without anything of note, for other modules' tests.
pub(crate) async fn store_one(database: &Database, one: &Inhabited) {
    store(&database.vault, &one.context, (one, 1), &names(0..3)).await.unwrap();
}

/// Stores a write of a call.
async fn written(
    vault: &KeyVault,
    (context, one): (&TenantContext, &Inhabited),
    (cause, call): (Cause, CallId),
    entries: &[Box<str>],
) -> u32 {
    let new = NewVersion {
        account: one.account,
        user: one.user,
        playlist: &playlist(1),
        provider_version: None,
        cause,
        call: Some(call),
        head: &head("Morning"),
        entries,
    };
    append(vault, context, new).await.unwrap().number
}

#[tokio::test]
async fn a_long_transfer_is_one_version_and_forgets_nothing_else() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let (vault, context) = (&database.vault, &ada.as_user(ada.user));
    let [add, first, second] = [0; 3].map(|_| CallId::generate(vault.clock(), vault.entropy()));
    let to = (context, &ada);
    written(vault, to, (Cause::Before, add), &names(0..2)).await;
    written(vault, to, (Cause::After(ToolName::PlaylistAdd), add), &names(0..3)).await;
    for last in 4..(KEPT + 20) {
        written(vault, to, (Cause::Transfer, first), &names(0..last)).await;
    }
    let newest = written(vault, to, (Cause::Transfer, second), &names(0..KEPT + 20)).await;
    let stored = list(vault, context, ada.account, &playlist(1), None, KEPT).await.unwrap();
    let numbers: Vec<u32> = stored.iter().map(|version| version.number).collect();
    assert_eq!(numbers, [newest, newest - 1, 2, 1]);
    for (number, entries) in [(2, 3), (newest - 1, KEPT + 19), (newest, KEPT + 20)] {
        let version = load(vault, context, ada.account, &playlist(1), number).await.unwrap().unwrap();
        assert_eq!(version.entries, names(0..entries), "the pieces that others share stay");
    }
}

#[tokio::test]
async fn a_deletion_is_a_version_although_nothing_in_it_differs() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let (vault, context) = (&database.vault, &ada.as_user(ada.user));
    let call = CallId::generate(vault.clock(), vault.entropy());
    let deletion = Cause::After(ToolName::PlaylistDelete);
    let mut numbers = Vec::new();
    for cause in
        [Cause::Before, deletion, deletion, Cause::Elsewhere, Cause::Undo { to: 2 }, Cause::Elsewhere]
    {
        numbers.push(written(vault, (context, &ada), (cause, call), &names(0..3)).await);
    }
    assert_eq!(numbers, [1, 2, 2, 2, 3, 3]);
    let newest = newest(vault, context, ada.account, &playlist(1)).await.unwrap().unwrap();
    assert_eq!(newest.cause, Cause::Undo { to: 2 });
}

#[tokio::test]
async fn a_version_holds_what_was_stored() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let (vault, context, first) = (&database.vault, &ada.as_user(ada.user), playlist(1));
    assert_eq!(newest(vault, context, ada.account, &first).await.unwrap(), None);
    let call = CallId::generate(vault.clock(), vault.entropy());
    let entries = names(0..1_000);
    let new = NewVersion {
        account: ada.account,
        user: ada.user,
        playlist: &first,
        provider_version: Some("snapshot-1"),
        cause: Cause::Before,
        call: Some(call),
        head: &head("Morning"),
        entries: &entries,
    };
    let summary = append(vault, context, new).await.unwrap();
    assert_eq!((summary.number, summary.entries, summary.cause), (1, 1_000, Cause::Before));
    assert_eq!((summary.call, summary.recorded_at), (Some(call), database.clock.now()));
    let version = load(vault, context, ada.account, &first, 1).await.unwrap().unwrap();
    assert_eq!((version.summary, version.head), (summary.clone(), head("Morning")));
    assert_eq!(version.entries, entries);

    // The same again is the same version, under the service's latest name for it.
    let again = NewVersion { provider_version: Some("snapshot-2"), cause: Cause::Elsewhere, ..new };
    let again = append(vault, context, again).await.unwrap();
    let renamed = Summary { provider_version: Some("snapshot-2".to_owned()), ..summary };
    assert_eq!(again, renamed);
    let unnamed = append(vault, context, NewVersion { provider_version: None, ..new }).await.unwrap();
    assert_eq!(unnamed, renamed, "what the service calls it was not told, and is still known");
    assert_eq!(newest(vault, context, ada.account, &first).await.unwrap(), Some(renamed));

    // Another order, other words around the same entries, and nothing at all are versions of their own.
    let mut turned = entries.clone();
    turned.swap(0, 999);
    let moved = NewVersion { entries: &turned, cause: Cause::After(ToolName::PlaylistReorder), ..new };
    assert_eq!(append(vault, context, moved).await.unwrap().number, 2);
    let bare = Head { description: None, public: None, ..head("Evening") };
    let reworded = NewVersion { head: &bare, cause: Cause::After(ToolName::PlaylistUpdate), ..moved };
    assert_eq!(append(vault, context, reworded).await.unwrap().number, 3);
    let emptied = NewVersion { entries: &[], cause: Cause::Transfer, ..reworded };
    assert_eq!(append(vault, context, emptied).await.unwrap().number, 4);
    let undone = NewVersion { cause: Cause::Undo { to: 1 }, ..new };
    assert_eq!(
        append(vault, context, undone).await.unwrap().number,
        5,
        "equal to an old one, not to the newest"
    );
    let loaded = load(vault, context, ada.account, &first, 3).await.unwrap().unwrap();
    assert_eq!((loaded.head, loaded.entries), (bare, turned));
    assert_eq!(load(vault, context, ada.account, &first, 4).await.unwrap().unwrap().entries, []);
    assert_eq!(load(vault, context, ada.account, &first, 6).await.unwrap(), None);

    let told = async |before, limit| -> Vec<(u32, String)> {
        let listed = list(vault, context, ada.account, &first, before, limit).await.unwrap();
        listed.into_iter().map(|one| (one.number, one.cause.to_string())).collect()
    };
    let undo = (5, "undo of 1".to_owned());
    assert_eq!(told(None, 2).await, [undo, (4, "transfer".to_owned())]);
    let rest = [(3, "playlist_update"), (2, "playlist_reorder"), (1, "before")];
    assert_eq!(told(Some(4), 9).await, rest.map(|(number, cause)| (number, cause.to_owned())));
    assert_eq!(newest(vault, context, ada.account, &playlist(2)).await.unwrap(), None, "another playlist");
    assert!(!format!("{new:?} {:?}", head("Morning")).contains("Morning"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn numbers_rise_by_one_however_many_store_at_once() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..12 {
        let (vault, context) = (database.vault.clone(), ada.context.clone());
        let (account, user) = (ada.account, ada.user);
        writers.spawn(async move {
            let entries = names(writer * 100..writer * 100 + 90);
            let new = NewVersion {
                account,
                user,
                playlist: &playlist(1 + writer % 2),
                provider_version: None,
                cause: Cause::Elsewhere,
                call: None,
                head: &head("Morning"),
                entries: &entries,
            };
            append(&vault, &context, new).await.unwrap().number
        });
    }
    let mut numbers = writers.join_all().await;
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6], "of each of two playlists");
}

/// What SECURITY promises of memory: bounded, and cheap for what it remembers.
#[tokio::test]
async fn edits_cost_little_and_old_versions_go_with_what_only_they_held() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let (vault, context) = (&database.vault, &ada.context);
    let base62: Vec<char> = ('0'..='9').chain('a'..='z').chain('A'..='Z').collect();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap() % below
    };
    let mut track = || -> Box<str> {
        let id: String = (0..22).map(|_| base62[random(62)]).collect();
        format!("spotify:track:{id}").into()
    };
    let mut entries: Vec<Box<str>> = (0..1_000).map(|_| track()).collect();
    let plain: usize = entries.iter().map(|name| name.len()).sum();
    let stored = async || -> usize {
        let sql = "SELECT (SELECT COALESCE(sum(octet_length(entries)), 0) FROM playlist_chunks)
            + (SELECT COALESCE(sum(octet_length(head) + 16 * cardinality(chunks)), 0) FROM playlist_versions)";
        database.tamper(sql).await.parse().unwrap()
    };
    let mut first = 0;
    for number in 1..=100_usize {
        store(vault, context, (&ada, 1), &entries).await.unwrap();
        if number == 1 {
            first = stored().await;
        }
        let at = number * 7_919 % entries.len();
        match number % 3 {
            0 => entries.insert(at, track()),
            1 => drop(entries.remove(at)),
            _ => {
                let moved = entries.remove(at);
                entries.insert(number * 104_729 % entries.len(), moved);
            }
        }
    }
    let hundred = stored().await;
    println!(
        "1 version of 1,000 tracks: {first} bytes of {plain}; 100 versions with an edit each: {hundred} bytes, \
        {} for each edit, {} % of storing each whole",
        (hundred - first) / 99,
        hundred / first
    );
    assert!(first < plain, "compressed more than sealing adds: {first}");
    assert!((hundred - first) / 99 < 4_000, "an edit costs about two pieces, not the playlist");

    let numbers =
        async || database.tamper("SELECT min(number), max(number), count(*) FROM playlist_versions").await;
    for number in 101..=KEPT {
        entries.rotate_left(1);
        entries.truncate(40);
        assert_eq!(store(vault, context, (&ada, 1), &entries).await.unwrap().number, number);
    }
    assert_eq!(numbers().await, format!("1|{KEPT}|{KEPT}"));
    for _ in 0..5 {
        entries.rotate_left(1);
        store(vault, context, (&ada, 1), &entries).await.unwrap();
    }
    assert_eq!(numbers().await, format!("6|{}|{KEPT}", KEPT + 5));
    let first = playlist(1);
    assert_eq!(load(vault, context, ada.account, &first, 5).await.unwrap(), None);
    for number in [6, 100, KEPT + 5] {
        let loaded = load(vault, context, ada.account, &first, number).await.unwrap().unwrap();
        assert_eq!(loaded.entries.len(), usize::try_from(loaded.summary.entries).unwrap());
    }
    let unheld = "SELECT count(*) FROM playlist_chunks c WHERE NOT EXISTS
        (SELECT FROM playlist_versions v WHERE c.chunk_id = ANY(v.chunks))";
    assert_eq!(database.tamper(unheld).await, "0", "pieces that no version has");
}

#[tokio::test]
async fn versions_belong_to_one_persons_account() {
    let database = Database::start().await;
    let (ada, bob) = (database.inhabit("ada").await, database.inhabit("bob").await);
    let vault = &database.vault;
    store(vault, &ada.context, (&ada, 1), &names(0..100)).await.unwrap();
    let eve = provision::create_user(&database.admin, &ada.context, None, "Eve").await.unwrap();
    for stranger in [&bob.context, &ada.as_user(eve)] {
        let account = (ada.account, &playlist(1));
        assert_eq!(newest(vault, stranger, account.0, account.1).await.unwrap(), None);
        assert_eq!(load(vault, stranger, account.0, account.1, 1).await.unwrap(), None);
    }
    let foreign = store(vault, &bob.context, (&ada, 1), &names(0..9)).await;
    assert!(matches!(foreign, Err(StoreError::Missing(_))), "{foreign:?}");
    let of_eve = Inhabited { context: ada.context.clone(), user: eve, account: ada.account, key: bob.key };
    let foreign = store(vault, &ada.context, (&of_eve, 1), &names(0..9)).await;
    assert!(matches!(foreign, Err(StoreError::Missing("account"))), "{foreign:?}");

    // What two people hold alike is stored under ids that tell nothing of it.
    let tidal = NewLinkedAccount { provider: Provider::Tidal, ..account_of(eve) };
    let account =
        provision::link_account(&database.admin, &ada.context, tidal, &tokens("eve")).await.unwrap();
    let eve = Inhabited { account, ..of_eve };
    store(vault, &ada.context, (&eve, 1), &names(0..100)).await.unwrap();
    store(vault, &ada.context, (&ada, 2), &names(0..100)).await.unwrap();
    let ids = database.tamper("SELECT chunk_id FROM playlist_chunks").await;
    let distinct: BTreeSet<&str> = ids.lines().collect();
    assert_eq!(distinct.len(), ids.lines().count());

    let unlink = async |tx: &mut _| linked_accounts::unlink(tx, eve.account).await;
    let gone = vault.store().with_tenant(&ada.context, unlink).await.unwrap().unwrap();
    assert_eq!(gone.versions, 1);
    let rows = "SELECT (SELECT count(*) FROM playlist_versions), (SELECT count(DISTINCT account_id) FROM playlist_chunks)";
    assert_eq!(database.tamper(rows).await, "2|1", "ada's stay");
    database.tamper("DELETE FROM users WHERE label = 'Ada'").await;
    assert_eq!(database.tamper(rows).await, "0|0", "they go with the person");
}

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
