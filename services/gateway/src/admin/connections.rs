//! Connections to the port of operators: bounded as those of the public port are, in all and for each client network, and
//! secured where there is a certificate.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use tonic::transport::server::{Connected, TcpConnectInfo};

use crate::client::TrustedProxies;
use crate::server::{Networks, Place, accept};

/// Connections open at once; further ones wait in the backlog.
const MOST: usize = 1_000;
/// Connections open at once from one client network; further ones are closed.
const MOST_OF_A_NETWORK: usize = 100;
/// How long a peer may take for a handshake, or to show that it is still there.
pub(super) const HANDSHAKE: Duration = Duration::from_secs(10);

/// One connection, which gives its places back when it is closed.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Either<TcpStream, TlsStream<TcpStream>>,
    peer: TcpConnectInfo,
    _slot: OwnedSemaphorePermit,
    _place: Place,
}

/// The connections that come to `listener`, secured by `tls`. Who is slow at a handshake holds up nobody else.
pub(super) fn incoming(
    listener: TcpListener,
    proxies: TrustedProxies,
    tls: Option<TlsAcceptor>,
) -> impl Stream<Item = io::Result<Connection>> {
    let secure = move |(stream, slot, place)| Connection::begin(tls.clone(), stream, (slot, place));
    let secured = accepted(listener, proxies).map(secure).buffer_unordered(MOST);
    secured.filter_map(async |connection| connection.map(Ok))
}

fn accepted(
    listener: TcpListener,
    proxies: TrustedProxies,
) -> impl Stream<Item = (TcpStream, OwnedSemaphorePermit, Place)> {
    let free = Arc::new(Semaphore::new(MOST));
    let networks = Networks::new(MOST_OF_A_NETWORK, proxies);
    stream::unfold((listener, free, networks), async |(listener, free, networks)| {
        loop {
            let (stream, peer, slot) = accept(&listener, &free).await;
            if let Some(place) = networks.enter(peer.ip()) {
                return Some(((stream, slot, place), (listener, free, networks)));
            }
        }
    })
}

impl Connection {
    async fn begin(
        tls: Option<TlsAcceptor>,
        stream: TcpStream,
        (slot, place): (OwnedSemaphorePermit, Place),
    ) -> Option<Self> {
        let peer = stream.connect_info();
        let stream = match tls {
            None => Either::Left(stream),
            Some(tls) => match timeout(HANDSHAKE, tls.accept(stream)).await {
                Ok(Ok(stream)) => Either::Right(stream),
                Ok(Err(error)) => {
                    tracing::debug!(%error, peer = ?peer.remote_addr, "a handshake failed");
                    return None;
                }
                Err(_) => return None,
            },
        };
        Some(Self { stream, peer, _slot: slot, _place: place })
    }
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
