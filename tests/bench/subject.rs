//! The servers under test, each a process of its own on its own core: the floor, and the gateway with more and
//! more switched on.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use stagedoor_domain::Clock;
use stagedoor_tests::machine::{SERVER_CORE, pin};

use crate::Programs;
use crate::stage::{Stage, free_address};
use crate::tenant::TENANT;
use crate::wire::{Connection, Era, ExpectedAnswer, RequestTemplate, get};

const START_PATIENCE: Duration = Duration::from_secs(20);
const START_POLL: Duration = Duration::from_millis(1);

/// What is switched on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Step {
    /// The gateway with neither limits nor audit nor request lines: key check, MCP, dispatch, cache.
    Bare,
    /// With limits too, in the process.
    AuthLimits,
    /// As in production: limits and cache over Redis, leases as they come by default, audit, request lines.
    AllOn,
    /// The same, asking Redis at each call.
    AllOnRedis,
    /// `AllOn`, called by a client of the older era.
    AllOnLegacy,
    /// axum and serde alone.
    Floor,
}

impl Step {
    /// In the order of measuring; the floor is last, because it answers as long as the gateway did.
    pub(crate) const ALL: [Self; 6] =
        [Self::Bare, Self::AuthLimits, Self::AllOn, Self::AllOnRedis, Self::AllOnLegacy, Self::Floor];

    /// Its key in the figures.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::AuthLimits => "auth_limits",
            Self::AllOn => "all_on",
            Self::AllOnRedis => "all_on_redis",
            Self::AllOnLegacy => "all_on_legacy",
            Self::Floor => "floor",
        }
    }

    const fn is_full(self) -> bool {
        matches!(self, Self::AllOn | Self::AllOnRedis | Self::AllOnLegacy)
    }

    /// The settings that make the step; everything else is the default.
    fn settings(self, stage: &Stage) -> Vec<(&'static str, String)> {
        let mut settings = Vec::new();
        if self.is_full() {
            settings.push(("STAGEDOOR_RATE_LIMITING__REDIS_URL", stage.redis.url()));
            settings.push(("STAGEDOOR_CACHE__REDIS_URL", stage.redis.url()));
        } else {
            settings.push(("STAGEDOOR_AUDIT__ENABLED", false.to_string()));
            settings.push(("STAGEDOOR_TELEMETRY__LOG_FILTER", "warn".to_owned()));
        }
        if self == Self::Bare {
            settings.push(("STAGEDOOR_RATE_LIMITING__ENABLED", false.to_string()));
        }
        if self == Self::AllOnRedis {
            settings.push(("STAGEDOOR_RATE_LIMITING__LEASE_TOKENS", 0.to_string()));
        }
        settings
    }
}

/// Where the load goes and what must come back.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) request: RequestTemplate,
    pub(crate) expected: ExpectedAnswer,
}

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) step: Step,
    /// From the start of the process to the first 200 of its `/readyz`.
    pub(crate) start_up: Duration,
    process: Process,
    ops: Option<SocketAddr>,
    target: Arc<Target>,
}

/// A child that does not outlive this process's wish for it.
#[derive(Debug)]
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill().and_then(|()| self.0.wait());
    }
}

impl Subject {
    /// Starts the server of `step` and calls it once, so that its answer is cached. `earlier` are those that the
    /// floor takes the length of its answer from.
    pub(crate) async fn start(
        step: Step,
        programs: &Programs,
        stage: &Stage,
        folder: &Path,
        earlier: &[Self],
        clock: &Arc<dyn Clock>,
    ) -> anyhow::Result<Self> {
        let (address, ops) = (free_address()?, free_address()?);
        let command = match step {
            Step::Floor => floor(programs, address, earlier)?,
            _ => gateway(step, programs, address, ops, stage),
        };
        let log = File::create(folder.join(format!("{}.log", step.name())))?;
        let begun = clock.elapsed();
        let process = Process(spawn_on(SERVER_CORE, command, log)?);
        let probe = if step == Step::Floor { address } else { ops };
        wait_until_ready(probe, step, clock).await.with_context(|| log_of(folder, step))?;
        let start_up = clock.elapsed().saturating_sub(begun);
        let era = if step == Step::AllOnLegacy { Era::Legacy } else { Era::Modern };
        let arguments = json!({ "query": stage.query, "provider": "spotify", "limit": 2 });
        let path = format!("/t/{TENANT}/mcp");
        let mut request = RequestTemplate::new(era, address, &path, &stage.api_key, "search", &arguments);
        // The sandbox is in this process, so a blocking call has to leave the runtime's thread.
        let first = request.numbered(0).to_owned();
        let answer = tokio::task::spawn_blocking(move || first_answer(address, &first, step)).await??;
        let target = Target { address, request, expected: ExpectedAnswer::like(&answer)? };
        let ops = (step != Step::Floor).then_some(ops);
        Ok(Self { step, start_up, process, ops, target: Arc::new(target) })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.process.0.id()
    }

    /// Where the load goes.
    pub(crate) fn target(&self) -> &Arc<Target> {
        &self.target
    }

    /// The counters of its `/metrics`, by name and labels.
    pub(crate) fn counters(&self) -> anyhow::Result<BTreeMap<String, f64>> {
        let Some(ops) = self.ops else { return Ok(BTreeMap::new()) };
        let text = get(ops, "/metrics")?;
        let counters = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        });
        Ok(counters.collect())
    }

    /// Refuses figures of a server that did less than its step says.
    pub(crate) fn check_what_it_did(&self) -> anyhow::Result<()> {
        let counters = self.counters()?;
        let count =
            |name: &str| counters.get(&format!("stagedoor_{name}_total")).copied().unwrap_or_default();
        let name = self.step.name();
        if self.step == Step::Floor {
            return Ok(());
        }
        let fetched: f64 = counters
            .iter()
            .filter(|(series, _)| {
                series.starts_with("stagedoor_cache_calls_total{") && series.contains("=\"fetched\"")
            })
            .map(|(_, count)| count)
            .sum();
        ensure!(fetched <= 1.0, "{name}: {fetched} calls missed the cache");
        // A machine that is busy otherwise makes a few calls wait too long for Redis.
        let decided = count("limiter_redis") + count("limiter_lease");
        let degraded = count("limiter_degraded");
        ensure!(
            degraded <= decided / 100.0,
            "{name}: Redis was out of reach for {degraded} of {decided} calls"
        );
        ensure!(count("audit_dropped") == 0.0, "{name}: audit records were lost");
        ensure!(self.step.is_full() == (count("audit_queued") > 0.0), "{name}: audit is not as it should be");
        let trips = count("limiter_redis") > 0.0;
        ensure!(self.step.is_full() == trips, "{name}: the limiter is not as it should be");
        Ok(())
    }
}

fn gateway(step: Step, programs: &Programs, address: SocketAddr, ops: SocketAddr, stage: &Stage) -> Command {
    let mut command = Command::new(&programs.gateway);
    command
        .arg("serve")
        .env_clear()
        .env("STAGEDOOR_SERVER__LISTEN", address.to_string())
        .env("STAGEDOOR_SERVER__PUBLIC_URL", format!("http://{address}"))
        .env("STAGEDOOR_OPS__LISTEN", ops.to_string())
        .env("STAGEDOOR_STORAGE__DATABASE_URL", stage.database_url())
        .env("STAGEDOOR_ENCRYPTION__KEY_FILE", &stage.key_file)
        .env("STAGEDOOR_ENCRYPTION__API_KEY_PEPPER_FILE", &stage.pepper_file)
        .env("STAGEDOOR_PROVIDERS__ALLOW_PLAIN_HTTP_LOOPBACK", "true")
        .env("STAGEDOOR_TELEMETRY__LOG_FORMAT", "json")
        // The load comes from one address.
        .env("STAGEDOOR_RATE_LIMITING__PER_IP_PER_SECOND", "1000000")
        .env("STAGEDOOR_RATE_LIMITING__PER_IP_BURST", "1000000")
        .envs(step.settings(stage));
    command
}

fn floor(programs: &Programs, address: SocketAddr, earlier: &[Subject]) -> anyhow::Result<Command> {
    let wanted = earlier.iter().find(|subject| subject.step != Step::AllOnLegacy).or(earlier.first());
    let wanted = wanted.map_or(2_048, |subject| subject.target.expected.length());
    let around = json!({ "jsonrpc": "2.0", "id": 10_000_000, "result": {
        "content": [{ "type": "text", "text": "" }], "isError": false,
    }});
    let text = wanted.checked_sub(around.to_string().len()).context("the gateway's answer is too short")?;
    let mut command = Command::new(&programs.bench);
    command.args(["floor", "--port", &address.port().to_string(), "--text", &text.to_string()]);
    Ok(command)
}

/// Starts a process on one core; the affinity is inherited from the thread that starts it.
fn spawn_on(core: usize, mut command: Command, log: File) -> anyhow::Result<Child> {
    let spawn = move || -> anyhow::Result<Child> {
        pin(core)?;
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        child.with_context(|| format!("{program} does not start"))
    };
    std::thread::spawn(spawn).join().map_err(|_| anyhow::anyhow!("the starting thread panicked"))?
}

async fn wait_until_ready(address: SocketAddr, step: Step, clock: &Arc<dyn Clock>) -> anyhow::Result<()> {
    let end = clock.elapsed() + START_PATIENCE;
    while clock.elapsed() < end {
        let ready = match step {
            Step::Floor => Connection::open(address).is_ok(),
            _ => get(address, "/readyz").is_ok(),
        };
        if ready {
            return Ok(());
        }
        tokio::time::sleep(START_POLL).await;
    }
    bail!("{} was not ready in {} s", step.name(), START_PATIENCE.as_secs())
}

fn log_of(folder: &Path, step: Step) -> String {
    std::fs::read_to_string(folder.join(format!("{}.log", step.name()))).unwrap_or_default()
}

/// The answer to the first call, read closely; all others are compared with it.
fn first_answer(address: SocketAddr, request: &[u8], step: Step) -> anyhow::Result<Vec<u8>> {
    let mut connection = Connection::open(address)?;
    let body = connection.call(request)?.to_owned();
    let answer: Value = serde_json::from_slice(&body).context("the answer is not JSON")?;
    let result = &answer["result"];
    ensure!(result["isError"] == json!(false), "the call failed: {answer}");
    if step != Step::Floor {
        let items = result["structuredContent"]["tracks"]["items"].as_array().map_or(0, Vec::len);
        ensure!(items > 0, "nothing was found: {answer}");
        let text = result["content"][0]["text"].as_str().unwrap_or_default();
        let text: Value = serde_json::from_str(text).context("the text is not JSON")?;
        ensure!(text == result["structuredContent"], "text and structure differ: {answer}");
    }
    Ok(body)
}
