//! A page as an HTTP answer: the headers that keep it to itself, the status, the style. Its words are the room's that shows it.

use std::fmt::Write;
use std::sync::LazyLock;

use askama::Template;
use axum::body::Body;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, LOCATION, REFERRER_POLICY, SET_COOKIE,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderName, StatusCode};
use stagedoor_crypto::digest;
use stagedoor_domain::PublicError;

/// The style of every page; it stands in the page, and the policy names its digest.
pub(crate) const STYLE: &str = include_str!("../../templates/pages/style.css");

const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
/// A year. Subdomains are not ours to decide about.
const TRANSPORT_SECURITY: HeaderValue = HeaderValue::from_static("max-age=31536000");

static STYLE_DIGEST: LazyLock<String> =
    LazyLock::new(|| STANDARD.encode(digest::sha256(&[STYLE.as_bytes()])));

/// How pages answer on this installation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manners {
    /// Whether the public address is `https`.
    pub(crate) secure: bool,
}

/// Where a page's form may lead.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Forms<'a> {
    /// The page has none.
    None,
    /// To this page itself, which answers at once or leads elsewhere on this site.
    Here,
    /// To this page itself, which answers with a redirect to that origin; browsers hold redirects to the same rule.
    Through(&'a str),
}

impl Manners {
    /// A page.
    pub(crate) fn page(
        self,
        status: StatusCode,
        view: &impl Template,
        forms: Forms<'_>,
    ) -> Result<Response, PublicError> {
        let html = view.render().map_err(|error| {
            tracing::error!(error = %error, "a page could not be written");
            PublicError::internal()
        })?;
        let mut response = Response::new(Body::from(html));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        self.guard(headers);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.insert(CONTENT_SECURITY_POLICY, policy(forms));
        if !matches!(forms, Forms::None) {
            // Under `no-referrer` a form's POST says `Origin: null` (Fetch, "append a request Origin header"), and
            // then it could not be told from another site's. Other sites still learn nothing.
            headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
        }
        Ok(response)
    }

    /// A redirect by GET.
    pub(crate) fn redirect(self, location: &str) -> Result<Response, PublicError> {
        let location = HeaderValue::try_from(location).map_err(|_| PublicError::internal())?;
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SEE_OTHER;
        let headers = response.headers_mut();
        self.guard(headers);
        headers.insert(LOCATION, location);
        headers.insert(CONTENT_SECURITY_POLICY, policy(Forms::None));
        Ok(response)
    }

    /// What every answer of these pages carries: nobody keeps it, frames it, or learns its address from it.
    pub(crate) fn guard(self, headers: &mut HeaderMap) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        headers.insert(OPENER_POLICY, HeaderValue::from_static("same-origin"));
        headers.insert(RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
        if self.secure {
            headers.insert(STRICT_TRANSPORT_SECURITY, TRANSPORT_SECURITY);
        }
    }
}

/// Adds a cookie to an answer.
pub(crate) fn set_cookie(response: &mut Response, cookie: HeaderValue) {
    response.headers_mut().append(SET_COOKIE, cookie);
}

/// Nothing but our own style, and forms where they must go (CSP Level 3).
fn policy(forms: Forms<'_>) -> HeaderValue {
    let mut policy = format!("default-src 'none'; style-src 'sha256-{}'; form-action ", *STYLE_DIGEST);
    let _ = match forms {
        Forms::None => write!(policy, "'none'"),
        Forms::Here => write!(policy, "'self'"),
        Forms::Through(origin) => write!(policy, "'self' {origin}"),
    };
    policy.push_str("; base-uri 'none'; frame-ancestors 'none'");
    HeaderValue::try_from(policy)
        .unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"))
}
