//! Reading figures of any span, told apart by whatever is asked for: from days where whole ones are in it, else from hours,
//! else from minutes, and always from what is not rolled up yet. One statement, so that a roll-up beside it neither hides
//! nor doubles anything.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use stagedoor_domain::UserId;

use super::{Figures, LatencySketch, Period, Row, column_of, user_of};
use crate::error::StoreError;
use crate::transaction::TenantTransaction;

/// What figures are told apart by; by nothing they are one sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a column of its own, in any combination")]
pub struct GroupBy {
    /// By person.
    pub user: bool,
    /// By principal: key, or issuer and person.
    pub key: bool,
    /// By tool.
    pub tool: bool,
    /// By kind of item.
    pub content: bool,
    /// By time.
    pub interval: Option<Period>,
}

/// Which calls; `None` for all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UsageFilter {
    /// Only of this person.
    pub user: Option<UserId>,
    /// Only of this principal, by its label.
    pub principal: Option<String>,
    /// Only of this tool.
    pub tool: Option<String>,
    /// Only about this kind of item, `several` or `none`.
    pub content: Option<String>,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageQuery {
    /// Minutes that began then or later. Of what is older than minutes are kept, the hour that it is in is left out
    /// unless it is the beginning of one.
    pub from: DateTime<Utc>,
    /// And before.
    pub to: DateTime<Utc>,
    /// What they are told apart by.
    pub group_by: GroupBy,
    /// Which calls.
    pub filter: UsageFilter,
    /// How many lines are left out at the beginning.
    pub skip: usize,
}

/// Figures of one group.
#[derive(Debug, Clone, PartialEq)]
pub struct UsageLine {
    /// The beginning of the interval, if they are told apart by time.
    pub starts_at: Option<DateTime<Utc>>,
    /// The person, if they are told apart by that; `None` for calls of no person, or of those who withhold it.
    pub user: Option<UserId>,
    /// The principal's label, if they are told apart by that.
    pub principal: Option<String>,
    /// The tool, if they are told apart by that.
    pub tool: Option<String>,
    /// The kind of item, `several` or `none`, if they are told apart by that.
    pub content: Option<String>,
    /// What was counted.
    pub figures: Figures,
    /// How long the calls took; `None` if none was let in.
    pub latency: Option<Latency>,
}

/// How long calls took, in milliseconds, within 1 %.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Latency {
    /// Half of them took at most this long.
    pub p50: f64,
    /// 95 % of them.
    pub p95: f64,
    /// 99 % of them.
    pub p99: f64,
}

/// Figures, by time and then those with the most calls first.
#[derive(Debug, Clone, PartialEq)]
pub struct UsageAnswer {
    /// The lines.
    pub lines: Vec<UsageLine>,
    /// Whether there are more.
    pub more: bool,
}

/// What lines are told apart by, as far as it was asked for.
#[derive(PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Group {
    starts_at: Option<DateTime<Utc>>,
    user: Option<UserId>,
    principal: Option<String>,
    tool: Option<String>,
    content: Option<String>,
}

/// The tenant's figures, at most `limit` lines.
pub async fn query(
    transaction: &mut TenantTransaction,
    query: &UsageQuery,
    limit: usize,
) -> Result<UsageAnswer, StoreError> {
    let UsageQuery { from, to, group_by, filter, skip } = query;
    let mut groups: HashMap<Group, (Figures, LatencySketch)> = HashMap::new();
    let finest = group_by.interval.unwrap_or(Period::Day);
    let nowhere = (*to, *to);
    let days = if finest >= Period::Day { Period::Day.whole_in(*from, *to) } else { nowhere };
    let hours = if finest >= Period::Hour { Period::Hour.whole_in(*from, *to) } else { nowhere };
    let tenant = transaction.tenant_id().0;
    let mut rows = sqlx::query_as!(
        Row,
        r#"SELECT starts_at AS "starts_at!", user_id AS "user_id!", principal AS "principal!", tool AS "tool!",
            content AS "content!", calls AS "calls!", errors AS "errors!", denied_limit AS "denied_limit!",
            denied_scope AS "denied_scope!", denied_policy AS "denied_policy!",
            denied_credentials AS "denied_credentials!", cache_hits AS "cache_hits!", cache_misses AS "cache_misses!",
            provider_calls AS "provider_calls!", search_words AS "search_words!", latency AS "latency!"
        FROM (
            SELECT starts_at, user_id, principal, tool, content, calls, errors, denied_limit, denied_scope,
                denied_policy, denied_credentials, cache_hits, cache_misses, provider_calls, search_words, latency
            FROM usage_minutes WHERE tenant_id = $1 AND starts_at >= $2 AND starts_at < $3
                AND (NOT rolled OR starts_at < $6 OR starts_at >= $7)
            UNION ALL
            SELECT starts_at, user_id, principal, tool, content, calls, errors, denied_limit, denied_scope,
                denied_policy, denied_credentials, cache_hits, cache_misses, provider_calls, search_words, latency
            FROM usage_rollups WHERE tenant_id = $1 AND period = 'hour' AND starts_at >= $6 AND starts_at < $7
                AND (NOT rolled OR starts_at < $4 OR starts_at >= $5)
            UNION ALL
            SELECT starts_at, user_id, principal, tool, content, calls, errors, denied_limit, denied_scope,
                denied_policy, denied_credentials, cache_hits, cache_misses, provider_calls, search_words, latency
            FROM usage_rollups WHERE tenant_id = $1 AND period = 'day' AND starts_at >= $4 AND starts_at < $5
        ) found
        WHERE ($8::uuid IS NULL OR user_id = $8) AND ($9::text IS NULL OR principal = $9)
            AND ($10::text IS NULL OR tool = $10) AND ($11::text IS NULL OR content = $11)"#,
        tenant,
        from,
        to,
        days.0,
        days.1,
        hours.0,
        hours.1,
        filter.user.map(|user| column_of(Some(user))),
        filter.principal.as_deref(),
        filter.tool.as_deref(),
        filter.content.as_deref()
    )
    .fetch(transaction.connection());
    while let Some(row) = rows.try_next().await? {
        let latency = LatencySketch::from_bytes(&row.latency)?;
        let figures = row.figures();
        let (sum, all) = groups.entry(Group::of(row, *group_by)).or_default();
        sum.add(&figures);
        all.merge(&latency);
    }
    drop(rows);
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_unstable_by(|(a, (of_a, _)), (b, (of_b, _))| {
        (a.starts_at, of_b.calls, a).cmp(&(b.starts_at, of_a.calls, b))
    });
    let more = groups.len() > skip.saturating_add(limit);
    let lines = groups.into_iter().skip(*skip).take(limit);
    Ok(UsageAnswer {
        lines: lines.map(|(group, (figures, latency))| group.line(figures, &latency)).collect(),
        more,
    })
}

impl Group {
    fn of(row: Row, by: GroupBy) -> Self {
        Self {
            starts_at: by.interval.map(|interval| interval.begin(row.starts_at)),
            user: by.user.then_some(row.user_id).and_then(user_of),
            principal: by.key.then_some(row.principal),
            tool: by.tool.then_some(row.tool),
            content: by.content.then_some(row.content),
        }
    }

    fn line(self, figures: Figures, latency: &LatencySketch) -> UsageLine {
        let Self { starts_at, user, principal, tool, content } = self;
        UsageLine { starts_at, user, principal, tool, content, figures, latency: Latency::of(latency) }
    }
}

impl Latency {
    /// Of a sketch; `None` if it has no call.
    pub fn of(sketch: &LatencySketch) -> Option<Self> {
        Some(Self {
            p50: sketch.milliseconds(0.5)?,
            p95: sketch.milliseconds(0.95)?,
            p99: sketch.milliseconds(0.99)?,
        })
    }
}
