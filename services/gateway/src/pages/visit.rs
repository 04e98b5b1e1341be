//! One request to a page: who asks, in which tenant, and how its answer or its failure becomes a page.

use std::sync::{Arc, OnceLock};

use axum::body::Body;
use axum::extract::{Path, Request};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{CONNECTION, HeaderValue, RETRY_AFTER};
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};
use stagedoor_audit::AuditClient;
use stagedoor_bootstrap::metrics::AuthFailure;
use stagedoor_bootstrap::telemetry::{self, RequestTrace};
use stagedoor_domain::error::ceil_seconds;
use stagedoor_domain::{ErrorCode, Provider, PublicError, TenantContext, TenantSlug};
use uuid::Uuid;

use super::form::{self, Fields, is_token};
use super::{Forms, Jar, MessageView, Pages, Purpose, SlugAnd};
use crate::access_log::RequestRecord;
use crate::client::{self, Client};
use crate::state::AppState;

/// One page of a room, for logs and for the words of its failures.
pub(crate) trait Step: Copy + Send + Sync + 'static {
    /// The part of the path between tenant and page.
    const FOLDER: &'static str;

    /// The page's name in logs.
    fn as_str(self) -> &'static str;

    /// The page of a failure and its status. `granted` is the service at which the person had said yes before it.
    fn failure(
        self,
        error: &PublicError,
        granted: Option<Provider>,
        call: Option<String>,
    ) -> (StatusCode, MessageView);
}

/// One request of a person's browser.
pub(crate) struct Visit<S> {
    pub(crate) state: Arc<AppState>,
    step: S,
    slug: String,
    folder: String,
    client: Client,
    parts: Parts,
    path_is_readable: bool,
    ctx: OnceLock<TenantContext>,
    granted: OnceLock<Provider>,
}

impl<S: Step> Visit<S> {
    /// The visit, the part of its path after the tenant, and its body.
    pub(crate) fn begin(
        state: Arc<AppState>,
        step: S,
        path: SlugAnd,
        request: Request,
    ) -> (Self, String, Body) {
        let (parts, body) = request.into_parts();
        let path_is_readable = path.is_ok();
        let (slug, rest) = path.map(|Path(path)| path).unwrap_or_default();
        let client = client::of(&state.proxies, &parts.extensions, &parts.headers);
        let folder = format!("{}/t/{slug}/{}", state.pages.prefix, S::FOLDER);
        let (ctx, granted) = (OnceLock::new(), OnceLock::new());
        (Self { state, step, slug, folder, client, parts, path_is_readable, ctx, granted }, rest, body)
    }

    /// Answers with what `work` makes, or with the page of its failure.
    pub(crate) async fn answer(
        &self,
        work: impl Future<Output = Result<Response, PublicError>> + Send,
    ) -> Response {
        // A browser's traces are nobody's but its own.
        let begin = || RequestTrace::begin("page", telemetry::moment(), &[]);
        let trace = self.state.traces.then(begin).flatten();
        let outcome = telemetry::within(trace.as_ref(), self.within_bounds(work)).await;
        let code = outcome.as_ref().err().map(|error| error.code);
        if let Some(trace) = &trace {
            self.describe(trace, code);
        }
        let mut response = outcome.unwrap_or_else(|error| self.failure(&error));
        if let Some(ctx) = self.ctx.get() {
            let record = RequestRecord::new(ctx.clone());
            record.report_page(self.step.as_str(), code.map_or("ok", ErrorCode::as_str));
            if let Some(trace) = &trace {
                record.report_trace(trace.trace_id());
            }
            response.extensions_mut().insert(record);
        }
        response
    }

    /// The pages' own settings.
    pub(crate) fn pages(&self) -> &Pages {
        &self.state.pages
    }

    /// The headers that the browser sent.
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    /// What stands after the `?`.
    pub(crate) fn query(&self) -> &str {
        self.parts.uri.query().unwrap_or_default()
    }

    /// The path below which the tenant's pages of this room are.
    pub(crate) fn folder(&self) -> &str {
        &self.folder
    }

    /// The tenant that the path names, if it is a name.
    pub(crate) fn slug(&self) -> Option<TenantSlug> {
        self.slug.parse().ok()
    }

    /// The browser's cookies.
    pub(crate) fn jar(&self) -> Jar<'_> {
        Jar::new(self.pages().manners.secure, &self.folder)
    }

    /// The person said yes at the service; if nothing comes of it here, the page says where that can be undone.
    pub(crate) fn note_consent(&self, provider: Provider) {
        let _ = self.granted.set(provider);
    }

    /// Where the request comes from, for the audit trail.
    pub(crate) fn audit_client(&self) -> AuditClient {
        AuditClient {
            address: Some(self.client.address),
            user_agent: self.client.user_agent.clone(),
            ..AuditClient::default()
        }
    }

    /// The context that the address stands for.
    pub(crate) fn establish(&self, made: TenantContext) -> &TenantContext {
        self.ctx.get_or_init(|| made)
    }

    /// The address leads nowhere: that counts as a failed log-in of the client's network, so that addresses cannot be
    /// searched.
    pub(crate) async fn count_guess(&self) -> Result<(), PublicError> {
        self.state.metrics.auth_failures.count(AuthFailure::Unknown);
        self.state.authenticator.record_guess(self.client.address).await
    }

    /// The form's half of the token against forged forms, and the cookie with the other half.
    pub(crate) fn form_token(&self, of: Uuid) -> Result<(String, HeaderValue), PublicError> {
        let known = self.jar().get(self.headers(), Purpose::Form(of)).filter(|value| is_token(value));
        let token = known.map_or_else(|| self.random_token(), str::to_owned);
        let cookie = self.jar().set(Purpose::Form(of), &token)?;
        Ok((token, cookie))
    }

    /// Refuses a form that another site's page sent. Before anything is looked up.
    pub(crate) fn check_origin(&self) -> Result<(), PublicError> {
        form::check_origin(self.headers(), &self.pages().origin)
    }

    /// Reads a form and checks that it is ours and this browser's.
    pub(crate) async fn read_form(&self, of: Uuid, body: Body) -> Result<Fields, PublicError> {
        let fields = Fields::read(self.headers(), body, self.pages().body_timeout).await?;
        fields.check_halves(self.jar().get(self.headers(), Purpose::Form(of)))?;
        Ok(fields)
    }

    fn random_token(&self) -> String {
        let mut bytes = [0; 32];
        self.state.entropy.fill(&mut bytes);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    async fn within_bounds(
        &self,
        work: impl Future<Output = Result<Response, PublicError>> + Send,
    ) -> Result<Response, PublicError> {
        if !self.path_is_readable {
            return Err(unknown());
        }
        let authority = self.parts.uri.authority().map(http::uri::Authority::as_str);
        self.state.doors.check_host(authority, &self.parts.headers)?;
        tokio::time::timeout(self.pages().deadline, work).await.unwrap_or_else(|_| {
            let error =
                PublicError::new(ErrorCode::DeadlineExceeded, "The page took longer than its deadline.");
            Err(error)
        })
    }

    fn describe(&self, trace: &RequestTrace, error: Option<ErrorCode>) {
        trace.rename(format!("page {}", self.step.as_str()));
        trace.set("stagedoor.page", self.step.as_str());
        if let Some(ctx) = self.ctx.get() {
            trace.set("stagedoor.tenant", ctx.tenant().slug.as_str().to_owned());
            trace.set("stagedoor.call", ctx.call().to_string());
        }
        if let Some(error) = error {
            trace.fail(error.as_str());
        }
    }

    fn failure(&self, error: &PublicError) -> Response {
        let call = self.ctx.get().map(|ctx| ctx.call().to_string());
        let (status, view) = self.step.failure(error, self.granted.get().copied(), call);
        let page = self.pages().manners.page(status, &view, Forms::None);
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

/// An address that leads to no page.
pub(crate) fn unknown() -> PublicError {
    PublicError::new(ErrorCode::LinkUnknown, "There is no such link.")
}
