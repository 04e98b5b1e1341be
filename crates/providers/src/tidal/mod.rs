//! Tidal over its API v2 (JSON:API). Related resources come along by `include`, so a call is one request; lengths of
//! pages are Tidal's choice.

mod added;
mod contents;
mod discovery;
mod document;
mod duration;
mod edits;
mod library;
mod paging;
mod plan;
mod playlists;
mod profile;
mod relationship;
mod request;
mod search;
mod wire;

use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use secrecy::SecretString;
use stagedoor_domain::music::{Album, Artist, Page, Playlist, PlaylistItem, Track};
use stagedoor_domain::{EntityKind, ItemRef, Provider, TenantContext};
use url::Url;

use crate::account::{Profile, Revocation};
use crate::authorization::{self, AuthorizationRequest};
use crate::call::address;
use crate::error::ProviderError;
use crate::features::Player;
use crate::http::ProviderHttp;
use crate::oauth::{self, GrantType};
use crate::provider::{MusicProvider, id_of};
use crate::types::{Access, NewPlaylist, ProviderApp, SearchQuery, SearchResults, TokenGrant};
use document::{Document, Resource};
use request::{get, missing};

/// Tidal asks for consent on another host than the one that gives out tokens.
static LOGIN: LazyLock<Url> =
    LazyLock::new(|| Url::parse("https://login.tidal.com/authorize").expect("a constant that is an address"));

pub(crate) struct Tidal {
    http: Arc<ProviderHttp>,
}

impl Tidal {
    pub(crate) fn new(http: Arc<ProviderHttp>) -> Self {
        Self { http }
    }
}

impl Player for Tidal {
    fn service(&self) -> Provider {
        Provider::Tidal
    }
}

#[async_trait]
impl MusicProvider for Tidal {
    async fn search(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        query: &SearchQuery<'_>,
    ) -> Result<SearchResults, ProviderError> {
        search::search(self, ctx, access, query).await
    }

    async fn track(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        item: &ItemRef,
    ) -> Result<Track, ProviderError> {
        let id = id_of(Provider::Tidal, item, EntityKind::Track)?;
        let call = get(access, "track", &["tracks", id], &[("include", "artists,albums")]);
        let document: Document<Resource> = self.http.json(ctx, &call).await?;
        wire::track(&document.data, &document.included()).ok_or_else(|| missing("the track's title"))
    }

    async fn album(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        item: &ItemRef,
    ) -> Result<Album, ProviderError> {
        let id = id_of(Provider::Tidal, item, EntityKind::Album)?;
        let include = ("include", "artists,items,items.artists");
        let document: Document<Resource> =
            self.http.json(ctx, &get(access, "album", &["albums", id], &[include])).await?;
        let included = document.included();
        let mut album = wire::album(&document.data, &included).ok_or_else(|| missing("the album's title"))?;
        album.tracks = wire::album_tracks(&document.data, &album, &included);
        Ok(album)
    }

    async fn artist(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        item: &ItemRef,
    ) -> Result<Artist, ProviderError> {
        let id = id_of(Provider::Tidal, item, EntityKind::Artist)?;
        let document: Document<Resource> =
            self.http.json(ctx, &get(access, "artist", &["artists", id], &[])).await?;
        wire::artist(&document.data).ok_or_else(|| missing("the artist's name"))
    }

    async fn tracks_by_isrc(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        isrc: &str,
    ) -> Result<Vec<Track>, ProviderError> {
        let query = [("filter[isrc]", isrc), ("include", "artists,albums")];
        let document: Document<Vec<Resource>> =
            self.http.json(ctx, &get(access, "tracks by ISRC", &["tracks"], &query)).await?;
        let included = document.included();
        Ok(document.data.iter().filter_map(|resource| wire::track(resource, &included)).collect())
    }

    async fn albums_by_upc(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        upc: &str,
    ) -> Result<Vec<Album>, ProviderError> {
        let query = [("filter[barcodeId]", upc), ("include", "artists")];
        let document: Document<Vec<Resource>> =
            self.http.json(ctx, &get(access, "albums by UPC", &["albums"], &query)).await?;
        let included = document.included();
        Ok(document.data.iter().filter_map(|resource| wire::album(resource, &included)).collect())
    }

    async fn playlists(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        limit: u32,
        page: Option<&str>,
    ) -> Result<Page<Playlist>, ProviderError> {
        playlists::list(self, ctx, access, limit, page).await
    }

    async fn playlist(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        item: &ItemRef,
        limit: u32,
        page: Option<&str>,
    ) -> Result<(Playlist, Page<PlaylistItem>), ProviderError> {
        playlists::read(self, ctx, access, item, limit, page).await
    }

    async fn create_playlist(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        playlist: &NewPlaylist<'_>,
        idempotency_key: &str,
    ) -> Result<Playlist, ProviderError> {
        playlists::create(self, ctx, access, playlist, idempotency_key).await
    }

    async fn refresh(
        &self,
        ctx: &TenantContext,
        app: &ProviderApp,
        refresh_token: &SecretString,
    ) -> Result<TokenGrant, ProviderError> {
        let grant_type = GrantType::RefreshToken(refresh_token);
        oauth::token(&self.http, ctx, app, endpoint(app), grant_type).await
    }

    async fn client_credentials(
        &self,
        ctx: &TenantContext,
        app: &ProviderApp,
    ) -> Result<TokenGrant, ProviderError> {
        oauth::token(&self.http, ctx, app, endpoint(app), GrantType::ClientCredentials).await
    }

    fn authorize_url(&self, app: &ProviderApp, request: &AuthorizationRequest<'_>) -> Url {
        let base = app.authorize_url.as_ref().unwrap_or(&LOGIN);
        authorization::address(base, app, request, &[])
    }

    fn issuer(&self, app: &ProviderApp) -> String {
        authorization::issuer(&address(&app.auth_base, &["v1"], &[]))
    }

    async fn exchange_code(
        &self,
        ctx: &TenantContext,
        app: &ProviderApp,
        code: &SecretString,
        verifier: &SecretString,
        redirect_uri: &Url,
    ) -> Result<TokenGrant, ProviderError> {
        let grant_type = GrantType::AuthorizationCode { code, verifier, redirect_uri };
        oauth::token(&self.http, ctx, app, endpoint(app), grant_type).await
    }

    async fn profile(&self, ctx: &TenantContext, access: &Access<'_>) -> Result<Profile, ProviderError> {
        // The operation takes no country, which `get` would add.
        let access = Access { country: None, ..*access };
        let document: Document<Resource> =
            self.http.json(ctx, &get(&access, "profile", &["users", "me"], &[])).await?;
        profile::profile(&document.data).ok_or_else(|| missing("the account's id"))
    }

    async fn revoke(
        &self,
        ctx: &TenantContext,
        app: &ProviderApp,
        token: &SecretString,
    ) -> Result<Revocation, ProviderError> {
        let endpoint = address(&app.auth_base, &["v1", "oauth2", "revoke"], &[]);
        oauth::revoke(&self.http, ctx, app, endpoint, token).await
    }
}

fn endpoint(app: &ProviderApp) -> Url {
    address(&app.auth_base, &["v1", "oauth2", "token"], &[])
}
