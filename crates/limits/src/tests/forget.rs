//! Principals that are no more leave nothing, and others keep what they have.

use std::sync::Arc;
use std::time::Duration;

use stagedoor_domain::policy::{LimitClass, PenaltyStep, Quota};
use stagedoor_domain::{Clock, TenantContext};

use super::{KEY, OTHER_KEY, Server, context_with, manual_clock, server, settings};
use crate::{LeaseOptions, Limiter, SharedOptions};

/// A key that may call twice an hour and is penalised for the third call.
fn strict(tenant: u128, key: &str) -> TenantContext {
    let mut settings = settings(&[(LimitClass::Api, &[Quota::per_hour(2)])]);
    settings.penalties = Some(vec![PenaltyStep { refusals: 1, within_seconds: 60, block_seconds: 600 }]);
    context_with(tenant, key, settings)
}

async fn keys_of(server: &Server, principal: &str) -> usize {
    let client = redis::Client::open(server.redis.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let pattern = format!("*{principal}*");
    let keys: Vec<String> = redis::cmd("KEYS").arg(pattern).query_async(&mut connection).await.unwrap();
    keys.len()
}

async fn use_up(limiter: &Limiter, ctx: &TenantContext) {
    while limiter.admit(ctx, LimitClass::Api).await.admitted {}
    assert!(limiter.look(ctx).await.penalty.is_some());
}

#[tokio::test]
async fn a_forgotten_principal_leaves_nothing_in_redis_or_here() {
    let (server, clock) = (server().await, manual_clock());
    let options = SharedOptions { leases: LeaseOptions::of(10), minimum_replicas: 1 };
    let link = server.link(Arc::clone(&clock) as Arc<dyn Clock>);
    let limiter = Limiter::redis(link, options, Arc::clone(&clock) as _);
    let (gone, stays, elsewhere) = (strict(1, KEY), strict(1, OTHER_KEY), strict(2, KEY));
    for ctx in [&gone, &stays, &elsewhere] {
        use_up(&limiter, ctx).await;
    }
    assert_eq!(keys_of(&server, KEY).await, 4, "buckets and refusals, at two tenants");
    let principals = [gone.principal().kind.clone()];
    assert_eq!(limiter.forget(&gone, &principals).await.unwrap(), 2);
    assert_eq!(limiter.forget(&gone, &principals).await.unwrap(), 0, "again is as well");
    assert_eq!(limiter.forget(&gone, &[]).await.unwrap(), 0);
    assert_eq!(keys_of(&server, KEY).await, 2, "the other tenant's key of that name");
    for ctx in [&stays, &elsewhere] {
        assert!(limiter.look(ctx).await.penalty.is_some());
    }
    assert!(limiter.admit(&gone, LimitClass::Api).await.admitted, "it would begin anew");

    server.redis.kill().await;
    clock.advance(Duration::from_secs(1));
    assert!(limiter.forget(&gone, &principals).await.is_err(), "to be tried again");
}

#[tokio::test]
async fn one_replica_forgets_without_redis() {
    let limiter = Limiter::local(manual_clock());
    let (gone, stays) = (strict(1, KEY), strict(1, OTHER_KEY));
    for ctx in [&gone, &stays] {
        use_up(&limiter, ctx).await;
    }
    assert_eq!(limiter.forget(&gone, &[gone.principal().kind.clone()]).await.unwrap(), 0);
    assert!(limiter.look(&gone).await.penalty.is_none());
    assert!(limiter.look(&stays).await.penalty.is_some());
}
