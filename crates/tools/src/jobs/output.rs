//! What the tools answer of a job.

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use stagedoor_domain::{PublicError, TenantContext};
use stagedoor_storage::jobs::Job;

use super::{JobKind, JobState, JobView, failure_in};
use crate::desk::Desk;
use crate::playlists::{EditOutput, long};
use crate::transfer::{self, Report};

/// A job.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct JobOutput {
    /// Hand this in as `job`.
    job: String,
    kind: JobKind,
    state: JobState,
    /// Steps done.
    done: u64,
    /// Steps in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
    /// What it does now, or how it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    created_at: String,
    updated_at: String,
    /// When it is forgotten.
    expires_at: String,
    /// What became of each track.
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<Report>,
    /// What was taken out, as `playlist_dedupe` answers it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<EditOutput>")]
    edit: Option<Map<String, Value>>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorOutput>,
}

/// Why a job failed.
#[derive(Debug, Serialize, JsonSchema)]
struct ErrorOutput {
    code: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

/// Which part of a report is wanted.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Excerpt {
    /// Whether the tracks that were matched are wanted too.
    pub(crate) all: bool,
    /// From this position on.
    pub(crate) from: u32,
}

/// What the tools answer of a job. A report is there while it waits and once it is over.
pub(crate) async fn of(
    desk: &Desk,
    ctx: &TenantContext,
    job: &Job,
    excerpt: Excerpt,
) -> Result<JobOutput, PublicError> {
    let (kind, state) = (kind(job)?, JobState::from(job.state));
    let (report, edit) = match kind {
        _ if state.is_under_way() => (None, None),
        JobKind::PlaylistTransfer => (transfer::report(desk, ctx, job, excerpt).await?, None),
        JobKind::PlaylistDedupe => (None, long::edit(job)?),
    };
    let error = match state {
        // One whose document could not be written says nothing of itself.
        JobState::Failed => Some(failure_in(&job.document)?.unwrap_or_else(PublicError::internal)),
        _ => None,
    };
    Ok(JobOutput {
        job: job.id.to_string(),
        kind,
        state,
        done: job.done,
        total: job.total,
        message: job.message.clone(),
        created_at: text(job.created_at),
        updated_at: text(job.updated_at),
        expires_at: text(job.expires_at),
        report,
        edit,
        error: error.map(ErrorOutput::from),
    })
}

/// What the tool that began a job answers of it.
pub(super) async fn answer(desk: &Desk, ctx: &TenantContext, job: &Job) -> Result<Bytes, PublicError> {
    match kind(job)? {
        JobKind::PlaylistTransfer => desk.rendered(&of(desk, ctx, job, Excerpt::default()).await?),
        JobKind::PlaylistDedupe => desk.rendered(&long::answer(job)?),
    }
}

/// A job as its owner sees it.
pub(crate) async fn view(desk: &Desk, ctx: &TenantContext, job: &Job) -> Result<JobView, PublicError> {
    let state = JobState::from(job.state);
    let answer = if state.is_under_way() { None } else { Some(answer(desk, ctx, job).await?) };
    let error = match state {
        JobState::Failed => Some(failure_in(&job.document)?.unwrap_or_else(PublicError::internal)),
        _ => None,
    };
    Ok(JobView {
        id: job.id,
        kind: kind(job)?,
        state,
        done: job.done,
        total: job.total,
        message: job.message.clone(),
        created_at: job.created_at,
        updated_at: job.updated_at,
        expires_at: job.expires_at,
        answer,
        error,
    })
}

/// What a job does. One that only another release knows is a fault of ours.
pub(super) fn kind(job: &Job) -> Result<JobKind, PublicError> {
    JobKind::of(&job.kind).ok_or_else(|| {
        tracing::error!(kind = job.kind, "a job is of a kind that this release does not know");
        PublicError::internal()
    })
}

fn text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

impl From<PublicError> for ErrorOutput {
    fn from(error: PublicError) -> Self {
        Self { code: error.code.as_str(), message: error.message, hint: error.hint }
    }
}
