//! What was asked and what came of it: by tenant and tool, by revision, by stretch of time; and what was added where.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use stagedoor_domain::Clock;

/// Failures that are kept word for word; all are counted.
const TOLD: usize = 20;
/// Latencies are kept up to two minutes, in nanoseconds.
const LONGEST: u64 = 120_000_000_000;

/// The books of a run.
#[derive(Debug)]
pub(crate) struct Ledger {
    clock: Arc<dyn Clock>,
    pages: Mutex<Pages>,
}

/// What is in them.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    /// Stretches of time, in order; what is asked before the first is in none.
    pub(crate) stretches: Vec<Stretch>,
    /// Requests, by revision of the protocol.
    pub(crate) revisions: BTreeMap<&'static str, u64>,
    /// Tool calls that were answered, refusals among them, by tenant and tool.
    pub(crate) answered: BTreeMap<(usize, &'static str), u64>,
    /// Requests that failed.
    pub(crate) failed: u64,
    /// The first of them, in words.
    pub(crate) failures: Vec<String>,
    /// Tracks that were acknowledged, by playlist.
    pub(crate) added: BTreeMap<String, BTreeMap<String, u64>>,
    /// Repeated writes whose answer was another.
    pub(crate) answered_otherwise: Vec<String>,
    /// What the agent at its limit saw.
    pub(crate) quota: Quota,
    /// Transfers that were made, and how long each took.
    pub(crate) transfers: Vec<Duration>,
    /// Transfers that did not arrive whole, once and in order.
    pub(crate) transfers_wrong: Vec<String>,
}

/// A stretch of time.
#[derive(Debug)]
pub(crate) struct Stretch {
    /// Its name.
    pub(crate) name: String,
    /// When it began.
    pub(crate) began: Duration,
    /// When the next one began.
    pub(crate) ended: Option<Duration>,
    /// Requests that began in it.
    pub(crate) requests: u64,
    /// Latencies of those that change nothing, in nanoseconds.
    pub(crate) reads: Histogram<u64>,
    /// Latencies of those that change a playlist.
    pub(crate) writes: Histogram<u64>,
}

/// What became of calls beyond a quota.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Quota {
    /// When the first was sent.
    pub(crate) first: Option<Duration>,
    /// When the last answer came.
    pub(crate) last: Duration,
    /// Calls that were admitted.
    pub(crate) admitted: u64,
    /// Calls that were refused.
    pub(crate) refused: u64,
}

/// Which latencies a request belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It changes nothing.
    Read,
    /// It changes a playlist.
    Write,
    /// It waits for long work, or for nothing that is to be measured.
    Untimed,
}

impl Ledger {
    /// Empty books.
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, pages: Mutex::default() }
    }

    /// The time of the stretches.
    pub(crate) fn now(&self) -> Duration {
        self.clock.elapsed()
    }

    /// Begins a stretch, where the one before it ends.
    pub(crate) fn begin(&self, name: &str) -> anyhow::Result<()> {
        self.end();
        let (reads, writes) = (Histogram::new_with_max(LONGEST, 3)?, Histogram::new_with_max(LONGEST, 3)?);
        let (name, began) = (name.to_owned(), self.now());
        self.pages().stretches.push(Stretch { name, began, ended: None, requests: 0, reads, writes });
        Ok(())
    }

    /// Ends the stretch that was begun last; answers with the requests of it that are over.
    pub(crate) fn end(&self) -> u64 {
        let now = self.now();
        self.pages().stretches.last_mut().map_or(0, |stretch| {
            stretch.ended.get_or_insert(now);
            stretch.requests
        })
    }

    /// The stretch of a request that begins now, for [`Self::count`].
    pub(crate) fn stretch(&self) -> Option<usize> {
        let pages = self.pages();
        let last = pages.stretches.last().filter(|stretch| stretch.ended.is_none());
        last.map(|_| pages.stretches.len() - 1)
    }

    /// Counts a request of `stretch` that was due at `due` and is over.
    pub(crate) fn count(&self, stretch: Option<usize>, revision: &'static str, kind: Kind, due: Duration) {
        let latency = u64::try_from(self.now().saturating_sub(due).as_nanos()).unwrap_or(LONGEST);
        let mut pages = self.pages();
        *pages.revisions.entry(revision).or_default() += 1;
        let Some(stretch) = stretch.and_then(|at| pages.stretches.get_mut(at)) else { return };
        stretch.requests += 1;
        match kind {
            Kind::Read => stretch.reads.saturating_record(latency),
            Kind::Write => stretch.writes.saturating_record(latency),
            Kind::Untimed => {}
        }
    }

    /// Notes that a track was acknowledged.
    pub(crate) fn added(&self, playlist: &str, track: &str) {
        let mut pages = self.pages();
        let added = pages.added.entry(playlist.to_owned()).or_default();
        *added.entry(track.to_owned()).or_default() += 1;
    }

    /// Notes a failure.
    pub(crate) fn failed(&self, how: String) {
        let mut pages = self.pages();
        pages.failed += 1;
        if pages.failures.len() < TOLD {
            pages.failures.push(how);
        }
    }

    /// The pages, for whoever writes or reads a line of its own.
    pub(crate) fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
