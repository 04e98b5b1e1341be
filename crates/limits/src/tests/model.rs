//! The reference: one bucket at a time, in one unreduced fraction of 128 bits, written from the definition.

use std::collections::BTreeMap;

use stagedoor_domain::policy::{LimitClass, Quota};

/// Arrival times of one principal's buckets in units of `1 / capacity` microseconds.
#[derive(Debug, Default)]
pub(super) struct Model(BTreeMap<(LimitClass, u128), u128>);

impl Model {
    /// Whether `calls` are admitted at `now` (microseconds) by every one of `quotas`; charges all or none.
    pub(super) fn admit(&mut self, quotas: &[(LimitClass, Quota)], calls: u64, now: u64) -> bool {
        let after: Vec<_> = quotas
            .iter()
            .map(|(class, quota)| {
                let (capacity, window) = (u128::from(quota.capacity), quota.window.as_micros());
                let now = u128::from(now) * capacity;
                let arrival = self.0.get(&(*class, window)).copied().unwrap_or(0).max(now);
                let after = arrival + u128::from(calls) * window;
                ((*class, window), after, after <= now + window * capacity)
            })
            .collect();
        let admitted = after.iter().all(|(_, _, fits)| *fits);
        if admitted {
            self.0.extend(after.into_iter().map(|(bucket, after, _)| (bucket, after)));
        }
        admitted
    }
}
