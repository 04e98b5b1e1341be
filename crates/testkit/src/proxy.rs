//! A TCP proxy on loopback that makes the way to a server slow, silent or broken.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use stagedoor_bootstrap::tasks;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

/// What happens to bytes on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// They arrive.
    Fair,
    /// They arrive later, in either direction.
    Slow(Duration),
    /// They are swallowed, and connections stay open.
    Silent,
    /// Connections are reset, those that are open and new ones.
    Broken,
}

/// A proxy to one server. Dropping it resets every connection through it.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    weather: watch::Sender<Weather>,
    connections: Arc<AtomicU64>,
    bytes: Arc<AtomicU64>,
    _stop: DropGuard,
}

impl FaultProxy {
    /// A proxy to `target`, in fair weather.
    ///
    /// # Panics
    /// If there is no free port.
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free loopback port");
        let address = listener.local_addr().expect("a listener has an address");
        let (weather, forecast) = watch::channel(Weather::Fair);
        let (connections, bytes) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let stop = CancellationToken::new();
        let counters = (Arc::clone(&connections), Arc::clone(&bytes));
        let accepting = stop.clone().run_until_cancelled_owned(accept(listener, target, forecast, counters));
        tasks::spawn("fault proxy", accepting);
        Self { address, weather, connections, bytes, _stop: stop.drop_guard() }
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes what happens, at once, on open connections too.
    pub fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }

    /// Connections that were opened through it.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Bytes that clients sent through it.
    pub fn bytes_to_server(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

async fn accept(
    listener: TcpListener,
    target: SocketAddr,
    weather: watch::Receiver<Weather>,
    (connections, bytes): (Arc<AtomicU64>, Arc<AtomicU64>),
) {
    while let Ok((client, _)) = listener.accept().await {
        connections.fetch_add(1, Ordering::Relaxed);
        tasks::spawn("proxied connection", relay(client, target, weather.clone(), Arc::clone(&bytes)));
    }
}

async fn relay(
    client: TcpStream,
    target: SocketAddr,
    weather: watch::Receiver<Weather>,
    bytes: Arc<AtomicU64>,
) {
    reset_on_close(&client);
    if *weather.borrow() == Weather::Broken {
        return;
    }
    let Ok(server) = TcpStream::connect(target).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let mut broken = weather.clone();
    let ((client_in, client_out), (server_in, server_out)) = (client.into_split(), server.into_split());
    tokio::select! {
        // A sender that is gone means that the proxy was dropped.
        _ = broken.wait_for(|weather| *weather == Weather::Broken) => {}
        () = carry(client_in, server_out, weather.clone(), Some(bytes)) => {}
        () = carry(server_in, client_out, weather, None) => {}
    }
}

async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut weather: watch::Receiver<Weather>,
    count: Option<Arc<AtomicU64>>,
) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if let Some(count) = &count {
            count.fetch_add(length as u64, Ordering::Relaxed);
        }
        let now = *weather.borrow();
        match now {
            Weather::Fair | Weather::Broken => {}
            Weather::Slow(by) => tokio::time::sleep(by).await,
            // Swallowed for good: a stream that lost bytes in the middle stays silent when the weather clears.
            Weather::Silent => {
                let _ = weather.wait_for(|weather| *weather == Weather::Broken).await;
                return;
            }
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

fn reset_on_close(stream: &TcpStream) {
    // A reset instead of an orderly end is what the fault is about; without it the end is orderly, no more.
    let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
}
