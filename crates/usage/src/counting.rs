//! The minute that is going on: one sum for each series, bounded in number, for each tenant and in all. A lock is held
//! for an addition; only the first call of a series within a minute allocates.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use stagedoor_domain::{PrincipalKind, TenantContext, TenantId, ToolName, UserId};
use stagedoor_storage::usage::{Figures, LatencySketch, Period};

use crate::call::{CacheUse, CallRecord, Content, Denial, End};

/// Tenants are spread over them, so that calls of different ones seldom wait for each other.
const SHARDS: usize = 32;

/// How far a shard's minute may be ahead of the clock that went back, before it is taken for a leap.
const AHEAD: TimeDelta = TimeDelta::minutes(1);
/// Of the room that is free, the part that one tenant may have: a dynamic threshold (Choudhury and Hahne, IEEE/ACM `ToN` 1998).
/// However much some tenants use, there is room left for those who use little.
const PART: usize = 8;

/// How many series are kept apart within a minute.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Of one tenant.
    pub(crate) of_tenant: usize,
    /// Of all.
    pub(crate) in_all: usize,
}

/// The sums of the minute that is going on, and of those that are over and were not taken yet.
pub(crate) struct Counting {
    shards: Vec<Mutex<Shard>>,
    bounds: Bounds,
    series: AtomicUsize,
    batches: AtomicI64,
}

#[derive(Default)]
struct Shard {
    minute: DateTime<Utc>,
    tenants: HashMap<TenantId, OfTenant>,
    closed: Vec<Closed>,
}

/// A minute that is over.
pub(crate) struct Closed {
    pub(crate) starts_at: DateTime<Utc>,
    /// Its number among all that this process has closed: two closings of one minute are two batches.
    pub(crate) batch: i64,
    pub(crate) tenants: HashMap<TenantId, OfTenant>,
}

/// What a tenant's calls came to.
pub(crate) struct OfTenant {
    /// To write it with.
    pub(crate) ctx: TenantContext,
    pub(crate) series: HashMap<Series, Sum>,
    /// What was one series too many.
    pub(crate) other: Sum,
    /// Credentials that were refused.
    pub(crate) refused: u64,
}

/// Sums of one series.
#[derive(Debug, Default)]
pub(crate) struct Sum {
    pub(crate) figures: Figures,
    pub(crate) latency: LatencySketch,
}

/// What tells sums of a tenant apart. Holds the context for whose principal it is, which costs no allocation.
pub(crate) struct Series {
    ctx: TenantContext,
    /// Whether person and principal are part of it.
    named: bool,
    pub(crate) tool: ToolName,
    pub(crate) content: Content,
}

impl Series {
    /// Person and principal, if they are part of it.
    pub(crate) fn who(&self) -> Option<(Option<UserId>, &PrincipalKind)> {
        self.named.then(|| (self.ctx.user(), &self.ctx.principal().kind))
    }
}

impl PartialEq for Series {
    fn eq(&self, other: &Self) -> bool {
        self.tool == other.tool && self.content == other.content && self.who() == other.who()
    }
}

impl Eq for Series {}

impl Hash for Series {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.tool.hash(state);
        self.content.hash(state);
        self.who().hash(state);
    }
}

impl Counting {
    pub(crate) fn new(bounds: Bounds) -> Self {
        let shards = std::iter::repeat_with(Mutex::default).take(SHARDS).collect();
        Self { shards, bounds, series: AtomicUsize::new(0), batches: AtomicI64::new(0) }
    }

    /// Adds a call; `false` if it was one series too many.
    pub(crate) fn add(
        &self,
        ctx: &TenantContext,
        now: DateTime<Utc>,
        named: bool,
        call: &CallRecord,
    ) -> bool {
        let mut shard = self.shard(ctx, now);
        let tenant = shard.tenants.entry(ctx.tenant_id()).or_insert_with(|| OfTenant::new(ctx));
        let series = Series { ctx: ctx.clone(), named, tool: call.tool, content: call.content };
        if let Some(sum) = tenant.series.get_mut(&series) {
            sum.add(call);
            return true;
        }
        let own = tenant.series.len();
        let one_more = |series: usize| {
            let free = self.bounds.in_all.saturating_sub(series);
            (own < self.bounds.of_tenant.min(free.div_ceil(PART))).then_some(series + 1)
        };
        let fits = self.series.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok();
        if fits {
            tenant.series.entry(series).or_default().add(call);
        } else {
            tenant.other.add(call);
        }
        fits
    }

    /// Adds refused credentials.
    pub(crate) fn refuse(&self, ctx: &TenantContext, now: DateTime<Utc>) {
        let mut shard = self.shard(ctx, now);
        shard.tenants.entry(ctx.tenant_id()).or_insert_with(|| OfTenant::new(ctx)).refused += 1;
    }

    /// The minutes that are over at `now`, or with `all` the one that is going on too.
    pub(crate) fn take(&self, now: DateTime<Utc>, all: bool) -> Vec<Closed> {
        let minute = Period::Minute.begin(now);
        let mut taken = Vec::new();
        for shard in &self.shards {
            let mut shard = lock(shard);
            if all || shard.minute < minute || shard.leapt(minute) {
                self.close(&mut shard, minute);
            }
            taken.append(&mut shard.closed);
        }
        taken
    }

    /// Series of the minute that is going on.
    pub(crate) fn series(&self) -> usize {
        self.series.load(Ordering::Relaxed)
    }

    fn shard(&self, ctx: &TenantContext, now: DateTime<Utc>) -> MutexGuard<'_, Shard> {
        // The last bits of an id are random.
        let [.., last] = *ctx.tenant_id().0.as_bytes();
        let mut shard = lock(&self.shards[usize::from(last) % SHARDS]);
        let minute = Period::Minute.begin(now);
        // A clock that went back a little goes on with the minute that it was at.
        if shard.minute < minute || shard.leapt(minute) {
            self.close(&mut shard, minute);
            shard.minute = minute;
        }
        shard
    }

    /// Ends the shard's minute at `now`: one that the clock leapt to, and came back from, was the present one.
    fn close(&self, shard: &mut Shard, now: DateTime<Utc>) {
        if shard.tenants.is_empty() {
            return;
        }
        let tenants = std::mem::take(&mut shard.tenants);
        let series: usize = tenants.values().map(|tenant| tenant.series.len()).sum();
        self.series.fetch_sub(series, Ordering::Relaxed);
        let batch = self.batches.fetch_add(1, Ordering::Relaxed);
        let starts_at = if shard.leapt(now) { now } else { shard.minute };
        shard.closed.push(Closed { starts_at, batch, tenants });
    }
}

impl Shard {
    /// Whether the shard's minute is one that the clock leapt to before it was set right.
    fn leapt(&self, now: DateTime<Utc>) -> bool {
        self.minute > now + AHEAD
    }
}

impl OfTenant {
    fn new(ctx: &TenantContext) -> Self {
        Self { ctx: ctx.clone(), series: HashMap::new(), other: Sum::default(), refused: 0 }
    }
}

impl Sum {
    fn add(&mut self, call: &CallRecord) {
        let figures = &mut self.figures;
        match call.end {
            End::Answered(duration) | End::Failed(duration) => {
                figures.calls += 1;
                figures.errors += u64::from(matches!(call.end, End::Failed(_)));
                self.latency.record(duration);
            }
            End::Denied(Denial::Limit) => figures.denied.limit += 1,
            End::Denied(Denial::Scope) => figures.denied.scope += 1,
            End::Denied(Denial::Policy) => figures.denied.policy += 1,
            End::Beside => {}
        }
        match call.cache {
            Some(CacheUse::Hit) => figures.cache_hits += 1,
            Some(CacheUse::Miss) => figures.cache_misses += 1,
            None => {}
        }
        figures.provider_calls += call.provider_calls;
        figures.search_words += call.search_words;
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use stagedoor_crypto::SystemEntropy;
    use stagedoor_domain::{CallId, SystemClock, Tenant, TenantSettings, TenantStatus};
    use stagedoor_storage::usage::{MinuteLine, OTHER, UNAUTHENTICATED, WITHHELD};

    use super::*;

    const NARROW: Bounds = Bounds { of_tenant: 2, in_all: 20 };

    #[expect(clippy::disallowed_methods, reason = "tests build contexts")]
    fn context(job: &'static str, tenant: &Arc<Tenant>) -> TenantContext {
        TenantContext::for_job(Arc::clone(tenant), job, CallId::generate(&SystemClock::new(), &SystemEntropy))
    }

    fn tenant() -> Arc<Tenant> {
        Arc::new(Tenant {
            id: TenantId::generate(&SystemClock::new(), &SystemEntropy),
            slug: "acme".parse().unwrap(),
            status: TenantStatus::Active,
            settings: TenantSettings::default(),
        })
    }

    fn call(tool: ToolName, end: End) -> CallRecord {
        let (content, cache) = (Content::None, Some(CacheUse::Hit));
        CallRecord { tool, content, end, cache, provider_calls: 2, search_words: 3 }
    }

    fn answered(tool: ToolName) -> CallRecord {
        call(tool, End::Answered(Duration::from_millis(1)))
    }

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(second)
    }

    fn lines(closed: Vec<Closed>) -> Vec<MinuteLine> {
        let mut lines: Vec<_> =
            closed.into_iter().flat_map(Closed::into_lines).flat_map(|(_, lines)| lines).collect();
        lines.sort_by_key(|line| (line.starts_at, line.batch, line.principal.clone(), line.tool));
        lines
    }

    #[test]
    fn each_minute_is_a_batch_of_sums_by_principal_and_tool() {
        let (counting, tenant) = (Counting::new(NARROW), tenant());
        let (ada, bob) = (context("ada", &tenant), context("bob", &tenant));
        let denied = call(ToolName::Search, End::Denied(Denial::Limit));
        for (ctx, second, named, call) in [
            (&ada, 60, true, answered(ToolName::Search)),
            (&ada, 119, true, call(ToolName::Search, End::Failed(Duration::from_millis(5)))),
            (&ada, 119, true, denied),
            (&bob, 119, false, answered(ToolName::Search)),
            (&ada, 120, true, answered(ToolName::Search)),
            // A clock that went back.
            (&ada, 60, true, answered(ToolName::Search)),
        ] {
            assert!(counting.add(ctx, at(second), named, &call));
        }
        let over = lines(counting.take(at(121), false));
        let [named, withheld] = &over[..] else { panic!("{over:?}") };
        assert_eq!((&*named.principal, named.starts_at, named.tool), ("job:ada", at(60), "search"));
        let figures = named.figures;
        assert_eq!((figures.calls, figures.errors, figures.denied.limit, figures.cache_hits), (2, 1, 1, 3));
        assert_eq!((figures.provider_calls, figures.search_words), (6, 9));
        let latency = LatencySketch::from_bytes(&named.latency).unwrap();
        assert_eq!((latency.count(), latency.milliseconds(1.0)), (2, Some(5.0)));
        assert_eq!((&*withheld.principal, withheld.user, withheld.figures.calls), (WITHHELD, None, 1));
        assert!(lines(counting.take(at(179), false)).is_empty(), "it goes on");
        let rest = lines(counting.take(at(179), true));
        assert_eq!((rest.len(), rest[0].starts_at, rest[0].figures.calls), (1, at(120), 2));
        assert_ne!(rest[0].batch, named.batch);
        assert_eq!(counting.series(), 0);
    }

    #[test]
    fn what_is_one_series_too_many_is_counted_without_its_name_and_told() {
        let counting = Counting::new(NARROW);
        let (one, two) = (tenant(), tenant());
        let add =
            |tenant: &Arc<Tenant>, tool| counting.add(&context("a", tenant), at(0), true, &answered(tool));
        assert!(add(&one, ToolName::Search) && add(&one, ToolName::TrackGet));
        assert!(!add(&one, ToolName::AlbumGet), "of one tenant");
        assert!(add(&one, ToolName::Search), "it is there already");
        assert!(add(&two, ToolName::AlbumGet), "another tenant has its own");
        let mut lines = lines(counting.take(at(60), false));
        lines.retain(|line| line.principal == OTHER);
        assert_eq!(lines.iter().map(|line| line.figures.calls).collect::<Vec<_>>(), [1]);
        assert!(add(&one, ToolName::AlbumGet), "another minute");
    }

    #[test]
    fn tenants_that_use_much_leave_room_for_those_that_use_little() {
        let counting = Counting::new(Bounds { of_tenant: 1_000, in_all: 160 });
        let job = |number: usize| -> &'static str { format!("job-{number}").leak() };
        let names: Vec<&'static str> = (0..200).map(job).collect();
        for _ in 0..20 {
            let greedy = tenant();
            let apart = |name: &&&'static str| {
                counting.add(&context(name, &greedy), at(0), true, &answered(ToolName::Search))
            };
            let apart = names.iter().filter(apart).count();
            assert!((1..=20).contains(&apart), "{apart}");
        }
        let modest = tenant();
        assert!(counting.add(&context("a", &modest), at(0), true, &answered(ToolName::Search)));
        assert!(counting.series() <= 160);
        let all: u64 = lines(counting.take(at(60), false)).iter().map(|line| line.figures.calls).sum();
        assert_eq!((all, counting.series()), (20 * 200 + 1, 0), "no call is lost to the sums");
    }

    #[test]
    fn after_a_leap_of_the_clock_minutes_end_again() {
        const YEAR: i64 = 365 * 86_400;
        let (counting, tenant) = (Counting::new(NARROW), tenant());
        let ada = context("ada", &tenant);
        let add = |second| assert!(counting.add(&ada, at(second), true, &answered(ToolName::Search)));
        add(60);
        add(YEAR);
        add(YEAR + 1);
        // It was set right; a call comes at once.
        add(125);
        let over = lines(counting.take(at(180), false));
        let told: Vec<_> = over.iter().map(|line| (line.starts_at, line.figures.calls)).collect();
        assert_eq!(told, [(at(60), 1), (at(120), 2), (at(120), 1)]);
        assert_ne!(over[1].batch, over[2].batch);
        // The same with nobody who calls.
        add(2 * YEAR);
        assert_eq!(lines(counting.take(at(240), false))[0].starts_at, at(240));
        add(240);
        assert_eq!(lines(counting.take(at(300), false)).len(), 1);
    }

    #[test]
    fn refused_credentials_are_no_calls() {
        let (counting, tenant) = (Counting::new(NARROW), tenant());
        counting.refuse(&context("usage", &tenant), at(0));
        counting.refuse(&context("usage", &tenant), at(1));
        let lines = lines(counting.take(at(60), false));
        let [line] = &lines[..] else { panic!("{lines:?}") };
        assert_eq!(
            (&*line.principal, line.figures.denied.credentials, line.figures.calls),
            (UNAUTHENTICATED, 2, 0)
        );
    }
}
