//! The undo of a deletion: where a service keeps the playlist, it is followed again, and nothing else is changed.

use std::sync::atomic::{AtomicBool, Ordering};

use stagedoor_cache::DataScope;
use stagedoor_domain::{EntityKind, ErrorCode, ItemRef, Provider, PublicError, TenantContext, ToolName};
use stagedoor_storage::playlist_versions::{Cause, Version};

use super::edits::UndoArguments;
use super::expected;
use super::history::DELETED;
use super::memory::{self, Depth, Subject};
use super::once::{self, Beginning, Note, Once};
use super::output::{Changes, EditOutput};
use super::writing::{self, Unwritten};
use crate::desk::Desk;
use crate::origin::Origin;
use crate::reuse::{Answer, Produced};

/// Whether and how a deleted playlist comes back.
pub(super) fn how(playlist: &ItemRef, version: u32) -> String {
    match playlist.provider() {
        Provider::Spotify => {
            "playlist_undo brings it back: Spotify keeps it, and it is followed again.".to_owned()
        }
        Provider::Tidal => format!(
            "Tidal keeps nothing of it. To build a new one: playlist_diff from 0 to {version} lists what it held, then \
             playlist_create and playlist_add."
        ),
    }
}

/// Brings a playlist back if its deletion is the last that happened to it; `None` if it is not.
pub(super) async fn undo(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    arguments: &UndoArguments,
) -> Result<Option<Answer>, PublicError> {
    let field = ("ref", arguments.reference.as_str(), EntityKind::Playlist);
    let (playlist, account) = desk.item_and_account(ctx, origin, field, arguments.account.as_deref()).await?;
    let of = Subject { account: &account, playlist: &playlist };
    let Some(newest) = memory::newest(desk, ctx, of).await?.filter(|newest| newest.cause == DELETED) else {
        return Ok(None);
    };
    let turn = desk.turns.take(ctx, &playlist).await;
    let dry_run = arguments.dry_run.unwrap_or(false);
    let key = arguments.idempotency_key.as_deref().filter(|_| !dry_run);
    let (once, note) =
        match once::begin(desk, ctx, &account, (ToolName::PlaylistUndo, key), arguments).await? {
            Beginning::Answered(answer) => return once::again(desk, origin, &answer).map(Some),
            Beginning::New(once) => (once, None),
            Beginning::CutOff(once, note) => (once, Some(note)),
        };
    let planned = plan(desk, ctx, origin, of, (newest.number, arguments)).await;
    let version = match (planned, &note) {
        (Ok(version), _) => version,
        (Err(error), Some(note)) => {
            once.leave(desk, ctx, note).await;
            return Err(error);
        }
        (Err(error), None) => {
            once.release(desk, ctx).await;
            return Err(error);
        }
    };
    let output = EditOutput {
        reference: playlist.clone(),
        dry_run,
        version: Some(version.summary.number),
        provider_version: version.summary.provider_version.clone(),
        restored: Some(version.summary.number),
        count_before: version.summary.entries,
        count: version.summary.entries,
        changes: Changes::default(),
        skipped: Vec::new(),
    };
    if dry_run {
        return desk.fresh(&output).map(Some);
    }
    let first = Note::first(newest.number, desk.clock.now(), ctx.call());
    let note = note.unwrap_or(Note { restores: Some(newest.number), ..first });
    let done = bring_back(desk, ctx, origin, of, (once, note), (version, output)).await;
    drop(turn);
    done.map(Some)
}

/// The version that it comes back as, if it does.
async fn plan(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    of: Subject<'_>,
    (deleted, arguments): (u32, &UndoArguments),
) -> Result<Version, PublicError> {
    if of.playlist.provider() == Provider::Tidal {
        let message = "The playlist was deleted, and at Tidal that is for good.";
        return Err(PublicError::new(ErrorCode::ItemNotFound, message).hint(how(of.playlist, deleted)));
    }
    if arguments.to_version.is_some() {
        let message = "The playlist is deleted; nothing of it was restored.";
        return Err(PublicError::new(ErrorCode::Conflict, message)
            .hint("Call playlist_undo without `to_version` to bring it back, then once more with it."));
    }
    let seen = memory::look(desk, ctx, origin, of, Depth::Names).await?;
    if let Some(expected) = &arguments.expected_version {
        expected::check(desk, ctx, of, expected, &seen).await?;
    }
    let version = memory::load(desk, ctx, of, seen.number).await?;
    version.ok_or_else(|| PublicError::new(ErrorCode::VersionUnknown, "What it held is not stored any more."))
}

async fn bring_back(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    of: Subject<'_>,
    (once, note): (Once, Note),
    (version, output): (Version, EditOutput),
) -> Produced {
    once.writing(desk, ctx, &Note { uncertain: true, ..note.clone() }).await?;
    let uncertain = AtomicBool::new(false);
    let (key, items) = (&once.key, std::slice::from_ref(of.playlist));
    let followed = desk
        .write_doubted(
            ctx,
            origin,
            (of.account, DataScope::Playlists),
            &uncertain,
            |music, access| async move { music.library_save(ctx, &access.borrow(), items, key).await },
        )
        .await;
    if let Err(error) = followed {
        let failure = Unwritten { error, uncertain: uncertain.load(Ordering::Relaxed), so_far: None };
        once.failed(desk, ctx, note, &failure).await;
        return Err(failure.error);
    }
    let cause = Cause::Undo { to: version.summary.number };
    let what = (version.summary.provider_version.as_deref(), cause);
    let stored = memory::store(desk, ctx, of, what, (&version.head, &version.entries)).await;
    let number = writing::kept(origin, stored.map(|summary| summary.number));
    let output = EditOutput { version: number, ..output };
    once.finish(desk, ctx, &output).await;
    desk.fresh(&output)
}
