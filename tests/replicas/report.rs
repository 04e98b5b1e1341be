//! The tables on the terminal and the JSON file.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use stagedoor_tests::machine;

use crate::balancer::Seen;
use crate::ledger::{Ledger, Stretch};
use crate::meters::{Meters, grown};
use crate::promises::Promises;
use crate::rolling::Restart;
use crate::town::KeeperRun;

const BALANCER: &str = "the balancer sees no error and repeats nothing";

/// What is told of a run.
#[derive(Debug)]
pub(crate) struct Report {
    json: Value,
    tables: Vec<String>,
}

impl Report {
    /// Nothing yet but the circumstances.
    pub(crate) fn new(rate: f64, tenants: u32) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let json = json!({
            "machine": { "processor": machine::processor(), "cores": cores, "kernel": machine::kernel() },
            "version": env!("CARGO_PKG_VERSION"),
            "optimised": !cfg!(debug_assertions),
            "rate": rate,
            "tenants": tenants,
        });
        Self { json, tables: Vec::new() }
    }

    /// Resident memory of each gateway at a moment.
    pub(crate) fn memory(&mut self, moment: &str, bytes: &[u64]) {
        let megabytes: Vec<f64> = bytes.iter().map(|bytes| rounded(precise(*bytes) / 1e6, 1)).collect();
        self.say(format!("memory {moment:<20} {megabytes:?} MB"));
        self.json["resident_mb"][moment] = json!(megabytes);
    }

    /// What the gateways do without any call.
    pub(crate) fn idle(&mut self, before: &Meters, after: &Meters, lasted: Duration) {
        let each = |count: u64| rounded(precise(count) / lasted.as_secs_f64(), 1);
        let commands = |before, after| each(grown(before, after).values().sum());
        let cpu: BTreeMap<_, _> = after
            .cpu_since(before)
            .into_iter()
            .map(|(name, time)| (name, rounded(time.as_secs_f64() / lasted.as_secs_f64(), 4)))
            .collect();
        let idle = json!({
            "transactions_per_s": each(after.transactions.saturating_sub(before.transactions)),
            "redis_cache_commands_per_s": commands(&before.cache_commands, &after.cache_commands),
            "redis_limits_commands_per_s": commands(&before.limits_commands, &after.limits_commands),
            "cpu_s_per_s": cpu,
        });
        self.say(format!("idle, all gateways together: {idle}"));
        self.json["idle"] = idle;
    }

    /// What `calls` requests cost.
    pub(crate) fn steady(&mut self, before: &Meters, after: &Meters, calls: u64) {
        let thousands = precise(calls.max(1)) / 1e3;
        let each = |count: u64| rounded(precise(count) / thousands, 1);
        let commands = |before, after| -> (f64, BTreeMap<String, f64>) {
            let grown = grown(before, after);
            let all = each(grown.values().sum());
            (all, grown.into_iter().map(|(name, count)| (name, each(count))).collect())
        };
        let cpu: BTreeMap<_, _> = after
            .cpu_since(before)
            .into_iter()
            .map(|(name, time)| (name, rounded(time.as_secs_f64() / thousands, 3)))
            .collect();
        let (cache, cache_commands) = commands(&before.cache_commands, &after.cache_commands);
        let (limits, limits_commands) = commands(&before.limits_commands, &after.limits_commands);
        let requests: Vec<u64> = before.requests.iter().zip(&after.requests).map(|(b, a)| a - b).collect();
        let (spared, fetched) = (after.cache.0 - before.cache.0, after.cache.1 - before.cache.1);
        let steady = json!({
            "cpu_s": cpu,
            "redis_cache_commands": cache,
            "redis_limits_commands": limits,
            "redis_cache_by_command": cache_commands,
            "redis_limits_by_command": limits_commands,
            "transactions": each(after.transactions.saturating_sub(before.transactions)),
            "log_kb": each((after.log_bytes - before.log_bytes) / 1000),
            "stored_kb": each(after.stored_bytes.saturating_sub(before.stored_bytes) / 1000),
        });
        self.say(format!(
            "per 1,000 requests: {} PostgreSQL transactions that log {} kB and keep {} kB, {cache} + {limits} Redis commands (cache + limits), CPU \
             seconds {}",
            steady["transactions"], steady["log_kb"], steady["stored_kb"], steady["cpu_s"]
        ));
        let ratio = rounded(precise(spared) / precise((spared + fetched).max(1)), 3);
        self.say(format!(
            "requests by gateway {requests:?}; of calls that may be cached {ratio} asked no service"
        ));
        self.json["per_1000_requests"] = steady;
        self.json["requests_by_gateway"] = json!(requests);
        self.json["cache_hit_ratio"] = json!(ratio);
    }

    /// The keeper's run.
    pub(crate) fn keeper(&mut self, run: &KeeperRun) {
        self.json["keeper"] = json!({ "seconds": seconds(run.lasted), "said": run.said });
    }

    /// A round of restarts.
    pub(crate) fn restarts(&mut self, round: u32, restarts: &[Restart]) {
        let told: Vec<Value> = restarts
            .iter()
            .map(|restart| json!({ "ended_s": seconds(restart.ended), "ready_s": seconds(restart.ready) }))
            .collect();
        self.say(format!("restarts {round}: {}", json!(told)));
        self.json["restarts"][format!("{round}")] = json!(told);
    }

    /// What the balancer counted.
    pub(crate) fn balancer(&mut self, seen: &BTreeMap<String, Seen>, promises: &Promises) {
        let all = |figure: fn(&Seen) -> u64| seen.values().map(figure).sum::<u64>();
        let (errors, again) = (all(|seen| seen.errors), all(|seen| seen.again));
        let handed: BTreeMap<_, _> =
            seen.iter().map(|(name, seen)| (name, json!([seen.requests, seen.connections]))).collect();
        promises.looked_at(
            BALANCER,
            format!("{errors} errors, {again} repeated; requests and connections {}", json!(handed)),
        );
        if errors + again > 0 {
            promises.broken(BALANCER, format!("{seen:?}"));
        }
        self.json["balancer"] = json!({ "handed_out": handed, "errors": errors, "again": again });
    }

    /// How long the end of all gateways took.
    pub(crate) fn ended(&mut self, took: Duration) {
        self.json["end_of_all_s"] = json!(seconds(took));
    }

    /// What the agents saw.
    pub(crate) fn ledger(&mut self, ledger: &Ledger) {
        let pages = ledger.pages();
        self.say(format!(
            "{:<14}{:>9}{:>9}{:>11}{:>11}{:>11}{:>11}{:>11}",
            "", "seconds", "calls/s", "read p50", "read p99", "write p50", "write p99", "longest ms"
        ));
        for stretch in &pages.stretches {
            let figures = of_stretch(stretch, ledger.now());
            let figure = |name: &str| figures[name].as_f64().unwrap_or_default();
            self.say(format!(
                "{:<14}{:>9.1}{:>9.1}{:>11.2}{:>11.2}{:>11.2}{:>11.2}{:>11.1}",
                stretch.name,
                figure("seconds"),
                figure("calls_per_s"),
                figure("read_p50_ms"),
                figure("read_p99_ms"),
                figure("write_p50_ms"),
                figure("write_p99_ms"),
                figure("longest_ms"),
            ));
            self.json["stretches"][&stretch.name] = figures;
        }
        let all: u64 = pages.revisions.values().sum();
        self.say(format!("{all} requests, {} failed, by revision {}", pages.failed, json!(pages.revisions)));
        let longest = pages.transfers.iter().max().copied().unwrap_or_default();
        self.say(format!("{} transfers, the longest took {} s", pages.transfers.len(), seconds(longest)));
        self.json["requests"] = json!(all);
        self.json["failed"] = json!(pages.failed);
        self.json["by_revision"] = json!(pages.revisions);
        self.json["transfers"] = json!({ "done": pages.transfers.len(), "longest_s": seconds(longest) });
    }

    /// What was kept.
    pub(crate) fn promises(&mut self, promises: &Promises) {
        for (promise, outcome) in promises.outcomes() {
            let verdict = if outcome.breaches == 0 { "kept" } else { "BROKEN" };
            self.say(format!("{verdict:<7}{promise}: {}", outcome.shown));
            outcome.told.iter().for_each(|how| self.say(format!("       {how}")));
            self.json["promises"][promise] = json!({ "breaches": outcome.breaches, "shown": outcome.shown });
        }
        self.json["kept"] = json!(promises.kept());
    }

    /// All of it on the terminal, the JSON as the last line.
    pub(crate) fn print(&self) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        for line in &self.tables {
            writeln!(out, "{line}")?;
        }
        writeln!(out, "{}", self.json)
    }

    /// The JSON file that scripts read.
    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let text = format!("{:#}\n", self.json);
        std::fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))
    }

    fn say(&mut self, line: String) {
        self.tables.push(line);
    }
}

/// `replicas.json` beside the folder of the profile that this program was built in.
pub(crate) fn default_path() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("the path of this program")?;
    let target = own.parent().and_then(Path::parent).context("this program is in no target folder")?;
    Ok(target.join("replicas.json"))
}

fn of_stretch(stretch: &Stretch, now: Duration) -> Value {
    let lasted = stretch.ended.unwrap_or(now).saturating_sub(stretch.began);
    let at = |histogram: &Histogram<u64>, quantile| {
        rounded(precise(histogram.value_at_quantile(quantile)) / 1e6, 2)
    };
    let longest = stretch.reads.max().max(stretch.writes.max());
    json!({
        "seconds": seconds(lasted),
        "requests": stretch.requests,
        "calls_per_s": rounded(precise(stretch.requests) / lasted.as_secs_f64(), 1),
        "read_p50_ms": at(&stretch.reads, 0.5),
        "read_p99_ms": at(&stretch.reads, 0.99),
        "write_p50_ms": at(&stretch.writes, 0.5),
        "write_p99_ms": at(&stretch.writes, 0.99),
        "longest_ms": rounded(precise(longest) / 1e6, 1),
    })
}

fn seconds(time: Duration) -> f64 {
    rounded(time.as_secs_f64(), 2)
}

fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}

#[expect(clippy::cast_precision_loss, reason = "bytes, nanoseconds and counts here stay far below 2^52")]
fn precise(value: u64) -> f64 {
    value as f64
}
