//! Authorization codes: given out for a consent, good for ten minutes and one exchange (RFC 6749 §4.1.2, RFC 7636).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use sha2::{Digest as _, Sha256};
use stagedoor_domain::Provider;
use url::Url;

use super::request::{AuthorizationRequest, AuthorizeRefusal};
use crate::model::{Code, RefreshToken};
use crate::sandbox::Sandbox;
use crate::tokens::{Issued, TokenError};

/// The longest life that RFC 6749 §4.1.2 recommends.
const LIFE: TimeDelta = TimeDelta::minutes(10);

impl Sandbox {
    /// The person agreed: a code for the client.
    pub(super) fn agree(
        &self,
        request: &AuthorizationRequest,
        account_id: &str,
        scopes: Vec<String>,
    ) -> Result<Url, AuthorizeRefusal> {
        let now = self.now();
        let code = self.new_token();
        let held = Code {
            account_id: account_id.to_owned(),
            client_id: request.client_id.clone(),
            redirect_uri: request.redirect_uri.clone(),
            challenge: request.challenge.clone(),
            scopes,
            issued_at: now,
            grant: self.new_token(),
            used: false,
        };
        self.write_unsaved(|model| {
            let side = model.side_mut(request.provider);
            if !side.accounts.contains_key(account_id) {
                return Err(AuthorizeRefusal::UnknownAccount);
            }
            // A spent code is kept for a day, to end what it gave if it turns up again.
            side.codes.retain(|_, held| held.issued_at > now - TimeDelta::days(1));
            side.codes.insert(code.clone(), held);
            Ok(())
        })?;
        Ok(request.granted(&code))
    }

    /// The tokens for a code. Whatever comes of it, the code is spent; its second use ends what the first one gave.
    pub(crate) fn exchange_code(
        &self,
        provider: Provider,
        client: &str,
        code: &str,
        redirect_uri: &str,
        verifier: &str,
    ) -> Result<Issued, TokenError> {
        let now = self.now();
        self.write(|model| {
            let side = model.side_mut(provider);
            let of_client = side.codes.get_mut(code).filter(|held| held.client_id == client);
            let Some(held) = of_client else {
                return Err(TokenError::new("invalid_grant", "Invalid authorization code"));
            };
            let used_before = std::mem::replace(&mut held.used, true);
            let held = held.clone();
            if used_before {
                side.end_grants(|_, _, grant| grant == held.grant);
                return Err(TokenError::new("invalid_grant", "Authorization code was used before"));
            }
            if held.issued_at + LIFE <= now {
                return Err(TokenError::new("invalid_grant", "Authorization code expired"));
            }
            if held.redirect_uri != redirect_uri {
                return Err(TokenError::new("invalid_grant", "Invalid redirect URI"));
            }
            if held.challenge != URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes())) {
                return Err(TokenError::new("invalid_grant", "code_verifier was incorrect"));
            }
            let first = RefreshToken {
                account_id: held.account_id,
                client_id: held.client_id,
                scopes: held.scopes,
                authorized_at: now,
                dies_at: None,
                grant: held.grant,
            };
            Ok(self.begin_grant(side, first))
        })
    }
}
