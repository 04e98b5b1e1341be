//! The Redis of the cache and that of limits: whether they answer, and whether the one for limits keeps what it is given.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use serde_json::json;
use stagedoor_bootstrap::config::SecretUrl;
use stagedoor_domain::error::Chain;
use stagedoor_domain::health::{REDIS_MEMORY_PERCENT, Verdict};
use stagedoor_redis_link::{RedisLink, RedisOptions, ServerFacts};
use stagedoor_storage::replicas::LIVE_WITHIN;

use super::database::percent;
use super::{Check, Finding, Rooms};

/// A doctor has more patience than a call.
const PATIENCE: Duration = Duration::from_secs(2);
/// The only policy under which a bucket of limits is never forgotten.
const KEEPS_ALL: &str = "noeviction";
const MIB: u64 = 1 << 20;

impl Rooms<'_> {
    pub(super) async fn redis(&self) -> Vec<Finding> {
        let (cache, limits) = (&self.config.cache, &self.config.rate_limiting);
        // That the database does not answer is told by the check of its own.
        let live = match self.store() {
            Some(store) => store.live_replicas(LIVE_WITHIN).await.map_or(0, |replicas| replicas.len()),
            None => 0,
        };
        let mut found = Vec::new();
        for (check, url, cluster) in [
            (Check::Cache, cache.redis_url.as_ref(), cache.redis_cluster),
            (Check::Limits, limits.redis_url.as_ref(), limits.redis_cluster),
        ] {
            found.push(match self.server(check, url, cluster).await {
                None => without(check, live),
                Some(Ok(facts)) => judged(check, &facts),
                Some(Err(reason)) => check.failed(reason),
            });
        }
        found
    }

    /// What the Redis of a check says of itself, if there is one.
    pub(super) async fn server(
        &self,
        check: Check,
        url: Option<&SecretUrl>,
        cluster: bool,
    ) -> Option<Result<ServerFacts, String>> {
        let options = RedisOptions {
            url: SecretString::from(url?.expose()),
            command_timeout: PATIENCE,
            cluster,
            purpose: check.as_str(),
        };
        let link = match RedisLink::new(&options, Arc::clone(&self.clock)) {
            Ok(link) => link,
            Err(error) => return Some(Err(Chain(&error).to_string())),
        };
        Some(link.server_facts().await.map_err(|error| Chain(&error).to_string()))
    }
}

/// Replicas that share nothing do not know of each other's writes and admit each a whole quota.
fn without(check: Check, live: usize) -> Finding {
    if live > 1 {
        return check.failed(format_args!("no Redis is set up, and {live} replicas are there"));
    }
    check.found(Verdict::Ok, "no Redis is set up: this must be a single replica")
}

fn judged(check: Check, facts: &ServerFacts) -> Finding {
    let policy = facts.eviction.as_deref().unwrap_or("not told");
    let used = facts.most_bytes.map(|most| percent(facts.used_bytes, most));
    let keeps = policy == KEEPS_ALL;
    let mut told = format!("answers; {} MiB in use, eviction {policy}", facts.used_bytes / MIB);
    let mut verdict = Verdict::Ok;
    if check == Check::Limits && !keeps && facts.eviction.is_some() {
        verdict = Verdict::Failing;
        told += ": buckets are forgotten when memory is short; set maxmemory-policy to noeviction";
    }
    if check == Check::Limits && facts.eviction.is_none() {
        verdict = Verdict::Warning;
        told += ": it does not say whether it forgets buckets when memory is short";
    }
    // What evicts is full by design.
    if let Some(used) = used.filter(|_| keeps) {
        verdict = verdict.max(REDIS_MEMORY_PERCENT.judge(used));
        told = format!("{told}, {used} % of its memory");
    }
    check.found(verdict, told).with(json!({
        "used_bytes": facts.used_bytes, "most_bytes": facts.most_bytes, "eviction": facts.eviction,
    }))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn facts(eviction: &str, used: u64, most: Option<u64>) -> ServerFacts {
        let now = DateTime::UNIX_EPOCH;
        ServerFacts { now, eviction: Some(eviction.to_owned()), used_bytes: used, most_bytes: most }
    }

    #[test]
    fn limits_must_not_be_evicted_and_a_cache_may() {
        let verdict = |check, eviction| judged(check, &facts(eviction, 1, None)).verdict;
        assert_eq!(verdict(Check::Limits, "noeviction"), Verdict::Ok);
        assert_eq!(verdict(Check::Limits, "allkeys-lru"), Verdict::Failing);
        assert_eq!(verdict(Check::Cache, "allkeys-lru"), Verdict::Ok);
        let silent = |check| judged(check, &ServerFacts { eviction: None, ..facts("", 1, None) }).verdict;
        assert_eq!([silent(Check::Limits), silent(Check::Cache)], [Verdict::Warning, Verdict::Ok]);
    }

    #[test]
    fn only_a_single_replica_needs_no_redis() {
        let verdict = |live| without(Check::Limits, live).verdict;
        assert_eq!([0, 1, 2].map(verdict), [Verdict::Ok, Verdict::Ok, Verdict::Failing]);
    }

    #[test]
    fn memory_counts_where_nothing_is_evicted() {
        let verdict = |eviction, used| judged(Check::Cache, &facts(eviction, used, Some(100))).verdict;
        assert_eq!(verdict("noeviction", 80), Verdict::Ok);
        assert_eq!(verdict("noeviction", 81), Verdict::Warning);
        assert_eq!(verdict("noeviction", 96), Verdict::Failing);
        assert_eq!(verdict("allkeys-lfu", 96), Verdict::Ok);
    }
}
