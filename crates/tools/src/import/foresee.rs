//! What an import would do: the same questions, none that changes anything.

use stagedoor_domain::TenantContext;
use stagedoor_providers::{ProviderApp, ProviderError};

use super::outcome::Failure;
use super::prove::{failure, lacks_scope, worth_showing};
use super::{ImportOutcome, ImportRequest, Imported, Importer, Reason, is_usable};

impl Importer {
    pub(super) async fn foresee(
        &self,
        ctx: &TenantContext,
        request: &ImportRequest<'_>,
        app: &ProviderApp,
    ) -> Result<Imported, Failure> {
        let session = request.session;
        if let Some(token) = worth_showing(session, self.clock.now()) {
            match self.profile(ctx, app, token).await {
                Ok(profile) => {
                    let id = &profile.account_id;
                    if session.provider_user_id.as_ref().is_some_and(|told| told != id) {
                        return Ok(Imported::not_usable(&Reason::OtherAccount));
                    }
                    let existing = self.account(ctx, request.user, session, id).await?;
                    if let Some(existing) = existing.filter(|account| is_usable(account, self.clock.now())) {
                        return Ok(Imported::already_linked(&existing));
                    }
                    return Ok(Imported {
                        provider_user_id: Some(profile.account_id),
                        name: profile.name,
                        explanation: "the provider accepts its tokens; the account would be linked"
                            .to_owned(),
                        ..Imported::new(ImportOutcome::WouldImport)
                    });
                }
                Err(ProviderError::Unauthorized { .. }) => {}
                Err(error) if lacks_scope(&error) => {
                    return self.decline(ctx, request, Reason::NoScope(session.provider)).await;
                }
                Err(error) => return Err(failure(&error, false)),
            }
        }
        if session.refresh_token.is_none() {
            return self.decline(ctx, request, Reason::Refused(session.provider)).await;
        }
        Ok(Imported {
            provider_user_id: session.provider_user_id.clone(),
            explanation:
                "its access token works no more; its refresh token would be tried, which a dry run does not"
                    .to_owned(),
            ..Imported::new(ImportOutcome::WouldImport)
        })
    }
}
