//! A collector of our own, over HTTP and gRPC: what it was sent, read back by the protocol's own messages.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::routing::post;
use http::{HeaderMap, StatusCode};
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use stagedoor_bootstrap::tasks;
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// What was sent.
#[derive(Debug, Default)]
pub(crate) struct Received {
    pub(crate) spans: Vec<Span>,
    pub(crate) metrics: Vec<Metric>,
    pub(crate) logs: Vec<LogRecord>,
    /// `service.name` of whoever sent.
    pub(crate) services: Vec<String>,
    /// `authorization` of each request.
    pub(crate) authorizations: Vec<Option<String>>,
    /// Every message as bytes.
    pub(crate) bytes: Vec<u8>,
}

/// The collector.
#[derive(Debug, Clone)]
pub(crate) struct Collector {
    protocol: &'static str,
    address: SocketAddr,
    received: Arc<Mutex<Received>>,
}

impl Collector {
    pub(crate) async fn start(protocol: &'static str) -> Self {
        Self::start_at(protocol, (Ipv4Addr::LOCALHOST, 0).into()).await
    }

    /// A collector on a certain address.
    pub(crate) async fn start_at(protocol: &'static str, address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let collector = Self { protocol, address, received: Arc::default() };
        let of_server = collector.clone();
        tasks::spawn("collector", async move { of_server.serve(listener).await });
        collector
    }

    async fn serve(self, listener: TcpListener) {
        if self.protocol == "grpc" {
            let server = tonic::transport::Server::builder()
                .add_service(TraceServiceServer::new(self.clone()))
                .add_service(MetricsServiceServer::new(self.clone()))
                .add_service(LogsServiceServer::new(self));
            server.serve_with_incoming(TcpIncoming::from(listener)).await.unwrap();
        } else {
            let router = Router::new().route("/v1/{signal}", post(over_http)).with_state(self);
            axum::serve(listener, router).await.unwrap();
        }
    }

    /// The settings of a gateway that sends everything here.
    pub(crate) fn settings(&self, signals: &str) -> Vec<(&'static str, String)> {
        settings(self.protocol, self.address, signals)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn received(&self) -> MutexGuard<'_, Received> {
        self.received.lock().unwrap()
    }

    fn traces(&self, request: ExportTraceServiceRequest, authorization: Option<String>) {
        let mut received = self.received();
        received.note(&request, authorization);
        for of_resource in request.resource_spans {
            let resource = of_resource.resource.unwrap_or_default();
            received.services.extend(text(&resource.attributes, "service.name"));
            received.spans.extend(of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans));
        }
    }

    fn metrics(&self, request: ExportMetricsServiceRequest, authorization: Option<String>) {
        let mut received = self.received();
        received.note(&request, authorization);
        // The newest has all of those before.
        received.metrics.clear();
        for of_resource in request.resource_metrics {
            received.metrics.extend(of_resource.scope_metrics.into_iter().flat_map(|scope| scope.metrics));
        }
    }

    fn logs(&self, request: ExportLogsServiceRequest, authorization: Option<String>) {
        let mut received = self.received();
        received.note(&request, authorization);
        for of_resource in request.resource_logs {
            received.logs.extend(of_resource.scope_logs.into_iter().flat_map(|scope| scope.log_records));
        }
    }
}

/// The settings of a gateway that sends everything to `address`.
pub(crate) fn settings(protocol: &str, address: SocketAddr, signals: &str) -> Vec<(&'static str, String)> {
    vec![
        ("STAGEDOOR_TELEMETRY__OTLP_ENDPOINT", format!("http://{address}")),
        ("STAGEDOOR_TELEMETRY__OTLP_PROTOCOL", protocol.to_owned()),
        ("STAGEDOOR_TELEMETRY__OTLP_SIGNALS", signals.to_owned()),
        ("STAGEDOOR_TELEMETRY__LOG_FILTER", "info".to_owned()),
    ]
}

impl Received {
    fn note(&mut self, message: &impl Message, authorization: Option<String>) {
        self.bytes.extend(message.encode_to_vec());
        self.authorizations.push(authorization);
    }

    /// The spans of the trace with this hexadecimal id.
    pub(crate) fn trace(&self, id: &str) -> Vec<Span> {
        self.spans.iter().filter(|span| hex(&span.trace_id) == id).cloned().collect()
    }

    pub(crate) fn metric(&self, name: &str) -> &Metric {
        let found = self.metrics.iter().find(|metric| metric.name == name);
        found.unwrap_or_else(|| panic!("{name} was not sent"))
    }
}

/// The value of an attribute, as text.
pub(crate) fn text(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.clone().and_then(|AnyValue { value }| value)? {
        any_value::Value::StringValue(text) => Some(text),
        any_value::Value::IntValue(number) => Some(number.to_string()),
        other => Some(format!("{other:?}")),
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

async fn over_http(
    State(collector): State<Collector>,
    Path(signal): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Vec<u8>, StatusCode> {
    let authorization = headers.get("authorization").and_then(|value| value.to_str().ok()).map(str::to_owned);
    if headers.get("content-type").is_none_or(|kind| kind != "application/x-protobuf") {
        return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    let wrong = |_| StatusCode::BAD_REQUEST;
    match signal.as_str() {
        "traces" => {
            collector.traces(ExportTraceServiceRequest::decode(body).map_err(wrong)?, authorization);
        }
        "metrics" => {
            collector.metrics(ExportMetricsServiceRequest::decode(body).map_err(wrong)?, authorization);
        }
        "logs" => collector.logs(ExportLogsServiceRequest::decode(body).map_err(wrong)?, authorization),
        _ => return Err(StatusCode::NOT_FOUND),
    }
    // An empty message: everything was taken.
    Ok(Vec::new())
}

fn authorization<T>(request: &Request<T>) -> Option<String> {
    Some(request.metadata().get("authorization")?.to_str().ok()?.to_owned())
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let authorization = authorization(&request);
        self.traces(request.into_inner(), authorization);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Collector {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let authorization = authorization(&request);
        self.metrics(request.into_inner(), authorization);
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl LogsService for Collector {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        let authorization = authorization(&request);
        self.logs(request.into_inner(), authorization);
        Ok(Response::new(ExportLogsServiceResponse::default()))
    }
}
