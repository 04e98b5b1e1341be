//! Connections to the port of operators: bounded as those of the public port are, in all and for each client network.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::{Stream, stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::transport::server::{Connected, TcpConnectInfo};

use crate::client::TrustedProxies;
use crate::server::{Networks, Place, accept};

/// Connections open at once; further ones wait in the backlog.
const MOST: usize = 1_000;
/// Connections open at once from one client network; further ones are closed.
const MOST_OF_A_NETWORK: usize = 100;

/// One connection, which gives its places back when it is closed.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    _slot: OwnedSemaphorePermit,
    _place: Place,
}

/// The connections that come to `listener`.
pub(super) fn incoming(
    listener: TcpListener,
    proxies: TrustedProxies,
) -> impl Stream<Item = io::Result<Connection>> {
    let free = Arc::new(Semaphore::new(MOST));
    let networks = Networks::new(MOST_OF_A_NETWORK, proxies);
    stream::unfold((listener, free, networks), async |(listener, free, networks)| {
        loop {
            let (stream, peer, slot) = accept(&listener, &free).await;
            if let Some(place) = networks.enter(peer.ip()) {
                let connection = Connection { stream, _slot: slot, _place: place };
                return Some((Ok(connection), (listener, free, networks)));
            }
        }
    })
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
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
