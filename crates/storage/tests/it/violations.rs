//! Violations of limits: replicas add to the same minute, and a person who is gone leaves none.

use std::time::Duration;

use chrono::{DateTime, DurationRound as _, TimeDelta, Utc};
use stagedoor_domain::{Clock as _, UserId};
use stagedoor_storage::limit_violations::{self, LimitViolation};
use stagedoor_storage::{StoreError, TenantTransaction};

use crate::support::{Database, Inhabited};

/// One refused call at `at`.
pub(crate) fn violation(
    principal: &str,
    limit: &str,
    at: DateTime<Utc>,
    user: Option<UserId>,
) -> LimitViolation {
    LimitViolation {
        principal: principal.to_owned(),
        limit: limit.to_owned(),
        minute: at.duration_trunc(TimeDelta::minutes(1)).unwrap(),
        user,
        attempted_calls: 1,
        penalty: None,
        first_at: at,
        last_at: at,
    }
}

async fn add(database: &Database, one: &Inhabited, violations: &[LimitViolation]) -> Result<(), StoreError> {
    let write = async |tx: &mut TenantTransaction| limit_violations::add(tx, violations).await;
    database.vault.store().with_tenant(&one.context, write).await
}

#[tokio::test]
async fn counts_of_one_minute_add_up() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let at = database.clock.now().duration_trunc(TimeDelta::minutes(1)).unwrap();
    let later = at + TimeDelta::seconds(40);
    let user = Some(ada.user);
    let mut penalised = violation("key:a", "penalty", at, user);
    penalised.penalty = Some(Duration::from_mins(1));
    add(
        &database,
        &ada,
        &[
            violation("key:a", "search-60", later, user),
            violation("key:b", "api-60", at, None),
            penalised.clone(),
        ],
    )
    .await
    .unwrap();
    let mut more = violation("key:a", "search-60", at, user);
    more.attempted_calls = 24;
    penalised.penalty = Some(Duration::from_secs(30));
    add(&database, &ada, &[more, penalised]).await.unwrap();

    let since = at - TimeDelta::hours(24);
    let (own, all, newest, none) = database
        .vault
        .store()
        .with_tenant(&ada.context, async |tx| {
            let own = limit_violations::of_principal(tx, "key:a", since, 20).await?;
            let all = limit_violations::of_tenant(tx, since, 20).await?;
            let newest = limit_violations::of_tenant(tx, since, 1).await?;
            let none = limit_violations::of_tenant(tx, at + TimeDelta::minutes(1), 20).await?;
            Ok::<_, StoreError>((own, all, newest, none))
        })
        .await
        .unwrap();
    let [search, penalty] = &own[..] else { panic!("{own:?}") };
    assert_eq!((search.limit.as_str(), search.attempted_calls, search.penalty), ("search-60", 25, None));
    assert_eq!((search.first_at, search.last_at, search.user), (at, later, user));
    assert_eq!((penalty.attempted_calls, penalty.penalty), (2, Some(Duration::from_mins(1))));
    assert_eq!((all.len(), &newest[0], none.len()), (3, search, 0));
}

#[tokio::test]
async fn a_person_who_is_gone_leaves_none_and_stops_none() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let now = database.clock.now();
    add(&database, &ada, &[violation("key:a", "api-60", now, Some(ada.user))]).await.unwrap();
    database.tamper("DELETE FROM users").await;
    assert_eq!(database.tamper("SELECT count(*) FROM limit_violations").await, "0");
    let both = [violation("key:a", "api-60", now, Some(ada.user)), violation("key:b", "api-60", now, None)];
    add(&database, &ada, &both).await.unwrap();
    assert_eq!(database.tamper("SELECT principal FROM limit_violations").await, "key:b");
}

/// Both transactions touch the same rows, handed over in opposite orders.
#[tokio::test]
async fn replicas_that_write_at_once_do_not_lock_each_other_out() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let now = database.clock.now();
    let forth: Vec<_> =
        (0..50).map(|number| violation(&format!("key:{number}"), "api-60", now, None)).collect();
    let back: Vec<_> = forth.iter().rev().cloned().collect();
    for _ in 0..10 {
        let (one, other) = tokio::join!(add(&database, &ada, &forth), add(&database, &ada, &back));
        one.unwrap();
        other.unwrap();
    }
    let counted = "SELECT min(attempted_calls), max(attempted_calls), count(*) FROM limit_violations";
    assert_eq!(database.tamper(counted).await, "20|20|50");
}
