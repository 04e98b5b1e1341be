//! The tenants that were changed lately, as they are now.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use stagedoor_domain::error::Chain;
use stagedoor_domain::{Tenant, TenantId};
use stagedoor_storage::ChangesSince;
use stagedoor_storage::tenants::TenantChanges;

use super::REMEMBERED;

/// The tenants that were changed lately.
#[derive(Default)]
pub(super) struct RecentTenants {
    changed: RwLock<HashMap<TenantId, Seen>>,
    /// Whether there are any: the usual request looks at nothing else.
    any: AtomicBool,
    since: Mutex<Option<ChangesSince>>,
    changes: AtomicU64,
}

struct Seen {
    /// What the store was seen to hold.
    revision: i64,
    /// The newest that was understood, and its revision; `None` if none was: what is remembered stays in force.
    tenant: Option<(i64, Arc<Tenant>)>,
    at: Duration,
}

impl RecentTenants {
    pub(super) fn newest(&self, remembered: &Arc<Tenant>, revision: i64) -> Arc<Tenant> {
        if !self.any.load(Ordering::Relaxed) {
            return Arc::clone(remembered);
        }
        let changed = self.changed.read().unwrap_or_else(PoisonError::into_inner);
        let seen = changed.get(&remembered.id).and_then(|seen| seen.tenant.as_ref());
        let newer = seen.filter(|(seen, _)| *seen > revision).map(|(_, tenant)| tenant);
        Arc::clone(newer.unwrap_or(remembered))
    }

    /// Where the next question begins.
    pub(super) fn since(&self) -> Option<ChangesSince> {
        self.since_now().clone()
    }

    /// Has the next question begin there, once what was seen is kept and told.
    pub(super) fn go_on_from(&self, next: Option<ChangesSince>) {
        *self.since_now() = next;
    }

    fn since_now(&self) -> MutexGuard<'_, Option<ChangesSince>> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes of tenants that were seen.
    pub(super) fn seen(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    /// Takes what was seen, and answers whose changes are news that is understood: after a break some are told again.
    pub(super) fn keep(&self, mut changes: TenantChanges, now: Duration) -> Vec<TenantId> {
        let mut changed = self.changed.write().unwrap_or_else(PoisonError::into_inner);
        changed.retain(|_, seen| now.saturating_sub(seen.at) < REMEMBERED);
        let known = |id: &TenantId, revision| changed.get(id).is_some_and(|seen| seen.revision == revision);
        changes.changed.retain(|change| !known(&change.tenant.id, change.revision));
        changes.not_understood.retain(|(id, revision, _)| !known(id, *revision));
        let seen = changes.changed.len() + changes.not_understood.len();
        self.changes.fetch_add(seen as u64, Ordering::Relaxed);
        let news = changes.changed.iter().map(|change| change.tenant.id).collect();
        for change in changes.changed {
            let (revision, id) = (change.revision, change.tenant.id);
            let tenant = Some((revision, Arc::new(change.tenant)));
            changed.insert(id, Seen { revision, tenant, at: now });
        }
        for (id, revision, error) in changes.not_understood {
            tracing::error!(tenant = %id, error = %Chain(&error), "a tenant's change is not understood");
            let before = changed.remove(&id).and_then(|seen| seen.tenant);
            changed.insert(id, Seen { revision, tenant: before, at: now });
        }
        self.any.store(!changed.is_empty(), Ordering::Relaxed);
        news
    }
}

#[cfg(test)]
mod tests {
    use stagedoor_crypto::SystemEntropy;
    use stagedoor_domain::{Clock as _, SystemClock, TenantSettings, TenantStatus};
    use stagedoor_storage::StoreError;
    use stagedoor_storage::tenants::ChangedTenant;

    use super::*;

    fn tenant() -> Tenant {
        Tenant {
            id: TenantId::generate(&SystemClock::new(), &SystemEntropy),
            slug: "acme".parse().unwrap(),
            status: TenantStatus::Active,
            settings: TenantSettings::default(),
        }
    }

    fn change(tenant: &Tenant, revision: i64, concurrent_calls: u32) -> TenantChanges {
        let settings =
            TenantSettings { concurrent_calls: Some(concurrent_calls), ..TenantSettings::default() };
        let tenant = Tenant { settings, ..tenant.clone() };
        let changed = ChangedTenant { tenant, revision, changed_at: SystemClock::new().now() };
        TenantChanges { changed: vec![changed], ..TenantChanges::default() }
    }

    #[test]
    fn a_change_goes_before_what_is_remembered_until_no_key_is_older() {
        let (recent, remembered) = (RecentTenants::default(), Arc::new(tenant()));
        let calls = |recent: &RecentTenants| recent.newest(&remembered, 1).settings.concurrent_calls;
        assert_eq!(calls(&recent), None);
        assert_eq!(recent.keep(change(&remembered, 2, 7), Duration::ZERO), [remembered.id]);
        assert_eq!(calls(&recent), Some(7));
        assert_eq!(recent.keep(change(&remembered, 2, 7), Duration::ZERO), [], "told again after a break");
        assert_eq!(recent.seen(), 1);
        let other = Arc::new(tenant());
        assert!(Arc::ptr_eq(&recent.newest(&other, 1), &other), "another tenant's change is not its own");
        recent.keep(change(&remembered, 3, 8), Duration::from_secs(1));
        assert_eq!(calls(&recent), Some(8));
        for _ in 0..200 {
            recent.keep(TenantChanges::default(), Duration::from_mins(1));
        }
        assert_eq!(calls(&recent), Some(8), "however often the store was asked meanwhile");
        recent.keep(TenantChanges::default(), Duration::from_secs(61));
        assert!(Arc::ptr_eq(&recent.newest(&remembered, 1), &remembered), "every key was read again by now");
        assert!(!recent.any.load(Ordering::Relaxed));
    }

    #[test]
    fn a_key_that_was_read_after_the_change_knows_better() {
        let (recent, remembered) = (RecentTenants::default(), tenant());
        recent.keep(change(&remembered, 3, 8), Duration::ZERO);
        let suspended = Arc::new(Tenant { status: TenantStatus::Suspended, ..remembered });
        assert_eq!(recent.newest(&suspended, 2).status, TenantStatus::Active);
        assert_eq!(recent.newest(&suspended, 4).status, TenantStatus::Suspended, "while the watch was blind");
    }

    #[test]
    fn what_is_not_understood_leaves_in_force_what_was() {
        let (recent, remembered) = (RecentTenants::default(), Arc::new(tenant()));
        let nonsense = |revision| TenantChanges {
            not_understood: vec![(remembered.id, revision, StoreError::Missing("sense"))],
            ..TenantChanges::default()
        };
        recent.keep(nonsense(2), Duration::ZERO);
        assert!(Arc::ptr_eq(&recent.newest(&remembered, 1), &remembered));
        recent.keep(change(&remembered, 3, 7), Duration::ZERO);
        recent.keep(nonsense(4), Duration::ZERO);
        assert_eq!(recent.newest(&remembered, 2).settings.concurrent_calls, Some(7));
        assert_eq!(recent.changes.load(Ordering::Relaxed), 3);
    }
}
