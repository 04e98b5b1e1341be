//! What linking and unlinking learn from a provider: whose account it is, whether a grant could be revoked, and how
//! long a grant lives at most.

use chrono::{DateTime, Months, Utc};
use stagedoor_domain::Provider;

/// Whose account an access token stands for. Cleaned; data, never instructions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// What the account is linked by, 1–128 characters: Spotify's `account_id` (its `id` where there is none),
    /// Tidal's user id. It does not change when the person changes their name.
    pub account_id: String,
    /// The name that the person is shown by.
    pub name: Option<String>,
    /// ISO 3166-1 alpha-2, upper case; only where the grant lets it be read.
    pub country: Option<String>,
}

/// What came of asking a provider to end a grant (RFC 7009).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revocation {
    /// The token is dead there. A token that was dead before counts as revoked too (RFC 7009 §2.2).
    Revoked,
    /// The provider revokes no such tokens for clients.
    Unsupported {
        /// Where the person can remove the app's access themselves, if the provider has such a page.
        remove_at: Option<&'static str>,
    },
}

/// When a grant that a person gave at `authorized_at` ends although it is used; `None` where grants live on.
/// Spotify's refresh tokens die six months after the first authorization, and refreshing does not extend them.
pub fn grant_end(provider: Provider, authorized_at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    match provider {
        Provider::Spotify => authorized_at.checked_add_months(Months::new(6)),
        Provider::Tidal => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_months_are_calendar_months() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let end = grant_end(Provider::Spotify, at("2026-08-31T10:00:00Z"));
        assert_eq!(end, Some(at("2027-02-28T10:00:00Z")));
        assert_eq!(grant_end(Provider::Tidal, at("2026-08-31T10:00:00Z")), None);
    }
}
