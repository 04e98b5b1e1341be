//! Whether a session's tokens can be used by the tenant's client, as far as that shows without asking anyone.

use std::fmt;

use chrono::{DateTime, Utc};
use stagedoor_domain::Provider;
use stagedoor_domain::text::clean;
use stagedoor_legacy_sessions::Session;
use stagedoor_providers::grant_end;

/// Why tokens are not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The tenant has no client at the service.
    NoApp(Provider),
    /// Nothing tells which client the tokens were made for.
    NoClient,
    /// They were made for another client than the tenant's.
    OtherClient {
        /// Theirs.
        theirs: String,
        /// The tenant's.
        tenants: String,
    },
    /// The file names another client than whoever runs the import.
    ClientsDiffer,
    /// There are none.
    NoTokens,
    /// The access token has ended, and there is no refresh token.
    Ended(DateTime<Utc>),
    /// The grant has ended, however often it was refreshed.
    GrantEnded(DateTime<Utc>),
    /// The provider no longer accepts them.
    Refused(Provider),
    /// Its access token works, but it is not refreshed for the tenant's client.
    RefreshRefused(Provider),
    /// They may not be asked whose they are.
    NoScope(Provider),
    /// They could not be used at an earlier import.
    RefusedBefore(DateTime<Utc>),
    /// They were imported, and their grant has ended since.
    EndedSince(DateTime<Utc>),
    /// They are of another account than the file says.
    OtherAccount,
    /// They were imported for another person of the tenant.
    OtherPerson,
}

/// What whoever runs the import says about the client that tokens were made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GivenClient {
    /// It is this one.
    Id(String),
    /// It is the tenant's own.
    Tenants,
}

/// Judges a session for the tenant's client `app_client`; `given` is what whoever runs the import says about the
/// tokens' client.
pub(super) fn assess(
    session: &Session,
    app_client: &str,
    given: Option<&GivenClient>,
    now: DateTime<Utc>,
) -> Result<(), Reason> {
    let client = match (session.client_id.as_deref(), given) {
        (Some(inside), Some(GivenClient::Id(given))) if inside != given => return Err(Reason::ClientsDiffer),
        (Some(client), _) => client,
        (None, Some(GivenClient::Id(client))) => client,
        (None, Some(GivenClient::Tenants)) => app_client,
        (None, None) => return Err(Reason::NoClient),
    };
    if client != app_client {
        let (theirs, tenants) = (clean(client, 80), app_client.to_owned());
        return Err(Reason::OtherClient { theirs, tenants });
    }
    if session.access_token.is_none() && session.refresh_token.is_none() {
        return Err(Reason::NoTokens);
    }
    match (&session.refresh_token, session.expires_at) {
        (None, Some(ended)) if ended <= now => return Err(Reason::Ended(ended)),
        _ => {}
    }
    let grant_ends = consented_by(session).and_then(|at| grant_end(session.provider, at));
    match grant_ends {
        Some(ended) if ended <= now => Err(Reason::GrantEnded(ended)),
        _ => Ok(()),
    }
}

/// When the person consented, or else a time by which they had: no token ends before there was consent.
pub(super) fn consented_by(session: &Session) -> Option<DateTime<Utc>> {
    session.authorized_at.or(session.consented_by).or(session.expires_at)
}

impl Reason {
    /// Whether the account's person can mend it by consenting again.
    pub(super) fn calls_for_consent(&self) -> bool {
        match self {
            Self::NoClient
            | Self::OtherClient { .. }
            | Self::NoTokens
            | Self::Ended(_)
            | Self::GrantEnded(_)
            | Self::Refused(_)
            | Self::RefreshRefused(_)
            | Self::NoScope(_)
            | Self::RefusedBefore(_)
            | Self::EndedSince(_) => true,
            Self::NoApp(_) | Self::ClientsDiffer | Self::OtherAccount | Self::OtherPerson => false,
        }
    }

    /// The stable text form.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::NoApp(_) => "no_app",
            Self::NoClient => "no_client_id",
            Self::OtherClient { .. } => "other_client",
            Self::ClientsDiffer => "client_ids_differ",
            Self::NoTokens => "no_tokens",
            Self::Ended(_) => "access_ended",
            Self::GrantEnded(_) => "grant_ended",
            Self::Refused(_) | Self::RefreshRefused(_) => "refused",
            Self::NoScope(_) => "no_scope",
            Self::RefusedBefore(_) => "refused_before",
            Self::EndedSince(_) => "ended_since",
            Self::OtherAccount => "other_account",
            Self::OtherPerson => "other_person",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoApp(provider) => write!(f, "the tenant has no client at {}", provider.title()),
            Self::NoClient => f.write_str(
                "the file does not tell which client its tokens were made for; if it is the tenant's own, say so with --client-id",
            ),
            Self::OtherClient { theirs, tenants } => write!(
                f,
                "its tokens were made for the client {theirs}, and only the tenant's own, {tenants}, could use its"
            ),
            Self::ClientsDiffer => f.write_str("the file names another client than --client-id"),
            Self::NoTokens => f.write_str("it holds no token"),
            Self::RefreshRefused(provider) => write!(
                f,
                "its access token still works, but {} does not refresh it for the tenant's client: it was made for another client, \
                or its grant has ended",
                provider.title()
            ),
            Self::NoScope(provider) => write!(
                f,
                "its tokens do not cover asking {} whose account it is, so nothing proves whose tokens they are",
                provider.title()
            ),
            Self::Ended(at) => write!(f, "its access token ended at {at}, and it holds no refresh token"),
            Self::GrantEnded(at) => write!(f, "its grant ended at {at}; refreshing does not extend it"),
            Self::Refused(provider) => write!(f, "{} no longer accepts its tokens", provider.title()),
            Self::RefusedBefore(at) => write!(f, "its tokens could not be used at the import of {at}"),
            Self::EndedSince(at) => write!(f, "it was imported at {at}, and its grant has ended since"),
            Self::OtherAccount => f.write_str("its tokens are of another account than it says"),
            Self::OtherPerson => f.write_str("its tokens were imported for another person of this tenant"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-11-21T12:00:00Z";

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn session() -> Session {
        Session {
            provider: Provider::Spotify,
            access_token: Some("a".into()),
            refresh_token: Some("r".into()),
            expires_at: Some(at("2026-11-21T11:00:00Z")),
            authorized_at: None,
            consented_by: None,
            scopes: None,
            provider_user_id: None,
            country_code: None,
            client_id: Some("ours".to_owned()),
        }
    }

    fn judged(session: &Session, given: Option<&str>) -> Result<(), &'static str> {
        let given = given.map(|given| GivenClient::Id(given.to_owned()));
        assess(session, "ours", given.as_ref(), at(NOW)).map_err(|reason| reason.as_str())
    }

    #[test]
    fn tokens_of_the_tenants_own_client_can_be_used() {
        assert_eq!(judged(&session(), None), Ok(()));
        assert_eq!(judged(&session(), Some("ours")), Ok(()));
        assert_eq!(judged(&Session { client_id: None, ..session() }, Some("ours")), Ok(()));
    }

    #[test]
    fn tokens_of_another_or_an_unknown_client_cannot() {
        let silent = Session { client_id: None, ..session() };
        assert_eq!(judged(&silent, None), Err("no_client_id"));
        assert_eq!(judged(&silent, Some("theirs")), Err("other_client"));
        let theirs = Session { client_id: Some("theirs".to_owned()), ..session() };
        assert_eq!(judged(&theirs, None), Err("other_client"));
        assert_eq!(judged(&theirs, Some("ours")), Err("client_ids_differ"));
    }

    #[test]
    fn the_tenants_own_client_can_be_claimed_without_its_id() {
        let judged = |session: &Session| {
            let judged = assess(session, "ours", Some(&GivenClient::Tenants), at(NOW));
            judged.map_err(|reason| reason.as_str())
        };
        assert_eq!(judged(&session()), Ok(()));
        assert_eq!(judged(&Session { client_id: None, ..session() }), Ok(()));
        let theirs = Session { client_id: Some("theirs".to_owned()), ..session() };
        assert_eq!(judged(&theirs), Err("other_client"), "a file that says otherwise is believed");
    }

    #[test]
    fn what_has_ended_for_good_cannot() {
        let bare = Session { access_token: None, refresh_token: None, ..session() };
        assert_eq!(judged(&bare, None), Err("no_tokens"));
        let ended = Session { refresh_token: None, ..session() };
        assert_eq!(judged(&ended, None), Err("access_ended"));
        let open = Session { refresh_token: None, expires_at: Some(at("2026-11-21T13:00:00Z")), ..session() };
        assert_eq!(judged(&open, None), Ok(()));
        let old = Session { authorized_at: Some(at("2026-05-21T11:59:59Z")), ..session() };
        assert_eq!(judged(&old, None), Err("grant_ended"));
        let saved = Session { consented_by: old.authorized_at, ..session() };
        assert_eq!(judged(&saved, None), Err("grant_ended"), "consent cannot have come later");
        let last_token = Session { expires_at: old.authorized_at, ..session() };
        assert_eq!(judged(&last_token, None), Err("grant_ended"));
        assert_eq!(judged(&Session { provider: Provider::Tidal, ..old }, None), Ok(()));
    }
}
