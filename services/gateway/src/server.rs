//! Listening: accepts connections up to a bound, gives headers a time limit, and drains when told to.

mod heads;

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::ConnectInfo;
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Request};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use stagedoor_bootstrap::tasks;
use stagedoor_domain::network::client_network;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use self::heads::{OpenRequest, Requests, TimedHeads};
use crate::client::TrustedProxies;

/// The bounds of one listener.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Connections open at once; further ones wait in the backlog.
    pub connections: usize,
    /// Connections open at once from one client network; further ones are closed. Trusted proxies, who speak
    /// for many, are not counted.
    pub connections_per_network: usize,
    /// How long a request's head may take to arrive, from its first byte.
    pub header_timeout: Duration,
    /// How long a connection without a request is kept.
    pub idle_timeout: Duration,
    /// How long open requests may take to finish when the listener stops.
    pub drain: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections: 10_000,
            connections_per_network: 500,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_mins(2),
            drain: Duration::from_secs(20),
        }
    }
}

/// Serves `router` until `stop`, then lets open requests finish within the drain time. From `leaving` on, which comes
/// before, each answer closes its connection: who keeps one open goes elsewhere with the next request, instead of
/// sending it at the moment at which the connection is closed.
///
/// HTTP/1.1 only: MCP clients speak nothing else in the clear, and telling the versions apart means to wait for
/// bytes without a time limit.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    bounds: Bounds,
    proxies: TrustedProxies,
    (leaving, stop): (CancellationToken, CancellationToken),
) {
    let mut builder = http1::Builder::new();
    // hyper counts from when the connection waits for a head.
    let longest_wait = bounds.idle_timeout + bounds.header_timeout;
    builder.timer(TokioTimer::new()).header_read_timeout(longest_wait).max_buf_size(64 * 1024);
    let graceful = GracefulShutdown::new();
    let free = Arc::new(Semaphore::new(bounds.connections));
    let networks = Networks::new(bounds.connections_per_network, proxies);
    loop {
        let (stream, peer, slot) = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener, &free) => accepted,
        };
        let Some(place) = networks.enter(peer.ip()) else { continue };
        let (router, leaving) = (router.clone(), leaving.clone());
        let requests = Arc::new(Requests::default());
        let stream = TimedHeads::new(stream, Arc::clone(&requests), bounds.header_timeout);
        let service = service_fn(move |mut request: Request<Incoming>| {
            let open = requests.begin();
            request.extensions_mut().insert(ConnectInfo(peer));
            let (answer, leaving) = (router.clone().oneshot(request), leaving.clone());
            async move {
                let mut answer = answer.await?;
                if leaving.is_cancelled() {
                    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, Infallible>(answer.map(|body| until_sent(body, open)))
            }
        });
        let watched = graceful.watch(builder.serve_connection(TokioIo::new(stream), service));
        tasks::spawn("connection", async move {
            let _held = (slot, place);
            if let Err(error) = watched.await {
                tracing::debug!(error = %error, %peer, "a connection ended early");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(bounds.drain, graceful.shutdown()).await.is_err() {
        tracing::warn!(seconds = bounds.drain.as_secs(), "some requests did not finish in time");
    }
}

/// The body, with which `open` goes.
fn until_sent(body: Body, open: OpenRequest) -> impl HttpBody<Data = Bytes, Error = axum::Error> {
    body.map_frame(move |frame| {
        let _ = &open;
        frame
    })
}

/// How many connections each client network has open.
#[derive(Debug)]
pub(crate) struct Networks {
    most: usize,
    proxies: TrustedProxies,
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// A connection's place; given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    network: Option<IpAddr>,
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Networks {
    /// At most so many of each network.
    pub(crate) fn new(most: usize, proxies: TrustedProxies) -> Self {
        Self { most, proxies, open: Arc::default() }
    }

    /// A place for a connection from `peer`, or `None` if its network has enough.
    pub(crate) fn enter(&self, peer: IpAddr) -> Option<Place> {
        let open = Arc::clone(&self.open);
        if self.proxies.trusts(peer) {
            return Some(Place { network: None, open });
        }
        let network = client_network(peer);
        let mut counts = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(network).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        drop(counts);
        Some(Place { network: Some(network), open })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(network) = self.network else { return };
        let mut counts = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&network) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&network);
            }
        }
    }
}

/// The next connection, once there is a free slot for it.
pub(crate) async fn accept(
    listener: &TcpListener,
    free: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    let slot = Arc::clone(free).acquire_owned().await.expect("the semaphore is never closed");
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Answers are single small writes; waiting to merge them only adds latency.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(error = %error, "TCP_NODELAY could not be set");
                }
                return (stream, peer, slot);
            }
            // Out of file handles, or the peer left already: neither ends the server, and neither is worth a spin.
            Err(error) => {
                tracing::warn!(error = %error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_network_cannot_take_every_place_and_gives_its_own_back() {
        let proxies = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
        let networks = Networks::new(2, proxies);
        let enter = |peer: &str| networks.enter(peer.parse().unwrap());
        let (first, _second) = (enter("192.0.2.1").unwrap(), enter("::ffff:192.0.2.1").unwrap());
        assert!(enter("192.0.2.1").is_none());
        assert!(enter("192.0.2.2").is_some());
        assert!((0..5).all(|_| enter("10.1.2.3").is_some()));
        drop(first);
        assert!(enter("192.0.2.1").is_some());
    }
}
