//! `track_get`, `album_get`, `artist_get`: one item by reference.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stagedoor_cache::{CacheKey, Fetched};
use stagedoor_domain::music::{Album, Artist, Track};
use stagedoor_domain::{EntityKind, ItemRef, PublicError, TenantContext, ToolName};

use crate::arguments::item;
use crate::desk::{Desk, Render};
use crate::origin::Origin;
use crate::passing::InPassing;
use crate::reuse::{Produced, Question, catalogue_key, to_keep};

/// Which item.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ItemArguments {
    /// Such as `tidal:album:ID`, or a link.
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

pub(crate) async fn track(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    arguments: ItemArguments,
) -> Produced {
    let item = &item("ref", &arguments.reference, EntityKind::Track)?;
    let country = desk.country(ctx, item.provider()).await?;
    let key = &key(ctx, ToolName::TrackGet, item, country.as_deref())?;
    let question = Question { tool: ToolName::TrackGet, key, country: country.as_deref() };
    desk.cached(ctx, origin, question, || async {
        let track = desk
            .catalogue(ctx, origin, item.provider(), country.as_deref(), |music, access| async move {
                music.track(ctx, &access.borrow(), item).await
            })
            .await?;
        Ok(TrackOutput { track, cached_at: desk.now_text() })
    })
    .await
}

pub(crate) async fn album(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    arguments: ItemArguments,
) -> Produced {
    let item = &item("ref", &arguments.reference, EntityKind::Album)?;
    let country = desk.country(ctx, item.provider()).await?;
    let key = &key(ctx, ToolName::AlbumGet, item, country.as_deref())?;
    let question = Question { tool: ToolName::AlbumGet, key, country: country.as_deref() };
    desk.cached(ctx, origin, question, || async {
        let album = desk
            .catalogue(ctx, origin, item.provider(), country.as_deref(), |music, access| async move {
                music.album(ctx, &access.borrow(), item).await
            })
            .await?;
        Ok(AlbumOutput { album, cached_at: desk.now_text() })
    })
    .await
}

pub(crate) async fn artist(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    arguments: ItemArguments,
) -> Produced {
    let item = &item("ref", &arguments.reference, EntityKind::Artist)?;
    let country = desk.country(ctx, item.provider()).await?;
    let key = &key(ctx, ToolName::ArtistGet, item, country.as_deref())?;
    let question = Question { tool: ToolName::ArtistGet, key, country: country.as_deref() };
    desk.cached(ctx, origin, question, || async {
        let artist = desk
            .catalogue(ctx, origin, item.provider(), country.as_deref(), |music, access| async move {
                music.artist(ctx, &access.borrow(), item).await
            })
            .await?;
        Ok(ArtistOutput { artist, cached_at: desk.now_text() })
    })
    .await
}

/// The key of an item in a market.
pub(crate) fn key(
    ctx: &TenantContext,
    tool: ToolName,
    item: &ItemRef,
    country: Option<&str>,
) -> Result<CacheKey, PublicError> {
    catalogue_key(ctx, tool, item.provider(), &Parameters { id: item.id(), country })
}

/// The answer of `track_get` for a track that came along with another.
pub(crate) fn track_to_keep(render: Render, track: Track, at: &str) -> Result<Fetched, PublicError> {
    to_keep(render, &TrackOutput { track, cached_at: at.to_owned() }, None)
}

/// The answer of `artist_get` for an artist who came along with another answer.
pub(crate) fn artist_to_keep(render: Render, artist: Artist, at: &str) -> Result<Fetched, PublicError> {
    to_keep(render, &ArtistOutput { artist, cached_at: at.to_owned() }, None)
}

impl InPassing for TrackOutput {}
impl InPassing for AlbumOutput {}
impl InPassing for ArtistOutput {}
