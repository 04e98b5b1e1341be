//! The way to the collector: one HTTP client or one gRPC channel, with the headers that it wants. What is sent to music
//! services goes nowhere near it.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{
    LogExporter, MetricExporter, Protocol, RetryPolicy, SpanExporter, WithExportConfig, WithHttpConfig,
    WithTonicConfig,
};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use prost::Message;
use tokio::runtime::Handle;
use tonic::metadata::{MetadataKey, MetadataMap, MetadataValue};
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use url::Url;

use super::BoxError;
use crate::config::{OtlpProtocol, TelemetryConfig};

/// The longest answer that is read; an OTLP answer is a few bytes.
const LONGEST_ANSWER: usize = 64 * 1024;

/// The collector that is configured.
#[derive(Debug)]
pub(in crate::telemetry) struct Collector {
    way: Way,
    timeout: Duration,
}

enum Way {
    Http { client: CollectorClient, endpoint: Url, headers: HashMap<String, String> },
    Grpc { channel: Channel, metadata: MetadataMap },
}

/// Why the collector did not take something.
#[derive(Debug, thiserror::Error)]
pub(in crate::telemetry) enum Refusal {
    /// It could not be reached, or answered with an error.
    #[error("it could not be sent")]
    Unsent(#[source] BoxError),
    /// It took only a part.
    #[error("{number} were rejected: {message}")]
    Rejected {
        /// How many it did not take.
        number: i64,
        /// Why, in its words.
        message: String,
    },
}

impl Refusal {
    /// How many it did not take; `None` if it took none.
    pub(super) fn number(&self) -> Option<usize> {
        match self {
            Self::Rejected { number, .. } => usize::try_from(*number).ok(),
            Self::Unsent(_) => None,
        }
    }
}

/// One builder after the other with what is the same for all exporters.
macro_rules! exporter {
    ($self:ident, $builder:expr, $path:literal) => {
        match &$self.way {
            Way::Http { client, endpoint, headers } => $builder
                .with_http()
                .with_http_client(client.clone())
                .with_endpoint(address(endpoint, $path))
                .with_protocol(Protocol::HttpBinary)
                .with_headers(headers.clone())
                .with_timeout($self.timeout)
                .with_retry_policy(RetryPolicy::recommended())
                .build(),
            Way::Grpc { channel, metadata } => $builder
                .with_tonic()
                .with_channel(channel.clone())
                .with_metadata(metadata.clone())
                .with_timeout($self.timeout)
                .with_retry_policy(RetryPolicy::recommended())
                .build(),
        }
        .map_err(BoxError::from)
    };
}

impl Collector {
    /// The collector of `config`, if it names one. Needs a runtime; nothing is sent yet.
    pub(in crate::telemetry) fn open(config: &TelemetryConfig) -> Result<Option<Self>, BoxError> {
        let Some(endpoint) = &config.otlp_endpoint else { return Ok(None) };
        let timeout = config.otlp_timeout();
        let headers = config.otlp_headers_file.as_deref().map(read_headers).transpose()?.unwrap_or_default();
        let way = match config.otlp_protocol {
            OtlpProtocol::Http => {
                let client = CollectorClient::new(timeout)?;
                Way::Http { client, endpoint: endpoint.clone(), headers: headers.into_iter().collect() }
            }
            OtlpProtocol::Grpc => {
                Way::Grpc { channel: channel(endpoint, timeout)?, metadata: metadata(headers)? }
            }
        };
        Ok(Some(Self { way, timeout }))
    }

    pub(super) fn spans(&self) -> Result<SpanExporter, BoxError> {
        exporter!(self, SpanExporter::builder(), "/v1/traces")
    }

    pub(super) fn logs(&self) -> Result<LogExporter, BoxError> {
        exporter!(self, LogExporter::builder(), "/v1/logs")
    }

    pub(in crate::telemetry) fn metrics(&self) -> Result<MetricExporter, BoxError> {
        exporter!(self, MetricExporter::builder(), "/v1/metrics")
    }

    /// Sends metrics that were counted elsewhere than in the SDK, which takes no such ones. Not repeated: the next ones
    /// hold all that these do.
    pub(super) async fn send(&self, request: ExportMetricsServiceRequest) -> Result<(), Refusal> {
        let sent = async {
            match &self.way {
                Way::Http { client, endpoint, headers } => {
                    let url = address(endpoint, "/v1/metrics");
                    client.send(url, headers, request.encode_to_vec()).await
                }
                Way::Grpc { channel, metadata } => {
                    let mut request = tonic::Request::new(request);
                    *request.metadata_mut() = metadata.clone();
                    let answer = MetricsServiceClient::new(channel.clone()).export(request).await?;
                    Ok(answer.into_inner())
                }
            }
        };
        let answer = match tokio::time::timeout(self.timeout, sent).await {
            Ok(answer) => answer.map_err(Refusal::Unsent)?,
            Err(late) => return Err(Refusal::Unsent(late.into())),
        };
        match answer.partial_success {
            Some(partial) if partial.rejected_data_points > 0 => Err(Refusal::Rejected {
                number: partial.rejected_data_points,
                message: partial.error_message.chars().take(200).collect(),
            }),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Headers may hold a token.
        match self {
            Self::Http { endpoint, .. } => write!(f, "Http({endpoint})"),
            Self::Grpc { .. } => f.write_str("Grpc"),
        }
    }
}

/// A base address gets the path of a signal (OTLP 1.x, "OTLP/HTTP Request"), and so does one with the path of traces; one
/// with a path of its own is kept.
fn address(endpoint: &Url, signal: &str) -> String {
    let mut address = endpoint.clone();
    if matches!(address.path(), "" | "/" | "/v1/traces") {
        address.set_path(signal);
    }
    address.into()
}

fn channel(endpoint: &Url, timeout: Duration) -> Result<Channel, BoxError> {
    crate::tls::install_provider();
    let secure = endpoint.scheme() == "https";
    let endpoint = Endpoint::from_shared(endpoint.to_string())?
        .user_agent(concat!("stagedoor/", env!("CARGO_PKG_VERSION")))?
        .connect_timeout(timeout)
        .timeout(timeout);
    let endpoint =
        if secure { endpoint.tls_config(ClientTlsConfig::new().with_enabled_roots())? } else { endpoint };
    Ok(endpoint.connect_lazy())
}

/// Lines of `name: value`; empty ones and those that begin with `#` are left out.
fn read_headers(file: &Path) -> Result<Vec<(String, String)>, BoxError> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let lines = text.lines().map(str::trim).enumerate();
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|(at, line)| {
            // The line may hold a token, and is no part of the error.
            let wrong = || format!("{}: line {} is no `name: value`", file.display(), at + 1);
            let (name, value) = line.split_once(':').ok_or_else(wrong)?;
            let (name, value) = (name.trim().to_ascii_lowercase(), value.trim().to_owned());
            let parses = reqwest::header::HeaderName::try_from(&name).is_ok()
                && reqwest::header::HeaderValue::try_from(&value).is_ok();
            if parses { Ok((name, value)) } else { Err(wrong().into()) }
        })
        .collect()
}

fn metadata(headers: Vec<(String, String)>) -> Result<MetadataMap, BoxError> {
    let mut metadata = MetadataMap::new();
    for (name, value) in headers {
        let mut value = MetadataValue::try_from(value)?;
        value.set_sensitive(true);
        metadata.insert(MetadataKey::from_bytes(name.as_bytes())?, value);
    }
    Ok(metadata)
}

/// Sends on our runtime, because some batches are made on a thread that has none.
#[derive(Clone)]
struct CollectorClient {
    runtime: Handle,
    client: reqwest::Client,
}

impl CollectorClient {
    fn new(timeout: Duration) -> Result<Self, reqwest::Error> {
        crate::tls::install_provider();
        let client = reqwest::Client::builder().timeout(timeout).redirect(reqwest::redirect::Policy::none());
        Ok(Self { runtime: Handle::current(), client: client.build()? })
    }

    async fn send(
        &self,
        url: String,
        headers: &HashMap<String, String>,
        body: Vec<u8>,
    ) -> Result<ExportMetricsServiceResponse, BoxError> {
        let mut request = Request::post(url).header("content-type", "application/x-protobuf");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let answer = self.send_bytes(request.body(body.into())?).await?;
        if !answer.status().is_success() {
            return Err(format!("the collector answered {}", answer.status()).into());
        }
        Ok(ExportMetricsServiceResponse::decode(answer.into_body())?)
    }
}

#[async_trait]
impl HttpClient for CollectorClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let sent = self.runtime.spawn(async move {
            let mut answer = client.execute(request.try_into()?).await?;
            let (status, headers) = (answer.status(), answer.headers().clone());
            let mut body = Vec::new();
            while let Some(chunk) = answer.chunk().await? {
                if body.len() + chunk.len() > LONGEST_ANSWER {
                    return Err(HttpError::from("the collector's answer has no end"));
                }
                body.extend_from_slice(&chunk);
            }
            let mut response = Response::new(Bytes::from(body));
            *response.status_mut() = status;
            *response.headers_mut() = headers;
            Ok(response)
        });
        sent.await.map_err(HttpError::from)?
    }
}

impl fmt::Debug for CollectorClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CollectorClient").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn headers_are_read_and_a_wrong_line_is_named_without_its_text() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("headers");
        std::fs::write(&file, "# a token\n\nAuthorization: Bearer a:b\nx-scope:music\n").unwrap();
        let wanted = [("authorization", "Bearer a:b"), ("x-scope", "music")];
        let wanted = wanted.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(read_headers(&file).unwrap(), wanted);
        let metadata = metadata(wanted.to_vec()).unwrap();
        assert_eq!(metadata.get("authorization").unwrap(), "Bearer a:b");
        std::fs::write(&file, "x-scope: music\nsecret-without-a-name\n").unwrap();
        let error = read_headers(&file).unwrap_err().to_string();
        assert!(error.ends_with("headers: line 2 is no `name: value`"), "{error}");
        assert!(read_headers(Path::new("/nowhere/headers")).is_err());
    }
}
