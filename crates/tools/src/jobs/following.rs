//! Waiting for a job within a call: until it rests or patience ends. A caller who leaves before it knows the job's id
//! cancels it.

use std::sync::Arc;
use std::time::Duration;

use stagedoor_domain::{JobId, PublicError, TenantContext};
use stagedoor_storage::jobs::{self, Job};
use stagedoor_storage::{KeyVault, StoreError};

use super::owned::unknown;
use super::{JobState, Jobs, Progress};
use crate::desk::Desk;
use crate::records::store_failure;
use crate::refresh::Spawn;

/// How often a job is looked at in the database; it may be another replica's.
const LOOK_EVERY: Duration = Duration::from_millis(700);
/// How long after its caller left a job is cancelled once more: it may have been in the making.
const ONCE_MORE_AFTER: Duration = Duration::from_secs(2);

/// The job as it is when it rests, or after that time.
pub(crate) async fn follow(
    desk: &Desk,
    ctx: &TenantContext,
    id: JobId,
    patience: Duration,
    progress: Option<&dyn Progress>,
) -> Result<Job, PublicError> {
    let mut heard = desk.jobs().follow(id);
    let mut reported = 0;
    let mut report = |done: u64, total: Option<u64>, message: &str| {
        if let Some(progress) = progress
            && done >= reported
        {
            reported = done;
            progress.report(done, total, message);
        }
    };
    let patience = tokio::time::sleep(patience);
    tokio::pin!(patience);
    loop {
        let impatient = tokio::select! {
            () = &mut patience => true,
            Ok(()) = heard.changed() => {
                let told = heard.borrow_and_update().clone();
                if let Some(told) = told.filter(|told| told.state.is_under_way()) {
                    report(told.done, told.total, &told.message);
                    continue;
                }
                false
            }
            () = tokio::time::sleep(LOOK_EVERY) => false,
        };
        let loaded = jobs::load(desk.vault(), ctx, id).await.map_err(|error| store_failure(&error))?;
        let job = loaded.ok_or_else(unknown)?;
        report(job.done, job.total, job.message.as_deref().unwrap_or_default());
        if impatient || !JobState::from(job.state).is_under_way() {
            return Ok(job);
        }
    }
}

/// Cancels a job if it is dropped before its caller was told of the job.
#[must_use = "a job is cancelled when this is dropped"]
pub(crate) struct CancelUnlessTold {
    vault: Arc<KeyVault>,
    jobs: Arc<Jobs>,
    spawn: Spawn,
    ctx: TenantContext,
    job: Option<JobId>,
}

impl CancelUnlessTold {
    pub(crate) fn new(desk: &Desk, ctx: &TenantContext, job: JobId) -> Self {
        Self {
            vault: Arc::clone(desk.vault()),
            jobs: Arc::clone(desk.jobs()),
            spawn: Spawn::clone(desk.spawn()),
            ctx: ctx.clone(),
            job: Some(job),
        }
    }

    /// The caller knows the job by now.
    pub(crate) fn told(mut self) {
        self.job = None;
    }
}

impl Drop for CancelUnlessTold {
    fn drop(&mut self) {
        let Some(job) = self.job.take() else { return };
        let (vault, jobs, ctx) = (Arc::clone(&self.vault), Arc::clone(&self.jobs), self.ctx.clone());
        let cancel = async move {
            for attempt in 0..2 {
                if attempt > 0 {
                    tokio::time::sleep(ONCE_MORE_AFTER).await;
                }
                match request_cancel(&vault, &ctx, job).await {
                    Ok(true) => {
                        jobs.begun();
                        return;
                    }
                    Ok(false) => {}
                    Err(error) => {
                        store_failure(&error);
                    }
                }
            }
        };
        (self.spawn)("cancelling a job", Box::pin(cancel));
    }
}

async fn request_cancel(vault: &KeyVault, ctx: &TenantContext, job: JobId) -> Result<bool, StoreError> {
    jobs::request_cancel(vault.store(), ctx, job).await
}
