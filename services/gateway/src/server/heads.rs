//! A time limit for the heads of requests. hyper has one limit for a head and the wait before it together, and a
//! connection may wait far longer for the next request than a request's head may take.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// What is known of the requests of one connection.
#[derive(Debug, Default)]
pub(super) struct Requests {
    begun: AtomicU64,
    open: AtomicUsize,
}

/// A request that is under way until this goes.
#[derive(Debug)]
pub(super) struct OpenRequest(Arc<Requests>);

impl Requests {
    /// Notes that a head is whole.
    pub(super) fn begin(self: &Arc<Self>) -> OpenRequest {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
        OpenRequest(Arc::clone(self))
    }

    fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    fn none_open(&self) -> bool {
        self.open.load(Ordering::Relaxed) == 0
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection on which a head must be whole so long after its first byte; one that is not ends the connection. A head
/// whose first byte came together with the request before it is bounded by the wait for requests alone.
#[derive(Debug)]
pub(super) struct TimedHeads<S> {
    stream: S,
    requests: Arc<Requests>,
    limit: Duration,
    /// The head that is on its way, by how many were whole before it, and when it must be.
    head: Option<(u64, Pin<Box<Sleep>>)>,
}

impl<S> TimedHeads<S> {
    pub(super) fn new(stream: S, requests: Arc<Requests>, limit: Duration) -> Self {
        Self { stream, requests, limit, head: None }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for TimedHeads<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buffer);
        let begun = this.requests.begun();
        if this.head.as_ref().is_some_and(|(of, _)| *of != begun) {
            this.head = None;
        }
        if this.head.is_none() && buffer.filled().len() > before && this.requests.none_open() {
            this.head = Some((begun, Box::pin(tokio::time::sleep(this.limit))));
        }
        if read.is_pending()
            && let Some((_, end)) = &mut this.head
            && end.as_mut().poll(cx).is_ready()
        {
            let late = io::Error::new(io::ErrorKind::TimedOut, "the head did not arrive in time");
            return Poll::Ready(Err(late));
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for TimedHeads<S> {
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn a_wait_may_be_long_and_a_head_not() {
        let (mut client, server) = tokio::io::duplex(64);
        let requests = Arc::new(Requests::default());
        let mut timed = TimedHeads::new(server, Arc::clone(&requests), LIMIT);
        let mut byte = [0];
        assert!(tokio::time::timeout(LIMIT * 5, timed.read(&mut byte)).await.is_err(), "a wait was ended");
        client.write_all(b"a").await.unwrap();
        timed.read_exact(&mut byte).await.unwrap();
        let open = requests.begin();
        assert!(tokio::time::timeout(LIMIT * 5, timed.read(&mut byte)).await.is_err(), "a request was ended");
        client.write_all(b"of the body").await.unwrap();
        timed.read_exact(&mut [0; 11]).await.unwrap();
        drop(open);
        assert!(tokio::time::timeout(LIMIT * 5, timed.read(&mut byte)).await.is_err(), "a wait was ended");
        client.write_all(b"b").await.unwrap();
        timed.read_exact(&mut byte).await.unwrap();
        assert!(
            tokio::time::timeout(LIMIT / 2, timed.read(&mut byte)).await.is_err(),
            "a head was ended early"
        );
        let ended = tokio::time::timeout(LIMIT, timed.read(&mut byte)).await.expect("a head was never ended");
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_trickles_has_no_more_time_than_one_that_stops() {
        let (mut client, server) = tokio::io::duplex(64);
        let mut timed = TimedHeads::new(server, Arc::default(), LIMIT);
        let began = tokio::time::Instant::now();
        let trickle = async {
            loop {
                client.write_all(b"x").await.unwrap();
                tokio::time::sleep(LIMIT / 20).await;
            }
        };
        let ended = async {
            loop {
                if let Err(error) = timed.read(&mut [0]).await {
                    return error;
                }
            }
        };
        tokio::select! {
            () = trickle => unreachable!("it goes on for ever"),
            error = ended => assert_eq!(error.kind(), io::ErrorKind::TimedOut),
        }
        assert!(began.elapsed() < LIMIT * 2);
    }
}
