//! The one place that spawns background tasks: each has a name, its panic is logged and counted, and shutdown can
//! wait for all of them.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

static TRACKER: LazyLock<TaskTracker> = LazyLock::new(TaskTracker::new);
static PANICS: AtomicU64 = AtomicU64::new(0);

/// Runs `future` in the background. The handle answers `None` after a panic; dropping it does not stop the task.
///
/// # Panics
/// Outside a tokio runtime.
pub fn spawn<F>(name: &'static str, future: F) -> JoinHandle<Option<F::Output>>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let watched = async move {
        match AssertUnwindSafe(future).catch_unwind().await {
            Ok(output) => Some(output),
            Err(panic) => {
                PANICS.fetch_add(1, Ordering::Relaxed);
                tracing::error!(task = name, panic = panic_text(&*panic), "a background task panicked");
                None
            }
        }
    };
    TRACKER.spawn(watched)
}

/// How many tasks have panicked since the process started.
pub fn panics() -> u64 {
    PANICS.load(Ordering::Relaxed)
}

/// How many tasks run.
pub fn running() -> usize {
    TRACKER.len()
}

/// Waits until every task has ended; false if some still run after `limit`.
pub async fn drain(limit: Duration) -> bool {
    TRACKER.close();
    tokio::time::timeout(limit, TRACKER.wait()).await.is_ok()
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{drain, panics, spawn};

    #[tokio::test]
    async fn a_panic_is_counted_and_harms_no_other_task() {
        let before = panics();
        let (bad, good) = (spawn("bad", async { panic!("off key") }), spawn("good", async { 7 }));
        assert_eq!(bad.await.unwrap(), None::<()>);
        assert_eq!(good.await.unwrap(), Some(7));
        assert!(panics() > before);
    }

    #[tokio::test]
    async fn draining_waits_for_what_runs() {
        let (finish, finished) = tokio::sync::oneshot::channel::<()>();
        let task = spawn("slow", finished);
        assert!(!drain(Duration::from_millis(10)).await, "it did not wait for a running task");
        finish.send(()).unwrap();
        task.await.unwrap();
    }
}
