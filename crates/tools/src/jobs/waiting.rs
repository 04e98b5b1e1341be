//! The answer of a call that began a job, or went on with one: what the job came to if it rests within the call's time,
//! else the job to ask for.

use std::time::Duration;

use serde_json::json;
use stagedoor_cache::Level;
use stagedoor_domain::{ErrorCode, JobId, PublicError, TenantContext};

use super::following::{CancelUnlessTold, follow};
use super::{JobKind, JobState, failure_in, output};
use crate::desk::Desk;
use crate::dispatch::{Interaction, Outcome};
use crate::origin::Origin;

/// How long a caller waits that takes a task.
const TASK_PATIENCE: Duration = Duration::from_secs(2);

/// Waits for a job as long as its call may. `leaving` cancels it if the caller leaves before it knows the job.
pub(crate) async fn answer_within_call(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    (id, leaving): (JobId, Option<CancelUnlessTold>),
    interaction: &Interaction<'_>,
) -> Result<Outcome, PublicError> {
    let patience = if interaction.tasks { TASK_PATIENCE } else { desk.job_wait() };
    let job = follow(desk, ctx, id, patience, interaction.progress).await?;
    let state = JobState::from(job.state);
    let outcome = if interaction.tasks && state.is_under_way() {
        Outcome::Started { job: Box::new(output::view(desk, ctx, &job).await?) }
    } else if state == JobState::Failed {
        let error = failure_in(&job.document)?.unwrap_or_else(PublicError::internal);
        Outcome::Failed(with_job(error, output::kind(&job)?, id))
    } else {
        let body = output::answer(desk, ctx, &job).await?;
        Outcome::Answered { body, level: Level::Bypassed, warnings: origin.take_warnings() }
    };
    if let Some(leaving) = leaving {
        leaving.told();
    }
    Ok(outcome)
}

/// The failure of a job, with the job to go on with.
fn with_job(error: PublicError, kind: JobKind, id: JobId) -> PublicError {
    let hint = match (&error.hint, error.code, kind) {
        (Some(hint), ..) => format!("{hint} What was done is told by job_get with job {id}."),
        (None, ErrorCode::Internal, _) => format!("job_get with job {id} tells what was done."),
        (None, _, JobKind::PlaylistTransfer) => {
            format!("Call playlist_transfer with job {id} to go on where it stopped.")
        }
        (None, _, JobKind::PlaylistDedupe) => "Call playlist_dedupe again to have it done.".to_owned(),
    };
    let details = match error.details.as_deref() {
        Some(details) => json!({ "job": id, "cause": details }),
        None => json!({ "job": id }),
    };
    error.hint(hint).details(details)
}
