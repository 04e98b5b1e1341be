//! The trait that tools call, and the pair of providers behind it.

use std::sync::Arc;

use async_trait::async_trait;
use secrecy::SecretString;
use stagedoor_domain::music::{Album, Artist, Page, Playlist, PlaylistItem, Track};
use stagedoor_domain::{EntityKind, ItemRef, Provider, TenantContext};
use url::Url;

use crate::account::{Profile, Revocation};
use crate::authorization::AuthorizationRequest;
use crate::broker::{BrokerCounters, Standing};
use crate::error::ProviderError;
use crate::features::{Discovery, Library, Player, PlaylistEdits};
use crate::http::ProviderHttp;
use crate::spotify::Spotify;
use crate::tidal::Tidal;
use crate::types::{Access, NewPlaylist, ProviderApp, SearchQuery, SearchResults, TokenGrant};

/// A music service. Every call takes the tenant's context first. A `page` is a `Page::next` of an earlier
/// answer of the same method; anything else is `ProviderError::InvalidPage`. A `limit` is an upper bound: a page
/// can be shorter without being the last.
#[async_trait]
pub trait MusicProvider: Discovery + PlaylistEdits + Library + Player {
    /// Searches the catalogue.
    async fn search(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        query: &SearchQuery<'_>,
    ) -> Result<SearchResults, ProviderError>;

    /// One track.
    async fn track(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        item: &ItemRef,
    ) -> Result<Track, ProviderError>;

    /// One album with its first page of tracks.
    async fn album(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        item: &ItemRef,
    ) -> Result<Album, ProviderError>;

    /// One artist.
    async fn artist(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        item: &ItemRef,
    ) -> Result<Artist, ProviderError>;

    /// The tracks that carry an ISRC (12 characters, upper case); reissues make it several.
    async fn tracks_by_isrc(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        isrc: &str,
    ) -> Result<Vec<Track>, ProviderError>;

    /// The albums that carry a UPC or EAN (digits only).
    async fn albums_by_upc(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        upc: &str,
    ) -> Result<Vec<Album>, ProviderError>;

    /// The account's own playlists.
    async fn playlists(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        limit: u32,
        page: Option<&str>,
    ) -> Result<Page<Playlist>, ProviderError>;

    /// One playlist and a page of its items.
    async fn playlist(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        item: &ItemRef,
        limit: u32,
        page: Option<&str>,
    ) -> Result<(Playlist, Page<PlaylistItem>), ProviderError>;

    /// Makes a playlist. `idempotency_key` is 1–100 visible ASCII characters; only Tidal honours it.
    async fn create_playlist(
        &self,
        ctx: &TenantContext,
        access: &Access<'_>,
        playlist: &NewPlaylist<'_>,
        idempotency_key: &str,
    ) -> Result<Playlist, ProviderError>;

    /// A new access token for a refresh token (RFC 6749 §6).
    async fn refresh(
        &self,
        ctx: &TenantContext,
        app: &ProviderApp,
        refresh_token: &SecretString,
    ) -> Result<TokenGrant, ProviderError>;

    /// A token of the client itself, for catalogue calls (RFC 6749 §4.4).
    async fn client_credentials(
        &self,
        ctx: &TenantContext,
        app: &ProviderApp,
    ) -> Result<TokenGrant, ProviderError>;

    /// The address to send a person's browser to for consent (RFC 6749 §4.1.1, RFC 7636 §4.3). Asks nobody.
    fn authorize_url(&self, app: &ProviderApp, request: &AuthorizationRequest<'_>) -> Url;

    /// What `iss` in the answer to an authorization request must equal, where it is there (RFC 9207 §2.4).
    fn issuer(&self, app: &ProviderApp) -> String;

    /// The tokens for an authorization code (RFC 6749 §4.1.3, RFC 7636 §4.5). Sent once: a code works once, and
    /// after an answer that was lost it is spent. `redirect_uri` is the one of the authorization request. A dead,
    /// foreign or spent code is `ProviderError::InvalidGrant`. The answer may lack a refresh token and the scopes.
    async fn exchange_code(
        &self,
        ctx: &TenantContext,
        app: &ProviderApp,
        code: &SecretString,
        verifier: &SecretString,
        redirect_uri: &Url,
    ) -> Result<TokenGrant, ProviderError>;

    /// Whose account the access's token stands for; the country only as far as its scopes allow.
    async fn profile(&self, ctx: &TenantContext, access: &Access<'_>) -> Result<Profile, ProviderError>;

    /// Ends the grant behind a refresh token, or at least an access token, at the provider (RFC 7009).
    async fn revoke(
        &self,
        ctx: &TenantContext,
        app: &ProviderApp,
        token: &SecretString,
    ) -> Result<Revocation, ProviderError>;
}

/// Every provider there is, over one HTTP client. Cheap to clone.
#[derive(Clone)]
pub struct Providers {
    http: Arc<ProviderHttp>,
    spotify: Arc<dyn MusicProvider>,
    tidal: Arc<dyn MusicProvider>,
}

impl Providers {
    /// The providers over `http`.
    pub fn new(http: ProviderHttp) -> Self {
        let http = Arc::new(http);
        let spotify = Arc::new(Spotify::new(Arc::clone(&http)));
        let tidal = Arc::new(Tidal::new(Arc::clone(&http)));
        Self { http, spotify, tidal }
    }

    /// The one of that name.
    pub fn get(&self, provider: Provider) -> &dyn MusicProvider {
        match provider {
            Provider::Spotify => self.spotify.as_ref(),
            Provider::Tidal => self.tidal.as_ref(),
        }
    }

    /// Whether work that nobody waits for should leave the app alone: the provider asked to wait, its refusals taught a
    /// pace, or calls are waiting.
    pub fn pressed(&self, ctx: &TenantContext, app: &ProviderApp) -> bool {
        let standing = self.standing(ctx, app);
        standing.waiting > 0 || standing.pace_per_second.is_some() || standing.paused_for.is_some()
    }

    /// What the line of the app's calls to the API is like, in this replica.
    pub fn standing(&self, ctx: &TenantContext, app: &ProviderApp) -> Standing {
        self.http.broker().standing(ctx, app).unwrap_or_default()
    }

    /// What the quota broker did for all apps of a provider.
    pub fn broker_counters(&self, provider: Provider) -> BrokerCounters {
        self.http.broker().counters(provider)
    }
}

/// The id of `item`, if it is a `kind` of this provider. Tools check references first; this keeps a mix-up from
/// reaching a URL.
pub(crate) fn id_of(provider: Provider, item: &ItemRef, kind: EntityKind) -> Result<&str, ProviderError> {
    if item.provider() == provider && item.kind() == kind {
        Ok(item.id())
    } else {
        Err(ProviderError::UnsupportedByProvider { provider, what: format!("use {item} as its {kind}") })
    }
}

/// The ids of `items`, if all are tracks of this provider.
pub(crate) fn track_ids(provider: Provider, items: &[ItemRef]) -> Result<Vec<&str>, ProviderError> {
    items.iter().map(|item| id_of(provider, item, EntityKind::Track)).collect()
}

/// The error of a write to items of which `done`, the first ones, are in; the bare cause if none is.
pub(crate) fn partly(provider: Provider, done: &[ItemRef], cause: ProviderError) -> ProviderError {
    if done.is_empty() {
        return cause;
    }
    let (added, skipped, failed_at) = (done.to_vec(), Vec::new(), done.len());
    ProviderError::PartlyDone { provider, added, skipped, failed_at, cause: Box::new(cause) }
}
