//! Work that waits in the database for whichever replica has a place for it: claimed a few at a time, done beside the
//! requests, waited for like writes when the process ends. What the work is, `job_worker` and `privacy` know.

use std::sync::Arc;
use std::time::Duration;

use stagedoor_domain::Entropy;
use stagedoor_domain::error::Chain;
use stagedoor_storage::StoreError;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::background::Background;

/// How often it is looked for work that another replica was given, or has left; more or less by a quarter, so that
/// replicas do not look all at once.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// One kind of work.
pub(crate) struct Claims<'a> {
    /// What it is called in the log and among the tasks.
    pub(crate) name: &'static str,
    /// How many pieces of it are done at a time.
    pub(crate) at_a_time: usize,
    pub(crate) background: &'a Background,
    pub(crate) entropy: &'a dyn Entropy,
}

impl Claims<'_> {
    /// Claims and begins work until `until`. `claim` takes at most as many pieces as it is told, `work` does one of them,
    /// `woken` ends when there may be more.
    pub(crate) async fn run<C, Claiming, Work, Woken>(
        self,
        claim: impl Fn(u32) -> Claiming,
        work: impl Fn(C) -> Work,
        woken: impl Fn() -> Woken,
        until: &CancellationToken,
    ) where
        Claiming: Future<Output = Result<Vec<C>, StoreError>>,
        Work: Future<Output = ()> + Send + 'static,
        Woken: Future<Output = ()>,
    {
        let places = Arc::new(Semaphore::new(self.at_a_time));
        let ended = Arc::new(Notify::new());
        let mut failing = false;
        while !until.is_cancelled() {
            let free = u32::try_from(places.available_permits()).unwrap_or_default();
            let claimed = if free == 0 { Ok(Vec::new()) } else { claim(free).await };
            match claimed {
                Ok(claimed) => {
                    failing = false;
                    for piece in claimed {
                        // There is a place for each that was claimed: nobody else takes one.
                        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { break };
                        let (work, ended) = (work(piece), Arc::clone(&ended));
                        drop(self.background.spawn(self.name, async move {
                            work.await;
                            drop(place);
                            ended.notify_one();
                        }));
                    }
                }
                Err(error) => {
                    if !failing {
                        let (work, error) = (self.name, Chain(&error));
                        tracing::warn!(work, %error, "work waits, because it cannot be claimed");
                    }
                    failing = true;
                }
            }
            tokio::select! {
                () = until.cancelled() => {}
                () = woken() => {}
                () = ended.notified() => {}
                () = tokio::time::sleep(self.pause()) => {}
            }
        }
    }

    fn pause(&self) -> Duration {
        let mut random = [0];
        self.entropy.fill(&mut random);
        LOOK_EVERY * 3 / 4 + LOOK_EVERY / 512 * u32::from(random[0])
    }
}
