//! The third port, of operators: the admin API over gRPC, and the same over HTTP with JSON. What the calls do is in the room
//! `admin`; here it is said who calls, and how it looks on the wire.

mod json;
mod json_errors;
mod json_request;
mod openapi;
mod services;
mod sign_in;
mod status;

use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::IntoResponse;
use http::header::CONTENT_TYPE;
use stagedoor_admin::AdminRooms;
use stagedoor_bootstrap::config::AdminConfig;
use stagedoor_domain::error::Chain;
use stagedoor_domain::{ErrorCode, PublicError};
use stagedoor_proto::admin::DESCRIPTORS;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::server::{TcpConnectInfo, TcpIncoming, TlsConnectInfo};
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};

use crate::client::{self, TrustedProxies};
use crate::oauth::AdminTokens;
use crate::problem::Problem;
use crate::state::AppState;
use services::Services;

/// Calls under way at a time on one connection.
const CALLS_PER_CONNECTION: usize = 64;

/// The admin API.
#[derive(Debug)]
pub struct AdminApi {
    state: Arc<AppState>,
    rooms: Arc<AdminRooms>,
    config: AdminConfig,
    tokens: Option<AdminTokens>,
}

impl AdminApi {
    /// The API over `rooms`.
    pub fn new(state: Arc<AppState>, rooms: AdminRooms, config: AdminConfig) -> Arc<Self> {
        let tokens = state.authenticator.tokens().of_admins(&config);
        Arc::new(Self { state, rooms: Arc::new(rooms), config, tokens })
    }

    /// How it is reached, in the clear or by TLS; read before anything is served, so that a wrong file is said at once.
    pub fn server(&self) -> anyhow::Result<Server> {
        let server = Server::builder()
            // JSON comes over HTTP/1.1 too.
            .accept_http1(true)
            .timeout(self.config.request_deadline())
            .concurrency_limit_per_connection(CALLS_PER_CONNECTION);
        let (Some(certificate), Some(key)) = (&self.config.certificate_file, &self.config.private_key_file)
        else {
            return Ok(server);
        };
        let read = |key: &str, file: &std::path::Path| {
            std::fs::read(file).with_context(|| format!("admin.{key}: {} cannot be read", file.display()))
        };
        let identity =
            Identity::from_pem(read("certificate_file", certificate)?, read("private_key_file", key)?);
        let mut tls = ServerTlsConfig::new().identity(identity);
        if let Some(file) = &self.config.client_authority_file {
            tls = tls.client_ca_root(Certificate::from_pem(read("client_authority_file", file)?));
        }
        server.tls_config(tls).context("admin: certificate and key do not fit")
    }

    /// Serves until `stop`.
    pub async fn serve(self: Arc<Self>, mut server: Server, listener: TcpListener, stop: CancellationToken) {
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let routes = Routes::from(router(&self));
        let served = server.add_routes(routes).serve_with_incoming_shutdown(incoming, stop.cancelled_owned());
        if let Err(error) = served.await {
            tracing::error!(error = %Chain(&error), "the admin API ended early");
        }
    }
}

/// Everything on the port. From the outside in: where a request comes from; JSON becomes gRPC; who calls; the services.
fn router(api: &Arc<AdminApi>) -> Router {
    let signed_in = Services(Arc::clone(api))
        .routes()
        .into_axum_router()
        .layer(from_fn_with_state(Arc::clone(api), sign_in::layer));
    let proxies = api.state.proxies.clone();
    Router::new()
        // What there is, and whether it serves, anyone may know who reaches the port.
        .merge(described().into_axum_router())
        .merge(json::routes(&signed_in, api.config.request_deadline()))
        .route("/openapi.json", axum::routing::get(openapi::serve))
        .method_not_allowed_fallback(other_method)
        .fallback_service(or_nothing(signed_in))
        .layer(from_fn(move |request: Request, next: Next| known(proxies.clone(), request, next)))
}

/// Health (grpc.health.v1) and reflection (grpc.reflection.v1).
fn described() -> Routes {
    let (_, health) = tonic_health::server::health_reporter();
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .build_v1()
        .expect("the build wrote descriptors that fit together");
    Routes::default().add_service(health).add_service(reflection)
}

/// Puts the client among the extensions of a request, from the connection that it came on.
async fn known(proxies: TrustedProxies, mut request: Request, next: Next) -> axum::response::Response {
    let extensions = request.extensions();
    let plain = extensions.get::<TcpConnectInfo>();
    let peer = plain.or_else(|| Some(extensions.get::<TlsConnectInfo<TcpConnectInfo>>()?.get_ref()));
    if let Some(peer) = peer.and_then(TcpConnectInfo::remote_addr) {
        let client = client::behind(&proxies, peer.ip(), request.headers());
        request.extensions_mut().insert(client);
    }
    next.run(request).await
}

/// gRPC goes to `services`; of everything else, there is nothing at such a path.
fn or_nothing(services: Router) -> Router {
    services.layer(from_fn(async |request: Request, next: Next| {
        let kind = request.headers().get(CONTENT_TYPE);
        if kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc")) {
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
