//! What one principal's calls came to within several spans that end together, by one statement that finds its rows by the
//! principal: what is read for it does not grow with the tenant.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::TryStreamExt;
use stagedoor_domain::UserId;

use super::query::Latency;
use super::{Figures, LatencySketch, Period, Row, column_of};
use crate::error::StoreError;
use crate::transaction::TenantTransaction;

/// What calls came to.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Sums {
    /// What was counted.
    pub figures: Figures,
    /// How long the calls took; `None` if none was let in.
    pub latency: Option<Latency>,
}

/// What a principal's calls came to.
#[derive(Debug, Clone, PartialEq)]
pub struct PrincipalUsage {
    /// Within each of the spans that were asked for, in the order in which they were.
    pub spans: Vec<Sums>,
    /// Within the last of them by tool, those with the most calls first.
    pub tools: Vec<(String, Sums)>,
}

/// Figures that are being added up.
#[derive(Default)]
struct Adding(Figures, LatencySketch);

/// The figures of a principal, by its label, and of the person that it acts for, in minutes before `until`: within each of
/// `spans`, which grow. As of [`super::query`], of what is older than minutes are kept the hour that a span begins in is
/// left out unless it is the beginning of one.
pub async fn of_principal(
    transaction: &mut TenantTransaction,
    (principal, user): (&str, Option<UserId>),
    until: DateTime<Utc>,
    spans: &[TimeDelta],
) -> Result<PrincipalUsage, StoreError> {
    // One after the other, each from where the next shorter one begins.
    let mut parts = Vec::with_capacity(spans.len());
    let mut end = until;
    for span in spans {
        let begin = (until - *span).min(end);
        parts.push((begin, end));
        end = begin;
    }
    let (from, to): (Vec<_>, Vec<_>) = parts.iter().copied().unzip();
    let days = parts.iter().map(|(from, to)| Period::Day.whole_in(*from, *to));
    let (first_day, last_day): (Vec<_>, Vec<_>) = days.unzip();
    let hours = parts.iter().map(|(from, to)| Period::Hour.whole_in(*from, *to));
    let (first_hour, last_hour): (Vec<_>, Vec<_>) = hours.unzip();
    let mut sums: Vec<Adding> = spans.iter().map(|_| Adding::default()).collect();
    let mut tools: BTreeMap<String, Adding> = BTreeMap::new();
    let mut rows = sqlx::query_as!(
        Row,
        r#"SELECT f.starts_at AS "starts_at!", f.user_id AS "user_id!", f.principal AS "principal!", f.tool AS "tool!",
            f.content AS "content!", f.calls AS "calls!", f.errors AS "errors!", f.denied_limit AS "denied_limit!",
            f.denied_scope AS "denied_scope!", f.denied_policy AS "denied_policy!",
            f.denied_credentials AS "denied_credentials!", f.cache_hits AS "cache_hits!",
            f.cache_misses AS "cache_misses!", f.provider_calls AS "provider_calls!",
            f.search_words AS "search_words!", f.latency AS "latency!"
        FROM unnest($4::timestamptz[], $5::timestamptz[], $6::timestamptz[], $7::timestamptz[], $8::timestamptz[],
            $9::timestamptz[]) AS p (first, last, first_hour, last_hour, first_day, last_day)
        CROSS JOIN LATERAL (
            SELECT m.starts_at, m.user_id, m.principal, m.tool, m.content, m.calls, m.errors, m.denied_limit,
                m.denied_scope, m.denied_policy, m.denied_credentials, m.cache_hits, m.cache_misses, m.provider_calls,
                m.search_words, m.latency
            FROM usage_minutes m WHERE m.tenant_id = $1 AND m.principal = $2 AND m.user_id = $3
                AND m.starts_at >= p.first AND m.starts_at < p.last
                AND (NOT m.rolled OR m.starts_at < p.first_hour OR m.starts_at >= p.last_hour)
            UNION ALL
            SELECT h.starts_at, h.user_id, h.principal, h.tool, h.content, h.calls, h.errors, h.denied_limit,
                h.denied_scope, h.denied_policy, h.denied_credentials, h.cache_hits, h.cache_misses, h.provider_calls,
                h.search_words, h.latency
            FROM usage_rollups h WHERE h.tenant_id = $1 AND h.principal = $2 AND h.user_id = $3 AND h.period = 'hour'
                AND h.starts_at >= p.first_hour AND h.starts_at < p.last_hour
                AND (NOT h.rolled OR h.starts_at < p.first_day OR h.starts_at >= p.last_day)
            UNION ALL
            SELECT d.starts_at, d.user_id, d.principal, d.tool, d.content, d.calls, d.errors, d.denied_limit,
                d.denied_scope, d.denied_policy, d.denied_credentials, d.cache_hits, d.cache_misses, d.provider_calls,
                d.search_words, d.latency
            FROM usage_rollups d WHERE d.tenant_id = $1 AND d.principal = $2 AND d.user_id = $3 AND d.period = 'day'
                AND d.starts_at >= p.first_day AND d.starts_at < p.last_day
        ) f"#,
        transaction.tenant_id().0,
        principal,
        column_of(user),
        &from,
        &to,
        &first_hour,
        &last_hour,
        &first_day,
        &last_day
    )
    .fetch(transaction.connection());
    while let Some(row) = rows.try_next().await? {
        let (figures, latency) = (row.figures(), LatencySketch::from_bytes(&row.latency)?);
        // Parts are told by their beginnings, of which a row has one: it counts for its part's span and all longer ones.
        let part = parts.iter().position(|(from, _)| row.starts_at >= *from).unwrap_or(parts.len());
        for sum in sums.iter_mut().skip(part) {
            sum.add(&figures, &latency);
        }
        tools.entry(row.tool).or_default().add(&figures, &latency);
    }
    drop(rows);
    let mut tools: Vec<_> = tools.into_iter().map(|(tool, sum)| (tool, sum.told())).collect();
    // Stable: those of as many calls stay in the order of their names.
    tools.sort_by_key(|(_, sums)| std::cmp::Reverse(sums.figures.calls));
    Ok(PrincipalUsage { spans: sums.iter().map(Adding::told).collect(), tools })
}

impl Adding {
    fn add(&mut self, figures: &Figures, latency: &LatencySketch) {
        self.0.add(figures);
        self.1.merge(latency);
    }

    fn told(&self) -> Sums {
        Sums { figures: self.0, latency: Latency::of(&self.1) }
    }
}
