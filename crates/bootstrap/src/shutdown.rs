//! The end of a process in order: not ready, grace, stop accepting, finish, flush. A second signal cuts it short.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::health::Health;

/// A flush that takes longer than this is given up.
const FLUSH_PATIENCE: Duration = Duration::from_secs(5);

/// How long each phase may take.
#[derive(Debug, Clone, Copy)]
pub struct ShutdownOptions {
    /// Between "not ready" and the end of accepting, for load balancers to notice.
    pub grace: Duration,
    /// For running calls after the end of accepting.
    pub finish: Duration,
}

impl Default for ShutdownOptions {
    fn default() -> Self {
        Self { grace: Duration::from_secs(5), finish: Duration::from_secs(20) }
    }
}

impl ShutdownOptions {
    /// For the demo: no load balancer to wait for, and Ctrl-C ends everything within two seconds.
    pub fn immediate() -> Self {
        Self { grace: Duration::ZERO, finish: Duration::from_secs(1) }
    }
}

/// How the process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Every call was finished.
    Finished,
    /// Some calls were cut off, because they took too long or a second signal came.
    CutOff,
    /// Serving ended by itself, without being asked to.
    Unasked,
}

/// Signals to the parts of the process. Cloning shares it.
#[derive(Debug, Clone, Default)]
pub struct ShutdownTokens {
    /// Cancelled when the process was asked to end.
    pub begun: CancellationToken,
    /// Cancelled when listeners must close.
    pub stop_accepting: CancellationToken,
    /// Cancelled when running calls must end.
    pub abort: CancellationToken,
    /// Cancelled after the flushes: for background tasks that the flushes need.
    pub finished: CancellationToken,
}

type Flush = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The plan of a process's end.
pub struct Shutdown {
    options: ShutdownOptions,
    health: Health,
    tokens: ShutdownTokens,
    flushes: Vec<(&'static str, Flush)>,
}

impl Shutdown {
    /// A plan; nothing happens before [`Self::run`].
    pub fn new(options: ShutdownOptions, health: Health) -> Self {
        Self { options, health, tokens: ShutdownTokens::default(), flushes: Vec::new() }
    }

    /// The signals for the parts of the process.
    pub fn tokens(&self) -> ShutdownTokens {
        self.tokens.clone()
    }

    /// Adds what must be done after the last call, such as flushing the audit trail. In order of addition.
    pub fn on_flush(&mut self, name: &'static str, flush: impl Future<Output = ()> + Send + 'static) {
        self.flushes.push((name, Box::pin(flush)));
    }

    /// Ends on SIGTERM or SIGINT; to be called before the first listener is bound.
    pub fn listen_for_signals(&self) -> std::io::Result<()> {
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let tokens = self.tokens();
        crate::tasks::spawn(
            "signals",
            tokens.finished.clone().run_until_cancelled_owned(async move {
                let mut next = async || {
                    tokio::select! {
                        _ = terminate.recv() => "SIGTERM",
                        _ = interrupt.recv() => "SIGINT",
                    }
                };
                let name = next().await;
                tracing::info!(signal = name, "shutting down");
                tokens.begun.cancel();
                let name = next().await;
                tracing::warn!(signal = name, "shutting down at once");
                tokens.stop_accepting.cancel();
                tokens.abort.cancel();
            }),
        );
        Ok(())
    }

    /// Runs `serving`, which must end soon after `stop_accepting` once its calls are finished, through to the end of
    /// the process's work.
    pub async fn run(self, serving: impl Future<Output = ()>) -> Ending {
        let Self { options, health, tokens, flushes } = self;
        let ending = serve_to_the_end(options, &health, &tokens, serving).await;
        for (name, flush) in flushes {
            if tokio::time::timeout(FLUSH_PATIENCE, flush).await.is_err() {
                tracing::error!(flush = name, "the last flush took too long and was given up");
            }
        }
        tokens.finished.cancel();
        ending
    }
}

async fn serve_to_the_end(
    options: ShutdownOptions,
    health: &Health,
    tokens: &ShutdownTokens,
    serving: impl Future<Output = ()>,
) -> Ending {
    tokio::pin!(serving);
    tokio::select! {
        () = &mut serving => {
            let ending = if tokens.begun.is_cancelled() { Ending::Finished } else { Ending::Unasked };
            health.drain();
            tokens.begun.cancel();
            tokens.stop_accepting.cancel();
            return ending;
        }
        () = tokens.begun.cancelled() => health.drain(),
    }
    // Calls go on during the grace, so `serving` must be driven while it passes.
    tokio::select! {
        () = &mut serving => return Ending::Finished,
        () = tokens.stop_accepting.cancelled() => {}
        () = tokio::time::sleep(options.grace) => tokens.stop_accepting.cancel(),
    }
    tokio::select! {
        () = &mut serving => Ending::Finished,
        () = tokens.abort.cancelled() => Ending::CutOff,
        () = tokio::time::sleep(options.finish) => {
            tracing::warn!(after = ?options.finish, "calls that did not finish in time are cut off");
            tokens.abort.cancel();
            Ending::CutOff
        }
    }
}

impl fmt::Debug for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flushes: Vec<_> = self.flushes.iter().map(|(name, _)| name).collect();
        f.debug_struct("Shutdown")
            .field("options", &self.options)
            .field("flushes", &flushes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use super::{Ending, Shutdown, ShutdownOptions};
    use crate::health::{Health, LifeStage};

    fn plan() -> (Shutdown, Health) {
        let health = Health::new();
        health.started();
        (Shutdown::new(ShutdownOptions::default(), health.clone()), health)
    }

    #[tokio::test(start_paused = true)]
    async fn phases_come_in_order_and_flushes_last() {
        let (mut shutdown, health) = plan();
        let (tokens, flushed) = (shutdown.tokens(), Arc::new(AtomicBool::new(false)));
        let (flag, finished) = (flushed.clone(), tokens.finished.clone());
        shutdown.on_flush("audit", async move {
            assert!(!finished.is_cancelled(), "helpers of the flush were stopped before it");
            flag.store(true, Ordering::Release);
        });
        let serving = {
            let (tokens, flushed) = (tokens.clone(), flushed.clone());
            async move {
                tokens.begun.cancelled().await;
                assert!(!tokens.stop_accepting.is_cancelled(), "the listener closed without grace");
                tokens.stop_accepting.cancelled().await;
                tokio::time::sleep(Duration::from_secs(19)).await;
                assert!(!tokens.abort.is_cancelled() && !flushed.load(Ordering::Acquire));
            }
        };
        tokens.begun.cancel();
        assert_eq!(shutdown.run(serving).await, Ending::Finished);
        assert!(flushed.load(Ordering::Acquire) && tokens.finished.is_cancelled());
        assert_eq!(health.stage(), LifeStage::Draining);
    }

    #[tokio::test(start_paused = true)]
    async fn calls_that_never_finish_are_cut_off_and_the_flush_still_runs() {
        let (mut shutdown, _) = plan();
        let (tokens, flushed) = (shutdown.tokens(), Arc::new(AtomicBool::new(false)));
        let flag = flushed.clone();
        shutdown.on_flush("stuck", std::future::pending());
        shutdown.on_flush("audit", async move { flag.store(true, Ordering::Release) });
        tokens.begun.cancel();
        assert_eq!(shutdown.run(std::future::pending()).await, Ending::CutOff);
        assert!(tokens.abort.is_cancelled() && flushed.load(Ordering::Acquire));
    }

    #[tokio::test]
    async fn a_server_that_ends_by_itself_is_told_apart() {
        let (shutdown, health) = plan();
        assert_eq!(shutdown.run(async {}).await, Ending::Unasked);
        assert_eq!(health.stage(), LifeStage::Draining);
    }
}
