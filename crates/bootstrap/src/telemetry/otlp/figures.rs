//! What `/metrics` shows, on its way out: the same names, labels and buckets, every 15 seconds, and once more at the end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Exemplar, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
    ResourceMetrics, ScopeMetrics, Sum, exemplar, metric, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource as ResourceMessage;
use opentelemetry_sdk::Resource;
use stagedoor_domain::error::Chain;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::tally::{Loss, Signal};
use super::{Collector, FIGURES, nanos};
use crate::Metrics;
use crate::metrics::exposition::{self, Family, Kind, Sample};

const EVERY: Duration = Duration::from_secs(15);

/// What metrics are sent with.
#[derive(Debug)]
pub(super) struct Figures {
    collector: Arc<Collector>,
    resource: ResourceMessage,
    began: SystemTime,
}

/// Sends `metrics` every 15 seconds until `ended`, and then once more; returns at once where they are not exported.
pub async fn export_metrics(metrics: Arc<Metrics>, ended: CancellationToken) {
    let Some(figures) = FIGURES.get() else { return };
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick is at once.
    ticks.tick().await;
    while ended.run_until_cancelled(ticks.tick()).await.is_some() {
        figures.send(&metrics).await;
    }
    figures.send(&metrics).await;
}

impl Figures {
    pub(super) fn new(collector: Arc<Collector>, resource: &Resource, began: SystemTime) -> Self {
        let attributes =
            resource.iter().map(|(key, value)| attribute(key.as_str(), value.to_string())).collect();
        let resource = ResourceMessage { attributes, ..ResourceMessage::default() };
        Self { collector, resource, began }
    }

    async fn send(&self, metrics: &Metrics) {
        let metrics = {
            let text = metrics.render();
            messages(&exposition::families(&text), nanos(self.began), nanos(opentelemetry::time::now()))
        };
        let number = metrics.iter().map(points).sum();
        let scope = InstrumentationScope { name: "stagedoor".to_owned(), ..InstrumentationScope::default() };
        let scope_metrics = vec![ScopeMetrics { scope: Some(scope), metrics, ..ScopeMetrics::default() }];
        let resource_metrics = vec![ResourceMetrics {
            resource: Some(self.resource.clone()),
            scope_metrics,
            ..ResourceMetrics::default()
        }];
        match self.collector.send(ExportMetricsServiceRequest { resource_metrics }).await {
            Ok(()) => {
                Signal::Metrics.tally().exported(number);
                Signal::Metrics.note(None);
            }
            Err(error) => {
                let lost = error.number().map_or(number, |lost| lost.min(number));
                Signal::Metrics.tally().lost(Loss::Refused, lost);
                Signal::Metrics.tally().exported(number - lost);
                Signal::Metrics.note(Some(&Chain(&error).to_string()));
            }
        }
    }
}

fn points(metric: &Metric) -> usize {
    match &metric.data {
        Some(metric::Data::Sum(sum)) => sum.data_points.len(),
        Some(metric::Data::Gauge(gauge)) => gauge.data_points.len(),
        Some(metric::Data::Histogram(histogram)) => histogram.data_points.len(),
        _ => 0,
    }
}

/// Families as OTLP has them (its data model, "Prometheus and `OpenMetrics` Compatibility").
fn messages(families: &[Family<'_>], began: u64, now: u64) -> Vec<Metric> {
    families.iter().filter_map(|family| message(family, began, now)).collect()
}

fn message(family: &Family<'_>, began: u64, now: u64) -> Option<Metric> {
    let data = match family.kind {
        Kind::Counter => metric::Data::Sum(Sum {
            data_points: family.samples.iter().map(|sample| number(sample, began, now)).collect(),
            aggregation_temporality: AggregationTemporality::Cumulative.into(),
            is_monotonic: true,
        }),
        Kind::Gauge => metric::Data::Gauge(Gauge {
            data_points: family.samples.iter().map(|sample| number(sample, 0, now)).collect(),
        }),
        Kind::Histogram => metric::Data::Histogram(Histogram {
            data_points: histograms(&family.samples, began, now),
            aggregation_temporality: AggregationTemporality::Cumulative.into(),
        }),
        Kind::Other => return None,
    };
    let unit = if family.unit == Some("seconds") { "s" } else { "" };
    Some(Metric {
        name: family.name.to_owned(),
        description: family.help.to_owned(),
        unit: unit.to_owned(),
        data: Some(data),
        ..Metric::default()
    })
}

fn number(sample: &Sample<'_>, began: u64, now: u64) -> NumberDataPoint {
    NumberDataPoint {
        attributes: attributes(&sample.labels),
        start_time_unix_nano: began,
        time_unix_nano: now,
        value: Some(number_data_point::Value::AsDouble(sample.value)),
        ..NumberDataPoint::default()
    }
}

/// Samples of several histograms, told apart by their labels.
fn histograms(samples: &[Sample<'_>], began: u64, now: u64) -> Vec<HistogramDataPoint> {
    let mut points: BTreeMap<Vec<(&str, String)>, HistogramDataPoint> = BTreeMap::new();
    for sample in samples {
        let mut labels = sample.labels.clone();
        let bound = labels.iter().position(|(name, _)| *name == "le").map(|at| labels.remove(at).1);
        let point = points.entry(labels).or_insert_with_key(|labels| HistogramDataPoint {
            attributes: attributes(labels),
            start_time_unix_nano: began,
            time_unix_nano: now,
            ..HistogramDataPoint::default()
        });
        match (sample.ending, bound) {
            ("_sum", _) => point.sum = Some(sample.value),
            ("_count", _) => point.count = count(sample.value),
            ("_bucket", Some(bound)) => {
                let before: u64 = point.bucket_counts.iter().sum();
                point.bucket_counts.push(count(sample.value).saturating_sub(before));
                if let Ok(bound) = bound.parse::<f64>()
                    && bound.is_finite()
                {
                    point.explicit_bounds.push(bound);
                }
                point.exemplars.extend(sample.exemplar.as_ref().and_then(example));
            }
            _ => {}
        }
    }
    points.into_values().collect()
}

fn example(found: &exposition::Exemplar<'_>) -> Option<Exemplar> {
    let id = |label: &str| {
        let (_, text) = found.labels.iter().find(|(name, _)| *name == label)?;
        let bytes = (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok());
        bytes.collect::<Option<Vec<u8>>>()
    };
    let at = Duration::try_from_secs_f64(found.at?).ok()?;
    Some(Exemplar {
        time_unix_nano: u64::try_from(at.as_nanos()).ok()?,
        trace_id: id("trace_id")?,
        span_id: id("span_id")?,
        value: Some(exemplar::Value::AsDouble(found.value)),
        ..Exemplar::default()
    })
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts are whole and not negative"
)]
fn count(value: f64) -> u64 {
    value as u64
}

fn attributes(labels: &[(&str, String)]) -> Vec<KeyValue> {
    labels.iter().map(|(name, value)| attribute(name, value.clone())).collect()
}

fn attribute(name: &str, value: String) -> KeyValue {
    let value = Some(AnyValue { value: Some(any_value::Value::StringValue(value)) });
    KeyValue { key: name.to_owned(), value, ..KeyValue::default() }
}

#[cfg(test)]
mod tests {
    use stagedoor_domain::{Provider, ToolName};

    use super::*;
    use crate::metrics::{CallOutcome, ProviderOutcome};

    #[test]
    fn what_is_shown_is_what_is_sent() {
        let metrics = Metrics::new();
        metrics.provider_requests.count(Provider::Tidal, ProviderOutcome::Limited);
        for millis in [3, 4, 400] {
            metrics.tool_call_duration.record(ToolName::Search, Duration::from_millis(millis));
        }
        metrics.calls.add(CallOutcome::Success, 7);
        let text = metrics.render();
        let families = exposition::families(&text);
        let sent = messages(&families, 1, 2);
        let named = |name: &str| {
            let metric = sent.iter().find(|metric| metric.name == name).unwrap_or_else(|| panic!("{name}"));
            metric.data.clone().unwrap()
        };
        let metric::Data::Sum(calls) = named("stagedoor_calls") else { panic!("no sum") };
        let success = calls.data_points.iter().find(|point| format!("{point:?}").contains("\"success\""));
        assert_eq!(success.unwrap().value, Some(number_data_point::Value::AsDouble(7.0)));
        assert!(calls.is_monotonic);
        let metric::Data::Histogram(tools) = named("stagedoor_tool_call_duration_seconds") else {
            panic!("no histogram")
        };
        let search =
            tools.data_points.iter().find(|point| format!("{point:?}").contains("\"search\"")).unwrap();
        assert_eq!((search.count, search.bucket_counts.iter().sum::<u64>()), (3, 3));
        assert_eq!(search.bucket_counts.len(), search.explicit_bounds.len() + 1);
        assert!((search.sum() - 0.407).abs() < 1e-9);
        let at = |bound: f64| search.explicit_bounds.iter().position(|edge| (edge - bound).abs() < 1e-12);
        assert_eq!(search.bucket_counts[at(0.005).unwrap()], 2);
        let samples: usize = families
            .iter()
            .filter(|family| family.kind != Kind::Histogram)
            .map(|family| family.samples.len())
            .sum();
        let histograms = |metric: &&Metric| matches!(metric.data, Some(metric::Data::Histogram(_)));
        let numbers: usize = sent.iter().filter(|metric| !histograms(metric)).map(points).sum();
        assert_eq!(numbers, samples, "a series is missing");
    }
}
