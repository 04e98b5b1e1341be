//! The way out of traces: OTLP over HTTP (protobuf) in batches from a bounded queue. A collector that is down costs
//! dropped spans and one log line, not memory and not a line per span.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, RetryPolicy, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider};
use tokio::runtime::Handle;
use url::Url;

use crate::config::TelemetryConfig;

pub(super) const FLUSH_PATIENCE: Duration = Duration::from_secs(2);

pub(super) const EXPORT_PATIENCE: Duration = Duration::from_secs(5);
const QUEUE_SPANS: usize = 4096;
const BATCH_SPANS: usize = 512;

/// The provider of tracers, or `None` where no endpoint is configured.
pub(super) fn provider(
    config: &TelemetryConfig,
    service: &'static str,
) -> Result<Option<SdkTracerProvider>, Box<dyn std::error::Error + Send + Sync>> {
    let Some(endpoint) = &config.otlp_endpoint else { return Ok(None) };
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(CollectorClient::new()?)
        .with_endpoint(address(endpoint, "/v1/traces"))
        .with_protocol(Protocol::HttpBinary)
        .with_timeout(EXPORT_PATIENCE)
        .with_retry_policy(RetryPolicy::disabled())
        .build()?;
    let batches = BatchConfigBuilder::default()
        .with_max_queue_size(QUEUE_SPANS)
        .with_max_export_batch_size(BATCH_SPANS)
        .with_scheduled_delay(Duration::from_secs(1))
        .build();
    let provider = SdkTracerProvider::builder()
        .with_span_processor(BatchSpanProcessor::builder(exporter).with_batch_config(batches).build())
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(config.sampling_ratio))))
        .with_resource(Resource::builder().with_service_name(service).build())
        .build();
    Ok(Some(provider))
}

/// A base address gets the path of a signal (OTLP 1.x, "OTLP/HTTP Request"), and so does one with the path of traces; one
/// with a path of its own is kept.
pub(super) fn address(endpoint: &Url, signal: &str) -> String {
    let mut address = endpoint.clone();
    if matches!(address.path(), "" | "/" | "/v1/traces") {
        address.set_path(signal);
    }
    address.into()
}

/// Sends on our runtime, because batches are made on a thread that has none; tells once when sending begins to fail
/// and once when it works again.
pub(super) struct CollectorClient {
    runtime: Handle,
    client: reqwest::Client,
    failing: AtomicBool,
}

impl CollectorClient {
    pub(super) fn new() -> Result<Self, reqwest::Error> {
        crate::tls::install_provider();
        let client =
            reqwest::Client::builder().timeout(EXPORT_PATIENCE).redirect(reqwest::redirect::Policy::none());
        Ok(Self { runtime: Handle::current(), client: client.build()?, failing: AtomicBool::new(false) })
    }

    fn note(&self, failure: Option<&str>) {
        if self.failing.swap(failure.is_some(), Ordering::Relaxed) == failure.is_some() {
            return;
        }
        if let Some(failure) = failure {
            tracing::warn!(failure, "the trace collector cannot be reached; traces are dropped until it can");
        } else {
            tracing::info!("the trace collector can be reached again");
        }
    }
}

#[async_trait]
impl HttpClient for CollectorClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let sent = self.runtime.spawn(async move {
            let answer = client.execute(request.try_into()?).await?.error_for_status()?;
            let (status, headers) = (answer.status(), answer.headers().clone());
            let mut response = Response::new(answer.bytes().await?);
            *response.status_mut() = status;
            *response.headers_mut() = headers;
            Ok::<_, reqwest::Error>(response)
        });
        let outcome = sent.await.map_err(HttpError::from).and_then(|answer| answer.map_err(HttpError::from));
        self.note(outcome.as_ref().err().map(ToString::to_string).as_deref());
        outcome
    }
}

impl fmt::Debug for CollectorClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CollectorClient").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

    use super::{CollectorClient, address};

    struct Counter(Arc<AtomicUsize>);

    impl<S: tracing::Subscriber> Layer<S> for Counter {
        fn on_event(&self, _: &tracing::Event<'_>, _: Context<'_, S>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn a_collector_that_is_down_costs_one_line_and_its_return_another() {
        let lines = Arc::new(AtomicUsize::new(0));
        let client = CollectorClient::new().unwrap();
        tracing::subscriber::with_default(
            tracing_subscriber::registry().with(Counter(lines.clone())),
            || {
                for expected in [(None, 0), (Some("refused"), 1), (Some("refused"), 1), (None, 2), (None, 2)]
                {
                    client.note(expected.0);
                    assert_eq!(lines.load(Ordering::Relaxed), expected.1);
                }
            },
        );
    }

    #[test]
    fn a_base_address_gets_the_path_of_the_signal() {
        let address = |text: &str, signal| address(&text.parse().unwrap(), signal);
        assert_eq!(address("http://collector:4318", "/v1/traces"), "http://collector:4318/v1/traces");
        assert_eq!(
            address("http://collector:4318/v1/traces", "/v1/metrics"),
            "http://collector:4318/v1/metrics"
        );
        assert_eq!(
            address("http://collector:4318/custom/in", "/v1/metrics"),
            "http://collector:4318/custom/in"
        );
    }
}
