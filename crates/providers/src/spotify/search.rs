//! Spotify's search. Development mode gives 10 results a call, so more are paged through here, at most five calls.

use serde::Deserialize;
use stagedoor_domain::music::Page;
use stagedoor_domain::reference::EntityKindSet;
use stagedoor_domain::{EntityKind, Provider, TenantContext};

use super::Spotify;
use super::request::{get, market, missing};
use super::wire::{AlbumObject, ArtistObject, Paging, PlaylistObject, TrackObject};
use crate::error::ProviderError;
use crate::types::{Access, SearchQuery, SearchResults, SpotifyMode};

const MOST_CALLS: usize = 5;
/// The highest offset that the API takes.
const LAST_OFFSET: u32 = 1_000;

#[derive(Deserialize)]
struct SearchAnswer {
    tracks: Option<Paging<TrackObject>>,
    albums: Option<Paging<AlbumObject>>,
    artists: Option<Paging<ArtistObject>>,
    playlists: Option<Paging<PlaylistObject>>,
}

/// The results of one call limit.
pub(super) fn per_call(mode: SpotifyMode) -> u32 {
    match mode {
        SpotifyMode::Development => 10,
        SpotifyMode::Extended => 50,
    }
}

pub(super) async fn search(
    spotify: &Spotify,
    ctx: &TenantContext,
    access: &Access<'_>,
    query: &SearchQuery<'_>,
) -> Result<SearchResults, ProviderError> {
    let (mut kinds, mut offset) = match query.page {
        Some(token) => parse_token(token)?,
        None => (query.kinds.iter().filter(|kind| *kind != EntityKind::Mix).collect(), 0),
    };
    let mut results = SearchResults::empty();
    let mut left = query.limit.clamp(1, 50);
    for _ in 0..MOST_CALLS {
        if kinds.is_empty() || left == 0 {
            break;
        }
        let limit = left.min(per_call(access.app.mode));
        let answer = fetch(spotify, ctx, access, query.text, kinds, limit, offset).await?;
        let nexts = collect(answer, kinds, offset, &mut results)?;
        left -= limit;
        // Kinds page in step; one that is out of step keeps its own token and is not paged on here.
        let Some(next) = nexts.iter().map(|(_, next)| *next).min() else { break };
        kinds = nexts.iter().filter(|(_, at)| *at == next).map(|(kind, _)| *kind).collect();
        offset = next;
    }
    Ok(results)
}

/// One call, without page tokens; what lookups by code need.
pub(super) async fn fetch_tracks(
    spotify: &Spotify,
    ctx: &TenantContext,
    access: &Access<'_>,
    text: &str,
) -> Result<Paging<TrackObject>, ProviderError> {
    let kinds = EntityKindSet::empty().with(EntityKind::Track);
    let answer = fetch(spotify, ctx, access, text, kinds, per_call(access.app.mode), 0).await?;
    answer.tracks.ok_or_else(|| missing("tracks"))
}

/// As `fetch_tracks`, for albums.
pub(super) async fn fetch_albums(
    spotify: &Spotify,
    ctx: &TenantContext,
    access: &Access<'_>,
    text: &str,
) -> Result<Paging<AlbumObject>, ProviderError> {
    let kinds = EntityKindSet::empty().with(EntityKind::Album);
    let answer = fetch(spotify, ctx, access, text, kinds, per_call(access.app.mode), 0).await?;
    answer.albums.ok_or_else(|| missing("albums"))
}

async fn fetch(
    spotify: &Spotify,
    ctx: &TenantContext,
    access: &Access<'_>,
    text: &str,
    kinds: EntityKindSet,
    limit: u32,
    offset: u32,
) -> Result<SearchAnswer, ProviderError> {
    let types = kinds.iter().map(EntityKind::as_str).collect::<Vec<_>>().join(",");
    let (limit, offset) = (limit.to_string(), offset.to_string());
    let mut query = vec![("q", text), ("type", types.as_str()), ("limit", &limit), ("offset", &offset)];
    query.extend(market(access));
    spotify.http.json(ctx, &get(access, "search", &["search"], &query)).await
}

/// Adds what an answer holds to `results` and returns which kinds go on, and where.
fn collect(
    answer: SearchAnswer,
    kinds: EntityKindSet,
    offset: u32,
    results: &mut SearchResults,
) -> Result<Vec<(EntityKind, u32)>, ProviderError> {
    let mut nexts = Vec::new();
    for kind in kinds.iter() {
        let next = match kind {
            // Spotify has none.
            EntityKind::Mix => None,
            EntityKind::Track => {
                let page = answer.tracks.as_ref().ok_or_else(|| missing("tracks"))?;
                page.next_offset(offset)
            }
            EntityKind::Album => {
                let page = answer.albums.as_ref().ok_or_else(|| missing("albums"))?;
                page.next_offset(offset)
            }
            EntityKind::Artist => {
                let page = answer.artists.as_ref().ok_or_else(|| missing("artists"))?;
                page.next_offset(offset)
            }
            EntityKind::Playlist => {
                let page = answer.playlists.as_ref().ok_or_else(|| missing("playlists"))?;
                page.next_offset(offset)
            }
        };
        nexts.extend(next.filter(|next| *next <= LAST_OFFSET).map(|next| (kind, next)));
    }
    append(&mut results.tracks, answer.tracks, EntityKind::Track, offset, TrackObject::into_track);
    append(&mut results.albums, answer.albums, EntityKind::Album, offset, AlbumObject::into_album);
    append(&mut results.artists, answer.artists, EntityKind::Artist, offset, ArtistObject::into_artist);
    append(
        &mut results.playlists,
        answer.playlists,
        EntityKind::Playlist,
        offset,
        PlaylistObject::into_playlist,
    );
    Ok(nexts)
}

fn append<T, U>(
    target: &mut Page<U>,
    page: Option<Paging<T>>,
    kind: EntityKind,
    offset: u32,
    turn: impl FnMut(T) -> Option<U>,
) {
    let Some(page) = page else { return };
    let next = page.next_offset(offset).filter(|next| *next <= LAST_OFFSET);
    let page = page.into_page(offset, turn);
    target.items.extend(page.items);
    target.total = page.total;
    target.next = next.map(|next| format!("{kind}:{next}"));
}

/// `track:10`.
fn parse_token(token: &str) -> Result<(EntityKindSet, u32), ProviderError> {
    let parsed = token.split_once(':').and_then(|(kind, offset)| {
        let kind: EntityKind = kind.parse().ok()?;
        let offset: u32 = offset.parse().ok()?;
        (offset <= LAST_OFFSET).then(|| (EntityKindSet::empty().with(kind), offset))
    });
    parsed.ok_or(ProviderError::InvalidPage { provider: Provider::Spotify })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_belongs_to_one_kind() {
        let (kinds, offset) = parse_token("album:20").unwrap();
        assert_eq!((kinds.to_string().as_str(), offset), ("album", 20));
        for token in ["20", "album:", "episode:20", "album:1001", "album:-1"] {
            assert!(matches!(parse_token(token), Err(ProviderError::InvalidPage { .. })), "{token}");
        }
    }

    #[test]
    fn a_kind_that_was_asked_for_must_be_answered() {
        let answer: SearchAnswer = serde_json::from_str(r#"{"albums":{"items":[],"next":null}}"#).unwrap();
        let outcome = collect(answer, EntityKindSet::all(), 0, &mut SearchResults::empty());
        assert!(matches!(outcome, Err(ProviderError::InvalidAnswer { .. })));
    }
}
