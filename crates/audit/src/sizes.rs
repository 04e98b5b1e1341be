//! How big each tenant's log of the day has become, as the last append of this replica told; and what that forbids.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use stagedoor_domain::{Tenant, TenantContext, TenantId};

/// The longest that a refused call is told to wait: an operator may raise the size meanwhile.
const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// Sizes by tenant.
#[derive(Debug)]
pub(crate) struct Sizes {
    /// Bytes of a tenant's day; 0 knows no such size.
    limit: u64,
    tenants: Mutex<HashMap<TenantId, Size>>,
    nearly_full: AtomicU64,
    refused: AtomicU64,
}

#[derive(Debug, Clone, Copy)]
struct Size {
    day: NaiveDate,
    bytes: u64,
    warned: bool,
}

impl Sizes {
    /// With the installation's limit.
    pub(crate) fn new(limit: u64) -> Self {
        Self { limit, tenants: Mutex::default(), nearly_full: AtomicU64::new(0), refused: AtomicU64::new(0) }
    }

    /// The tenant's log of `day` takes `bytes` now. Warns once when it is nearly full.
    pub(crate) fn learn(&self, context: &TenantContext, day: NaiveDate, bytes: i64) {
        let (tenant, bytes) = (context.tenant_id(), u64::try_from(bytes).unwrap_or_default());
        let limit = self.limit_of(context.tenant());
        let newly = {
            let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
            let size = tenants.entry(tenant).or_insert(Size { day, bytes, warned: false });
            if day < size.day {
                return;
            }
            if day > size.day {
                *size = Size { day, bytes, warned: false };
            }
            size.bytes = bytes;
            let nearly = limit.is_some_and(|limit| bytes >= limit / 5 * 4);
            let newly = nearly && !size.warned;
            size.warned |= nearly;
            newly
        };
        if newly {
            self.nearly_full.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(%tenant, %day, bytes, limit, "the tenant's audit log of the day is nearly full");
        }
    }

    /// How long a read of the tenant has to wait, if its log of the day is full; that is counted.
    pub(crate) fn wait(&self, tenant: &Tenant, now: DateTime<Utc>) -> Option<Duration> {
        let limit = self.limit_of(tenant)?;
        let size = *self.tenants.lock().unwrap_or_else(PoisonError::into_inner).get(&tenant.id)?;
        if size.day != now.date_naive() || size.bytes < limit {
            return None;
        }
        self.refused.fetch_add(1, Ordering::Relaxed);
        let midnight = size.day.succ_opt()?.and_time(chrono::NaiveTime::MIN).and_utc();
        Some((midnight - now).to_std().unwrap_or_default().min(LONGEST_WAIT))
    }

    /// Logs that were seen to be nearly full, and calls that were refused.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.nearly_full.load(Ordering::Relaxed), self.refused.load(Ordering::Relaxed))
    }

    fn limit_of(&self, tenant: &Tenant) -> Option<u64> {
        let limit = tenant.settings.audit.max_log_size_bytes.unwrap_or(self.limit);
        (limit > 0).then_some(limit)
    }
}
