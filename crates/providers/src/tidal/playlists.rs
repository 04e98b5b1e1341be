//! Tidal's playlists: own ones, one with its items, new ones. What they hold is changed by `edits`.

use reqwest::Method;
use serde_json::json;
use stagedoor_domain::music::{Page, Playlist, PlaylistItem};
use stagedoor_domain::{EntityKind, ItemRef, Provider, TenantContext};

use super::Tidal;
use super::document::{Document, Identifier, Included, Links, Relationship, Resource};
use super::paging::Position;
use super::request::{READ_PLAYLISTS, check_key, get, missing, write};
use super::wire;
use crate::call::Call;
use crate::error::ProviderError;
use crate::provider::id_of;
use crate::types::{Access, NewPlaylist};

pub(super) async fn list(
    tidal: &Tidal,
    ctx: &TenantContext,
    access: &Access<'_>,
    limit: u32,
    page: Option<&str>,
) -> Result<Page<Playlist>, ProviderError> {
    let position = Position::parse(page)?;
    let mut query = vec![("filter[owners.id]", "me")];
    query.extend(position.parameter());
    let call = Call { scopes: READ_PLAYLISTS, ..get(access, "playlists", &["playlists"], &query) };
    let document: Document<Vec<Resource>> = tidal.http.json(ctx, &call).await?;
    let included = document.included();
    let slice = position.slice(&document.data, document.links.as_ref(), limit.clamp(1, 50));
    let items =
        slice.entries.iter().filter_map(|(_, resource)| wire::playlist(resource, &included)).collect();
    Ok(Page { items, next: slice.next.map(|next| next.to_token()), total: None })
}

/// The first page comes with the playlist; later pages cost two requests, sent side by side.
pub(super) async fn read(
    tidal: &Tidal,
    ctx: &TenantContext,
    access: &Access<'_>,
    item: &ItemRef,
    limit: u32,
    page: Option<&str>,
) -> Result<(Playlist, Page<PlaylistItem>), ProviderError> {
    let id = id_of(Provider::Tidal, item, EntityKind::Playlist)?;
    let (position, limit) = (Position::parse(page)?, limit.clamp(1, 50));
    if position.cursor.is_some() {
        let head = playlist(tidal, ctx, access, id, "ownerProfiles");
        let (head, items) = tokio::try_join!(head, items(tidal, ctx, access, id, &position))?;
        let page = item_page(&position, &items.data, items.links.as_ref(), limit, &items.included());
        let playlist = wire::playlist(&head.data, &head.included());
        return Ok((playlist.ok_or_else(|| missing("the playlist's name"))?, page));
    }
    let document = first_page(tidal, ctx, access, id).await?;
    let included = document.included();
    let items = document.data.relationship("items");
    let identifiers =
        items.and_then(Relationship::identifiers).ok_or_else(|| missing("the playlist's items"))?;
    let links = items.and_then(|items| items.links.as_ref());
    let mut page = item_page(&position, identifiers, links, limit, &included);
    let playlist = wire::playlist(&document.data, &included).ok_or_else(|| missing("the playlist's name"))?;
    page.total = playlist.item_count;
    Ok((playlist, page))
}

pub(super) async fn create(
    tidal: &Tidal,
    ctx: &TenantContext,
    access: &Access<'_>,
    playlist: &NewPlaylist<'_>,
    idempotency_key: &str,
) -> Result<Playlist, ProviderError> {
    check_key(idempotency_key)?;
    let access_type = wire::access_type(playlist.public);
    let mut attributes = json!({ "name": playlist.name, "accessType": access_type });
    if let Some(description) = playlist.description {
        attributes["description"] = description.into();
    }
    let body = json!({ "data": { "type": "playlists", "attributes": attributes } });
    let call = write(access, Method::POST, "create playlist", &["playlists"], Some(&body), idempotency_key);
    let document: Document<Resource> = tidal.http.json(ctx, &call).await?;
    wire::playlist(&document.data, &document.included()).ok_or_else(|| missing("the new playlist's name"))
}

/// A playlist with its first page of items.
pub(super) async fn first_page(
    tidal: &Tidal,
    ctx: &TenantContext,
    access: &Access<'_>,
    id: &str,
) -> Result<Document<Resource>, ProviderError> {
    playlist(tidal, ctx, access, id, "ownerProfiles,items,items.artists,items.albums").await
}

pub(super) async fn playlist(
    tidal: &Tidal,
    ctx: &TenantContext,
    access: &Access<'_>,
    id: &str,
    include: &str,
) -> Result<Document<Resource>, ProviderError> {
    let call = get(access, "playlist", &["playlists", id], &[("include", include)]);
    tidal.http.json(ctx, &Call { scopes: READ_PLAYLISTS, ..call }).await
}

pub(super) async fn items(
    tidal: &Tidal,
    ctx: &TenantContext,
    access: &Access<'_>,
    id: &str,
    position: &Position,
) -> Result<Document<Vec<Identifier>>, ProviderError> {
    let mut query = vec![("include", "items,items.artists,items.albums")];
    query.extend(position.parameter());
    let call = get(access, "playlist items", &["playlists", id, "relationships", "items"], &query);
    tidal.http.json(ctx, &Call { scopes: READ_PLAYLISTS, ..call }).await
}

fn item_page(
    position: &Position,
    identifiers: &[Identifier],
    links: Option<&Links>,
    limit: u32,
    included: &Included<'_>,
) -> Page<PlaylistItem> {
    let slice = position.slice(identifiers, links, limit);
    let turn = |(index, identifier): &(u32, &Identifier)| wire::playlist_item(identifier, *index, included);
    let items = slice.entries.iter().map(turn).collect();
    Page { items, next: slice.next.map(|next| next.to_token()), total: None }
}
