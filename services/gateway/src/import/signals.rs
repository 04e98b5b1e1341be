//! Ctrl-C during an import: the first ends it after the file at hand, because tokens may be on their way; the second
//! gives those up.

use stagedoor_bootstrap::tasks;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What the person at the terminal wants.
pub(super) struct Signals {
    stop: CancellationToken,
    give_up: CancellationToken,
}

impl Signals {
    /// Listens from now on; `ends` says when the first one takes effect.
    pub(super) fn listen(ends: &'static str) -> anyhow::Result<Self> {
        let (mut interrupt, mut terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let (stop, give_up) = (CancellationToken::new(), CancellationToken::new());
        let (stopped, given_up) = (stop.clone(), give_up.clone());
        tasks::spawn("signals", async move {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                if stopped.is_cancelled() {
                    tracing::warn!("giving up what is not stored");
                    given_up.cancel();
                } else {
                    tracing::warn!("ending {ends}");
                    stopped.cancel();
                }
            }
        });
        Ok(Self { stop, give_up })
    }

    /// Cancelled with the first.
    pub(super) fn stopping(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Whether no further file is to be tried.
    pub(super) fn stop(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Ends waiting for what new tokens need to be stored.
    pub(super) fn give_up(&self) -> CancellationToken {
        self.give_up.clone()
    }
}
