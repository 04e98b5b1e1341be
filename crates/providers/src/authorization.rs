//! The address that a person's browser is sent to for consent, and who must answer from there. Sending the browser
//! and reading its answer is the gateway's.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use url::{Url, form_urlencoded};

use crate::types::ProviderApp;

/// What a person is asked to agree to (RFC 6749 §4.1.1 with RFC 7636 §4.3).
#[derive(Clone, Copy)]
pub struct AuthorizationRequest<'a> {
    /// Where the browser comes back to; `exchange_code` must name the same one.
    pub redirect_uri: &'a Url,
    /// The scopes wanted, in the provider's words.
    pub scopes: &'a [String],
    /// What the answer must repeat.
    pub state: &'a SecretString,
    /// Base64url without padding of the SHA-256 of the verifier (RFC 7636 §4.2, `S256`).
    pub code_challenge: &'a str,
}

impl fmt::Debug for AuthorizationRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizationRequest")
            .field("redirect_uri", &self.redirect_uri.as_str())
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

/// `base` with the request as its query, behind what query it has (RFC 6749 §3.1). Spaces are `%20`: not every
/// authorization server reads `+` as one.
pub(crate) fn address(
    base: &Url,
    app: &ProviderApp,
    request: &AuthorizationRequest<'_>,
    extra: &[(&str, &str)],
) -> Url {
    let scopes = request.scopes.join(" ");
    let own = [
        ("response_type", "code"),
        ("client_id", &app.client_id),
        ("redirect_uri", request.redirect_uri.as_str()),
        ("scope", &scopes),
        ("state", request.state.expose_secret()),
        ("code_challenge", request.code_challenge),
        ("code_challenge_method", "S256"),
    ];
    let wanted = own.iter().chain(extra).filter(|(name, value)| *name != "scope" || !value.is_empty());
    let encoded = form_urlencoded::Serializer::new(String::new()).extend_pairs(wanted).finish();
    // The serializer writes a plus sign itself as %2B, so every `+` left stands for a space.
    let encoded = encoded.replace('+', "%20");
    let mut address = base.clone();
    let query = match base.query() {
        Some(held) if !held.is_empty() => format!("{held}&{encoded}"),
        _ => encoded,
    };
    address.set_query(Some(&query));
    address.set_fragment(None);
    address
}

/// `base` as an issuer identifier: without a slash at the end (RFC 8414 §2, RFC 9207 §2).
pub(crate) fn issuer(base: &Url) -> String {
    base.as_str().trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use stagedoor_domain::{Provider, ProviderAppId};
    use uuid::Uuid;

    use super::*;
    use crate::types::SpotifyMode;

    fn app() -> ProviderApp {
        ProviderApp {
            id: ProviderAppId(Uuid::from_u128(1)),
            provider: Provider::Spotify,
            client_id: "client&id".to_owned(),
            client_secret: None,
            api_base: Url::parse("https://api.spotify.com/v1").unwrap(),
            auth_base: Url::parse("https://accounts.spotify.com").unwrap(),
            authorize_url: None,
            mode: SpotifyMode::Development,
        }
    }

    fn of(base: &str, scopes: &[String]) -> String {
        let redirect_uri = Url::parse("https://door.example/t/acme/connect/callback/spotify").unwrap();
        let state = SecretString::from("a+b c");
        let request = AuthorizationRequest {
            redirect_uri: &redirect_uri,
            scopes,
            state: &state,
            code_challenge: "E9-_",
        };
        address(&Url::parse(base).unwrap(), &app(), &request, &[("show_dialog", "true")]).into()
    }

    #[test]
    fn everything_is_encoded_and_spaces_are_no_plus_signs() {
        assert_eq!(
            of("https://accounts.spotify.com/authorize", &["one".to_owned(), "two".to_owned()]),
            "https://accounts.spotify.com/authorize?response_type=code&client_id=client%26id\
             &redirect_uri=https%3A%2F%2Fdoor.example%2Ft%2Facme%2Fconnect%2Fcallback%2Fspotify\
             &scope=one%20two&state=a%2Bb%20c&code_challenge=E9-_&code_challenge_method=S256&show_dialog=true"
        );
    }

    #[test]
    fn a_query_of_the_address_stays_and_a_fragment_goes() {
        let address = of("https://login.example/authorize?lang=de#top", &[]);
        assert!(
            address.starts_with("https://login.example/authorize?lang=de&response_type=code&"),
            "{address}"
        );
        assert!(!address.contains('#') && !address.contains("scope="), "{address}");
    }

    #[test]
    fn a_request_shows_no_state() {
        let redirect_uri = Url::parse("https://door.example/").unwrap();
        let state = SecretString::from("hidden-state");
        let request = AuthorizationRequest {
            redirect_uri: &redirect_uri,
            scopes: &[],
            state: &state,
            code_challenge: "c",
        };
        assert!(!format!("{request:?}").contains("hidden"));
    }
}
