//! Spotify over its Web API, contract of May 2026. Both modes use the same paths; the mode only sets how many search
//! results a call may ask for. Nothing that development mode lacks is called.

mod contents;
mod discovery;
mod editing;
mod edits;
mod library;
mod listening;
mod plan;
mod player;
mod playlists;
mod profile;
mod request;
mod search;
mod wire;

use std::sync::Arc;

use async_trait::async_trait;
use secrecy::SecretString;
use stagedoor_domain::music::{Album, Artist, Page, Playlist, PlaylistItem, Track};
use stagedoor_domain::{EntityKind, ItemRef, Provider, TenantContext};
use url::Url;

use crate::account::{Profile, Revocation};
use crate::authorization::{self, AuthorizationRequest};
use crate::call::address;
use crate::error::ProviderError;
use crate::http::ProviderHttp;
use crate::oauth::{self, GrantType};
use crate::provider::{MusicProvider, id_of};
use crate::types::{Access, NewPlaylist, ProviderApp, SearchQuery, SearchResults, TokenGrant};
use profile::PrivateUser;
use request::{get, market, missing};
use wire::{AlbumObject, ArtistObject, TrackObject};

/// Where a person removes an app's access.
const REMOVE_AT: &str = "https://www.spotify.com/account/apps/";

pub(crate) struct Spotify {
    http: Arc<ProviderHttp>,
}

impl Spotify {
    pub(crate) fn new(http: Arc<ProviderHttp>) -> Self {
        Self { http }
    }
}

#[async_trait]
impl MusicProvider for Spotify {
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
        let id = id_of(Provider::Spotify, item, EntityKind::Track)?;
        let query: Vec<_> = market(access).into_iter().collect();
        let answer: TrackObject = self.http.json(ctx, &get(access, "track", &["tracks", id], &query)).await?;
        answer.into_track().ok_or_else(|| missing("the track's id or name"))
    }

    async fn album(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        item: &ItemRef,
    ) -> Result<Album, ProviderError> {
        let id = id_of(Provider::Spotify, item, EntityKind::Album)?;
        let query: Vec<_> = market(access).into_iter().collect();
        let answer: AlbumObject = self.http.json(ctx, &get(access, "album", &["albums", id], &query)).await?;
        answer.into_album().ok_or_else(|| missing("the album's id or name"))
    }

    async fn artist(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        item: &ItemRef,
    ) -> Result<Artist, ProviderError> {
        let id = id_of(Provider::Spotify, item, EntityKind::Artist)?;
        let answer: ArtistObject = self.http.json(ctx, &get(access, "artist", &["artists", id], &[])).await?;
        answer.into_artist().ok_or_else(|| missing("the artist's id or name"))
    }

    async fn tracks_by_isrc(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        isrc: &str,
    ) -> Result<Vec<Track>, ProviderError> {
        let page = search::fetch_tracks(self, ctx, access, &format!("isrc:{isrc}")).await?;
        let tracks = page.into_page(0, TrackObject::into_track).items;
        // The search may answer with lookalikes; a track that names another code is none of them.
        Ok(tracks.into_iter().filter(|track| track.isrc.as_deref().is_none_or(|code| code == isrc)).collect())
    }

    async fn albums_by_upc(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        upc: &str,
    ) -> Result<Vec<Album>, ProviderError> {
        let page = search::fetch_albums(self, ctx, access, &format!("upc:{upc}")).await?;
        let albums = page.into_page(0, AlbumObject::into_album).items;
        let same = |code: &str| code.trim_start_matches('0') == upc.trim_start_matches('0');
        Ok(albums.into_iter().filter(|album| album.upc.as_deref().is_none_or(same)).collect())
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
        _idempotency_key: &str,
    ) -> Result<Playlist, ProviderError> {
        playlists::create(self, ctx, access, playlist).await
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
        let own = || address(&app.auth_base, &["authorize"], &[]);
        let base = app.authorize_url.clone().unwrap_or_else(own);
        // Without it Spotify does not ask again, and a person could not choose another account.
        authorization::address(&base, app, request, &[("show_dialog", "true")])
    }

    fn issuer(&self, app: &ProviderApp) -> String {
        authorization::issuer(&app.auth_base)
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
        let answer: PrivateUser = self.http.json(ctx, &get(access, "profile", &["me"], &[])).await?;
        answer.into_profile().ok_or_else(|| missing("the account's id"))
    }

    async fn revoke(
        &self,
        _ctx: &TenantContext,
        _app: &ProviderApp,
        _token: &SecretString,
    ) -> Result<Revocation, ProviderError> {
        // Spotify publishes no revocation endpoint.
        Ok(Revocation::Unsupported { remove_at: Some(REMOVE_AT) })
    }
}

fn endpoint(app: &ProviderApp) -> Url {
    address(&app.auth_base, &["api", "token"], &[])
}
