//! Who calls, taken from the bearer token before any handler runs.

use axum::extract::{FromRequestParts, Path};
use http::StatusCode;
use http::header::AUTHORIZATION;
use http::request::Parts;
use stagedoor_domain::Provider;

use super::Failure;
use crate::exchange::header;
use crate::model::{Account, AppMode};
use crate::sandbox::Sandbox;
use crate::tokens::Bearer;

/// The holder of a good access token.
#[derive(Debug, Clone)]
pub(super) struct Caller(pub(super) Bearer);

impl Caller {
    /// The person, unless the token is the application's own.
    pub(super) fn account(&self) -> Result<&Account, Failure> {
        self.0
            .account
            .as_ref()
            .ok_or_else(|| Failure::new(StatusCode::UNAUTHORIZED, "Valid user authentication required"))
    }

    /// Whether the application may do what development mode lost.
    pub(super) fn is_extended(&self) -> bool {
        self.0.mode == AppMode::Extended
    }

    pub(super) fn needs(&self, scope: &str) -> Result<(), Failure> {
        if self.0.has_scope(scope) { Ok(()) } else { Err(Failure::missing_scope()) }
    }
}

impl FromRequestParts<Sandbox> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, sandbox: &Sandbox) -> Result<Self, Failure> {
        let presented = header(&parts.headers, AUTHORIZATION.as_str());
        Ok(Self(sandbox.bearer(Provider::Spotify, presented)?))
    }
}

/// An id from the path, which must have the form of one.
#[derive(Debug, Clone)]
pub(super) struct Id(pub(super) String);

impl FromRequestParts<Sandbox> for Id {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, sandbox: &Sandbox) -> Result<Self, Failure> {
        let Path(id) = Path::<String>::from_request_parts(parts, sandbox)
            .await
            .map_err(|_| Failure::bad("Invalid base62 id"))?;
        if is_id(&id) { Ok(Self(id)) } else { Err(Failure::bad("Invalid base62 id")) }
    }
}

/// Whether `text` is 22 characters in base 62.
pub(super) fn is_id(text: &str) -> bool {
    text.len() == 22 && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}
