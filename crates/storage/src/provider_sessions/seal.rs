//! The seals of a session: each token bound to its column, the session's id and the revision it was written with.

use secrecy::{ExposeSecret, SecretString};
use stagedoor_crypto::envelope::{self, OpenError};
use stagedoor_crypto::{DataKey, KeyOwner, SealContext};
use stagedoor_domain::{SessionId, TenantContext, TenantId, UserId};

use crate::error::StoreError;
use crate::keys::KeyVault;
use crate::provider_apps::secret_text;

/// Both tokens of one revision, sealed.
pub(super) struct SealedTokens {
    pub(super) access_token: Vec<u8>,
    pub(super) refresh_token: Option<Vec<u8>>,
}

/// Both tokens of one revision, opened.
pub(super) struct OpenedTokens {
    pub(super) access_token: SecretString,
    pub(super) refresh_token: Option<SecretString>,
}

/// What the tokens of one session at one revision are bound to.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) tenant: TenantId,
    pub(super) session: SessionId,
    pub(super) revision: i64,
}

impl Place {
    /// Seals under a key that is open already, so that it can be done inside a transaction.
    pub(super) fn seal(
        self,
        vault: &KeyVault,
        key: &DataKey,
        access_token: &SecretString,
        refresh_token: Option<&SecretString>,
    ) -> SealedTokens {
        let seal = |column, token: &SecretString| {
            key.seal(&self.column(column), token.expose_secret().as_bytes(), vault.entropy())
        };
        SealedTokens {
            access_token: seal("access_token", access_token),
            refresh_token: refresh_token.map(|token| seal("refresh_token", token)),
        }
    }

    /// [`StoreError::Unreadable`] only where the key is at hand and the seal does not hold, or where the seal names a
    /// key that never was and the key of `user` is at hand.
    pub(super) async fn open(
        self,
        vault: &KeyVault,
        context: &TenantContext,
        user: UserId,
        sealed: &SealedTokens,
    ) -> Result<OpenedTokens, StoreError> {
        let open = async |column, sealed: &[u8], what| {
            let opened = vault.open(context, &self.column(column), sealed, what).await;
            let Err(StoreError::Missing("data key")) = opened else { return opened };
            let id = envelope::key_id(sealed).map_err(StoreError::unreadable(what))?;
            if vault.names_no_key(context, KeyOwner::Subject(user), id).await? {
                return Err(StoreError::unreadable(what)(OpenError::OtherKey(id)));
            }
            opened
        };
        let access_token = open("access_token", &sealed.access_token, "an access token").await?;
        let refresh_token = match &sealed.refresh_token {
            None => None,
            Some(sealed) => {
                let opened = open("refresh_token", sealed, "a refresh token").await?;
                Some(secret_text(&opened, "provider_sessions.refresh_token")?)
            }
        };
        Ok(OpenedTokens {
            access_token: secret_text(&access_token, "provider_sessions.access_token")?,
            refresh_token,
        })
    }

    fn column(self, column: &'static str) -> SealContext {
        SealContext {
            tenant: self.tenant,
            table: "provider_sessions",
            column,
            row: self.session.0,
            revision: self.revision,
        }
    }
}
