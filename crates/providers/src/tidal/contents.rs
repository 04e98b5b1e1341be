//! A whole Tidal playlist, page by page: what it holds, or only the ids of its entries.

use stagedoor_domain::music::{Playlist, PlaylistItem};
use stagedoor_domain::{Provider, TenantContext};

use super::Tidal;
use super::document::{Identifier, Included, Links, Relationship};
use super::paging::Position;
use super::playlists;
use super::relationship::List;
use super::request::{READ_PLAYLISTS, missing, unsupported};
use super::wire;
use crate::error::ProviderError;
use crate::features::{Contents, Entry};
use crate::types::Access;

/// Most entries that a Tidal playlist has.
pub(super) const MOST_ENTRIES: usize = 10_000;

/// The playlist without its items.
pub(super) async fn head(
    tidal: &Tidal,
    ctx: &TenantContext,
    access: &Access<'_>,
    id: &str,
) -> Result<Playlist, ProviderError> {
    let document = playlists::playlist(tidal, ctx, access, id, "ownerProfiles").await?;
    wire::playlist(&document.data, &document.included()).ok_or_else(|| missing("the playlist's name"))
}

/// All of it at one version, in a second try if it changed during the first.
pub(super) async fn read(
    tidal: &Tidal,
    ctx: &TenantContext,
    access: &Access<'_>,
    id: &str,
    most: u32,
) -> Result<Contents, ProviderError> {
    for _ in 0..2 {
        if let Some(contents) = read_once(tidal, ctx, access, id, most).await? {
            return Ok(contents);
        }
    }
    Err(ProviderError::Changed { provider: Provider::Tidal })
}

/// `None` if it changed meanwhile. One document holds a short playlist, and cannot change while it is read.
async fn read_once(
    tidal: &Tidal,
    ctx: &TenantContext,
    access: &Access<'_>,
    id: &str,
    most: u32,
) -> Result<Option<Contents>, ProviderError> {
    let document = playlists::first_page(tidal, ctx, access, id).await?;
    let included = document.included();
    let playlist = wire::playlist(&document.data, &included).ok_or_else(|| missing("the playlist's name"))?;
    let too_long = || unsupported(format!("read a playlist of more than {most} entries at once"));
    if playlist.item_count.is_some_and(|count| count > most) {
        return Err(too_long());
    }
    let relationship = document.data.relationship("items");
    let identifiers =
        relationship.and_then(Relationship::identifiers).ok_or_else(|| missing("the playlist's items"))?;
    let links = relationship.and_then(|items| items.links.as_ref());
    let mut items = Vec::new();
    let mut next = take(&mut items, &Position::default(), identifiers, links, &included);
    let is_one_page = next.is_none();
    while let Some(position) = next {
        if items.len() > most as usize {
            return Err(too_long());
        }
        let page = playlists::items(tidal, ctx, access, id, &position).await?;
        next = take(&mut items, &position, &page.data, page.links.as_ref(), &page.included());
    }
    if items.len() > most as usize {
        return Err(too_long());
    }
    let unchanged = is_one_page || head(tidal, ctx, access, id).await?.version == playlist.version;
    Ok(unchanged.then_some(Contents { playlist, items }))
}

fn take(
    items: &mut Vec<PlaylistItem>,
    position: &Position,
    identifiers: &[Identifier],
    links: Option<&Links>,
    included: &Included<'_>,
) -> Option<Position> {
    let slice = position.slice(identifiers, links, u32::MAX);
    items.extend(slice.entries.iter().map(|(index, found)| wire::playlist_item(found, *index, included)));
    slice.next
}

/// `current` with the ids of its entries, which it has to be still.
pub(super) async fn identify(
    tidal: &Tidal,
    ctx: &TenantContext,
    access: &Access<'_>,
    id: &str,
    current: &[Entry],
) -> Result<Vec<Entry>, ProviderError> {
    let list = List {
        operation: "playlist entries",
        of: ["playlists", id],
        name: "items",
        include: "",
        query: &[],
        by_country: true,
        scopes: READ_PLAYLISTS,
    };
    let mut entries = Vec::with_capacity(current.len());
    let mut position = Position::default();
    loop {
        let page = list.read(tidal, ctx, access, &position).await?;
        let slice = position.slice(&page.data, page.links.as_ref(), u32::MAX);
        entries.extend(slice.entries.iter().map(|(_, found)| entry(found)));
        match slice.next {
            Some(next) if entries.len() < MOST_ENTRIES => position = next,
            _ => break,
        }
    }
    if entries.iter().any(|entry| entry.item_id.is_none()) {
        return Err(missing("an entry's id"));
    }
    let same = entries.iter().map(|entry| &entry.name).eq(current.iter().map(|entry| &entry.name));
    if same { Ok(entries) } else { Err(ProviderError::Changed { provider: Provider::Tidal }) }
}

/// The entry that an identifier stands for.
pub(super) fn entry(identifier: &Identifier) -> Entry {
    Entry {
        name: wire::entry_name(identifier).unwrap_or_default().into(),
        item_id: wire::item_id(identifier).map(Into::into),
    }
}
