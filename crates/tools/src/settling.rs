//! What has to follow a write whatever becomes of it, so that nobody is answered from before it: done before the reply,
//! or, if the write is dropped or panics, on its own; and again later where nobody knows whether the write was done.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::refresh::Spawn;

/// How long after a write of which nobody knows whether it was done it is settled again, and how long after that once
/// more: it may be done after its reply, and whoever reads in between files what was there before.
const AGAIN_AFTER: [Duration; 2] = [Duration::from_secs(15), Duration::from_secs(45)];

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Work that a write owes. Dropped, it is done apart.
#[must_use = "a write is settled before its reply"]
pub(crate) struct Settling {
    spawn: Spawn,
    work: Option<Work>,
}

impl Settling {
    /// To be made before the write begins.
    pub(crate) fn new(spawn: &Spawn, work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self { spawn: Spawn::clone(spawn), work: Some(Box::pin(work)) }
    }

    /// Does it, after the write and before its reply.
    pub(crate) async fn now(mut self) {
        if let Some(work) = &mut self.work {
            // Only borrowed: if the caller is dropped meanwhile, the rest is done apart.
            work.as_mut().await;
        }
        self.work = None;
    }
}

impl Drop for Settling {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            (self.spawn)("settling a write", work);
        }
    }
}

/// Settles a write of which nobody knows whether it was done again, later; a last time at once if the process is about
/// to end.
pub(crate) async fn again<F: Future<Output = ()>>(stop: CancellationToken, settle: impl Fn() -> F) {
    for pause in AGAIN_AFTER {
        let waited = stop.run_until_cancelled(tokio::time::sleep(pause)).await;
        settle().await;
        if waited.is_none() {
            return;
        }
    }
}

impl fmt::Debug for Settling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settling").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};

    use super::*;

    type Begun = Arc<Mutex<Vec<Work>>>;

    fn counted() -> (Arc<AtomicUsize>, Spawn, Begun) {
        let begun = Begun::default();
        let kept = Arc::clone(&begun);
        let spawn: Spawn = Arc::new(move |_, work| kept.lock().unwrap().push(work));
        (Arc::default(), spawn, begun)
    }

    #[tokio::test]
    async fn it_is_done_once_before_the_reply() {
        let (done, spawn, begun) = counted();
        let count = Arc::clone(&done);
        let settling = Settling::new(&spawn, async move {
            count.fetch_add(1, Ordering::Relaxed);
        });
        settling.now().await;
        assert_eq!((done.load(Ordering::Relaxed), begun.lock().unwrap().len()), (1, 0));
    }

    #[tokio::test]
    async fn a_write_that_is_dropped_is_settled_apart() {
        let (done, spawn, begun) = counted();
        let count = Arc::clone(&done);
        let work = async move {
            tokio::task::yield_now().await;
            count.fetch_add(1, Ordering::Relaxed);
        };
        let write = async {
            let settling = Settling::new(&spawn, work);
            std::future::pending::<()>().await;
            settling.now().await;
        };
        tokio::select! {
            biased;
            () = write => {}
            () = std::future::ready(()) => {}
        }
        let apart = begun.lock().unwrap().pop().unwrap();
        assert_eq!(done.load(Ordering::Relaxed), 0);
        apart.await;
        assert_eq!(done.load(Ordering::Relaxed), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_knows_is_settled_twice_more_and_once_before_the_end() {
        let begun = tokio::time::Instant::now();
        let at: Mutex<Vec<u64>> = Mutex::default();
        let note = async || at.lock().unwrap().push(begun.elapsed().as_secs());
        again(CancellationToken::new(), note).await;
        assert_eq!(std::mem::take(&mut *at.lock().unwrap()), [15, 60]);
        let stop = CancellationToken::new();
        let end = async {
            tokio::time::sleep(Duration::from_secs(20)).await;
            stop.cancel();
        };
        let begun = tokio::time::Instant::now();
        let note = async || at.lock().unwrap().push(begun.elapsed().as_secs());
        tokio::join!(again(stop.clone(), note), end);
        assert_eq!(*at.lock().unwrap(), [15, 20]);
    }

    #[tokio::test]
    async fn a_caller_that_leaves_while_it_is_done_changes_nothing() {
        let (done, spawn, begun) = counted();
        let count = Arc::clone(&done);
        let settling = Settling::new(&spawn, async move {
            tokio::task::yield_now().await;
            count.fetch_add(1, Ordering::Relaxed);
        });
        {
            let mut now = std::pin::pin!(settling.now());
            let polled = std::future::poll_fn(|context| std::task::Poll::Ready(now.as_mut().poll(context)));
            assert!(polled.await.is_pending());
        }
        let apart = begun.lock().unwrap().pop().unwrap();
        apart.await;
        assert_eq!(done.load(Ordering::Relaxed), 1);
    }
}
