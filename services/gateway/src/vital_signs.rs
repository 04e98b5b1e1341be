//! How this replica and its database are, judged as `stagedoor-keeper doctor` and the alert rules judge it: by the limits
//! in `domain::health`. Shown by `/readyz`, and no reason to send traffic elsewhere: all replicas have these troubles
//! together.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use chrono::TimeDelta;
use stagedoor_audit::Checkpointer;
use stagedoor_bootstrap::Health;
use stagedoor_bootstrap::health::{CheckHandle, Importance};
use stagedoor_domain::health::{CLOCK_SKEW, DISK_USED_PERCENT, LATE_REQUESTS, UNSEALED_AUDIT, Verdict};
use tokio_util::sync::CancellationToken;

use crate::privacy::worker::OpenRequests;

const EVERY: Duration = Duration::from_secs(1);

/// What the heartbeat learns of the database.
#[derive(Debug, Default)]
pub struct VitalSigns {
    /// How far the own clock is before the database's.
    skew_micros: AtomicI64,
    database_bytes: AtomicU64,
    database_bytes_most: u64,
}

/// Where the other figures are, and the checks that show them.
#[derive(Debug)]
pub struct VitalChecks {
    signs: Arc<VitalSigns>,
    checkpointer: Checkpointer,
    requests: Arc<OpenRequests>,
    clock: CheckHandle,
    space: CheckHandle,
    audit_tail: CheckHandle,
    privacy: CheckHandle,
}

impl VitalSigns {
    /// Nothing known yet; the database may take `gib` gibibytes, or what it likes for 0.
    pub fn new(gib: u64) -> Self {
        Self { database_bytes_most: gib.saturating_mul(1 << 30), ..Self::default() }
    }

    /// The own clock is that far before the database's, or behind it.
    pub fn note_skew(&self, skew: TimeDelta) {
        self.skew_micros.store(skew.num_microseconds().unwrap_or(i64::MAX), Ordering::Relaxed);
    }

    /// The database takes so much on disk.
    pub fn note_size(&self, bytes: u64) {
        self.database_bytes.store(bytes, Ordering::Relaxed);
    }

    /// How far the own clock is from the database's.
    pub fn skew(&self) -> Duration {
        Duration::from_micros(self.skew_micros.load(Ordering::Relaxed).unsigned_abs())
    }

    /// What the database takes on disk, and what it may take (0 for what it likes), in bytes.
    pub fn database_bytes(&self) -> (u64, u64) {
        (self.database_bytes.load(Ordering::Relaxed), self.database_bytes_most)
    }

    fn used_percent(&self) -> u64 {
        match self.database_bytes() {
            (_, 0) => 0,
            (used, most) => u64::try_from(u128::from(used) * 100 / u128::from(most)).unwrap_or(u64::MAX),
        }
    }
}

impl VitalChecks {
    /// Checks of `health` that show these figures.
    pub fn register(
        health: &Health,
        signs: Arc<VitalSigns>,
        checkpointer: Checkpointer,
        requests: Arc<OpenRequests>,
    ) -> Self {
        let check = |name| health.register(name, Importance::Informative);
        Self {
            signs,
            checkpointer,
            requests,
            clock: check("clock"),
            space: check("space"),
            audit_tail: check("audit_tail"),
            privacy: check("privacy"),
        }
    }

    /// Shows them until `until`.
    pub async fn run(self, until: CancellationToken) {
        loop {
            self.look();
            if until.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_none() {
                return;
            }
        }
    }

    fn look(&self) {
        let tail = self.checkpointer.counts().oldest_unsealed.unwrap_or_default();
        let (_, late) = self.requests.counts();
        let (skew, used) = (self.signs.skew(), self.signs.used_percent());
        show(&self.clock, CLOCK_SKEW.judge(skew), "the own clock is far from the database's");
        show(&self.space, DISK_USED_PERCENT.judge(used), "the database takes most of what it may take");
        show(&self.audit_tail, UNSEALED_AUDIT.judge(tail), "audit records wait for a checkpoint");
        show(&self.privacy, LATE_REQUESTS.judge(late), "requests of people for their data are late");
    }
}

/// The reason holds no figure that moves: each new one would be a line in the log.
fn show(check: &CheckHandle, verdict: Verdict, reason: &str) {
    match verdict {
        Verdict::Ok => check.pass(),
        Verdict::Warning | Verdict::Failing => check.fail(reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_as_far_off_as_it_is_whichever_way() {
        let signs = VitalSigns::new(0);
        signs.note_skew(TimeDelta::seconds(-31));
        assert_eq!(CLOCK_SKEW.judge(signs.skew()), Verdict::Failing);
        signs.note_skew(TimeDelta::milliseconds(900));
        assert_eq!(CLOCK_SKEW.judge(signs.skew()), Verdict::Ok);
    }

    #[test]
    fn a_database_without_a_bound_is_never_full() {
        let (bounded, unbounded) = (VitalSigns::new(1), VitalSigns::new(0));
        for signs in [&bounded, &unbounded] {
            signs.note_size(1 << 30);
        }
        assert_eq!((bounded.used_percent(), unbounded.used_percent()), (100, 0));
    }
}
