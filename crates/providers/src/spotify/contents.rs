//! A whole Spotify playlist, all of it at one version: pages side by side, and the version before and after them.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use stagedoor_domain::music::{Playlist, PlaylistItem};
use stagedoor_domain::{Provider, TenantContext};

use super::Spotify;
use super::playlists::{head, items, whole};
use super::request::{cannot, missing};
use crate::error::ProviderError;
use crate::features::Contents;
use crate::types::Access;

/// Most items of a page.
const PAGE: u32 = 50;
/// How many pages are asked for at a time.
const SIDE_BY_SIDE: usize = 4;

pub(super) async fn read(
    spotify: &Spotify,
    ctx: &TenantContext,
    access: &Access<'_>,
    id: &str,
    most: u32,
) -> Result<Contents, ProviderError> {
    for _ in 0..2 {
        if let Some(contents) = attempt(spotify, ctx, access, id, most).await? {
            return Ok(contents);
        }
    }
    Err(ProviderError::Changed { provider: Provider::Spotify })
}

/// The playlist, unless it changed meanwhile. One that comes whole in the first answer costs one request.
async fn attempt(
    spotify: &Spotify,
    ctx: &TenantContext,
    access: &Access<'_>,
    id: &str,
    most: u32,
) -> Result<Option<Contents>, ProviderError> {
    let (playlist, first) = whole(spotify, ctx, access, id).await?;
    let total = match playlist.item_count {
        Some(total) => total,
        // A playlist that comes without its items is someone else's, which only a look at them says.
        None => items(spotify, ctx, access, id, 1, 0).await?.total.ok_or_else(|| missing("total"))?,
    };
    if total > most {
        return Err(cannot(format!("read a playlist of {total} entries at once; {most} is the limit")));
    }
    let mut found = first.unwrap_or_default();
    let came = u32::try_from(found.len()).unwrap_or(u32::MAX);
    if came == total {
        return Ok(Some(Contents { playlist, items: found }));
    }
    let pages = stream::iter((came..total).step_by(PAGE as usize))
        .map(|offset| items(spotify, ctx, access, id, PAGE, offset))
        .buffered(SIDE_BY_SIDE);
    let pages: Vec<_> = pages.try_collect().await?;
    found.extend(pages.into_iter().flat_map(|page| page.items));
    let after = head(spotify, ctx, access, id).await?;
    let complete = found.len() == total as usize && positions_rise(&found);
    Ok((complete && version(&playlist)? == version(&after)?).then_some(Contents { playlist, items: found }))
}

fn version(playlist: &Playlist) -> Result<&str, ProviderError> {
    playlist.version.as_deref().ok_or_else(|| missing("the playlist's snapshot_id"))
}

fn positions_rise(items: &[PlaylistItem]) -> bool {
    items.iter().zip(0..).all(|(item, position)| item.position == position)
}
