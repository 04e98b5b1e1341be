//! What Spotify's catalogue still tells of an artist: the albums. Similar artists, recommendations and mixes are gone for
//! apps since 2024.

use async_trait::async_trait;
use stagedoor_domain::music::{Album, Page};
use stagedoor_domain::{EntityKind, ItemRef, Provider, TenantContext};

use super::Spotify;
use super::request::{get, market, offset};
use super::wire::{AlbumObject, Paging};
use crate::error::ProviderError;
use crate::features::Discovery;
use crate::provider::id_of;
use crate::types::Access;

/// Most albums of one request.
const PER_CALL: u32 = 10;
const MOST_CALLS: usize = 5;

#[async_trait]
impl Discovery for Spotify {
    fn service(&self) -> Provider {
        Provider::Spotify
    }

    async fn artist_albums(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        artist: &ItemRef,
        limit: u32,
        page: Option<&str>,
    ) -> Result<Page<Album>, ProviderError> {
        let id = id_of(Provider::Spotify, artist, EntityKind::Artist)?;
        let (mut offset, mut left) = (offset(page)?, limit.clamp(1, 50));
        let mut albums = Page::last(Vec::new());
        for _ in 0..MOST_CALLS {
            let part = fetch(self, ctx, access, id, left.min(PER_CALL), offset).await?;
            let next = part.next_offset(offset);
            let part = part.into_page(offset, AlbumObject::into_listed);
            albums.items.extend(part.items);
            (albums.next, albums.total) = (part.next, part.total);
            left -= left.min(PER_CALL);
            match next {
                Some(next) if left > 0 => offset = next,
                _ => break,
            }
        }
        Ok(albums)
    }
}

async fn fetch(
    spotify: &Spotify,
    ctx: &TenantContext,
    access: &Access<'_>,
    id: &str,
    limit: u32,
    offset: u32,
) -> Result<Paging<AlbumObject>, ProviderError> {
    let (limit, offset) = (limit.to_string(), offset.to_string());
    let mut query =
        vec![("include_groups", "album,single,compilation"), ("limit", &*limit), ("offset", &offset)];
    query.extend(market(access));
    spotify.http.json(ctx, &get(access, "artist albums", &["artists", id, "albums"], &query)).await
}
