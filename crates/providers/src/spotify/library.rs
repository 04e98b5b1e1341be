//! What a Spotify account has saved and follows. Writes and checks go by URI over `/me/library`, which both modes have;
//! what is listened to is `listening`'s.

use async_trait::async_trait;
use reqwest::Method;
use serde::Deserialize;
use stagedoor_domain::music::{Item, Page, SavedItem};
use stagedoor_domain::playback::Played;
use stagedoor_domain::{EntityKind, ItemRef, Provider, TenantContext};

use super::profile::PrivateUser;
use super::request::{
    MODIFY_FOLLOWS, MODIFY_LIBRARY, MODIFY_PUBLIC, READ_FOLLOWS, READ_LIBRARY, READ_PLAYLISTS, cannot, get,
    market, missing, offset, write,
};
use super::wire::{ArtistObject, CursorPaging, Paging, PlaylistObject, SavedObject};
use super::{Spotify, listening};
use crate::call::Call;
use crate::error::ProviderError;
use crate::features::{Library, TopRange};
use crate::provider::partly;
use crate::text;
use crate::types::Access;

/// Most URIs of one request.
const BATCH: usize = 40;

#[derive(Deserialize)]
struct FollowedAnswer {
    artists: CursorPaging<ArtistObject>,
}

#[async_trait]
impl Library for Spotify {
    fn service(&self) -> Provider {
        Provider::Spotify
    }

    async fn library(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        kind: EntityKind,
        limit: u32,
        page: Option<&str>,
    ) -> Result<Page<SavedItem>, ProviderError> {
        let limit = limit.clamp(1, 50).to_string();
        match kind {
            EntityKind::Track => saved(self, ctx, access, ("saved tracks", "tracks"), &limit, page).await,
            EntityKind::Album => saved(self, ctx, access, ("saved albums", "albums"), &limit, page).await,
            EntityKind::Artist => followed_artists(self, ctx, access, &limit, page).await,
            EntityKind::Playlist => followed_playlists(self, ctx, access, &limit, page).await,
            EntityKind::Mix => Err(cannot("list saved mixes")),
        }
    }

    async fn library_contains(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        items: &[ItemRef],
    ) -> Result<Vec<bool>, ProviderError> {
        check(items)?;
        let mut found = Vec::with_capacity(items.len());
        for batch in items.chunks(BATCH) {
            let (uris, scopes) =
                (uris(batch), scopes(batch, [READ_LIBRARY, READ_FOLLOWS, READ_PLAYLISTS], READ_ANY));
            let path = ["me", "library", "contains"];
            let call = Call { scopes, ..get(access, "library contains", &path, &[("uris", &uris)]) };
            let answer: Vec<bool> = self.http.json(ctx, &call).await?;
            if answer.len() != batch.len() {
                return Err(missing("the answer for each item"));
            }
            found.extend(answer);
        }
        Ok(found)
    }

    async fn library_save(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        items: &[ItemRef],
        _idempotency_key: &str,
    ) -> Result<(), ProviderError> {
        change(self, ctx, access, (Method::PUT, "save"), items).await
    }

    async fn library_remove(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        items: &[ItemRef],
        _idempotency_key: &str,
    ) -> Result<(), ProviderError> {
        change(self, ctx, access, (Method::DELETE, "remove saved"), items).await
    }

    async fn top(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        (kind, range): (EntityKind, TopRange),
        limit: u32,
        page: Option<&str>,
    ) -> Result<Page<Item>, ProviderError> {
        listening::top(self, ctx, access, (kind, range), limit, page).await
    }

    async fn recently_played(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        limit: u32,
        page: Option<&str>,
    ) -> Result<Page<Played>, ProviderError> {
        listening::recently_played(self, ctx, access, limit, page).await
    }
}

async fn saved(
    spotify: &Spotify,
    ctx: &TenantContext,
    access: &Access<'_>,
    (operation, segment): (&'static str, &str),
    limit: &str,
    page: Option<&str>,
) -> Result<Page<SavedItem>, ProviderError> {
    let offset = offset(page)?;
    let offset_text = offset.to_string();
    let mut query = vec![("limit", limit), ("offset", &offset_text)];
    query.extend(market(access));
    let call = Call { scopes: READ_LIBRARY, ..get(access, operation, &["me", segment], &query) };
    let answer: Paging<SavedObject> = spotify.http.json(ctx, &call).await?;
    Ok(answer.into_page(offset, SavedObject::into_saved))
}

/// Spotify pages them by the id of the last one, and does not say since when each is followed.
async fn followed_artists(
    spotify: &Spotify,
    ctx: &TenantContext,
    access: &Access<'_>,
    limit: &str,
    page: Option<&str>,
) -> Result<Page<SavedItem>, ProviderError> {
    let is_id = |id: &str| text::reference(Provider::Spotify, EntityKind::Artist, id).is_some();
    if page.is_some_and(|page| !is_id(page)) {
        return Err(ProviderError::InvalidPage { provider: Provider::Spotify });
    }
    let mut query = vec![("type", "artist"), ("limit", limit)];
    query.extend(page.map(|after| ("after", after)));
    let call = Call { scopes: READ_FOLLOWS, ..get(access, "followed artists", &["me", "following"], &query) };
    let FollowedAnswer { artists } = spotify.http.json(ctx, &call).await?;
    let after = |cursors: super::wire::Cursors| cursors.after.filter(|after| is_id(after));
    Ok(artists.into_page(page, after, |artist| {
        Some(SavedItem { item: Item::Artist(artist.into_artist()?), added_at: None })
    }))
}

/// Spotify lists them among the account's own, so a page can be short, or empty with more after it.
async fn followed_playlists(
    spotify: &Spotify,
    ctx: &TenantContext,
    access: &Access<'_>,
    limit: &str,
    page: Option<&str>,
) -> Result<Page<SavedItem>, ProviderError> {
    let offset = offset(page)?;
    let offset_text = offset.to_string();
    let query = [("limit", limit), ("offset", &*offset_text)];
    let list = Call { scopes: READ_PLAYLISTS, ..get(access, "playlists", &["me", "playlists"], &query) };
    let profile = get(access, "profile", &["me"], &[]);
    let (answer, user) = tokio::try_join!(
        spotify.http.json::<Paging<PlaylistObject>>(ctx, &list),
        spotify.http.json::<PrivateUser>(ctx, &profile)
    )?;
    let user = user.user_id().ok_or_else(|| missing("the account's id"))?;
    let page = answer.into_page(offset, |playlist| {
        let item = playlist.is_foreign_to(user).then(|| playlist.into_playlist()).flatten()?;
        Some(SavedItem { item: Item::Playlist(item), added_at: None })
    });
    // The total counts the account's own as well.
    Ok(Page { total: None, ..page })
}

/// Saves or removes.
async fn change(
    spotify: &Spotify,
    ctx: &TenantContext,
    access: &Access<'_>,
    (method, operation): (Method, &'static str),
    items: &[ItemRef],
) -> Result<(), ProviderError> {
    check(items)?;
    for (number, batch) in items.chunks(BATCH).enumerate() {
        let scopes = scopes(batch, [MODIFY_LIBRARY, MODIFY_FOLLOWS, MODIFY_PUBLIC], MODIFY_EACH);
        let (uris, path) = (uris(batch), ["me", "library"]);
        let call = write(access, method.clone(), operation, &path, &[("uris", &uris)], scopes);
        if let Err(cause) = spotify.http.acknowledged(ctx, &call).await {
            return Err(partly(Provider::Spotify, &items[..number * BATCH], cause));
        }
    }
    Ok(())
}

type Scopes = &'static [&'static str];

const READ_ANY: Scopes = &["user-library-read", "user-follow-read", "playlist-read-private"];
const MODIFY_EACH: Scopes = &["user-library-modify", "user-follow-modify", "playlist-modify-public"];

/// The scopes that a batch needs: of `library`, `artists` and `playlists` the one, or `any` for several kinds.
fn scopes(batch: &[ItemRef], [library, artists, playlists]: [Scopes; 3], any: Scopes) -> Scopes {
    let all = |kinds: &[EntityKind]| batch.iter().all(|item| kinds.contains(&item.kind()));
    if all(&[EntityKind::Track, EntityKind::Album]) {
        library
    } else if all(&[EntityKind::Artist]) {
        artists
    } else if all(&[EntityKind::Playlist]) {
        playlists
    } else {
        any
    }
}

fn uris(batch: &[ItemRef]) -> String {
    batch.iter().map(ItemRef::to_string).collect::<Vec<_>>().join(",")
}

fn check(items: &[ItemRef]) -> Result<(), ProviderError> {
    let foreign = |item: &&ItemRef| item.provider() != Provider::Spotify || item.kind() == EntityKind::Mix;
    items.iter().find(foreign).map_or(Ok(()), |item| Err(cannot(format!("save {item}"))))
}
