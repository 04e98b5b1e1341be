//! Which days of the trail are still there: retention drops whole days of all tenants, the oldest first, and never one of
//! the last [`SHORTEST_AUDIT`] days. A younger day that is missing is a fault.

use chrono::Days;
use stagedoor_domain::retention::SHORTEST_AUDIT;
use stagedoor_storage::{KeyVault, StoreError, audit};

use crate::days::DayRange;

/// Days, parted by whether retention has dropped them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parted {
    /// Those that are gone.
    pub(crate) dropped: Option<DayRange>,
    /// Those that must be there.
    pub(crate) kept: Option<DayRange>,
}

/// Parts `days`.
pub(crate) async fn part(vault: &KeyVault, days: DayRange) -> Result<Parted, StoreError> {
    let oldest = audit::partition_days(vault.store()).await?.into_iter().next();
    let today = vault.clock().now().date_naive();
    let Some(floor) = today.checked_sub_days(Days::new(SHORTEST_AUDIT.into())) else {
        return Ok(Parted { dropped: None, kept: Some(days) });
    };
    let first = oldest.map_or(floor, |oldest| oldest.min(floor));
    let dropped = first.pred_opt().and_then(|last| DayRange::new(days.first(), last.min(days.last())));
    Ok(Parted { dropped, kept: DayRange::new(days.first().max(first), days.last()) })
}
