//! The public half of `ProviderError`: a code, a sentence that names the provider, and what to do instead.

use serde_json::json;
use stagedoor_domain::{ErrorCode, PublicError};

use crate::error::{ForbiddenReason, ProviderError};

impl ProviderError {
    /// The stable code.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NotFound { .. } => ErrorCode::ItemNotFound,
            Self::Unauthorized { .. } | Self::InvalidGrant { .. } => ErrorCode::RelinkNeeded,
            Self::Misconfigured { .. } => ErrorCode::ProviderNotConfigured,
            Self::Forbidden { .. } => ErrorCode::ProviderForbidden,
            Self::RateLimited { .. } | Self::QuotaExceeded { .. } => ErrorCode::ProviderRateLimited,
            Self::Rejected { .. } | Self::UnsupportedByProvider { .. } => ErrorCode::ProviderRejected,
            Self::Unavailable { .. } => ErrorCode::ProviderUnavailable,
            Self::InvalidAnswer { .. } | Self::BodyTooLarge { .. } => ErrorCode::ProviderInvalidAnswer,
            Self::DeadlineExceeded { .. } => ErrorCode::DeadlineExceeded,
            Self::InvalidPage { .. } => ErrorCode::InvalidCursor,
            Self::PartlyDone { .. } | Self::Interrupted { .. } => ErrorCode::PartlyDone,
            Self::Changed { .. } => ErrorCode::Conflict,
            Self::NoActiveDevice { .. } => ErrorCode::NoActiveDevice,
        }
    }

    /// What an agent is told.
    pub fn public(&self) -> PublicError {
        let mut public = PublicError::new(self.code(), self.sentence());
        public.hint = self.hint();
        public.retry_after = self.retry_after();
        match self {
            Self::PartlyDone { added, skipped, failed_at, .. } => public.details(json!({
                "done": added,
                "skipped": skipped.iter().map(|skipped| &skipped.item).collect::<Vec<_>>(),
                "failed_at": failed_at,
            })),
            _ => public,
        }
    }

    fn sentence(&self) -> String {
        let name = self.provider().title();
        match self {
            Self::NotFound { .. } => format!("{name} has no such item, or this account cannot see it."),
            Self::Unauthorized { .. } | Self::InvalidGrant { .. } => {
                format!("{name} no longer accepts the access that this account gave.")
            }
            Self::Misconfigured { what, .. } => {
                format!("The tenant's {name} app is not set up right: {what}.")
            }
            Self::Forbidden { reason, message, .. } => forbidden_sentence(name, *reason, message.as_deref()),
            Self::RateLimited { queued: false, .. } => {
                format!("{name} asks to wait before the next request.")
            }
            Self::RateLimited { queued: true, .. } => format!(
                "More of the tenant's calls are waiting for {name} than it takes in the time this call may last."
            ),
            Self::QuotaExceeded { .. } => format!("The tenant's quota at {name} is used up."),
            Self::Rejected { status, message, .. } => match message {
                Some(message) => format!("{name} refused the request ({status}): {message}"),
                None => format!("{name} refused the request with status {status}."),
            },
            Self::Unavailable { .. } => {
                format!("{name} did not answer, or answered with an error of its own.")
            }
            Self::InvalidAnswer { .. } | Self::BodyTooLarge { .. } => {
                format!("{name} answered with something that is not its API.")
            }
            Self::DeadlineExceeded { .. } => format!("{name} did not answer in the time this call may take."),
            Self::InvalidPage { .. } => "The page token was not made for this call.".to_owned(),
            Self::PartlyDone { added, failed_at, cause, .. } => format!(
                "{name} took {} of the items and then failed at item {} (counted from 0): {}",
                added.len(),
                failed_at,
                cause.sentence()
            ),
            Self::Interrupted { so_far, cause, .. } => format!(
                "{name} did part of the edit, so that the playlist holds {} entries, and then failed: {}",
                so_far.entries.len(),
                cause.sentence()
            ),
            Self::Changed { .. } => {
                format!("Someone else is changing this playlist at {name}; nothing was done.")
            }
            Self::NoActiveDevice { .. } => {
                format!(
                    "{name} has no player to command: none is active, or the one that is named is not there."
                )
            }
            Self::UnsupportedByProvider { what, .. } => format!("{name} cannot do this: {what}."),
        }
    }

    fn hint(&self) -> Option<String> {
        let name = self.provider().title();
        Some(match self {
            Self::NotFound { .. } => "Search for it, or check the reference.".to_owned(),
            Self::Unauthorized { .. } | Self::InvalidGrant { .. } => {
                format!("The person has to link the {name} account again; no retry helps before that.")
            }
            Self::Misconfigured { .. } => {
                "The operator of this tenant has to correct the provider settings.".to_owned()
            }
            Self::Forbidden { reason, .. } => forbidden_hint(name, *reason),
            Self::RateLimited { .. } | Self::QuotaExceeded { .. } => {
                "Wait as long as retry_after_seconds says; earlier calls are refused without being sent."
                    .to_owned()
            }
            Self::Unavailable { uncertain: true, .. }
            | Self::DeadlineExceeded { uncertain: true, .. }
            | Self::InvalidAnswer { uncertain: true, .. }
            | Self::BodyTooLarge { uncertain: true, .. } => {
                "The change may have been made all the same; look at what it was to change before trying again."
                    .to_owned()
            }
            Self::Unavailable { .. } | Self::DeadlineExceeded { .. } | Self::InvalidAnswer { .. } => {
                "Try again in a minute.".to_owned()
            }
            Self::BodyTooLarge { .. } => "Ask for less at a time.".to_owned(),
            Self::InvalidPage { .. } => "Start again without a page token.".to_owned(),
            Self::PartlyDone { failed_at, cause, .. } if cause.uncertain() => format!(
                "The batch that starts at item {failed_at} may be in all the same; read the playlist before going on."
            ),
            Self::PartlyDone { skipped, cause, .. }
                if !skipped.is_empty() && matches!(**cause, Self::NotFound { .. }) =>
            {
                format!(
                    "{name} does not have what `details.skipped` names; all else is done, so there is nothing to \
                     repeat."
                )
            }
            Self::PartlyDone { failed_at, .. } => {
                format!("Call again with only the items from {failed_at} on; those before are done.")
            }
            Self::Interrupted { cause, .. } if cause.uncertain() => {
                "What was sent last may be done all the same; read the playlist before going on.".to_owned()
            }
            Self::Interrupted { .. } => "Read the playlist, then do the rest.".to_owned(),
            Self::Changed { .. } => "Read it again in a moment, then repeat what still applies.".to_owned(),
            Self::NoActiveDevice { .. } => {
                "Name one of the devices that the tool devices lists, or have the person start playing somewhere."
                    .to_owned()
            }
            Self::Rejected { .. } | Self::UnsupportedByProvider { .. } => return None,
        })
    }
}

fn forbidden_sentence(name: &str, reason: ForbiddenReason, message: Option<&str>) -> String {
    match reason {
        ForbiddenReason::MissingScope(scopes) if !scopes.is_empty() => {
            format!("{name} forbids it: the linked account did not grant {}.", scopes.join(" or "))
        }
        ForbiddenReason::MissingScope(_) => {
            format!("{name} forbids it: the linked account granted too few scopes.")
        }
        ForbiddenReason::Mode => format!(
            "{name} forbids it: the tenant's app is in development mode, and this account or this call is not allowed there."
        ),
        ForbiddenReason::Plan => format!("{name} forbids it: it takes a paid plan that this account lacks."),
        ForbiddenReason::Ownership => {
            format!("{name} forbids it: this account neither owns the playlist nor collaborates on it.")
        }
        ForbiddenReason::Unknown => match message {
            Some(message) => format!("{name} forbids it: {message}"),
            None => format!("{name} forbids it and does not say why."),
        },
    }
}

fn forbidden_hint(name: &str, reason: ForbiddenReason) -> String {
    match reason {
        ForbiddenReason::MissingScope(_) => {
            format!("Link the {name} account again and grant the missing scope.")
        }
        ForbiddenReason::Mode => {
            format!(
                "The operator can add the account to the app's user list at {name}, or ask for extended quota."
            )
        }
        ForbiddenReason::Plan => "Only the person can change the plan of the account.".to_owned(),
        ForbiddenReason::Ownership => {
            "Use a playlist of this account; playlists_list shows them, playlist_create makes one.".to_owned()
        }
        ForbiddenReason::Unknown => "Check the account's plan, region and granted scopes.".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use stagedoor_domain::{Fault, Provider};

    use super::*;

    #[test]
    fn a_missing_scope_is_named() {
        let error = ProviderError::Forbidden {
            provider: Provider::Spotify,
            reason: ForbiddenReason::MissingScope(&["playlist-modify-public", "playlist-modify-private"]),
            message: Some("Insufficient client scope".to_owned()),
        };
        let public = error.public();
        assert_eq!(public.code, ErrorCode::ProviderForbidden);
        assert!(
            public.message.contains("playlist-modify-public or playlist-modify-private"),
            "{}",
            public.message
        );
        assert!(!error.retryable());
    }

    #[test]
    fn a_wait_is_passed_on_even_out_of_a_batch() {
        let cause = ProviderError::RateLimited {
            provider: Provider::Spotify,
            retry_after: Duration::from_secs(80_000),
            queued: false,
        };
        let error = ProviderError::PartlyDone {
            provider: Provider::Spotify,
            added: Vec::new(),
            skipped: Vec::new(),
            failed_at: 100,
            cause: Box::new(cause),
        };
        let public = error.public();
        assert_eq!(public.retry_after, Some(Duration::from_secs(80_000)));
        assert_eq!(public.code, ErrorCode::PartlyDone);
        assert!(public.hint.unwrap().contains("100"));
        assert_eq!(error.fault(), Fault::Provider);
    }

    #[test]
    fn an_uncertain_write_is_not_retryable_and_says_so() {
        let error = ProviderError::DeadlineExceeded { provider: Provider::Spotify, uncertain: true };
        assert!(!error.retryable());
        assert!(error.public().hint.unwrap().contains("may have been made"));
    }
}
