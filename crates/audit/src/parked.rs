//! How many records wait because their chain could not be written, tenant by tenant; whose calls are refused for it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use stagedoor_domain::TenantId;

/// Counts that the writer keeps and every opening reads; without parked records that is one atomic load.
#[derive(Debug)]
pub(crate) struct Parked {
    total: AtomicUsize,
    tenants: Mutex<HashMap<TenantId, usize>>,
    per_tenant: usize,
    overall: usize,
}

impl Parked {
    /// Room for so many records of one tenant, and of all together.
    pub(crate) fn new(per_tenant: usize, overall: usize) -> Self {
        Self { total: AtomicUsize::new(0), tenants: Mutex::default(), per_tenant, overall }
    }

    pub(crate) fn total(&self) -> usize {
        self.total.load(Ordering::Acquire)
    }

    /// Whether a call of `tenant` may begin. Tenants without parked records always have room.
    pub(crate) fn has_room(&self, tenant: TenantId) -> bool {
        let total = self.total();
        if total == 0 {
            return true;
        }
        let tenants = self.lock();
        let Some(records) = tenants.get(&tenant) else { return true };
        *records < self.per_tenant && total < self.overall
    }

    pub(crate) fn add(&self, tenant: TenantId, records: usize) {
        *self.lock().entry(tenant).or_default() += records;
        self.total.fetch_add(records, Ordering::AcqRel);
    }

    pub(crate) fn remove(&self, tenant: TenantId, records: usize) {
        let mut tenants = self.lock();
        if let Some(left) = tenants.get_mut(&tenant) {
            *left -= records;
            if *left == 0 {
                tenants.remove(&tenant);
            }
        }
        self.total.fetch_sub(records, Ordering::AcqRel);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TenantId, usize>> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn only_tenants_with_parked_records_run_out_of_room() {
        let [stuck, other, healthy] = [1, 2, 3].map(|number| TenantId(Uuid::from_u128(number)));
        let parked = Parked::new(3, 5);
        parked.add(stuck, 2);
        assert!(parked.has_room(stuck));
        parked.add(stuck, 1);
        assert!(!parked.has_room(stuck));
        assert!(parked.has_room(other));
        parked.add(other, 2);
        assert!(!parked.has_room(other), "all together have no room");
        assert!(parked.has_room(healthy));
        parked.remove(stuck, 3);
        assert!(parked.has_room(stuck) && parked.has_room(other));
        parked.remove(other, 2);
        assert_eq!(parked.total(), 0);
    }
}
