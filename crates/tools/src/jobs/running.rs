//! Running a claimed job, and what the gateway asks of jobs besides tools: a job as it is, and its end.

use std::pin::Pin;
use std::sync::Arc;

use stagedoor_audit::{AuditAction, AuditClient};
use stagedoor_domain::{ErrorCode, JobId, PublicError, TenantContext, ToolName};
use stagedoor_storage::StoreError;
use stagedoor_storage::jobs::{self, Claim, Ended, Job};
use tokio_util::sync::CancellationToken;

use super::paper::claims_in;
use super::shift::{Shift, TRIES};
use super::{JobKind, JobView, output, owned};
use crate::desk::Desk;
use crate::dispatch::Dispatcher;
use crate::origin::{Origin, Purpose};
use crate::records::store_failure;
use crate::trail::Record;
use crate::{playlists, transfer};

impl Dispatcher {
    /// A job of the caller's as it is now. On record as `job_get`.
    pub async fn job(
        self: &Arc<Self>,
        ctx: &TenantContext,
        client: AuditClient,
        id: JobId,
    ) -> Result<JobView, PublicError> {
        let (origin, record) = self.record(ctx, client, (ToolName::JobGet, id)).await?;
        let job = owned::load(self.desk(), ctx, &origin, id).await;
        self.viewed(ctx, job, record).await
    }

    /// The same after asking it to end. On record as `job_cancel`.
    pub async fn cancel_job(
        self: &Arc<Self>,
        ctx: &TenantContext,
        client: AuditClient,
        id: JobId,
    ) -> Result<JobView, PublicError> {
        let (origin, record) = self.record(ctx, client, (ToolName::JobCancel, id)).await?;
        let job = owned::cancelled(self.desk(), ctx, &origin, id).await;
        self.viewed(ctx, job, record).await
    }

    async fn record(
        &self,
        ctx: &TenantContext,
        client: AuditClient,
        (tool, id): (ToolName, JobId),
    ) -> Result<(Origin, Record), PublicError> {
        let origin = Origin::new(client, Purpose::Call);
        let action = AuditAction::Tool(tool);
        let record = self.desk().trail().open(ctx, action, origin.client(), owned::resource(id)).await?;
        Ok((origin, record))
    }

    async fn viewed(
        &self,
        ctx: &TenantContext,
        job: Result<Job, PublicError>,
        record: Record,
    ) -> Result<JobView, PublicError> {
        let viewed = match job {
            Ok(job) => output::view(self.desk(), ctx, &job).await,
            Err(error) => Err(error),
        };
        record.close(viewed.as_ref().err().map(|error| error.code)).await;
        viewed
    }

    /// Works on a claimed job until it is over, waits, or has to be given back, which `stop` asks for. `ctx` is the
    /// context of the job, for the principal that began it. `refusal` is why that one may not go on with it.
    pub async fn run_job(
        self: &Arc<Self>,
        ctx: &TenantContext,
        claim: &Claim,
        refusal: Option<PublicError>,
        stop: &CancellationToken,
    ) {
        let desk = self.desk();
        let origin = Origin::new(AuditClient::default(), Purpose::Job);
        let opened =
            desk.trail().open(ctx, AuditAction::Job, origin.client(), owned::resource(claim.job)).await;
        let Ok(record) = opened else {
            // Another worker tries it when the claim has ended, which is not at once.
            return;
        };
        // Behind a pointer, so that neither the size nor the type of what jobs do is part of every caller's.
        let work: Pin<Box<dyn Future<Output = Option<ErrorCode>> + Send + '_>> =
            Box::pin(work(desk, ctx, &origin, claim, refusal, stop));
        let error = work.await;
        record.close(error).await;
    }
}

async fn work(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    claim: &Claim,
    refusal: Option<PublicError>,
    stop: &CancellationToken,
) -> Option<ErrorCode> {
    let job = match jobs::load(desk.vault(), ctx, claim.job).await {
        Ok(Some(job)) => job,
        Ok(None) => return None,
        Err(error) => return unopened(desk, ctx, claim, &error).await,
    };
    let shift = &Shift::new((desk, ctx, origin), claim, stop, &job);
    let kind = match output::kind(&job) {
        Ok(kind) => kind,
        Err(error) => return shift.abandon(&job, error).await,
    };
    let Some(came_on) = claims_in(&job.document) else {
        return shift.abandon(&job, PublicError::internal()).await;
    };
    let refusal = refusal
        .or_else(|| refused(ctx, kind.tool()))
        .or_else(|| (job.claims.saturating_sub(came_on) > TRIES + 1).then(|| given_up(claim)));
    let run = async {
        match kind {
            JobKind::PlaylistTransfer => Box::pin(transfer::run(shift, &job, refusal)).await,
            JobKind::PlaylistDedupe => Box::pin(playlists::long::run(shift, &job, refusal)).await,
        }
    };
    // Once another worker may have it, this one does nothing more.
    let ended = tokio::select! {
        ended = run => ended,
        () = shift.beat() => {
            tracing::warn!(job = %claim.job, "a job was lost to another worker");
            None
        }
    };
    desk.count_beside(ctx, kind.tool(), origin).await;
    ended
}

/// A job that does not open ends, because nobody can do anything for it. What is only out of reach is tried again once
/// the claim has ended.
async fn unopened(desk: &Desk, ctx: &TenantContext, claim: &Claim, error: &StoreError) -> Option<ErrorCode> {
    let code = store_failure(error).code;
    if matches!(error, StoreError::Damaged { .. })
        && let Err(error) = jobs::end(desk.vault().store(), ctx, claim, Ended::Failed).await
    {
        store_failure(&error);
    }
    Some(code)
}

/// A job whose workers end without a word, again and again, most likely ends them.
fn given_up(claim: &Claim) -> PublicError {
    tracing::error!(job = %claim.job, "a job is given up, because one worker after the other was lost on it");
    PublicError::new(
        ErrorCode::Internal,
        "It was given up, because one worker after the other was lost on it.",
    )
}

/// Why the principal that began a job may not go on with it.
fn refused(ctx: &TenantContext, tool: ToolName) -> Option<PublicError> {
    let principal = ctx.principal();
    let may = principal.sees(tool) && tool.scope().is_none_or(|scope| principal.scopes.contains(scope));
    (!may).then(|| {
        PublicError::new(
            ErrorCode::InsufficientScope,
            "The key that began this job may no longer do what it does.",
        )
        .hint("Ask the tenant's operator for the scope and begin it anew.")
    })
}
