//! Minutes become hours, and hours days: what is new is marked as rolled and added to the longer period's rows in one
//! transaction. Cut off anywhere, nothing is marked and nothing is added; what comes late is added when it is found.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use uuid::Uuid;

use super::{Figures, LatencySketch, Period, Row, append};
use crate::error::StoreError;
use crate::transaction::TenantTransaction;

/// Rows that one statement writes.
const BATCH: usize = 500;

/// What tells the rows of one period apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Series {
    user: Uuid,
    principal: String,
    tool: String,
    content: String,
}

type Sums = BTreeMap<Series, (Figures, LatencySketch)>;

/// How many rows went into how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rolled {
    /// Rows of the shorter period.
    pub from: u64,
    /// Rows of the longer one that they are part of now.
    pub into: u64,
}

/// The hours before `before` of which some minutes are not rolled up, the oldest first.
pub async fn hours_to_roll(
    transaction: &mut TenantTransaction,
    before: DateTime<Utc>,
) -> Result<Vec<DateTime<Utc>>, StoreError> {
    let hours = sqlx::query_scalar!(
        r#"SELECT DISTINCT date_trunc('hour', starts_at, 'UTC') AS "hour!" FROM usage_minutes
        WHERE tenant_id = $1 AND NOT rolled AND starts_at < $2 ORDER BY 1"#,
        transaction.tenant_id().0,
        Period::Hour.begin(before)
    );
    Ok(hours.fetch_all(transaction.connection()).await?)
}

/// The days before `before` of which some hours are not rolled up, the oldest first.
pub async fn days_to_roll(
    transaction: &mut TenantTransaction,
    before: DateTime<Utc>,
) -> Result<Vec<DateTime<Utc>>, StoreError> {
    let days = sqlx::query_scalar!(
        r#"SELECT DISTINCT date_trunc('day', starts_at, 'UTC') AS "day!" FROM usage_rollups
        WHERE tenant_id = $1 AND period = 'hour' AND NOT rolled AND starts_at < $2 ORDER BY 1"#,
        transaction.tenant_id().0,
        Period::Day.begin(before)
    );
    Ok(days.fetch_all(transaction.connection()).await?)
}

/// Adds the minutes of the hour that begins at `hour` to it, those that are not part of it yet.
pub async fn roll_hour(
    transaction: &mut TenantTransaction,
    hour: DateTime<Utc>,
) -> Result<Rolled, StoreError> {
    let mut minutes = sqlx::query_as!(
        Row,
        "UPDATE usage_minutes SET rolled = true
        WHERE tenant_id = $1 AND starts_at >= $2 AND starts_at < $3 AND NOT rolled
        RETURNING starts_at, user_id, principal, tool, content, calls, errors, denied_limit, denied_scope,
            denied_policy, denied_credentials, cache_hits, cache_misses, provider_calls, search_words, latency",
        transaction.tenant_id().0,
        hour,
        hour + Period::Hour.length()
    )
    .fetch(transaction.connection());
    let (mut sums, mut from) = (Sums::new(), 0);
    while let Some(minute) = minutes.try_next().await? {
        add(&mut sums, &minute)?;
        from += 1;
    }
    drop(minutes);
    let into = sums.len() as u64;
    // An hour that its day has already: what came late belongs there too.
    let late = put(transaction, Period::Hour, hour, sums).await?;
    put(transaction, Period::Day, Period::Day.begin(hour), late).await?;
    Ok(Rolled { from, into })
}

/// Adds the hours of the day that begins at `day` to it, those that are not part of it yet.
pub async fn roll_day(transaction: &mut TenantTransaction, day: DateTime<Utc>) -> Result<Rolled, StoreError> {
    let mut hours = sqlx::query_as!(
        Row,
        "UPDATE usage_rollups SET rolled = true
        WHERE tenant_id = $1 AND period = 'hour' AND starts_at >= $2 AND starts_at < $3 AND NOT rolled
        RETURNING starts_at, user_id, principal, tool, content, calls, errors, denied_limit, denied_scope,
            denied_policy, denied_credentials, cache_hits, cache_misses, provider_calls, search_words, latency",
        transaction.tenant_id().0,
        day,
        day + Period::Day.length()
    )
    .fetch(transaction.connection());
    let (mut sums, mut from) = (Sums::new(), 0);
    while let Some(hour) = hours.try_next().await? {
        add(&mut sums, &hour)?;
        from += 1;
    }
    drop(hours);
    let into = sums.len() as u64;
    put(transaction, Period::Day, day, sums).await?;
    Ok(Rolled { from, into })
}

fn add(sums: &mut Sums, row: &Row) -> Result<(), StoreError> {
    let latency = LatencySketch::from_bytes(&row.latency)?;
    let series = Series {
        user: row.user_id,
        principal: row.principal.clone(),
        tool: row.tool.clone(),
        content: row.content.clone(),
    };
    let (sum, all) = sums.entry(series).or_default();
    sum.add(&row.figures());
    all.merge(&latency);
    Ok(())
}

/// Adds sums to the rows of a period, and answers those that were added to rows which the next longer period has already.
async fn put(
    transaction: &mut TenantTransaction,
    period: Period,
    starts_at: DateTime<Utc>,
    sums: Sums,
) -> Result<Sums, StoreError> {
    let mut late = Sums::new();
    if sums.is_empty() {
        return Ok(late);
    }
    let tenant = transaction.tenant_id().0;
    let there = sqlx::query!(
        "SELECT user_id, principal, tool, content, rolled, latency FROM usage_rollups
        WHERE tenant_id = $1 AND period = $2 AND starts_at = $3 FOR UPDATE",
        tenant,
        period.as_str(),
        starts_at
    )
    .fetch_all(transaction.connection())
    .await?;
    let mut stored = BTreeMap::new();
    for row in there {
        let series =
            Series { user: row.user_id, principal: row.principal, tool: row.tool, content: row.content };
        if row.rolled
            && let Some(sum) = sums.get(&series)
        {
            late.insert(series.clone(), sum.clone());
        }
        stored.insert(series, row.latency);
    }
    let mut lines = Vec::with_capacity(sums.len());
    for (series, (figures, mut latency)) in sums {
        if let Some(stored) = stored.get(&series) {
            latency.merge(&LatencySketch::from_bytes(stored)?);
        }
        lines.push((series, figures, latency.to_bytes()));
    }
    for lines in lines.chunks(BATCH) {
        write(transaction, (period, starts_at), lines).await?;
    }
    Ok(late)
}

async fn write(
    transaction: &mut TenantTransaction,
    (period, starts_at): (Period, DateTime<Utc>),
    lines: &[(Series, Figures, Vec<u8>)],
) -> Result<(), StoreError> {
    let text = |value: fn(&Series) -> &str| -> Vec<String> {
        lines.iter().map(|(series, ..)| value(series).to_owned()).collect()
    };
    let users: Vec<_> = lines.iter().map(|(series, ..)| series.user).collect();
    let counts: Vec<_> = lines.iter().flat_map(|(_, figures, _)| figures.columns()).collect();
    let latencies: Vec<_> = lines.iter().map(|(.., latency)| latency.clone()).collect();
    sqlx::query!(
        r#"INSERT INTO usage_rollups AS u (tenant_id, period, starts_at, user_id, principal, tool, content, calls, errors,
            denied_limit, denied_scope, denied_policy, denied_credentials, cache_hits, cache_misses, provider_calls,
            search_words, latency)
        SELECT $1, $2, $3, ($4::uuid[])[i], ($5::text[])[i], ($6::text[])[i], ($7::text[])[i],
            ($8::bigint[])[i * 10 - 9], ($8::bigint[])[i * 10 - 8], ($8::bigint[])[i * 10 - 7],
            ($8::bigint[])[i * 10 - 6], ($8::bigint[])[i * 10 - 5], ($8::bigint[])[i * 10 - 4],
            ($8::bigint[])[i * 10 - 3], ($8::bigint[])[i * 10 - 2], ($8::bigint[])[i * 10 - 1],
            ($8::bigint[])[i * 10], ($9::bytea[])[i]
        FROM generate_series(1, cardinality($4::uuid[])) i
        ON CONFLICT (tenant_id, starts_at, period, user_id, principal, tool, content) DO UPDATE SET
            calls = u.calls + excluded.calls, errors = u.errors + excluded.errors,
            denied_limit = u.denied_limit + excluded.denied_limit,
            denied_scope = u.denied_scope + excluded.denied_scope,
            denied_policy = u.denied_policy + excluded.denied_policy,
            denied_credentials = u.denied_credentials + excluded.denied_credentials,
            cache_hits = u.cache_hits + excluded.cache_hits, cache_misses = u.cache_misses + excluded.cache_misses,
            provider_calls = u.provider_calls + excluded.provider_calls,
            search_words = u.search_words + excluded.search_words, latency = excluded.latency"#,
        transaction.tenant_id().0,
        period.as_str(),
        starts_at,
        &users,
        &text(|series| &series.principal),
        &text(|series| &series.tool),
        &text(|series| &series.content),
        &counts,
        &latencies
    )
    .execute(transaction.connection())
    .await
    .map_err(append::no_partition)?;
    Ok(())
}
