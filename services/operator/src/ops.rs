//! The ops port: probes and metrics over HTTP/1.1, from what the process already knows.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use stagedoor_bootstrap::{Health, metrics, tasks};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::metrics::OperatorMetrics;

/// How long a client may take for its headers.
const HEADERS: Duration = Duration::from_secs(5);
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// Serves until `stop`.
///
/// # Errors
/// The address is not to be had.
pub async fn serve(
    listen: SocketAddr,
    health: Health,
    metrics: Arc<OperatorMetrics>,
    stop: CancellationToken,
) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(listen).await?;
    let address = listener.local_addr()?;
    tracing::info!(%address, "probes and metrics are served");
    tasks::spawn("ops", async move {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stop.cancelled() => return,
            };
            let Ok((stream, _)) = accepted else {
                // Out of descriptors, say: it passes.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let (health, metrics, stop) = (health.clone(), Arc::clone(&metrics), stop.clone());
            tasks::spawn("ops connection", async move {
                let service = service_fn(move |request: Request<Incoming>| {
                    let answer = answer(request.method(), request.uri().path(), &health, &metrics);
                    async move { Ok::<_, Infallible>(answer) }
                });
                let connection = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEADERS)
                    .serve_connection(TokioIo::new(stream), service);
                stop.run_until_cancelled(connection).await
            });
        }
    });
    Ok(address)
}

fn answer(method: &Method, path: &str, health: &Health, counted: &OperatorMetrics) -> Response<Full<Bytes>> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return response(StatusCode::METHOD_NOT_ALLOWED, TEXT, "GET\n".to_owned());
    }
    match path {
        "/livez" => response(StatusCode::OK, TEXT, "ok\n".to_owned()),
        "/readyz" => report(health, health.is_ready()),
        "/startupz" => report(health, health.has_started()),
        "/metrics" => {
            let kind = HeaderValue::from_static(metrics::CONTENT_TYPE);
            response(StatusCode::OK, kind, counted.render())
        }
        _ => response(StatusCode::NOT_FOUND, TEXT, "/livez /readyz /startupz /metrics\n".to_owned()),
    }
}

fn report(health: &Health, good: bool) -> Response<Full<Bytes>> {
    let status = if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = serde_json::to_string(&health.report()).unwrap_or_default();
    response(status, JSON, body)
}

fn response(status: StatusCode, kind: HeaderValue, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
