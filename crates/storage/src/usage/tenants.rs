//! The figures of all tenants: one statement for a page of them, whose rows are added up as they come.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use stagedoor_domain::{TenantId, TenantSlug};

use super::query::Latency;
use super::{Denials, Figures, LatencySketch, Period};
use crate::error::StoreError;
use crate::store::Store;

/// What one tenant's calls came to.
#[derive(Debug, Clone, PartialEq)]
pub struct TenantFigures {
    /// The tenant.
    pub tenant: TenantId,
    /// Its name in URLs.
    pub slug: TenantSlug,
    /// What was counted.
    pub figures: Figures,
    /// How long the calls took; `None` if none was let in.
    pub latency: Option<Latency>,
}

/// Tenants by their places, while their rows are added up.
type Sums = BTreeMap<i64, (TenantId, TenantSlug, Figures, LatencySketch)>;

/// The sums of all tenants in whole hours from `from` on and before `to`, those with the most calls first, at most `most`
/// after the first `skip`. For operators: the store has to be one of provisioning's role, whose statements end after 10 s.
pub async fn of_tenants(
    store: &Store,
    (from, to): (DateTime<Utc>, DateTime<Utc>),
    skip: u32,
    most: u16,
) -> Result<Vec<TenantFigures>, StoreError> {
    let (from, to) = (Period::Hour.begin(from), Period::Hour.next(to));
    let days = Period::Day.whole_in(from, to);
    let mut sums = Sums::new();
    store
        .outside(async |connection| {
            let mut rows = sqlx::query!(
                r#"SELECT place AS "place!", tenant_id AS "tenant_id!", slug AS "slug!", calls AS "calls!",
                    errors AS "errors!", denied_limit AS "denied_limit!", denied_scope AS "denied_scope!",
                    denied_policy AS "denied_policy!", denied_credentials AS "denied_credentials!",
                    cache_hits AS "cache_hits!", cache_misses AS "cache_misses!", provider_calls AS "provider_calls!",
                    search_words AS "search_words!", latency AS "latency!"
                FROM usage_of_tenants($1, $2, $3, $4, $5, $6)"#,
                from,
                to,
                days.0,
                days.1,
                i64::from(skip),
                i32::from(most)
            )
            .fetch(connection);
            while let Some(row) = rows.try_next().await? {
                let figures = Figures {
                    calls: row.calls.unsigned_abs(),
                    errors: row.errors.unsigned_abs(),
                    denied: Denials {
                        limit: row.denied_limit.unsigned_abs(),
                        scope: row.denied_scope.unsigned_abs(),
                        policy: row.denied_policy.unsigned_abs(),
                        credentials: row.denied_credentials.unsigned_abs(),
                    },
                    cache_hits: row.cache_hits.unsigned_abs(),
                    cache_misses: row.cache_misses.unsigned_abs(),
                    provider_calls: row.provider_calls.unsigned_abs(),
                    search_words: row.search_words.unsigned_abs(),
                };
                let (_, _, sum, all) = match sums.entry(row.place) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(new) => {
                        let slug = row.slug.parse();
                        let slug = slug.map_err(|_| StoreError::not_understood("tenants.slug", &row.slug))?;
                        new.insert((row.tenant_id.into(), slug, Figures::default(), LatencySketch::new()))
                    }
                };
                sum.add(&figures);
                all.merge(&LatencySketch::from_bytes(&row.latency)?);
            }
            Ok(())
        })
        .await?;
    let told = sums.into_values().map(|(tenant, slug, figures, latency)| TenantFigures {
        tenant,
        slug,
        figures,
        latency: Latency::of(&latency),
    });
    Ok(told.collect())
}
