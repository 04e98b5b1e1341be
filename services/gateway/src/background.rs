//! Work that goes on when its caller leaves: writes, and token refreshes whose result must not be lost. The
//! process waits for it at its end.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use stagedoor_bootstrap::{tasks, telemetry};
use stagedoor_tools::Spawn;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

/// The work under way. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Background(TaskTracker);

impl Background {
    /// Begins `work`, which stays in its caller's trace; the handle answers `None` if it panicked, and dropping it does not
    /// stop the work.
    pub fn spawn<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<Option<T>> {
        tasks::spawn(name, self.0.track_future(telemetry::within(None, work)))
    }

    /// The same as the tools take it.
    pub fn spawner(&self) -> Spawn {
        let background = self.clone();
        Arc::new(move |name, work| {
            background.spawn(name, work);
        })
    }

    /// Waits until everything that was begun has ended; false if some of it has not within `limit`.
    pub async fn finish(&self, limit: Duration) -> bool {
        self.0.close();
        tokio::time::timeout(limit, self.0.wait()).await.is_ok()
    }
}
