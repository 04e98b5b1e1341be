//! Figures of all rounds, their medians, the table and the JSON file.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use anyhow::Context;
use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};
use stagedoor_tests::machine;

use crate::load::FullLoad;
use crate::stage::Stage;
use crate::subject::{Step, Subject};

/// What was measured of one step, one entry a round.
#[derive(Debug, Clone, Default)]
pub(crate) struct Figures {
    calls_per_second: Vec<f64>,
    user_us: Vec<f64>,
    system_us: Vec<f64>,
    cpu_us: Vec<f64>,
    p50_us: Vec<f64>,
    p99_us: Vec<f64>,
    resident_mb: Vec<f64>,
    redis_trips: Vec<f64>,
}

impl Figures {
    /// Adds a round at full load, with the server's own counters around it.
    pub(crate) fn add_full_load(
        &mut self,
        load: &FullLoad,
        before: &BTreeMap<String, f64>,
        after: &BTreeMap<String, f64>,
    ) {
        let calls = f64::from(load.calls);
        self.calls_per_second.push(load.calls_per_second());
        self.user_us.push(load.cpu.user.as_secs_f64() * 1e6 / calls);
        self.system_us.push(load.cpu.system.as_secs_f64() * 1e6 / calls);
        self.cpu_us.push((load.cpu.user + load.cpu.system).as_secs_f64() * 1e6 / calls);
        let grown = |name: &str| {
            let read =
                |counters: &BTreeMap<String, f64>| counters.get(&format!("stagedoor_{name}_total")).copied();
            read(after).zip(read(before)).map_or(0.0, |(after, before)| after - before)
        };
        let decisions = grown("limiter_redis") + grown("limiter_lease") + grown("limiter_local");
        self.redis_trips.push(grown("limiter_redis_trips") / decisions.max(1.0));
    }

    /// Adds a round at half load.
    pub(crate) fn add_latencies(&mut self, nanoseconds: &Histogram<u64>) {
        let micros = |quantile| precise(nanoseconds.value_at_quantile(quantile)) / 1e3;
        self.p50_us.push(micros(0.5));
        self.p99_us.push(micros(0.99));
    }

    /// Adds the memory at the end of a round.
    pub(crate) fn add_memory(&mut self, bytes: u64) {
        self.resident_mb.push(precise(bytes) / 1e6);
    }

    fn to_json(&self) -> Value {
        json!({
            "calls_per_s": rounded(median(&self.calls_per_second), 0),
            "cpu_us_per_call": rounded(median(&self.cpu_us), 2),
            "user_us_per_call": rounded(median(&self.user_us), 2),
            "system_us_per_call": rounded(median(&self.system_us), 2),
            "p50_us": rounded(median(&self.p50_us), 1),
            "p99_us": rounded(median(&self.p99_us), 1),
            "rss_mb": rounded(median(&self.resident_mb), 1),
            "redis_trips_per_call": rounded(median(&self.redis_trips), 3),
        })
    }

    /// How many times the CPU of `floor`, compared round by round, so that what disturbed both does not count.
    fn ratio_to(&self, floor: &Self) -> f64 {
        let ratios: Vec<f64> =
            self.cpu_us.iter().zip(&floor.cpu_us).map(|(own, floor)| own / floor).collect();
        rounded(median(&ratios), 2)
    }
}

/// All figures of a run.
#[derive(Debug)]
pub(crate) struct Report {
    rows: Vec<Row>,
    circumstances: Value,
    start_up_ms: f64,
}

#[derive(Debug)]
struct Row {
    step: Step,
    figures: Value,
    ratio: f64,
}

impl Report {
    /// The medians, and the circumstances that one needs to compare them with another run's.
    pub(crate) async fn new(
        subjects: &[Subject],
        figures: &[Figures],
        stage: &Stage,
        cores: usize,
    ) -> anyhow::Result<Self> {
        let floor = subjects.iter().zip(figures).find(|(subject, _)| subject.step == Step::Floor);
        let (floor_subject, floor) = floor.context("the floor is always measured")?;
        let row = |(subject, figures): (&Subject, &Figures)| Row {
            step: subject.step,
            figures: figures.to_json(),
            ratio: figures.ratio_to(floor),
        };
        let starts: Vec<f64> = subjects
            .iter()
            .filter(|subject| subject.step != Step::Floor)
            .map(|subject| subject.start_up.as_secs_f64() * 1e3)
            .collect();
        let (postgres, redis) = stage.versions().await?;
        let circumstances = json!({
            "machine": { "processor": machine::processor(), "cores": cores, "kernel": machine::kernel() },
            "versions": { "stagedoor": env!("CARGO_PKG_VERSION"), "postgres": postgres, "redis": redis },
            "request_bytes": subjects[0].target().request.length(),
            "response_bytes": floor_subject.target().expected.length(),
            "rounds": floor.cpu_us.len(),
        });
        let rows = subjects.iter().zip(figures).map(row).collect();
        Ok(Self { rows, circumstances, start_up_ms: rounded(median(&starts), 1) })
    }

    /// The table on the terminal.
    pub(crate) fn print(&self) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        writeln!(
            out,
            "{:<14}{:>9}{:>9}{:>9}{:>9}{:>11}{:>9}{:>9}{:>9}{:>13}",
            "",
            "user µs",
            "sys µs",
            "CPU µs",
            "× floor",
            "calls/s",
            "p50 µs",
            "p99 µs",
            "RSS MB",
            "Redis trips"
        )?;
        let floor_first = self.rows.iter().rev().take(1).chain(self.rows.iter().rev().skip(1).rev());
        for Row { step, figures, ratio } in floor_first {
            let figure = |key: &str| figures[key].as_f64().unwrap_or_default();
            writeln!(
                out,
                "{:<14}{:>9.2}{:>9.2}{:>9.2}{:>9.2}{:>11.0}{:>9.0}{:>9.0}{:>9.1}{:>13.3}",
                step.name(),
                figure("user_us_per_call"),
                figure("system_us_per_call"),
                figure("cpu_us_per_call"),
                ratio,
                figure("calls_per_s"),
                figure("p50_us"),
                figure("p99_us"),
                figure("rss_mb"),
                figure("redis_trips_per_call"),
            )?;
        }
        writeln!(out, "start-up: {} ms from the start of the process to ready", self.start_up_ms)?;
        writeln!(out, "{}", self.circumstances)
    }

    /// The JSON file that scripts read.
    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let mut report: Map<String, Value> =
            self.rows.iter().map(|row| (row.step.name().to_owned(), row.figures.clone())).collect();
        for row in self.rows.iter().filter(|row| row.step != Step::Floor) {
            report.insert(format!("ratio_{}_to_floor", row.step.name()), json!(row.ratio));
        }
        report.insert("startup_ms".to_owned(), json!(self.start_up_ms));
        if let Value::Object(circumstances) = &self.circumstances {
            report.extend(circumstances.clone());
        }
        let text = format!("{:#}\n", Value::Object(report));
        std::fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        length if length % 2 == 1 => sorted[length / 2],
        length => f64::midpoint(sorted[length / 2 - 1], sorted[length / 2]),
    }
}

fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}

#[expect(clippy::cast_precision_loss, reason = "bytes and nanoseconds here stay far below 2^52")]
fn precise(value: u64) -> f64 {
    value as f64
}
