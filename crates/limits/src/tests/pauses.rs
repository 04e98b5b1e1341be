//! Pauses that services ask for: shared, never shortened, known here without Redis.

use std::sync::Arc;
use std::time::Duration;

use stagedoor_domain::{Clock, Provider};

use super::{KEY, context, manual_clock, server};
use crate::{PauseKey, ProviderPauses};

fn key(client: &str) -> PauseKey {
    PauseKey { provider: Provider::Spotify, client: client.into() }
}

#[tokio::test]
async fn what_one_replica_was_told_holds_for_all() {
    let server = server().await;
    let clock = manual_clock();
    let pauses =
        || ProviderPauses::redis(server.link(Arc::clone(&clock) as Arc<dyn Clock>), Arc::clone(&clock) as _);
    let (one, other) = (pauses(), pauses());
    let ctx = context(1, KEY, &[]);
    assert_eq!(one.remaining(&ctx, &key("a1")).await, None);
    one.pause(&ctx, &key("a1"), Duration::from_secs(30)).await;
    one.pause(&ctx, &key("a1"), Duration::from_secs(5)).await;
    let left = other.remaining(&ctx, &key("a1")).await.unwrap();
    assert!(left > Duration::from_secs(20) && left <= Duration::from_secs(30), "{left:?}");
    assert_eq!(other.remaining(&ctx, &key("b2")).await, None, "another client");
    assert_eq!(other.remaining(&context(2, KEY, &[]), &key("a1")).await, None, "another tenant");

    server.redis.kill().await;
    assert!(other.remaining(&ctx, &key("a1")).await.is_some(), "it was told before");
    one.pause(&ctx, &key("c3"), Duration::from_secs(9)).await;
    assert_eq!(one.remaining(&ctx, &key("c3")).await, Some(Duration::from_secs(9)));
    clock.advance(Duration::from_secs(31));
    assert_eq!(other.remaining(&ctx, &key("a1")).await, None);
}
