//! The checks of an authorization request (RFC 6749 §4.1.1, RFC 7636 §4.4.1), and the addresses that answer it.

use stagedoor_domain::Provider;
use url::Url;

use crate::exchange::Query;
use crate::sandbox::Sandbox;

/// The scopes that a third party may ask Spotify for.
const SPOTIFY_SCOPES: [&str; 19] = [
    "app-remote-control",
    "playlist-modify-private",
    "playlist-modify-public",
    "playlist-read-collaborative",
    "playlist-read-private",
    "streaming",
    "ugc-image-upload",
    "user-follow-modify",
    "user-follow-read",
    "user-library-modify",
    "user-library-read",
    "user-modify-playback-state",
    "user-read-currently-playing",
    "user-read-email",
    "user-read-playback-position",
    "user-read-playback-state",
    "user-read-private",
    "user-read-recently-played",
    "user-top-read",
];
/// The scopes that a third party may ask Tidal for.
const TIDAL_SCOPES: [&str; 10] = [
    "collection.read",
    "collection.write",
    "entitlements.read",
    "playback",
    "playlists.read",
    "playlists.write",
    "recommendations.read",
    "search.read",
    "search.write",
    "user.read",
];
/// A SHA-256 in base64url without padding.
const CHALLENGE_LENGTH: usize = 43;

/// Why an authorization request is answered by a page and nobody is sent back (RFC 6749 §4.1.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthorizeRefusal {
    /// `client_id` is missing, repeated or unknown.
    #[error("INVALID_CLIENT: Invalid client")]
    UnknownClient,
    /// `redirect_uri` is missing, repeated or not registered for the client.
    #[error("INVALID_CLIENT: Invalid redirect URI")]
    UnknownRedirectUri,
    /// The person who is to agree has no account.
    #[error("there is no such account")]
    UnknownAccount,
}

/// What becomes of a request that is refused.
pub(super) enum Refused {
    Shown(AuthorizeRefusal),
    SentBack(Url),
}

/// A request that may be put before a person.
pub(super) struct AuthorizationRequest {
    pub(super) provider: Provider,
    pub(super) client_id: String,
    pub(super) redirect_uri: String,
    pub(super) scopes: Vec<String>,
    pub(super) challenge: String,
    back: Back,
}

impl AuthorizationRequest {
    pub(super) fn check(sandbox: &Sandbox, provider: Provider, query: &Query) -> Result<Self, Refused> {
        let client_id = single(query, "client_id").ok().flatten();
        let app = client_id.and_then(|id| sandbox.read(|model| model.side(provider).apps.get(id).cloned()));
        let (Some(client_id), Some(app)) = (client_id, app) else {
            return Err(Refused::Shown(AuthorizeRefusal::UnknownClient));
        };
        let redirect_uri = single(query, "redirect_uri").ok().flatten();
        let redirect_uri = redirect_uri.filter(|wanted| app.redirect_uris.iter().any(|held| held == wanted));
        let Some((redirect_uri, address)) =
            redirect_uri.and_then(|text| Some((text, Url::parse(text).ok()?)))
        else {
            return Err(Refused::Shown(AuthorizeRefusal::UnknownRedirectUri));
        };
        let back = Back {
            address,
            state: query.get("state").filter(|state| !state.is_empty()).map(str::to_owned),
            issuer: sandbox.read(|model| model.side(provider).issuer.clone()),
        };
        match read(provider, query) {
            Ok((scopes, challenge)) => Ok(Self {
                provider,
                client_id: client_id.to_owned(),
                redirect_uri: redirect_uri.to_owned(),
                scopes,
                challenge,
                back,
            }),
            Err((error, description)) => {
                let pairs = [("error", error), ("error_description", description)];
                Err(Refused::SentBack(back.with(&pairs)))
            }
        }
    }

    /// Where the browser goes back to when the person agreed.
    pub(super) fn granted(&self, code: &str) -> Url {
        self.back.with(&[("code", code)])
    }

    /// Where the browser goes back to when the person declined.
    pub(super) fn declined(&self) -> Url {
        self.back.with(&[("error", "access_denied")])
    }
}

/// Where the browser goes back to, and what every answer carries.
struct Back {
    address: Url,
    state: Option<String>,
    issuer: Option<String>,
}

impl Back {
    fn with(&self, pairs: &[(&str, &str)]) -> Url {
        let mut url = self.address.clone();
        let state = self.state.iter().map(|state| ("state", state.as_str()));
        let issuer = self.issuer.iter().map(|issuer| ("iss", issuer.as_str()));
        url.query_pairs_mut().extend_pairs(pairs).extend_pairs(state).extend_pairs(issuer);
        url
    }
}

/// Scopes and challenge, or the error to send back (RFC 6749 §4.1.2.1).
fn read(provider: Provider, query: &Query) -> Result<(Vec<String>, String), (&'static str, &'static str)> {
    let of = |name| single(query, name).map_err(|()| ("invalid_request", "a parameter is repeated"));
    of("state")?;
    match of("response_type")? {
        None => return Err(("invalid_request", "response_type must be supplied")),
        Some("code") => {}
        Some(_) => return Err(("unsupported_response_type", "response_type must be code")),
    }
    let Some(challenge) = of("code_challenge")? else {
        return Err(("invalid_request", "code_challenge must be supplied"));
    };
    if of("code_challenge_method")? != Some("S256") {
        return Err(("invalid_request", "code_challenge_method must be S256"));
    }
    let is_base64url = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if challenge.len() != CHALLENGE_LENGTH || !challenge.bytes().all(is_base64url) {
        return Err(("invalid_request", "code_challenge is no SHA-256"));
    }
    let known: &[&str] = match provider {
        Provider::Spotify => &SPOTIFY_SCOPES,
        Provider::Tidal => &TIDAL_SCOPES,
    };
    let scopes: Vec<String> = of("scope")?.unwrap_or_default().split(' ').map(str::to_owned).collect();
    let scopes: Vec<String> = scopes.into_iter().filter(|scope| !scope.is_empty()).collect();
    if scopes.iter().any(|scope| !known.contains(&scope.as_str())) {
        return Err(("invalid_scope", "a scope is not known"));
    }
    Ok((scopes, challenge.to_owned()))
}

/// The value of a parameter; one without a value counts as left out, and none may be repeated (RFC 6749 §3.1).
fn single<'a>(query: &'a Query, name: &str) -> Result<Option<&'a str>, ()> {
    let mut values = query.0.iter().filter(|(held, _)| held == name).map(|(_, value)| value.as_str());
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(()),
        (value, None) => Ok(value.filter(|value| !value.is_empty())),
    }
}
