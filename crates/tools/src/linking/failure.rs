//! Why a link ended without an account: the text that its row keeps, and the sentence that page and agent are told.

use std::time::Duration;

use stagedoor_domain::{ErrorCode, Provider, PublicError};

/// Why a link did not come about. Nothing of the account was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The person said no, on our page or at the provider's.
    Declined,
    /// The agent's side called it off.
    Cancelled,
    /// Time was over, or a newer link took its place.
    Expired,
    /// The answer came to another provider's address.
    OtherProvider,
    /// The answer came through another browser than the one that agreed.
    OtherBrowser,
    /// The answer names another issuer than the provider (RFC 9207).
    Issuer,
    /// The key that asked is no longer valid.
    Revoked,
    /// The person signed in as another account than the one to be linked again.
    OtherAccount,
    /// The provider refused for a reason of its own.
    Refused,
    /// The provider no longer stood by what it had granted a moment before.
    Withdrawn,
    /// The provider did not answer, or not with its API.
    ProviderAway,
    /// The provider does not accept the tenant's client.
    Misconfigured,
    /// The answer arrived, but something of ours was out of reach.
    NotKept,
}

impl Failure {
    const ALL: [Self; 13] = [
        Self::Declined,
        Self::Cancelled,
        Self::Expired,
        Self::OtherProvider,
        Self::OtherBrowser,
        Self::Issuer,
        Self::Revoked,
        Self::OtherAccount,
        Self::Refused,
        Self::Withdrawn,
        Self::ProviderAway,
        Self::Misconfigured,
        Self::NotKept,
    ];

    /// The text in `link_attempts.failure`: the error's code, and the reason where a code has several.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Declined => "link_declined",
            Self::Cancelled => "link_declined:agent",
            Self::Expired => "link_expired",
            Self::OtherProvider => "link_state_invalid:provider",
            Self::OtherBrowser => "link_state_invalid:browser",
            Self::Issuer => "link_issuer_mismatch",
            Self::Revoked => "link_revoked",
            Self::OtherAccount => "link_failed:other_account",
            Self::Refused => "link_failed:refused",
            Self::Withdrawn => "link_failed:withdrawn",
            Self::ProviderAway => "link_failed:provider_away",
            Self::Misconfigured => "link_failed:misconfigured",
            Self::NotKept => "link_failed:not_kept",
        }
    }

    /// The failure that a row keeps. A text of a later release counts as a refusal: the link did not come about.
    pub(crate) fn read(text: &str) -> Self {
        Self::ALL.into_iter().find(|failure| failure.as_str() == text).unwrap_or(Self::Refused)
    }

    /// The stable code.
    pub(crate) const fn code(self) -> ErrorCode {
        match self {
            Self::Declined | Self::Cancelled => ErrorCode::LinkDeclined,
            Self::Expired => ErrorCode::LinkExpired,
            Self::OtherProvider | Self::OtherBrowser => ErrorCode::LinkStateInvalid,
            Self::Issuer => ErrorCode::LinkIssuerMismatch,
            Self::Revoked => ErrorCode::LinkRevoked,
            Self::OtherAccount
            | Self::Refused
            | Self::Withdrawn
            | Self::ProviderAway
            | Self::Misconfigured
            | Self::NotKept => ErrorCode::LinkFailed,
        }
    }

    /// What the person's page and the agent are told.
    pub(crate) fn public(self, provider: Provider) -> PublicError {
        PublicError::new(self.code(), self.sentence(provider.title())).hint(self.hint())
    }

    fn sentence(self, name: &str) -> String {
        match self {
            Self::Declined => format!("Linking the {name} account was declined. Nothing was stored."),
            Self::Cancelled => {
                format!("Linking the {name} account was called off before it was done. Nothing was stored.")
            }
            Self::Expired => "The link has expired. Nothing was stored.".to_owned(),
            Self::OtherProvider => {
                format!("The answer did not come from {name}, where the link led. Nothing was stored.")
            }
            Self::OtherBrowser => {
                "The answer came through another browser than the one in which the link was agreed \
                                   to. Nothing was stored."
                    .to_owned()
            }
            Self::Issuer => {
                format!(
                    "The answer names another sender than {name}, so it was not used. Nothing was stored."
                )
            }
            Self::Revoked => {
                "The agent's key is no longer valid, so nothing is linked for it. Nothing was stored."
                    .to_owned()
            }
            Self::OtherAccount => format!(
                "The log-in was as another {name} account than the one to be linked again. Nothing was stored."
            ),
            Self::Refused => format!("{name} did not grant the access. Nothing was stored."),
            Self::Withdrawn => {
                format!("The access was withdrawn at {name} before the link was done. Nothing was stored.")
            }
            Self::ProviderAway => {
                format!(
                    "{name} did not answer as it should when the link was to be finished. Nothing was stored."
                )
            }
            Self::Misconfigured => {
                format!(
                    "{name} does not accept the settings that this service has there, which only its operator can put \
                     right. Nothing was stored."
                )
            }
            Self::NotKept => {
                format!("The link to {name} could not be finished here. Nothing was stored.")
            }
        }
    }

    const fn hint(self) -> &'static str {
        match self {
            Self::Declined => "Do not ask again unless the person wants to; then call account_link again.",
            Self::Cancelled | Self::Expired | Self::Refused | Self::Withdrawn => {
                "If the person still wants it, call account_link again for a new link."
            }
            Self::OtherProvider | Self::OtherBrowser | Self::Issuer => {
                "Call account_link again for a new link, and have the person open it and finish it in one browser."
            }
            Self::Revoked => "The tenant's operator can give the agent a new key.",
            Self::OtherAccount => {
                "Call account_link again; the person signs in as the same account as before. To link the other account \
                 as well, call account_link without `account`."
            }
            Self::ProviderAway | Self::NotKept => "Call account_link again in a few minutes.",
            Self::Misconfigured => {
                "The tenant's operator has to correct the client id, the secret or the redirect address there."
            }
        }
    }
}

/// No link of that handle that this caller may ask for.
pub(crate) fn unknown() -> PublicError {
    PublicError::new(ErrorCode::LinkUnknown, "There is no such link.")
        .hint("Call account_link without `link` for a new one.")
}

/// The provider's answer was taken and is being exchanged.
pub(crate) fn underway() -> PublicError {
    PublicError::new(ErrorCode::LinkUnderway, "The account is being linked at this moment.")
        .hint("Ask again in a few seconds.")
        .retry_after(Duration::from_secs(2))
}

/// The answer belongs to an agreement that a later one replaced.
pub(crate) fn replaced() -> PublicError {
    PublicError::new(
        ErrorCode::LinkStateInvalid,
        "The link was agreed to again since, and goes on from there.",
    )
}

/// The link was finished before.
pub(crate) fn used() -> PublicError {
    PublicError::new(ErrorCode::LinkUsed, "This link was used before; each works once.")
        .hint("accounts_list shows what is linked. Call account_link again for a new link.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_row_keeps_reads_back_and_begins_with_the_code() {
        for failure in Failure::ALL {
            assert_eq!(Failure::read(failure.as_str()), failure);
            assert_eq!(failure.as_str().split(':').next(), Some(failure.code().as_str()));
            let public = failure.public(Provider::Tidal);
            assert_eq!(public.code, failure.code());
            assert!(public.message.ends_with("Nothing was stored."), "{}", public.message);
        }
        assert_eq!(Failure::NotKept.as_str(), stagedoor_storage::link_attempts::NOT_KEPT);
        assert_eq!(Failure::read("link_failed:of_a_later_release").code(), ErrorCode::LinkFailed);
    }
}
