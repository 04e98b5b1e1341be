//! The cache against a real Redis, its failures and its forgers. What all of these need is here.

mod cluster;
mod coalescing;
mod faults;
mod flights;
mod forget;
mod format;
mod generations;
mod levels;
mod lifetimes;
mod poison;
mod popular;
mod readers;
mod refetch;
mod seeds;
mod settling;
mod stale;
mod unlinking;
mod usage;

use std::convert::Infallible;
use std::future::ready;
use std::ops::Deref;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use stagedoor_bootstrap::private_servers::PrivateRedis;
use stagedoor_crypto::SystemEntropy;
use stagedoor_crypto::digest::{hmac_sha256, sha256};
use stagedoor_domain::policy::TtlBounds;
use stagedoor_domain::tenant::{Principal, PrincipalKind, Tenant, TenantStatus};
use stagedoor_domain::{
    CacheClass, CallId, Clock, Entropy, Provider, ScopeSet, TenantContext, TenantId, TenantSettings,
    ToolsetSet, UserId,
};
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use crate::entry::Entry;
use crate::{
    Ask, Cache, CacheKey, CacheOptions, Cached, DataScope, Fetched, Mode, Reader, RedisOptions, SealError,
    Sealer, Verdicts,
};

const MINUTE: Duration = Duration::from_mins(1);
/// Lives from a quarter of a minute to four.
const BOUNDS: TtlBounds =
    TtlBounds { shortest: Duration::from_secs(15), first: MINUTE, longest: Duration::from_mins(4) };

/// A clock that stands still until it is moved.
#[derive(Debug, Default)]
struct ManualClock(Mutex<Duration>);

impl ManualClock {
    fn advance(&self, by: Duration) {
        *self.0.lock().unwrap() += by;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000, 0).unwrap() + self.elapsed()
    }

    fn elapsed(&self) -> Duration {
        *self.0.lock().unwrap()
    }
}

fn manual_clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::default())
}

/// Draws of four bytes (for early refreshes) are as set, at first such that none is early; all others are random.
#[derive(Debug)]
struct Draws(AtomicU32);

impl Draws {
    fn set(&self, draw: u32) {
        self.0.store(draw, Ordering::SeqCst);
    }
}

impl Entropy for Draws {
    fn fill(&self, bytes: &mut [u8]) {
        match <&mut [u8; 4]>::try_from(&mut *bytes) {
            Ok(draw) => *draw = self.0.load(Ordering::SeqCst).to_be_bytes(),
            Err(_) => SystemEntropy.fill(bytes),
        }
    }
}

fn draws() -> Arc<Draws> {
    Arc::new(Draws(AtomicU32::new(u32::MAX)))
}

/// Seals with a keyed stream and a code over key text, tenant and reader. The real one is tested with the keys.
#[derive(Debug)]
struct TestSealer;

impl TestSealer {
    fn code(ctx: &TenantContext, reader: Reader, key_text: &str, hidden: &[u8]) -> [u8; 32] {
        let place = format!("{} {reader:?} {key_text}\n", ctx.tenant_id());
        hmac_sha256(b"test key", &[place.as_bytes(), hidden].concat())
    }

    fn hide(bytes: &[u8]) -> Vec<u8> {
        let stream = sha256(&[b"test stream"]);
        bytes.iter().zip(stream.iter().cycle()).map(|(byte, key)| byte ^ key).collect()
    }
}

#[async_trait]
impl Sealer for TestSealer {
    async fn seal(
        &self,
        ctx: &TenantContext,
        reader: Reader,
        key: &str,
        plain: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        let hidden = Self::hide(plain);
        Ok([Self::code(ctx, reader, key, &hidden).as_slice(), &hidden].concat())
    }

    async fn open(
        &self,
        ctx: &TenantContext,
        reader: Reader,
        key: &str,
        sealed: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        let (code, hidden) = sealed.split_at_checked(32).ok_or(SealError::Altered)?;
        if code == Self::code(ctx, reader, key, hidden) {
            Ok(Self::hide(hidden))
        } else {
            Err(SealError::Altered)
        }
    }
}

fn context(tenant: u128) -> TenantContext {
    context_of(tenant, None)
}

/// A context in which a person asks.
fn acting_for(tenant: u128, number: u128) -> TenantContext {
    context_of(tenant, Some(user(number)))
}

fn context_of(tenant: u128, user: Option<UserId>) -> TenantContext {
    let tenant = Tenant {
        id: TenantId(Uuid::from_u128(tenant)),
        slug: "acme".parse().unwrap(),
        status: TenantStatus::Active,
        settings: TenantSettings::default(),
    };
    let principal = Principal {
        kind: PrincipalKind::ApiKey("AAAAAAAAAAAA".parse().unwrap()),
        user,
        scopes: ScopeSet::all(),
        toolsets: ToolsetSet::all(),
        read_only: false,
        expires_at: None,
        allowed_networks: Vec::new(),
    };
    #[expect(clippy::disallowed_methods, reason = "a test builds its contexts itself")]
    TenantContext::for_request(Arc::new(tenant), Arc::new(principal), CallId(Uuid::nil()))
}

fn user(number: u128) -> UserId {
    UserId(Uuid::from_u128(number))
}

/// The key of a catalogue answer.
fn catalogue(ctx: &TenantContext, query: &str) -> CacheKey {
    CacheKey::new(ctx, CacheClass::Search, "search", &query, Reader::Tenant, Provider::Spotify).unwrap()
}

/// The key of a person's playlists.
fn playlists(ctx: &TenantContext, number: u128) -> CacheKey {
    let reader = Reader::User { user: user(number), scope: DataScope::Playlists };
    CacheKey::new(ctx, CacheClass::Playlist, "list", &(), reader, Provider::Spotify).unwrap()
}

/// An entry of before, for pure functions.
fn entry(life: Duration, fingerprint: [u8; 32]) -> Entry {
    Entry {
        body: Bytes::new(),
        stored_at: manual_clock().now(),
        life,
        took: Duration::ZERO,
        fingerprint,
        next: None,
        absent: false,
        brief: false,
    }
}

/// A question that an answer which is there may answer.
fn reuse(key: &CacheKey) -> Ask<'_> {
    Ask { key, ttl: BOUNDS, oldest: None, mode: Mode::Reuse, noted: true }
}

/// A question that only a new answer answers.
fn refetch(key: &CacheKey) -> Ask<'_> {
    Ask { mode: Mode::Refetch, ..reuse(key) }
}

/// What a provider says: the same fingerprint for the same body.
fn answer(body: &str) -> Fetched {
    Fetched::Answer {
        body: Bytes::copy_from_slice(body.as_bytes()),
        fingerprint: sha256(&[body.as_bytes()]),
        next: None,
        life_at_most: None,
    }
}

/// An error is everybody's, and is forgiven if so.
fn forgiving<E, F: Fn(&E) -> bool>(forgivable: F) -> Verdicts<F, fn(&E) -> bool> {
    Verdicts { forgivable, own: |_| false }
}

/// The answer for `key`; what is fetched on a miss is `body`.
async fn ask(cache: &Cache, ctx: &TenantContext, key: &CacheKey, body: &str) -> Cached {
    put(cache, ctx, reuse(key), body).await
}

/// The answer to a question; what is fetched is `body`.
async fn put(cache: &Cache, ctx: &TenantContext, ask: Ask<'_>, body: &str) -> Cached {
    let fetch = ready(Ok::<_, Infallible>(answer(body)));
    match cache.get_or_fetch(ctx, ask, fetch, forgiving(|never| match *never {})).await {
        Ok(cached) => cached,
        Err(never) => match never {},
    }
}

/// What the cache has for `key`, fetching nothing.
async fn peek(cache: &Cache, ctx: &TenantContext, key: &CacheKey) -> Option<Cached> {
    cache.get_or_fetch(ctx, reuse(key), ready(Err(())), forgiving(|()| false)).await.ok()
}

/// A replica that hears the others, as in production.
struct Running {
    cache: Arc<Cache>,
    _until: DropGuard,
}

fn running(cache: Cache) -> Running {
    let (cache, until) = (Arc::new(cache), CancellationToken::new());
    #[expect(clippy::disallowed_methods, reason = "the test's runtime ends with it")]
    tokio::spawn(Arc::clone(&cache).run(until.clone()));
    Running { cache, _until: until.drop_guard() }
}

impl Deref for Running {
    type Target = Cache;

    fn deref(&self) -> &Cache {
        &self.cache
    }
}

struct Server {
    redis: PrivateRedis,
    _folder: TempDir,
}

async fn server() -> Server {
    let folder = tempfile::tempdir().unwrap();
    Server { redis: PrivateRedis::start(folder.path()).await.unwrap(), _folder: folder }
}

impl Server {
    /// A replica's cache with a patient time limit, so that a busy machine does not look like a failure.
    fn cache(&self, clock: &Arc<ManualClock>) -> Cache {
        self.cache_with(clock, Duration::from_secs(10), Some(Arc::new(TestSealer)))
    }

    fn cache_with(
        &self,
        clock: &Arc<ManualClock>,
        patience: Duration,
        sealer: Option<Arc<dyn Sealer>>,
    ) -> Cache {
        self.cache_of((clock, &draws()), patience, sealer)
    }

    /// A replica whose early refreshes are drawn as set.
    fn cache_drawing(&self, clock: &Arc<ManualClock>, draws: &Arc<Draws>) -> Cache {
        self.cache_of((clock, draws), Duration::from_secs(10), Some(Arc::new(TestSealer)))
    }

    fn cache_of(
        &self,
        (clock, draws): (&Arc<ManualClock>, &Arc<Draws>),
        patience: Duration,
        sealer: Option<Arc<dyn Sealer>>,
    ) -> Cache {
        let redis = RedisOptions { command_timeout: patience, ..RedisOptions::new(self.redis.url()) };
        let options = CacheOptions { redis: Some(redis), ..CacheOptions::default() };
        let (clock, draws) = (Arc::clone(clock) as Arc<dyn Clock>, Arc::clone(draws) as Arc<dyn Entropy>);
        Cache::new(&options, sealer, clock, draws).unwrap()
    }

    async fn connection(&self) -> redis::aio::MultiplexedConnection {
        redis::Client::open(self.redis.url()).unwrap().get_multiplexed_async_connection().await.unwrap()
    }

    /// The keys of answers, without the generations.
    async fn answer_keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = redis::cmd("KEYS")
            .arg("sd:*:cache:v2:*")
            .query_async(&mut self.connection().await)
            .await
            .unwrap();
        keys.sort_unstable();
        keys
    }

    async fn bytes(&self, key: &str) -> Vec<u8> {
        redis::cmd("GET").arg(key).query_async(&mut self.connection().await).await.unwrap()
    }

    async fn overwrite(&self, key: &str, bytes: &[u8]) {
        redis::cmd("SET").arg(key).arg(bytes).exec_async(&mut self.connection().await).await.unwrap();
    }
}

fn local(clock: &Arc<ManualClock>) -> Cache {
    local_with(clock, &draws())
}

fn local_with(clock: &Arc<ManualClock>, draws: &Arc<Draws>) -> Cache {
    let (clock, entropy) = (Arc::clone(clock) as Arc<dyn Clock>, Arc::clone(draws) as Arc<dyn Entropy>);
    Cache::new(&CacheOptions::default(), None, clock, entropy).unwrap()
}
