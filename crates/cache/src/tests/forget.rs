//! A person who is forgotten leaves nothing: not in the memory of any replica, not in Redis, not by a fetch that is
//! under way.

use std::sync::Arc;
use std::time::Duration;

use stagedoor_bootstrap::private_servers::PrivateRedisCluster;
use stagedoor_crypto::SystemEntropy;
use stagedoor_domain::{CacheClass, Clock, Provider, TenantContext};
use tokio::time::sleep;

use super::{
    Server, TestSealer, answer, ask, catalogue, context, forgiving, local, manual_clock, playlists, reuse,
    running, server, user,
};
use crate::{Cache, CacheKey, CacheOptions, DataScope, Level, Reader, RedisOptions};

/// What the person asked another provider, in another class.
fn elsewhere(ctx: &TenantContext, number: u32) -> CacheKey {
    let reader = Reader::User { user: user(1), scope: DataScope::Library };
    CacheKey::new(ctx, CacheClass::Playlist, "saved", &number, reader, Provider::Tidal).unwrap()
}

async fn until_it_has(cache: &Cache, entries: u64) {
    loop {
        cache.settle().await;
        if cache.counters().l1_entries == entries {
            return;
        }
        sleep(Duration::from_millis(5)).await;
    }
}

async fn naming(server: &Server, text: &str) -> Vec<String> {
    let pattern = format!("*{text}*");
    let mut connection = server.connection().await;
    redis::cmd("KEYS").arg(pattern).query_async(&mut connection).await.unwrap()
}

#[tokio::test]
async fn nothing_that_names_the_person_is_left_on_any_replica_or_in_redis() {
    let (server, ctx, clock) = (server().await, context(8), manual_clock());
    let (one, two) = (running(server.cache(&clock)), running(server.cache(&clock)));
    let other_tenant = context(9);
    for cache in [&one, &two] {
        for key in [playlists(&ctx, 1), elsewhere(&ctx, 1), playlists(&ctx, 2), catalogue(&ctx, "miles")] {
            ask(cache, &ctx, &key, "answer").await;
        }
        ask(cache, &other_tenant, &playlists(&other_tenant, 1), "another tenant's").await;
    }
    // One that was stored by a process that did not live to note it, and a lock.
    let (tenant, person) = (ctx.tenant_id(), user(1));
    let left = format!("sd:{tenant}:cache:v2:playlist:list:{{00ff}}:user.{person}.playlists.1.1");
    server.overwrite(&left, b"sealed").await;
    server.overwrite(&left.replacen(":cache:", ":flight:", 1), b"lock").await;
    for number in 0..1_200 {
        server.overwrite(&left.replacen("00ff", &number.to_string(), 1), b"sealed").await;
    }

    let gone = one.forget_person(&ctx, person).await.unwrap();
    assert_eq!(
        gone,
        1_201 + 1 + 1,
        "entries, the lock, and the person's numbers; the indexes were empty by then"
    );
    let names: Vec<String> = naming(&server, &format!("{tenant}*{person}")).await;
    assert_eq!(names, Vec::<String>::new());
    for cache in [&one, &two] {
        until_it_has(cache, 3).await;
        assert_eq!(ask(cache, &ctx, &playlists(&ctx, 2), "").await.level, Level::L1);
        assert_eq!(ask(cache, &other_tenant, &playlists(&other_tenant, 1), "").await.level, Level::L1);
    }
    assert!(!naming(&server, &format!("{}*{person}", other_tenant.tenant_id())).await.is_empty());
    // Again is as well; what the telling itself makes goes too.
    one.forget_person(&ctx, person).await.unwrap();
    assert_eq!(naming(&server, &format!("{tenant}*{person}")).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_fetch_that_ends_after_the_person_is_forgotten_leaves_nothing() {
    let (server, ctx, clock) = (server().await, context(8), manual_clock());
    for cache in [local(&clock), server.cache(&clock)] {
        let key = playlists(&ctx, 1);
        let fetch = async {
            cache.forget_person(&ctx, user(1)).await.unwrap();
            Ok::<_, ()>(answer("from before"))
        };
        Box::pin(cache.get_or_fetch(&ctx, reuse(&key), fetch, forgiving(|()| false))).await.unwrap();
        until_it_has(&cache, 0).await;
    }
    assert_eq!(naming(&server, &user(1).to_string()).await, Vec::<String>::new());
}

/// What a call does that is still under way, on whichever replica: it looks numbers up, and raises them.
#[tokio::test]
async fn whoever_is_late_leaves_no_numbers_of_the_person() {
    let (server, ctx, clock) = (server().await, context(8), manual_clock());
    let (one, two) = (running(server.cache(&clock)), running(server.cache(&clock)));
    for cache in [&one, &two] {
        assert!(cache.preferences_generation(&ctx, user(1)).await.is_some());
    }
    one.forget_person(&ctx, user(1)).await.unwrap();
    for cache in [&one, &two] {
        assert_eq!(cache.preferences_generation(&ctx, user(1)).await, None);
        cache.bump_preferences(&ctx, user(1)).await.unwrap();
        cache.bump(&ctx, user(1), Provider::Tidal, DataScope::Library).await.unwrap();
        let key = playlists(&ctx, 1);
        ask(cache, &ctx, &key, "late").await;
        assert_eq!(cache.account_generation(&ctx, user(1), Provider::Tidal).await, None);
    }
    assert_eq!(naming(&server, &user(1).to_string()).await, Vec::<String>::new());
    assert!(one.preferences_generation(&ctx, user(2)).await.is_some(), "nobody else's");
}

#[tokio::test]
async fn without_redis_it_says_that_it_is_not_done() {
    let (server, ctx) = (server().await, context(1));
    let clock = Arc::new(stagedoor_domain::SystemClock::new());
    let options =
        CacheOptions { redis: Some(RedisOptions::new(server.redis.url())), ..CacheOptions::default() };
    let cache = Cache::new(&options, None, clock, Arc::new(SystemEntropy)).unwrap();
    server.redis.kill().await;
    assert!(cache.forget_person(&ctx, user(1)).await.is_err());
}

#[tokio::test]
async fn every_node_of_a_cluster_is_searched() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = PrivateRedisCluster::start(folder.path()).await.unwrap();
    let redis = RedisOptions {
        command_timeout: Duration::from_secs(10),
        cluster: true,
        ..RedisOptions::new(cluster.urls())
    };
    let options = CacheOptions { redis: Some(redis), ..CacheOptions::default() };
    let clock = manual_clock() as Arc<dyn Clock>;
    let cache =
        running(Cache::new(&options, Some(Arc::new(TestSealer)), clock, Arc::new(SystemEntropy)).unwrap());
    let ctx = context(8);
    let link = &cache.level_two.as_ref().unwrap().link;
    assert_eq!(link.scan_places().await.unwrap().len(), 3);
    for number in 0..60 {
        ask(&cache, &ctx, &elsewhere(&ctx, number), "answer").await;
        let mut set = redis::cmd("SET");
        let (tenant, person) = (ctx.tenant_id(), user(1));
        set.arg(format!("sd:{tenant}:cache:v2:playlist:list:{{{number}}}:user.{person}.playlists.1.1"))
            .arg("x");
        link.run(|mut connection| async move { set.exec_async(&mut connection).await }).await.unwrap();
    }
    assert_eq!(cache.forget_person(&ctx, user(1)).await.unwrap(), 61);
    for node in cluster.nodes() {
        let client = redis::Client::open(node.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let pattern = format!("*{}*", user(1));
        let keys: Vec<String> = redis::cmd("KEYS").arg(pattern).query_async(&mut connection).await.unwrap();
        assert_eq!(keys, Vec::<String>::new());
    }
}
