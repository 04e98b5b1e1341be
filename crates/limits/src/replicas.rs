//! How many replicas there are, by heartbeat, and the way back from an outage: every replica brings what it admitted on
//! its own to Redis before Redis decides alone again.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use stagedoor_domain::{Entropy, TenantId};
use stagedoor_redis_link::{RedisLink, Unavailable};
use tokio_util::sync::CancellationToken;

use crate::local::{Debt, LocalBuckets};
use crate::outage::{Outage, Phase};
use crate::record;
use crate::script::{Program, own_key, tenant_key};

/// Counts this replica among the others; see [`crate::Limiter::replicas`].
#[derive(Debug)]
pub struct Replicas {
    id: String,
    link: Arc<RedisLink>,
    outage: Arc<Outage>,
    local: Arc<LocalBuckets>,
    heartbeat: Program,
    charge: Program,
    /// The run of the server that was reached last.
    server: Option<String>,
}

/// How often a replica says that it is there.
const PERIOD: Duration = Duration::from_secs(2);
/// How often it looks for Redis while that is out of reach, or settling.
const PROBE: Duration = Duration::from_millis(250);
/// How long a replica counts that says nothing.
const LIFE: Duration = Duration::from_secs(10);
/// Debts in one call.
const BATCH: usize = 200;
const KEY: &str = "sd:{replicas}:limit:v1";

impl Replicas {
    pub(crate) fn new(
        link: Arc<RedisLink>,
        outage: Arc<Outage>,
        local: Arc<LocalBuckets>,
        entropy: &dyn Entropy,
    ) -> Self {
        let mut random = [0_u8; 16];
        entropy.fill(&mut random);
        let id = random.iter().fold(String::with_capacity(32), |mut text, byte| {
            write!(text, "{byte:02x}").expect("a String takes all that is written");
            text
        });
        let heartbeat = Program::new(include_str!("replicas.lua"));
        let charge = Program::new(include_str!("charge.lua"));
        Self { id, link, outage, local, heartbeat, charge, server: None }
    }

    /// Runs until `shutdown`, and then takes this replica off the count.
    pub async fn run(mut self, shutdown: CancellationToken) {
        self.outage.watch(true);
        let _unwatched = Unwatch(Arc::clone(&self.outage));
        loop {
            self.tick().await;
            let pause = if self.outage.phase() == Phase::Shared { PERIOD } else { PROBE };
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = tokio::time::sleep(pause) => {}
                () = self.outage.begun() => {}
            }
        }
        // A replica that cannot say good-bye is taken for gone when its life is over.
        _ = self.beat(Duration::ZERO).await;
    }

    async fn tick(&mut self) {
        let failures = self.link.failures();
        let Ok(replicas) = self.beat(LIFE).await else { return self.outage.begin() };
        match self.outage.phase() {
            Phase::Shared => {
                self.outage.count(replicas);
                if self.server.is_none() {
                    self.server = self.run_id().await;
                }
            }
            Phase::Out => {
                let server = self.run_id().await;
                if self.pay().await.is_ok() {
                    self.outage.settle(failures, server.is_some() && server == self.server);
                    self.server = server;
                }
            }
            Phase::Settling if self.outage.is_settled() => match self.pay().await {
                Ok(()) if self.outage.end() => {
                    self.local.clear();
                    tracing::info!("Redis decides on the limits again");
                }
                Ok(()) => {}
                Err(_) => self.outage.begin(),
            },
            Phase::Settling => {}
        }
    }

    async fn beat(&self, life: Duration) -> Result<u32, Unavailable> {
        let life = life.as_micros().to_string();
        self.heartbeat.run(&self.link, &[KEY], &[self.id.as_bytes(), life.as_bytes()]).await
    }

    /// Which run of the server this is; `None` if it does not say, or if it is a cluster.
    async fn run_id(&self) -> Option<String> {
        let mut ask = redis::cmd("INFO");
        ask.arg("server");
        let ask = |mut connection| async move { ask.query_async::<redis::Value>(&mut connection).await };
        let info: String = redis::from_redis_value(self.link.run(ask).await.ok()?).ok()?;
        info.lines().find_map(|line| line.strip_prefix("run_id:")).map(|id| id.trim().to_owned())
    }

    /// Brings to Redis what this replica admitted on its own.
    async fn pay(&self) -> Result<(), Unavailable> {
        let mut by_tenant: BTreeMap<TenantId, Vec<Debt>> = BTreeMap::new();
        for debt in self.local.debts() {
            by_tenant.entry(debt.tenant).or_default().push(debt);
        }
        for (tenant, debts) in by_tenant {
            for batch in debts.chunks(BATCH) {
                self.charge(tenant, batch).await?;
                self.local.settle(batch);
            }
        }
        Ok(())
    }

    async fn charge(&self, tenant: TenantId, debts: &[Debt]) -> Result<(), Unavailable> {
        let (mut keys, mut arguments): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
        for debt in debts {
            let key = key_of(tenant, debt);
            let index = keys.iter().position(|known| *known == key).unwrap_or_else(|| {
                keys.push(key);
                keys.len() - 1
            });
            arguments.extend([(index + 1).to_string(), debt.field.to_string(), debt.micros.to_string()]);
        }
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let arguments: Vec<&[u8]> = arguments.iter().map(String::as_bytes).collect();
        let answer: Vec<u64> = self.charge.run(&self.link, &keys, &arguments).await?;
        record::charged(debts, &answer);
        Ok(())
    }
}

fn key_of(tenant: TenantId, debt: &Debt) -> String {
    let mut key = String::with_capacity(80);
    match &debt.principal {
        Some(kind) => own_key(&mut key, tenant, &kind.label()),
        None => tenant_key(&mut key, tenant),
    }
    key
}

/// Without somebody who watches, every call tries Redis again.
struct Unwatch(Arc<Outage>);

impl Drop for Unwatch {
    fn drop(&mut self) {
        self.0.watch(false);
    }
}
