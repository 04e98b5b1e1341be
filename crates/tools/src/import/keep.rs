//! Storing proven tokens. After a refresh they exist nowhere else, so storing is repeated until the database has them.

use std::time::Duration;

use chrono::{DateTime, Utc};
use stagedoor_domain::TenantContext;
use stagedoor_domain::error::Chain;
use stagedoor_legacy_sessions::Session;
use stagedoor_providers::grant_end;
use stagedoor_storage::StoreError;
use stagedoor_storage::linked_accounts::{self, Link, LinkOptions, LinkedAccount, NewLinkedAccount};

use super::outcome::Failure;
use super::prove::Proven;
use super::{ImportOutcome, ImportRequest, Imported, Importer, Reason, is_usable};

impl Importer {
    pub(super) async fn keep(
        &self,
        ctx: &TenantContext,
        request: &ImportRequest<'_>,
        proven: Proven,
        digest: [u8; 32],
    ) -> Result<Imported, Failure> {
        let (session, id) = (request.session, &proven.profile.account_id);
        if session.provider_user_id.as_ref().is_some_and(|told| told != id) {
            let refused = Imported::not_usable(&Reason::OtherAccount);
            return Ok(Imported { warnings: rotation(&proven).into_iter().collect(), ..refused });
        }
        let until = self.clock.elapsed() + self.patience;
        let existing = loop {
            match self.account(ctx, request.user, session, id).await {
                Ok(existing) => break existing,
                Err(error) if self.wait_for_database(&error, proven.refreshed, until).await => {}
                Err(error) => return Err(lost_or_not(error, &proven)),
            }
        };
        // Tokens that a refresh brought replace those of a linked account: they are known to work, and the provider
        // may have ended the older ones with the exchange.
        if let Some(existing) = existing.as_ref().filter(|account| is_usable(account) && !proven.refreshed) {
            return Ok(Imported::already_linked(existing));
        }
        let authorized_at = authorized_at(session, existing.as_ref(), self.clock.now());
        let options = LinkOptions {
            attempt: None,
            device: None,
            principal: ctx.principal().label(),
            import: Some(digest),
            authorized_at,
        };
        match self.link(ctx, request, &proven, &options, until).await {
            Ok(link) => Ok(imported(session, proven, link)),
            // Another run with the same file was faster.
            Err(StoreError::AlreadyExists(_)) => self.after_another_run(ctx, request, &digest).await,
            Err(error) => Err(lost_or_not(error, &proven)),
        }
    }

    async fn link(
        &self,
        ctx: &TenantContext,
        request: &ImportRequest<'_>,
        proven: &Proven,
        options: &LinkOptions,
        until: Duration,
    ) -> Result<Link, StoreError> {
        let profile = &proven.profile;
        let account = NewLinkedAccount {
            user: request.user,
            provider: request.session.provider,
            provider_user_id: profile.account_id.clone(),
            label: profile.name.clone().unwrap_or_else(|| profile.account_id.clone()),
            country_code: profile.country.clone().or_else(|| request.session.country_code.clone()),
        };
        loop {
            let linked =
                linked_accounts::link(&self.vault, ctx, account.clone(), &proven.tokens, options.clone())
                    .await;
            match linked {
                Err(error) if self.wait_for_database(&error, proven.refreshed, until).await => {}
                linked => return linked,
            }
        }
    }

    /// Waits before another try to store; false if there is to be none.
    async fn wait_for_database(&self, error: &StoreError, refreshed: bool, until: Duration) -> bool {
        if !refreshed || !error.is_transient() || self.clock.elapsed() >= until {
            return false;
        }
        tracing::warn!(error = %Chain(error), "new tokens wait for the database; do not stop this process");
        self.give_up.run_until_cancelled(tokio::time::sleep(Duration::from_millis(500))).await.is_some()
    }
}

/// When the person consented: what the file says, else the earliest time by which they must have. For an account that
/// is linked already, the earlier of both, because nobody knows which of its grants ends first.
fn authorized_at(session: &Session, existing: Option<&LinkedAccount>, now: DateTime<Utc>) -> DateTime<Utc> {
    let told = session.authorized_at.or(session.consented_by).unwrap_or(now).min(now);
    let known = existing.and_then(|account| account.session.as_ref()).map(|session| session.authorized_at);
    known.map_or(told, |known| known.min(told))
}

fn imported(session: &Session, proven: Proven, link: Link) -> Imported {
    let mut warnings: Vec<String> = rotation(&proven).into_iter().collect();
    if session.authorized_at.is_none() && grant_end(session.provider, DateTime::UNIX_EPOCH).is_some() {
        warnings.push(
            "nobody knows when the person consented, so the grant may end before accounts_list says"
                .to_owned(),
        );
    }
    if proven.tokens.scopes.is_none() {
        warnings.push("nobody knows what the grant covers until it is refreshed".to_owned());
    }
    if proven.tokens.refresh_token.is_none() {
        warnings.push(format!(
            "there is no refresh token: the account works until {} and must then be linked again",
            proven.tokens.expires_at
        ));
    }
    let how =
        if proven.refreshed { "with new tokens, which its refresh token brought" } else { "with its tokens" };
    let what = if link.relinked { "linked again" } else { "linked" };
    Imported {
        account: Some(link.account),
        provider_user_id: Some(proven.profile.account_id),
        name: proven.profile.name,
        explanation: format!("{what} {how}"),
        warnings,
        ..Imported::new(ImportOutcome::Imported)
    }
}

fn rotation(proven: &Proven) -> Option<String> {
    let said =
        "the provider gave a new refresh token: the program that wrote the file may have to sign in anew";
    proven.rotated.then(|| said.to_owned())
}

fn lost_or_not(error: StoreError, proven: &Proven) -> Failure {
    Failure { lost: proven.rotated, ..Failure::from(error) }
}

#[cfg(test)]
mod tests {
    use stagedoor_domain::Provider;

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn the_time_of_consent_is_never_later_than_anything_known() {
        let now = at("2026-11-21T12:00:00Z");
        let silent = Session {
            provider: Provider::Spotify,
            access_token: None,
            refresh_token: None,
            expires_at: None,
            authorized_at: None,
            consented_by: None,
            scopes: None,
            provider_user_id: None,
            country_code: None,
            client_id: None,
        };
        assert_eq!(authorized_at(&silent, None, now), now);
        let saved = Session { consented_by: Some(at("2026-10-01T00:00:00Z")), ..silent.clone() };
        assert_eq!(authorized_at(&saved, None, now), at("2026-10-01T00:00:00Z"));
        let told = Session { authorized_at: Some(at("2026-09-01T00:00:00Z")), ..saved };
        assert_eq!(authorized_at(&told, None, now), at("2026-09-01T00:00:00Z"));
        let ahead = Session { authorized_at: Some(at("2027-09-01T00:00:00Z")), ..silent };
        assert_eq!(authorized_at(&ahead, None, now), now);
    }
}
