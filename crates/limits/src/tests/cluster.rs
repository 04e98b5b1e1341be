//! Every script on a real Redis Cluster, for so many tenants that all of its nodes are asked.

use std::sync::Arc;
use std::time::Duration;

use stagedoor_bootstrap::private_servers::PrivateRedisCluster;
use stagedoor_domain::policy::{LimitClass, PenaltyStep, Quota};
use stagedoor_domain::{Clock, Provider, TenantContext, TenantId};
use stagedoor_redis_link::{RedisLink, RedisOptions};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Counting, KEY, context_with, manual_clock, settings};
use crate::outage::Phase;
use crate::{AttemptGuard, AttemptPolicy, Attempts, Backend, LeaseOptions, Limiter, PauseKey};
use crate::{ProviderPauses, SharedOptions};

const TENANTS: u128 = 30;

fn tenant(number: u128) -> TenantContext {
    let mut settings = settings(&[
        (LimitClass::Api, &[Quota::per_hour(100)]),
        (LimitClass::Search, &[Quota::per_hour(3), Quota::per_minute(3)]),
    ]);
    settings.tenant_limits.insert(LimitClass::Search, vec![Quota::per_hour(5)]);
    settings.penalties = Some(vec![PenaltyStep { refusals: 2, within_seconds: 60, block_seconds: 600 }]);
    context_with(number, KEY, settings)
}

#[tokio::test]
async fn every_call_stays_in_one_slot() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = PrivateRedisCluster::start(folder.path()).await.unwrap();
    let clock = manual_clock();
    let options = RedisOptions {
        cluster: true,
        command_timeout: Duration::from_secs(10),
        ..RedisOptions::new(cluster.urls())
    };
    let link = Arc::new(RedisLink::new(&options, Arc::clone(&clock) as Arc<dyn Clock>).unwrap());
    let options = SharedOptions { leases: LeaseOptions::of(10), minimum_replicas: 1 };
    let limiter = Limiter::redis(Arc::clone(&link), options, Arc::clone(&clock) as _);
    let pauses = ProviderPauses::redis(Arc::clone(&link), Arc::clone(&clock) as _);
    let attempts = AttemptGuard::redis(link, AttemptPolicy::default(), Arc::clone(&clock) as _);
    let key = PauseKey { provider: Provider::Spotify, client: "a1".into() };

    for number in 1..=TENANTS {
        let ctx = tenant(number);
        let mut admitted = 0;
        for _ in 0..5 {
            let decision = limiter.admit(&ctx, LimitClass::Search).await;
            assert_eq!(decision.backend, Backend::Redis);
            admitted += u32::from(decision.admitted);
        }
        assert_eq!(admitted, 3);
        assert_eq!(limiter.look(&ctx).await.penalty.unwrap().length, Duration::from_mins(10));
        pauses.pause(&ctx, &key, Duration::from_secs(9)).await;
        let network = Attempts::new(TenantId(Uuid::from_u128(number)), "192.0.2.1".parse().unwrap());
        attempts.record_failure(&network).await.unwrap();
    }

    let calls = |number| tenant(TENANTS + number);
    let outage = async {
        // There is none before the heartbeat watches.
        while limiter.phase() == Some(Phase::Shared) {
            limiter.begin_outage();
            tokio::task::yield_now().await;
        }
        for number in 1..=TENANTS {
            assert_eq!(limiter.admit(&calls(number), LimitClass::Api).await.backend, Backend::Degraded);
        }
        while limiter.phase() != Some(Phase::Shared) {
            clock.advance(Duration::from_millis(100));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        for number in 1..=TENANTS {
            assert_eq!(limiter.look(&calls(number)).await.buckets[0].remaining, 99, "the debt was charged");
        }
    };
    let shutdown = CancellationToken::new();
    let beats = limiter.replicas(&Counting(1)).unwrap().run(shutdown.clone());
    tokio::join!(beats, async {
        outage.await;
        shutdown.cancel();
    });
}
