//! Figures of usage: what replicas bring counts once, whoever reads whatever span finds all of it and nothing twice, before,
//! while and after it is rolled up.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use stagedoor_domain::{Clock as _, UserId};
use stagedoor_storage::usage::{
    self, Denials, Figures, GroupBy, LatencySketch, MinuteLine, Period, UsageAnswer, UsageFilter, UsageQuery,
    UsageTable,
};
use stagedoor_storage::{Purpose, Store, StoreError, StoreOptions, TenantTransaction};
use uuid::Uuid;

use crate::attempts::in_tenant;
use crate::support::{Database, Inhabited};

/// So many calls that took so many milliseconds each, one of them failed.
pub(crate) fn line(
    starts_at: DateTime<Utc>,
    user: Option<UserId>,
    principal: &str,
    (calls, milliseconds): (u64, u64),
) -> MinuteLine {
    let mut latency = LatencySketch::new();
    (0..calls).for_each(|_| latency.record(Duration::from_millis(milliseconds)));
    let denied = Denials { limit: 2, scope: 1, ..Denials::default() };
    let figures = Figures { calls, errors: 1, denied, provider_calls: 3 * calls, ..Figures::default() };
    MinuteLine {
        starts_at,
        batch: 1,
        user,
        principal: principal.to_owned(),
        tool: "search",
        content: "track",
        figures,
        latency: Vec::new(),
    }
    .with_latency(&latency)
}

/// Appends lines of the replica of that number, and makes the partitions that they need.
pub(crate) async fn append(database: &Database, one: &Inhabited, replica: u128, lines: &[MinuteLine]) {
    let store = database.vault.store();
    for line in lines {
        usage::ensure_partitions(store, line.starts_at.date_naive(), 1).await.unwrap();
    }
    let replica = Uuid::from_u128(replica);
    assert!(in_tenant(database, one, async |tx| usage::append(tx, replica, lines).await).await);
}

/// Minutes of the person, and an hour.
pub(crate) async fn used(database: &Database, one: &Inhabited) {
    let hour = Period::Hour.begin(database.clock.now()) - TimeDelta::hours(1);
    append(database, one, 1, &[line(hour, Some(one.user), "key:x", (2, 5))]).await;
    assert_eq!(roll(&keeper(database).await, one, database.clock.now()).await.0, 1);
}

pub(crate) async fn keeper(database: &Database) -> Store {
    let options = StoreOptions { purpose: Purpose::Keep, ..database.options("stagedoor_keeper") };
    Store::connect(&options).await.unwrap()
}

/// Rolls up everything that is over at `now`, and answers how many hours and days there were to do.
pub(crate) async fn roll(store: &Store, one: &Inhabited, now: DateTime<Utc>) -> (usize, usize) {
    let run = async |tx: &mut TenantTransaction| usage::hours_to_roll(tx, now).await;
    let hours = store.with_tenant::<_, StoreError>(&one.context, run).await.unwrap();
    for hour in &hours {
        let roll = async |tx: &mut TenantTransaction| usage::roll_hour(tx, *hour).await;
        store.with_tenant::<_, StoreError>(&one.context, roll).await.unwrap();
    }
    let run = async |tx: &mut TenantTransaction| usage::days_to_roll(tx, now).await;
    let days = store.with_tenant::<_, StoreError>(&one.context, run).await.unwrap();
    for day in &days {
        let roll = async |tx: &mut TenantTransaction| usage::roll_day(tx, *day).await;
        store.with_tenant::<_, StoreError>(&one.context, roll).await.unwrap();
    }
    (hours.len(), days.len())
}

async fn asked(
    database: &Database,
    one: &Inhabited,
    (from, to): (DateTime<Utc>, DateTime<Utc>),
    group_by: GroupBy,
) -> UsageAnswer {
    let query = UsageQuery { from, to, group_by, filter: UsageFilter::default(), skip: 0 };
    in_tenant(database, one, async |tx| usage::query(tx, &query, 1_000).await).await
}

async fn calls(database: &Database, one: &Inhabited, from: DateTime<Utc>, to: DateTime<Utc>) -> u64 {
    let answer = asked(database, one, (from, to), GroupBy::default()).await;
    answer.lines.first().map_or(0, |line| line.figures.calls)
}

#[tokio::test]
async fn what_is_sent_twice_counts_once_and_replicas_add_up() {
    let database = Database::start().await;
    let (ada, bob) = (database.inhabit("ada").await, database.inhabit("bob").await);
    let minute = Period::Minute.begin(database.clock.now());
    let lines = [line(minute, Some(ada.user), "key:a", (4, 10)), line(minute, None, "key:b", (2, 20))];
    append(&database, &ada, 1, &lines).await;
    append(&database, &ada, 1, &lines).await;
    append(&database, &ada, 2, &lines[..1]).await;
    append(&database, &ada, 2, &[MinuteLine { batch: 2, ..lines[0].clone() }]).await;
    append(&database, &bob, 1, &[line(minute, None, "key:a", (100, 1))]).await;

    let by = GroupBy { user: true, key: true, ..GroupBy::default() };
    let found = asked(&database, &ada, (minute, minute + TimeDelta::minutes(1)), by).await;
    let told: Vec<_> = found.lines.iter().map(|line| (line.user, line.principal.as_deref())).collect();
    assert_eq!(told, [(Some(ada.user), Some("key:a")), (None, Some("key:b"))]);
    let figures = found.lines[0].figures;
    assert_eq!(
        (figures.calls, figures.errors, figures.denied.total(), figures.provider_calls),
        (12, 3, 9, 36)
    );
    let latency = found.lines[0].latency.unwrap();
    assert!((latency.p50 - 10.0).abs() <= 0.1 && (latency.p99 - 10.0).abs() <= 0.1, "{latency:?}");
    assert_eq!(calls(&database, &bob, minute, minute + TimeDelta::minutes(1)).await, 100);
    assert_eq!(calls(&database, &ada, minute - TimeDelta::minutes(9), minute).await, 0);

    let hour = Period::Hour.begin(minute);
    let all =
        usage::of_tenants(database.admin.store(), (hour, hour + TimeDelta::hours(1)), 0, 9).await.unwrap();
    let all: Vec<_> = all.iter().map(|one| (one.tenant, one.figures.calls)).collect();
    assert_eq!(all, [(bob.context.tenant_id(), 100), (ada.context.tenant_id(), 14)]);
    let second =
        usage::of_tenants(database.admin.store(), (hour, hour + TimeDelta::hours(1)), 1, 1).await.unwrap();
    let [of_ada] = &second[..] else { panic!("{second:?}") };
    assert_eq!((of_ada.slug.as_str(), of_ada.figures.calls), ("ada", 14));
    assert!((of_ada.latency.unwrap().p99 - 20.0).abs() <= 0.2, "{of_ada:?}");
    let refused = usage::of_tenants(database.vault.store(), (hour, hour), 0, 9).await;
    assert!(refused.is_err(), "the gateway sees one tenant at a time");
}

#[tokio::test]
async fn every_span_is_the_same_before_and_after_it_is_rolled_up_and_with_what_comes_late() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let keeper = keeper(&database).await;
    let today = Period::Day.begin(database.clock.now());
    let yesterday = today - TimeDelta::days(1);
    // A call a minute of ten hours around midnight, by two keys.
    let first = today - TimeDelta::hours(5);
    let minutes: Vec<_> = (0..600).map(|minute| first + TimeDelta::minutes(minute)).collect();
    let lines: Vec<_> = minutes
        .iter()
        .flat_map(|minute| ["key:a", "key:b"].map(|key| line(*minute, Some(ada.user), key, (1, 5))))
        .collect();
    append(&database, &ada, 1, &lines).await;
    let spans = [
        (yesterday, today + TimeDelta::days(1), 1_200),
        (yesterday, today, 600),
        (first + TimeDelta::minutes(30), today + TimeDelta::minutes(90), 720),
        (first + TimeDelta::minutes(7), first + TimeDelta::minutes(8), 2),
        (today - TimeDelta::minutes(61), today + TimeDelta::minutes(1), 124),
    ];
    let check = async |more: u64, when: &str| {
        for (number, (from, to, expected)) in spans.into_iter().enumerate() {
            let expected = expected + if number == 3 { 0 } else { more };
            assert_eq!(calls(&database, &ada, from, to).await, expected, "{when}: {from} to {to}");
        }
        for (interval, groups) in [(Period::Minute, 600), (Period::Hour, 10), (Period::Day, 2)] {
            let by = GroupBy { interval: Some(interval), ..GroupBy::default() };
            let found = asked(&database, &ada, (yesterday, today + TimeDelta::days(1)), by).await;
            let sum: u64 = found.lines.iter().map(|line| line.figures.calls).sum();
            assert_eq!((found.lines.len(), sum), (groups, 1_200 + more), "{when}: by {interval:?}");
            assert!(found.lines.is_sorted_by_key(|line| line.starts_at), "by time");
        }
    };
    check(0, "before").await;
    // What is over at the end of the span: ten hours, of which five are of a day that is over.
    let now = first + TimeDelta::hours(10);
    assert_eq!(roll(&keeper, &ada, now).await, (10, 1));
    check(0, "rolled up").await;
    assert_eq!(roll(&keeper, &ada, now).await, (0, 0), "nothing is left to do");
    check(0, "rolled up again").await;
    let counted =
        database.tamper("SELECT period, count(*), sum(calls) FROM usage_rollups GROUP BY 1 ORDER BY 1").await;
    assert_eq!(counted, "day|2|600\nhour|20|1200");
    // From a day, hours and nothing twice.
    let of_all = usage::of_tenants(database.admin.store(), (yesterday, now), 0, 9).await.unwrap();
    assert_eq!(of_all.iter().map(|one| one.figures.calls).collect::<Vec<_>>(), [1_200]);

    // A replica that was cut off brings its minute when the hour has gone into its day.
    let late = line(today - TimeDelta::minutes(10), None, "key:late", (50, 5));
    append(
        &database,
        &ada,
        2,
        &[late.clone(), MinuteLine { principal: "key:a".to_owned(), user: Some(ada.user), ..late }],
    )
    .await;
    check(100, "late").await;
    assert_eq!(roll(&keeper, &ada, now).await, (1, 1));
    check(100, "late and rolled up").await;
    let by = GroupBy { key: true, ..GroupBy::default() };
    let found = asked(&database, &ada, (yesterday, today), by).await;
    let told: Vec<_> =
        found.lines.iter().map(|line| (line.principal.as_deref().unwrap(), line.figures.calls)).collect();
    assert_eq!(told, [("key:a", 350), ("key:b", 300), ("key:late", 50)]);
}

#[tokio::test]
async fn a_roll_up_that_is_cut_off_counts_nothing_twice() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let keeper = keeper(&database).await;
    let hour = Period::Hour.begin(database.clock.now()) - TimeDelta::hours(3);
    let lines: Vec<_> =
        (0..40).map(|minute| line(hour + TimeDelta::minutes(minute), None, "key:a", (3, 5))).collect();
    append(&database, &ada, 1, &lines).await;
    let mut cut_off = keeper.begin(&ada.context).await.unwrap();
    assert_eq!(usage::roll_hour(&mut cut_off, hour).await.unwrap().from, 40);
    // Killed before it could commit.
    drop(cut_off);
    let end = hour + TimeDelta::hours(1);
    assert_eq!(calls(&database, &ada, hour, end).await, 120);
    assert_eq!(roll(&keeper, &ada, end).await.0, 1);
    assert_eq!(calls(&database, &ada, hour, end).await, 120);
    assert_eq!(database.tamper("SELECT sum(calls) FROM usage_rollups").await, "120");
}

#[tokio::test]
async fn nothing_is_kept_of_people_and_tenants_that_go() {
    let database = Database::start().await;
    let (ada, bob) = (database.inhabit("ada").await, database.inhabit("bob").await);
    let minute = Period::Minute.begin(database.clock.now());
    database.tamper(&format!("UPDATE users SET erasing_at = now() WHERE user_id = '{}'", ada.user)).await;
    let lines = [line(minute, Some(ada.user), "key:a", (4, 10)), line(minute, None, "key:b", (2, 20))];
    append(&database, &ada, 1, &lines).await;
    assert_eq!(database.tamper("SELECT principal FROM usage_minutes").await, "key:b");
    database.tamper("UPDATE tenants SET status = 'deleting' WHERE slug = 'bob'").await;
    let of_bob = [line(minute, None, "key:b", (2, 20))];
    let written = in_tenant(&database, &bob, async |tx| usage::append(tx, Uuid::nil(), &of_bob).await).await;
    assert!(!written);
    let stranger = Some(UserId(Uuid::from_u128(7)));
    append(&database, &ada, 3, &[line(minute, stranger, "key:z", (1, 1))]).await;
    assert_eq!(database.tamper("SELECT count(*) FROM usage_minutes").await, "1", "of nobody that is there");
}

#[tokio::test]
async fn minutes_go_only_when_hours_have_them_and_no_day_goes_too_early() {
    let database = Database::start().await;
    let ada = database.inhabit("ada").await;
    let keeper = keeper(&database).await;
    let today = database.clock.now().date_naive();
    let day = |back: u64| today.checked_sub_days(chrono::Days::new(back)).unwrap();
    let at = |back: u64| day(back).and_hms_opt(9, 0, 0).unwrap().and_utc();
    for back in [0, 1, 3, 4] {
        append(&database, &ada, 1, &[line(at(back), None, "key:a", (1, 1))]).await;
    }
    let tomorrow = today.succ_opt().unwrap();
    let drop = async |table, before| usage::drop_days(&keeper, table, before, 9).await.unwrap();
    let days = async |table| usage::partition_days(&keeper, table).await.unwrap();
    assert_eq!(drop(UsageTable::Minutes, tomorrow).await, 0, "nothing is rolled up");
    roll(&keeper, &ada, at(0)).await;
    assert_eq!(drop(UsageTable::Minutes, tomorrow).await, 2);
    assert_eq!(days(UsageTable::Minutes).await, [day(1), day(0)]);
    assert_eq!(drop(UsageTable::Rollups, tomorrow).await, 0, "none is a week old");
    assert_eq!(days(UsageTable::Rollups).await, [day(4), day(3), day(1), day(0)]);
    assert_eq!(calls(&database, &ada, at(5), at(0) + TimeDelta::hours(1)).await, 4);

    let count = async |tx: &mut TenantTransaction| usage::count_old(tx, at(1)).await;
    assert_eq!(keeper.with_tenant::<_, StoreError>(&ada.context, count).await.unwrap(), 5);
    let delete = async |tx: &mut TenantTransaction| usage::delete_old(tx, at(1), 2).await;
    let mut deleted = Vec::new();
    for _ in 0..4 {
        deleted.push(keeper.with_tenant::<_, StoreError>(&ada.context, delete).await.unwrap());
    }
    assert_eq!(deleted, [2, 2, 1, 0]);
}
