//! Tidal's playlists: own ones, one with its items, new ones, adding. Every write carries an `Idempotency-Key`.

use serde::Deserialize;
use serde_json::json;
use stagedoor_domain::music::{Page, Playlist, PlaylistItem};
use stagedoor_domain::{EntityKind, ItemRef, Provider, TenantContext};

use super::Tidal;
use super::document::{Document, Identifier, Included, Links, Relationship, Resource};
use super::paging::Position;
use super::request::{READ_PLAYLISTS, check_key, get, missing, post};
use super::wire;
use crate::call::Call;
use crate::error::{ForbiddenReason, ProviderError};
use crate::provider::{id_of, partly, track_ids};
use crate::text;
use crate::types::{Access, Added, NewPlaylist, Skipped};

/// Most items that one request adds.
const BATCH: usize = 50;
/// How many pages are read to find the entry to insert before.
const MOST_PAGES: usize = 10;

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
    let document = playlist(tidal, ctx, access, id, "ownerProfiles,items,items.artists,items.albums").await?;
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
    let access_type = if playlist.public { "PUBLIC" } else { "UNLISTED" };
    let mut attributes = json!({ "name": playlist.name, "accessType": access_type });
    if let Some(description) = playlist.description {
        attributes["description"] = description.into();
    }
    let body = json!({ "data": { "type": "playlists", "attributes": attributes } });
    let call = post(access, "create playlist", &["playlists"], &body, idempotency_key);
    let document: Document<Resource> = tidal.http.json(ctx, &call).await?;
    wire::playlist(&document.data, &document.included()).ok_or_else(|| missing("the new playlist's name"))
}

pub(super) async fn add(
    tidal: &Tidal,
    ctx: &TenantContext,
    access: &Access<'_>,
    playlist: &ItemRef,
    items: &[ItemRef],
    position: Option<u32>,
    idempotency_key: &str,
) -> Result<Added, ProviderError> {
    let id = id_of(Provider::Tidal, playlist, EntityKind::Playlist)?;
    track_ids(Provider::Tidal, items)?;
    check_key(idempotency_key)?;
    if items.is_empty() {
        return Ok(Added::default());
    }
    let before = match position {
        Some(position) => entry_at(tidal, ctx, access, id, position).await?,
        None => None,
    };
    let mut done = Added::default();
    for (number, batch) in items.chunks(BATCH).enumerate() {
        let data: Vec<_> = batch.iter().map(|item| json!({ "id": item.id(), "type": "tracks" })).collect();
        let mut body = json!({ "data": data });
        if let Some(before) = &before {
            body["meta"] = json!({ "positionBefore": before });
        }
        // The same key with another payload is refused, so each batch has its own.
        let key =
            if number == 0 { idempotency_key.to_owned() } else { format!("{idempotency_key}-{number}") };
        let call = post(access, "add to playlist", &["playlists", id, "relationships", "items"], &body, &key);
        let call = Call { forbidden: ForbiddenReason::Ownership, ..call };
        match tidal.http.json::<AddAnswer>(ctx, &call).await {
            Ok(answer) => answer.sort_into(&mut done, batch),
            Err(cause) => return Err(partly(Provider::Tidal, done, number * BATCH, cause)),
        }
    }
    Ok(done)
}

#[derive(Deserialize)]
struct AddAnswer {
    data: Vec<Identifier>,
    meta: Option<AddMeta>,
}

#[derive(Deserialize)]
struct AddMeta {
    skipped: Option<Vec<SkippedItem>>,
}

#[derive(Deserialize)]
struct SkippedItem {
    id: String,
    reason: Option<String>,
}

impl AddAnswer {
    /// Counts as added only what the answer lists, one entry for one item.
    fn sort_into(mut self, done: &mut Added, batch: &[ItemRef]) {
        let reasons = self.meta.and_then(|meta| meta.skipped).unwrap_or_default();
        for item in batch {
            if let Some(at) = self.data.iter().position(|added| added.id == item.id()) {
                self.data.remove(at);
                done.added.push(item.clone());
            } else {
                let told = reasons.iter().find(|skipped| skipped.id == item.id());
                let reason = told.and_then(|skipped| text::word(skipped.reason.as_deref()?));
                let reason = reason.map_or_else(|| "unknown".to_owned(), |reason| reason.to_lowercase());
                done.skipped.push(Skipped { item: item.clone(), reason });
            }
        }
    }
}

/// The id of the entry at `position`, which new ones go before; `None` if the playlist ends earlier.
async fn entry_at(
    tidal: &Tidal,
    ctx: &TenantContext,
    access: &Access<'_>,
    id: &str,
    position: u32,
) -> Result<Option<String>, ProviderError> {
    let mut place = Position::default();
    for _ in 0..MOST_PAGES {
        let mut query = Vec::new();
        query.extend(place.parameter());
        let segments = ["playlists", id, "relationships", "items"];
        let call = Call { scopes: READ_PLAYLISTS, ..get(access, "playlist items", &segments, &query) };
        let document: Document<Vec<Identifier>> = tidal.http.json(ctx, &call).await?;
        let slice = place.slice(&document.data, document.links.as_ref(), u32::MAX);
        if let Some((_, entry)) = slice.entries.iter().find(|(index, _)| *index == position) {
            let item_id = entry.meta.as_ref().and_then(|meta| meta.item_id.clone());
            return item_id.map(Some).ok_or_else(|| missing("the entry's id"));
        }
        match slice.next {
            Some(next) => place = next,
            None => return Ok(None),
        }
    }
    let what = format!(
        "insert at position {position}, which is beyond its first {MOST_PAGES} pages; add at the end"
    );
    Err(ProviderError::UnsupportedByProvider { provider: Provider::Tidal, what })
}

async fn playlist(
    tidal: &Tidal,
    ctx: &TenantContext,
    access: &Access<'_>,
    id: &str,
    include: &str,
) -> Result<Document<Resource>, ProviderError> {
    let call = get(access, "playlist", &["playlists", id], &[("include", include)]);
    tidal.http.json(ctx, &Call { scopes: READ_PLAYLISTS, ..call }).await
}

async fn items(
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_counts_as_added_only_if_the_answer_lists_it() {
        let answer: AddAnswer = serde_json::from_str(
            r#"{"data":[{"id":"1","type":"tracks"}],"meta":{"skipped":[{"id":"2","type":"tracks","reason":"NEW"}]}}"#,
        )
        .unwrap();
        let batch: Vec<ItemRef> =
            ["1", "2", "1", "3"].map(|id| format!("tidal:track:{id}").parse().unwrap()).into();
        let mut done = Added::default();
        answer.sort_into(&mut done, &batch);
        assert_eq!(done.added, batch[..1]);
        let skipped: Vec<_> =
            done.skipped.iter().map(|skipped| (skipped.item.id(), skipped.reason.as_str())).collect();
        assert_eq!(skipped, [("2", "new"), ("1", "unknown"), ("3", "unknown")]);
    }
}
