//! A clock that moves when told to, keys to wrap, folders to hold them.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use stagedoor_crypto::{DataKey, KekError, KekProvider, KeyOwner, SystemEntropy, Wrap};
use stagedoor_domain::{Clock, SystemClock, TenantId};
use uuid::Uuid;

pub(crate) const TENANT: TenantId = TenantId(Uuid::from_u128(1));
pub(crate) const OTHER: TenantId = TenantId(Uuid::from_u128(2));

#[derive(Debug, Default)]
pub(crate) struct StillClock(AtomicU64);

impl StillClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for StillClock {
    fn now(&self) -> chrono::DateTime<chrono::Utc> {
        SystemClock::new().now()
    }

    fn elapsed(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::SeqCst))
    }
}

pub(crate) fn data_key(id: u128) -> DataKey {
    DataKey::generate(Uuid::from_u128(id), KeyOwner::Tenant, &SystemEntropy)
}

pub(crate) async fn wrap(keys: &dyn KekProvider, key: &DataKey) -> Result<Wrap, KekError> {
    keys.wrap(TENANT, key, 1, &SystemEntropy).await
}

/// Whether `wrap` opens as `key`.
pub(crate) async fn unwrap(keys: &dyn KekProvider, key: &DataKey, wrap: &Wrap) -> Result<(), KekError> {
    let opened = keys.unwrap(TENANT, key.id(), 1, &wrap.bytes).await?;
    assert_eq!(*opened.to_wrap(), *key.to_wrap(), "it opens as another key");
    Ok(())
}

/// Writes a key file whose 32 bytes are all `fill`.
pub(crate) fn write_key(folder: &Path, name: &str, fill: u8) {
    std::fs::write(folder.join(name), STANDARD.encode([fill; 32])).unwrap();
}
