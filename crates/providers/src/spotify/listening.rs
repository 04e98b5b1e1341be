//! What a Spotify account listens to: most, and last.

use stagedoor_domain::music::{Item, Page};
use stagedoor_domain::playback::Played;
use stagedoor_domain::{EntityKind, Provider, TenantContext};

use super::Spotify;
use super::request::{READ_PLAYED, READ_TOP, cannot, get, offset};
use super::wire::{ArtistObject, CursorPaging, Cursors, Paging, PlayedObject, TrackObject};
use crate::call::Call;
use crate::error::ProviderError;
use crate::features::TopRange;
use crate::types::Access;

pub(super) async fn top(
    spotify: &Spotify,
    ctx: &TenantContext,
    access: &Access<'_>,
    (kind, range): (EntityKind, TopRange),
    limit: u32,
    page: Option<&str>,
) -> Result<Page<Item>, ProviderError> {
    let offset = offset(page)?;
    let (limit, offset_text) = (limit.clamp(1, 50).to_string(), offset.to_string());
    let range = match range {
        TopRange::Short => "short_term",
        TopRange::Medium => "medium_term",
        TopRange::Long => "long_term",
    };
    let query = [("time_range", range), ("limit", &limit), ("offset", &offset_text)];
    let call = |operation, segment| Call {
        scopes: READ_TOP,
        ..get(access, operation, &["me", "top", segment], &query)
    };
    match kind {
        EntityKind::Track => {
            let answer: Paging<TrackObject> = spotify.http.json(ctx, &call("top tracks", "tracks")).await?;
            Ok(answer.into_page(offset, |track| track.into_track().map(Item::Track)))
        }
        EntityKind::Artist => {
            let answer: Paging<ArtistObject> =
                spotify.http.json(ctx, &call("top artists", "artists")).await?;
            Ok(answer.into_page(offset, |artist| artist.into_artist().map(Item::Artist)))
        }
        EntityKind::Album | EntityKind::Playlist | EntityKind::Mix => {
            Err(cannot(format!("tell which {kind}s are listened to most, only tracks and artists")))
        }
    }
}

/// A page token is the time, in milliseconds of the Unix epoch, before which the next page was played.
pub(super) async fn recently_played(
    spotify: &Spotify,
    ctx: &TenantContext,
    access: &Access<'_>,
    limit: u32,
    page: Option<&str>,
) -> Result<Page<Played>, ProviderError> {
    if page.is_some_and(|page| time(page).is_none()) {
        return Err(ProviderError::InvalidPage { provider: Provider::Spotify });
    }
    let limit = limit.clamp(1, 50).to_string();
    let mut query = vec![("limit", limit.as_str())];
    query.extend(page.map(|before| ("before", before)));
    let path = ["me", "player", "recently-played"];
    let call = Call { scopes: READ_PLAYED, ..get(access, "recently played", &path, &query) };
    let answer: CursorPaging<PlayedObject> = spotify.http.json(ctx, &call).await?;
    let earlier = |before: &str| {
        let before = time(before)?;
        page.and_then(time).is_none_or(|here| before < here).then_some(before)
    };
    let cursor = |cursors: Cursors| Some(earlier(&cursors.before?)?.to_string());
    Ok(answer.into_page(page, cursor, PlayedObject::into_played))
}

fn time(text: &str) -> Option<i64> {
    text.parse().ok().filter(|time| *time >= 0)
}
