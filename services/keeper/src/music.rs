//! What jobs ask music services with: the same desk as a gateway's, with the quotas and pauses of all replicas, and nobody
//! who waits at it.

use std::sync::Arc;

use bytes::Bytes;
use stagedoor_assembly::music::{cache, limiter, limits_link, providers};
use stagedoor_bootstrap::tasks;
use stagedoor_tools::{Beside, BesideOptions, Desk, DeskOptions, SessionsInUse, Spawn};
use stagedoor_usage::UsageLog;
use tokio_util::task::TaskTracker;

use crate::keeper::Keeper;

/// The desk, and the work that goes on when its caller leaves, such as a token's refresh.
#[derive(Debug)]
pub(crate) struct Music {
    pub(crate) desk: Desk,
    work: TaskTracker,
}

impl Music {
    /// Opens what the configuration names.
    pub(crate) fn open(keeper: &Keeper) -> anyhow::Result<Self> {
        let Keeper { config, vault, clock, entropy, .. } = keeper;
        let link = limits_link(config, clock)?;
        let cache = Arc::new(cache(config, vault, clock, entropy)?);
        let work = TaskTracker::new();
        let tracker = work.clone();
        let spawn: Spawn = Arc::new(move |name, task| {
            tasks::spawn(name, tracker.track_future(task));
        });
        let desk = Desk::new(DeskOptions {
            vault: Arc::clone(vault),
            providers: providers(config, clock, entropy, None, link.as_ref())?,
            reuse_answers: false,
            limiter: Arc::new(limiter(config, link, clock)),
            audit: keeper.audit.clone(),
            usage: Arc::new(UsageLog::new(keeper.store.clone(), Arc::clone(clock), Arc::clone(entropy))),
            sessions: Arc::new(SessionsInUse::new(Arc::clone(&cache), Arc::clone(clock))),
            beside: Beside::new(BesideOptions {
                refetch: false,
                prefetch: false,
                ..BesideOptions::default()
            }),
            cache,
            clock: Arc::clone(clock),
            entropy: Arc::clone(entropy),
            spawn,
            stop: keeper.stop.clone(),
            job_wait: std::time::Duration::ZERO,
            // Jobs answer nobody.
            render: Bytes::copy_from_slice,
            illustrate: |answer, _| Bytes::copy_from_slice(answer),
        });
        Ok(Self { desk, work })
    }

    /// Waits for what was begun: a refreshed token that is not stored is a lost one.
    pub(crate) async fn close(self) {
        self.work.close();
        self.work.wait().await;
    }
}
