//! What the cache does for each tenant: counted here, and with Redis added up over the replicas by the UTC day.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use redis::Script;
use stagedoor_domain::{CacheClass, Clock, Entropy, TenantContext, TenantId};
use stagedoor_redis_link::{RedisLink, Unavailable};

use crate::counters::{ByClass, Counts, Outcome, RunningCalls};

/// How long the counts of a day stay in Redis.
const DAYS_KEPT: Duration = Duration::from_hours(72);

/// What the cache did for one tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheUsage {
    /// Counted from then on: the beginning of the UTC day, or the start of this replica.
    pub since: DateTime<Utc>,
    /// Whether the calls are those of all replicas; otherwise those of this one.
    pub replicas: bool,
    /// Calls by class and outcome.
    pub calls: ByClass,
    /// Bytes of the tenant's answers in this replica, keys and overhead included.
    pub l1_bytes: u64,
    /// The tenant's answers in this replica.
    pub l1_entries: u64,
    /// The tenant's answers that this replica dropped for room since its start.
    pub l1_evictions: u64,
}

/// The counts of all tenants that this replica has served. As many as there are tenants; none is forgotten.
#[derive(Debug)]
pub(crate) struct Usages {
    tenants: RwLock<HashMap<TenantId, Arc<TenantUsage>>>,
    shared: Option<SharedUsage>,
    clock: Arc<dyn Clock>,
    started: DateTime<Utc>,
}

/// The running counts of one tenant.
#[derive(Debug, Default)]
pub(crate) struct TenantUsage {
    pub(crate) calls: RunningCalls,
    bytes: AtomicU64,
    entries: AtomicU64,
    evictions: AtomicU64,
    flushed: Mutex<Flushed>,
}

/// What has been written to Redis, and what is on its way there.
#[derive(Debug, Default)]
struct Flushed {
    done: ByClass,
    batch: Option<Batch>,
    last: u64,
}

/// Counts under a number: written again after a lost answer, they are not counted twice.
#[derive(Debug, Clone)]
struct Batch {
    number: u64,
    day: Day,
    calls: ByClass,
}

#[derive(Debug, Clone, Copy)]
struct Day(DateTime<Utc>);

#[derive(Debug)]
struct SharedUsage {
    link: Arc<RedisLink>,
    counts: Arc<Counts>,
    script: Script,
    /// This process, among all that write.
    writer: String,
}

impl TenantUsage {
    /// An entry came into level 1.
    pub(crate) fn held(&self, weight: u32) {
        self.bytes.fetch_add(u64::from(weight), Ordering::Relaxed);
        self.entries.fetch_add(1, Ordering::Relaxed);
    }

    /// An entry left level 1.
    pub(crate) fn released(&self, weight: u32, for_room: bool) {
        self.bytes.fetch_sub(u64::from(weight), Ordering::Relaxed);
        self.entries.fetch_sub(1, Ordering::Relaxed);
        if for_room {
            self.evictions.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What is to be written now: what was on its way and is not known to have arrived, or what came since.
    fn batch(&self, today: DateTime<Utc>) -> Option<Batch> {
        let mut flushed = self.flushed.lock().unwrap_or_else(PoisonError::into_inner);
        if flushed.batch.is_none() {
            let calls = self.calls.read().since(&flushed.done);
            if calls != ByClass::default() {
                flushed.last += 1;
                flushed.batch = Some(Batch { number: flushed.last, day: Day(today), calls });
            }
        }
        flushed.batch.clone()
    }

    fn arrived(&self, batch: &Batch) {
        let mut flushed = self.flushed.lock().unwrap_or_else(PoisonError::into_inner);
        if flushed.batch.as_ref().is_some_and(|waiting| waiting.number == batch.number) {
            flushed.done = flushed.done.plus(&batch.calls);
            flushed.batch = None;
        }
    }

    /// What Redis does not know of yet.
    fn unwritten(&self) -> ByClass {
        let done = self.flushed.lock().unwrap_or_else(PoisonError::into_inner).done;
        self.calls.read().since(&done)
    }
}

impl Usages {
    pub(crate) fn new(
        link: Option<Arc<RedisLink>>,
        counts: Arc<Counts>,
        clock: Arc<dyn Clock>,
        entropy: &dyn Entropy,
    ) -> Self {
        let mut writer = [0; 16];
        entropy.fill(&mut writer);
        let writer = format!("writer.{:032x}", u128::from_be_bytes(writer));
        let shared = link.map(|link| {
            let script = Script::new(include_str!("usage.lua"));
            SharedUsage { link, counts, script, writer }
        });
        Self { tenants: RwLock::default(), shared, started: clock.now(), clock }
    }

    /// The running counts of a tenant.
    pub(crate) fn of(&self, tenant: TenantId) -> Arc<TenantUsage> {
        let known = self.tenants.read().unwrap_or_else(PoisonError::into_inner).get(&tenant).cloned();
        known.unwrap_or_else(|| {
            let mut tenants = self.tenants.write().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(tenants.entry(tenant).or_default())
        })
    }

    /// What was done for the tenant: by all replicas today, or by this one since its start if Redis does not say.
    pub(crate) async fn read(&self, ctx: &TenantContext) -> CacheUsage {
        let usage = self.of(ctx.tenant_id());
        let today = Day(self.clock.now());
        let all = match &self.shared {
            Some(shared) => shared.read(ctx.tenant_id(), today).await.ok(),
            None => None,
        };
        let (since, calls) = match &all {
            Some(written) => (today.begin(), written.plus(&usage.unwritten())),
            None => (self.started, usage.calls.read()),
        };
        CacheUsage {
            since,
            replicas: all.is_some(),
            calls,
            l1_bytes: usage.bytes.load(Ordering::Relaxed),
            l1_entries: usage.entries.load(Ordering::Relaxed),
            l1_evictions: usage.evictions.load(Ordering::Relaxed),
        }
    }

    /// Writes what Redis does not know of yet.
    pub(crate) async fn flush(&self) -> Result<(), Unavailable> {
        let Some(shared) = &self.shared else { return Ok(()) };
        let tenants: Vec<_> = {
            let tenants = self.tenants.read().unwrap_or_else(PoisonError::into_inner);
            tenants.iter().map(|(tenant, usage)| (*tenant, Arc::clone(usage))).collect()
        };
        for (tenant, usage) in tenants {
            if let Some(batch) = usage.batch(self.clock.now()) {
                shared.write(tenant, &batch).await?;
                usage.arrived(&batch);
            }
        }
        Ok(())
    }
}

impl SharedUsage {
    async fn write(&self, tenant: TenantId, batch: &Batch) -> Result<(), Unavailable> {
        let mut call = self.script.key(key(tenant, batch.day));
        call.arg(DAYS_KEPT.as_secs()).arg(&self.writer).arg(batch.number);
        for (class, counts) in batch.calls.iter() {
            for outcome in Outcome::ALL.iter().filter(|outcome| counts.get(**outcome) > 0) {
                call.arg(field(class, *outcome)).arg(counts.get(*outcome));
            }
        }
        self.counts.trips_beside.add();
        self.link.run(|mut connection| async move { call.invoke_async::<()>(&mut connection).await }).await
    }

    async fn read(&self, tenant: TenantId, day: Day) -> Result<ByClass, Unavailable> {
        let mut command = redis::cmd("HMGET");
        command.arg(key(tenant, day));
        for class in CacheClass::ALL {
            for outcome in Outcome::ALL {
                command.arg(field(*class, *outcome));
            }
        }
        let answer =
            self.link.run(|mut connection| async move { command.query_async(&mut connection).await });
        let counts: Vec<Option<u64>> = answer.await?;
        let mut counts = counts.into_iter();
        let mut calls = ByClass::default();
        for class in CacheClass::ALL {
            for outcome in Outcome::ALL {
                calls.add(*class, *outcome, counts.next().flatten().unwrap_or_default());
            }
        }
        Ok(calls)
    }
}

impl Day {
    fn begin(self) -> DateTime<Utc> {
        self.0.date_naive().and_time(chrono::NaiveTime::MIN).and_utc()
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.format("%Y%m%d"))
    }
}

fn key(tenant: TenantId, day: Day) -> String {
    format!("sd:{tenant}:cache:usage:v1:{day}")
}

fn field(class: CacheClass, outcome: Outcome) -> String {
    format!("{class}.{}", outcome.as_str())
}
