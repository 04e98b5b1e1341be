//! The limiter against a model, a real Redis and its failures. What all of these need is here.

mod attempts;
mod cluster;
mod faults;
mod forget;
mod leases;
mod outages;
mod pauses;
mod refusals;
mod replay;
mod twin;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use stagedoor_bootstrap::private_servers::PrivateRedis;
use stagedoor_domain::policy::{LimitClass, Quota};
use stagedoor_domain::tenant::{Principal, PrincipalKind, Tenant, TenantContext, TenantStatus};
use stagedoor_domain::{CallId, Clock, Entropy, ScopeSet, TenantId, TenantSettings, ToolsetSet};
use stagedoor_redis_link::{RedisLink, RedisOptions};
use tempfile::TempDir;
use uuid::Uuid;

/// A clock that stands still until it is moved.
#[derive(Debug, Default)]
struct ManualClock(Mutex<Duration>);

impl ManualClock {
    fn advance(&self, by: Duration) {
        *self.0.lock().unwrap() += by;
    }

    fn set_micros(&self, micros: u64) {
        *self.0.lock().unwrap() = Duration::from_micros(micros);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + self.elapsed()
    }

    fn elapsed(&self) -> Duration {
        *self.0.lock().unwrap()
    }
}

fn manual_clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::default())
}

/// Quotas of the named classes only, for principals alone, and no penalties.
fn settings(limits: &[(LimitClass, &[Quota])]) -> TenantSettings {
    let none = || LimitClass::ALL.iter().map(|class| (*class, Vec::new()));
    let mut settings = TenantSettings {
        tenant_limits: none().collect(),
        penalties: Some(Vec::new()),
        ..TenantSettings::default()
    };
    settings.limits.extend(none());
    settings.limits.extend(limits.iter().map(|(class, quotas)| (*class, quotas.to_vec())));
    settings
}

/// The context of the principal `key` at tenant number `tenant`; classes that are not named keep no quotas.
fn context(tenant: u128, key: &str, limits: &[(LimitClass, &[Quota])]) -> TenantContext {
    context_with(tenant, key, settings(limits))
}

fn context_with(tenant: u128, key: &str, settings: TenantSettings) -> TenantContext {
    let tenant = Tenant {
        id: TenantId(Uuid::from_u128(tenant)),
        slug: "acme".parse().unwrap(),
        status: TenantStatus::Active,
        settings,
    };
    let principal = Principal {
        kind: PrincipalKind::ApiKey(key.parse().unwrap()),
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

const KEY: &str = "AAAAAAAAAAAA";
const OTHER_KEY: &str = "BBBBBBBBBBBB";

/// Randomness that is not.
#[derive(Debug)]
struct Counting(u8);

impl Entropy for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(self.0);
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
    /// A link with a patient time limit, so that a busy machine does not look like a failure.
    fn link(&self, clock: Arc<dyn Clock>) -> Arc<RedisLink> {
        let options =
            RedisOptions { command_timeout: Duration::from_secs(10), ..RedisOptions::new(self.redis.url()) };
        Arc::new(RedisLink::new(&options, clock).unwrap())
    }

    /// A link with the time limit of production.
    fn impatient_link(&self, clock: Arc<dyn Clock>) -> Arc<RedisLink> {
        Arc::new(RedisLink::new(&RedisOptions::new(self.redis.url()), clock).unwrap())
    }
}
