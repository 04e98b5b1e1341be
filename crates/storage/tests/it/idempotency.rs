//! Calls with an idempotency key: done once, answered again, taken over when cut off, forgotten after a day.

use stagedoor_domain::{ErrorCode, PrincipalKind, TenantContext, ToolName};
use stagedoor_storage::idempotency::{
    Begun, Claim, CutOff, Request, begin, finish, give_up, note, release, resume,
};
use stagedoor_storage::{StoreError, linked_accounts, provision};

use crate::support::{Database, Inhabited};

const REQUEST: Request<'_> = Request { key: "once", tool: ToolName::PlaylistAdd, digest: [7; 32] };

fn first(begun: Begun) -> Claim {
    let Begun::First(claim) = begun else { panic!("{begun:?}") };
    claim
}

fn cut_off(begun: Begun) -> CutOff {
    let Begun::CutOff(cut_off) = begun else { panic!("{begun:?}") };
    cut_off
}

/// A key in use, for other modules' tests.
pub(crate) async fn begin_one(database: &Database, one: &Inhabited) {
    let claim = first(begin(&database.vault, &one.context, one.account, &REQUEST).await.unwrap());
    assert!(note(&database.vault, &one.context, &claim, b"half way").await.unwrap());
}

#[tokio::test]
async fn a_call_is_done_once_and_answered_again() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let (vault, context) = (&database.vault, &ada.as_user(ada.user));
    let ask = async |request: &Request<'_>| begin(vault, context, ada.account, request).await.unwrap();
    let claim = first(ask(&REQUEST).await);
    assert_eq!(ask(&REQUEST).await, Begun::Underway);
    assert!(note(vault, context, &claim, b"half way").await.unwrap());
    assert_eq!(ask(&REQUEST).await, Begun::Underway);
    let answer = vec![b'a'; 500_000];
    assert!(finish(vault, context, &claim, &answer).await.unwrap());
    assert_eq!(ask(&REQUEST).await, Begun::Replay(answer.clone()));
    for late in [
        note(vault, context, &claim, b"").await,
        finish(vault, context, &claim, b"another").await,
        give_up(vault, context, &claim, b"").await,
        release(vault, context, &claim).await,
    ] {
        assert!(!late.unwrap(), "what was answered stays answered");
    }
    assert_eq!(ask(&REQUEST).await, Begun::Replay(answer));

    let others =
        [Request { tool: ToolName::PlaylistRemove, ..REQUEST }, Request { digest: [8; 32], ..REQUEST }];
    for other in others {
        assert_eq!(ask(&other).await, Begun::Mismatch);
    }
    first(ask(&Request { key: "twice", ..REQUEST }).await);

    database.tamper("UPDATE idempotency_keys SET expires_at = now()").await;
    let claim = first(ask(&REQUEST).await);
    assert_eq!(
        database.tamper("SELECT count(*) FROM idempotency_keys").await,
        "1",
        "forgotten ones are cleared"
    );
    assert!(release(vault, context, &claim).await.unwrap());
    first(ask(&others[0]).await);
}

#[tokio::test]
async fn a_key_is_its_principals_and_its_accounts() {
    let database = Database::start().await;
    let (ada, bob) = (database.inhabit("ada").await, database.inhabit("bob").await);
    let vault = &database.vault;
    let claim = first(begin(vault, &ada.as_user(ada.user), ada.account, &REQUEST).await.unwrap());
    assert!(finish(vault, &ada.context, &claim, b"private").await.unwrap());
    first(begin(vault, &bob.as_user(bob.user), bob.account, &REQUEST).await.unwrap());
    // The same person through another principal.
    assert!(matches!(ada.context.principal().kind, PrincipalKind::Job(_)));
    first(begin(vault, &ada.context, ada.account, &REQUEST).await.unwrap());

    let eve = provision::create_user(&database.admin, &ada.context, None, "Eve").await.unwrap();
    let missing = async |context: &TenantContext, account| {
        let refused = begin(vault, context, account, &REQUEST).await;
        assert!(matches!(refused, Err(StoreError::Missing("account"))), "{refused:?}");
    };
    missing(&bob.as_user(bob.user), ada.account).await;
    missing(&ada.as_user(eve), ada.account).await;
    let foreign = finish(vault, &bob.context, &claim, b"x").await;
    assert!(matches!(foreign, Err(StoreError::Missing("person"))), "{foreign:?}");
    assert!(!release(vault, &bob.context, &claim).await.unwrap());

    let unlink = async |tx: &mut _| linked_accounts::unlink(tx, ada.account).await;
    let gone = vault.store().with_tenant(&ada.context, unlink).await.unwrap().unwrap();
    assert_eq!(gone.idempotency_keys, 2);
    database.tamper("DELETE FROM users").await;
    assert_eq!(
        database.tamper("SELECT count(*) FROM idempotency_keys").await,
        "0",
        "they go with the person"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_at_once_one_is_the_first_and_one_goes_on() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let at_once = async || {
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..10 {
            let (vault, context, account) = (database.vault.clone(), ada.context.clone(), ada.account);
            calls.spawn(async move {
                match begin(&vault, &context, account, &REQUEST).await.unwrap() {
                    Begun::First(claim) => Some(claim),
                    Begun::CutOff(cut_off) => resume(&vault, &context, &cut_off).await.unwrap(),
                    Begun::Underway => None,
                    other => panic!("{other:?}"),
                }
            });
        }
        calls.join_all().await.into_iter().flatten().collect::<Vec<_>>()
    };
    assert_eq!(at_once().await.len(), 1);
    for _ in 0..3 {
        database.tamper("UPDATE idempotency_keys SET claimed_until = now()").await;
        assert_eq!(at_once().await.len(), 1);
    }
}

#[tokio::test]
async fn a_call_that_was_cut_off_is_gone_on_with_and_its_first_process_writes_nothing_more() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let (vault, context) = (&database.vault, &ada.context);
    let ask = async || begin(vault, context, ada.account, &REQUEST).await.unwrap();
    let died = first(ask().await);
    let lapse = "UPDATE idempotency_keys SET claimed_until = clock_timestamp() - interval '1 s'";
    database.tamper(lapse).await;
    let seen = cut_off(ask().await);
    assert_eq!(seen.note, None);
    assert!(note(vault, context, &died, b"still here").await.unwrap(), "nobody has taken it over yet");
    assert_eq!(ask().await, Begun::Underway);
    assert_eq!(resume(vault, context, &seen).await.unwrap(), None, "its holder is back");

    database.tamper(lapse).await;
    let seen = cut_off(ask().await);
    assert_eq!(seen.note.as_deref(), Some(&b"still here"[..]));
    let taken = resume(vault, context, &seen).await.unwrap().unwrap();
    assert_eq!(resume(vault, context, &seen).await.unwrap(), None);
    assert_eq!(ask().await, Begun::Underway);
    for late in [
        note(vault, context, &died, b"").await,
        finish(vault, context, &died, b"").await,
        give_up(vault, context, &died, b"").await,
        release(vault, context, &died).await,
    ] {
        assert!(!late.unwrap(), "it was thought dead");
    }

    // Given up: the next call need not wait.
    assert!(give_up(vault, context, &taken, b"100 of 300").await.unwrap());
    assert!(!finish(vault, context, &taken, b"").await.unwrap());
    let seen = cut_off(ask().await);
    assert_eq!(seen.note.as_deref(), Some(&b"100 of 300"[..]));
    let taken = resume(vault, context, &seen).await.unwrap().unwrap();
    assert!(finish(vault, context, &taken, b"done").await.unwrap());
    assert_eq!(ask().await, Begun::Replay(b"done".to_vec()));
}

#[tokio::test]
async fn notes_and_answers_are_sealed_for_their_call() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let (vault, context) = (&database.vault, &ada.context);
    let ask = async |key| begin(vault, context, ada.account, &Request { key, ..REQUEST }).await;
    for key in ["a", "b"] {
        let claim = first(ask(key).await.unwrap());
        assert!(finish(vault, context, &claim, b"a private answer").await.unwrap());
    }
    let noted = first(ask("c").await.unwrap());
    assert!(note(vault, context, &noted, b"a private note").await.unwrap());
    let clear = "SELECT count(*) FROM idempotency_keys
        WHERE position('private'::bytea IN COALESCE(note, answer)) > 0";
    assert_eq!(database.tamper(clear).await, "0");
    assert!(!format!("{:?}", ask("a").await).contains("private"));

    let damage = "UPDATE idempotency_keys i SET answer = o.answer FROM idempotency_keys o
        WHERE o.answer IS NOT NULL AND i.answer IS NOT NULL AND i.record_id <> o.record_id";
    database.tamper(damage).await;
    database.tamper("UPDATE idempotency_keys SET revision = revision + 1, claimed_until = now() WHERE note IS NOT NULL").await;
    for key in ["a", "b", "c"] {
        let damaged = ask(key).await.unwrap_err();
        assert!(matches!(damaged, StoreError::Damaged { .. }), "{damaged:?}");
        assert_eq!(
            damaged.public().code,
            ErrorCode::OutcomeUnknown,
            "it was begun, and what came of it is lost"
        );
    }
}
