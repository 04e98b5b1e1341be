//! What is known of a playlist and what it holds now: looking at it, from memory where nothing has changed, and storing
//! what was found.

use std::time::Duration;

use stagedoor_domain::error::Chain;
use stagedoor_domain::music::{Playlist, PlaylistItem};
use stagedoor_domain::{CallId, ItemRef, Provider, PublicError, TenantContext};
use stagedoor_providers::{Contents, Deadline, Entry};
use stagedoor_storage::StoreError;
use stagedoor_storage::playlist_versions::{self, Cause, Head, NewVersion, Summary, Version};

use super::heads;
use super::planning::MOST_ENTRIES;
use super::route::Names;
use crate::accounts::Account;
use crate::desk::{CallAccess, Desk};
use crate::origin::Origin;
use crate::records::store_failure;

/// How long one step may take that is many requests at the service: reading or rewriting a long playlist.
const PATIENCE: Duration = Duration::from_secs(30);

/// A playlist of an account.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) account: &'a Account,
    pub(crate) playlist: &'a ItemRef,
}

/// How much has to be known of a playlist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Which entries it has, in order.
    Names,
    /// How many there are, to add after the last. Which they are by the answers to what was written will do.
    End,
    /// Everything that the service tells of each entry.
    Items,
}

/// A playlist as it is now, which is stored as version `number`.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// Without its entries; `version` is the service's.
    pub(crate) playlist: Playlist,
    /// Every entry; with the service's ids only if the contents were read now.
    pub(crate) entries: Vec<Entry>,
    /// The number of the stored version that holds the same.
    pub(crate) number: u32,
    pub(super) head: Head,
    /// What the service tells of each entry, if the contents were read now.
    pub(super) items: Option<Vec<PlaylistItem>>,
}

impl Seen {
    /// The names of the entries.
    pub(crate) fn names(&self) -> Names {
        names(&self.entries)
    }

    pub(super) fn isrcs(&self) -> Option<Vec<Option<Box<str>>>> {
        let isrc = |item: &PlaylistItem| item.track.as_ref()?.isrc.as_deref().map(str::to_ascii_uppercase);
        Some(self.items.as_ref()?.iter().map(|item| isrc(item).map(Box::from)).collect())
    }
}

/// The names of entries.
pub(crate) fn names(entries: &[Entry]) -> Names {
    entries.iter().map(|entry| entry.name.clone()).collect()
}

impl CallAccess {
    /// The same with time for many requests.
    pub(crate) fn patient(self, desk: &Desk) -> Self {
        Self { deadline: Deadline::after(desk.clock.as_ref(), PATIENCE), ..self }
    }
}

/// A playlist as it is now. If nothing has changed since it was last seen and names will do, its contents come from
/// memory; else they are read, and stored if they are new.
pub(crate) async fn look(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    of: Subject<'_>,
    depth: Depth,
) -> Result<Seen, PublicError> {
    let newest = newest(desk, ctx, of).await?;
    if let (Depth::Names | Depth::End, Some(newest)) = (depth, &newest) {
        let head = read_head(desk, ctx, origin, of).await?;
        if (unchanged(&head, newest) || (depth == Depth::End && as_long(&head, newest)))
            && let Some(version) = load_intact(desk, ctx, of, newest.number).await?
        {
            return from_memory(desk, ctx, of, head, version).await;
        }
    }
    let (playlist, items) = read_contents(desk, ctx, origin, of).await?;
    let entries: Vec<Entry> = items.iter().map(Entry::from).collect();
    let cause = if newest.is_some() { Cause::Elsewhere } else { Cause::Before };
    let head = heads::of(&playlist);
    let stored = (playlist.version.as_deref(), cause);
    let number = store(desk, ctx, of, stored, (&head, &names(&entries))).await?.number;
    if let Some(newest) = newest.filter(|newest| newest.number < number && newest.provider_version.is_none())
    {
        origin.warn(format!(
            "The playlist holds something else than {} answered to the last change made here: see playlist_diff from \
             {} to {number}.",
            of.playlist.provider().title(),
            newest.number
        ));
    }
    Ok(Seen { playlist, entries, number, head, items: Some(items) })
}

/// All of a playlist, as it is now.
pub(super) async fn read_contents(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    of: Subject<'_>,
) -> Result<(Playlist, Vec<PlaylistItem>), PublicError> {
    let read = desk.personal(ctx, origin, of.account, |music, access| async move {
        let access = access.patient(desk);
        music.playlist_contents(ctx, &access.borrow(), of.playlist, MOST_ENTRIES).await
    });
    let Contents { playlist, items } = read.await?;
    Ok((playlist, items))
}

/// A playlist without its entries, as it is now.
pub(super) async fn read_head(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    of: Subject<'_>,
) -> Result<Playlist, PublicError> {
    let read = desk.personal(ctx, origin, of.account, |music, access| async move {
        music.playlist_head(ctx, &access.borrow(), of.playlist).await
    });
    read.await
}

/// What is told of the newest stored version.
pub(super) async fn newest(
    desk: &Desk,
    ctx: &TenantContext,
    of: Subject<'_>,
) -> Result<Option<Summary>, PublicError> {
    let newest = playlist_versions::newest(desk.vault(), ctx, of.account.id, of.playlist).await;
    newest.map_err(|error| store_failure(&error))
}

/// The stored version of that number, if there is one.
pub(super) async fn load(
    desk: &Desk,
    ctx: &TenantContext,
    of: Subject<'_>,
    number: u32,
) -> Result<Option<Version>, PublicError> {
    let loaded = playlist_versions::load(desk.vault(), ctx, of.account.id, of.playlist, number).await;
    loaded.map_err(|error| store_failure(&error))
}

/// The same, but a version that was damaged is not there: what the service shows is stored anew in its place.
async fn load_intact(
    desk: &Desk,
    ctx: &TenantContext,
    of: Subject<'_>,
    number: u32,
) -> Result<Option<Version>, PublicError> {
    match playlist_versions::load(desk.vault(), ctx, of.account.id, of.playlist, number).await {
        Err(error @ StoreError::Damaged { .. }) => {
            tracing::warn!(error = %Chain(&error), number, "a damaged version is read again from the service");
            Ok(None)
        }
        loaded => loaded.map_err(|error| store_failure(&error)),
    }
}

/// Stores what a playlist holds, unless the newest version holds the same.
pub(super) async fn store(
    desk: &Desk,
    ctx: &TenantContext,
    of: Subject<'_>,
    (provider_version, cause): (Option<&str>, Cause),
    (head, entries): (&Head, &[Box<str>]),
) -> Result<Summary, PublicError> {
    let new = NewVersion {
        account: of.account.id,
        user: of.account.user,
        playlist: of.playlist,
        provider_version,
        cause,
        call: Some(ctx.call()),
        head,
        entries,
    };
    playlist_versions::append(desk.vault(), ctx, new).await.map_err(|error| store_failure(&error))
}

/// Stores what a write led to that began from version `seen`; `None` if something else was stored meanwhile.
pub(super) async fn store_after(
    desk: &Desk,
    ctx: &TenantContext,
    of: Subject<'_>,
    (provider_version, cause): (Option<&str>, Cause),
    (head, entries): (&Head, &[Box<str>]),
    (call, seen): (CallId, u32),
) -> Result<Option<Summary>, PublicError> {
    let new = NewVersion {
        account: of.account.id,
        user: of.account.user,
        playlist: of.playlist,
        provider_version,
        cause,
        call: Some(call),
        head,
        entries,
    };
    let stored = playlist_versions::append_after(desk.vault(), ctx, new, seen).await;
    stored.map_err(|error| store_failure(&error))
}

/// Puts what a look has stored down to the call that was cut off and turned out to have led to it.
pub(super) async fn put_down(
    desk: &Desk,
    ctx: &TenantContext,
    of: Subject<'_>,
    seen: &Seen,
    (left_at, cause, call): (u32, Cause, CallId),
) -> Result<(), PublicError> {
    if seen.number == left_at {
        return Ok(());
    }
    let stored = (seen.playlist.version.as_deref(), cause);
    store_after(desk, ctx, of, stored, (&seen.head, &seen.names()), (call, left_at)).await.map(drop)
}

/// Whether a playlist's head says that it still holds what was stored. The count stands in where two changes fall into
/// one version of the service's, such as one second.
pub(super) fn unchanged(head: &Playlist, newest: &Summary) -> bool {
    head.version.is_some()
        && head.version == newest.provider_version
        && head.item_count.is_none_or(|count| count == newest.entries)
}

/// Whether a playlist is as long as by the answers to the last write, which nobody has looked at since.
fn as_long(head: &Playlist, newest: &Summary) -> bool {
    newest.provider_version.is_none() && head.item_count == Some(newest.entries)
}

/// The service tells a new name or description without a new version.
async fn from_memory(
    desk: &Desk,
    ctx: &TenantContext,
    of: Subject<'_>,
    playlist: Playlist,
    version: Version,
) -> Result<Seen, PublicError> {
    let head = heads::of(&playlist);
    let Version { summary, head: known, entries } = version;
    // How a service writes a description down is no change of it.
    let number = if heads::alike(&head, &known) {
        summary.number
    } else {
        let stored = (summary.provider_version.as_deref(), Cause::Elsewhere);
        store(desk, ctx, of, stored, (&head, &entries)).await?.number
    };
    let entries = entries.into_iter().map(Entry::new).collect();
    Ok(Seen { playlist, entries, number, head, items: None })
}

/// How much has to be known of a playlist at a service before it is edited: where entries have ids, edits name those.
pub(super) fn depth_to_edit(provider: Provider, appends: bool) -> Depth {
    match provider {
        Provider::Tidal if !appends => Depth::Items,
        _ => Depth::Names,
    }
}
