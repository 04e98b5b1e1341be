//! Link attempts from offer to end: each step is taken once, by the one it is for.

use std::time::Duration;

use chrono::TimeDelta;
use secrecy::{ExposeSecret as _, SecretString};
use stagedoor_crypto::SystemEntropy;
use stagedoor_domain::{Clock as _, LinkAttemptId, Provider};
use stagedoor_storage::link_attempts::{
    self, EXCHANGE_GRACE, LinkAttempt, LinkOutcome, LinkStage, NOT_KEPT, NewLinkAttempt, OPEN_AT_MOST, Taken,
    agree, take,
};
use stagedoor_storage::{StoreError, TenantTransaction, linked_accounts};

use crate::support::{Database, Inhabited};

/// An attempt of its person's key to link a Spotify account within ten minutes; `number` tells pages apart.
pub(crate) fn attempt(database: &Database, one: &Inhabited, number: u8) -> NewLinkAttempt {
    let now = database.clock.now();
    NewLinkAttempt {
        id: LinkAttemptId::generate(&*database.clock, &SystemEntropy),
        user: one.user,
        principal: format!("key:{}", one.key.id()),
        agent: "a client 1.0".to_owned(),
        provider: Provider::Spotify,
        account: None,
        scopes: vec!["user-read-private".to_owned()],
        page_hash: [number; 32],
        device: Some([7; 32]),
        created_at: now,
        expires_at: now + TimeDelta::minutes(10),
    }
}

/// An attempt that its person agreed to: state `[number; 32]`, browser secret `[number + 100; 32]`.
pub(crate) async fn agreed(database: &Database, one: &Inhabited, number: u8) -> LinkAttemptId {
    let new = attempt(database, one, number);
    let id = new.id;
    in_tenant(database, one, async |tx| link_attempts::insert(tx, &new).await).await;
    let found = find(database, one, id).await;
    let verifier = SecretString::from(format!("verifier-{number}"));
    let done =
        agree(&database.vault, &one.context, &found, &[number; 32], &[number + 100; 32], &verifier).await;
    assert!(done.unwrap());
    id
}

pub(crate) async fn find(database: &Database, one: &Inhabited, id: LinkAttemptId) -> LinkAttempt {
    in_tenant(database, one, async |tx| link_attempts::find(tx, id).await).await.unwrap()
}

pub(crate) async fn in_tenant<T>(
    database: &Database,
    one: &Inhabited,
    work: impl AsyncFnOnce(&mut TenantTransaction) -> Result<T, StoreError>,
) -> T {
    database.vault.store().with_tenant(&one.context, work).await.unwrap()
}

#[tokio::test]
async fn an_attempt_is_found_by_its_page_and_its_state_in_its_own_tenant() {
    let database = Database::start().await;
    let (ada, bob) = (database.inhabit("ada").await, database.inhabit("bob").await);
    let store = database.vault.store();
    let (adas, bobs) = (&ada.context.tenant().slug, &bob.context.tenant().slug);
    let id = agreed(&database, &ada, 1).await;

    let by_page = store.find_link_by_page(adas, &[1; 32]).await.unwrap().unwrap();
    assert_eq!((by_page.attempt, by_page.user), (id, ada.user));
    assert_eq!((by_page.tenant.id, by_page.tenant_name.as_str()), (ada.context.tenant_id(), "ada"));
    assert_eq!(store.find_link_by_state(adas, &[1; 32]).await.unwrap().unwrap().attempt, id);
    for slug in [bobs, &"nobody".parse().unwrap()] {
        assert!(store.find_link_by_page(slug, &[1; 32]).await.unwrap().is_none(), "{slug}");
        assert!(store.find_link_by_state(slug, &[1; 32]).await.unwrap().is_none(), "{slug}");
    }
    assert!(
        store.find_link_by_page(adas, &[101; 32]).await.unwrap().is_none(),
        "a browser's secret is no page"
    );
    assert!(store.find_link_by_state(adas, &[2; 32]).await.unwrap().is_none());

    take(&database.vault, &ada.context, id, &[1; 32]).await.unwrap();
    let used = store.find_link_by_state(adas, &[1; 32]).await.unwrap();
    assert_eq!(used.unwrap().attempt, id, "a used state is told from an invented one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_twenty_answers_one_is_taken() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let id = agreed(&database, &ada, 1).await;
    let mut takers = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (vault, context) = (database.vault.clone(), ada.context.clone());
        takers.spawn(async move { take(&vault, &context, id, &[1; 32]).await.unwrap() });
    }
    let mut ready = Vec::new();
    for taken in takers.join_all().await {
        match taken {
            Taken::Ready { attempt, verifier, browser_hash } => ready.push((attempt, verifier, browser_hash)),
            Taken::Used => {}
            other => panic!("{other:?}"),
        }
    }
    let [(attempt, verifier, browser_hash)] = &ready[..] else { panic!("{} took it", ready.len()) };
    assert_eq!(attempt.stage, LinkStage::Exchanging);
    assert_eq!(attempt.device, Some([7; 32]));
    assert_eq!(verifier.expose_secret(), "verifier-1");
    assert_eq!(browser_hash, &[101; 32]);
    assert!(!format!("{ready:?}").contains("verifier-1"));
}

#[tokio::test]
async fn agreeing_again_replaces_what_was_agreed_and_ends_with_the_attempt() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let (vault, context) = (&database.vault, &ada.context);
    let new = attempt(&database, &ada, 1);
    in_tenant(&database, &ada, async |tx| link_attempts::insert(tx, &new).await).await;
    let offered = find(&database, &ada, new.id).await;
    assert_eq!((offered.stage, &*offered.agent), (LinkStage::Offered, "a client 1.0"));
    assert!(matches!(take(vault, context, new.id, &[1; 32]).await.unwrap(), Taken::NotBegun));

    let agree = async |attempt: &LinkAttempt, state: u8| {
        let verifier = SecretString::from(format!("verifier-{state}"));
        agree(vault, context, attempt, &[state; 32], &[9; 32], &verifier).await.unwrap()
    };
    assert!(agree(&offered, 1).await);
    assert!(!agree(&offered, 2).await, "read before the first agreement");
    let again = find(&database, &ada, new.id).await;
    assert!(agree(&again, 3).await);
    assert!(matches!(take(vault, context, new.id, &[1; 32]).await.unwrap(), Taken::Used), "replaced");
    let Taken::Ready { verifier, attempt, .. } = take(vault, context, new.id, &[3; 32]).await.unwrap() else {
        panic!("the latest state counts");
    };
    assert_eq!(verifier.expose_secret(), "verifier-3");
    assert!(!agree(&attempt, 4).await, "it is being exchanged");

    let (now, second) = (database.clock.now(), TimeDelta::seconds(1));
    assert_eq!(attempt.outcome(now + EXCHANGE_GRACE - second), LinkOutcome::Open, "it is being finished");
    assert_eq!(attempt.outcome(now + EXCHANGE_GRACE), LinkOutcome::Ended(NOT_KEPT), "its taker is gone");
    let taken_late = LinkAttempt { taken_at: Some(attempt.expires_at - second), ..attempt.clone() };
    assert_eq!(taken_late.outcome(attempt.expires_at + second), LinkOutcome::Open, "its answer came in time");
    database.clock.advance(Duration::from_mins(10));
    let late = attempt_that_expired(&database, &ada).await;
    assert!(!agree(&late, 5).await);
}

async fn attempt_that_expired(database: &Database, one: &Inhabited) -> LinkAttempt {
    let new = attempt(database, one, 50);
    in_tenant(database, one, async |tx| link_attempts::insert(tx, &new).await).await;
    let found = find(database, one, new.id).await;
    assert_eq!(found.outcome(database.clock.now()), LinkOutcome::Open);
    database.clock.advance(Duration::from_mins(10));
    assert_eq!(found.outcome(database.clock.now()), LinkOutcome::Ended("link_expired"));
    found
}

#[tokio::test]
async fn an_attempt_ends_once_and_keeps_how() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let now = database.clock.now();
    let id = agreed(&database, &ada, 1).await;
    let tried = in_tenant(&database, &ada, async |tx| {
        Ok([
            link_attempts::advance_retry(tx, id, 0).await?,
            link_attempts::advance_retry(tx, id, 0).await?,
            link_attempts::advance_retry(tx, id, 1).await?,
            link_attempts::decline(tx, id, "link_declined", now).await?,
            link_attempts::fail(tx, id, "link_failed:other_account", now).await?,
        ])
    });
    assert_eq!(tried.await, [true, false, true, true, false]);
    let ended = find(&database, &ada, id).await;
    assert_eq!((ended.stage, ended.retries, ended.finished_at), (LinkStage::Declined, 2, Some(now)));
    assert_eq!(ended.outcome(now), LinkOutcome::Ended("link_declined"));
    assert!(matches!(take(&database.vault, &ada.context, id, &[1; 32]).await.unwrap(), Taken::Used));
    let kept = database.tamper("SELECT count(*) FROM link_attempts WHERE verifier IS NOT NULL").await;
    assert_eq!(kept, "0", "what ended holds no secret");
}

#[tokio::test]
async fn a_verifier_that_was_moved_does_not_open_and_its_attempt_is_not_taken() {
    let database = Database::start().await;
    let (ada, bob) = (database.inhabit("ada").await, database.inhabit("bob").await);
    let id = agreed(&database, &ada, 1).await;
    let (other, foreign) = (agreed(&database, &ada, 2).await, agreed(&database, &bob, 1).await);
    database.tamper("CREATE TABLE kept AS SELECT * FROM link_attempts").await;
    let of = |other: LinkAttemptId| format!("(SELECT verifier FROM kept WHERE attempt_id = '{other}')");
    for change in [
        format!("verifier = {}", of(other)),
        format!("verifier = {}", of(foreign)),
        "revision = revision + 1".to_owned(),
        "revision = revision - 1".to_owned(),
        "verifier = set_byte(verifier, 90, get_byte(verifier, 90) # 1)".to_owned(),
        "verifier = 'x'".to_owned(),
    ] {
        database.tamper(&format!("UPDATE link_attempts SET {change} WHERE attempt_id = '{id}'")).await;
        let refused = take(&database.vault, &ada.context, id, &[1; 32]).await;
        let foreign_key = change.contains(&foreign.to_string());
        assert!(
            matches!(refused, Err(StoreError::Unreadable { .. }))
                || foreign_key && matches!(refused, Err(StoreError::Missing("data key"))),
            "{change}: {refused:?}"
        );
        assert_eq!(find(&database, &ada, id).await.stage, LinkStage::Authorizing);
        database
            .tamper(
                "UPDATE link_attempts l SET verifier = k.verifier, revision = k.revision FROM kept k
                WHERE l.attempt_id = k.attempt_id",
            )
            .await;
    }
    let ready = take(&database.vault, &ada.context, id, &[1; 32]).await.unwrap();
    assert!(matches!(ready, Taken::Ready { .. }), "restored");
}

#[tokio::test]
async fn a_person_has_few_open_attempts_and_old_ones_are_forgotten() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let open = u8::try_from(OPEN_AT_MOST).unwrap();
    let mut attempts = Vec::new();
    for number in 0..=open {
        database.clock.advance(Duration::from_secs(1));
        let new = attempt(&database, &ada, number);
        in_tenant(&database, &ada, async |tx| link_attempts::insert(tx, &new).await).await;
        attempts.push(new.id);
    }
    let now = database.clock.now();
    let first = find(&database, &ada, attempts[0]).await;
    assert_eq!(first.outcome(now), LinkOutcome::Ended("link_expired"));
    assert_eq!(first.finished_at, Some(now));
    for id in &attempts[1..] {
        assert_eq!(find(&database, &ada, *id).await.outcome(now), LinkOutcome::Open);
    }

    database.clock.advance(Duration::from_hours(24) + Duration::from_secs(1));
    let new = attempt(&database, &ada, 99);
    in_tenant(&database, &ada, async |tx| link_attempts::insert(tx, &new).await).await;
    let left = database.tamper("SELECT count(*) FROM link_attempts").await;
    assert_eq!(
        left, "11",
        "those that expired ten minutes ago are remembered, the one that ended a day ago is not"
    );
    database.clock.advance(Duration::from_mins(11));
    let new = attempt(&database, &ada, 98);
    in_tenant(&database, &ada, async |tx| link_attempts::insert(tx, &new).await).await;
    assert_eq!(database.tamper("SELECT count(*) FROM link_attempts").await, "2");
}

#[tokio::test]
async fn a_link_begun_again_and_an_unlinking_do_not_wait_for_each_other_for_ever() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let open = u8::try_from(OPEN_AT_MOST).unwrap();
    for number in 0..open {
        let new = NewLinkAttempt { account: Some(ada.account), ..attempt(&database, &ada, number) };
        in_tenant(&database, &ada, async |tx| link_attempts::insert(tx, &new).await).await;
        database.clock.advance(Duration::from_secs(1));
    }
    let waiting = async |count: &str| {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
        while database.tamper(sql).await != count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    // Both come to the oldest attempt, which is held until both are there.
    let mut holder = database.bare("stagedoor_app").await;
    let begin = format!("BEGIN; SET LOCAL stagedoor.tenant_id = '{}'", ada.context.tenant_id());
    sqlx::raw_sql(sqlx::AssertSqlSafe(begin)).execute(&mut holder).await.unwrap();
    let hold = "SELECT 1 FROM link_attempts ORDER BY created_at LIMIT 1 FOR UPDATE";
    sqlx::raw_sql(hold).execute(&mut holder).await.unwrap();
    let store = database.vault.store();
    let unlinking =
        store.with_tenant(&ada.context, async |tx| linked_accounts::unlink(tx, ada.account).await);
    let new = NewLinkAttempt { account: Some(ada.account), ..attempt(&database, &ada, 99) };
    let beginning = async {
        waiting("1").await;
        store.with_tenant(&ada.context, async |tx| link_attempts::insert(tx, &new).await).await
    };
    let releasing = async {
        waiting("2").await;
        sqlx::raw_sql("COMMIT").execute(&mut holder).await.unwrap();
    };
    let (unlinked, begun, ()) = tokio::join!(unlinking, beginning, releasing);
    assert_eq!(unlinked.unwrap().map(|gone| gone.attempts), Some(u64::from(open)));
    assert!(matches!(begun, Err(StoreError::LinkEnded)), "the account is gone: {begun:?}");
}
