//! `track_get`, `album_get`, `artist_get`: one item by reference.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stagedoor_domain::music::{Album, Artist, Track};
use stagedoor_domain::{EntityKind, TenantContext, ToolName};

use crate::arguments::item;
use crate::desk::{Desk, Produced, catalogue_key};

/// Which item.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ItemArguments {
    /// The item: `spotify:track:ID`, `tidal:album:ID`, or its link.
    #[serde(rename = "ref")]
    reference: String,
}

/// A track.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct TrackOutput {
    track: Track,
    /// When the provider said so (RFC 3339).
    cached_at: String,
}

/// An album with its tracks.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct AlbumOutput {
    album: Album,
    /// When the provider said so (RFC 3339).
    cached_at: String,
}

/// An artist.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ArtistOutput {
    artist: Artist,
    /// When the provider said so (RFC 3339).
    cached_at: String,
}

/// What the answer depends on.
#[derive(Serialize)]
struct Parameters<'a> {
    id: &'a str,
    country: Option<&'a str>,
}

pub(crate) async fn track(desk: &Desk, ctx: &TenantContext, arguments: ItemArguments) -> Produced {
    let item = &item("ref", &arguments.reference, EntityKind::Track)?;
    let country = desk.country(ctx, item.provider()).await?;
    let parameters = Parameters { id: item.id(), country: country.as_deref() };
    let key = catalogue_key(ctx, ToolName::TrackGet, item.provider(), &parameters)?;
    desk.cached(ctx, ToolName::TrackGet, &key, || async {
        let track = desk
            .catalogue(ctx, item.provider(), country.as_deref(), |music, access| async move {
                music.track(ctx, &access.borrow(), item).await
            })
            .await?;
        Ok(TrackOutput { track, cached_at: desk.now_text() })
    })
    .await
}

pub(crate) async fn album(desk: &Desk, ctx: &TenantContext, arguments: ItemArguments) -> Produced {
    let item = &item("ref", &arguments.reference, EntityKind::Album)?;
    let country = desk.country(ctx, item.provider()).await?;
    let parameters = Parameters { id: item.id(), country: country.as_deref() };
    let key = catalogue_key(ctx, ToolName::AlbumGet, item.provider(), &parameters)?;
    desk.cached(ctx, ToolName::AlbumGet, &key, || async {
        let album = desk
            .catalogue(ctx, item.provider(), country.as_deref(), |music, access| async move {
                music.album(ctx, &access.borrow(), item).await
            })
            .await?;
        Ok(AlbumOutput { album, cached_at: desk.now_text() })
    })
    .await
}

pub(crate) async fn artist(desk: &Desk, ctx: &TenantContext, arguments: ItemArguments) -> Produced {
    let item = &item("ref", &arguments.reference, EntityKind::Artist)?;
    let country = desk.country(ctx, item.provider()).await?;
    let parameters = Parameters { id: item.id(), country: country.as_deref() };
    let key = catalogue_key(ctx, ToolName::ArtistGet, item.provider(), &parameters)?;
    desk.cached(ctx, ToolName::ArtistGet, &key, || async {
        let artist = desk
            .catalogue(ctx, item.provider(), country.as_deref(), |music, access| async move {
                music.artist(ctx, &access.borrow(), item).await
            })
            .await?;
        Ok(ArtistOutput { artist, cached_at: desk.now_text() })
    })
    .await
}
