//! A proxy before a Redis that loses a share of what is published, as a network between replicas may, and nothing
//! else. Which messages are lost is decided by a seed.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use stagedoor_bootstrap::tasks;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};

/// A proxy to one Redis. Dropping it closes every connection through it.
#[derive(Debug)]
pub struct LossyBroadcast {
    address: SocketAddr,
    losses: Arc<Losses>,
    _stop: DropGuard,
}

#[derive(Debug)]
struct Losses {
    per_thousand: AtomicU32,
    state: AtomicU64,
    passed: AtomicU64,
    lost: AtomicU64,
}

impl LossyBroadcast {
    /// A proxy to the Redis at `target` that loses `per_thousand` of a thousand published messages.
    ///
    /// # Panics
    /// If there is no free port.
    pub async fn to(target: SocketAddr, per_thousand: u32, seed: u64) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free loopback port");
        let address = listener.local_addr().expect("a listener has an address");
        let losses = Arc::new(Losses {
            per_thousand: AtomicU32::new(per_thousand),
            state: AtomicU64::new(seed),
            passed: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        });
        let stop = CancellationToken::new();
        let accepting = stop.clone().run_until_cancelled_owned(accept(
            listener,
            target,
            Arc::clone(&losses),
            stop.clone(),
        ));
        tasks::spawn("lossy broadcast", accepting);
        Self { address, losses, _stop: stop.drop_guard() }
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `redis://127.0.0.1:PORT/`.
    pub fn url(&self) -> String {
        format!("redis://{}/", self.address)
    }

    /// Changes the share that is lost, from the next message on.
    pub fn lose(&self, per_thousand: u32) {
        self.losses.per_thousand.store(per_thousand, Ordering::Relaxed);
    }

    /// Messages that were lost.
    pub fn lost(&self) -> u64 {
        self.losses.lost.load(Ordering::Relaxed)
    }

    /// Messages that arrived.
    pub fn passed(&self) -> u64 {
        self.losses.passed.load(Ordering::Relaxed)
    }
}

impl Losses {
    /// Decides on the next message (`SplitMix64`).
    fn next_is_lost(&self) -> bool {
        let state = self.state.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let lost = (mixed ^ (mixed >> 31)) % 1_000 < self.per_thousand.load(Ordering::Relaxed).into();
        let counter = if lost { &self.lost } else { &self.passed };
        counter.fetch_add(1, Ordering::Relaxed);
        lost
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, losses: Arc<Losses>, stop: CancellationToken) {
    while let Ok((client, _)) = listener.accept().await {
        let relay = stop.clone().run_until_cancelled_owned(relay(client, target, Arc::clone(&losses)));
        tasks::spawn("lossy connection", relay);
    }
}

async fn relay(client: TcpStream, target: SocketAddr, losses: Arc<Losses>) {
    let Ok(server) = TcpStream::connect(target).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((mut client_in, client_out), (server_in, mut server_out)) =
        (client.into_split(), server.into_split());
    tokio::select! {
        _ = tokio::io::copy(&mut client_in, &mut server_out) => {}
        () = sift(server_in, client_out, &losses) => {}
    }
}

/// Hands on one whole value after the other, except lost messages.
async fn sift(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, losses: &Losses) {
    let mut pending = Vec::with_capacity(16 * 1024);
    while let Ok(1..) = from.read_buf(&mut pending).await {
        let (mut handed, mut kept) = (0, Vec::with_capacity(pending.len()));
        while let Some(length) = value_length(&pending[handed..]) {
            let value = &pending[handed..handed + length];
            if !(is_message(value) && losses.next_is_lost()) {
                kept.extend_from_slice(value);
            }
            handed += length;
        }
        pending.drain(..handed);
        if !kept.is_empty() && to.write_all(&kept).await.is_err() {
            return;
        }
    }
}

/// The length in bytes of the first whole value in `bytes`, of RESP2 or RESP3; `None` if more is to come.
fn value_length(bytes: &[u8]) -> Option<usize> {
    let (mut at, mut open) = (0, 1_u64);
    while open > 0 {
        let end = at + bytes[at..].windows(2).position(|pair| pair == b"\r\n")?;
        let (kind, head) = (bytes[at], bytes.get(at + 1..end)?);
        at = end + 2;
        open -= 1;
        // Null values have a length of -1 and no content.
        let length: Option<usize> = std::str::from_utf8(head).ok().and_then(|text| text.parse().ok());
        match (kind, length) {
            (b'$' | b'!' | b'=', Some(length)) => at += length + 2,
            (b'*' | b'~' | b'>', Some(length)) => open += length as u64,
            (b'%', Some(length)) => open += 2 * length as u64,
            // An attribute comes before the value that it is about.
            (b'|', Some(length)) => open += 2 * length as u64 + 1,
            _ => {}
        }
        if at > bytes.len() {
            return None;
        }
    }
    Some(at)
}

/// Whether it is what a subscriber is sent for a publication: an array or push of `message`, channel and payload.
fn is_message(value: &[u8]) -> bool {
    [b"*3\r\n$7\r\nmessage\r\n".as_slice(), b">3\r\n$7\r\nmessage\r\n", b">3\r\n+message\r\n"]
        .iter()
        .any(|beginning| value.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &[u8] = b"*3\r\n$7\r\nmessage\r\n$12\r\nsd:events:v1\r\n$6\r\nbump\r\n\r\n";

    #[test]
    fn values_are_taken_apart_where_they_end() {
        let values: [&[u8]; 9] = [
            b"+OK\r\n",
            b":-1\r\n",
            b"$-1\r\n",
            b"$4\r\n\r\n\r\n\r\n",
            b"*0\r\n",
            b"*2\r\n*1\r\n:1\r\n$1\r\na\r\n",
            b"%1\r\n+a\r\n*1\r\n_\r\n",
            b"|1\r\n+a\r\n+b\r\n:5\r\n",
            MESSAGE,
        ];
        for value in values {
            for cut in 0..value.len() {
                assert_eq!(value_length(&value[..cut]), None, "{cut} bytes of {}", value.escape_ascii());
            }
            assert_eq!(value_length(value), Some(value.len()), "{}", value.escape_ascii());
            assert_eq!(value_length(&[value, b"+more"].concat()), Some(value.len()));
        }
    }

    #[test]
    fn only_messages_can_be_lost() {
        assert!(is_message(MESSAGE));
        assert!(is_message(b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\np\r\n"));
        assert!(!is_message(b"*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n"));
        assert!(!is_message(b"$7\r\nmessage\r\n"));
    }
}
