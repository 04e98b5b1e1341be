//! The third port, of operators: the admin API over gRPC, and the same over HTTP with JSON. What the calls do is in the room
//! `admin`; here it is said who calls, and how it looks on the wire.

mod connections;
mod deadline;
mod json;
mod json_errors;
mod json_request;
mod openapi;
mod services;
mod sign_in;
mod status;
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::IntoResponse;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use rustls::ServerConfig;
use stagedoor_admin::AdminRooms;
use stagedoor_bootstrap::config::AdminConfig;
use stagedoor_bootstrap::tasks;
use stagedoor_domain::error::Chain;
use stagedoor_domain::{ErrorCode, PublicError};
use stagedoor_proto::admin::DESCRIPTORS;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpConnectInfo;
use tonic_health::ServingStatus;

use crate::client::{self, TrustedProxies};
use crate::concurrency::Concurrency;
use crate::oauth::AdminTokens;
use crate::problem::Problem;
use crate::state::AppState;
use connections::HANDSHAKE;
use services::Services;

/// Calls under way at a time on one connection.
const CALLS_PER_CONNECTION: usize = 64;
/// Calls under way at a time, and the part of them in hundredths that the admins of one tenant may have, or the operators.
const CALLS: (u32, u32) = (256, 25);
/// How long a connection may be silent before its peer is asked whether it is still there.
const SILENCE: Duration = Duration::from_mins(1);

/// The admin API.
#[derive(Debug)]
pub struct AdminApi {
    state: Arc<AppState>,
    rooms: Arc<AdminRooms>,
    config: AdminConfig,
    tokens: Option<AdminTokens>,
    concurrency: Concurrency,
    tls: Option<Arc<ServerConfig>>,
}

impl AdminApi {
    /// The API over `rooms`; `tokens` checks those of the operators' issuer, if there is one.
    ///
    /// # Errors
    /// If the files of TLS are not as they should be.
    pub fn new(
        state: Arc<AppState>,
        rooms: AdminRooms,
        config: AdminConfig,
        tokens: Option<AdminTokens>,
    ) -> anyhow::Result<Arc<Self>> {
        let tls = tls::settings(&config)?;
        let (calls, share_percent) = CALLS;
        let concurrency = Concurrency::new(calls, share_percent);
        Ok(Arc::new(Self { state, rooms: Arc::new(rooms), config, tokens, concurrency, tls }))
    }

    /// Serves until `stop`; from `draining` on, whoever asks for its health is told to go elsewhere.
    pub async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        (draining, stop): (CancellationToken, CancellationToken),
    ) {
        if self.tls.is_none() && listener.local_addr().is_ok_and(|address| !address.ip().is_loopback()) {
            tracing::warn!(
                "the admin API is served in the clear beyond this machine: set admin.certificate_file, or end TLS before it"
            );
        }
        let incoming = connections::incoming(
            listener,
            self.state.proxies.clone(),
            self.tls.clone().map(TlsAcceptor::from),
        );
        let routes = Routes::from(router(&self, draining));
        let mut server = server();
        let served = server.add_routes(routes).serve_with_incoming_shutdown(incoming, stop.cancelled_owned());
        if let Err(error) = Box::pin(served).await {
            tracing::error!(error = %Chain(&error), "the admin API ended early");
        }
    }
}

/// How connections are spoken to.
fn server() -> Server {
    Server::builder()
        // JSON comes over HTTP/1.1 too.
        .accept_http1(true)
        .http2_keepalive_interval(Some(SILENCE))
        .http2_keepalive_timeout(Some(HANDSHAKE))
        .concurrency_limit_per_connection(CALLS_PER_CONNECTION)
}

/// Everything on the port. From the outside in: where a request comes from; how long it may take; how many come from there;
/// who calls, before anything of a body is read; JSON becomes gRPC; the services.
fn router(api: &Arc<AdminApi>, draining: CancellationToken) -> Router {
    let sign_in = from_fn_with_state(Arc::clone(api), sign_in::layer);
    let services = Services(Arc::clone(api)).routes().into_axum_router();
    let proxies = api.state.proxies.clone();
    let router = Router::new()
        // What there is, and whether it serves, anyone may know who reaches the port.
        .merge(described(draining).into_axum_router())
        .merge(json::routes(&services).route_layer(sign_in.clone()))
        .route("/openapi.json", axum::routing::get(openapi::serve))
        .method_not_allowed_fallback(other_method)
        .fallback_service(or_nothing(services.layer(sign_in)));
    let router = match &api.state.shield {
        Some(shield) => router.layer(shield.layer()),
        None => router,
    };
    router
        .layer(from_fn_with_state(api.config.request_deadline(), deadline::layer))
        .layer(from_fn(move |request: Request, next: Next| known(proxies.clone(), request, next)))
}

/// Health (grpc.health.v1) and reflection (grpc.reflection.v1 and v1alpha).
fn described(draining: CancellationToken) -> Routes {
    let (reporter, health) = tonic_health::server::health_reporter();
    tasks::spawn("admin health", async move {
        draining.cancelled().await;
        reporter.set_service_status("", ServingStatus::NotServing).await;
    });
    let described =
        || tonic_reflection::server::Builder::configure().register_encoded_file_descriptor_set(DESCRIPTORS);
    let fit = "the build wrote descriptors that fit together";
    Routes::default()
        .add_service(health)
        .add_service(described().build_v1().expect(fit))
        // Which many clients still ask for.
        .add_service(described().build_v1alpha().expect(fit))
}

/// Puts the client among the extensions of a request, from the connection that it came on. Whoever is slowed down is told so
/// in the way of its call.
async fn known(proxies: TrustedProxies, mut request: Request, next: Next) -> axum::response::Response {
    let grpc = is_grpc(request.headers());
    let peer = request.extensions().get::<TcpConnectInfo>().and_then(TcpConnectInfo::remote_addr);
    if let Some(peer) = peer {
        let client = client::behind(&proxies, peer.ip(), request.headers());
        request.extensions_mut().insert(client);
        request.extensions_mut().insert(ConnectInfo::<SocketAddr>(peer));
    }
    let response = next.run(request).await;
    if grpc && response.status() == StatusCode::TOO_MANY_REQUESTS {
        return too_many(response.headers()).into_http();
    }
    response
}

/// What the shield says, as gRPC says it.
fn too_many(headers: &HeaderMap) -> Status {
    let wait = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let error = PublicError::new(ErrorCode::RateLimited, "Too many requests from this network.");
    status::of_public(error.retry_after(Duration::from_secs(wait.unwrap_or(1))))
}

fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

/// gRPC goes to `services`; of everything else, there is nothing at such a path.
fn or_nothing(services: Router) -> Router {
    services.layer(from_fn(async |request: Request, next: Next| {
        if is_grpc(request.headers()) {
            return next.run(request).await;
        }
        let error = PublicError::new(ErrorCode::NotFound, "There is nothing at this path of the admin API.");
        Problem::new(error.hint("GET /openapi.json describes every path.")).into_response()
    }))
}

async fn other_method() -> Problem {
    let error = PublicError::new(ErrorCode::MethodNotAllowed, "This path has other methods.");
    Problem::new(error.hint("GET /openapi.json describes every path with its methods."))
}
