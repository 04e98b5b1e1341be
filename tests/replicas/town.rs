//! Everything that runs: the testkit's stage, PgBouncer, a Redis for limits beside the stage's own for the cache, the
//! gateways, the balancer, and the keeper when its time comes.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use rustix::process::Signal;
use stagedoor_bootstrap::private_servers::{PrivatePgBouncer, PrivateRedis};
use stagedoor_domain::Clock;
use stagedoor_testkit::{GatewayProcess, Stage};
use stagedoor_tests::machine::resident_bytes;

use crate::balancer::{Balancer, Doors};
use crate::meters;
use crate::promises::Promises;

/// What a gateway takes to end at the longest: its drain and its flushes.
const END_PATIENCE: Duration = Duration::from_mins(1);
/// Nothing was logged as an error.
const QUIET: &str = "no error is logged";
/// What `stagedoor-keeper run-due` did.
const KEEPER: &str = "the keeper's jobs succeed";

/// Ports below those that systems give to connections, which could take one while its gateway is away.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// The servers.
#[derive(Debug)]
pub(crate) struct Town<'a> {
    stage: &'a Stage,
    pooler: PrivatePgBouncer,
    limits: PrivateRedis,
    haproxy: PathBuf,
    doors: Doors,
    addresses: Vec<(SocketAddr, SocketAddr)>,
    gateways: Vec<GatewayProcess>,
    balancer: Option<Balancer>,
    /// Gateways that were started, so that each has a log of its own.
    started: usize,
}

/// A run of the keeper.
#[derive(Debug, Clone)]
pub(crate) struct KeeperRun {
    /// How long it took.
    pub(crate) lasted: Duration,
    /// What it said of itself at the end.
    pub(crate) said: serde_json::Value,
}

impl<'a> Town<'a> {
    /// Starts all but gateways and balancer.
    pub(crate) async fn build(stage: &'a Stage, replicas: usize, haproxy: PathBuf) -> anyhow::Result<Self> {
        let folder = |name: &str| -> anyhow::Result<PathBuf> {
            let folder = stage.folder().join(name);
            std::fs::create_dir(&folder)?;
            Ok(folder)
        };
        let pooler =
            PrivatePgBouncer::start(&folder("pgbouncer")?, stage.postgres(), &["stagedoor_app"]).await?;
        let evicting_nothing = ["--maxmemory", "256mb", "--maxmemory-policy", "noeviction"];
        let limits = PrivateRedis::start_with(&folder("limits")?, &evicting_nothing).await?;
        meters::redis(stage.redis().port(), "CONFIG SET maxmemory 256mb").await?;
        meters::redis(stage.redis().port(), "CONFIG SET maxmemory-policy allkeys-lru").await?;
        let mut free = lasting_addresses();
        let mut address = || free.next().context("no free port");
        let doors = Doors { requests: address()?, connections: address()? };
        let addresses = (0..replicas).map(|_| Ok((address()?, address()?))).collect::<anyhow::Result<_>>()?;
        Ok(Self {
            stage,
            pooler,
            limits,
            haproxy,
            doors,
            addresses,
            gateways: Vec::new(),
            balancer: None,
            started: 0,
        })
    }

    /// Starts the gateways, and the balancer in front of them.
    pub(crate) async fn open(&mut self) -> anyhow::Result<()> {
        for at in 0..self.addresses.len() {
            let gateway = self.gateway(at).await;
            self.gateways.push(gateway);
        }
        let (haproxy, folder) = (&self.haproxy, self.stage.folder());
        self.balancer = Some(Balancer::start(haproxy, folder, self.doors, &self.addresses).await?);
        Ok(())
    }

    /// The stage.
    pub(crate) fn stage(&self) -> &'a Stage {
        self.stage
    }

    /// Where agents reach the gateways.
    pub(crate) fn doors(&self) -> Doors {
        self.doors
    }

    /// The pooler.
    pub(crate) fn pooler(&self) -> &PrivatePgBouncer {
        &self.pooler
    }

    /// The Redis that counts.
    pub(crate) fn limits(&self) -> &PrivateRedis {
        &self.limits
    }

    /// The gateways.
    pub(crate) fn gateways(&self) -> &[GatewayProcess] {
        &self.gateways
    }

    /// Where each gateway is itself, past the balancer.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.addresses.iter().map(|(address, _)| *address)
    }

    /// The balancer, which is there once the town is open.
    pub(crate) fn balancer(&self) -> &Balancer {
        self.balancer.as_ref().expect("the town is open")
    }

    /// Resident memory of each gateway, in bytes.
    pub(crate) fn resident(&self) -> anyhow::Result<Vec<u64>> {
        self.gateways.iter().map(|gateway| resident_bytes(gateway.pid())).collect()
    }

    /// Asks a gateway to end, as Kubernetes does, and says how long it took.
    pub(crate) async fn end(&mut self, at: usize, clock: &Arc<dyn Clock>) -> anyhow::Result<Duration> {
        let begun = clock.elapsed();
        self.gateways[at].program().signal(Signal::TERM);
        self.ended(at).await?;
        Ok(clock.elapsed().saturating_sub(begun))
    }

    async fn ended(&mut self, at: usize) -> anyhow::Result<()> {
        let program = self.gateways[at].program();
        let status = tokio::time::timeout(END_PATIENCE, program.ended()).await;
        let status = status.with_context(|| format!("gateway {at} does not end"))?;
        ensure!(status.success(), "gateway {at} ended with {status}: {}", program.said());
        Ok(())
    }

    /// Starts a gateway that has ended anew, where it was, and waits until the balancer sees it.
    pub(crate) async fn start(&mut self, at: usize, clock: &Arc<dyn Clock>) -> anyhow::Result<Duration> {
        let begun = clock.elapsed();
        self.gateways[at] = self.gateway(at).await;
        let ready = clock.elapsed().saturating_sub(begun);
        self.balancer().until_up(at).await?;
        Ok(ready)
    }

    /// Has the keeper do what is due.
    pub(crate) async fn keep(&self, promises: &Promises, clock: &Arc<dyn Clock>) -> KeeperRun {
        let begun = clock.elapsed();
        let backups = self.stage.folder().join("backups");
        let settings = [
            ("STAGEDOOR_RATE_LIMITING__REDIS_URL", self.limits.url()),
            ("STAGEDOOR_BACKUP__URL", format!("file://{}", backups.display())),
        ];
        let finished = self.stage.begin_keeper(&["run-due", "--json"], &settings).finished().await;
        let lasted = clock.elapsed().saturating_sub(begun);
        if finished.code != Some(0) {
            promises.broken(KEEPER, format!("{:?}: {}", finished.code, finished.said));
        }
        let said = serde_json::from_str(finished.output.lines().last().unwrap_or_default());
        let said = said.unwrap_or(serde_json::Value::Null);
        promises.looked_at(KEEPER, format!("{} in {:.1} s", said["counts"], lasted.as_secs_f64()));
        KeeperRun { lasted, said }
    }

    /// Ends every gateway at once, as the end of a deployment does; how long it took.
    pub(crate) async fn close(
        &mut self,
        promises: &Promises,
        clock: &Arc<dyn Clock>,
    ) -> anyhow::Result<Duration> {
        let begun = clock.elapsed();
        for gateway in &mut self.gateways {
            gateway.program().signal(Signal::TERM);
        }
        for at in 0..self.gateways.len() {
            self.ended(at).await?;
        }
        let took = clock.elapsed().saturating_sub(begun);
        let mut lines = 0;
        for at in 0..self.started {
            let log = std::fs::read_to_string(self.stage.folder().join(format!("{}.log", log_name(at))))?;
            lines += log.lines().count();
            let errors = log.lines().filter(|line| line.contains("\"ERROR\"") || line.contains("panicked"));
            errors.for_each(|line| promises.broken(QUIET, line.to_owned()));
        }
        promises.looked_at(QUIET, format!("{lines} lines of {} gateways", self.started));
        Ok(took)
    }

    /// Ends what is left.
    pub(crate) async fn strike(self) {
        if let Some(balancer) = self.balancer {
            balancer.stop().await;
        }
        self.pooler.stop().await;
    }

    async fn gateway(&mut self, at: usize) -> GatewayProcess {
        let hosts = self.addresses().chain([self.doors.connections]);
        let hosts: Vec<String> = hosts.map(|address| address.to_string()).collect();
        let settings = [
            ("STAGEDOOR_SERVER__PUBLIC_URL", format!("http://{}", self.doors.requests)),
            ("STAGEDOOR_SERVER__ALLOWED_HOSTS", hosts.join(",")),
            ("STAGEDOOR_SERVER__TRUSTED_PROXIES", "127.0.0.0/8".to_owned()),
            // As long as a gateway takes by default.
            ("STAGEDOOR_SERVER__DRAIN_GRACE_MS", "5000".to_owned()),
            ("STAGEDOOR_STORAGE__DATABASE_URL", self.pooler.url_for("stagedoor", "stagedoor_app")),
            ("STAGEDOOR_STORAGE__MAX_CONNECTIONS", "10".to_owned()),
            ("STAGEDOOR_STORAGE__STATEMENT_CACHE", "0".to_owned()),
            ("STAGEDOOR_STORAGE__LISTEN", "false".to_owned()),
            ("STAGEDOOR_RATE_LIMITING__REDIS_URL", self.limits.url()),
            ("STAGEDOOR_RATE_LIMITING__MINIMUM_REPLICAS", self.addresses.len().to_string()),
            ("STAGEDOOR_TELEMETRY__LOG_FORMAT", "json".to_owned()),
            ("STAGEDOOR_TELEMETRY__LOG_FILTER", "info".to_owned()),
        ];
        let name = log_name(self.started);
        self.started += 1;
        GatewayProcess::start_at(self.stage, &name, self.addresses[at], &settings).await
    }
}

fn log_name(number: usize) -> String {
    format!("gateway-{number}")
}

/// Free ports that stay free while nobody listens there. Two runs at a time look in different places.
fn lasting_addresses() -> impl Iterator<Item = SocketAddr> {
    let first = PORTS.start + u16::try_from(std::process::id() % 10_000).unwrap_or_default();
    (first..PORTS.end).chain(PORTS.start..first).filter_map(|port| {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        TcpListener::bind(address).is_ok().then_some(address)
    })
}
