//! What changes while the sandbox runs: apps, accounts, tokens and playlists, one set a provider.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use stagedoor_domain::Provider;

use crate::library::{Kept, Library};
use crate::player::Player;
use crate::playlist::Playlist;

/// Both providers' state. Serialised as it is into the state file.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Model {
    pub(crate) spotify: Side,
    pub(crate) tidal: Side,
}

/// One provider's state.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Side {
    /// By client id.
    pub(crate) apps: BTreeMap<String, App>,
    /// By account id.
    pub(crate) accounts: BTreeMap<String, Account>,
    /// By token.
    pub(crate) refresh_tokens: BTreeMap<String, RefreshToken>,
    /// By playlist id.
    pub(crate) playlists: BTreeMap<String, Playlist>,
    /// Playlists of others that an account keeps in its collection, by account id.
    pub(crate) collections: BTreeMap<String, Vec<Collected>>,
    /// Tracks, albums and artists that an account keeps, by account id.
    pub(crate) libraries: BTreeMap<String, Library>,
    /// Titles of the episodes that there are, by id; Spotify only.
    pub(crate) episodes: BTreeMap<String, String>,
    /// What plays where, by account id; Spotify only.
    pub(crate) players: BTreeMap<String, Player>,
    /// By token. Not kept across restarts: clients then refresh, as after an outage.
    #[serde(skip)]
    pub(crate) access_tokens: HashMap<String, AccessToken>,
    /// By code. Not kept across restarts: they live for minutes.
    #[serde(skip)]
    pub(crate) codes: HashMap<String, Code>,
    /// What answers to authorization requests name as `iss` (RFC 9207); `None` leaves it out.
    #[serde(skip)]
    pub(crate) issuer: Option<String>,
    /// The provider's own playlists; made anew from the seed.
    #[serde(skip)]
    pub(crate) editorial: BTreeMap<String, Playlist>,
}

/// A registered application.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct App {
    /// `None` for a public client.
    pub(crate) client_secret: Option<String>,
    /// As they were registered; compared character by character (RFC 9700 §2.1).
    #[serde(default)]
    pub(crate) redirect_uris: Vec<String>,
    #[serde(default)]
    pub(crate) mode: AppMode,
}

/// What an application may do at Spotify; of no meaning at Tidal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AppMode {
    /// Ten hits a search, and the items of the person's own playlists only.
    #[default]
    Development,
    /// Fifty hits a search, and the items of anyone's public playlists.
    Extended,
}

/// What a person pays for at Spotify; of no meaning at Tidal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Plan {
    /// Players take commands.
    #[default]
    Premium,
    /// Players take none.
    Free,
}

/// A person's account.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Account {
    /// What accounts are linked by: Spotify's `account_id`, Tidal's user id.
    #[expect(clippy::struct_field_names, reason = "`id` would be taken for the user id beside it")]
    pub(crate) account_id: String,
    /// What playlists name their owner by; the same as `account_id` at Tidal.
    pub(crate) user_id: String,
    pub(crate) display_name: String,
    /// ISO 3166-1 alpha-2.
    pub(crate) country: String,
    #[serde(default)]
    pub(crate) plan: Plan,
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct RefreshToken {
    pub(crate) account_id: String,
    pub(crate) client_id: String,
    pub(crate) scopes: Vec<String>,
    /// When the person first agreed; refreshing does not move it.
    pub(crate) authorized_at: DateTime<Utc>,
    /// Set once it was replaced by another but is still good for a while.
    pub(crate) dies_at: Option<DateTime<Utc>>,
    /// The consent that it and its successors come from. State files of before hold none.
    #[serde(default)]
    pub(crate) grant: String,
}

/// An authorization code (RFC 6749 §4.1.2), kept after its use so that a second one is noticed.
#[derive(Clone)]
pub(crate) struct Code {
    pub(crate) account_id: String,
    pub(crate) client_id: String,
    pub(crate) redirect_uri: String,
    /// RFC 7636 §4.2, `S256`.
    pub(crate) challenge: String,
    pub(crate) scopes: Vec<String>,
    pub(crate) issued_at: DateTime<Utc>,
    pub(crate) grant: String,
    pub(crate) used: bool,
}

#[derive(Clone)]
pub(crate) struct AccessToken {
    pub(crate) client_id: String,
    /// `None` for a client-credentials token.
    pub(crate) grant: Option<String>,
    /// `None` for a client-credentials token.
    pub(crate) account_id: Option<String>,
    pub(crate) scopes: Vec<String>,
    pub(crate) expires_at: DateTime<Utc>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Collected {
    pub(crate) playlist_id: String,
    pub(crate) added_at: DateTime<Utc>,
}

impl From<&Collected> for Kept {
    fn from(collected: &Collected) -> Self {
        Self { id: collected.playlist_id.clone(), added_at: collected.added_at }
    }
}

impl Model {
    pub(crate) fn side(&self, provider: Provider) -> &Side {
        match provider {
            Provider::Spotify => &self.spotify,
            Provider::Tidal => &self.tidal,
        }
    }

    pub(crate) fn side_mut(&mut self, provider: Provider) -> &mut Side {
        match provider {
            Provider::Spotify => &mut self.spotify,
            Provider::Tidal => &mut self.tidal,
        }
    }

    /// Brings a document of an older sandbox up to date: each refresh token of it stands for a consent of its own.
    pub(crate) fn upgrade(&mut self) {
        for side in [&mut self.spotify, &mut self.tidal] {
            for (token, held) in &mut side.refresh_tokens {
                if held.grant.is_empty() {
                    held.grant.clone_from(token);
                }
            }
        }
    }
}

impl Side {
    /// A playlist of a person or of the provider itself.
    pub(crate) fn playlist(&self, id: &str) -> Option<&Playlist> {
        self.playlists.get(id).or_else(|| self.editorial.get(id))
    }

    /// Ends every code and token that `ends` picks by account, client and consent.
    pub(crate) fn end_grants(&mut self, ends: impl Fn(&str, &str, &str) -> bool) {
        self.codes.retain(|_, held| !ends(&held.account_id, &held.client_id, &held.grant));
        self.refresh_tokens.retain(|_, held| !ends(&held.account_id, &held.client_id, &held.grant));
        self.access_tokens.retain(|_, held| match (&held.account_id, &held.grant) {
            (Some(account), Some(grant)) => !ends(account, &held.client_id, grant),
            _ => true,
        });
    }

    /// The name of a playlist's owner; the provider's own playlists belong to no account.
    pub(crate) fn owner_of(&self, playlist: &Playlist) -> Option<&Account> {
        self.accounts.get(&playlist.owner)
    }
}
