//! Tables of counters and histograms over closed labels, resolved when the process starts: counting is an index and
//! an atomic addition, and every series is there from the first scrape.

use std::marker::PhantomData;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::labels::Label;
use crate::telemetry;

type LabelSet = Vec<(&'static str, &'static str)>;

/// The trace and span of a call (`OpenMetrics` 1.0, "Exemplars").
type TraceLabels = [(&'static str, String); 2];
type Histogram = HistogramWithExemplars<TraceLabels>;

/// Counters over one label.
#[derive(Debug)]
pub struct Counters<A> {
    cells: Vec<Counter>,
    labels: PhantomData<A>,
}

impl<A: Label> Counters<A> {
    pub(super) fn register(registry: &mut Registry, name: &str, help: &str) -> Self {
        let family = Family::<LabelSet, Counter>::default();
        let cells = A::ALL.iter().map(|a| family.get_or_create_owned(&vec![(A::NAME, a.text())])).collect();
        registry.register(name, help, family);
        Self { cells, labels: PhantomData }
    }

    /// Counts one.
    pub fn count(&self, a: A) {
        self.cells[a.index()].inc();
    }

    /// Counts several.
    pub fn add(&self, a: A, number: u64) {
        self.cells[a.index()].inc_by(number);
    }

    /// The count so far.
    pub fn get(&self, a: A) -> u64 {
        self.cells[a.index()].get()
    }
}

/// Counters over two labels.
#[derive(Debug)]
pub struct CounterGrid<A, B> {
    cells: Vec<Counter>,
    labels: PhantomData<(A, B)>,
}

impl<A: Label, B: Label> CounterGrid<A, B> {
    pub(super) fn register(registry: &mut Registry, name: &str, help: &str) -> Self {
        let family = Family::<LabelSet, Counter>::default();
        let pairs = A::ALL.iter().flat_map(|a| B::ALL.iter().map(move |b| (a, b)));
        let cells = pairs
            .map(|(a, b)| family.get_or_create_owned(&vec![(A::NAME, a.text()), (B::NAME, b.text())]))
            .collect();
        registry.register(name, help, family);
        Self { cells, labels: PhantomData }
    }

    /// Counts one.
    pub fn count(&self, a: A, b: B) {
        self.at(a, b).inc();
    }

    /// The count so far.
    pub fn get(&self, a: A, b: B) -> u64 {
        self.at(a, b).get()
    }

    fn at(&self, a: A, b: B) -> &Counter {
        &self.cells[a.index() * B::ALL.len() + b.index()]
    }
}

/// Histograms of durations over one label, in seconds. Each bucket names the last traced call that fell into it.
#[derive(Debug)]
pub struct Durations<A> {
    cells: Vec<Histogram>,
    labels: PhantomData<A>,
}

impl<A: Label> Durations<A> {
    pub(super) fn register(registry: &mut Registry, name: &str, help: &str, buckets: &'static [f64]) -> Self {
        let make: fn(&'static [f64]) -> Histogram = |buckets| Histogram::new(buckets.iter().copied());
        let family = Family::<LabelSet, Histogram, _>::new_with_constructor(move || make(buckets));
        let cells = A::ALL.iter().map(|a| family.get_or_create_owned(&vec![(A::NAME, a.text())])).collect();
        registry.register_with_unit(name, help, prometheus_client::registry::Unit::Seconds, family);
        Self { cells, labels: PhantomData }
    }

    /// Records one duration, of the request in whose trace this is called.
    pub fn record(&self, a: A, duration: std::time::Duration) {
        let trace = telemetry::current();
        let at = trace.map(|_| telemetry::moment());
        let trace =
            trace.map(|(trace, span)| [("trace_id", trace.to_string()), ("span_id", span.to_string())]);
        self.cells[a.index()].observe(duration.as_secs_f64(), trace, at);
    }
}
