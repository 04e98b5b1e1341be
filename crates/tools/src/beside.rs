//! What is fetched beside calls: an answer that is due again, and the page after one that was given. Each is the same
//! call once more, with the caller's own rights, on record as what it is. It never writes, never waits in a queue, and
//! is left out when there is anything better to do.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::value::RawValue;
use serde_json::{Map, Value};
use stagedoor_audit::{AuditAction, AuditClient, AuditResource};
use stagedoor_cache::Level;
use stagedoor_domain::{Provider, TenantContext, ToolName};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::dispatch::{Call, Dispatcher, Interaction, Outcome, resource};
use crate::origin::{Origin, Purpose};
use crate::paging::{Habits, Paging};
use crate::reuse::{Afterwards, Answer};

/// Fetches beside calls at a time, in all and for one tenant.
const AT_A_TIME: usize = 16;
const AT_A_TIME_FOR_ONE: u32 = 4;
/// The last places are for answers that are due: a next page may never be asked for.
const KEPT_FOR_REFETCHES: usize = 8;
/// Longer than a provider call and a wait for another replica's take. A key that is revoked meanwhile is good for what
/// was begun with it before.
const TIME_LIMIT: Duration = Duration::from_secs(25);

/// Which fetches beside calls there are, and when none should be.
#[derive(Clone)]
pub struct BesideOptions {
    /// Whether answers that are due are fetched again before they are asked for.
    pub refetch: bool,
    /// Whether next pages are fetched ahead.
    pub prefetch: bool,
    /// Whether this replica has enough to do. Asked before each of them.
    pub busy: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl Default for BesideOptions {
    fn default() -> Self {
        Self { refetch: true, prefetch: true, busy: Arc::new(|| false) }
    }
}

impl fmt::Debug for BesideOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BesideOptions")
            .field("refetch", &self.refetch)
            .field("prefetch", &self.prefetch)
            .finish_non_exhaustive()
    }
}

/// Totals since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BesideCounts {
    /// Answers fetched again.
    pub refetched: u64,
    /// Refetches that failed.
    pub refetches_failed: u64,
    /// Refetches that were left out: too much to do here, or at the provider.
    pub refetches_left_out: u64,
    /// Pages fetched ahead.
    pub prefetched: u64,
    /// Fetches ahead that failed.
    pub prefetches_failed: u64,
    /// Fetches ahead that were left out: too much to do, or nothing saved for them.
    pub prefetches_left_out: u64,
    /// Pages fetched ahead that were asked for afterwards.
    pub prefetches_used: u64,
}

/// The fetches beside calls of one process.
#[derive(Debug)]
pub struct Beside {
    options: BesideOptions,
    places: Arc<Semaphore>,
    paging: Paging,
    refetches: Tally,
    prefetches: Tally,
}

#[derive(Debug, Default)]
struct Tally {
    done: AtomicU64,
    failed: AtomicU64,
    left_out: AtomicU64,
}

/// One fetch beside a call; owned, because the call ends before it.
struct Errand {
    purpose: Purpose,
    ctx: TenantContext,
    client: AuditClient,
    tool: ToolName,
    arguments: Option<Box<RawValue>>,
    provider: Provider,
    /// The cursor of the page that is fetched ahead, if it is one.
    page: Option<Arc<str>>,
    /// The version that the answer has to show.
    version: Option<Box<str>>,
}

/// A place among those under way, given back when it is dropped.
struct Place {
    _permit: OwnedSemaphorePermit,
    habits: Arc<Habits>,
}

impl Beside {
    /// None under way.
    pub fn new(options: BesideOptions) -> Arc<Self> {
        Arc::new(Self {
            options,
            places: Arc::new(Semaphore::new(AT_A_TIME)),
            paging: Paging::default(),
            refetches: Tally::default(),
            prefetches: Tally::default(),
        })
    }

    /// Whether this replica has enough to do.
    pub(crate) fn is_busy(&self) -> bool {
        (self.options.busy)()
    }

    /// What has been done since the start.
    pub fn counts(&self) -> BesideCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        BesideCounts {
            refetched: read(&self.refetches.done),
            refetches_failed: read(&self.refetches.failed),
            refetches_left_out: read(&self.refetches.left_out),
            prefetched: read(&self.prefetches.done),
            prefetches_failed: read(&self.prefetches.failed),
            prefetches_left_out: read(&self.prefetches.left_out),
            prefetches_used: self.paging.used(),
        }
    }

    fn tally(&self, purpose: Purpose) -> &Tally {
        if purpose == Purpose::Ahead { &self.prefetches } else { &self.refetches }
    }

    fn place(&self, purpose: Purpose, habits: &Arc<Habits>) -> Option<Place> {
        if self.is_busy() {
            return None;
        }
        if purpose == Purpose::Ahead && self.places.available_permits() <= KEPT_FOR_REFETCHES {
            return None;
        }
        let permit = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let more = |under_way| (under_way < AT_A_TIME_FOR_ONE).then_some(under_way + 1);
        habits.under_way.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Place { _permit: permit, habits: Arc::clone(habits) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.habits.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Dispatcher {
    /// Learns from an answer that a call was given, and begins what is to be fetched beside it.
    pub(crate) fn look_beside(
        self: &Arc<Self>,
        ctx: &TenantContext,
        origin: &Origin,
        call: &Call<'_>,
        answer: &Answer,
    ) {
        if origin.purpose() != Purpose::Call {
            return;
        }
        if let Some(afterwards) = &answer.afterwards {
            self.look_afterwards(ctx, call, afterwards);
        }
        let Some(provider) = answer.provider else { return };
        let (page, fetched) = (origin.page(), answer.level == Level::Fetched);
        // Most hits end here.
        if !answer.due && page.is_none() && answer.next.is_none() && !fetched {
            return;
        }
        let beside = self.beside();
        let habits = beside.paging.of(ctx.tenant_id());
        if fetched {
            habits.earn();
        }
        habits.observe(call.tool, page.is_some(), answer.next.is_some());
        if let Some(cursor) = page.filter(|_| !fetched) {
            beside.paging.found(ctx.tenant_id(), cursor);
        }
        let errand = |purpose, arguments| Errand {
            purpose,
            ctx: ctx.clone(),
            client: call.client.clone(),
            tool: call.tool,
            arguments,
            provider,
            page: None,
            version: None,
        };
        if answer.due && beside.options.refetch {
            let arguments = call.arguments.map(ToOwned::to_owned);
            self.begin(&habits, errand(Purpose::Refetch, arguments));
        }
        // The first page of what is asked for often was looked at when it was fetched.
        let looked_at = page.is_none() && answer.level == Level::L1;
        let wanted = || page.is_some() || habits.pages_often(call.tool);
        if let Some(next) = answer.next.as_ref().filter(|_| beside.options.prefetch && !looked_at)
            && wanted()
            && !beside.paging.is_begun(ctx.tenant_id(), next)
            && let Some(arguments) = with_cursor(call.arguments, next)
        {
            let page = Some(Arc::clone(next));
            self.begin_ahead(&habits, Errand { page, ..errand(Purpose::Ahead, Some(arguments)) });
        }
    }

    /// Fetches what a write's caller is likely to look at, as it is now.
    fn look_afterwards(self: &Arc<Self>, ctx: &TenantContext, call: &Call<'_>, afterwards: &Afterwards) {
        let Afterwards { tool, provider, arguments, version } = afterwards;
        let principal = ctx.principal();
        let may = principal.sees(*tool) && tool.scope().is_none_or(|scope| principal.scopes.contains(scope));
        if !may || !self.beside().options.prefetch {
            return;
        }
        let Ok(arguments) = serde_json::value::to_raw_value(arguments) else { return };
        let errand = Errand {
            purpose: Purpose::Ahead,
            ctx: ctx.clone(),
            client: call.client.clone(),
            tool: *tool,
            arguments: Some(arguments),
            provider: *provider,
            page: None,
            version: Some(version.clone()),
        };
        self.begin_ahead(&self.beside().paging.of(ctx.tenant_id()), errand);
    }

    /// What is fetched ahead has to be paid for, once there is a place for it.
    fn begin_ahead(self: &Arc<Self>, habits: &Arc<Habits>, errand: Errand) {
        let beside = self.beside();
        let Some(place) = beside.place(Purpose::Ahead, habits).filter(|_| habits.pay()) else {
            beside.prefetches.left_out.fetch_add(1, Ordering::Relaxed);
            return;
        };
        // Noted last: a page that is left out now may be fetched ahead another time.
        if errand.page.as_ref().is_none_or(|page| beside.paging.begin(errand.ctx.tenant_id(), page)) {
            self.begin_at(place, errand);
        }
    }

    fn begin(self: &Arc<Self>, habits: &Arc<Habits>, errand: Errand) {
        match self.beside().place(errand.purpose, habits) {
            Some(place) => self.begin_at(place, errand),
            None => {
                self.beside().tally(errand.purpose).left_out.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn begin_at(self: &Arc<Self>, place: Place, errand: Errand) {
        let purpose = errand.purpose;
        let dispatcher = Arc::clone(self);
        let work = async move {
            let _place = place;
            let run = tokio::time::timeout(TIME_LIMIT, dispatcher.run_errand(&errand));
            let done = dispatcher.stop().run_until_cancelled(run).await;
            if let Some(page) = errand.page.as_ref().filter(|_| !matches!(done, Some(Ok(Some(true))))) {
                dispatcher.beside().paging.take_back(errand.ctx.tenant_id(), page);
            }
            let tally = dispatcher.beside().tally(purpose);
            let counter = match done {
                Some(Ok(Some(true))) => &tally.done,
                Some(Ok(None)) | None => &tally.left_out,
                Some(Ok(Some(false)) | Err(_)) => &tally.failed,
            };
            counter.fetch_add(1, Ordering::Relaxed);
        };
        let name = if purpose == Purpose::Ahead { "fetch ahead" } else { "refetch" };
        (self.desk().spawn())(name, Box::pin(work));
    }

    /// Whether it was fetched; `None` if it was left out.
    async fn run_errand(self: &Arc<Self>, errand: &Errand) -> Option<bool> {
        let Errand { purpose, ctx, client, tool, .. } = errand;
        let desk = self.desk();
        let expired = ctx.principal().expires_at.is_some_and(|at| at <= desk.clock.now());
        // What is looked at for the versions is stored, not kept as an answer.
        let remembers = *tool == ToolName::PlaylistVersions;
        if expired || tool.writes() || !(remembers || desk.keeps(ctx, *tool).await) {
            return None;
        }
        if desk.is_pressed(ctx, errand.provider).await {
            return None;
        }
        let action = match purpose {
            Purpose::Ahead => AuditAction::CachePrefetch,
            Purpose::Refetch | Purpose::Call | Purpose::Job | Purpose::Poll => AuditAction::CacheRefresh,
        };
        let about = resource(errand.arguments.as_deref());
        let about = about.unwrap_or_else(|| AuditResource { kind: "tool", id: tool.as_str().into() });
        let record = desk.trail().open(ctx, action, client, about).await.ok()?;
        let call = Call {
            tool: *tool,
            arguments: errand.arguments.as_deref(),
            client: client.clone(),
            interaction: Interaction::default(),
        };
        let origin = Origin::new(client.clone(), *purpose).expecting(errand.version.clone());
        let outcome: Outcome = self.run(ctx, &origin, &call).await;
        let error = outcome.error();
        record.close(error).await;
        desk.count_beside(ctx, *tool, &origin).await;
        Some(error.is_none())
    }
}

/// The same arguments for the page behind `cursor`.
fn with_cursor(arguments: Option<&RawValue>, cursor: &str) -> Option<Box<RawValue>> {
    let mut members: Map<String, Value> = match arguments {
        Some(arguments) => serde_json::from_str(arguments.get()).ok()?,
        None => Map::new(),
    };
    members.insert("cursor".to_owned(), cursor.into());
    serde_json::value::to_raw_value(&members).ok()
}
