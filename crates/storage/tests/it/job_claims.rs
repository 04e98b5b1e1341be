//! Who works on a job: one worker at a time, another when that one dies, tenants in turn.

use std::collections::BTreeSet;
use std::time::Duration;

use stagedoor_domain::JobId;
use stagedoor_storage::jobs::{
    Claim, Ended, Held, State, Step, claim_due, claim_one, decide, end, hold, load, postpone, release,
    request_cancel, save, under_way,
};

use crate::jobs::{OURS, claimed, queued, step};
use crate::support::{Database, Inhabited};

const ASKED: Held = Held::Ours { cancel_requested: true };

async fn due(database: &Database, most: u32, per_tenant: u32) -> Vec<Claim> {
    claim_due(database.vault.store(), most, per_tenant).await.unwrap()
}

async fn state(database: &Database, one: &Inhabited, id: JobId) -> State {
    load(&database.vault, &one.context, id).await.unwrap().unwrap().state
}

#[tokio::test]
async fn another_worker_goes_on_when_one_died() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let (vault, store, context) = (&database.vault, database.vault.store(), &ada.context);
    let id = queued(&database, &ada).await;
    let [first] = &due(&database, 4, 4).await[..] else { panic!("it is due") };
    assert_eq!((first.tenant, first.job, first.user), (context.tenant_id(), id, ada.user));
    assert_eq!(state(&database, &ada, id).await, State::Running);
    assert_eq!(due(&database, 4, 4).await, []);
    assert_eq!(claim_one(store, context, id).await.unwrap(), None);
    assert_eq!(hold(store, context, first).await.unwrap(), OURS);
    let lease = "SELECT due_at - clock_timestamp() BETWEEN interval '20 s' AND interval '30 s' FROM jobs";
    assert_eq!(database.tamper(lease).await, "t");

    database.tamper("UPDATE jobs SET due_at = clock_timestamp()").await;
    let [second] = &due(&database, 4, 4).await[..] else { panic!("its worker was not heard of") };
    assert_ne!(first, second);
    assert_eq!(hold(store, context, first).await.unwrap(), Held::Lost);
    assert_eq!(release(store, context, first).await.unwrap(), Held::Lost);
    let late = Step { document: Some(b"late"), ..step(State::Done) };
    assert_eq!(save(vault, context, first, &late).await.unwrap(), Held::Lost);
    let job = load(vault, context, id).await.unwrap().unwrap();
    assert_eq!((job.state, job.revision, job.claims), (State::Running, 1, 2), "nothing of it was written");
    assert_ne!(job.document, b"late");

    assert_eq!(release(store, context, second).await.unwrap(), OURS);
    assert_eq!(state(&database, &ada, id).await, State::Queued);
    let third = claimed(&database, &ada, id).await;
    let later = Step { not_before: Some(Duration::from_mins(1)), ..step(State::Queued) };
    assert_eq!(save(vault, context, &third, &later).await.unwrap(), OURS);
    assert_eq!(due(&database, 4, 4).await, []);
    let wait = "SELECT due_at - clock_timestamp() BETWEEN interval '50 s' AND interval '60 s' FROM jobs";
    assert_eq!(database.tamper(wait).await, "t");
}

#[tokio::test]
async fn a_job_that_is_asked_to_end_is_due() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let (vault, store, context) = (&database.vault, database.vault.store(), &ada.as_user(ada.user));
    let cancel = async |id| request_cancel(store, context, id).await.unwrap();

    // One that waits, one that would only be due later, one that a worker is on.
    let waiting = queued(&database, &ada).await;
    let claim = claimed(&database, &ada, waiting).await;
    assert_eq!(save(vault, context, &claim, &step(State::Waiting)).await.unwrap(), OURS);
    let later = queued(&database, &ada).await;
    let claim = claimed(&database, &ada, later).await;
    let put_off = Step { not_before: Some(Duration::from_hours(1)), ..step(State::Queued) };
    assert_eq!(save(vault, context, &claim, &put_off).await.unwrap(), OURS);
    let running = queued(&database, &ada).await;
    let at_work = claimed(&database, &ada, running).await;
    assert_eq!(due(&database, 9, 9).await, []);
    for id in [waiting, later, running] {
        assert!(cancel(id).await);
        assert!(load(vault, context, id).await.unwrap().unwrap().cancel_requested);
    }
    let claims = due(&database, 9, 9).await;
    let ids: BTreeSet<JobId> = claims.iter().map(|claim| claim.job).collect();
    assert_eq!(ids, BTreeSet::from([waiting, later]));
    assert_eq!(hold(store, context, &at_work).await.unwrap(), ASKED);
    for claim in claims.iter().chain([&at_work]) {
        assert_eq!(save(vault, context, claim, &step(State::Cancelled)).await.unwrap(), ASKED);
        assert!(!cancel(claim.job).await, "it is over");
    }
    assert_eq!(due(&database, 9, 9).await, []);

    // One that comes to wait after it was asked to end.
    let id = queued(&database, &ada).await;
    let claim = claimed(&database, &ada, id).await;
    assert!(cancel(id).await);
    assert_eq!(save(vault, context, &claim, &step(State::Waiting)).await.unwrap(), ASKED);
    assert_eq!(due(&database, 9, 9).await.len(), 1);

    let bob = database.inhabit("bob").await;
    assert!(!request_cancel(store, &bob.context, running).await.unwrap());
    let foreign = queued(&database, &bob).await;
    assert!(!cancel(foreign).await);
    assert!(!request_cancel(store, &bob.as_user(ada.user), foreign).await.unwrap(), "another person's");
}

#[tokio::test]
async fn a_job_that_is_to_end_is_not_put_off_and_one_that_goes_on_is_not_to_end() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let (vault, store, context) = (&database.vault, database.vault.store(), &ada.context);
    let id = queued(&database, &ada).await;
    let claim = claimed(&database, &ada, id).await;
    assert!(request_cancel(store, context, id).await.unwrap());
    let put_off = Step { not_before: Some(Duration::from_hours(1)), ..step(State::Queued) };
    assert_eq!(save(vault, context, &claim, &put_off).await.unwrap(), ASKED);
    let claim = claimed(&database, &ada, id).await;
    assert_eq!(postpone(store, context, &claim, Duration::from_hours(1)).await.unwrap(), ASKED);
    let claim = claimed(&database, &ada, id).await;
    assert_eq!(save(vault, context, &claim, &step(State::Failed)).await.unwrap(), ASKED);
    let failed = load(vault, context, id).await.unwrap().unwrap();
    assert!(decide(vault, context, id, failed.revision, None, &[]).await.unwrap());
    assert!(!load(vault, context, id).await.unwrap().unwrap().cancel_requested);
    assert_eq!(under_way(store, context, ada.user).await.unwrap(), 1);
}

#[tokio::test]
async fn a_job_can_be_left_or_ended_without_its_document() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let (vault, store, context) = (&database.vault, database.vault.store(), &ada.context);
    let id = queued(&database, &ada).await;
    let document = load(vault, context, id).await.unwrap().unwrap().document;
    let claim = claimed(&database, &ada, id).await;
    assert_eq!(postpone(store, context, &claim, Duration::from_hours(1)).await.unwrap(), OURS);
    assert_eq!(due(&database, 4, 4).await, []);
    assert_eq!(end(store, context, &claim, Ended::Failed).await.unwrap(), Held::Lost, "it was given back");
    database.tamper("UPDATE jobs SET due_at = clock_timestamp(), document = 'x'").await;
    assert!(load(vault, context, id).await.is_err());
    let claim = claimed(&database, &ada, id).await;
    assert_eq!(end(store, context, &claim, Ended::Failed).await.unwrap(), OURS);
    assert_eq!(due(&database, 4, 4).await, [], "nobody takes it again");
    assert_eq!(database.tamper("SELECT state FROM jobs").await, "failed");
    assert_eq!(under_way(store, context, ada.user).await.unwrap(), 0);

    let other = queued(&database, &ada).await;
    let claim = claimed(&database, &ada, other).await;
    assert_eq!(end(store, context, &claim, Ended::Cancelled).await.unwrap(), OURS);
    let ended = load(vault, context, other).await.unwrap().unwrap();
    assert_eq!((ended.state, ended.message, ended.document), (State::Cancelled, None, document));
}

#[tokio::test]
async fn tenants_take_turns_and_none_takes_all() {
    let database = Database::start().await;
    let (ada, bob) = (database.inhabit("ada").await, database.inhabit("bob").await);
    for _ in 0..6 {
        queued(&database, &ada).await;
    }
    let of_bob = [queued(&database, &bob).await, queued(&database, &bob).await];
    let tenants = |claims: &[Claim]| {
        let of_ada = claims.iter().filter(|claim| claim.tenant == ada.context.tenant_id()).count();
        (of_ada, claims.len() - of_ada)
    };
    let first = due(&database, 3, 4).await;
    assert_eq!(tenants(&first), (2, 1), "the later tenant has its turn before the earlier has all");
    let second = due(&database, 9, 4).await;
    assert_eq!(tenants(&second), (2, 1), "one tenant has four at work at most");
    assert_eq!(due(&database, 9, 4).await, []);
    let done = step(State::Done);
    save(&database.vault, &ada.context, &first[0], &done).await.unwrap();
    assert_eq!(tenants(&due(&database, 9, 4).await), (1, 0));

    database.tamper("UPDATE jobs SET due_at = clock_timestamp() WHERE due_at IS NOT NULL").await;
    database.tamper("UPDATE tenants SET status = 'suspended' WHERE slug = 'ada'").await;
    let claims = due(&database, 9, 9).await;
    let ids: BTreeSet<JobId> = claims.iter().map(|claim| claim.job).collect();
    assert_eq!(ids, BTreeSet::from(of_bob), "a suspended tenant's jobs rest");

    // The function leaves its caller in no tenant.
    let mut bare = database.bare("stagedoor_app").await;
    let sql =
        "BEGIN; SELECT set_config('stagedoor.tenant_id', '', true); SELECT * FROM claim_due_jobs(9, 9, 30)";
    sqlx::raw_sql(sql).execute(&mut bare).await.unwrap();
    let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM jobs").fetch_one(&mut bare).await.unwrap();
    assert_eq!(seen, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_job_is_claimed_twice() {
    let database = Database::start().await;
    let (ada, bob) = (database.inhabit("ada").await, database.inhabit("bob").await);
    for round in 1..=3 {
        for _ in 0..10 {
            queued(&database, &ada).await;
            queued(&database, &bob).await;
        }
        let mut workers = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let vault = database.vault.clone();
            workers.spawn(async move {
                let (mut mine, mut idle) = (Vec::new(), 0);
                // What another worker has locked at the moment is passed over, so one empty look is not the end.
                while idle < 3 {
                    let claims = claim_due(vault.store(), 2, 1_000).await.unwrap();
                    idle = if claims.is_empty() { idle + 1 } else { 0 };
                    mine.extend(claims.into_iter().map(|claim| claim.job));
                }
                mine
            });
        }
        let claimed: Vec<JobId> = workers.join_all().await.into_iter().flatten().collect();
        let distinct: BTreeSet<JobId> = claimed.iter().copied().collect();
        assert_eq!((claimed.len(), distinct.len()), (20, 20), "round {round}");
    }
}
