//! Finding music from music at Tidal: an artist's albums, what is like an item, radios and mixes. Both of the latter are
//! playlists of Tidal's own.

use async_trait::async_trait;
use stagedoor_domain::music::{Album, Item, Mix, Page, Track};
use stagedoor_domain::{EntityKind, ItemRef, Provider, TenantContext};

use super::Tidal;
use super::document::{Identifier, Included, Relationship};
use super::paging::Position;
use super::relationship::{List, page_of};
use super::request::{READ_RECOMMENDATIONS, missing, unsupported};
use super::wire;
use crate::error::ProviderError;
use crate::features::Discovery;
use crate::provider::id_of;
use crate::text;
use crate::types::Access;

/// The relationships that make up an account's mixes.
const MIXES: [&str; 3] = ["userDailyMixes", "userDiscoveryMixes", "userNewReleaseMixes"];
/// How many pages of one of them are read.
const MOST_PAGES: usize = 5;

#[async_trait]
impl Discovery for Tidal {
    fn service(&self) -> Provider {
        Provider::Tidal
    }

    async fn artist_albums(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        artist: &ItemRef,
        limit: u32,
        page: Option<&str>,
    ) -> Result<Page<Album>, ProviderError> {
        let id = id_of(Provider::Tidal, artist, EntityKind::Artist)?;
        let list = catalogue("artist's albums", ["artists", id], "albums", "albums,albums.artists");
        let turn = |found: &Identifier, included: &Included<'_>| wire::album(included.get(found)?, included);
        list.page(self, ctx, access, (&Position::parse(page)?, limit), turn).await
    }

    async fn similar(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        item: &ItemRef,
        limit: u32,
        page: Option<&str>,
    ) -> Result<Page<Item>, ProviderError> {
        let id = id_of(Provider::Tidal, item, item.kind())?;
        let list = match item.kind() {
            EntityKind::Track => catalogue(
                "similar tracks",
                ["tracks", id],
                "similarTracks",
                "similarTracks,similarTracks.artists,similarTracks.albums",
            ),
            EntityKind::Album => catalogue(
                "similar albums",
                ["albums", id],
                "similarAlbums",
                "similarAlbums,similarAlbums.artists",
            ),
            EntityKind::Artist => {
                catalogue("similar artists", ["artists", id], "similarArtists", "similarArtists")
            }
            kind @ (EntityKind::Playlist | EntityKind::Mix) => {
                return Err(unsupported(format!("name what is like a {kind}")));
            }
        };
        list.page(self, ctx, access, (&Position::parse(page)?, limit), wire::item_of).await
    }

    async fn radio(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        item: &ItemRef,
        limit: u32,
        page: Option<&str>,
    ) -> Result<Page<Track>, ProviderError> {
        let id = id_of(Provider::Tidal, item, item.kind())?;
        if let Some(token) = page {
            let (playlist, position) = radio_place(token)?;
            return radio_page(self, ctx, access, &playlist, (&position, limit)).await;
        }
        let radio = match item.kind() {
            EntityKind::Track => List { by_country: false, ..radio_of("track radio", ["tracks", id]) },
            EntityKind::Artist => radio_of("artist radio", ["artists", id]),
            kind @ (EntityKind::Album | EntityKind::Playlist | EntityKind::Mix) => {
                return Err(unsupported(format!("make a radio of a {kind}, only of a track or an artist")));
            }
        };
        let document = radio.read(self, ctx, access, &Position::default()).await?;
        if document.data.is_empty() {
            return Ok(Page::last(Vec::new()));
        }
        let playlist = document.data.iter().find(|found| found.kind == "playlists");
        let playlist = playlist.ok_or_else(|| missing("the radio's playlist"))?;
        let reference = text::reference(Provider::Tidal, EntityKind::Playlist, &playlist.id);
        let reference = reference.ok_or_else(|| missing("the id of the radio's playlist"))?;
        let included = document.included();
        let items = included.get(playlist).and_then(|playlist| playlist.relationship("items"));
        let start = Position::default();
        let Some(identifiers) = items.and_then(Relationship::identifiers) else {
            return radio_page(self, ctx, access, &reference, (&start, limit)).await;
        };
        let links = items.and_then(|items| items.links.as_ref());
        let page = page_of(identifiers, links, (&start, limit), |found| wire::track_of(found, &included));
        Ok(in_radio(&reference, page))
    }

    async fn mixes(&self, ctx: &TenantContext, access: &Access<'_>) -> Result<Vec<Mix>, ProviderError> {
        let [daily, discovery, new] = MIXES;
        let (daily, discovery, new) = tokio::try_join!(
            mixes_of(self, ctx, access, daily),
            mixes_of(self, ctx, access, discovery),
            mixes_of(self, ctx, access, new)
        )?;
        let mixes = [daily, discovery, new];
        if mixes.iter().all(Option::is_none) {
            return Err(ProviderError::NotFound { provider: Provider::Tidal });
        }
        Ok(mixes.into_iter().flatten().flatten().collect())
    }

    async fn mix_items(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        mix: &ItemRef,
        limit: u32,
        page: Option<&str>,
    ) -> Result<Page<Track>, ProviderError> {
        let id = id_of(Provider::Tidal, mix, EntityKind::Mix)?;
        let list = List { scopes: READ_RECOMMENDATIONS, ..tracks_of("mix items", id) };
        list.page(self, ctx, access, (&Position::parse(page)?, limit), wire::track_of).await
    }
}

/// A relationship of the catalogue, which every token may read.
fn catalogue<'a>(operation: &'static str, of: [&'a str; 2], name: &'a str, include: &'a str) -> List<'a> {
    List { operation, of, name, include, query: &[], by_country: true, scopes: &[] }
}

fn radio_of<'a>(operation: &'static str, of: [&'a str; 2]) -> List<'a> {
    catalogue(operation, of, "radio", "radio,radio.items,radio.items.artists,radio.items.albums")
}

fn tracks_of<'a>(operation: &'static str, playlist: &'a str) -> List<'a> {
    catalogue(operation, ["playlists", playlist], "items", "items,items.artists,items.albums")
}

async fn radio_page(
    tidal: &Tidal,
    ctx: &TenantContext,
    access: &Access<'_>,
    playlist: &ItemRef,
    at: (&Position, u32),
) -> Result<Page<Track>, ProviderError> {
    let list = tracks_of("radio items", playlist.id());
    Ok(in_radio(playlist, list.page(tidal, ctx, access, at, wire::track_of).await?))
}

/// The page with a token that names the radio's playlist too: `PLAYLIST-ID:POSITION`.
fn in_radio(playlist: &ItemRef, page: Page<Track>) -> Page<Track> {
    Page { next: page.next.map(|next| format!("{}:{next}", playlist.id())), ..page }
}

fn radio_place(token: &str) -> Result<(ItemRef, Position), ProviderError> {
    let invalid = || ProviderError::InvalidPage { provider: Provider::Tidal };
    let (playlist, position) = token.split_once(':').ok_or_else(invalid)?;
    let playlist = text::reference(Provider::Tidal, EntityKind::Playlist, playlist).ok_or_else(invalid)?;
    Ok((playlist, Position::parse(Some(position))?))
}

/// The mixes of one sort; `None` if the account has no such relationship.
async fn mixes_of(
    tidal: &Tidal,
    ctx: &TenantContext,
    access: &Access<'_>,
    sort: &'static str,
) -> Result<Option<Vec<Mix>>, ProviderError> {
    let list = List {
        operation: "mixes",
        of: [sort, "me"],
        name: "items",
        include: "items",
        query: &[],
        by_country: false,
        scopes: READ_RECOMMENDATIONS,
    };
    let mut mixes = Vec::new();
    let mut position = Position::default();
    for _ in 0..MOST_PAGES {
        let page = list.page(tidal, ctx, access, (&position, 50), mix).await;
        let page = match page {
            Err(ProviderError::NotFound { .. }) => return Ok(None),
            page => page?,
        };
        mixes.extend(page.items);
        let Some(next) = page.next else { break };
        position = Position::parse(Some(&next))?;
    }
    Ok(Some(mixes))
}

/// A mix is a playlist, and is read as one.
fn mix(identifier: &Identifier, included: &Included<'_>) -> Option<Mix> {
    let playlist = wire::playlist(included.get(identifier)?, included)?;
    Some(Mix {
        reference: text::reference(Provider::Tidal, EntityKind::Mix, playlist.reference.id())?,
        title: playlist.name,
        subtitle: playlist.description,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_radio_goes_on_where_its_token_says() {
        let playlist: ItemRef = "tidal:playlist:a-1".parse().unwrap();
        let page = Page { items: Vec::new(), next: Some("20.0.c:d.e".to_owned()), total: None };
        let next = in_radio(&playlist, page).next.unwrap();
        let position = Position { start: 20, skip: 0, cursor: Some("c:d.e".to_owned()) };
        assert_eq!(radio_place(&next).unwrap(), (playlist, position));
        for token in ["", "20.0.x", "a/../b:20.0.x", "a:b"] {
            assert!(matches!(radio_place(token), Err(ProviderError::InvalidPage { .. })), "{token}");
        }
    }
}
