//! Tells listeners of `subscriptions/listen` that a shared queue was changed, on whichever replica. The store is asked for
//! the versions of the queues that somebody here listens to, twice a second and at once when it says that one was changed;
//! whoever is not in a queue any more hears of it no longer.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stagedoor_domain::error::Chain;
use stagedoor_domain::{
    Clock, PrincipalKind, SharedQueueId, Tenant, TenantContext, TenantId, TenantStatus, UserId,
};
use stagedoor_storage::{Store, StoreError, shared_queues};
use tokio::sync::{Notify, broadcast};
use tokio_util::sync::CancellationToken;

use crate::mcp::surface::ServerEvent;
use crate::tenant_watch::{KeyStanding, SeenKey, TenantWatch};

/// How often the store is asked.
const INTERVAL: Duration = Duration::from_millis(500);
/// How soon it is asked again: changes seldom come alone.
const SHORTEST: Duration = Duration::from_millis(20);
/// How long a listener is served before it has to sign in anew.
const LONGEST: Duration = Duration::from_mins(15);
/// How many queues one listener hears of.
const MOST_QUEUES: usize = 50;
/// How many events a slow listener may fall behind before it is told that everything may have changed.
const BACKLOG: usize = 64;

/// Who listens to which queues.
pub struct QueueWatch {
    store: Store,
    tenants: Arc<TenantWatch>,
    clock: Arc<dyn Clock>,
    woken: Arc<Notify>,
    listeners: Mutex<Vec<Listener>>,
}

struct Listener {
    ctx: TenantContext,
    tenant: Arc<Tenant>,
    user: UserId,
    since: Duration,
    seen: SeenKey,
    standing: KeyStanding,
    queues: Vec<(String, SharedQueueId, Last)>,
    sender: broadcast::Sender<ServerEvent>,
}

/// What was last seen of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    Unseen,
    At(i64),
    Gone,
}

type Versions = HashMap<(SharedQueueId, UserId), i64>;

impl QueueWatch {
    /// Nobody listens yet.
    pub fn new(store: Store, tenants: Arc<TenantWatch>, clock: Arc<dyn Clock>) -> Self {
        let woken = tenants.queue_changes();
        Self { store, tenants, clock, woken, listeners: Mutex::default() }
    }

    /// What becomes of these queues from now on, each by its address; the first event of each says that it may have
    /// changed since it was read last. `None` for a caller who acts for nobody, or for no queues.
    pub(crate) fn listen(
        &self,
        ctx: &TenantContext,
        queues: Vec<(String, SharedQueueId)>,
    ) -> Option<broadcast::Receiver<ServerEvent>> {
        let user = ctx.user().filter(|_| !queues.is_empty())?;
        let (sender, receiver) = broadcast::channel(BACKLOG);
        // A key that nothing is known of is at a revision below all others.
        let seen = SeenKey { revision: i64::MIN, era: self.tenants.era() };
        let queues = queues.into_iter().take(MOST_QUEUES).map(|(uri, queue)| (uri, queue, Last::Unseen));
        let listener = Listener {
            ctx: ctx.clone(),
            tenant: Arc::new(ctx.tenant().clone()),
            user,
            since: self.clock.elapsed(),
            seen,
            standing: self.standing(ctx, seen),
            queues: queues.collect(),
            sender,
        };
        self.listeners().push(listener);
        self.woken.notify_one();
        Some(receiver)
    }

    /// Asks the store, and tells, until `until`.
    pub async fn run(self: Arc<Self>, until: CancellationToken) {
        let mut failing = false;
        while until.run_until_cancelled(self.pause()).await.is_some() {
            let Some(outcome) = until.run_until_cancelled(Box::pin(self.look())).await else { return };
            match &outcome {
                Err(error) if !failing => {
                    tracing::warn!(error = %Chain(error), "changes of shared queues are not seen for now");
                }
                Ok(()) | Err(_) => {}
            }
            failing = outcome.is_err();
        }
    }

    async fn pause(&self) {
        tokio::time::sleep(SHORTEST).await;
        // However it ends, it is time to ask.
        drop(tokio::time::timeout(INTERVAL.saturating_sub(SHORTEST), self.woken.notified()).await);
    }

    async fn look(&self) -> Result<(), StoreError> {
        let mut wanted: HashMap<TenantId, (TenantContext, Vec<SharedQueueId>)> = HashMap::new();
        {
            let mut listeners = self.listeners();
            listeners.retain(|listener| listener.sender.receiver_count() > 0 && self.is_served(listener));
            for listener in listeners.iter() {
                let of_tenant = wanted.entry(listener.ctx.tenant_id());
                let (_, queues) = of_tenant.or_insert_with(|| (listener.ctx.clone(), Vec::new()));
                queues.extend(listener.queues.iter().map(|(_, queue, _)| *queue));
            }
        }
        for (tenant, (ctx, queues)) in wanted {
            let rows = shared_queues::versions(&self.store, &ctx, &queues).await?;
            let versions: Versions =
                rows.into_iter().map(|(queue, user, version)| ((queue, user), version)).collect();
            for listener in self.listeners().iter_mut().filter(|one| one.ctx.tenant_id() == tenant) {
                // One that came while the store was asked waits for the next time.
                if listener.queues.iter().all(|(_, queue, _)| queues.contains(queue)) {
                    listener.tell(&versions);
                }
            }
        }
        Ok(())
    }

    /// Whether the listener's key, its time and its tenant are as they were.
    fn is_served(&self, listener: &Listener) -> bool {
        let ctx = &listener.ctx;
        let ended = ctx.principal().expires_at.is_some_and(|end| end <= self.clock.now());
        let late = self.clock.elapsed().saturating_sub(listener.since) >= LONGEST;
        let tenant = self.tenants.newest(&listener.tenant, i64::MIN);
        let standing = self.standing(ctx, listener.seen);
        let same = standing != KeyStanding::Revoked && standing == listener.standing;
        !ended && !late && same && tenant.status == TenantStatus::Active
    }

    fn standing(&self, ctx: &TenantContext, seen: SeenKey) -> KeyStanding {
        match &ctx.principal().kind {
            PrincipalKind::ApiKey(key) => self.tenants.standing(ctx.tenant_id(), key, seen),
            _ => KeyStanding::Current,
        }
    }

    fn listeners(&self) -> MutexGuard<'_, Vec<Listener>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listener {
    fn tell(&mut self, versions: &Versions) {
        for (uri, queue, last) in &mut self.queues {
            let now = versions.get(&(*queue, self.user)).map_or(Last::Gone, |version| Last::At(*version));
            // What was never open to the listener is as good as nothing.
            let news = now != *last && !(*last == Last::Unseen && now == Last::Gone);
            *last = now;
            if news {
                // Nobody is left to be told: it goes with the next look.
                let _ = self.sender.send(ServerEvent::ResourceUpdated(uri.clone()));
            }
        }
    }
}

impl fmt::Debug for QueueWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueWatch").field("listeners", &self.listeners().len()).finish_non_exhaustive()
    }
}
