//! How long a music service asked to wait, shared by all replicas: a pause that one was told holds for all.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::cmd;
use stagedoor_domain::{Clock, Provider, TenantContext, TenantId};
use stagedoor_redis_link::RedisLink;

use crate::script::Program;

/// What is paused: one client id at one origin of one service. The tenant comes from the context.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PauseKey {
    /// The service.
    pub provider: Provider,
    /// A digest of client id and origin, as hexadecimal digits; at most 64 count.
    pub client: Box<str>,
}

/// The pauses that hold now. Never fails: without Redis this process knows its own.
#[derive(Debug)]
pub struct ProviderPauses {
    here: Mutex<HashMap<(TenantId, PauseKey), Duration>>,
    shared: Option<(Arc<RedisLink>, Program)>,
    clock: Arc<dyn Clock>,
}

/// Pauses remembered here at most; beyond it those that are over are dropped, and then all.
const MOST: usize = 10_000;
/// The longest pause; a service that asks for more is asked again after it.
const LONGEST: Duration = Duration::from_hours(24);

impl ProviderPauses {
    /// Pauses of this process only.
    pub fn local(clock: Arc<dyn Clock>) -> Self {
        Self { here: Mutex::default(), shared: None, clock }
    }

    /// Pauses in Redis, shared by all replicas.
    pub fn redis(link: Arc<RedisLink>, clock: Arc<dyn Clock>) -> Self {
        Self { shared: Some((link, Program::new(include_str!("pauses.lua")))), ..Self::local(clock) }
    }

    /// Nothing may be sent for `wait`, at most a day. A longer pause that is known already stands.
    pub async fn pause(&self, ctx: &TenantContext, key: &PauseKey, wait: Duration) {
        let wait = wait.min(LONGEST);
        if wait.is_zero() {
            return;
        }
        self.remember(ctx, key, wait);
        let Some((link, script)) = &self.shared else { return };
        let millis = wait.as_micros().div_ceil(1_000).to_string();
        // The link says when Redis is out of reach; this replica knows the pause anyway.
        _ = script.run::<u64>(link, &[&redis_key(ctx, key)], &[millis.as_bytes()]).await;
    }

    /// How long nothing may be sent; `None` if something may. At most one round trip, none while this replica knows
    /// of a pause.
    pub async fn remaining(&self, ctx: &TenantContext, key: &PauseKey) -> Option<Duration> {
        if let Some(left) = self.remaining_here(ctx, key) {
            return Some(left);
        }
        let (link, _) = self.shared.as_ref()?;
        let mut ask = cmd("PTTL");
        ask.arg(redis_key(ctx, key));
        let left = link
            .run(|mut connection| async move { ask.query_async::<i64>(&mut connection).await })
            .await
            .ok()?;
        let left = Duration::from_millis(u64::try_from(left).ok().filter(|left| *left > 0)?);
        self.remember(ctx, key, left);
        Some(left)
    }

    fn remaining_here(&self, ctx: &TenantContext, key: &PauseKey) -> Option<Duration> {
        let here = self.here.lock().unwrap_or_else(PoisonError::into_inner);
        let until = here.get(&(ctx.tenant_id(), key.clone()))?;
        Some(until.saturating_sub(self.clock.elapsed())).filter(|left| !left.is_zero())
    }

    fn remember(&self, ctx: &TenantContext, key: &PauseKey, wait: Duration) {
        let now = self.clock.elapsed();
        let mut here = self.here.lock().unwrap_or_else(PoisonError::into_inner);
        if here.len() >= MOST {
            here.retain(|_, until| *until > now);
        }
        if here.len() >= MOST {
            here.clear();
        }
        let until = here.entry((ctx.tenant_id(), key.clone())).or_default();
        *until = (*until).max(now + wait);
    }
}

fn redis_key(ctx: &TenantContext, key: &PauseKey) -> String {
    let client: String = key.client.chars().filter(char::is_ascii_alphanumeric).take(64).collect();
    let mut text = String::with_capacity(140);
    write!(text, "sd:{{{}}}:pause:v1:{}:{client}", ctx.tenant_id(), key.provider)
        .expect("a String takes all that is written");
    text
}
