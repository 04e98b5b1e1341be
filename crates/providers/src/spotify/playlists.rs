//! Spotify's playlists: own ones, one with its items, new ones. Only `/playlists/{id}/items` and `/me/playlists` are
//! used, which both modes have. Reading a whole one is `contents`'s, changing one `edits`'s.

use serde_json::json;
use stagedoor_domain::music::{Page, Playlist, PlaylistItem};
use stagedoor_domain::{EntityKind, ItemRef, Provider, TenantContext};

use super::Spotify;
use super::request::{KINDS, MODIFY_PRIVATE, MODIFY_PUBLIC, READ_PLAYLISTS, get, missing, offset, post};
use super::wire::{Paging, PlaylistItemObject, PlaylistObject, playlist_item};
use crate::call::Call;
use crate::error::{ForbiddenReason, MalformedAnswer, ProviderError};
use crate::provider::id_of;
use crate::types::{Access, NewPlaylist};

/// What is asked of a playlist when its items come from elsewhere.
const WITHOUT_ITEMS: &str =
    "id,name,description,owner(id,display_name),public,snapshot_id,external_urls,items(total)";

pub(super) async fn list(
    spotify: &Spotify,
    ctx: &TenantContext,
    access: &Access<'_>,
    limit: u32,
    page: Option<&str>,
) -> Result<Page<Playlist>, ProviderError> {
    let offset = offset(page)?;
    let (limit, offset_text) = (limit.clamp(1, 50).to_string(), offset.to_string());
    let query = [("limit", limit.as_str()), ("offset", &offset_text)];
    let call = Call { scopes: READ_PLAYLISTS, ..get(access, "playlists", &["me", "playlists"], &query) };
    let answer: Paging<PlaylistObject> = spotify.http.json(ctx, &call).await?;
    Ok(answer.into_page(offset, PlaylistObject::into_playlist))
}

/// The first page usually comes with the playlist; later pages cost two requests, sent side by side.
pub(super) async fn read(
    spotify: &Spotify,
    ctx: &TenantContext,
    access: &Access<'_>,
    item: &ItemRef,
    limit: u32,
    page: Option<&str>,
) -> Result<(Playlist, Page<PlaylistItem>), ProviderError> {
    let id = id_of(Provider::Spotify, item, EntityKind::Playlist)?;
    let (limit, offset) = (limit.clamp(1, 50), offset(page)?);
    if offset > 0 {
        return tokio::try_join!(
            head(spotify, ctx, access, id),
            items(spotify, ctx, access, id, limit, offset)
        );
    }
    let call = playlist_call(get(access, "playlist", &["playlists", id], &[KINDS]));
    let mut answer: PlaylistObject = spotify.http.json(ctx, &call).await?;
    let first = match answer.take_items(limit) {
        Some(first) => first,
        None => items(spotify, ctx, access, id, limit, 0).await?,
    };
    Ok((answer.into_playlist().ok_or_else(|| missing("the playlist's id or name"))?, first))
}

pub(super) async fn create(
    spotify: &Spotify,
    ctx: &TenantContext,
    access: &Access<'_>,
    playlist: &NewPlaylist<'_>,
) -> Result<Playlist, ProviderError> {
    let mut body = json!({ "name": playlist.name, "public": playlist.public });
    if let Some(description) = playlist.description {
        body["description"] = description.into();
    }
    let scopes = if playlist.public { MODIFY_PUBLIC } else { MODIFY_PRIVATE };
    let call = post(access, "create playlist", &["me", "playlists"], &body, scopes);
    let answer: PlaylistObject = spotify.http.json(ctx, &call).await?;
    answer.into_playlist().ok_or(ProviderError::InvalidAnswer {
        provider: Provider::Spotify,
        uncertain: true,
        cause: MalformedAnswer::Missing("the new playlist's id or name"),
    })
}

/// The playlist, and the items that came with it from the first on, if any did. Without a market, because a person's
/// playlist holds what it holds wherever the person is.
pub(super) async fn whole(
    spotify: &Spotify,
    ctx: &TenantContext,
    access: &Access<'_>,
    id: &str,
) -> Result<(Playlist, Option<Vec<PlaylistItem>>), ProviderError> {
    let call = playlist_call(get(access, "playlist", &["playlists", id], &[KINDS]));
    let mut answer: PlaylistObject = spotify.http.json(ctx, &call).await?;
    let first = answer.take_items(u32::MAX).map(|page| page.items);
    Ok((answer.into_playlist().ok_or_else(|| missing("the playlist's id or name"))?, first))
}

/// The playlist without its items.
pub(super) async fn head(
    spotify: &Spotify,
    ctx: &TenantContext,
    access: &Access<'_>,
    id: &str,
) -> Result<Playlist, ProviderError> {
    let call = playlist_call(get(access, "playlist", &["playlists", id], &[("fields", WITHOUT_ITEMS)]));
    let answer: PlaylistObject = spotify.http.json(ctx, &call).await?;
    answer.into_playlist().ok_or_else(|| missing("the playlist's id or name"))
}

/// A page of its items.
pub(super) async fn items(
    spotify: &Spotify,
    ctx: &TenantContext,
    access: &Access<'_>,
    id: &str,
    limit: u32,
    offset: u32,
) -> Result<Page<PlaylistItem>, ProviderError> {
    let (limit, offset_text) = (limit.to_string(), offset.to_string());
    let query = [("limit", limit.as_str()), ("offset", &offset_text), KINDS];
    let call = playlist_call(get(access, "playlist items", &["playlists", id, "items"], &query));
    let answer: Paging<PlaylistItemObject> = spotify.http.json(ctx, &call).await?;
    let (next, total) = (answer.next_offset(offset).map(|next| next.to_string()), answer.total());
    let items = answer.items.into_iter().zip(offset..).map(|(item, position)| playlist_item(item, position));
    Ok(Page { items: items.collect(), next, total })
}

/// Since February 2026 a bare 403 on a playlist means that it is someone else's.
pub(super) fn playlist_call(call: Call<'_>) -> Call<'_> {
    let scopes = if call.scopes.is_empty() { READ_PLAYLISTS } else { call.scopes };
    Call { scopes, forbidden: ForbiddenReason::Ownership, ..call }
}
