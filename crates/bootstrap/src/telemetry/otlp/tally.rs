//! What is counted of exports, for `/metrics`, and the one line that says that the collector is away.

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use tokio::time::Instant;

/// What is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    Spans,
    Logs,
    Metrics,
}

/// Why something was not exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    /// More waited than there is room for.
    Full,
    /// The collector did not take it.
    Refused,
}

#[derive(Debug)]
pub(super) struct Tally {
    exported: AtomicU64,
    full: AtomicU64,
    refused: AtomicU64,
    waiting: AtomicI64,
}

impl Tally {
    const fn new() -> Self {
        Self {
            exported: AtomicU64::new(0),
            full: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            waiting: AtomicI64::new(0),
        }
    }

    pub(super) fn exported(&self, number: usize) {
        self.exported.fetch_add(number as u64, Ordering::Relaxed);
    }

    pub(super) fn lost(&self, loss: Loss, number: usize) {
        let count = match loss {
            Loss::Full => &self.full,
            Loss::Refused => &self.refused,
        };
        count.fetch_add(number as u64, Ordering::Relaxed);
    }

    /// How many found no room.
    pub(super) fn full(&self) -> u64 {
        self.full.load(Ordering::Relaxed)
    }

    /// How many the collector has taken.
    pub(super) fn taken(&self) -> u64 {
        self.exported.load(Ordering::Relaxed)
    }

    pub(super) fn waits(&self, change: i64) {
        self.waiting.fetch_add(change, Ordering::Relaxed);
    }
}

const SIGNALS: [(Signal, &str); 3] =
    [(Signal::Spans, "spans"), (Signal::Logs, "logs"), (Signal::Metrics, "metrics")];

static TALLIES: [Tally; 3] = [const { Tally::new() }; 3];
static OUTAGES: [Mutex<Outage>; 3] = [const { Mutex::new(Outage::none()) }; 3];
/// At most one outage of a signal is told in this time: a collector that takes every other batch costs no line for each.
const TOLD_EVERY: Duration = Duration::from_mins(1);

/// Whether a signal is taken, and what was told of it.
#[derive(Debug)]
struct Outage {
    lasts: bool,
    told: bool,
    told_at: Option<Instant>,
}

impl Outage {
    const fn none() -> Self {
        Self { lasts: false, told: false, told_at: None }
    }

    /// Whether that it fails, or does no more, is to be told.
    fn is_news(&mut self, fails: bool, now: Instant) -> bool {
        if std::mem::replace(&mut self.lasts, fails) == fails {
            return false;
        }
        if fails {
            self.told = self.told_at.is_none_or(|at| now.duration_since(at) >= TOLD_EVERY);
            if self.told {
                self.told_at = Some(now);
            }
        }
        self.told
    }
}

impl Signal {
    pub(super) fn tally(self) -> &'static Tally {
        &TALLIES[self as usize]
    }

    /// Tells once when sending it begins to fail and once when it works again.
    pub(super) fn note(self, failure: Option<&str>) {
        let mut outage = OUTAGES[self as usize].lock().unwrap_or_else(PoisonError::into_inner);
        if !outage.is_news(failure.is_some(), Instant::now()) {
            return;
        }
        drop(outage);
        let (_, signal) = SIGNALS[self as usize];
        if let Some(failure) = failure {
            tracing::warn!(signal, failure, "the collector takes no telemetry; it is dropped until it does");
        } else {
            tracing::info!(signal, "the collector takes telemetry again");
        }
    }
}

/// The counts, read when metrics are asked for.
#[derive(Debug)]
pub(crate) struct Tallies;

impl Collector for Tallies {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let help = "Spans, log lines and series that the collector has taken";
        let mut exported =
            encoder.encode_descriptor("telemetry_exported", help, None, MetricType::Counter)?;
        for (signal, name) in SIGNALS {
            let count = ConstCounter::new(signal.tally().taken());
            count.encode(exported.encode_family(&[("signal", name)])?)?;
        }
        let help = "Those that were dropped: there was no room for them, or the collector did not take them";
        let mut dropped = encoder.encode_descriptor("telemetry_dropped", help, None, MetricType::Counter)?;
        for (signal, name) in SIGNALS {
            let tally = signal.tally();
            let refused = tally.refused.load(Ordering::Relaxed);
            for (reason, count) in [("full", tally.full()), ("refused", refused)] {
                let count = ConstCounter::new(count);
                count.encode(dropped.encode_family(&[("signal", name), ("reason", reason)])?)?;
            }
        }
        let help = "Those that wait for the collector";
        let mut waiting = encoder.encode_descriptor("telemetry_waiting", help, None, MetricType::Gauge)?;
        for (signal, name) in SIGNALS {
            let count = ConstGauge::new(signal.tally().waiting.load(Ordering::Relaxed).max(0));
            count.encode(waiting.encode_family(&[("signal", name)])?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_costs_one_line_and_its_end_another_and_flapping_no_more() {
        let (mut outage, began) = (Outage::none(), Instant::now());
        let mut told = |fails, seconds| outage.is_news(fails, began + Duration::from_secs(seconds));
        assert!(!told(false, 0));
        assert!(told(true, 1) && !told(true, 2) && told(false, 3) && !told(false, 4));
        assert!(!told(true, 5) && !told(false, 6) && !told(true, 30) && !told(false, 59));
        assert!(told(true, 61) && told(false, 62));
    }
}
