//! What a playlist was seen to hold while it was read, stored beside the call that read it.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use stagedoor_domain::error::Chain;
use stagedoor_domain::music::{Playlist, PlaylistItem};
use stagedoor_domain::{CallId, LinkedAccountId, TenantContext, UserId};
use stagedoor_storage::playlist_versions::{self, Cause, Head, NewVersion};
use stagedoor_storage::{KeyVault, StoreError};

use super::heads;
use super::memory::{Subject, newest, unchanged};
use super::route::Names;
use crate::desk::Desk;

/// What was seen; owned, because the call ends before it is stored.
struct Sight {
    vault: Arc<KeyVault>,
    ctx: TenantContext,
    account: LinkedAccountId,
    user: UserId,
    call: CallId,
    playlist: Playlist,
    head: Head,
    entries: Names,
    /// When reading began.
    since: DateTime<Utc>,
}

/// Stores a playlist that was read whole, from `since` on, unless there is enough to do.
pub(super) fn whole(
    desk: &Desk,
    ctx: &TenantContext,
    of: Subject<'_>,
    (playlist, items): (&Playlist, &[PlaylistItem]),
    since: DateTime<Utc>,
) {
    if desk.beside.is_busy() {
        return;
    }
    let sight = Sight {
        vault: Arc::clone(desk.vault()),
        ctx: ctx.clone(),
        account: of.account.id,
        user: of.account.user,
        call: ctx.call(),
        playlist: playlist.clone(),
        head: heads::of(playlist),
        entries: items.iter().map(|item| item.name().unwrap_or_default().into()).collect(),
        since,
    };
    let work = async move {
        if let Err(error) = sight.store().await {
            tracing::warn!(error = %Chain(&error), "a playlist that was read could not be remembered");
        }
    };
    (desk.spawn())("remembering a playlist", Box::pin(work));
}

/// Whether a part of a playlist was read whose stored versions do not know what it holds now.
pub(super) async fn outdated(desk: &Desk, ctx: &TenantContext, of: Subject<'_>, playlist: &Playlist) -> bool {
    match newest(desk, ctx, of).await {
        Ok(Some(newest)) => !unchanged(playlist, &newest),
        Ok(None) | Err(_) => false,
    }
}

impl Sight {
    async fn store(&self) -> Result<(), StoreError> {
        let Self { vault, ctx, account, playlist, .. } = self;
        let newest = playlist_versions::newest(vault, ctx, *account, &playlist.reference).await?;
        // What was stored while this was read is newer, or may be.
        if newest.as_ref().is_some_and(|newest| newest.recorded_at > self.since) {
            return Ok(());
        }
        let new = NewVersion {
            account: *account,
            user: self.user,
            playlist: &playlist.reference,
            provider_version: playlist.version.as_deref(),
            cause: if newest.is_some() { Cause::Elsewhere } else { Cause::Before },
            call: Some(self.call),
            head: &self.head,
            entries: &self.entries,
        };
        playlist_versions::append(vault, ctx, new).await.map(drop)
    }
}
