//! What both APIs need of HTTP: query parameters in order, the address the caller used, JSON bodies.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::header::HOST;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Uri};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::Value;

/// The query's pairs, decoded, in the order sent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query(pub(crate) Vec<(String, String)>);

impl Query {
    pub(crate) fn of(uri: &Uri) -> Self {
        let query = uri.query().unwrap_or_default();
        Self(url::form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    /// The first value of `name`.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(held, _)| held == name).map(|(_, value)| value.as_str())
    }

    /// Every value of `name`, whether repeated or separated by commas.
    pub(crate) fn list(&self, name: &str) -> Vec<&str> {
        self.0
            .iter()
            .filter(|(held, _)| held == name)
            .flat_map(|(_, value)| value.split(','))
            .map(str::trim)
            .filter(|value| !value.is_empty())
            .collect()
    }

    /// The query with one parameter set anew.
    pub(crate) fn having(&self, name: &str, value: &str) -> Self {
        let mut pairs: Vec<_> = self.0.iter().filter(|(held, _)| held != name).cloned().collect();
        pairs.push((name.to_owned(), value.to_owned()));
        Self(pairs)
    }

    /// The query with some parameters set anew, encoded, without a question mark.
    pub(crate) fn with(&self, changes: &[(&str, String)]) -> String {
        let mut encoded = url::form_urlencoded::Serializer::new(String::new());
        encoded.extend_pairs(
            self.0.iter().filter(|(name, _)| changes.iter().all(|(changed, _)| changed != name)),
        );
        encoded.extend_pairs(changes);
        encoded.finish()
    }
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.uri))
    }
}

/// `http://host:port` as the caller wrote it, for absolute links.
#[derive(Debug, Clone)]
pub(crate) struct Origin(pub(crate) String);

impl<S: Sync> FromRequestParts<S> for Origin {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let host = header(&parts.headers, HOST.as_str()).or_else(|| parts.uri.host()).unwrap_or("127.0.0.1");
        Ok(Self(format!("http://{host}")))
    }
}

/// A header as text, if it is there and is text.
pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The media type without parameters, lower case.
pub(crate) fn media_type(headers: &HeaderMap) -> Option<String> {
    header(headers, CONTENT_TYPE.as_str())
        .map(|value| value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

/// A JSON answer.
pub(crate) fn json(status: StatusCode, media_type: &'static str, body: &Value) -> Response {
    let mut response = (status, body.to_string()).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}
