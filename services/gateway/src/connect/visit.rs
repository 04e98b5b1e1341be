//! One request to a link page: whose link it is about, and how its answer or its failure becomes a page.

use std::sync::{Arc, OnceLock};

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request};
use axum::response::Response;
use http::header::{CONNECTION, HeaderValue, RETRY_AFTER};
use http::request::Parts;
use http::{HeaderMap, Method};
use stagedoor_audit::AuditClient;
use stagedoor_bootstrap::metrics::AuthFailure;
use stagedoor_crypto::digest;
use stagedoor_domain::error::{Chain, ceil_seconds};
use stagedoor_domain::{
    ErrorCode, LinkAttemptId, Provider, PublicError, TenantContext, TenantSlug, TenantStatus,
};
use stagedoor_storage::StoreError;
use stagedoor_storage::link_attempts::LinkSignIn;
use tracing::{Instrument, Span};

use super::LinkPages;
use super::cookies::Jar;
use super::failures;
use super::page::Forms;
use crate::access_log::RequestRecord;
use crate::client::{self, Client};
use crate::state::AppState;
use crate::tenancy;

/// Which page, for logs.
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

impl Step {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Consent => "consent",
            Self::Decision => "decision",
            Self::Callback => "callback",
            Self::Done => "done",
        }
    }
}

/// One request of a person's browser.
pub(super) struct Visit {
    state: Arc<AppState>,
    step: Step,
    slug: String,
    folder: String,
    client: Client,
    parts: Parts,
    path_is_readable: bool,
    ctx: OnceLock<TenantContext>,
    consented_at: OnceLock<Provider>,
}

/// What identifies a link.
#[derive(Clone, Copy)]
pub(super) enum Handle<'a> {
    /// The last part of the page's address.
    Page(&'a str),
    /// The OAuth state that a provider sent back.
    State(&'a str),
}

impl Visit {
    /// The visit, the part of its path after the tenant, and its body.
    pub(super) fn begin(
        state: Arc<AppState>,
        step: Step,
        path: Result<Path<(String, String)>, PathRejection>,
        request: Request,
    ) -> (Self, String, Body) {
        let (parts, body) = request.into_parts();
        let path_is_readable = path.is_ok();
        let (slug, rest) = path.map(|Path(path)| path).unwrap_or_default();
        let client = client::of(&state.proxies, &parts.extensions, &parts.headers);
        let folder = format!("{}/t/{slug}/connect", state.link_pages.prefix);
        let (ctx, consented_at) = (OnceLock::new(), OnceLock::new());
        (Self { state, step, slug, folder, client, parts, path_is_readable, ctx, consented_at }, rest, body)
    }

    /// Answers with what `work` makes, or with the page of its failure.
    pub(super) async fn answer(
        &self,
        work: impl Future<Output = Result<Response, PublicError>> + Send,
    ) -> Response {
        let span = if self.state.traces {
            tracing::info_span!("link page", page = self.step.as_str(), tenant = tracing::field::Empty)
        } else {
            Span::none()
        };
        let outcome = self.within_bounds(work).instrument(span).await;
        let code = outcome.as_ref().err().map(|error| error.code);
        let mut response = outcome.unwrap_or_else(|error| self.failure(&error));
        if let Some(ctx) = self.ctx.get() {
            let record = RequestRecord::new(ctx.clone());
            record.report_page(self.step.as_str(), code.map_or("ok", ErrorCode::as_str));
            response.extensions_mut().insert(record);
        }
        response
    }

    /// The pages' own settings.
    pub(super) fn pages(&self) -> &LinkPages {
        &self.state.link_pages
    }

    /// The headers that the browser sent.
    pub(super) fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    /// What stands after the `?`.
    pub(super) fn query(&self) -> &str {
        self.parts.uri.query().unwrap_or_default()
    }

    /// The path below which the tenant's pages are.
    pub(super) fn folder(&self) -> &str {
        &self.folder
    }

    /// The browser's cookies.
    pub(super) fn jar(&self) -> Jar<'_> {
        Jar::new(self.pages().manners.secure, &self.folder)
    }

    /// The person said yes at the service; if nothing comes of it here, the page says where that can be undone.
    pub(super) fn note_consent(&self, provider: Provider) {
        let _ = self.consented_at.set(provider);
    }

    /// Where the request comes from, for the audit trail.
    pub(super) fn audit_client(&self) -> AuditClient {
        AuditClient {
            address: Some(self.client.address),
            user_agent: self.client.user_agent.clone(),
            ..AuditClient::default()
        }
    }

    /// 32 random bytes.
    pub(super) fn random(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.state.entropy.fill(&mut bytes);
        bytes
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
                self.state.metrics.auth_failures.count(AuthFailure::Unknown);
                self.state.authenticator.record_guess(self.client.address).await?;
            }
            return Err(handle.unknown());
        };
        let attempt = sign_in.attempt;
        let made =
            tenancy::establish_link_page(sign_in, self.state.clock.as_ref(), self.state.entropy.as_ref());
        Span::current().record("tenant", made.tenant().slug.as_str());
        Ok((self.ctx.get_or_init(|| made), attempt))
    }

    async fn find(&self, handle: Handle<'_>) -> Result<Option<LinkSignIn>, StoreError> {
        let Ok(slug) = self.slug.parse::<TenantSlug>() else { return Ok(None) };
        let store = &self.pages().store;
        match handle {
            Handle::Page(token) if super::form::is_token(token) => {
                store.find_link_by_page(&slug, &digest::sha256(&[token.as_bytes()])).await
            }
            Handle::State(state) if super::form::is_token(state) => {
                store.find_link_by_state(&slug, &digest::sha256(&[state.as_bytes()])).await
            }
            Handle::Page(_) | Handle::State(_) => Ok(None),
        }
    }

    async fn within_bounds(
        &self,
        work: impl Future<Output = Result<Response, PublicError>> + Send,
    ) -> Result<Response, PublicError> {
        if !self.path_is_readable {
            return Err(Handle::Page("").unknown());
        }
        let authority = self.parts.uri.authority().map(http::uri::Authority::as_str);
        self.state.doors.check_host(authority, &self.parts.headers)?;
        tokio::time::timeout(self.pages().deadline, work).await.unwrap_or_else(|_| {
            let error =
                PublicError::new(ErrorCode::DeadlineExceeded, "The page took longer than its deadline.");
            Err(error)
        })
    }

    fn failure(&self, error: &PublicError) -> Response {
        let call = self.ctx.get().map(|ctx| ctx.call().to_string());
        let view = failures::view(error, self.step, self.consented_at.get().copied(), call);
        let page = self.pages().manners.page(failures::status(error.code), &view, Forms::None);
        let mut response = page.unwrap_or_else(|error| {
            use axum::response::IntoResponse;
            crate::problem::Problem::new(error).into_response()
        });
        let headers = response.headers_mut();
        if let Some(wait) = error.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(ceil_seconds(wait)));
        }
        if self.parts.method != Method::GET {
            // The body may not have been read, and what is left of it must not be taken for the next request.
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

impl Handle<'_> {
    fn unknown(self) -> PublicError {
        match self {
            Self::Page(_) => PublicError::new(ErrorCode::LinkUnknown, "There is no such link."),
            Self::State(_) => PublicError::new(
                ErrorCode::LinkStateInvalid,
                "The answer belongs to no link that was begun here.",
            ),
        }
    }
}
