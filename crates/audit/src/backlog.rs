//! What the writer has taken and not yet written, chain by chain (tenant and day), each in its order. A chain whose
//! write failed is parked: it waits by itself, longer each time, and holds no other chain up. No I/O here.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use chrono::NaiveDate;
use stagedoor_domain::TenantId;

use crate::bundle::Batch;
use crate::event::Event;
use crate::parked::Parked;

const FIRST_RETRY: Duration = Duration::from_millis(20);
const LAST_RETRY: Duration = Duration::from_secs(1);
/// Writes at the same moment, and how many of these may be tries of parked chains: those can take as long as the
/// database lets them.
const AT_ONCE: usize = 4;
const RETRIES_AT_ONCE: usize = 2;

/// What travels through the queue.
#[derive(Debug)]
pub(crate) enum Message {
    Event(Box<Event>),
    /// A closing record that was made ready and may or may not be in the database.
    Batch(Batch),
}

/// A tenant's day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Chain {
    pub(crate) tenant: TenantId,
    pub(crate) day: NaiveDate,
}

/// Records that are written together.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) chain: Chain,
    pub(crate) work: Work,
    oldest: u64,
    again: bool,
}

#[derive(Debug)]
pub(crate) enum Work {
    Events(Vec<Event>),
    /// Made ready once: trying the same one again cannot write its records twice.
    Batch(Batch),
}

/// Everything that waits.
#[derive(Debug)]
pub(crate) struct Backlog {
    chains: HashMap<Chain, Waiting>,
    /// Chains with new records, until they are released.
    gathering: Vec<Chain>,
    fresh: VecDeque<Chain>,
    again: VecDeque<Chain>,
    writing: usize,
    rewriting: usize,
    records: usize,
    serial: u64,
    batch: usize,
    parked: Arc<Parked>,
}

#[derive(Debug, Default)]
struct Waiting {
    messages: VecDeque<(u64, Message)>,
    /// What failed last; goes before the messages.
    failed: Option<Job>,
    /// The oldest message that is being written.
    in_flight: Option<u64>,
    records: usize,
    /// How long it waits after its next failure; `None` unless it is parked.
    wait: Option<Duration>,
}

impl Message {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Event(_) => 1,
            Self::Batch(batch) => batch.len(),
        }
    }

    fn chain(&self) -> Chain {
        let (context, day) = match self {
            Self::Event(event) => (&event.context, event.at.date_naive()),
            Self::Batch(batch) => (batch.context(), batch.day()),
        };
        Chain { tenant: context.tenant_id(), day }
    }
}

impl Job {
    pub(crate) fn len(&self) -> usize {
        match &self.work {
            Work::Events(events) => events.len(),
            Work::Batch(batch) => batch.len(),
        }
    }
}

impl Backlog {
    /// Jobs of at most `batch` records.
    pub(crate) fn new(batch: usize, parked: Arc<Parked>) -> Self {
        Self {
            chains: HashMap::new(),
            gathering: Vec::new(),
            fresh: VecDeque::new(),
            again: VecDeque::new(),
            writing: 0,
            rewriting: 0,
            records: 0,
            serial: 0,
            batch,
            parked,
        }
    }

    /// Records of every chain.
    pub(crate) fn records(&self) -> usize {
        self.records
    }

    /// Records of chains that are not parked.
    pub(crate) fn healthy(&self) -> usize {
        self.records - self.parked.total()
    }

    /// The number of the youngest message so far.
    pub(crate) fn youngest(&self) -> u64 {
        self.serial
    }

    /// The number of the oldest message that is not written.
    pub(crate) fn oldest(&self) -> Option<u64> {
        self.chains.values().filter_map(Waiting::oldest).min()
    }

    pub(crate) fn add(&mut self, message: Message) {
        let (chain, records) = (message.chain(), message.len());
        self.serial += 1;
        self.records += records;
        let waiting = self.chains.entry(chain).or_default();
        // Otherwise it is in a line already, being written, or parked.
        if waiting.oldest().is_none() {
            self.gathering.push(chain);
        }
        waiting.messages.push_back((self.serial, message));
        waiting.records += records;
        if waiting.wait.is_some() {
            self.parked.add(chain.tenant, records);
        }
    }

    /// Lets what was gathered be written.
    pub(crate) fn release(&mut self) {
        self.fresh.extend(self.gathering.drain(..));
    }

    /// The next records to write, if there are any and not too many writes are under way.
    pub(crate) fn next_job(&mut self) -> Option<Job> {
        if self.writing >= AT_ONCE {
            return None;
        }
        // Parked chains first: their share is bounded, and new records would otherwise keep them waiting for ever.
        let again = if self.rewriting < RETRIES_AT_ONCE { self.again.pop_front() } else { None };
        let job = match again {
            Some(chain) => {
                let job = self.take(chain)?;
                self.rewriting += 1;
                Job { again: true, ..job }
            }
            None => self.fresh.pop_front().and_then(|chain| self.take(chain))?,
        };
        self.writing += 1;
        Some(job)
    }

    /// The job's records are in the database. Answers whether the chain was parked until now.
    pub(crate) fn written(&mut self, job: &Job) -> bool {
        self.landed(job);
        self.records -= job.len();
        let Some(waiting) = self.chains.get_mut(&job.chain) else { return false };
        let was_parked = waiting.wait.take().is_some();
        if was_parked {
            self.parked.remove(job.chain.tenant, waiting.records);
        }
        waiting.in_flight = None;
        waiting.records -= job.len();
        if waiting.messages.is_empty() {
            self.chains.remove(&job.chain);
        } else {
            self.fresh.push_back(job.chain);
        }
        was_parked
    }

    /// The job failed: its chain is parked. Answers after how long to call [`Self::retry`], and whether the chain was
    /// not parked before.
    pub(crate) fn park(&mut self, job: Job) -> (Duration, bool) {
        self.landed(&job);
        let chain = job.chain;
        let waiting = self.chains.entry(chain).or_default();
        waiting.in_flight = None;
        waiting.failed = Some(job);
        let newly = waiting.wait.is_none();
        let wait = waiting.wait.unwrap_or(FIRST_RETRY);
        waiting.wait = Some((wait * 2).min(LAST_RETRY));
        if newly {
            self.parked.add(chain.tenant, waiting.records);
        }
        (wait, newly)
    }

    /// A parked chain may be tried again.
    pub(crate) fn retry(&mut self, chain: Chain) {
        self.again.push_back(chain);
    }

    fn landed(&mut self, job: &Job) {
        self.writing -= 1;
        self.rewriting -= usize::from(job.again);
    }

    fn take(&mut self, chain: Chain) -> Option<Job> {
        let waiting = self.chains.get_mut(&chain)?;
        let job = match waiting.failed.take() {
            Some(job) => job,
            None => waiting.next_job(chain, self.batch)?,
        };
        waiting.in_flight = Some(job.oldest);
        Some(job)
    }
}

impl Waiting {
    fn oldest(&self) -> Option<u64> {
        self.in_flight
            .or(self.failed.as_ref().map(|job| job.oldest))
            .or(self.messages.front().map(|(serial, _)| *serial))
    }

    fn next_job(&mut self, chain: Chain, batch: usize) -> Option<Job> {
        let (oldest, first) = self.messages.pop_front()?;
        let work = match first {
            Message::Batch(ready) => Work::Batch(ready),
            Message::Event(first) => {
                let mut events = vec![*first];
                while events.len() < batch && matches!(self.messages.front(), Some((_, Message::Event(_)))) {
                    if let Some((_, Message::Event(event))) = self.messages.pop_front() {
                        events.push(*event);
                    }
                }
                Work::Events(events)
            }
        };
        Some(Job { chain, work, oldest, again: false })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::{DateTime, TimeDelta, Utc};
    use stagedoor_domain::{CallId, Tenant, TenantContext, TenantSettings, TenantStatus};
    use uuid::Uuid;

    use super::*;
    use crate::action::{AuditAction, GdprCategory};
    use crate::event::{AuditClient, Ending, RecordKind};

    const ROOM: usize = 100;

    #[expect(clippy::disallowed_methods, reason = "tests build contexts")]
    fn event(tenant: u128, number: i64) -> Message {
        let tenant = Tenant {
            id: TenantId(Uuid::from_u128(tenant)),
            slug: "ada".parse().unwrap(),
            status: TenantStatus::Active,
            settings: TenantSettings::default(),
        };
        Message::Event(Box::new(Event {
            context: TenantContext::for_job(Arc::new(tenant), "test", CallId(Uuid::nil())),
            kind: RecordKind::Call,
            at: DateTime::<Utc>::UNIX_EPOCH + TimeDelta::microseconds(number),
            action: AuditAction::Request,
            resource: None,
            session: None,
            client: AuditClient::default(),
            category: GdprCategory::Necessary,
            claimed: None,
            ending: Ending::Pending,
        }))
    }

    fn backlog(batch: usize) -> (Backlog, Arc<Parked>) {
        let parked = Arc::new(Parked::new(ROOM, ROOM));
        (Backlog::new(batch, parked.clone()), parked)
    }

    fn numbers(job: &Job) -> Vec<i64> {
        match &job.work {
            Work::Events(events) => events.iter().map(|event| event.at.timestamp_micros()).collect(),
            Work::Batch(_) => Vec::new(),
        }
    }

    #[test]
    fn a_chain_keeps_its_order_through_failures() {
        let (mut backlog, parked) = backlog(2);
        for number in 0..3 {
            backlog.add(event(1, number));
        }
        assert!(backlog.next_job().is_none(), "records gather until they are released");
        backlog.release();
        let first = backlog.next_job().unwrap();
        assert_eq!(numbers(&first), [0, 1]);
        assert!(backlog.next_job().is_none(), "one write of a chain at a time");
        let chain = first.chain;
        assert_eq!(backlog.park(first), (FIRST_RETRY, true));
        backlog.add(event(1, 3));
        backlog.release();
        assert!(backlog.next_job().is_none(), "a parked chain waits");
        assert_eq!((backlog.records(), backlog.healthy(), parked.total()), (4, 0, 4));

        backlog.retry(chain);
        let again = backlog.next_job().unwrap();
        assert_eq!(numbers(&again), [0, 1]);
        assert_eq!(backlog.park(again), (FIRST_RETRY * 2, false));
        backlog.retry(chain);
        let again = backlog.next_job().unwrap();
        assert_eq!(backlog.oldest(), Some(1));
        assert!(backlog.written(&again));
        assert_eq!((backlog.oldest(), backlog.healthy(), parked.total()), (Some(3), 2, 0));
        let rest = backlog.next_job().unwrap();
        assert_eq!(numbers(&rest), [2, 3]);
        assert!(!backlog.written(&rest));
        assert_eq!((backlog.oldest(), backlog.records(), backlog.youngest()), (None, 0, 4));
    }

    #[test]
    fn parked_chains_leave_room_for_others() {
        let (mut backlog, _) = backlog(10);
        let stuck = 1..=6;
        for tenant in stuck.clone() {
            backlog.add(event(tenant, 0));
        }
        backlog.release();
        let mut chains = Vec::new();
        for _ in stuck {
            let job = backlog.next_job().unwrap();
            chains.push(job.chain);
            backlog.park(job);
        }
        for chain in chains {
            backlog.retry(chain);
        }
        let tries = [backlog.next_job().unwrap(), backlog.next_job().unwrap()];
        assert!(backlog.next_job().is_none(), "the other parked chains wait for their turn");
        backlog.add(event(7, 0));
        backlog.release();
        let fresh = backlog.next_job().unwrap();
        assert_eq!(fresh.chain.tenant, TenantId(Uuid::from_u128(7)));
        for job in tries {
            backlog.written(&job);
        }
        assert!(backlog.next_job().is_some());
    }
}
