//! What a browser sends: the consent form, and the provider's answer in the callback's address. Everything is
//! bounded, and whatever stands twice is refused (RFC 6749 §3.1).

use std::time::Duration;

use axum::body::Body;
use http::HeaderMap;
use http::header::{CONTENT_TYPE, HeaderName, ORIGIN};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use secrecy::SecretString;
use stagedoor_domain::{ErrorCode, PublicError};
use url::form_urlencoded;

/// The longest form, in bytes; ours has two short fields.
const LONGEST_FORM: usize = 8 * 1024;
/// The longest authorization code that is passed on, in bytes.
const LONGEST_CODE: usize = 4 * 1024;
/// The longest of the other values in a provider's answer, in bytes.
const LONGEST_VALUE: usize = 512;
/// 32 random bytes in base64url.
const TOKEN_LENGTH: usize = 43;
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What the person decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// Link the account.
    Agree,
    /// Do not.
    Decline,
}

/// The consent form as it came back.
#[derive(Debug)]
pub(super) struct ConsentForm {
    /// The form's half of the token against forged forms.
    pub(super) token: String,
    /// The button.
    pub(super) decision: Decision,
}

/// The provider's answer as the callback's address has it (RFC 6749 §4.1.2, RFC 9207 §2).
pub(super) struct Callback {
    /// The state that the answer claims to belong to.
    pub(super) state: String,
    /// The code, or the error's code.
    pub(super) outcome: Result<SecretString, String>,
    /// The issuer, if it is named.
    pub(super) issuer: Option<String>,
}

/// Whether `text` has the form of one of our 32-byte tokens.
pub(super) fn is_token(text: &str) -> bool {
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

/// Reads the consent form within `timeout`.
pub(super) async fn read(
    headers: &HeaderMap,
    body: Body,
    timeout: Duration,
) -> Result<ConsentForm, PublicError> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(PublicError::new(ErrorCode::UnsupportedMediaType, "The form is not url-encoded."));
    }
    let collected = tokio::time::timeout(timeout, Limited::new(body, LONGEST_FORM).collect()).await;
    let Ok(collected) = collected else {
        return Err(PublicError::new(ErrorCode::BodyTimeout, "The form did not arrive in time."));
    };
    let bytes = collected.map_err(|error| broken_off(&*error))?.to_bytes();
    let invalid = || PublicError::new(ErrorCode::InvalidRequest, "The form is not the one on this page.");
    let token = only(&bytes, "form")?.ok_or_else(invalid)?;
    let decision = match only(&bytes, "decision")?.as_deref() {
        Some("agree") => Decision::Agree,
        Some("decline") => Decision::Decline,
        _ => return Err(invalid()),
    };
    Ok(ConsentForm { token, decision })
}

/// Reads the provider's answer; `None` if it is none.
pub(super) fn callback(query: &str) -> Option<Callback> {
    let value = |name: &str, longest: usize| match only(query.as_bytes(), name) {
        Ok(value) if value.as_ref().is_none_or(|value| !value.is_empty() && value.len() <= longest) => {
            Ok(value)
        }
        _ => Err(()),
    };
    let state = value("state", TOKEN_LENGTH).ok()?.filter(|state| is_token(state))?;
    let issuer = value("iss", LONGEST_VALUE).ok()?;
    let outcome = match (value("code", LONGEST_CODE).ok()?, value("error", LONGEST_VALUE).ok()?) {
        (Some(code), None) => Ok(SecretString::from(code)),
        (None, Some(error)) => Err(error),
        _ => return None,
    };
    Some(Callback { state, outcome, issuer })
}

/// The value of a field that stands at most once.
fn only(encoded: &[u8], name: &str) -> Result<Option<String>, PublicError> {
    let mut values = form_urlencoded::parse(encoded).filter(|(key, _)| key == name).map(|(_, value)| value);
    let first = values.next().map(std::borrow::Cow::into_owned);
    if values.next().is_some() {
        return Err(PublicError::new(ErrorCode::InvalidRequest, format!("The field {name:?} stands twice.")));
    }
    Ok(first)
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
    use secrecy::ExposeSecret;

    use super::*;

    const STATE: &str = "0123456789012345678901234567890123456789-_A";

    #[test]
    fn an_answer_has_a_state_and_either_a_code_or_an_error() {
        let read = |rest: &str| callback(&format!("state={STATE}{rest}"));
        let good = read("&code=a%2Fb&iss=https%3A%2F%2Fissuer.example&ignored=1").unwrap();
        assert_eq!(good.outcome.unwrap().expose_secret(), "a/b");
        assert_eq!((good.state.as_str(), good.issuer.as_deref()), (STATE, Some("https://issuer.example")));
        assert_eq!(read("&error=access_denied").unwrap().outcome.unwrap_err(), "access_denied");
        let too_long = format!("&code={}", "c".repeat(LONGEST_CODE + 1));
        for wrong in
            ["", "&code=", "&code=a&code=b", "&code=a&error=b", "&code=a&state=b", "&code=a&iss=", &too_long]
        {
            assert!(read(wrong).is_none(), "{wrong}");
        }
        assert!(callback("code=a").is_none() && callback("state=short&code=a").is_none());
    }

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
}
