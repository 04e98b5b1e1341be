//! One request as the providers describe it: address, authorization, what its failures mean. Sending is `http`'s.

use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::broker::Endpoint;
use crate::error::ForbiddenReason;
use crate::types::{Deadline, ProviderApp, Sent, Urgency};

/// Who calls.
pub(crate) enum Authorization<'a> {
    Bearer(&'a SecretString),
    Basic { user: &'a str, password: &'a SecretString },
    None,
}

impl Authorization<'_> {
    /// Whether showing `text`, which may have been cut short, would show the secret or much of it.
    pub(crate) fn is_revealed_by(&self, text: &str) -> bool {
        let secret = match self {
            Self::Bearer(secret) | Self::Basic { password: secret, .. } => secret.expose_secret(),
            Self::None => return false,
        };
        text.contains(secret.get(..16).unwrap_or(secret))
    }
}

/// What a provider's error body says.
#[derive(Debug, Default)]
pub(crate) struct Explanation {
    /// The provider's sentence, cleaned.
    pub(crate) message: Option<String>,
    /// What is missing, where the answer tells.
    pub(crate) forbidden: Option<ForbiddenReason>,
    /// Whether a 429 is a quota that is used up.
    pub(crate) quota: bool,
    /// What a token endpoint refuses.
    pub(crate) refused: Option<Refused>,
    /// Whether a 404 means that there is no player to command.
    pub(crate) no_device: bool,
}

/// What a token endpoint refuses (RFC 6749 §5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The refresh token or the code: `invalid_grant`.
    Grant,
    /// The client: `invalid_client`.
    Client,
}

/// One request.
pub(crate) struct Call<'a> {
    pub(crate) app: &'a ProviderApp,
    pub(crate) endpoint: Endpoint,
    /// For the log: the operation, never an id.
    pub(crate) operation: &'static str,
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) authorization: Authorization<'a>,
    pub(crate) accept: &'static str,
    /// Content type and content.
    pub(crate) body: Option<(&'static str, Vec<u8>)>,
    pub(crate) idempotency_key: Option<&'a str>,
    /// Whether sending it twice, with or without the same key, does no more than sending it once.
    pub(crate) repeatable: bool,
    pub(crate) deadline: Option<Deadline>,
    pub(crate) urgency: Urgency,
    pub(crate) sent: Option<&'a Sent>,
    /// The scopes that the operation needs, for when the provider says that one is missing.
    pub(crate) scopes: &'static [&'static str],
    /// What a 403 means that gives no reason.
    pub(crate) forbidden: ForbiddenReason,
    /// Reads a provider's error body.
    pub(crate) explain: fn(body: &[u8], scopes: &'static [&'static str]) -> Explanation,
}

/// `base` with path segments and a query, everything percent-encoded.
pub(crate) fn address(base: &Url, segments: &[&str], query: &[(&str, &str)]) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url.set_query(None);
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_outside_stays_in_its_path_segment() {
        let base = Url::parse("https://api.example/v1/").unwrap();
        let url = address(&base, &["tracks", "a/../b?c#d"], &[("q", "a&b=c")]);
        assert_eq!(url.as_str(), "https://api.example/v1/tracks/a%2F..%2Fb%3Fc%23d?q=a%26b%3Dc");
    }
}
