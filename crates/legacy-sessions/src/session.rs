//! The record that every format is read into: SEED-T's session schema, version 2.0, as far as a file can tell.

use std::fmt;

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use stagedoor_domain::Provider;

use crate::versions::SchemaVersion;

/// Which program's file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `session.json` of tidal-mcp.
    TidalMcp,
    /// `.env` or `.env.<profile>` of Spotify-MCP-Server.
    SpotifyEnv,
    /// `.cache*` of spotipy.
    Spotipy,
    /// A session file of tidalapi, every value wrapped in `{"data": …}`.
    Tidalapi,
    /// `spotify-config.json`.
    SpotifyConfig,
    /// SEED-T's session schema (§1.2).
    Schema(SchemaVersion),
}

/// A session, schema 2.0. What the file does not tell is `None`.
#[derive(Clone)]
pub struct Session {
    /// The service.
    pub provider: Provider,
    /// The access token.
    pub access_token: Option<SecretString>,
    /// The refresh token.
    pub refresh_token: Option<SecretString>,
    /// When the access token ends.
    pub expires_at: Option<DateTime<Utc>>,
    /// When the person consented.
    pub authorized_at: Option<DateTime<Utc>>,
    /// A time at which the person had consented already: when the file was saved, or the token given out.
    pub consented_by: Option<DateTime<Utc>>,
    /// What the grant covers, in the provider's words.
    pub scopes: Option<Vec<String>>,
    /// The provider's id of the account.
    pub provider_user_id: Option<String>,
    /// The account's market, ISO 3166-1 alpha-2.
    pub country_code: Option<String>,
    /// The client that the tokens were made for.
    pub client_id: Option<String>,
}

/// What a session lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// The access token.
    AccessToken,
    /// The refresh token.
    RefreshToken,
    /// When the access token ends.
    Expiry,
    /// The provider's id of the account.
    AccountId,
    /// The client that the tokens were made for.
    ClientId,
    /// What the grant covers.
    Scopes,
    /// When the person consented.
    ConsentTime,
}

impl Session {
    /// What the file does not tell.
    pub fn missing(&self) -> Vec<Missing> {
        let told = [
            (Missing::AccessToken, self.access_token.is_some()),
            (Missing::RefreshToken, self.refresh_token.is_some()),
            (Missing::Expiry, self.expires_at.is_some()),
            (Missing::AccountId, self.provider_user_id.is_some()),
            (Missing::ClientId, self.client_id.is_some()),
            (Missing::Scopes, self.scopes.is_some()),
            (Missing::ConsentTime, self.authorized_at.is_some()),
        ];
        told.into_iter().filter(|(_, there)| !there).map(|(missing, _)| missing).collect()
    }
}

impl Missing {
    /// The stable text form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AccessToken => "access_token",
            Self::RefreshToken => "refresh_token",
            Self::Expiry => "expires_at",
            Self::AccountId => "account_id",
            Self::ClientId => "client_id",
            Self::Scopes => "scopes",
            Self::ConsentTime => "authorized_at",
        }
    }
}

impl Format {
    /// The stable text form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TidalMcp => "tidal-mcp",
            Self::SpotifyEnv => "spotify-env",
            Self::Spotipy => "spotipy",
            Self::Tidalapi => "tidalapi",
            Self::SpotifyConfig => "spotify-config",
            Self::Schema(SchemaVersion::V1_0) => "schema-1.0",
            Self::Schema(SchemaVersion::V1_1) => "schema-1.1",
            Self::Schema(SchemaVersion::V2_0) => "schema-2.0",
        }
    }

    /// What people know it as.
    pub const fn title(self) -> &'static str {
        match self {
            Self::TidalMcp => "a session of tidal-mcp",
            Self::SpotifyEnv => "an .env file of Spotify-MCP-Server",
            Self::Spotipy => "a token cache of spotipy",
            Self::Tidalapi => "a session of tidalapi",
            Self::SpotifyConfig => "a spotify-config.json",
            Self::Schema(SchemaVersion::V1_0) => "a session of schema 1.0",
            Self::Schema(SchemaVersion::V1_1) => "a session of schema 1.1",
            Self::Schema(SchemaVersion::V2_0) => "a session of schema 2.0",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("provider", &self.provider)
            .field("has_access_token", &self.access_token.is_some())
            .field("has_refresh_token", &self.refresh_token.is_some())
            .field("expires_at", &self.expires_at)
            .field("authorized_at", &self.authorized_at)
            .field("consented_by", &self.consented_by)
            .field("scopes", &self.scopes)
            .field("provider_user_id", &self.provider_user_id)
            .field("country_code", &self.country_code)
            .field("client_id", &self.client_id)
            .finish()
    }
}
