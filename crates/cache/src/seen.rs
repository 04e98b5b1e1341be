//! The generations of accounts as they were last read, so that whoever remembers something of an account can ask
//! whether it was changed without a trip to Redis each time. Every look-up of a person's answer reads one anyway.

use std::time::Duration;

use moka::future::Cache;

use crate::generation::Owner;

/// Owners that are remembered at most.
const OWNERS: u64 = 50_000;
/// When the memory of one is freed; how old is too old is the asker's decision.
const KEPT_FOR: Duration = Duration::from_mins(2);

/// Generations and when they were read.
#[derive(Debug)]
pub(crate) struct SeenAccounts(Cache<Owner, Seen>);

#[derive(Debug, Clone, Copy)]
struct Seen {
    generation: u64,
    /// The reading of `Clock::elapsed` before it was asked for.
    at: Duration,
}

impl SeenAccounts {
    pub(crate) fn new() -> Self {
        Self(Cache::builder().max_capacity(OWNERS).time_to_live(KEPT_FOR).build())
    }

    /// Notes what was read; `at` is from before the reading.
    pub(crate) async fn note(&self, owner: Owner, generation: u64, at: Duration) {
        let newer = self.0.get(&owner).await.is_none_or(|seen| seen.at <= at);
        if newer {
            self.0.insert(owner, Seen { generation, at }).await;
        }
    }

    /// What was read since `since`.
    pub(crate) async fn get(&self, owner: Owner, since: Duration) -> Option<u64> {
        self.0.get(&owner).await.filter(|seen| seen.at >= since).map(|seen| seen.generation)
    }

    pub(crate) async fn forget(&self, owner: Owner) {
        self.0.invalidate(&owner).await;
    }
}
