//! Whose request a visit to a privacy page is about.

use http::StatusCode;
use stagedoor_crypto::digest;
use stagedoor_domain::error::Chain;
use stagedoor_domain::{PrivacyRequestId, Provider, PublicError, TenantContext, TenantStatus};
use stagedoor_storage::StoreError;
use stagedoor_storage::privacy_requests::PrivacySignIn;
use stagedoor_tools::Privacy;

use super::failures;
use crate::pages::{self, MessageView, is_token};
use crate::tenancy;

/// Which page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// What it is about, and how far it is.
    Look,
    /// The answer to it.
    Answer,
}

impl pages::Step for Step {
    const FOLDER: &'static str = "privacy";

    fn as_str(self) -> &'static str {
        match self {
            Self::Look => "privacy",
            Self::Answer => "privacy_answer",
        }
    }

    fn failure(
        self,
        error: &PublicError,
        _granted: Option<Provider>,
        call: Option<String>,
    ) -> (StatusCode, MessageView) {
        (pages::failures::status(error.code), failures::view(error, call))
    }
}

/// One request to a privacy page.
pub(super) type Visit = pages::Visit<Step>;

impl pages::Visit<Step> {
    /// What hands out and deletes data.
    pub(super) fn privacy(&self) -> &std::sync::Arc<Privacy> {
        self.state.dispatcher.privacy()
    }

    /// The context of the request behind the address. One that leads nowhere counts as a failed log-in of the client's
    /// network, so that addresses cannot be searched.
    pub(super) async fn identify(
        &self,
        token: &str,
    ) -> Result<(&TenantContext, PrivacyRequestId), PublicError> {
        let found = self.find(token).await.map_err(|error| {
            tracing::error!(error = %Chain(&error), "a privacy request could not be looked up");
            error.public()
        })?;
        // What is being deleted can be watched until it is; who only suspended a tenant still owes its people their data.
        let Some(sign_in) = found.filter(|found| found.tenant.status != TenantStatus::Deleted) else {
            self.count_guess().await?;
            return Err(pages::unknown());
        };
        let request = sign_in.request;
        let made =
            tenancy::establish_privacy_page(sign_in, self.state.clock.as_ref(), self.state.entropy.as_ref());
        Ok((self.establish(made), request))
    }

    async fn find(&self, token: &str) -> Result<Option<PrivacySignIn>, StoreError> {
        match self.slug() {
            Some(slug) if is_token(token) => {
                let hash = digest::sha256(&[token.as_bytes()]);
                self.pages().store.find_privacy_page(&slug, &hash).await
            }
            _ => Ok(None),
        }
    }
}
