//! `playlist_dedupe` of a long playlist: a job that does what the call would have done, once, whichever worker does it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use stagedoor_crypto::digest;
use stagedoor_domain::{
    EntityKind, ErrorCode, ItemRef, JobId, LinkedAccountId, PublicError, TenantContext, ToolName,
};
use stagedoor_storage::jobs::{self, Job, NewJob};
use uuid::Builder;

use super::editing::{self, Change, Terms, Told};
use super::edits::DedupeArguments;
use super::memory::{self, Subject};
use super::once;
use super::output::EditOutput;
use crate::accounts::Account;
use crate::desk::{Desk, acting_for, internal};
use crate::dispatch::{Interaction, Outcome};
use crate::jobs::{
    CancelUnlessTold, Halt, JobKind, JobState, Paper, Rest, Shift, Stand, answer_within_call, owned,
};
use crate::origin::Origin;
use crate::records::store_failure;

/// Entries up to which duplicates are taken out within the call.
const SHORT: u32 = 1_000;

type Document = Paper<Work>;

/// What a job is asked for, and what came of it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Work {
    /// As they came.
    arguments: DedupeArguments,
    playlist: ItemRef,
    account: LinkedAccountId,
    /// The agent's, or the job's own if it gave none.
    key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    edit: Option<Map<String, Value>>,
}

/// What was taken out, or the job that does it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct DedupeOutput {
    #[serde(flatten)]
    #[schemars(with = "Option<EditOutput>")]
    edit: Option<Map<String, Value>>,
    #[serde(flatten)]
    job: Option<Unfinished>,
}

/// A job that has taken nothing out yet.
#[derive(Debug, Serialize, JsonSchema)]
struct Unfinished {
    /// Ask `job_get` with it.
    job: String,
    state: JobState,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

/// Runs the tool as a job; `None` if that is not needed.
pub(crate) async fn call(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    arguments: DedupeArguments,
    interaction: &Interaction<'_>,
) -> Result<Option<Outcome>, PublicError> {
    if arguments.dry_run == Some(true) {
        return Ok(None);
    }
    let field = ("ref", arguments.reference.as_str(), EntityKind::Playlist);
    let (playlist, account) = desk.item_and_account(ctx, origin, field, arguments.account.as_deref()).await?;
    let key = match &arguments.idempotency_key {
        Some(key) => once::checked(key)?.to_owned(),
        None => ctx.call().to_string(),
    };
    let id = job_of(ctx, &account, &key);
    // Whoever has a key finds the job again.
    let leaving = arguments.idempotency_key.is_none().then(|| CancelUnlessTold::new(desk, ctx, id));
    // If it fails, the job may be there all the same, and is cancelled unless it can be found again.
    if !begin(desk, ctx, origin, (id, key, arguments), (&account, playlist)).await? {
        leaving.into_iter().for_each(CancelUnlessTold::told);
        return Ok(None);
    }
    desk.jobs().begun();
    origin.about(owned::resource(id));
    answer_within_call(desk, ctx, origin, (id, leaving), interaction).await.map(Some)
}

/// The job of a key: the same at every replica, another one for every principal and account.
fn job_of(ctx: &TenantContext, account: &Account, key: &str) -> JobId {
    let parts = [ctx.principal().label(), account.id.to_string(), key.to_owned()];
    let digest = digest::sha256(&[b"playlist_dedupe\n", parts.join("\n").as_bytes()]);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    JobId(Builder::from_custom_bytes(bytes).into_uuid())
}

/// Whether there is a job: the one of this key, or a new one if the playlist is long.
async fn begin(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    (id, key, arguments): (JobId, String, DedupeArguments),
    (account, playlist): (&Account, ItemRef),
) -> Result<bool, PublicError> {
    let keyed = arguments.idempotency_key.is_some();
    if keyed && find(desk, ctx, id, &arguments).await? {
        return Ok(true);
    }
    let of = Subject { account, playlist: &playlist };
    let total = memory::read_head(desk, ctx, origin, of).await?.item_count;
    if total.is_some_and(|total| total <= SHORT) {
        return Ok(false);
    }
    owned::room(desk, ctx).await?;
    let message = format!("Waiting to take duplicates out of {playlist}.");
    let document = Document::new(Work { arguments, playlist, account: account.id, key, edit: None });
    let job = NewJob {
        id,
        kind: JobKind::PlaylistDedupe.as_str(),
        user: acting_for(ctx)?,
        begun_by: ctx.principal(),
        accounts: [Some(account.id), None],
        document: &document.write()?,
        parts: &[],
        total: total.map(u64::from),
        message: Some(&message),
    };
    match jobs::create(desk.vault(), ctx, &job).await {
        Ok(()) => Ok(true),
        // An equal call may have been faster.
        Err(_) if keyed && find(desk, ctx, id, &document.work.arguments).await? => Ok(true),
        Err(error) => Err(store_failure(&error)),
    }
}

/// Whether the job of a key is there. One that failed goes on.
async fn find(
    desk: &Desk,
    ctx: &TenantContext,
    id: JobId,
    arguments: &DedupeArguments,
) -> Result<bool, PublicError> {
    let found = jobs::load(desk.vault(), ctx, id).await.map_err(|error| store_failure(&error))?;
    let Some(job) = found else { return Ok(false) };
    let mut document = Document::read(&job.document)?;
    if once::digest_of(&document.work.arguments)? != once::digest_of(arguments)? {
        return Err(once::mismatch());
    }
    if JobState::from(job.state) == JobState::Failed {
        document.failure = None;
        document.claims = job.claims;
        let again = jobs::decide(desk.vault(), ctx, id, job.revision, Some(&document.write()?), &[]).await;
        // Unless an equal call was faster, which is as good.
        again.map_err(|error| store_failure(&error))?;
    }
    Ok(true)
}

/// Works on a job until it is over or is given back. `refusal` is why it may not go on. Says why it failed, if it did.
pub(crate) async fn run(shift: &Shift<'_>, job: &Job, refusal: Option<PublicError>) -> Option<ErrorCode> {
    let mut document = match Document::read(&job.document) {
        Ok(document) => document,
        Err(error) => return shift.abandon(job, error).await,
    };
    let ended = match refusal {
        _ if document.work.edit.is_some() => done(&document),
        _ if job.cancel_requested => Err(Halt::Cancelled),
        Some(refusal) => Err(refusal.into()),
        None => Box::pin(advance(shift, job, &mut document)).await,
    };
    let cancelled = "Cancelled. playlist_versions shows what was taken out by then, if anything.".to_owned();
    shift.conclude(job, &mut document, ended, cancelled).await
}

async fn advance(shift: &Shift<'_>, job: &Job, document: &mut Document) -> Result<(Rest, String), Halt> {
    let &Shift { desk, ctx, origin, .. } = shift;
    let Work { arguments, playlist, account, key, .. } = &document.work;
    let message = format!("Taking duplicates out of {playlist}.");
    shift.step(document, &[], Stand { done: 0, total: job.total, message }).await?;
    let provider = playlist.provider();
    let account = desk.account(ctx, origin, Some(provider), Some(&account.to_string())).await?;
    let terms = Terms {
        expected_version: arguments.expected_version.as_ref(),
        dry_run: false,
        // A worker that takes over goes on as a call does that is repeated.
        idempotency_key: Some(key),
    };
    let change = Change {
        tool: ToolName::PlaylistDedupe,
        account,
        playlist: playlist.clone(),
        wish: arguments.wish(),
        terms,
        arguments,
        named_account: arguments.account.as_deref(),
    };
    let edit =
        match Box::pin(editing::edit(desk, ctx, origin, change)).await.map_err(|error| naming(key, error))? {
            Told::Now(output, _) => serde_json::to_value(output).map_err(|error| internal(&error))?,
            Told::Then(answer) => serde_json::from_str(answer.get()).map_err(|error| internal(&error))?,
        };
    let Value::Object(edit) = edit else { return Err(PublicError::internal().into()) };
    document.work.edit = Some(edit);
    let (rest, message) = done(document)?;
    let total = job.total.unwrap_or_default();
    match shift.step(document, &[], Stand { done: total, total: job.total, message: message.clone() }).await {
        // It is done by now, whoever has asked it to end.
        Ok(()) | Err(Halt::Cancelled | Halt::Stopped) => Ok((rest, message)),
        Err(halt) => Err(halt),
    }
}

/// An agent that gave no key does not know of the job's, with which it can have the rest done.
fn naming(key: &str, error: PublicError) -> PublicError {
    match &error.hint {
        Some(hint) if error.code == ErrorCode::PartlyDone => {
            let hint = format!("{hint} The key of this call is {key}.");
            error.hint(hint)
        }
        _ => error,
    }
}

fn done(document: &Document) -> Result<(Rest, String), Halt> {
    let edit = document.work.edit.as_ref().ok_or_else(PublicError::internal)?;
    let count = |member: &str| edit.get(member).and_then(Value::as_u64).unwrap_or_default();
    let (removed, before) = (count("removed"), count("count_before"));
    Ok((Rest::Done, format!("{removed} of {before} entries were duplicates and are taken out.")))
}

/// What was taken out, if the job has done it.
pub(crate) fn edit(job: &Job) -> Result<Option<Map<String, Value>>, PublicError> {
    Ok(Document::read(&job.document)?.work.edit)
}

/// What `playlist_dedupe` answers of a job.
pub(crate) fn answer(job: &Job) -> Result<DedupeOutput, PublicError> {
    let edit = edit(job)?;
    let unfinished = edit.is_none().then(|| Unfinished {
        job: job.id.to_string(),
        state: job.state.into(),
        message: job.message.clone(),
    });
    Ok(DedupeOutput { edit, job: unfinished })
}
