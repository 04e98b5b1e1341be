//! How consents end before their time: taken back by the person, by the client (RFC 7009), or by order of a test.

use stagedoor_domain::Provider;

use crate::sandbox::Sandbox;
use crate::tokens::TokenError;

impl Sandbox {
    /// Ends every grant of the account, as a person does in the provider's settings.
    pub fn revoke(&self, provider: Provider, account_id: &str) {
        self.write(|model| model.side_mut(provider).end_grants(|account, _, _| account == account_id));
    }

    /// Ends what the account gave this client: codes that were not exchanged yet, access and refresh tokens.
    pub fn revoke_consent(&self, provider: Provider, account_id: &str, client_id: &str) {
        self.write(|model| {
            let ends = |account: &str, client: &str, _: &str| account == account_id && client == client_id;
            model.side_mut(provider).end_grants(ends);
        });
    }

    /// How many refresh tokens of the account are not ended, for tests of what is left of a consent.
    pub fn refresh_tokens_of(&self, provider: Provider, account_id: &str) -> usize {
        self.read(|model| {
            let tokens = model.side(provider).refresh_tokens.values();
            tokens.filter(|held| held.account_id == account_id).count()
        })
    }

    /// Ends every grant at the provider.
    pub(crate) fn revoke_all(&self, provider: Provider) {
        self.write(|model| model.side_mut(provider).end_grants(|_, _, _| true));
    }

    /// Ends one token of the client; with a refresh token all that its consent gave (RFC 7009 §2.1). An unknown
    /// token counts as ended.
    pub(crate) fn revoke_token(
        &self,
        provider: Provider,
        client: &str,
        token: &str,
    ) -> Result<(), TokenError> {
        let foreign = TokenError::new("invalid_grant", "The token was issued to another client");
        self.write(|model| {
            let side = model.side_mut(provider);
            if let Some(held) = side.refresh_tokens.get(token).cloned() {
                if held.client_id != client {
                    return Err(foreign);
                }
                side.end_grants(|_, _, grant| grant == held.grant);
            } else if let Some(held) = side.access_tokens.get(token) {
                if held.client_id != client {
                    return Err(foreign);
                }
                side.access_tokens.remove(token);
            }
            Ok(())
        })
    }
}
