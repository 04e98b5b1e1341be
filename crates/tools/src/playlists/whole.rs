//! `playlist_create` and `playlist_delete`: a playlist as a whole comes and goes.

use std::sync::atomic::{AtomicBool, Ordering};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use stagedoor_cache::{DataScope, PlaylistSlot};
use stagedoor_domain::music::Playlist;
use stagedoor_domain::{EntityKind, ErrorCode, ItemRef, Provider, PublicError, TenantContext, ToolName};
use stagedoor_providers::NewPlaylist;
use stagedoor_storage::playlist_versions::{Cause, Head};

use super::edits::described;
use super::expected::{self, Expected};
use super::history::DELETED;
use super::memory::{self, Depth, Seen, Subject};
use super::once::{self, Beginning, Note, Once, Resumption, Standing, resumption};
use super::revival;
use super::route::number;
use super::writing::{self, Unwritten};
use crate::accounts::Account;
use crate::arguments::visible;
use crate::desk::{Desk, internal};
use crate::origin::Origin;
use crate::reuse::Produced;

/// The playlist to make.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateArguments {
    /// At most 100 characters.
    name: String,
    /// At most 300 characters.
    description: Option<String>,
    /// False if left out; at Tidal, false is unlisted.
    public: Option<bool>,
    provider: Option<Provider>,
    account: Option<String>,
    idempotency_key: Option<String>,
}

/// The playlist to delete.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeleteArguments {
    #[serde(rename = "ref")]
    reference: String,
    account: Option<String>,
    expected_version: Option<Expected>,
    dry_run: Option<bool>,
    idempotency_key: Option<String>,
}

/// The playlist that was made.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct CreateOutput {
    playlist: Playlist,
    /// The number of its first stored version.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u32>,
}

/// The playlist that was deleted, or would be.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct DeleteOutput {
    #[serde(rename = "ref")]
    reference: ItemRef,
    name: String,
    /// How many entries it had.
    count: u32,
    /// The number of the stored version that holds them.
    version: u32,
    deleted: bool,
    /// Whether nothing was sent, because only the effect was asked for.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dry_run: bool,
    /// Whether and how it comes back.
    next: String,
}

/// What came of making a playlist.
enum Made {
    /// It was made.
    Now(Box<CreateOutput>),
    /// It had been made under the key, and this was told of it then.
    Then(Box<RawValue>),
}

pub(crate) async fn create(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    arguments: CreateArguments,
) -> Produced {
    match make(desk, ctx, origin, arguments).await? {
        Made::Now(output) => desk.fresh(&*output),
        Made::Then(answer) => once::again(desk, origin, &answer),
    }
}

/// Makes an empty playlist for another use-case, once for the key.
pub(crate) async fn create_once(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    account: &Account,
    (name, key): (&str, &str),
) -> Result<ItemRef, PublicError> {
    #[derive(Deserialize)]
    struct Told {
        playlist: Reference,
    }
    #[derive(Deserialize)]
    struct Reference {
        #[serde(rename = "ref")]
        reference: ItemRef,
    }
    let arguments = CreateArguments {
        name: name.to_owned(),
        description: None,
        public: None,
        provider: Some(account.provider),
        account: Some(account.id.to_string()),
        idempotency_key: Some(key.to_owned()),
    };
    match make(desk, ctx, origin, arguments).await? {
        Made::Now(output) => Ok(output.playlist.reference),
        Made::Then(answer) => {
            let told: Told = serde_json::from_str(answer.get()).map_err(|error| internal(&error))?;
            Ok(told.playlist.reference)
        }
    }
}

async fn make(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    arguments: CreateArguments,
) -> Result<Made, PublicError> {
    let name = &*visible("name", &arguments.name, 100)?;
    let description = arguments.description.as_deref().map(described).transpose()?;
    let description = description.as_deref().filter(|description| !description.is_empty());
    let account = desk.account(ctx, origin, arguments.provider, arguments.account.as_deref()).await?;
    let playlist = NewPlaylist { name, description, public: arguments.public.unwrap_or(false) };
    let key = (ToolName::PlaylistCreate, arguments.idempotency_key.as_deref());
    let (once, note) = match once::begin(desk, ctx, &account, key, &arguments).await? {
        Beginning::Answered(answer) => return Ok(Made::Then(answer)),
        Beginning::New(once) => (once, first_note(desk, ctx, 0)),
        Beginning::CutOff(once, note) => {
            let (provider, now) = (account.provider, desk.clock.now());
            let standing =
                Standing { provider, now, done: false, as_left: true, on_the_way: false, repeatable: false };
            if resumption(&note, standing) == Resumption::Unknown {
                once.leave(desk, ctx, &note).await;
                return Err(once::unknown(provider)
                    .hint("playlists_list shows whether it was made; if not, call again with another idempotency_key."));
            }
            (once, note)
        }
    };
    once.writing(desk, ctx, &Note { uncertain: true, ..note.clone() }).await?;
    let cause = Cause::After(ToolName::PlaylistCreate);
    match writing::create(desk, ctx, origin, (&account, &playlist), (&once.key, cause)).await {
        Ok((playlist, version)) => {
            let output = CreateOutput { playlist, version };
            once.finish(desk, ctx, &output).await;
            Ok(Made::Now(Box::new(output)))
        }
        Err(failure) => {
            once.failed(desk, ctx, note, &failure).await;
            Err(failure.error)
        }
    }
}

pub(crate) async fn delete(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    arguments: DeleteArguments,
) -> Produced {
    let field = ("ref", arguments.reference.as_str(), EntityKind::Playlist);
    let (playlist, account) = desk.item_and_account(ctx, origin, field, arguments.account.as_deref()).await?;
    let of = Subject { account: &account, playlist: &playlist };
    let dry_run = arguments.dry_run.unwrap_or(false);
    let key = (ToolName::PlaylistDelete, arguments.idempotency_key.as_deref().filter(|_| !dry_run));
    let _turn = desk.turns.take(ctx, &playlist).await;
    let (once, earlier) = match once::begin(desk, ctx, &account, key, &arguments).await? {
        Beginning::Answered(answer) => return once::again(desk, origin, &answer),
        Beginning::New(once) => (once, None),
        Beginning::CutOff(once, note) => (once, Some(note)),
    };
    let expected = arguments.expected_version.as_ref();
    let seen = match (&earlier, look(desk, ctx, origin, of, expected).await) {
        (_, Ok(seen)) => seen,
        (Some(note), Err(error)) if error.code == ErrorCode::ItemNotFound => {
            return gone(desk, ctx, origin, of, (once, note)).await;
        }
        (Some(note), Err(error)) => {
            once.leave(desk, ctx, note).await;
            return Err(error);
        }
        (None, Err(error)) => {
            once.release(desk, ctx).await;
            return Err(error);
        }
    };
    let output = DeleteOutput {
        reference: playlist.clone(),
        name: seen.playlist.name.clone(),
        count: number(seen.entries.len()),
        version: seen.number,
        deleted: !dry_run,
        dry_run,
        next: revival::how(&playlist, seen.number),
    };
    if dry_run {
        return desk.fresh(&output);
    }
    let note = earlier.unwrap_or_else(|| first_note(desk, ctx, seen.number));
    once.writing(desk, ctx, &Note { uncertain: true, ..note.clone() }).await?;
    match send(desk, ctx, origin, of, &once.key).await {
        Ok(()) => {
            let version = (seen.playlist.version.as_deref(), &seen.head, &*seen.names());
            let output = deleted(desk, ctx, origin, of, version, output).await;
            once.finish(desk, ctx, &output).await;
            desk.fresh(&output)
        }
        Err(failure) => {
            once.failed(desk, ctx, note, &failure).await;
            Err(failure.error)
        }
    }
}

/// Stores that it was deleted, which is what an undo goes by.
async fn deleted(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    of: Subject<'_>,
    (provider_version, head, entries): (Option<&str>, &Head, &[Box<str>]),
    output: DeleteOutput,
) -> DeleteOutput {
    let stored = memory::store(desk, ctx, of, (provider_version, DELETED), (head, entries)).await;
    match writing::kept(origin, stored.map(|summary| summary.number)) {
        Some(version) => DeleteOutput { version, next: revival::how(of.playlist, version), ..output },
        None => output,
    }
}

/// What it holds is stored before it goes.
async fn look(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    of: Subject<'_>,
    expected: Option<&Expected>,
) -> Result<Seen, PublicError> {
    let seen = memory::look(desk, ctx, origin, of, Depth::Names).await?;
    if let Some(expected) = expected {
        expected::check(desk, ctx, of, expected, &seen).await?;
    }
    Ok(seen)
}

async fn send(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    of: Subject<'_>,
    key: &str,
) -> Result<(), Unwritten> {
    let uncertain = AtomicBool::new(false);
    let scope = DataScope::Playlist(PlaylistSlot::of(of.playlist.id()));
    let sent = desk.write_doubted(ctx, origin, (of.account, scope), &uncertain, |music, access| async move {
        music.delete_playlist(ctx, &access.borrow(), of.playlist, key).await
    });
    sent.await.map_err(|error| Unwritten {
        error,
        uncertain: uncertain.load(Ordering::Relaxed),
        so_far: None,
    })
}

/// The first call was cut off, and the playlist is not there any more: that was it.
async fn gone(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    of: Subject<'_>,
    (once, note): (Once, &Note),
) -> Produced {
    let Some(last) = memory::load(desk, ctx, of, note.before).await? else {
        once.leave(desk, ctx, note).await;
        return Err(once::unknown(of.playlist.provider()));
    };
    let output = DeleteOutput {
        reference: of.playlist.clone(),
        name: last.head.name.clone(),
        count: last.summary.entries,
        version: note.before,
        deleted: true,
        dry_run: false,
        next: revival::how(of.playlist, note.before),
    };
    let version = (last.summary.provider_version.as_deref(), &last.head, &*last.entries);
    let output = deleted(desk, ctx, origin, of, version, output).await;
    once.finish(desk, ctx, &output).await;
    desk.fresh(&output)
}

fn first_note(desk: &Desk, ctx: &TenantContext, before: u32) -> Note {
    Note::first(before, desk.clock.now(), ctx.call())
}
