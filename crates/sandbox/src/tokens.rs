//! Grants: what a person agreed to, the access and refresh tokens that stand for it, and how they end.

use std::fmt;

use axum::http::StatusCode;
use chrono::{DateTime, Months, TimeDelta, Utc};
use serde::Serialize;
use stagedoor_domain::Provider;

use crate::config::RefreshRotation;
use crate::model::{AccessToken, Account, AppMode, RefreshToken, Side};
use crate::sandbox::Sandbox;
use crate::text::hex;

/// Spotify's refresh tokens die this long after the first authorisation, refreshed or not.
const SPOTIFY_GRANT_LIFE: Months = Months::new(6);

/// What a completed authorisation yields.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Grant {
    /// The bearer token for the API.
    pub access_token: String,
    /// The token for `grant_type=refresh_token`.
    pub refresh_token: String,
    /// When the access token stops being accepted.
    pub expires_at: DateTime<Utc>,
    /// What it allows.
    pub scopes: Vec<String>,
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant")
            .field("expires_at", &self.expires_at)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

/// Who presents an access token.
#[derive(Debug, Clone)]
pub(crate) struct Bearer {
    /// `None` for a client-credentials token.
    pub(crate) account: Option<Account>,
    pub(crate) scopes: Vec<String>,
    /// What the application may do.
    pub(crate) mode: AppMode,
}

impl Bearer {
    pub(crate) fn account_id(&self) -> Option<&str> {
        self.account.as_ref().map(|account| account.account_id.as_str())
    }

    pub(crate) fn has_scope(&self, scope: &str) -> bool {
        self.scopes.iter().any(|held| held == scope)
    }
}

/// Why an access token is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BearerError {
    Missing,
    Invalid,
    Expired,
}

/// What the token endpoint answers, before it is written in the provider's words.
pub(crate) struct Issued {
    pub(crate) access_token: String,
    pub(crate) refresh_token: Option<String>,
    pub(crate) expires_in: u64,
    pub(crate) scopes: Vec<String>,
    pub(crate) account_id: Option<String>,
}

/// Why the token endpoint refuses (RFC 6749 §5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TokenError {
    pub(crate) status: StatusCode,
    pub(crate) error: &'static str,
    pub(crate) description: &'static str,
}

impl TokenError {
    pub(crate) const fn new(error: &'static str, description: &'static str) -> Self {
        Self { status: StatusCode::BAD_REQUEST, error, description }
    }
}

impl Sandbox {
    /// Who the `Authorization` header stands for.
    pub(crate) fn bearer(&self, provider: Provider, header: Option<&str>) -> Result<Bearer, BearerError> {
        let header = header.ok_or(BearerError::Missing)?;
        let (scheme, token) = header.split_once(' ').ok_or(BearerError::Invalid)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(BearerError::Invalid);
        }
        let now = self.now();
        self.read(|model| {
            let side = model.side(provider);
            let held = side.access_tokens.get(token.trim()).ok_or(BearerError::Invalid)?;
            if held.expires_at <= now {
                return Err(BearerError::Expired);
            }
            let account = match &held.account_id {
                Some(id) => Some(side.accounts.get(id).cloned().ok_or(BearerError::Invalid)?),
                None => None,
            };
            let mode = side.apps.get(&held.client_id).map(|app| app.mode).unwrap_or_default();
            Ok(Bearer { account, scopes: held.scopes.clone(), mode })
        })
    }

    /// A token for the application itself, which sees the catalogue only.
    pub(crate) fn issue_for_client(&self, provider: Provider, client: &str) -> Issued {
        let token = self.new_token();
        let held = AccessToken {
            client_id: client.to_owned(),
            grant: None,
            account_id: None,
            scopes: Vec::new(),
            expires_at: self.now() + self.token_lifetime(),
        };
        self.write_unsaved(|model| self.keep_access_token(model.side_mut(provider), token.clone(), held));
        Issued {
            access_token: token,
            refresh_token: None,
            expires_in: self.config().token_lifetime.as_secs(),
            scopes: Vec::new(),
            account_id: None,
        }
    }

    /// A new access token for a refresh token, and a new refresh token if the sandbox rotates.
    pub(crate) fn refresh(
        &self,
        provider: Provider,
        client: &str,
        token: &str,
    ) -> Result<Issued, TokenError> {
        let now = self.now();
        let (rotated, access_token) = (self.new_token(), self.new_token());
        let rotation = self.config().rotation;
        let used = self.write(|model| {
            let side = model.side_mut(provider);
            let held = side
                .refresh_tokens
                .get(token)
                .filter(|held| held.client_id == client && !is_dead(provider, held, now));
            let Some(held) = held.cloned() else {
                return Err(TokenError::new("invalid_grant", "Invalid refresh token"));
            };
            match rotation {
                RefreshRotation::Keep => {}
                RefreshRotation::Replace => {
                    side.refresh_tokens.remove(token);
                }
                RefreshRotation::ReplaceWithGrace(grace) => {
                    let dies_at = now + TimeDelta::from_std(grace).unwrap_or(TimeDelta::MAX);
                    let old = RefreshToken { dies_at: held.dies_at.or(Some(dies_at)), ..held.clone() };
                    side.refresh_tokens.insert(token.to_owned(), old);
                }
            }
            if rotation != RefreshRotation::Keep {
                side.refresh_tokens.insert(rotated.clone(), RefreshToken { dies_at: None, ..held.clone() });
            }
            self.keep_access_token(side, access_token.clone(), self.access_of(&held));
            Ok(held)
        })?;
        let refresh_token = (rotation != RefreshRotation::Keep).then_some(rotated);
        Ok(self.issued(access_token, refresh_token, used))
    }

    /// Checks a client's id and, where it gave one, its secret. A public client (PKCE) gives none.
    pub(crate) fn check_client(
        &self,
        provider: Provider,
        id: &str,
        secret: Option<&str>,
    ) -> Result<(), TokenError> {
        let known = self.read(|model| model.side(provider).apps.get(id).cloned());
        let refused = |description| Err(TokenError::new("invalid_client", description));
        match (known, secret) {
            (None, _) => refused("Invalid client"),
            (Some(app), Some(secret)) if app.client_secret.as_deref() != Some(secret) => {
                refused("Invalid client secret")
            }
            (Some(_), _) => Ok(()),
        }
    }

    /// Whether a client that has a secret gave one (RFC 6749 §4.1.3: confidential clients must).
    pub(crate) fn check_proof(
        &self,
        provider: Provider,
        id: &str,
        secret: Option<&str>,
    ) -> Result<(), TokenError> {
        let app = self.read(|model| model.side(provider).apps.get(id).cloned());
        if secret.is_none() && app.is_some_and(|app| app.client_secret.is_some()) {
            return Err(TokenError::new("invalid_client", "Invalid client secret"));
        }
        Ok(())
    }

    pub(crate) fn new_grant(
        &self,
        provider: Provider,
        account: &str,
        client: &str,
        scopes: Vec<String>,
    ) -> Grant {
        let held = RefreshToken {
            account_id: account.to_owned(),
            client_id: client.to_owned(),
            scopes,
            authorized_at: self.now(),
            dies_at: None,
            grant: self.new_token(),
        };
        let issued = self.write(|model| self.begin_grant(model.side_mut(provider), held.clone()));
        Grant {
            access_token: issued.access_token,
            refresh_token: issued.refresh_token.unwrap_or_default(),
            expires_at: held.authorized_at + self.token_lifetime(),
            scopes: issued.scopes,
        }
    }

    /// The first tokens of a consent.
    pub(crate) fn begin_grant(&self, side: &mut Side, held: RefreshToken) -> Issued {
        let (access_token, refresh_token) = (self.new_token(), self.new_token());
        side.refresh_tokens.insert(refresh_token.clone(), held.clone());
        self.keep_access_token(side, access_token.clone(), self.access_of(&held));
        self.issued(access_token, Some(refresh_token), held)
    }

    /// 64 hexadecimal digits.
    pub(crate) fn new_token(&self) -> String {
        let mut random = [0_u8; 32];
        self.config().entropy.fill(&mut random);
        hex(&random)
    }

    fn issued(&self, access_token: String, refresh_token: Option<String>, held: RefreshToken) -> Issued {
        Issued {
            access_token,
            refresh_token,
            expires_in: self.config().token_lifetime.as_secs(),
            scopes: held.scopes,
            account_id: Some(held.account_id),
        }
    }

    fn access_of(&self, held: &RefreshToken) -> AccessToken {
        AccessToken {
            client_id: held.client_id.clone(),
            grant: Some(held.grant.clone()),
            account_id: Some(held.account_id.clone()),
            scopes: held.scopes.clone(),
            expires_at: self.now() + self.token_lifetime(),
        }
    }

    fn keep_access_token(&self, side: &mut Side, token: String, held: AccessToken) {
        let now = self.now();
        // Long runs must not grow without bound; what died a day ago is forgotten, and then merely invalid.
        side.access_tokens.retain(|_, held| held.expires_at > now - TimeDelta::days(1));
        side.access_tokens.insert(token, held);
    }
}

fn is_dead(provider: Provider, held: &RefreshToken, now: DateTime<Utc>) -> bool {
    held.dies_at.is_some_and(|dies_at| dies_at <= now)
        || (provider == Provider::Spotify && held.authorized_at + SPOTIFY_GRANT_LIFE <= now)
}
