//! What a browser sends with a form: who may send one, and its fields. Everything is bounded, and whatever stands
//! twice is refused.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_TYPE, HeaderName, ORIGIN};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use stagedoor_crypto::digest;
use stagedoor_domain::{ErrorCode, PublicError};
use url::form_urlencoded;

/// The longest form, in bytes; ours have two short fields.
const LONGEST_FORM: usize = 8 * 1024;
/// 32 random bytes in base64url.
const TOKEN_LENGTH: usize = 43;
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// A form of ours as it came back.
#[derive(Debug)]
pub(crate) struct Fields {
    token: String,
    decision: Option<String>,
}

impl Fields {
    /// Reads a form within `timeout`.
    pub(crate) async fn read(
        headers: &HeaderMap,
        body: Body,
        timeout: Duration,
    ) -> Result<Self, PublicError> {
        let bytes = encoded(headers, body, timeout).await?;
        let token = only_once(&bytes, "form")?.ok_or_else(not_ours)?;
        Ok(Self { token, decision: only_once(&bytes, "decision")? })
    }

    /// The button that was pressed, if it is one of ours.
    pub(crate) fn decision<T>(&self, of: impl FnOnce(&str) -> Option<T>) -> Result<T, PublicError> {
        self.decision.as_deref().and_then(of).ok_or_else(not_ours)
    }

    /// Refuses a form whose token's other half this browser does not have.
    pub(crate) fn check_halves(&self, cookie: Option<&str>) -> Result<(), PublicError> {
        let own = cookie.filter(|value| is_token(value));
        if own.is_some_and(|own| digest::constant_time_eq(own.as_bytes(), self.token.as_bytes())) {
            return Ok(());
        }
        let message = "The form and this browser's cookie do not belong together.";
        Err(PublicError::new(ErrorCode::LinkStateInvalid, message))
    }
}

/// Whether `text` has the form of one of our 32-byte tokens.
pub(crate) fn is_token(text: &str) -> bool {
    text.len() == TOKEN_LENGTH
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// Refuses a form that a page of another origin sent. A browser that tells neither `Origin` nor `Sec-Fetch-Site`
/// (text browsers) is left to the form's token.
pub(super) fn check_origin(headers: &HeaderMap, own: &str) -> Result<(), PublicError> {
    let foreign = |name: HeaderName, own: &str| headers.get_all(name).iter().any(|value| value != own);
    if foreign(ORIGIN, own) || foreign(FETCH_SITE, "same-origin") {
        return Err(PublicError::new(
            ErrorCode::InvalidOrigin,
            "The form was sent by a page of another site.",
        ));
    }
    Ok(())
}

/// The value of a field that stands at most once.
pub(crate) fn only_once(encoded: &[u8], name: &str) -> Result<Option<String>, PublicError> {
    let mut values = form_urlencoded::parse(encoded).filter(|(key, _)| key == name).map(|(_, value)| value);
    let first = values.next().map(std::borrow::Cow::into_owned);
    if values.next().is_some() {
        return Err(PublicError::new(ErrorCode::InvalidRequest, format!("The field {name:?} stands twice.")));
    }
    Ok(first)
}

async fn encoded(headers: &HeaderMap, body: Body, timeout: Duration) -> Result<Bytes, PublicError> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(PublicError::new(ErrorCode::UnsupportedMediaType, "The form is not url-encoded."));
    }
    let collected = tokio::time::timeout(timeout, Limited::new(body, LONGEST_FORM).collect()).await;
    let Ok(collected) = collected else {
        return Err(PublicError::new(ErrorCode::BodyTimeout, "The form did not arrive in time."));
    };
    Ok(collected.map_err(|error| broken_off(&*error))?.to_bytes())
}

fn not_ours() -> PublicError {
    PublicError::new(ErrorCode::InvalidRequest, "The form is not the one on this page.")
}

fn broken_off(error: &(dyn std::error::Error + Send + Sync + 'static)) -> PublicError {
    if error.is::<LengthLimitError>() {
        return PublicError::new(ErrorCode::BodyTooLarge, "The form is longer than any of ours.");
    }
    tracing::debug!(error = %error, "a form broke off");
    PublicError::new(ErrorCode::InvalidRequest, "The form broke off before its end.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_other_sites_are_refused() {
        let verdict = |pairs: &[(HeaderName, &str)]| {
            let headers = pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
            check_origin(&headers, "https://music.example").is_ok()
        };
        assert!(verdict(&[]));
        assert!(verdict(&[(ORIGIN, "https://music.example"), (FETCH_SITE, "same-origin")]));
        assert!(!verdict(&[(ORIGIN, "null")]));
        assert!(!verdict(&[(ORIGIN, "https://evil.example")]));
        assert!(!verdict(&[(ORIGIN, "https://music.example.evil.example")]));
        assert!(!verdict(&[(FETCH_SITE, "same-site")]));
        assert!(!verdict(&[(FETCH_SITE, "none")]));
    }

    #[test]
    fn a_form_counts_only_in_the_browser_that_was_given_it() {
        let token = "0123456789012345678901234567890123456789-_A";
        let fields = Fields { token: token.to_owned(), decision: Some("agree".to_owned()) };
        assert!(fields.check_halves(Some(token)).is_ok());
        for cookie in [None, Some(""), Some("short"), Some("B123456789012345678901234567890123456789-_A")] {
            assert_eq!(fields.check_halves(cookie).unwrap_err().code, ErrorCode::LinkStateInvalid);
        }
        assert!(fields.decision(|text| (text == "agree").then_some(())).is_ok());
        assert!(fields.decision(|text| (text == "delete").then_some(())).is_err());
    }
}
