//! Linking, linking again, importing and unlinking: everything of an account comes and goes together.

use std::time::Duration;

use chrono::TimeDelta;
use secrecy::ExposeSecret as _;
use stagedoor_domain::{Clock as _, LinkAttemptId, LinkedAccountId, Provider};
use stagedoor_storage::link_attempts::{self, LinkOutcome, Taken, take};
use stagedoor_storage::linked_accounts::{
    self, AccountStatus, Link, LinkOptions, NewLinkedAccount, link, note_without_grant,
};
use stagedoor_storage::session_imports::{self, Claiming, ImportClaim, ImportOutcome};
use stagedoor_storage::{StoreError, provider_sessions, session_devices};

use crate::attempts::{agreed, attempt, find, in_tenant};
use crate::support::{Database, Inhabited, account_of, tokens};

const MINUTE: Duration = Duration::from_mins(1);

fn options(database: &Database) -> LinkOptions {
    LinkOptions {
        attempt: None,
        device: Some([7; 32]),
        principal: "key:x".to_owned(),
        import: None,
        authorized_at: database.clock.now() - TimeDelta::minutes(1),
    }
}

fn second_account(one: &Inhabited) -> NewLinkedAccount {
    NewLinkedAccount { provider_user_id: "ada's other".to_owned(), ..account_of(one.user) }
}

/// An attempt that is being exchanged.
async fn exchanging(database: &Database, one: &Inhabited, number: u8) -> LinkAttemptId {
    let id = agreed(database, one, number).await;
    let taken = take(&database.vault, &one.context, id, &[number; 32]).await.unwrap();
    assert!(matches!(taken, Taken::Ready { .. }), "{taken:?}");
    id
}

async fn account(
    database: &Database,
    one: &Inhabited,
    id: LinkedAccountId,
) -> linked_accounts::LinkedAccount {
    in_tenant(database, one, async |tx| linked_accounts::find(tx, id).await).await.unwrap()
}

#[tokio::test]
async fn the_gateway_links_an_account_and_links_it_again() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let (vault, context) = (&database.vault, &ada.context);
    let first = exchanging(&database, &ada, 1).await;
    let with = LinkOptions { attempt: Some(first), ..options(&database) };
    let linked = link(vault, context, second_account(&ada), &tokens("new"), with).await.unwrap();
    assert!(!linked.relinked);
    let found = find(&database, &ada, first).await;
    assert_eq!(found.outcome(database.clock.now()), LinkOutcome::Linked(linked.account));

    let listed = in_tenant(&database, &ada, async |tx| linked_accounts::list(tx, ada.user).await).await;
    assert_eq!(listed.len(), 2, "two accounts of one provider");
    let view = listed[1].session.as_ref().unwrap();
    assert_eq!(view.authorized_at, database.clock.now() - TimeDelta::minutes(1));
    assert_eq!((view.scopes.len(), view.quarantined, view.imported), (1, false, false));

    // What an old grant left behind does not stand in the way, and its revision never comes back.
    let revoked = provider_sessions::load(vault, context, linked.account).await.unwrap().unwrap();
    assert!(
        provider_sessions::mark_relink_needed_at(vault, context, linked.account, revoked.revision)
            .await
            .unwrap()
    );
    assert_eq!(account(&database, &ada, linked.account).await.status, AccountStatus::RelinkNeeded);
    let renamed =
        NewLinkedAccount { label: "New name".to_owned(), country_code: None, ..second_account(&ada) };
    let again = link(vault, context, renamed, &tokens("newer"), options(&database)).await.unwrap();
    assert_eq!(again, Link { account: linked.account, relinked: true });
    let now = account(&database, &ada, linked.account).await;
    assert_eq!((now.status, &*now.label), (AccountStatus::Active, "New name"));
    assert_eq!(now.country_code.as_deref(), Some("DE"), "kept where the provider says nothing");
    let session = provider_sessions::load(vault, context, linked.account).await.unwrap().unwrap();
    assert_eq!(session.access_token.expose_secret(), "access-newer");
    assert!(session.revision > revoked.revision && session.id != revoked.id);
    let late =
        provider_sessions::mark_relink_needed_at(vault, context, linked.account, revoked.revision).await;
    assert!(!late.unwrap(), "what the provider said of the old grant");
}

#[tokio::test]
async fn a_link_that_ended_meanwhile_stores_nothing() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let (vault, context) = (&database.vault, &ada.context);
    let counts = "SELECT (SELECT count(*) FROM linked_accounts), (SELECT count(*) FROM provider_sessions),
        (SELECT count(*) FROM session_devices), (SELECT count(*) FROM session_imports)";
    let before = database.tamper(counts).await;
    let refused = async |attempt, account| {
        let with = LinkOptions { attempt: Some(attempt), import: Some([3; 32]), ..options(&database) };
        let refused = link(vault, context, account, &tokens("late"), with).await;
        assert!(matches!(refused, Err(StoreError::LinkEnded)), "{refused:?}");
    };

    let declined = exchanging(&database, &ada, 1).await;
    let now = database.clock.now();
    let decline = async |tx: &mut _| link_attempts::decline(tx, declined, "link_declined", now).await;
    assert!(in_tenant(&database, &ada, decline).await);
    refused(declined, second_account(&ada)).await;
    refused(agreed(&database, &ada, 2).await, second_account(&ada)).await;

    let mut again = attempt(&database, &ada, 3);
    again.account = Some(ada.account);
    in_tenant(&database, &ada, async |tx| link_attempts::insert(tx, &again).await).await;
    database
        .tamper(&format!(
            "UPDATE link_attempts SET stage = 'exchanging', taken_at = created_at,
            state_hash = page_hash, browser_hash = page_hash, verifier = 'x' WHERE attempt_id = '{}'",
            again.id
        ))
        .await;
    refused(again.id, second_account(&ada)).await;
    assert_eq!(database.tamper(counts).await, before);
    let session = provider_sessions::load(vault, context, ada.account).await.unwrap().unwrap();
    assert_eq!(session.access_token.expose_secret(), "access-first");

    let with = LinkOptions { attempt: Some(again.id), ..options(&database) };
    let linked = link(vault, context, account_of(ada.user), &tokens("right"), with).await.unwrap();
    assert_eq!(linked, Link { account: ada.account, relinked: true });
}

#[tokio::test]
async fn an_import_is_made_once() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let (vault, context) = (&database.vault, &ada.context);
    let import = || LinkOptions { device: None, import: Some([3; 32]), ..options(&database) };
    let linked = link(vault, context, second_account(&ada), &tokens("file"), import()).await.unwrap();
    let again = link(vault, context, second_account(&ada), &tokens("file again"), import()).await;
    assert!(matches!(again, Err(StoreError::AlreadyExists(_))), "{again:?}");
    let session = provider_sessions::load(vault, context, linked.account).await.unwrap().unwrap();
    assert_eq!(session.access_token.expose_secret(), "access-file");
    assert!(account(&database, &ada, linked.account).await.session.unwrap().imported);

    let known = NewLinkedAccount { provider: Provider::Tidal, ..account_of(ada.user) };
    let claim = won(claim(&database, &ada, [4; 32], MINUTE).await);
    let noted = note_without_grant(vault, context, known.clone(), Some(&claim)).await.unwrap();
    let found = account(&database, &ada, noted.account).await;
    assert_eq!((found.status, found.session), (AccountStatus::RelinkNeeded, None));
    assert!(provider_sessions::load(vault, context, noted.account).await.unwrap().is_none());
    let again = note_without_grant(vault, context, known, Some(&claim)).await;
    assert!(matches!(again, Err(StoreError::AlreadyExists(_))), "{again:?}");
    // One that is there already is left as it is, whatever a file says of it.
    let before = account(&database, &ada, ada.account).await;
    let told = NewLinkedAccount {
        label: "from a file".to_owned(),
        country_code: Some("US".to_owned()),
        ..account_of(ada.user)
    };
    note_without_grant(vault, context, told, None).await.unwrap();
    assert_eq!(account(&database, &ada, ada.account).await, before);

    let recorded = in_tenant(&database, &ada, async |tx| {
        Ok([session_imports::find(tx, &[3; 32]).await?, session_imports::find(tx, &[4; 32]).await?])
    });
    let [first, second] = recorded.await.map(|import| import.unwrap().outcome);
    assert_eq!(first, ImportOutcome::Linked(linked.account));
    assert_eq!(second, ImportOutcome::RelinkNeeded(noted.account));
    let unlink = async |tx: &mut _| linked_accounts::unlink(tx, linked.account).await;
    assert_eq!(in_tenant(&database, &ada, unlink).await.unwrap().imports, 1);
    link(vault, context, second_account(&ada), &tokens("file"), import()).await.unwrap();
}

#[tokio::test]
async fn one_import_at_a_time_may_exchange_the_tokens_of_a_file() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let digest = [6; 32];
    let first = won(claim(&database, &ada, digest, MINUTE).await);
    assert!(!first.took_over);
    assert_eq!(claim(&database, &ada, digest, MINUTE).await, Claiming::Busy);
    let found = in_tenant(&database, &ada, async |tx| session_imports::find(tx, &digest).await);
    assert_eq!(found.await, None, "what runs has come to nothing yet");
    in_tenant(&database, &ada, async |tx| session_imports::release(tx, &first).await).await;
    let second = won(claim(&database, &ada, digest, Duration::ZERO).await);
    assert!(!second.took_over, "the first was given back");

    // One that ran out passes on, and its holder can neither renew nor record what is less than a link.
    let third = won(claim(&database, &ada, digest, MINUTE).await);
    assert!(third.took_over);
    let renewed = in_tenant(&database, &ada, async |tx| session_imports::renew(tx, &second, MINUTE).await);
    assert!(!renewed.await);
    let known = NewLinkedAccount { provider: Provider::Tidal, ..account_of(ada.user) };
    let late = note_without_grant(&database.vault, &ada.context, known, Some(&second)).await;
    assert!(matches!(late, Err(StoreError::AlreadyExists(_))), "{late:?}");
    let known = NewLinkedAccount { provider: Provider::Tidal, ..account_of(ada.user) };
    let noted = note_without_grant(&database.vault, &ada.context, known, Some(&third)).await.unwrap();

    // Tokens that are known to work are stored all the same.
    let import = LinkOptions { device: None, import: Some(digest), ..options(&database) };
    let account = NewLinkedAccount { provider: Provider::Tidal, ..account_of(ada.user) };
    let linked = link(&database.vault, &ada.context, account, &tokens("file"), import).await.unwrap();
    assert_eq!(linked, Link { account: noted.account, relinked: true });
    match claim(&database, &ada, digest, MINUTE).await {
        Claiming::Done(import) => assert_eq!(import.outcome, ImportOutcome::Linked(noted.account)),
        other => panic!("{other:?}"),
    }
}

async fn claim(database: &Database, ada: &Inhabited, digest: [u8; 32], lease: Duration) -> Claiming {
    let (user, now) = (ada.user, database.clock.now());
    let claim = async |tx: &mut _| session_imports::claim(tx, digest, user, now, lease).await;
    in_tenant(database, ada, claim).await
}

fn won(claiming: Claiming) -> ImportClaim {
    match claiming {
        Claiming::Won(claim) => claim,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn unlinking_removes_what_is_of_the_account_and_nothing_else() {
    let database = Database::start().await;
    let (ada, bob) = (database.inhabit("ada").await, database.inhabit("bob").await);
    let (vault, context) = (&database.vault, &ada.context);
    let spare =
        link(vault, context, second_account(&ada), &tokens("spare"), options(&database)).await.unwrap();
    for one in [&ada, &bob] {
        in_tenant(&database, one, async |tx| {
            session_devices::admit(tx, one.account, &[1; 32], "key:x", database.clock.now()).await
        })
        .await;
    }
    let first = exchanging(&database, &ada, 1).await;
    let with = LinkOptions { attempt: Some(first), ..options(&database) };
    link(vault, context, account_of(ada.user), &tokens("again"), with).await.unwrap();
    agreed(&database, &ada, 2).await;
    for damage in ["'x'", "'y'"] {
        let sql =
            "UPDATE provider_sessions SET quarantined_at = NULL, quarantine_reason = NULL, access_token = ";
        database.tamper(&format!("{sql}{damage} WHERE account_id = '{}'", ada.account)).await;
        assert!(provider_sessions::quarantine(vault, context, ada.account, "test").await.unwrap());
    }
    let everything =
        "SELECT (SELECT count(*) FROM linked_accounts), (SELECT count(*) FROM provider_sessions),
        (SELECT count(*) FROM session_quarantine), (SELECT count(*) FROM session_devices),
        (SELECT count(*) FROM link_attempts), (SELECT count(*) FROM users), (SELECT count(*) FROM data_keys)";
    assert_eq!(database.tamper(everything).await, "3|3|2|4|2|2|4");

    let unlink = async |tx: &mut _| linked_accounts::unlink(tx, ada.account).await;
    let gone = in_tenant(&database, &ada, unlink).await.unwrap();
    assert_eq!((gone.sessions, gone.quarantined, gone.devices), (1, 2, 2));
    assert_eq!((gone.attempts, gone.imports), (1, 0));
    assert_eq!(database.tamper(everything).await, "2|2|0|2|1|2|4");
    assert_eq!(in_tenant(&database, &ada, unlink).await, None);
    for (one, kept) in [(&ada, spare.account), (&bob, bob.account)] {
        assert!(provider_sessions::load(vault, &one.context, kept).await.unwrap().is_some());
    }
}

/// Whoever writes an account and its session takes their locks in one order, or this ends in deadlocks.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn everything_at_once_to_one_account_ends_without_a_deadlock() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let mut workers = tokio::task::JoinSet::new();
    for worker in 0..8_u8 {
        let (vault, context, user, at) =
            (database.vault.clone(), ada.context.clone(), ada.user, database.clock.now());
        let with = LinkOptions { device: Some([worker; 32]), ..options(&database) };
        workers.spawn(async move {
            for round in 0..15_u8 {
                let linked =
                    link(&vault, &context, account_of(user), &tokens("again"), with.clone()).await.unwrap();
                let account = linked.account;
                let found = provider_sessions::load(&vault, &context, account).await.unwrap();
                let Some(session) = found else { continue };
                match (worker + round) % 4 {
                    0 => {
                        let fresh = tokens("fresh");
                        provider_sessions::save_refreshed(&vault, &context, &session, &fresh).await.unwrap();
                    }
                    1 => {
                        let revision = session.revision;
                        provider_sessions::mark_relink_needed_at(&vault, &context, account, revision)
                            .await
                            .unwrap();
                    }
                    2 => {
                        let unlink = async |tx: &mut _| linked_accounts::unlink(tx, account).await;
                        vault.store().with_tenant(&context, unlink).await.unwrap();
                    }
                    _ => {
                        let fingerprint = [worker; 32];
                        let sight_of = session_devices::SightOf {
                            fingerprint: &fingerprint,
                            principal: "key:x",
                            at,
                            window: TimeDelta::minutes(15),
                            record_new: true,
                            at_most: None,
                        };
                        let sight = async |tx: &mut _| session_devices::sight(tx, account, &sight_of).await;
                        let seen = vault.store().with_tenant(&context, sight).await;
                        assert!(matches!(seen, Ok(_) | Err(StoreError::Missing(_))), "{seen:?}");
                    }
                }
            }
        });
    }
    // A deadlock is an error of one of its parties, which fails its worker.
    workers.join_all().await;
}
