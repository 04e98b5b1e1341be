//! What is read around a stretch of load: processor time, commands of Redis, transactions of PostgreSQL, requests of each
//! gateway, outcomes of the cache.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, ensure};
use stagedoor_testkit::{GatewayProcess, Metrics};
use stagedoor_tests::machine::{cpu_time, family_cpu_time};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::town::Town;

/// What this program asks Redis, which no gateway does.
const OWN_COMMANDS: [&str; 3] = ["info", "quit", "config|set"];

/// Outcomes of the cache that needed no music service.
const SPARED: [&str; 5] = ["hit_l1", "hit_l2", "stale", "negative", "coalesced"];

/// Counters of one moment.
#[derive(Debug, Clone)]
pub(crate) struct Meters {
    /// Processor time, by whose.
    pub(crate) cpu: BTreeMap<&'static str, Duration>,
    /// Commands of the Redis of the cache, by name; those of scripts too.
    pub(crate) cache_commands: BTreeMap<String, u64>,
    /// Commands of the Redis of the limits.
    pub(crate) limits_commands: BTreeMap<String, u64>,
    /// Transactions of the gateways' database.
    pub(crate) transactions: u64,
    /// Bytes of the write-ahead log of PostgreSQL so far.
    pub(crate) log_bytes: u64,
    /// Bytes of the gateways' database.
    pub(crate) stored_bytes: u64,
    /// Requests that each gateway answered.
    pub(crate) requests: Vec<u64>,
    /// Calls that the cache answered, and those that asked a music service.
    pub(crate) cache: (u64, u64),
}

impl Meters {
    /// Reads all of them.
    pub(crate) async fn read(town: &Town<'_>) -> anyhow::Result<Self> {
        let (stage, limits) = (town.stage(), town.limits());
        let pid = |pid: i32| u32::try_from(pid).context("a process id");
        let gateways = town.gateways().iter().map(|gateway| cpu_time(gateway.pid()));
        let gateways = gateways.sum::<anyhow::Result<Total>>()?.0;
        let cpu = BTreeMap::from([
            ("gateways", gateways),
            ("postgres", family_cpu_time(pid(stage.postgres().pid())?)?.total()),
            ("pgbouncer", cpu_time(pid(town.pooler().pid())?)?.total()),
            ("redis_cache", cpu_time(pid(stage.redis().pid())?)?.total()),
            ("redis_limits", cpu_time(pid(limits.pid())?)?.total()),
            ("haproxy", cpu_time(town.balancer().pid())?.total()),
            ("load_and_sandbox", cpu_time(std::process::id())?.total()),
        ]);
        let count = async |query: &str| {
            let found = stage.sql(query).await;
            found.parse::<u64>().with_context(|| format!("{query}: {found:?}"))
        };
        let transactions =
            "SELECT sum(xact_commit + xact_rollback) FROM pg_stat_database WHERE datname = 'stagedoor'";
        let mut pages = Vec::new();
        for gateway in town.gateways() {
            pages.push(GatewayProcess::metrics(gateway).await);
        }
        let calls = |outcome: &str| {
            pages.iter().map(|page: &Metrics| page.sum("cache_calls", &[("outcome", outcome)])).sum::<u64>()
        };
        Ok(Self {
            cpu,
            cache_commands: commands(stage.redis().port()).await?,
            limits_commands: commands(limits.port()).await?,
            transactions: count(transactions).await?,
            log_bytes: count("SELECT pg_current_wal_insert_lsn() - '0/0'").await?,
            stored_bytes: count("SELECT pg_database_size('stagedoor')").await?,
            requests: pages.iter().map(|page| page.sum("http_requests", &[])).collect(),
            cache: (SPARED.iter().map(|outcome| calls(outcome)).sum(), calls("fetched")),
        })
    }

    /// The processor time since `earlier`, by whose.
    pub(crate) fn cpu_since(&self, earlier: &Self) -> BTreeMap<&'static str, Duration> {
        let since = |name: &str| earlier.cpu.get(name).copied().unwrap_or_default();
        self.cpu.iter().map(|(name, time)| (*name, time.saturating_sub(since(name)))).collect()
    }
}

/// Processor times, added up.
struct Total(Duration);

impl std::iter::Sum<stagedoor_tests::machine::CpuTime> for Total {
    fn sum<I: Iterator<Item = stagedoor_tests::machine::CpuTime>>(times: I) -> Self {
        Self(times.map(stagedoor_tests::machine::CpuTime::total).sum())
    }
}

/// What grew in `after`, by name.
pub(crate) fn grown(before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let since = |name: &str| before.get(name).copied().unwrap_or_default();
    let grown = after.iter().map(|(name, count)| (name.clone(), count.saturating_sub(since(name))));
    grown.filter(|(_, count)| *count > 0).collect()
}

/// What a Redis on this machine answers to a command.
pub(crate) async fn redis(port: u16, command: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    ensure!(!answer.starts_with('-'), "{command}: {answer}");
    Ok(answer)
}

/// `INFO commandstats`: how often each command ran.
async fn commands(port: u16) -> anyhow::Result<BTreeMap<String, u64>> {
    let answer = redis(port, "INFO commandstats").await?;
    let read = |line: &str| {
        let (name, figures) = line.strip_prefix("cmdstat_")?.split_once(':')?;
        let calls = figures.strip_prefix("calls=")?.split(',').next()?.parse().ok()?;
        (!OWN_COMMANDS.contains(&name)).then(|| (name.to_owned(), calls))
    };
    Ok(answer.lines().filter_map(read).collect())
}
