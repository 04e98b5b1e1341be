//! The cache's Redis removes by itself, by age and when it is full. This looks whether it can.

use std::sync::Arc;

use secrecy::SecretString;
use stagedoor_redis_link::{RedisLink, RedisOptions};

use crate::jobs::JobError;
use crate::keeper::Keeper;
use crate::run::Run;

pub(super) async fn watch(keeper: &Keeper, run: &Run) -> Result<(), JobError> {
    let cache = &keeper.config.cache;
    let Some(url) = &cache.redis_url else { return Ok(()) };
    let options = RedisOptions {
        url: SecretString::from(url.expose()),
        command_timeout: cache.command_timeout(),
        cluster: cache.redis_cluster,
        purpose: "cache",
    };
    let link = RedisLink::new(&options, Arc::clone(&keeper.clock)).map_err(anyhow::Error::from)?;
    let facts = match link.server_facts().await {
        Ok(facts) => facts,
        Err(error) => {
            run.failed("cache.redis_url", error);
            return Ok(());
        }
    };
    run.count("cache_used_bytes", facts.used_bytes);
    run.count("cache_most_bytes", facts.most_bytes.unwrap_or(0));
    let evicts = facts.eviction.as_deref().is_some_and(|policy| policy != "noeviction");
    if facts.most_bytes.is_none() {
        run.remark("cache.redis_url: the server has no maxmemory, so only age removes what is cached");
    } else if !evicts {
        run.failed(
            "cache.redis_url",
            "its maxmemory-policy is noeviction: once it is full, nothing is cached",
        );
    }
    Ok(())
}
