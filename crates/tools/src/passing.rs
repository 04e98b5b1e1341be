//! What comes along with an answer: whole items, each of which is the answer to a call of its own that agents often make
//! next. They are filed as such, in the catalogue only: what a person's token brought is for that person alone.

use std::sync::Arc;

use stagedoor_cache::Seed;
use stagedoor_domain::music::{Artist, Track};
use stagedoor_domain::{PublicError, TenantContext, ToolName};

use crate::desk::{Desk, Render};
use crate::items;

/// Items of one answer that are filed at most.
const MOST: usize = 50;

/// Items in exactly the form in which `track_get` and `artist_get` give them.
#[derive(Debug, Default)]
pub(crate) struct Passing {
    pub(crate) tracks: Vec<Track>,
    pub(crate) artists: Vec<Artist>,
}

/// An answer that may hold such items, or nothing at all.
pub(crate) trait InPassing {
    /// Those of the catalogue, as the caller's market has them.
    fn in_passing(&self) -> Passing {
        Passing::default()
    }

    /// Whether it says that nothing was found. What is not there today may be there in a minute.
    fn finds_nothing(&self) -> bool {
        false
    }
}

impl Desk {
    /// Files what came along, beside the call.
    pub(crate) fn file(&self, ctx: &TenantContext, country: Option<&str>, passing: Passing) {
        if (passing.tracks.is_empty() && passing.artists.is_empty()) || self.beside.is_busy() {
            return;
        }
        let (cache, render, at) = (Arc::clone(&self.cache), self.renderer(), self.now_text());
        let (ctx, country) = (ctx.clone(), country.map(str::to_owned));
        let work = async move {
            if let Ok(seeds) = seeds(&ctx, render, country.as_deref(), passing, &at) {
                cache.seed(&ctx, seeds).await;
            }
        };
        (self.spawn())("filing items", Box::pin(work));
    }
}

fn seeds(
    ctx: &TenantContext,
    render: Render,
    country: Option<&str>,
    passing: Passing,
    at: &str,
) -> Result<Vec<Seed>, PublicError> {
    let settings = &ctx.tenant().settings;
    let mut seeds = Vec::new();
    if let Some(ttl) = settings.cache_ttl(ToolName::TrackGet.cache_class()) {
        for track in passing.tracks.into_iter().take(MOST) {
            let key = items::key(ctx, ToolName::TrackGet, &track.reference, country)?;
            seeds.push(Seed { key, ttl, fetched: items::track_to_keep(render, track, at)? });
        }
    }
    if let Some(ttl) = settings.cache_ttl(ToolName::ArtistGet.cache_class()) {
        for artist in passing.artists.into_iter().take(MOST) {
            let key = items::key(ctx, ToolName::ArtistGet, &artist.reference, country)?;
            seeds.push(Seed { key, ttl, fetched: items::artist_to_keep(render, artist, at)? });
        }
    }
    Ok(seeds)
}
