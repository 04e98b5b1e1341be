//! What can go wrong at a provider, whose fault it is, and whether to try again. Causes go to the log and hold
//! neither tokens nor bodies; what an agent is told is in `public`.

use std::time::Duration;

use stagedoor_domain::{Fault, ItemRef, Provider};

use crate::features::Edited;
use crate::types::Skipped;

/// Why a provider call failed.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// No such item, or not visible to this account.
    #[error("{} has no such item", provider.title())]
    NotFound {
        /// Who said so.
        provider: Provider,
    },
    /// The access token is expired or revoked; a refresh can help.
    #[error("{} refused the access token", provider.title())]
    Unauthorized {
        /// Who said so.
        provider: Provider,
    },
    /// The refresh token is no longer valid (RFC 6749 §5.2 `invalid_grant`); only linking again helps.
    #[error("{} no longer accepts the grant", provider.title())]
    InvalidGrant {
        /// Who said so.
        provider: Provider,
    },
    /// The client is not set up: wrong id or secret, or a base URL that must not be used.
    #[error("the {} app is not set up right: {what}", provider.title())]
    Misconfigured {
        /// Whose app it is.
        provider: Provider,
        /// What is wrong.
        what: &'static str,
    },
    /// The provider forbids it.
    #[error("{} forbids it: {reason}", provider.title())]
    Forbidden {
        /// Who said so.
        provider: Provider,
        /// What is missing, as far as the answer tells.
        reason: ForbiddenReason,
        /// The provider's own sentence, cleaned, at most 200 characters.
        message: Option<String>,
    },
    /// Too many requests; also said without asking while the provider's wait has not passed, or when the tenant's
    /// other calls would go first for longer than this one may take.
    #[error("{} is to be asked again in {} s", provider.title(), retry_after.as_secs())]
    RateLimited {
        /// Whose limit it is.
        provider: Provider,
        /// How long to wait.
        retry_after: Duration,
        /// Whether it was the tenant's other calls that stood before it, not the provider's word.
        queued: bool,
    },
    /// The app's quota is used up, which waiting a moment does not mend.
    #[error("the app's quota at {} is used up", provider.title())]
    QuotaExceeded {
        /// Who said so.
        provider: Provider,
        /// When there is more, where the provider tells.
        retry_after: Option<Duration>,
    },
    /// The request was refused as wrong.
    #[error("{} refused the request with status {status}", provider.title())]
    Rejected {
        /// Who said so.
        provider: Provider,
        /// The HTTP status.
        status: u16,
        /// The provider's own sentence, cleaned, at most 200 characters.
        message: Option<String>,
    },
    /// No answer, or a 5xx one.
    #[error("{} is unavailable", provider.title())]
    Unavailable {
        /// Who is.
        provider: Provider,
        /// Whether a write may have been done all the same.
        uncertain: bool,
        /// What happened on the wire.
        #[source]
        cause: TransportError,
    },
    /// The answer is not the provider's API.
    #[error("{} answered with something that is not its API", provider.title())]
    InvalidAnswer {
        /// Who did.
        provider: Provider,
        /// Whether a write may have been done all the same.
        uncertain: bool,
        /// What is wrong with it.
        #[source]
        cause: MalformedAnswer,
    },
    /// The call's deadline passed.
    #[error("{} did not answer before the deadline", provider.title())]
    DeadlineExceeded {
        /// Who did not.
        provider: Provider,
        /// Whether a write may have been done all the same.
        uncertain: bool,
    },
    /// The answer is longer than the limit.
    #[error("{}'s answer is longer than {limit} bytes", provider.title())]
    BodyTooLarge {
        /// Whose answer.
        provider: Provider,
        /// Whether a write may have been done all the same.
        uncertain: bool,
        /// The limit, after decompression.
        limit: usize,
    },
    /// The page token is not one of ours.
    #[error("the page token was not made for this call to {}", provider.title())]
    InvalidPage {
        /// Whom it was meant for.
        provider: Provider,
    },
    /// The first batches of a write were done, a later one failed.
    #[error("{} took {} of the items, then failed", provider.title(), added.len())]
    PartlyDone {
        /// Where.
        provider: Provider,
        /// What is in.
        added: Vec<ItemRef>,
        /// What the provider left out on the way.
        skipped: Vec<Skipped>,
        /// The index, in the list that was given, of the first item that is not in.
        failed_at: usize,
        /// Why the rest is not in.
        #[source]
        cause: Box<ProviderError>,
    },
    /// The first requests of an edit were done, a later one failed.
    #[error("{} did part of an edit, then failed", provider.title())]
    Interrupted {
        /// Where.
        provider: Provider,
        /// What the playlist holds by the answers so far.
        so_far: Box<Edited>,
        /// Why the rest is not done.
        #[source]
        cause: Box<ProviderError>,
    },
    /// A playlist is not, or does not stay, what the call was made for; nothing was done.
    #[error("a playlist of {} changed meanwhile", provider.title())]
    Changed {
        /// Where.
        provider: Provider,
    },
    /// A command to a player, and none is active.
    #[error("no device of {} is active", provider.title())]
    NoActiveDevice {
        /// Whose devices.
        provider: Provider,
    },
    /// The provider has no such feature.
    #[error("{} cannot do this: {what}", provider.title())]
    UnsupportedByProvider {
        /// Who cannot.
        provider: Provider,
        /// What, as the rest of a sentence: `insert beyond the 200th item`.
        what: String,
    },
}

/// What a forbidden call lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ForbiddenReason {
    /// The token lacks a scope; these are what the call needs (one of them, if several).
    #[error("the grant lacks a scope of {0:?}")]
    MissingScope(&'static [&'static str]),
    /// The app is in development mode, and the account is not on its list or the call is not in that mode.
    #[error("the app's mode does not allow it")]
    Mode,
    /// The account's plan does not allow it; Spotify's player takes commands of Premium accounts only.
    #[error("the account's plan does not allow it")]
    Plan,
    /// The playlist is someone else's.
    #[error("the account neither owns the playlist nor collaborates on it")]
    Ownership,
    /// The answer does not tell.
    #[error("no reason given")]
    Unknown,
}

/// What happened on the wire. Holds no URL, header or body.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// No connection.
    #[error("no connection")]
    Connect(#[source] reqwest::Error),
    /// The connection broke.
    #[error("the connection broke")]
    Broken(#[source] reqwest::Error),
    /// Nothing came within the time a single request may take.
    #[error("no answer in {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// An error of the provider's own.
    #[error("status {0}")]
    Status(u16),
}

/// Why an answer cannot be read. Holds positions and field names, never the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MalformedAnswer {
    /// Not JSON.
    #[error("not JSON, at line {line} column {column}")]
    NotJson {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// JSON of another shape.
    #[error("JSON of another shape, at line {line} column {column}")]
    WrongShape {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// A part that must be there is not.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A status that the API does not use, such as a redirect.
    #[error("status {0}")]
    Status(u16),
}

impl From<&serde_json::Error> for MalformedAnswer {
    fn from(error: &serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        if error.is_data() { Self::WrongShape { line, column } } else { Self::NotJson { line, column } }
    }
}

impl ProviderError {
    /// The provider that the call went to.
    pub fn provider(&self) -> Provider {
        match self {
            Self::NotFound { provider }
            | Self::Unauthorized { provider }
            | Self::InvalidGrant { provider }
            | Self::Misconfigured { provider, .. }
            | Self::Forbidden { provider, .. }
            | Self::RateLimited { provider, .. }
            | Self::QuotaExceeded { provider, .. }
            | Self::Rejected { provider, .. }
            | Self::Unavailable { provider, .. }
            | Self::InvalidAnswer { provider, .. }
            | Self::DeadlineExceeded { provider, .. }
            | Self::BodyTooLarge { provider, .. }
            | Self::InvalidPage { provider }
            | Self::PartlyDone { provider, .. }
            | Self::Interrupted { provider, .. }
            | Self::Changed { provider }
            | Self::NoActiveDevice { provider }
            | Self::UnsupportedByProvider { provider, .. } => *provider,
        }
    }

    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            Self::RateLimited { .. }
            | Self::QuotaExceeded { .. }
            | Self::Unavailable { .. }
            | Self::InvalidAnswer { .. }
            | Self::DeadlineExceeded { .. }
            | Self::BodyTooLarge { .. } => Fault::Provider,
            Self::PartlyDone { cause, .. } | Self::Interrupted { cause, .. } => cause.fault(),
            _ => Fault::Caller,
        }
    }

    /// Whether the same call can succeed later and is safe to send again.
    pub fn retryable(&self) -> bool {
        match self {
            Self::RateLimited { .. } | Self::QuotaExceeded { .. } => true,
            Self::Unavailable { uncertain, .. } | Self::DeadlineExceeded { uncertain, .. } => !uncertain,
            _ => false,
        }
    }

    /// How long to wait before a retry, where known.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. } => Some(*retry_after),
            Self::QuotaExceeded { retry_after, .. } => *retry_after,
            Self::PartlyDone { cause, .. } | Self::Interrupted { cause, .. } => cause.retry_after(),
            _ => None,
        }
    }

    /// Whether a write may have been done although it failed.
    pub fn uncertain(&self) -> bool {
        match self {
            Self::Unavailable { uncertain, .. }
            | Self::DeadlineExceeded { uncertain, .. }
            | Self::InvalidAnswer { uncertain, .. }
            | Self::BodyTooLarge { uncertain, .. } => *uncertain,
            Self::PartlyDone { cause, .. } | Self::Interrupted { cause, .. } => cause.uncertain(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parse_error_shows_no_content() {
        let error = serde_json::from_str::<u32>("\"secret-token\"").unwrap_err();
        let shown = MalformedAnswer::from(&error).to_string();
        assert!(!shown.contains("secret"), "{shown}");
    }
}
