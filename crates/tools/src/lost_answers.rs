//! Refreshes whose answer got lost: the provider may have ended the old refresh token with an exchange that nobody
//! heard of. Providers accept the old one for a while, so it is asked for again.

use std::time::Duration;

use stagedoor_providers::{ProviderError, TransportError};
use tokio::time::Instant;

const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// The answers to one refresh that got lost, and how long it is asked for again.
pub(crate) struct LostAnswers {
    until: Instant,
    pause: Duration,
    any: bool,
}

impl LostAnswers {
    /// None so far; asking again ends after `span`.
    pub(crate) fn within(span: Duration) -> Self {
        Self { until: Instant::now() + span, pause: FIRST_PAUSE, any: false }
    }

    /// How long to wait before the same refresh is asked for again; `None` if it should not be.
    pub(crate) fn again(&mut self, error: &ProviderError) -> Option<Duration> {
        if !may_have_happened(error) {
            return None;
        }
        self.any = true;
        let pause = self.pause;
        self.pause = (pause * 2).min(LONGEST_PAUSE);
        (Instant::now() + pause < self.until).then_some(pause)
    }

    /// Whether an exchange may have happened whose tokens nobody has.
    pub(crate) fn any(&self) -> bool {
        self.any
    }
}

/// Whether the provider may have ended the old refresh token although it failed.
pub(crate) fn may_have_happened(error: &ProviderError) -> bool {
    match error {
        ProviderError::Unavailable { cause, .. } => !matches!(cause, TransportError::Connect(_)),
        ProviderError::DeadlineExceeded { .. }
        | ProviderError::InvalidAnswer { .. }
        | ProviderError::BodyTooLarge { .. } => true,
        _ => false,
    }
}
