//! What goes into a provider call and what comes out of it, besides the music model of `domain`.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use stagedoor_domain::music::{Album, Artist, Page, Playlist, Track};
use stagedoor_domain::reference::EntityKindSet;
use stagedoor_domain::{Clock, ItemRef, Provider, ProviderAppId};
use url::Url;

/// Which shape of Spotify's Web API an app is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpotifyMode {
    /// Development mode as of February 2026: no batch gets, at most 10 search results a call.
    #[default]
    Development,
    /// Extended quota: at most 50 search results a call.
    Extended,
}

/// A tenant's own client at a provider.
#[derive(Clone)]
pub struct ProviderApp {
    /// Our id of it.
    pub id: ProviderAppId,
    /// Whose client it is.
    pub provider: Provider,
    /// The client id that the provider gave out.
    pub client_id: String,
    /// The client secret; `None` for a public client (PKCE only).
    pub client_secret: Option<SecretString>,
    /// Where the API is, version included: `https://api.spotify.com/v1`, `https://openapi.tidal.com/v2`.
    pub api_base: Url,
    /// Where tokens are given out: `https://accounts.spotify.com`, `https://auth.tidal.com`.
    pub auth_base: Url,
    /// Where people are asked for consent; `None` is the provider's own page.
    pub authorize_url: Option<Url>,
    /// Which shape of Spotify's API the app is given; Tidal ignores it.
    pub mode: SpotifyMode,
}

impl fmt::Debug for ProviderApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderApp")
            .field("id", &self.id)
            .field("provider", &self.provider)
            .field("client_id", &self.client_id)
            .field("api_base", &self.api_base.as_str())
            .finish_non_exhaustive()
    }
}

/// When a call must have ended, in the clock's own `elapsed` time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Duration);

impl Deadline {
    /// The deadline `wait` from now.
    pub fn after(clock: &dyn Clock, wait: Duration) -> Self {
        Self(clock.elapsed().saturating_add(wait))
    }

    /// The deadline at a point of `Clock::elapsed`.
    pub const fn at(elapsed: Duration) -> Self {
        Self(elapsed)
    }

    /// When that is, in `Clock::elapsed` time.
    pub(crate) const fn elapsed(self) -> Duration {
        self.0
    }

    /// What is left; zero when it has passed.
    pub fn remaining(self, clock: &dyn Clock) -> Duration {
        self.0.saturating_sub(clock.elapsed())
    }
}

/// How much a call matters beside others of the same client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Urgency {
    /// Someone waits for the answer.
    #[default]
    Call,
    /// Nobody waits: it is refused, and never queued, while the client is under any pressure.
    Background,
}

/// On whose behalf a call goes out, and until when it may take.
#[derive(Clone, Copy)]
pub struct Access<'a> {
    /// The tenant's client.
    pub app: &'a ProviderApp,
    /// An access token of that client: a user's, or the client's own for catalogue calls.
    pub token: &'a SecretString,
    /// The market to see the catalogue of (ISO 3166-1 alpha-2); `None` leaves it to the provider.
    pub country: Option<&'a str>,
    /// When the answer is no longer wanted.
    pub deadline: Option<Deadline>,
    /// Whether someone waits for the answer.
    pub urgency: Urgency,
    /// Where the requests are counted that it sends.
    pub sent: Option<&'a Sent>,
}

/// How many requests were sent, those that were sent again counted again.
#[derive(Debug, Default)]
pub struct Sent(AtomicU64);

impl Sent {
    /// So many.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Access<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("app", self.app)
            .field("country", &self.country)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

/// What a token endpoint gave out (RFC 6749 §5.1).
#[derive(Clone)]
pub struct TokenGrant {
    /// The access token.
    pub access_token: SecretString,
    /// A new refresh token, if the provider rotated it; else the old one stays.
    pub refresh_token: Option<SecretString>,
    /// How long the access token lives, from when the request was sent.
    pub expires_in: Duration,
    /// The scopes granted, at most 64 of at most 100 characters; empty when the provider does not tell.
    pub scopes: Vec<String>,
    /// Whether the provider tells what it granted; if not, it granted what was asked for.
    pub scopes_told: bool,
}

impl TokenGrant {
    /// The scopes granted, when `asked` is what was asked for (RFC 6749 §5.1: an answer may leave them out if it
    /// grants just those; an empty text grants none).
    pub fn granted<'a>(&'a self, asked: &'a [String]) -> &'a [String] {
        if self.scopes_told { &self.scopes } else { asked }
    }
}

impl fmt::Debug for TokenGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenGrant")
            .field("rotated", &self.refresh_token.is_some())
            .field("expires_in", &self.expires_in)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

/// What to search for.
#[derive(Debug, Clone, Copy)]
pub struct SearchQuery<'a> {
    /// The text, in the provider's own query language.
    pub text: &'a str,
    /// The kinds wanted. With a `page`, only the kind that the page belongs to is fetched.
    pub kinds: EntityKindSet,
    /// How many of each kind, 1–50. A provider may give fewer and says so in `warnings`.
    pub limit: u32,
    /// A `Page::next` of an earlier answer to the same text.
    pub page: Option<&'a str>,
}

/// What was found. Kinds that were not asked for are empty pages; each page has its own `next`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchResults {
    /// Tracks.
    pub tracks: Page<Track>,
    /// Albums, without their tracks.
    pub albums: Page<Album>,
    /// Artists.
    pub artists: Page<Artist>,
    /// Playlists.
    pub playlists: Page<Playlist>,
    /// What the reader should know about the answer, each a sentence.
    pub warnings: Vec<String>,
}

impl SearchResults {
    /// Nothing found.
    pub fn empty() -> Self {
        Self {
            tracks: Page::last(Vec::new()),
            albums: Page::last(Vec::new()),
            artists: Page::last(Vec::new()),
            playlists: Page::last(Vec::new()),
            warnings: Vec::new(),
        }
    }
}

/// A playlist to make.
#[derive(Debug, Clone, Copy)]
pub struct NewPlaylist<'a> {
    /// Its name, not empty.
    pub name: &'a str,
    /// Its description.
    pub description: Option<&'a str>,
    /// Whether anyone may find it. Tidal has no private playlists: `false` is unlisted there.
    pub public: bool,
}

/// An item that the provider left out of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// The item.
    pub item: ItemRef,
    /// Why, in the provider's word, lower case: `not_found`; `unknown` if it does not tell.
    pub reason: String,
}
