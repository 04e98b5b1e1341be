//! What waits in memory: refused calls, added up, and who was told to be shut out. Both are bounded.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use stagedoor_domain::{TenantContext, TenantId};
use stagedoor_storage::limit_violations::LimitViolation;

/// Rows, and principals, at most.
const CAPACITY: usize = 10_000;

/// Tenant, principal, limit, minute.
type Row = (TenantId, String, String, DateTime<Utc>);

/// Refused calls by row.
#[derive(Default)]
pub(super) struct Waiting {
    rows: Mutex<HashMap<Row, (TenantContext, LimitViolation)>>,
    dropped: AtomicU64,
}

/// The penalties that were told of, by tenant and principal.
#[derive(Debug, Default)]
pub(super) struct ShutOut(Mutex<HashMap<(TenantId, String), Told>>);

#[derive(Debug)]
struct Told {
    length: Duration,
    end: DateTime<Utc>,
}

impl Waiting {
    /// Adds to what waits. What is one row too many is dropped and counted.
    pub(super) fn add(&self, ctx: &TenantContext, violation: LimitViolation) {
        let row = (ctx.tenant_id(), violation.principal.clone(), violation.limit.clone(), violation.minute);
        let mut rows = self.lock();
        let full = rows.len() >= CAPACITY;
        match rows.entry(row) {
            Entry::Occupied(mut counted) => {
                let (_, counted) = counted.get_mut();
                counted.attempted_calls += violation.attempted_calls;
                counted.penalty = counted.penalty.max(violation.penalty);
                counted.first_at = counted.first_at.min(violation.first_at);
                counted.last_at = counted.last_at.max(violation.last_at);
            }
            Entry::Vacant(_) if full => {
                self.dropped.fetch_add(violation.attempted_calls, Ordering::Relaxed);
            }
            Entry::Vacant(place) => {
                place.insert((ctx.clone(), violation));
            }
        }
    }

    /// Takes everything, by tenant.
    pub(super) fn take(&self) -> Vec<(TenantContext, Vec<LimitViolation>)> {
        let mut of_tenants: HashMap<TenantId, (TenantContext, Vec<LimitViolation>)> = HashMap::new();
        for ((tenant, ..), (ctx, violation)) in std::mem::take(&mut *self.lock()) {
            of_tenants.entry(tenant).or_insert_with(|| (ctx, Vec::new())).1.push(violation);
        }
        of_tenants.into_values().collect()
    }

    /// Refused calls that were dropped.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Row, (TenantContext, LimitViolation)>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ShutOut {
    /// Whether this penalty is told for the first time: every call that it refuses brings it along.
    pub(super) fn is_news(
        &self,
        tenant: TenantId,
        principal: &str,
        penalty: Duration,
        now: DateTime<Utc>,
    ) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let who = (tenant, principal.to_owned());
        if told.get(&who).is_some_and(|last| penalty <= last.length && now < last.end) {
            return false;
        }
        if told.len() >= CAPACITY {
            told.retain(|_, last| now < last.end);
        }
        if told.len() < CAPACITY {
            told.insert(who, Told { length: penalty, end: now + penalty });
        }
        true
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").field("rows", &self.lock().len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::TimeDelta;
    use stagedoor_crypto::SystemEntropy;
    use stagedoor_domain::{CallId, SystemClock, Tenant, TenantSettings, TenantStatus};

    use super::*;

    #[expect(clippy::disallowed_methods, reason = "tests build contexts")]
    fn tenant() -> TenantContext {
        let (clock, entropy) = (SystemClock::new(), SystemEntropy);
        let tenant = Tenant {
            id: TenantId::generate(&clock, &entropy),
            slug: "acme".parse().unwrap(),
            status: TenantStatus::Active,
            settings: TenantSettings::default(),
        };
        TenantContext::for_job(Arc::new(tenant), "test", CallId::generate(&clock, &entropy))
    }

    fn violation(principal: &str, at: DateTime<Utc>) -> LimitViolation {
        LimitViolation {
            principal: principal.to_owned(),
            limit: "api-60".to_owned(),
            minute: DateTime::UNIX_EPOCH,
            user: None,
            attempted_calls: 1,
            penalty: None,
            first_at: at,
            last_at: at,
        }
    }

    #[test]
    fn calls_of_one_row_add_up_and_tenants_stay_apart() {
        let (waiting, ada, bob) = (Waiting::default(), tenant(), tenant());
        let (start, later) = (DateTime::UNIX_EPOCH, DateTime::UNIX_EPOCH + TimeDelta::seconds(9));
        waiting.add(&ada, violation("key:a", later));
        waiting.add(&ada, violation("key:a", start));
        let penalised = LimitViolation { penalty: Some(Duration::from_mins(1)), ..violation("key:a", start) };
        waiting.add(&ada, penalised);
        waiting.add(&bob, violation("key:a", later));
        let taken = waiting.take();
        let of = |ctx: &TenantContext| {
            let mut own = taken.iter().filter(|(found, _)| found.tenant_id() == ctx.tenant_id());
            let [row] = &own.next().unwrap().1[..] else { panic!("one row") };
            assert!(own.next().is_none());
            (row.attempted_calls, row.penalty, row.first_at, row.last_at)
        };
        assert_eq!(of(&ada), (3, Some(Duration::from_mins(1)), start, later));
        assert_eq!(of(&bob), (1, None, later, later));
        assert!(waiting.take().is_empty());
    }

    #[test]
    fn what_does_not_fit_is_counted_as_dropped() {
        let (waiting, ctx) = (Waiting::default(), tenant());
        for number in 0..CAPACITY + 5 {
            waiting.add(&ctx, violation(&number.to_string(), DateTime::UNIX_EPOCH));
        }
        waiting.add(&ctx, violation("0", DateTime::UNIX_EPOCH));
        assert_eq!(waiting.dropped(), 5);
        let [(_, rows)] = &waiting.take()[..] else { panic!("one tenant") };
        let calls: u64 = rows.iter().map(|row| row.attempted_calls).sum();
        assert_eq!((rows.len(), calls), (CAPACITY, CAPACITY as u64 + 1));
    }

    #[test]
    fn a_penalty_is_news_once_and_again_when_it_grows_or_returns() {
        let (shut_out, tenant) = (ShutOut::default(), tenant().tenant_id());
        let news = |principal: &str, minutes, second| {
            let now = DateTime::UNIX_EPOCH + TimeDelta::seconds(second);
            shut_out.is_news(tenant, principal, Duration::from_mins(minutes), now)
        };
        assert!(news("key:a", 1, 0) && !news("key:a", 1, 59) && news("key:b", 1, 59));
        assert!(news("key:a", 15, 59) && !news("key:a", 15, 60) && !news("key:a", 1, 60));
        assert!(news("key:a", 1, 59 + 15 * 60));
    }
}
