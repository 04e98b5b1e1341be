//! Finding music from music: an artist's albums, what is like an item, what a service puts together.

use async_trait::async_trait;
use stagedoor_domain::music::{Album, Item, Mix, Page, Track};
use stagedoor_domain::{ItemRef, Provider, TenantContext};

use super::lacks;
use crate::error::ProviderError;
use crate::types::Access;

/// Finding music from music.
#[async_trait]
pub trait Discovery: Send + Sync {
    /// Which service this is.
    fn service(&self) -> Provider;

    /// An artist's albums, singles and compilations.
    async fn artist_albums(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        artist: &ItemRef,
        limit: u32,
        page: Option<&str>,
    ) -> Result<Page<Album>, ProviderError> {
        let _ = (ctx, access, artist, limit, page);
        lacks(self.service(), "list an artist's albums")
    }

    /// Items of the same kind (track, album or artist) that are like one.
    async fn similar(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        item: &ItemRef,
        limit: u32,
        page: Option<&str>,
    ) -> Result<Page<Item>, ProviderError> {
        let _ = (ctx, access, item, limit, page);
        lacks(self.service(), "name similar items")
    }

    /// Tracks that go with a track or an artist.
    async fn radio(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        item: &ItemRef,
        limit: u32,
        page: Option<&str>,
    ) -> Result<Page<Track>, ProviderError> {
        let _ = (ctx, access, item, limit, page);
        lacks(self.service(), "make a radio of an item")
    }

    /// The mixes that the service puts together for the account.
    async fn mixes(&self, ctx: &TenantContext, access: &Access<'_>) -> Result<Vec<Mix>, ProviderError> {
        let _ = (ctx, access);
        lacks(self.service(), "list mixes")
    }

    /// The tracks of one of them.
    async fn mix_items(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        mix: &ItemRef,
        limit: u32,
        page: Option<&str>,
    ) -> Result<Page<Track>, ProviderError> {
        let _ = (ctx, access, mix, limit, page);
        lacks(self.service(), "list mixes")
    }
}
