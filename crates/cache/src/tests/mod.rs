//! The cache against a real Redis, its failures and its forgers. What all of these need is here.

mod coalescing;
mod faults;
mod format;
mod levels;
mod poison;

use std::convert::Infallible;
use std::future::ready;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use stagedoor_bootstrap::private_servers::PrivateRedis;
use stagedoor_crypto::digest::{hmac_sha256, sha256};
use stagedoor_domain::tenant::{Principal, PrincipalKind, Tenant, TenantStatus};
use stagedoor_domain::{
    CallId, Clock, Provider, ScopeSet, TenantContext, TenantId, TenantSettings, ToolsetSet, UserId,
};
use tempfile::TempDir;
use uuid::Uuid;

use crate::{Cache, CacheKey, CacheOptions, Cached, DataScope, Reader, RedisOptions, SealError, Sealer};

const MINUTE: Duration = Duration::from_mins(1);

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
    let tenant = Tenant {
        id: TenantId(Uuid::from_u128(tenant)),
        slug: "acme".parse().unwrap(),
        status: TenantStatus::Active,
        settings: TenantSettings::default(),
    };
    let principal = Principal {
        kind: PrincipalKind::ApiKey("AAAAAAAAAAAA".parse().unwrap()),
        user: None,
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
    CacheKey::new(ctx, "catalog", "search", &query, Reader::Tenant, Provider::Spotify).unwrap()
}

/// The key of a person's playlists.
fn playlists(ctx: &TenantContext, number: u128) -> CacheKey {
    let reader = Reader::User { user: user(number), scope: DataScope::Playlists };
    CacheKey::new(ctx, "playlists", "list", &(), reader, Provider::Spotify).unwrap()
}

/// The answer for `key`; what is fetched on a miss is `body`.
async fn ask(cache: &Cache, ctx: &TenantContext, key: &CacheKey, body: &str) -> Cached {
    let fetch = ready(Ok::<_, Infallible>(Bytes::copy_from_slice(body.as_bytes())));
    match cache.get_or_fetch(ctx, key, Some(MINUTE), fetch).await {
        Ok(cached) => cached,
        Err(never) => match never {},
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
        let redis = RedisOptions { command_timeout: patience, ..RedisOptions::new(self.redis.url()) };
        let options = CacheOptions { redis: Some(redis), ..CacheOptions::default() };
        Cache::new(&options, sealer, Arc::clone(clock) as Arc<dyn Clock>).unwrap()
    }

    async fn connection(&self) -> redis::aio::MultiplexedConnection {
        redis::Client::open(self.redis.url()).unwrap().get_multiplexed_async_connection().await.unwrap()
    }

    /// The keys of answers, without the generations.
    async fn answer_keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = redis::cmd("KEYS")
            .arg("sd:*:cache:v1:*")
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
    Cache::new(&CacheOptions::default(), None, Arc::clone(clock) as Arc<dyn Clock>).unwrap()
}
