//! `job_get` and `job_cancel`: a job belongs to a tenant, a person and an agent, and does not exist for anybody else.

use schemars::JsonSchema;
use serde::Deserialize;
use stagedoor_audit::AuditResource;
use stagedoor_domain::{ErrorCode, JobId, PublicError, TenantContext};
use stagedoor_storage::jobs::{self, Job};
use uuid::Uuid;

use super::JobState;
use super::following::follow;
use super::output::{self, Excerpt};
use crate::arguments::invalid;
use crate::desk::{Desk, acting_for};
use crate::origin::Origin;
use crate::records::store_failure;
use crate::reuse::Produced;

/// How long a call that cancels waits for the job to end.
const END_WITHIN: std::time::Duration = std::time::Duration::from_secs(5);

/// Jobs that a person may have under way at a time.
const UNDER_WAY_AT_MOST: u64 = 20;

/// Which job, and which part of its report.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GetArguments {
    /// The job's id.
    job: String,
    /// `open` for the tracks that are not in; `all` for every one.
    show: Option<Show>,
    /// The `next_from` of an earlier answer.
    from: Option<u32>,
}

/// Which tracks of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Show {
    Open,
    All,
}

/// Which job.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CancelArguments {
    /// The job's id.
    job: String,
}

/// `job_get`.
pub(crate) async fn get(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    arguments: GetArguments,
) -> Produced {
    let job = load(desk, ctx, origin, id(&arguments.job)?).await?;
    let excerpt =
        Excerpt { all: arguments.show == Some(Show::All), from: arguments.from.unwrap_or_default() };
    desk.fresh(&output::of(desk, ctx, &job, excerpt).await?)
}

/// `job_cancel`.
pub(crate) async fn cancel(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    arguments: CancelArguments,
) -> Produced {
    let job = cancelled(desk, ctx, origin, id(&arguments.job)?).await?;
    desk.fresh(&output::of(desk, ctx, &job, Excerpt::default()).await?)
}

/// The caller's job, asked to end; as it is a moment later.
pub(super) async fn cancelled(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    id: JobId,
) -> Result<Job, PublicError> {
    let job = load(desk, ctx, origin, id).await?;
    if JobState::from(job.state).is_over() {
        return Ok(job);
    }
    let requested = jobs::request_cancel(desk.vault().store(), ctx, id).await;
    // It may be over by now, which is what is told then.
    requested.map_err(|error| store_failure(&error))?;
    desk.jobs().begun();
    let job = follow_to_the_end(desk, ctx, id).await?;
    if !JobState::from(job.state).is_over() {
        origin.warn("The job ends when its present step has ended; look at it again with job_get.");
    }
    Ok(job)
}

/// A waiting job rests, and ends all the same.
async fn follow_to_the_end(desk: &Desk, ctx: &TenantContext, id: JobId) -> Result<Job, PublicError> {
    let end = async {
        loop {
            let job = follow(desk, ctx, id, END_WITHIN, None).await?;
            if JobState::from(job.state).is_over() {
                return Ok::<_, PublicError>(job);
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    match tokio::time::timeout(END_WITHIN, end).await {
        Ok(ended) => ended,
        Err(_) => follow(desk, ctx, id, std::time::Duration::ZERO, None).await,
    }
}

/// The caller's job.
pub(crate) async fn load(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    id: JobId,
) -> Result<Job, PublicError> {
    origin.about(resource(id));
    let found = jobs::load(desk.vault(), ctx, id).await.map_err(|error| store_failure(&error))?;
    match found.filter(|job| Some(job.user) == ctx.user()) {
        Some(job) if job.begun_by.label == ctx.principal().label() => Ok(job),
        Some(_) => {
            desk.hijack(ctx, origin.client(), resource(id), ErrorCode::JobUnknown).await;
            Err(unknown())
        }
        None => Err(unknown()),
    }
}

/// Refuses one more job of a person who has many under way, or nearly so when several are begun at the same moment: they
/// take turns with the others of the tenant.
pub(crate) async fn room(desk: &Desk, ctx: &TenantContext) -> Result<(), PublicError> {
    let under_way = jobs::under_way(desk.vault().store(), ctx, acting_for(ctx)?).await;
    if under_way.map_err(|error| store_failure(&error))? < UNDER_WAY_AT_MOST {
        return Ok(());
    }
    let message = format!("{UNDER_WAY_AT_MOST} jobs of this person are under way already.");
    Err(PublicError::new(ErrorCode::Conflict, message)
        .hint("Begin this one when one of them has ended, or cancel one with job_cancel."))
}

/// The id of a job as an argument.
pub(crate) fn id(text: &str) -> Result<JobId, PublicError> {
    let id: Uuid = text.trim().parse().map_err(|_| invalid("`job` is not the id of a job."))?;
    Ok(JobId(id))
}

/// A job as records name it.
pub(crate) fn resource(id: JobId) -> AuditResource {
    AuditResource { kind: "job", id: id.to_string().into() }
}

/// There is no such job for the caller.
pub(crate) fn unknown() -> PublicError {
    PublicError::new(ErrorCode::JobUnknown, "There is no such job, or it is forgotten by now.").hint(
        "A job is known for 7 days after its last step, to the key and the person that began it, until an account that \
         it works on is unlinked.",
    )
}
