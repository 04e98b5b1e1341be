//! What is said of a grant that ends for good, and when: some do, whatever is refreshed meanwhile, and only the person
//! can renew them by linking again. Which grants end is `providers::grant_end`.

use chrono::{DateTime, TimeDelta, Utc};
use stagedoor_domain::PublicError;

use crate::accounts::Account;

/// How long before the end people are warned.
const WARNED_FOR: TimeDelta = TimeDelta::days(30);

/// What is known of a grant's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outlook {
    /// It does not end, or not soon.
    Open,
    /// It ends within the next 30 days.
    Ending {
        /// When.
        at: DateTime<Utc>,
        /// Whole days until then, rounded up.
        days: i64,
    },
    /// It has ended.
    Ended {
        /// When.
        at: DateTime<Utc>,
    },
}

/// What is known of the end of an account's grant.
pub(crate) fn outlook(account: &Account, now: DateTime<Utc>) -> Outlook {
    match account.grant_ends_at {
        Some(at) if at <= now => Outlook::Ended { at },
        Some(at) if at - now <= WARNED_FOR => {
            let seconds = (at - now).num_seconds();
            Outlook::Ending { at, days: (seconds + 86_399) / 86_400 }
        }
        _ => Outlook::Open,
    }
}

/// The sentences that warn of it, once there is something to warn of.
pub(crate) fn warning(account: &Account, now: DateTime<Utc>) -> Option<String> {
    let (provider, id) = (account.provider.title(), account.id);
    let again = || {
        format!(
            "Link it again with account_link {{\"provider\":\"{}\",\"account\":\"{id}\"}}",
            account.provider
        )
    };
    match outlook(account, now) {
        Outlook::Open => None,
        Outlook::Ending { at, days } => Some(format!(
            "The access to the {provider} account {} ends on {} (in {days} {}), whatever is done until then. {} \
             before that; nothing is lost by it.",
            named(account),
            at.format("%Y-%m-%d"),
            if days == 1 { "day" } else { "days" },
            again()
        )),
        Outlook::Ended { at } => Some(format!(
            "The access to the {provider} account {} ended on {}, as {provider} lets it end six months after the \
             person's consent. {}.",
            named(account),
            at.format("%Y-%m-%d"),
            again()
        )),
    }
}

/// The sentence that tells of an access that cannot be renewed, because the service gave out no refresh token.
pub(crate) fn not_renewable(account: &Account) -> Option<String> {
    let at = account.works_until?.format("%Y-%m-%d %H:%M UTC");
    let provider = account.provider.title();
    Some(format!(
        "{provider} does not let this access be renewed: it works until {at}, then the person has to link it again."
    ))
}

/// The error with the warning as the last part of what to do.
pub(crate) fn with_warning(mut error: PublicError, warning: Option<String>) -> PublicError {
    if let Some(warning) = warning {
        error.hint = Some(match error.hint {
            Some(hint) => format!("{hint} {warning}"),
            None => warning,
        });
    }
    error
}

fn named(account: &Account) -> String {
    account.name.as_deref().map_or_else(|| account.id.to_string(), |name| format!("{name:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use stagedoor_domain::{ErrorCode, Provider};
    use stagedoor_providers::grant_end;
    use uuid::Uuid;

    fn account(provider: Provider, authorized_at: DateTime<Utc>) -> Account {
        Account {
            id: Uuid::from_u128(7).into(),
            user: Uuid::nil().into(),
            provider,
            name: Some("Robin".to_owned()),
            country: None,
            relink_needed: false,
            scopes: Vec::new(),
            linked_at: authorized_at,
            authorized_at: Some(authorized_at),
            grant_ends_at: grant_end(provider, authorized_at),
            unreadable: false,
            works_until: None,
        }
    }

    #[test]
    fn the_end_is_foreseen_for_thirty_days_and_told_when_it_is_there() {
        let consent: DateTime<Utc> = "2026-01-31T10:00:00Z".parse().unwrap();
        let account = account(Provider::Spotify, consent);
        let end = account.grant_ends_at.unwrap();
        assert_eq!(end.to_rfc3339(), "2026-07-31T10:00:00+00:00");
        let before = |left: TimeDelta| outlook(&account, end - left);
        let second = TimeDelta::seconds(1);
        assert_eq!(before(TimeDelta::days(30) + second), Outlook::Open);
        assert_eq!(before(TimeDelta::days(30)), Outlook::Ending { at: end, days: 30 });
        assert_eq!(before(TimeDelta::days(1) + second), Outlook::Ending { at: end, days: 2 });
        assert_eq!(before(second), Outlook::Ending { at: end, days: 1 });
        assert_eq!(before(TimeDelta::zero()), Outlook::Ended { at: end });

        assert_eq!(warning(&account, consent), None);
        let told = warning(&account, end - TimeDelta::days(3)).unwrap();
        for part in ["\"Robin\"", "2026-07-31", "in 3 days", "account_link", &account.id.to_string()] {
            assert!(told.contains(part), "{part} is not in {told}");
        }
        let told = warning(&account, end).unwrap();
        assert!(told.contains("ended on 2026-07-31") && told.contains("account_link"), "{told}");
    }

    #[test]
    fn a_grant_without_an_end_is_never_warned_of() {
        let consent: DateTime<Utc> = "2020-01-01T00:00:00Z".parse().unwrap();
        let account = account(Provider::Tidal, consent);
        assert_eq!(warning(&account, consent + TimeDelta::days(3_000)), None);
    }

    #[test]
    fn the_warning_comes_after_what_else_is_to_be_done() {
        let error = PublicError::new(ErrorCode::ProviderUnavailable, "Away.").hint("Try again.");
        let error = with_warning(error, Some("It ends.".to_owned()));
        assert_eq!(error.hint.as_deref(), Some("Try again. It ends."));
        let bare = with_warning(PublicError::internal(), Some("It ends.".to_owned()));
        assert_eq!(bare.hint.as_deref(), Some("It ends."));
    }
}
