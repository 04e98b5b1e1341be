//! The way in: opening records, recording refusals, flushing.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, SubsecRound, Utc};
use stagedoor_crypto::KeyOwner;
use stagedoor_domain::{Tenant, TenantContext, TenantId};
use stagedoor_storage::KeyVault;
use tokio::sync::{mpsc, oneshot};

use crate::action::{AuditClass, GdprCategory};
use crate::backlog::Message;
use crate::bundle::Batch;
use crate::counters::{AuditCounts, Counters, add};
use crate::entry::AuditEntry;
use crate::error::AuditError;
use crate::event::{AuditOpening, AuditOutcome, Ending, Event, RecordKind, Refusal};
use crate::parked::Parked;
use crate::sizes::Sizes;
use crate::worker::AuditWorker;

/// How records are batched.
#[derive(Debug, Clone, Copy)]
pub struct AuditOptions {
    /// Whether calls are recorded at all. Whoever turns this off has to say so where people see it.
    pub enabled: bool,
    /// The longest that a class B record waits for its batch: the window that a crash can lose.
    pub flush_interval: Duration,
    /// Calls that may be open or waiting to be written. When all places are taken, calls wait.
    pub queue_capacity: usize,
    /// Records of one tenant that may wait while the database does not take them; then its calls are refused. All
    /// tenants together may have as many waiting as the queue has places.
    pub tenant_capacity: usize,
    /// Records at most in one batch.
    pub batch: usize,
    /// How long a call waits for a place before it is refused.
    pub enqueue_timeout: Duration,
    /// How long the writer keeps trying once the process ends, and the longest that a flush is waited for.
    pub drain_timeout: Duration,
    /// Bytes of records of one tenant and UTC day, as the database counts them. Once a day has reached it, class B
    /// calls of the tenant are refused until the next day; class A goes on. 0 knows no such size; a tenant's own
    /// setting goes first.
    pub max_log_size: u64,
}

impl Default for AuditOptions {
    fn default() -> Self {
        Self {
            enabled: true,
            flush_interval: Duration::from_millis(200),
            queue_capacity: 16_384,
            tenant_capacity: 4_096,
            batch: 4_096,
            enqueue_timeout: Duration::from_millis(250),
            drain_timeout: Duration::from_secs(5),
            max_log_size: 1 << 30,
        }
    }
}

/// The audit trail. Clones share it.
#[derive(Debug, Clone)]
pub struct AuditLog {
    pub(crate) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) vault: Arc<KeyVault>,
    pub(crate) options: AuditOptions,
    pub(crate) tallies: Tallies,
    queue: mpsc::Sender<Message>,
    flushes: mpsc::Sender<oneshot::Sender<()>>,
}

/// What the writer counts too. Apart from the rest, because the rest holds the queue's sending half, and the writer
/// must not keep its own queue open.
#[derive(Debug, Clone)]
pub(crate) struct Tallies {
    pub(crate) counters: Arc<Counters>,
    pub(crate) parked: Arc<Parked>,
    pub(crate) sizes: Arc<Sizes>,
}

impl AuditLog {
    /// The trail and its writer, which the caller runs as a task until the process ends.
    pub fn new(vault: Arc<KeyVault>, options: AuditOptions) -> (Self, AuditWorker) {
        let (queue, received) = mpsc::channel(options.queue_capacity);
        let (flushes, flush_requests) = mpsc::channel(16);
        let tallies = Tallies {
            counters: Arc::default(),
            parked: Arc::new(Parked::new(options.tenant_capacity, options.queue_capacity)),
            sizes: Arc::new(Sizes::new(options.max_log_size)),
        };
        let shared = Arc::new(Shared { vault, options, tallies, queue, flushes });
        let worker = AuditWorker::new(&shared, received, flush_requests);
        (Self { shared }, worker)
    }

    /// Opens the record of a call; only then may its work begin. Class A: the opening is in the database. Class B: a
    /// place in the queue is taken, so that the record cannot be refused later. For both, the keys that the record
    /// will be sealed under open now.
    pub async fn open(
        &self,
        context: &TenantContext,
        opening: AuditOpening,
    ) -> Result<AuditEntry, AuditError> {
        if !self.shared.options.enabled {
            return Ok(AuditEntry::unrecorded(self.clone()));
        }
        self.check_size(context, &opening)?;
        let place = self.place(context.tenant_id()).await?;
        let owner = context.user().map_or(KeyOwner::Tenant, KeyOwner::Subject);
        self.shared.vault.ensure_open(context, owner).await.map_err(AuditError::NotSealable)?;
        let event = Event {
            context: context.clone(),
            kind: RecordKind::Opened,
            at: self.now(),
            action: opening.action,
            resource: opening.resource,
            session: None,
            client: opening.client,
            category: opening.category,
            claimed: None,
            ending: Ending::Pending,
        }
        .bounded();
        if opening.class == AuditClass::Synchronous {
            Box::pin(self.write_now(&event)).await?;
        }
        Ok(AuditEntry::new(self.clone(), place, event, opening.class))
    }

    /// Records that a request to `tenant` was turned away, under no person.
    #[expect(
        clippy::disallowed_methods,
        reason = "nobody was authenticated: the audit trail itself is the caller"
    )]
    pub async fn refuse(&self, tenant: Arc<Tenant>, refusal: Refusal) -> Result<(), AuditError> {
        if !self.shared.options.enabled {
            return Ok(());
        }
        let place = self.place(tenant.id).await?;
        let event = Event {
            context: TenantContext::for_job(tenant, "audit", refusal.call),
            kind: RecordKind::Refusal,
            at: self.now(),
            action: refusal.action,
            resource: refusal.resource,
            session: None,
            client: refusal.client,
            category: GdprCategory::Necessary,
            claimed: refusal.claimed,
            ending: Ending::Done(AuditOutcome {
                error: Some(refusal.error),
                response_code: refusal.response_code,
                duration: Duration::ZERO,
                cached: false,
            }),
        }
        .bounded();
        self.enqueue(place, Message::Event(Box::new(event)));
        Ok(())
    }

    /// Waits until everything that was closed before is in the database, parked records too, but no longer than the
    /// drain timeout.
    pub async fn flush(&self) -> Result<(), AuditError> {
        let (reply, written) = oneshot::channel();
        self.shared.flushes.send(reply).await.map_err(|_| AuditError::Stopped)?;
        match tokio::time::timeout(self.shared.options.drain_timeout, written).await {
            Ok(written) => written.map_err(|_| AuditError::Stopped),
            Err(_) => Err(AuditError::StillWaiting),
        }
    }

    /// Totals since the start, and how many records are parked now.
    pub fn counts(&self) -> AuditCounts {
        let tallies = &self.shared.tallies;
        let (log_nearly_full, log_full) = tallies.sizes.counts();
        AuditCounts { log_full, log_nearly_full, ..tallies.counters.snapshot(tallies.parked.total()) }
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.shared.vault.clock().now().trunc_subsecs(6)
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.shared.vault.clock().elapsed()
    }

    pub(crate) fn enqueue(&self, place: mpsc::OwnedPermit<Message>, message: Message) {
        add(&self.shared.tallies.counters.queued, message.len());
        place.send(message);
    }

    async fn write_now(&self, event: &Event) -> Result<(), AuditError> {
        let vault = &self.shared.vault;
        let batch =
            Batch::prepare(vault, std::slice::from_ref(event)).await.map_err(AuditError::NotWritten)?;
        batch.append(vault, &self.shared.tallies.sizes).await.map_err(AuditError::NotWritten)?;
        add(&self.shared.tallies.counters.written, 1);
        Ok(())
    }

    /// Reads stop before evidence does: what is or would have been class A is never refused for the log's size.
    fn check_size(&self, context: &TenantContext, opening: &AuditOpening) -> Result<(), AuditError> {
        let classes = [opening.class, opening.action.class()];
        if classes.contains(&AuditClass::Synchronous) {
            return Ok(());
        }
        let wait = self.shared.tallies.sizes.wait(context.tenant(), self.now());
        wait.map_or(Ok(()), |retry_after| Err(AuditError::LogFull { retry_after }))
    }

    async fn place(&self, tenant: TenantId) -> Result<mpsc::OwnedPermit<Message>, AuditError> {
        if !self.shared.tallies.parked.has_room(tenant) {
            return Err(AuditError::QueueFull);
        }
        let queue = match self.shared.queue.clone().try_reserve_owned() {
            Ok(place) => return Ok(place),
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(AuditError::Stopped),
            Err(mpsc::error::TrySendError::Full(queue)) => queue,
        };
        match tokio::time::timeout(self.shared.options.enqueue_timeout, queue.reserve_owned()).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) => Err(AuditError::Stopped),
            Err(_) => Err(AuditError::QueueFull),
        }
    }
}
