//! Whose link a request to a link page is about.

use http::StatusCode;
use stagedoor_crypto::digest;
use stagedoor_domain::error::Chain;
use stagedoor_domain::{ErrorCode, LinkAttemptId, Provider, PublicError, TenantContext, TenantStatus};
use stagedoor_storage::StoreError;
use stagedoor_storage::link_attempts::LinkSignIn;
use stagedoor_tools::Linking;

use super::failures;
use crate::pages::{self, MessageView, is_token};
use crate::tenancy;

/// Which page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The question.
    Consent,
    /// The answer to it.
    Decision,
    /// The provider's answer.
    Callback,
    /// The end.
    Done,
}

impl pages::Step for Step {
    const FOLDER: &'static str = "connect";

    fn as_str(self) -> &'static str {
        match self {
            Self::Consent => "consent",
            Self::Decision => "decision",
            Self::Callback => "callback",
            Self::Done => "done",
        }
    }

    fn failure(
        self,
        error: &PublicError,
        granted: Option<Provider>,
        call: Option<String>,
    ) -> (StatusCode, MessageView) {
        (failures::status(error.code), failures::view(error, self, granted, call))
    }
}

/// One request to a link page.
pub(super) type Visit = pages::Visit<Step>;

/// What identifies a link.
#[derive(Clone, Copy)]
pub(super) enum Handle<'a> {
    /// The last part of the page's address.
    Page(&'a str),
    /// The OAuth state that a provider sent back.
    State(&'a str),
}

impl pages::Visit<Step> {
    /// What links accounts.
    pub(super) fn linking(&self) -> &std::sync::Arc<Linking> {
        self.state.dispatcher.linking()
    }

    /// The context of the link behind `handle`. One that leads nowhere counts as a failed log-in of the client's
    /// network, so that addresses cannot be searched.
    pub(super) async fn identify(
        &self,
        handle: Handle<'_>,
    ) -> Result<(&TenantContext, LinkAttemptId), PublicError> {
        let found = self.find(handle).await.map_err(|error| {
            tracing::error!(error = %Chain(&error), "a link could not be looked up");
            error.public()
        })?;
        let Some(sign_in) = found.filter(|found| found.tenant.status == TenantStatus::Active) else {
            // A person who comes back late, or went back and agreed anew, guesses nothing.
            if !(matches!(handle, Handle::State(_)) && self.jar().has_agreed(self.headers())) {
                self.count_guess().await?;
            }
            return Err(handle.unknown());
        };
        let attempt = sign_in.attempt;
        let made =
            tenancy::establish_link_page(sign_in, self.state.clock.as_ref(), self.state.entropy.as_ref());
        Ok((self.establish(made), attempt))
    }

    async fn find(&self, handle: Handle<'_>) -> Result<Option<LinkSignIn>, StoreError> {
        let Some(slug) = self.slug() else { return Ok(None) };
        let store = &self.pages().store;
        match handle {
            Handle::Page(token) if is_token(token) => {
                store.find_link_by_page(&slug, &digest::sha256(&[token.as_bytes()])).await
            }
            Handle::State(state) if is_token(state) => {
                store.find_link_by_state(&slug, &digest::sha256(&[state.as_bytes()])).await
            }
            Handle::Page(_) | Handle::State(_) => Ok(None),
        }
    }
}

impl Handle<'_> {
    fn unknown(self) -> PublicError {
        match self {
            Self::Page(_) => pages::unknown(),
            Self::State(_) => PublicError::new(
                ErrorCode::LinkStateInvalid,
                "The answer belongs to no link that was begun here.",
            ),
        }
    }
}
