//! What playlists held: versions rise, hold what was stored, and belong to one person's account. How much is kept is in
//! `version_memory`, what may go wrong in `version_faults`.

use std::collections::BTreeSet;

use stagedoor_domain::{CallId, Clock as _, ItemRef, Provider, TenantContext, ToolName};
use stagedoor_storage::playlist_versions::{Cause, Head, NewVersion, Summary, append, list, load, newest};
use stagedoor_storage::provision::{self, NewLinkedAccount};
use stagedoor_storage::{KeyVault, StoreError, linked_accounts};

use crate::support::{Database, Inhabited, account_of, tokens};

pub(crate) fn playlist(number: u32) -> ItemRef {
    format!("spotify:playlist:{number}").parse().unwrap()
}

pub(crate) fn names(numbers: impl IntoIterator<Item = u32>) -> Vec<Box<str>> {
    numbers.into_iter().map(|number| format!("spotify:track:{number:022}").into()).collect()
}

pub(crate) fn head(name: &str) -> Head {
    Head { name: name.to_owned(), description: Some("über alles".to_owned()), public: Some(false) }
}

/// Stores what one person's first playlist holds.
pub(crate) async fn store(
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
pub(crate) async fn written(
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
