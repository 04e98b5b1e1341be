//! What a provider answered, and what it means if it is no success. Knows status codes and no provider's shapes.

use std::time::Duration;

use bytes::Bytes;
use reqwest::StatusCode;

use crate::call::{Call, Refused};
use crate::error::{MalformedAnswer, ProviderError, TransportError};

/// An answer, whatever its status.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// What the provider asked for.
    pub(crate) retry_after: Option<Duration>,
    /// After a 429, what is waited.
    pub(crate) pause: Duration,
    pub(crate) body: Bytes,
}

/// What an answer that is no success means.
pub(crate) fn failure(call: &Call<'_>, answer: &Answer) -> ProviderError {
    let provider = call.app.provider;
    let status = answer.status.as_u16();
    let explained = (call.explain)(&answer.body, call.scopes);
    match explained.refused {
        Some(Refused::Grant) => return ProviderError::InvalidGrant { provider },
        Some(Refused::Client) => {
            let what = "the provider refused the client id or secret";
            return ProviderError::Misconfigured { provider, what };
        }
        None => {}
    }
    let message = explained.message.filter(|message| !call.authorization.is_revealed_by(message));
    match status {
        401 if explained.forbidden.is_none() => ProviderError::Unauthorized { provider },
        401 | 403 => ProviderError::Forbidden {
            provider,
            reason: explained.forbidden.unwrap_or(call.forbidden),
            message,
        },
        404 if explained.no_device => ProviderError::NoActiveDevice { provider },
        404 => ProviderError::NotFound { provider },
        429 if explained.quota => {
            let retry_after = answer.retry_after.map(|_| answer.pause);
            ProviderError::QuotaExceeded { provider, retry_after }
        }
        429 => ProviderError::RateLimited { provider, retry_after: answer.pause, queued: false },
        400..=499 => ProviderError::Rejected { provider, status, message },
        500..=599 => ProviderError::Unavailable {
            provider,
            uncertain: !call.repeatable,
            cause: TransportError::Status(status),
        },
        _ => ProviderError::InvalidAnswer {
            provider,
            uncertain: !call.repeatable,
            cause: MalformedAnswer::Status(status),
        },
    }
}
