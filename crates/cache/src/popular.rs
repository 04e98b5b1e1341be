//! Which catalogue answers are asked for most: counted in bounded memory, added up over the replicas in Redis with
//! older counts fading, and read at the start of a replica.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::Script;
use stagedoor_domain::TenantId;
use stagedoor_redis_link::{RedisLink, Unavailable};

use crate::counters::Counts;
use crate::key::Prefix;

/// Keys that are counted at a time.
const COUNTED: usize = 1_000;
/// One in so many calls is counted, so many times.
const SAMPLED: u64 = 8;
/// Keys that Redis remembers of a tenant, and tenants.
const KEYS_KEPT: usize = 200;
const TENANTS_KEPT: usize = 1_000;
/// After so long a count weighs half, and after so long without any the list is gone.
const HALF_LIFE: Duration = Duration::from_hours(24);
const KEPT: Duration = Duration::from_hours(30 * 24);

/// The Space-Saving algorithm (Metwally et al., "Efficient Computation of Frequent and Top-k Elements in Data
/// Streams", ICDT 2005): a key that is not among the counted takes the place and the count of the least of them.
#[derive(Debug, Default)]
pub(crate) struct Popular {
    calls: AtomicU64,
    counted: Mutex<HashMap<Arc<str>, Seen>>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    tenant: TenantId,
    times: u64,
    /// What it may be too high by.
    error: u64,
}

impl Popular {
    /// Counts a call for a catalogue answer, if it is this call's turn.
    pub(crate) fn note(&self, tenant: TenantId, key: &str) {
        if self.calls.fetch_add(1, Ordering::Relaxed).is_multiple_of(SAMPLED) {
            // Whoever finds it taken goes on: a few lost counts change no order.
            if let Ok(mut counted) = self.counted.try_lock() {
                count(&mut counted, tenant, key);
            }
        }
    }

    /// What was counted since the last time, by tenant: keys without their prefix.
    pub(crate) fn take(&self) -> HashMap<TenantId, Vec<(String, u64)>> {
        let counted = std::mem::take(&mut *self.counted.lock().unwrap_or_else(PoisonError::into_inner));
        let mut tenants: HashMap<TenantId, Vec<(String, u64)>> = HashMap::new();
        for (key, Seen { tenant, times, error }) in counted {
            let surely = times - error;
            if let Some(name) = key.strip_prefix(&Prefix(tenant).to_string()).filter(|_| surely > 0) {
                tenants.entry(tenant).or_default().push((name.to_owned(), surely));
            }
        }
        tenants
    }
}

fn count(counted: &mut HashMap<Arc<str>, Seen>, tenant: TenantId, key: &str) {
    if let Some(found) = counted.get_mut(key) {
        found.times += SAMPLED;
        return;
    }
    let mut error = 0;
    if counted.len() >= COUNTED {
        let least = counted.iter().min_by_key(|(_, found)| found.times);
        if let Some((least, found)) = least.map(|(key, found)| (Arc::clone(key), *found)) {
            counted.remove(&least);
            error = found.times;
        }
    }
    counted.insert(key.into(), Seen { tenant, times: error + SAMPLED, error });
}

/// The counts of all replicas.
#[derive(Debug)]
pub(crate) struct SharedPopular {
    link: Arc<RedisLink>,
    counts: Arc<Counts>,
    script: Script,
}

impl SharedPopular {
    pub(crate) fn new(link: Arc<RedisLink>, counts: Arc<Counts>) -> Self {
        Self { link, counts, script: Script::new(include_str!("popular.lua")) }
    }

    /// Adds what was counted here.
    pub(crate) async fn add(&self, counts: HashMap<TenantId, Vec<(String, u64)>>) -> Result<(), Unavailable> {
        let mut tenants = Vec::with_capacity(counts.len());
        for (tenant, keys) in counts {
            tenants.push((tenant.to_string(), keys.iter().map(|(_, count)| count).sum()));
            self.write(&format!("sd:{{{tenant}}}:cache:popular"), KEYS_KEPT, &keys).await?;
        }
        if tenants.is_empty() {
            return Ok(());
        }
        self.write(TENANTS, TENANTS_KEPT, &tenants).await
    }

    /// The keys of a tenant that are asked for most, without their prefix, the most popular first.
    pub(crate) async fn keys(&self, tenant: TenantId, most: usize) -> Result<Vec<String>, Unavailable> {
        self.read(&format!("sd:{{{tenant}}}:cache:popular"), most).await
    }

    /// The tenants whose catalogue answers are asked for most.
    pub(crate) async fn tenants(&self, most: usize) -> Result<Vec<TenantId>, Unavailable> {
        let tenants = self.read(TENANTS, most).await?;
        Ok(tenants.iter().filter_map(|tenant| tenant.parse().ok().map(TenantId)).collect())
    }

    async fn write(&self, list: &str, kept: usize, counts: &[(String, u64)]) -> Result<(), Unavailable> {
        let mut call = self.script.key(format!("{list}:v1"));
        call.key(format!("{list}:faded:v1"));
        call.arg(KEPT.as_secs()).arg(HALF_LIFE.as_secs()).arg(kept);
        for (member, count) in counts {
            call.arg(member).arg(*count);
        }
        self.counts.trips_beside.add();
        self.link.run(|mut connection| async move { call.invoke_async::<()>(&mut connection).await }).await
    }

    async fn read(&self, list: &str, most: usize) -> Result<Vec<String>, Unavailable> {
        let Some(last) = most.checked_sub(1) else { return Ok(Vec::new()) };
        let mut command = redis::cmd("ZREVRANGE");
        command.arg(format!("{list}:v1")).arg(0).arg(last);
        self.link.run(|mut connection| async move { command.query_async(&mut connection).await }).await
    }
}

/// The tag keeps both keys in one slot of a cluster; each tenant's list is tagged with the tenant.
const TENANTS: &str = "sd:{cache}:tenants";

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn what_is_asked_for_often_stays_counted_among_very_many() {
        let (popular, tenant) = (Popular::default(), TenantId(Uuid::from_u128(1)));
        let key = |number: u32| format!("{}{number}", Prefix(tenant));
        // Of every ten keys that are counted one is the first.
        for number in 0..50_000 {
            let often = number / u32::try_from(SAMPLED).unwrap() % 10 == 0;
            popular.note(tenant, &key(if often { 0 } else { number + 1 }));
            assert!(popular.counted.lock().unwrap().len() <= COUNTED);
        }
        let taken = popular.take();
        let most = taken[&tenant].iter().max_by_key(|(_, times)| *times).unwrap();
        assert_eq!(*most, ("0".to_owned(), 5_000));
        assert!(popular.take().is_empty());
    }
}
