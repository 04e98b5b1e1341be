//! Quotas: what all replicas decided is what one would have decided, nothing above the published bounds, little below.

mod crowd;
mod leases;
mod outage;
mod penalties;
mod replay;
