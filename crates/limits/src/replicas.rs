//! How many replicas there are, by heartbeat, and the way back from an outage: every replica brings what it admitted on
//! its own to Redis before Redis decides alone again.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, TryStreamExt as _};
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

/// What a heartbeat is answered.
#[derive(Debug)]
struct Seen {
    replicas: u32,
    /// Other replicas that have calls of an outage to bring.
    owing: u32,
    /// The run of the server; `None` if it does not say.
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
/// Batches under way.
const AT_A_TIME: usize = 32;
const KEY: &str = "sd:{replicas}:limit:v1";
const OWING_KEY: &str = "sd:{replicas}:limit:v1:owing";

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
        let lost = self.link.lost();
        let Ok(seen) = self.beat(LIFE).await else { return self.outage.begin() };
        match self.outage.phase() {
            Phase::Shared => self.stand_by(seen).await,
            Phase::Out => {
                if self.pay().await.is_ok() {
                    let same_server = seen.server.is_some() && seen.server == self.server;
                    self.outage.settle(lost, same_server);
                    self.server = seen.server;
                }
            }
            Phase::Settling if self.outage.is_settled(seen.owing) => {
                if self.pay().await.is_err() {
                    self.outage.begin();
                } else if self.outage.end() {
                    self.local.sweep();
                    tracing::info!("Redis decides on the limits again");
                }
            }
            Phase::Settling => {}
        }
    }

    /// Redis decides: all is well, unless it is another run of it than before and nobody noticed.
    async fn stand_by(&mut self, seen: Seen) {
        self.outage.count(seen.replicas);
        match (&self.server, seen.server) {
            (Some(before), Some(now)) if *before != now => return self.outage.begin(),
            (None, now) => self.server = now,
            _ => {}
        }
        // A call that was decided during an outage may be noted after its end.
        if self.local.owes() && self.pay().await.is_err() {
            self.outage.begin();
        }
    }

    async fn beat(&self, life: Duration) -> Result<Seen, Unavailable> {
        let owes = self.outage.phase() == Phase::Out || self.local.owes();
        let life = life.as_micros().to_string();
        let arguments = [self.id.as_bytes(), life.as_bytes(), if owes { b"1" } else { b"0" }];
        let (replicas, owing, server): (u32, u32, String) =
            self.heartbeat.run(&self.link, &[KEY, OWING_KEY], &arguments).await?;
        Ok(Seen { replicas, owing, server: (!server.is_empty()).then_some(server) })
    }

    #[cfg(test)]
    pub(crate) async fn say_that_it_owes(&self) {
        self.local.still_owes();
        self.beat(LIFE).await.expect("Redis is there");
    }

    /// Brings to Redis what this replica admitted on its own, and says meanwhile that it is there.
    async fn pay(&self) -> Result<(), Unavailable> {
        let mut by_tenant: BTreeMap<TenantId, Vec<Debt>> = BTreeMap::new();
        for debt in self.local.debts() {
            by_tenant.entry(debt.tenant).or_default().push(debt);
        }
        let mut batches = Vec::new();
        for (tenant, debts) in by_tenant {
            batches.extend(debts.chunks(BATCH).map(|batch| Ok((tenant, batch.to_vec()))));
        }
        let paying = stream::iter(batches)
            .try_for_each_concurrent(AT_A_TIME, |(tenant, batch)| self.bring(tenant, batch));
        let beating = async {
            loop {
                tokio::time::sleep(PERIOD).await;
                _ = self.beat(LIFE).await;
            }
        };
        let paid = tokio::select! {
            paid = paying => paid,
            never = beating => never,
        };
        if paid.is_err() {
            self.local.still_owes();
        }
        paid
    }

    async fn bring(&self, tenant: TenantId, debts: Vec<Debt>) -> Result<(), Unavailable> {
        self.charge(tenant, &debts).await?;
        self.local.settle(&debts);
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
