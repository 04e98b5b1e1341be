//! Whether the shared buckets can be relied on: they can, Redis is out of reach, or it is back and what the replicas
//! admitted meanwhile is being brought to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use stagedoor_domain::Clock;
use tokio::sync::Notify;

/// Where this replica stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Redis decides.
    Shared,
    /// This replica decides for its share.
    Out,
    /// Both must agree.
    Settling,
}

/// The state of one replica.
#[derive(Debug)]
pub(crate) struct Outage {
    /// 0 while all is well, 1 during an outage, else the microsecond at which settling ends.
    state: AtomicU64,
    /// When the outage began, in microseconds.
    begun_at: AtomicU64,
    /// Lost commands of the link that are known of.
    failures: AtomicU64,
    known: AtomicU32,
    minimum: u32,
    /// Whether somebody watches for the end of an outage. Without that every call tries Redis again.
    watched: AtomicBool,
    begun: Notify,
    clock: Arc<dyn Clock>,
}

const WELL: u64 = 0;
const OUT: u64 = 1;

impl Outage {
    /// How long after Redis is back both must agree at least: what it takes every replica to notice it. From then on
    /// the replicas that still have calls to bring say so.
    const SETTLE: Duration = Duration::from_millis(3_500);
    /// For how long others are waited for that say so: what they bring later is too much for a moment.
    const PATIENCE: Duration = Duration::from_mins(1);
    /// What is so short that it needs no settling.
    const MOMENT: Duration = Duration::from_secs(1);

    pub(crate) fn new(minimum: u32, clock: Arc<dyn Clock>) -> Self {
        Self {
            state: AtomicU64::new(WELL),
            begun_at: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            known: AtomicU32::new(0),
            minimum: minimum.max(1),
            watched: AtomicBool::new(false),
            begun: Notify::new(),
            clock,
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.state.load(Ordering::Acquire) {
            WELL => Phase::Shared,
            OUT => Phase::Out,
            _ => Phase::Settling,
        }
    }

    /// Redis gave no answer.
    pub(crate) fn begin(&self) {
        if self.watched.load(Ordering::Acquire) && self.state.swap(OUT, Ordering::AcqRel) != OUT {
            self.begun_at.store(self.now(), Ordering::Release);
            tracing::warn!(
                share = self.replicas(),
                "the limits are this replica's share until Redis is back"
            );
            self.begun.notify_one();
        }
    }

    /// Waits until an outage begins.
    pub(crate) async fn begun(&self) {
        self.begun.notified().await;
    }

    /// The link has lost so many commands. The first one after a restart of Redis is lost, whoever of its users sent
    /// it. What a server that is well refuses to another user says nothing of the buckets.
    pub(crate) fn notice(&self, failures: u64) {
        if self.failures.load(Ordering::Acquire) != failures {
            self.failures.store(failures, Ordering::Release);
            self.begin();
        }
    }

    /// Redis answers again, after so many failures, and this replica's debts are there. Nothing needs to settle after a
    /// moment in which the same server was slow: it has lost nothing, and there was no time to admit much.
    pub(crate) fn settle(&self, failures: u64, same_server: bool) {
        self.failures.store(failures, Ordering::Release);
        let lasted = self.now().saturating_sub(self.begun_at.load(Ordering::Acquire));
        let next = if same_server && lasted < micros(Self::MOMENT) {
            WELL
        } else {
            (self.now() + micros(Self::SETTLE)).max(OUT + 1)
        };
        // A call that failed meanwhile has its own outage.
        _ = self.state.compare_exchange(OUT, next, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Whether settling is over but for [`Self::end`], while so many other replicas have calls to bring.
    pub(crate) fn is_settled(&self, owing: u32) -> bool {
        let until = self.state.load(Ordering::Acquire);
        let patience = if owing > 0 { micros(Self::PATIENCE) } else { 0 };
        until > OUT && self.now() >= until + patience
    }

    /// Redis decides alone again; false if it failed meanwhile.
    pub(crate) fn end(&self) -> bool {
        let until = self.state.load(Ordering::Acquire);
        until > OUT && self.state.compare_exchange(until, WELL, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    pub(crate) fn watch(&self, watched: bool) {
        self.watched.store(watched, Ordering::Release);
        if !watched {
            self.state.store(WELL, Ordering::Release);
        }
    }

    fn now(&self) -> u64 {
        micros(self.clock.elapsed())
    }

    /// How many replicas share the quotas.
    pub(crate) fn replicas(&self) -> u32 {
        self.known.load(Ordering::Acquire).max(self.minimum)
    }

    /// Notes how many replicas there are; not during an outage, whose end finds Redis knowing few of them.
    pub(crate) fn count(&self, replicas: u32) {
        if self.phase() == Phase::Shared {
            self.known.store(replicas, Ordering::Release);
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX / 2)
}
