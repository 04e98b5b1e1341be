//! Tasks (`io.modelcontextprotocol/tasks`, 2026-07-28): a job as clients follow it. A task is a job under its own id; who
//! may see one and how long it lives is the job's business. What a waiting one asks is in `questions`.

mod questions;

use chrono::SecondsFormat;
use rmcp::model::{
    ClientCapabilities, CreateTaskResult, DetailedTask, ErrorCode as RpcErrorCode, GetTaskResult, JsonObject,
    Task, TaskPayload, TaskStatus, UpdateTaskParams,
};
use serde::Serialize;
use serde_json::{Value, json};
use stagedoor_domain::{ErrorCode, JobId, PublicError, ToolName};
use stagedoor_tools::{Interaction, JobState, JobView, Outcome};
use uuid::Uuid;

use super::{MusicSurface, failure, rendered_result, result};
use crate::mcp::surface::{Caller, OtherCall, Reply, RpcError};

/// How often a client should ask: as often as a step of a transfer takes.
const POLL_INTERVAL_MILLIS: u64 = 1_000;

/// Whether the client takes a task in place of an answer, and could follow it with its key.
pub(super) fn taken(caller: &Caller) -> bool {
    caller.revision.is_modern()
        && caller.capabilities.as_ref().is_some_and(ClientCapabilities::supports_tasks)
        && caller.ctx.principal().sees(ToolName::JobGet)
}

/// A call that goes on as a job.
pub(super) fn begun(job: &JobView) -> Reply {
    let task = CreateTaskResult::new(task(job, TaskStatus::Working));
    // Rendering adds the result type, as to every result.
    Reply::Task(members(&task))
}

/// `tasks/get`, `tasks/update`, `tasks/cancel`.
pub(super) async fn answer(surface: &MusicSurface, caller: &Caller, call: &OtherCall<'_>) -> Reply {
    if !caller.capabilities.as_ref().is_some_and(ClientCapabilities::supports_tasks) {
        return Reply::Error(undeclared());
    }
    let params: JsonObject =
        call.params.and_then(|params| serde_json::from_str(params.get()).ok()).unwrap_or_default();
    let id = params.get("taskId").and_then(Value::as_str).unwrap_or_default();
    let needs = match call.method {
        "tasks/update" => ToolName::PlaylistTransfer,
        "tasks/cancel" => ToolName::JobCancel,
        _ => ToolName::JobGet,
    };
    let job = id.parse::<Uuid>().ok().map(JobId).filter(|_| caller.ctx.principal().sees(needs));
    let Some(job) = job else {
        return surface.refused(caller, unknown(id)).await;
    };
    let (dispatcher, ctx, client) = (&surface.dispatcher, &caller.ctx, caller.audit_client());
    match call.method {
        "tasks/update" => update(surface, caller, job, params).await,
        "tasks/cancel" => match dispatcher.cancel_job(ctx, client, job).await {
            Ok(_) => acknowledged(),
            Err(error) => refusal(error),
        },
        _ => match dispatcher.job(ctx, client, job).await {
            Ok(job) => Reply::Result(members(&GetTaskResult::new(detailed(caller, &job)))),
            Err(error) => refusal(error),
        },
    }
}

/// Hands a person's decisions to the job that waits for them. What becomes of them shows in the next `tasks/get`.
async fn update(surface: &MusicSurface, caller: &Caller, id: JobId, params: JsonObject) -> Reply {
    let params: UpdateTaskParams = match serde_json::from_value(Value::Object(params)) {
        Ok(params) => params,
        Err(error) => {
            let message = format!("`params` is wrong: {error}.");
            return refusal(PublicError::new(ErrorCode::InvalidArguments, message));
        }
    };
    let job = match surface.dispatcher.job(&caller.ctx, caller.audit_client(), id).await {
        Ok(job) => job,
        Err(error) => return refusal(error),
    };
    let decisions = match questions::decisions(&job, &params.input_responses) {
        Ok(decisions) => decisions,
        Err(message) => return refusal(PublicError::new(ErrorCode::InvalidArguments, message)),
    };
    if decisions.is_empty() {
        return acknowledged();
    }
    let arguments = json!({ "job": id, "decisions": decisions });
    let interaction = Interaction { tasks: true, ..Interaction::default() };
    match surface.ask(caller, ToolName::PlaylistTransfer, &arguments, interaction).await {
        Outcome::Answered { .. } | Outcome::Started { .. } => acknowledged(),
        Outcome::Failed(error) => refusal(error),
        Outcome::ScopeNeeded(scopes) => Reply::ScopeNeeded(scopes),
        // A job asks by waiting.
        Outcome::InputRequired { .. } => refusal(PublicError::internal()),
    }
}

fn detailed(caller: &Caller, job: &JobView) -> DetailedTask {
    let payload = match job.state {
        JobState::Queued | JobState::Running => TaskPayload::Working,
        JobState::Cancelled => TaskPayload::Cancelled,
        JobState::Waiting => match questions::of(caller, job) {
            Some(input_requests) => TaskPayload::InputRequired { input_requests },
            // A client that can ask nobody has the answer, which says what is to be decided and how.
            None => TaskPayload::Completed { result: answered(caller, job) },
        },
        JobState::Done | JobState::Failed => TaskPayload::Completed { result: answered(caller, job) },
    };
    DetailedTask::new(task(job, payload.status()), payload)
}

/// What the call would have been answered, had it waited. A tool's failure is a result, not a task that failed.
fn answered(caller: &Caller, job: &JobView) -> JsonObject {
    let answer = job.answer.as_deref().filter(|_| job.error.is_none()).and_then(rendered_result);
    let mut result = answer.unwrap_or_else(|| {
        failure(job.error.as_ref().unwrap_or(&PublicError::internal()), caller.ctx.call())
    });
    result.insert("resultType".to_owned(), json!("complete"));
    result
}

fn task(job: &JobView, status: TaskStatus) -> Task {
    let text = |at: chrono::DateTime<chrono::Utc>| at.to_rfc3339_opts(SecondsFormat::Millis, true);
    let lives = (job.expires_at - job.created_at).num_milliseconds();
    let task = Task::new(job.id.to_string(), status, text(job.created_at), text(job.updated_at))
        .with_ttl_ms(u64::try_from(lives).unwrap_or(0))
        .with_poll_interval_ms(POLL_INTERVAL_MILLIS);
    match status_message(job) {
        Some(message) => task.with_status_message(message),
        None => task,
    }
}

fn status_message(job: &JobView) -> Option<String> {
    let message = job.error.as_ref().map(|error| error.message.clone()).or_else(|| job.message.clone());
    match (message, job.total) {
        (Some(message), Some(total)) if job.state.is_under_way() => {
            Some(format!("{message} ({} of {total})", job.done))
        }
        (message, _) => message,
    }
}

fn members(value: &impl Serialize) -> JsonObject {
    match serde_json::to_value(value) {
        Ok(Value::Object(members)) => members,
        _ => JsonObject::new(),
    }
}

fn acknowledged() -> Reply {
    result(json!({}))
}

/// A failure of a request about a task. One that nobody has, or somebody else, is not there.
fn refusal(error: PublicError) -> Reply {
    let code = match error.code {
        ErrorCode::JobUnknown | ErrorCode::InvalidArguments | ErrorCode::Conflict => {
            RpcErrorCode::INVALID_PARAMS
        }
        _ => RpcErrorCode::INTERNAL_ERROR,
    };
    Reply::Error(RpcError::new(code, error))
}

fn unknown(id: &str) -> RpcError {
    let shown: String = id.chars().take(80).collect();
    let public = PublicError::new(ErrorCode::JobUnknown, format!("There is no task {shown:?} for this key."))
        .hint("A task is forgotten a week after its end, and known only to the key that began it.");
    RpcError::new(RpcErrorCode::INVALID_PARAMS, public)
}

fn undeclared() -> RpcError {
    let required = ClientCapabilities::builder().enable_tasks().build();
    let public = PublicError::new(
        ErrorCode::MissingCapability,
        "The client did not declare the extension io.modelcontextprotocol/tasks in this request.",
    )
    .hint("Without it, follow a job with the tools job_get and job_cancel.");
    RpcError::new(RpcErrorCode::MISSING_REQUIRED_CLIENT_CAPABILITY, public)
        .with_data(json!({ "requiredCapabilities": required }))
}
