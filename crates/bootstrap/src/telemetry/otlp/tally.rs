//! What is counted of exports, for `/metrics`, and the one line that says that the collector is away.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

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
static AWAY: AtomicBool = AtomicBool::new(false);

impl Signal {
    pub(super) fn tally(self) -> &'static Tally {
        &TALLIES[self as usize]
    }
}

/// Tells once when sending begins to fail and once when it works again.
pub(super) fn note(failure: Option<&str>) {
    if AWAY.swap(failure.is_some(), Ordering::Relaxed) == failure.is_some() {
        return;
    }
    if let Some(failure) = failure {
        tracing::warn!(failure, "the collector takes no telemetry; it is dropped until it does");
    } else {
        tracing::info!("the collector takes telemetry again");
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
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

    use super::*;

    struct Counter(Arc<AtomicUsize>);

    impl<S: tracing::Subscriber> Layer<S> for Counter {
        fn on_event(&self, _: &tracing::Event<'_>, _: Context<'_, S>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_collector_that_is_down_costs_one_line_and_its_return_another() {
        let lines = Arc::new(AtomicUsize::new(0));
        let subscriber = tracing_subscriber::registry().with(Counter(lines.clone()));
        tracing::subscriber::with_default(subscriber, || {
            for (failure, expected) in
                [(None, 0), (Some("refused"), 1), (Some("refused"), 1), (None, 2), (None, 2)]
            {
                note(failure);
                assert_eq!(lines.load(Ordering::Relaxed), expected);
            }
        });
    }
}
