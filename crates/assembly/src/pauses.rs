//! The waits that music services ask for, told to all replicas: what the quota broker wants, over what `limits` keeps.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use stagedoor_crypto::digest;
use stagedoor_domain::TenantContext;
use stagedoor_limits::{PauseKey, ProviderPauses};
use stagedoor_providers::{QuotaKey, SharedPauses};

/// Pauses in Redis, or in this process where there is none.
#[derive(Debug)]
pub(crate) struct SharedProviderPauses {
    pauses: Arc<ProviderPauses>,
}

impl SharedProviderPauses {
    /// The broker's view of `pauses`.
    pub(crate) fn new(pauses: Arc<ProviderPauses>) -> Self {
        Self { pauses }
    }
}

#[async_trait]
impl SharedPauses for SharedProviderPauses {
    async fn pause(&self, ctx: &TenantContext, key: &QuotaKey, wait: Duration) {
        self.pauses.pause(ctx, &pause_key(key), wait).await;
    }

    async fn remaining(&self, ctx: &TenantContext, key: &QuotaKey) -> Option<Duration> {
        self.pauses.remaining(ctx, &pause_key(key)).await
    }
}

/// Client id and address are the tenant's to choose, so what goes into a key's name is their digest.
fn pause_key(key: &QuotaKey) -> PauseKey {
    // Neither of the first two can hold a line break, so no two keys are one text.
    let text = format!("{}\n{}\n{}", key.endpoint.as_str(), key.origin, key.client_id);
    let client =
        digest::sha256(&[text.as_bytes()]).iter().fold(String::with_capacity(64), |mut text, byte| {
            write!(text, "{byte:02x}").expect("a String takes all that is written");
            text
        });
    PauseKey { provider: key.provider, client: client.into() }
}

#[cfg(test)]
mod tests {
    use stagedoor_domain::Provider;
    use stagedoor_providers::Endpoint;

    use super::*;

    #[test]
    fn no_two_quotas_share_a_pause() {
        let key = |provider, endpoint, origin: &str, client_id: &str| {
            pause_key(&QuotaKey { provider, endpoint, origin: origin.into(), client_id: client_id.into() })
        };
        let keys = [
            key(Provider::Spotify, Endpoint::Api, "https://a.example", "one"),
            key(Provider::Tidal, Endpoint::Api, "https://a.example", "one"),
            key(Provider::Spotify, Endpoint::Token, "https://a.example", "one"),
            key(Provider::Spotify, Endpoint::Api, "https://a.exampleone", ""),
            key(Provider::Spotify, Endpoint::Api, "https://a.example", "two"),
        ];
        let distinct: std::collections::HashSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len());
        assert!(keys.iter().all(|key| key.client.len() == 64));
    }
}
