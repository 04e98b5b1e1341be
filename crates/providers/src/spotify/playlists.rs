//! Spotify's playlists: own ones, one with its items, new ones, adding. Only `/playlists/{id}/items` and
//! `/me/playlists` are used, which both modes have.

use serde_json::json;
use stagedoor_domain::music::{Page, Playlist, PlaylistItem};
use stagedoor_domain::{EntityKind, ItemRef, Provider, TenantContext};

use super::Spotify;
use super::request::{
    MODIFY_ANY, MODIFY_PRIVATE, MODIFY_PUBLIC, READ_PLAYLISTS, get, market, missing, offset, post,
};
use super::wire::{Paging, PlaylistItemObject, PlaylistObject, Snapshot, playlist_item};
use crate::call::Call;
use crate::error::{ForbiddenReason, MalformedAnswer, ProviderError};
use crate::provider::{id_of, partly, track_ids};
use crate::text;
use crate::types::{Access, Added, NewPlaylist};

/// Most items that one request adds.
const BATCH: usize = 100;
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
    let query: Vec<_> = market(access).into_iter().collect();
    let call = playlist_call(get(access, "playlist", &["playlists", id], &query));
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

pub(super) async fn add(
    spotify: &Spotify,
    ctx: &TenantContext,
    access: &Access<'_>,
    playlist: &ItemRef,
    items: &[ItemRef],
    position: Option<u32>,
) -> Result<Added, ProviderError> {
    let id = id_of(Provider::Spotify, playlist, EntityKind::Playlist)?;
    track_ids(Provider::Spotify, items)?;
    let mut done = Added::default();
    for batch in items.chunks(BATCH) {
        let start = done.added.len();
        let mut body = json!({ "uris": batch });
        if let Some(position) = position {
            body["position"] = (u64::from(position) + start as u64).into();
        }
        let call =
            playlist_call(post(access, "add to playlist", &["playlists", id, "items"], &body, MODIFY_ANY));
        match spotify.http.json::<Snapshot>(ctx, &call).await {
            Ok(answer) => {
                done.version = text::word(&answer.snapshot_id);
                done.added.extend_from_slice(batch);
            }
            Err(cause) => return Err(partly(Provider::Spotify, done, start, cause)),
        }
    }
    Ok(done)
}

async fn head(
    spotify: &Spotify,
    ctx: &TenantContext,
    access: &Access<'_>,
    id: &str,
) -> Result<Playlist, ProviderError> {
    let call = playlist_call(get(access, "playlist", &["playlists", id], &[("fields", WITHOUT_ITEMS)]));
    let answer: PlaylistObject = spotify.http.json(ctx, &call).await?;
    answer.into_playlist().ok_or_else(|| missing("the playlist's id or name"))
}

async fn items(
    spotify: &Spotify,
    ctx: &TenantContext,
    access: &Access<'_>,
    id: &str,
    limit: u32,
    offset: u32,
) -> Result<Page<PlaylistItem>, ProviderError> {
    let (limit, offset_text) = (limit.to_string(), offset.to_string());
    let mut query = vec![("limit", limit.as_str()), ("offset", &offset_text)];
    query.extend(market(access));
    let call = playlist_call(get(access, "playlist items", &["playlists", id, "items"], &query));
    let answer: Paging<PlaylistItemObject> = spotify.http.json(ctx, &call).await?;
    let (next, total) = (answer.next_offset(offset).map(|next| next.to_string()), answer.total());
    let items = answer.items.into_iter().zip(offset..).map(|(item, position)| playlist_item(item, position));
    Ok(Page { items: items.collect(), next, total })
}

/// Since February 2026 a bare 403 on a playlist means that it is someone else's.
fn playlist_call(call: Call<'_>) -> Call<'_> {
    let scopes = if call.scopes.is_empty() { READ_PLAYLISTS } else { call.scopes };
    Call { scopes, forbidden: ForbiddenReason::Ownership, ..call }
}
