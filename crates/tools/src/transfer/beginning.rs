//! `playlist_transfer`: begins a transfer as a job, or goes on with one, and waits for it as long as a call may.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stagedoor_domain::{
    EntityKind, ItemRef, JobId, PolicyGate, Provider, PublicError, TenantContext, ToolName,
};
use stagedoor_storage::idempotency::{self, Begun, Claim, Request};
use stagedoor_storage::jobs::{self, NewJob};

use super::deciding::{self, Decision};
use super::document::{Document, Plan, Transfer};
use crate::accounts::Account;
use crate::arguments::{invalid, item_at, visible};
use crate::desk::{Desk, acting_for, internal};
use crate::dispatch::{Interaction, Outcome};
use crate::gates;
use crate::jobs::{CancelUnlessTold, JobKind, answer_within_call, owned};
use crate::origin::Origin;
use crate::playlists::once;
use crate::records::store_failure;

/// What to bring where, or which transfer to go on with.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TransferArguments {
    /// The playlist to read. Not with `job`.
    #[serde(rename = "ref")]
    reference: Option<String>,
    /// The account to read through.
    account: Option<String>,
    to_provider: Option<Provider>,
    /// The account to write through.
    to_account: Option<String>,
    /// Of the playlist that is made; the source's if left out.
    name: Option<String>,
    /// An existing playlist to add to.
    target: Option<String>,
    /// Leave out what `target` has already.
    skip_duplicates: Option<bool>,
    /// Only find, write nothing.
    dry_run: Option<bool>,
    idempotency_key: Option<String>,
    /// A transfer to go on with.
    job: Option<String>,
    decisions: Option<Vec<Decision>>,
    /// Take the best candidate of what is ambiguous.
    accept_best: Option<bool>,
    /// Leave out what is ambiguous.
    skip_rest: Option<bool>,
}

impl TransferArguments {
    /// Whether they say what a new transfer is to do.
    pub(super) fn begins(&self) -> bool {
        let named = [&self.reference, &self.account, &self.to_account, &self.name, &self.target];
        named.into_iter().any(Option::is_some)
            || self.idempotency_key.is_some()
            || self.to_provider.is_some()
            || self.skip_duplicates.is_some()
            || self.dry_run.is_some()
    }

    /// Whether they decide anything.
    pub(super) fn decides(&self) -> bool {
        let (accept_best, skip_rest) = self.for_the_rest();
        self.decisions.is_some() || accept_best || skip_rest
    }

    /// What each of the tracks is to be decided.
    pub(super) fn decisions(&self) -> &[Decision] {
        self.decisions.as_deref().unwrap_or_default()
    }

    /// Whether the best candidate is taken of what is not decided one by one, and whether that is left out.
    pub(super) fn for_the_rest(&self) -> (bool, bool) {
        (self.accept_best.unwrap_or(false), self.skip_rest.unwrap_or(false))
    }
}

/// Which job a call is about.
enum Begin {
    /// It was made for the call. Whoever has no key does not find it again, and leaves it cancelled.
    New(JobId, Option<CancelUnlessTold>),
    /// It was there before, or can be found again.
    Known(JobId),
}

/// Runs the tool.
pub(crate) async fn call(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    arguments: TransferArguments,
    interaction: &Interaction<'_>,
) -> Result<Outcome, PublicError> {
    let begun = match &arguments.job {
        Some(job) => Begin::Known(deciding::go_on(desk, ctx, origin, owned::id(job)?, &arguments).await?),
        None => begin(desk, ctx, origin, &arguments).await?,
    };
    desk.jobs().begun();
    let (id, leaving) = match begun {
        Begin::New(id, leaving) => (id, leaving),
        Begin::Known(id) => (id, None),
    };
    origin.about(owned::resource(id));
    answer_within_call(desk, ctx, origin, (id, leaving), interaction).await
}

async fn begin(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    arguments: &TransferArguments,
) -> Result<Begin, PublicError> {
    if arguments.decisions.is_some() {
        return Err(invalid("`decisions` are for a transfer that waits: hand in its `job`."));
    }
    let (plan, source, target) = planned(desk, ctx, origin, arguments).await?;
    let id = JobId::generate(desk.clock.as_ref(), desk.entropy.as_ref());
    let Some(key) = &arguments.idempotency_key else {
        owned::room(desk, ctx).await?;
        // Made before the job is, which may be there already when the caller leaves or the store's answer is lost.
        let leaving = CancelUnlessTold::new(desk, ctx, id);
        create(desk, ctx, id, plan, (&source, &target)).await?;
        return Ok(Begin::New(id, Some(leaving)));
    };
    let request = Request {
        key: once::checked(key)?,
        tool: ToolName::PlaylistTransfer,
        digest: once::digest_of(arguments)?,
    };
    let begun = idempotency::begin(desk.vault(), ctx, target.id, &request).await;
    let claim = match begun.map_err(|error| store_failure(&error))? {
        Begun::First(claim) => claim,
        Begun::Replay(answer) => return replayed(&answer).map(Begin::Known),
        Begun::Mismatch => return Err(once::mismatch()),
        Begun::Underway => return Err(once::underway()),
        Begun::CutOff(cut_off) => {
            let resumed = idempotency::resume(desk.vault(), ctx, &cut_off).await;
            let claim = resumed.map_err(|error| store_failure(&error))?.ok_or_else(once::underway)?;
            // The job that was being made may be there.
            if let Some(noted) = cut_off.note.as_deref().map(replayed).transpose()?
                && jobs::load(desk.vault(), ctx, noted)
                    .await
                    .map_err(|error| store_failure(&error))?
                    .is_some()
            {
                finish(desk, ctx, &claim, noted).await;
                return Ok(Begin::Known(noted));
            }
            claim
        }
    };
    if let Err(full) = owned::room(desk, ctx).await {
        // Nothing was begun under this key.
        if let Err(error) = idempotency::release(desk.vault(), ctx, &claim).await {
            store_failure(&error);
        }
        return Err(full);
    }
    let noted = idempotency::note(desk.vault(), ctx, &claim, id.to_string().as_bytes()).await;
    if !noted.map_err(|error| store_failure(&error))? {
        return Err(once::underway());
    }
    match create(desk, ctx, id, plan, (&source, &target)).await {
        Ok(()) => {
            finish(desk, ctx, &claim, id).await;
            Ok(Begin::New(id, None))
        }
        Err(error) => {
            // The note stays: a repeat looks whether the job is there after all.
            if let Err(error) =
                idempotency::give_up(desk.vault(), ctx, &claim, id.to_string().as_bytes()).await
            {
                store_failure(&error);
            }
            Err(error)
        }
    }
}

/// What the arguments ask for, if it may be done.
async fn planned(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    arguments: &TransferArguments,
) -> Result<(Plan, Account, Account), PublicError> {
    let reference = arguments.reference.as_deref().ok_or_else(|| invalid("`ref` is missing."))?;
    let field = ("ref", reference, EntityKind::Playlist);
    let (playlist, source) = desk.item_and_account(ctx, origin, field, arguments.account.as_deref()).await?;
    let existing = match &arguments.target {
        Some(text) => Some(item_at("target", text, EntityKind::Playlist, arguments.to_provider)?),
        None => None,
    };
    let to = to_provider(arguments, existing.as_ref(), playlist.provider())?;
    for provider in [playlist.provider(), to.unwrap_or(playlist.provider())] {
        gates::check(ctx, provider, PolicyGate::Transfer)?;
    }
    let target = desk.account(ctx, origin, to, arguments.to_account.as_deref()).await?;
    gates::check(ctx, target.provider, PolicyGate::Transfer)?;
    if existing.as_ref() == Some(&playlist) {
        return Err(invalid("`target` is the playlist that is read."));
    }
    let name = arguments.name.as_deref().map(|name| visible("name", name, 100)).transpose()?;
    if name.is_some() && existing.is_some() {
        return Err(invalid("`name` is for a new playlist, but `target` names an existing one."));
    }
    let plan = Plan {
        source: playlist,
        source_account: source.id,
        to: target.provider,
        target_account: target.id,
        target: existing,
        name,
        skip_duplicates: arguments.skip_duplicates.unwrap_or(false),
        dry_run: arguments.dry_run.unwrap_or(false),
        accept_best: arguments.accept_best.unwrap_or(false),
        skip_rest: arguments.skip_rest.unwrap_or(false),
    };
    Ok((plan, source, target))
}

/// The service that a transfer goes to, as far as its arguments say: that of the target, else the one that is named.
fn to_provider(
    arguments: &TransferArguments,
    existing: Option<&ItemRef>,
    from: Provider,
) -> Result<Option<Provider>, PublicError> {
    if let Some(existing) = existing {
        return Ok(Some(existing.provider()));
    }
    match (arguments.to_provider, &arguments.to_account) {
        (Some(to), _) => Ok(Some(to)),
        (None, Some(_)) => Ok(None),
        (None, None) => Err(invalid(format!(
            "`to_provider` is missing: name the service that the playlist of {} is to be brought to.",
            from.title()
        ))),
    }
}

async fn create(
    desk: &Desk,
    ctx: &TenantContext,
    id: JobId,
    plan: Plan,
    (source, target): (&Account, &Account),
) -> Result<(), PublicError> {
    let message = format!("Waiting to read {}.", plan.source);
    let document = Document::new(Transfer::new(plan)).write()?;
    let other = (target.id != source.id).then_some(target.id);
    let job = NewJob {
        id,
        kind: JobKind::PlaylistTransfer.as_str(),
        user: acting_for(ctx)?,
        begun_by: ctx.principal(),
        accounts: [Some(source.id), other],
        document: &document,
        parts: &[],
        total: None,
        message: Some(&message),
    };
    jobs::create(desk.vault(), ctx, &job).await.map_err(|error| store_failure(&error))
}

async fn finish(desk: &Desk, ctx: &TenantContext, claim: &Claim, id: JobId) {
    // Without it, a repeat finds the job by the note.
    if let Err(error) = idempotency::finish(desk.vault(), ctx, claim, id.to_string().as_bytes()).await {
        store_failure(&error);
    }
}

fn replayed(bytes: &[u8]) -> Result<JobId, PublicError> {
    let text = std::str::from_utf8(bytes).map_err(|error| internal(&error))?;
    text.parse().map(JobId).map_err(|error: uuid::Error| internal(&error))
}
