//! The token endpoint of both providers (RFC 6749 §4.1.3, §4.4, §5, §6) and the revocation endpoint (RFC 7009).
//! Tokens live in secret types from here on.

use std::time::Duration;

use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use stagedoor_domain::{TenantContext, text::clean};
use url::{Url, form_urlencoded};

use crate::account::Revocation;
use crate::broker::Endpoint;
use crate::call::{Authorization, Call, Explanation, Refused};
use crate::error::{ForbiddenReason, MalformedAnswer, ProviderError, TransportError};
use crate::http::ProviderHttp;
use crate::text;
use crate::types::{ProviderApp, TokenGrant, Urgency};

/// The most scopes of an answer that are kept.
const MOST_SCOPES: usize = 64;
/// The longest of them, in characters.
const LONGEST_SCOPE: usize = 100;

/// What a client asks a token for.
pub(crate) enum GrantType<'a> {
    RefreshToken(&'a SecretString),
    ClientCredentials,
    AuthorizationCode { code: &'a SecretString, verifier: &'a SecretString, redirect_uri: &'a Url },
}

impl<'a> GrantType<'a> {
    /// For the log, and the form.
    fn request(&self) -> (&'static str, Vec<(&'static str, &'a str)>) {
        match *self {
            Self::RefreshToken(token) => (
                "refresh token",
                vec![("grant_type", "refresh_token"), ("refresh_token", token.expose_secret())],
            ),
            Self::ClientCredentials => ("client credentials", vec![("grant_type", "client_credentials")]),
            Self::AuthorizationCode { code, verifier, redirect_uri } => (
                "authorization code",
                vec![
                    ("grant_type", "authorization_code"),
                    ("code", code.expose_secret()),
                    ("redirect_uri", redirect_uri.as_str()),
                    ("code_verifier", verifier.expose_secret()),
                ],
            ),
        }
    }
}

/// Asks `endpoint` for a token. The client authenticates as RFC 6749 §2.3.1 and §3.2.1 say.
pub(crate) async fn token(
    http: &ProviderHttp,
    ctx: &TenantContext,
    app: &ProviderApp,
    endpoint: Url,
    grant_type: GrantType<'_>,
) -> Result<TokenGrant, ProviderError> {
    if app.client_secret.is_none() && matches!(grant_type, GrantType::ClientCredentials) {
        let what = "it has no client secret, which catalogue calls without an account need";
        return Err(ProviderError::Misconfigured { provider: app.provider, what });
    }
    // A code works once: after an answer that was lost, only linking anew helps.
    let repeatable = !matches!(grant_type, GrantType::AuthorizationCode { .. });
    let (operation, form) = grant_type.request();
    let call = Call { repeatable, ..post(app, operation, endpoint, form) };
    let answer: TokenAnswer = http.json(ctx, &call).await.map_err(meaning)?;
    answer.into_grant().map_err(|cause| ProviderError::InvalidAnswer {
        provider: app.provider,
        uncertain: !repeatable,
        cause,
    })
}

/// Asks `endpoint` to end `token` and, if it is a refresh token, the whole grant (RFC 7009 §2). What the content of
/// the answer is does not matter (§2.2).
pub(crate) async fn revoke(
    http: &ProviderHttp,
    ctx: &TenantContext,
    app: &ProviderApp,
    endpoint: Url,
    token: &SecretString,
) -> Result<Revocation, ProviderError> {
    let call = post(app, "revoke token", endpoint, vec![("token", token.expose_secret())]);
    let unsupported = Revocation::Unsupported { remove_at: None };
    match http.acknowledged(ctx, &call).await {
        Ok(()) => Ok(Revocation::Revoked),
        Err(
            ProviderError::NotFound { .. }
            | ProviderError::Rejected { status: 405, .. }
            | ProviderError::Unavailable { cause: TransportError::Status(501), .. },
        ) => Ok(unsupported),
        Err(ProviderError::Rejected { status: 400, message: Some(word), .. })
            if word == "unsupported_token_type" =>
        {
            Ok(unsupported)
        }
        Err(other) => Err(meaning(other)),
    }
}

/// A form of the client. One with a secret authenticates with HTTP Basic, one without names its id in the form.
fn post<'a>(
    app: &'a ProviderApp,
    operation: &'static str,
    url: Url,
    mut form: Vec<(&'static str, &'a str)>,
) -> Call<'a> {
    let authorization = if let Some(password) = &app.client_secret {
        Authorization::Basic { user: &app.client_id, password }
    } else {
        form.push(("client_id", &app.client_id));
        Authorization::None
    };
    Call {
        app,
        endpoint: Endpoint::Token,
        operation,
        method: Method::POST,
        url,
        authorization,
        accept: "application/json",
        body: Some(("application/x-www-form-urlencoded", encode(&form))),
        idempotency_key: None,
        repeatable: true,
        deadline: None,
        urgency: Urgency::Call,
        sent: None,
        scopes: &[],
        forbidden: ForbiddenReason::Unknown,
        explain,
    }
}

/// No token is sent to a token endpoint and nothing is looked up there, so a bare 401 or 404 is about the app.
fn meaning(error: ProviderError) -> ProviderError {
    match error {
        ProviderError::Unauthorized { provider } => {
            ProviderError::Misconfigured { provider, what: "the provider refused the client id or secret" }
        }
        ProviderError::NotFound { provider } => {
            ProviderError::Misconfigured { provider, what: "its token endpoint does not exist" }
        }
        other => other,
    }
}

fn encode(form: &[(&str, &str)]) -> Vec<u8> {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish().into_bytes()
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: SecretString,
    token_type: String,
    expires_in: Option<u64>,
    refresh_token: Option<SecretString>,
    scope: Option<String>,
}

impl TokenAnswer {
    fn into_grant(self) -> Result<TokenGrant, MalformedAnswer> {
        if !self.token_type.eq_ignore_ascii_case("bearer") {
            return Err(MalformedAnswer::Missing("a token_type of Bearer"));
        }
        if self.access_token.expose_secret().is_empty() {
            return Err(MalformedAnswer::Missing("access_token"));
        }
        let expires_in = self.expires_in.ok_or(MalformedAnswer::Missing("expires_in"))?;
        Ok(TokenGrant {
            access_token: self.access_token,
            refresh_token: self.refresh_token.filter(|token| !token.expose_secret().is_empty()),
            expires_in: Duration::from_secs(expires_in),
            scopes_told: self.scope.is_some(),
            scopes: scopes_in(&self.scope.unwrap_or_default()),
        })
    }
}

/// One that is too long or holds what cannot be seen is left out: a part of it would be another scope.
fn scopes_in(text: &str) -> Vec<String> {
    let fits = |scope: &&str| clean(scope, LONGEST_SCOPE) == **scope;
    text.split_whitespace().filter(fits).take(MOST_SCOPES).map(str::to_owned).collect()
}

/// RFC 6749 §5.2.
#[derive(Deserialize)]
struct TokenErrorAnswer {
    error: String,
}

fn explain(body: &[u8], _scopes: &'static [&'static str]) -> Explanation {
    let Ok(answer) = serde_json::from_slice::<TokenErrorAnswer>(body) else {
        return Explanation::default();
    };
    Explanation {
        // The description is prose that could repeat what was sent; the code is a word of the standard.
        message: text::word(&answer.error)
            .filter(|word| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')),
        refused: match answer.error.as_str() {
            "invalid_grant" => Some(Refused::Grant),
            "invalid_client" | "unauthorized_client" => Some(Refused::Client),
            _ => None,
        },
        ..Explanation::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(json: &str) -> Result<TokenGrant, MalformedAnswer> {
        serde_json::from_str::<TokenAnswer>(json).map_err(|error| MalformedAnswer::from(&error))?.into_grant()
    }

    #[test]
    fn an_answer_without_rotation_keeps_the_old_refresh_token() {
        let grant =
            grant(r#"{"access_token":"a","token_type":"bearer","expires_in":3600,"scope":"x y"}"#).unwrap();
        assert!(grant.refresh_token.is_none());
        assert_eq!(grant.scopes, ["x", "y"]);
        assert!(!format!("{grant:?}").contains("\"a\""));
    }

    #[test]
    fn granted_scopes_are_bounded_and_an_empty_text_grants_none() {
        let told = |scope: &str| {
            let answer = serde_json::json!({
                "access_token": "a", "token_type": "Bearer", "expires_in": 3600, "scope": scope
            });
            grant(&answer.to_string()).unwrap()
        };
        let asked = ["x".to_owned()];
        assert_eq!(told("").granted(&asked), [""; 0]);
        let silent = grant(r#"{"access_token":"a","token_type":"Bearer","expires_in":3600}"#).unwrap();
        assert_eq!(silent.granted(&asked), asked);
        let many: Vec<String> = (0..20_000).map(|number| format!("s{number}")).collect();
        assert_eq!(told(&many.join(" ")).scopes.len(), MOST_SCOPES);
        let (longest, longer) = ("a".repeat(LONGEST_SCOPE), "b".repeat(LONGEST_SCOPE + 1));
        assert_eq!(told(&format!("{longer} {longest} c\u{0} \u{202e}d")).scopes, [longest]);
    }

    #[test]
    fn what_cannot_be_used_is_no_grant() {
        for json in [
            r#"{"access_token":"a","token_type":"mac","expires_in":3600}"#,
            r#"{"access_token":"","token_type":"Bearer","expires_in":3600}"#,
            r#"{"access_token":"a","token_type":"Bearer"}"#,
            r#"{"access_token":"a","token_type":"Bearer","expires_in":"soon"}"#,
        ] {
            assert!(grant(json).is_err(), "{json}");
        }
    }

    #[test]
    fn the_standard_errors_are_told_apart() {
        assert_eq!(explain(br#"{"error":"invalid_grant"}"#, &[]).refused, Some(Refused::Grant));
        assert_eq!(explain(br#"{"error":"invalid_client"}"#, &[]).refused, Some(Refused::Client));
        let other = explain(br#"{"error":"invalid_scope","error_description":"token abc"}"#, &[]);
        assert_eq!(other.message.as_deref(), Some("invalid_scope"));
        assert!(explain(br#"{"error":"You sent abc"}"#, &[]).message.is_none());
    }
}
