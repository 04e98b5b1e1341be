//! Storing proven tokens. After a refresh they exist nowhere else, so storing is repeated until the database has them.

use std::time::Duration;

use chrono::{DateTime, Utc};
use stagedoor_domain::TenantContext;
use stagedoor_domain::error::Chain;
use stagedoor_domain::text::clean;
use stagedoor_legacy_sessions::Session;
use stagedoor_providers::grant_end;
use stagedoor_storage::StoreError;
use stagedoor_storage::linked_accounts::{self, Link, LinkOptions, LinkedAccount, NewLinkedAccount};
use stagedoor_storage::session_imports::{ImportClaim, ImportOutcome as Recorded};

use super::assess::consented_by;
use super::outcome::{Failure, LOST};
use super::prove::Proven;
use super::{ImportOutcome, ImportRequest, Imported, Importer, Reason, is_usable};

const NAME_CHARACTERS: usize = 100;
const ROTATED: &str =
    "the provider gave a new refresh token: the program that wrote the file may have to sign in anew";

impl Importer {
    pub(super) async fn keep(
        &self,
        ctx: &TenantContext,
        request: &ImportRequest<'_>,
        proven: Proven,
        claim: &ImportClaim,
    ) -> Result<Imported, Failure> {
        let (session, id) = (request.session, &proven.profile.account_id);
        let until = self.clock.elapsed().saturating_add(self.patience);
        if session.provider_user_id.as_ref().is_some_and(|told| told != id) {
            let refused = Imported::not_usable(&Reason::OtherAccount);
            self.record_if_held(ctx, request, claim, Recorded::Unusable).await;
            return Ok(if proven.rotated { refused.with_warning(LOST) } else { refused });
        }
        let existing = loop {
            match self.account(ctx, request.user, session, id).await {
                Ok(existing) => break existing,
                Err(error) if self.wait_for_database(&error, proven.refreshed, until).await => {}
                Err(error) => return Err(lost_or_not(error, &proven)),
            }
        };
        let now = self.clock.now();
        if let Some(existing) = existing.as_ref().filter(|account| is_usable(account, now)) {
            if !proven.refreshed {
                return Ok(Imported::already_linked(existing));
            }
            if let Some(why) = better(existing, session, &proven) {
                self.record_if_held(ctx, request, claim, Recorded::Kept(existing.id)).await;
                let kept = Imported::kept(existing, why);
                return Ok(if proven.rotated { kept.with_warning(ROTATED) } else { kept });
            }
        }
        let options = LinkOptions {
            attempt: None,
            device: None,
            principal: ctx.principal().label(),
            import: Some(claim.source_digest),
            authorized_at: authorized_at(session, now),
        };
        match self.link(ctx, request, &proven, &options, until).await {
            Ok(link) => Ok(imported(session, proven, link)),
            // A run that took the claim over has linked the account with the same grant.
            Err(StoreError::AlreadyExists(_)) => {
                let imported = self.after_another_run(ctx, request, &claim.source_digest).await?;
                Ok(if proven.rotated { imported.with_warning(LOST) } else { imported })
            }
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
            label: profile
                .name
                .as_deref()
                .map(|name| clean(name, NAME_CHARACTERS))
                .filter(|name| !name.is_empty())
                .unwrap_or_else(|| profile.account_id.clone()),
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

/// When the person consented: what the file says, else the earliest time by which they must have.
fn authorized_at(session: &Session, now: DateTime<Utc>) -> DateTime<Utc> {
    consented_by(session).unwrap_or(now).min(now)
}

/// What makes the grant of a linked account better than the file's, as the rest of a sentence. If nothing does, the
/// file's may replace it: both are perhaps the same grant, whose older tokens the exchange has ended.
fn better(existing: &LinkedAccount, session: &Session, proven: &Proven) -> Option<&'static str> {
    let own = existing.session.as_ref()?;
    let covered = proven.tokens.scopes.as_deref().unwrap_or_default();
    if !own.scopes.iter().all(|scope| covered.contains(scope)) {
        return Some("which covers what the file's does not");
    }
    let own_end = grant_end(existing.provider, own.authorized_at)?;
    let end = session.authorized_at.and_then(|at| grant_end(session.provider, at));
    match end {
        Some(end) if end >= own_end => None,
        Some(_) => Some("which ends later than the file's"),
        None => Some("because nobody knows when the file's ends"),
    }
}

fn imported(session: &Session, proven: Proven, link: Link) -> Imported {
    let mut warnings: Vec<String> = proven.rotated.then(|| ROTATED.to_owned()).into_iter().collect();
    if !proven.refreshed {
        warnings.push(
            "nothing proves that its tokens were made for the tenant's client until they are refreshed"
                .to_owned(),
        );
    }
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
        assert_eq!(authorized_at(&silent, now), now);
        let saved = Session { consented_by: Some(at("2026-10-01T00:00:00Z")), ..silent.clone() };
        assert_eq!(authorized_at(&saved, now), at("2026-10-01T00:00:00Z"));
        let told = Session { authorized_at: Some(at("2026-09-01T00:00:00Z")), ..saved };
        assert_eq!(authorized_at(&told, now), at("2026-09-01T00:00:00Z"));
        let ahead = Session { authorized_at: Some(at("2027-09-01T00:00:00Z")), ..silent };
        assert_eq!(authorized_at(&ahead, now), now);
    }
}
