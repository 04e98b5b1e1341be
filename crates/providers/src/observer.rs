//! What is told of each request to a provider, for metrics. Who counts it is not this crate's business.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use stagedoor_domain::Provider;

use crate::error::{ProviderError, TransportError};

/// How one request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// Answered with this HTTP status.
    Status(u16),
    /// No answer in time.
    TimedOut,
    /// No connection, or one that broke.
    Unreachable,
    /// Answered with more than the limit, or with something that is not HTTP.
    Garbage,
    /// Not sent: the provider's wait has not passed, or its turn would have come too late.
    KeptBack,
}

impl AttemptOutcome {
    pub(crate) fn of(result: Result<u16, &ProviderError>) -> Self {
        match result {
            Ok(status) => Self::Status(status),
            Err(
                ProviderError::DeadlineExceeded { .. }
                | ProviderError::Unavailable { cause: TransportError::TimedOut(_), .. },
            ) => Self::TimedOut,
            Err(ProviderError::Unavailable { .. }) => Self::Unreachable,
            Err(_) => Self::Garbage,
        }
    }
}

/// Someone who is told of every request: provider, outcome, duration.
#[derive(Clone)]
pub struct Observer(Arc<dyn Fn(Provider, AttemptOutcome, Duration) + Send + Sync>);

impl Observer {
    /// Tells `observe`.
    pub fn new(observe: impl Fn(Provider, AttemptOutcome, Duration) + Send + Sync + 'static) -> Self {
        Self(Arc::new(observe))
    }

    pub(crate) fn call(&self, provider: Provider, outcome: AttemptOutcome, duration: Duration) {
        (self.0)(provider, outcome, duration);
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer")
    }
}
