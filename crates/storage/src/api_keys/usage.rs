//! When keys were last used, as replicas tell it in batches.

use std::time::Duration;

use stagedoor_domain::{ApiKeyId, TenantId};

use crate::error::StoreError;
use crate::store::Store;

/// That a key was used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyUse {
    /// Its tenant.
    pub tenant: TenantId,
    /// The key.
    pub key: ApiKeyId,
    /// How long ago: clocks may differ, the time between two moments does not.
    pub ago: Duration,
}

impl Store {
    /// Notes when keys were used, except those that were noted within `gap` before, whoever did it. Answers how many were
    /// written. Needs no tenant context.
    pub async fn note_key_use(&self, uses: &[KeyUse], gap: Duration) -> Result<u64, StoreError> {
        let tenants: Vec<_> = uses.iter().map(|used| used.tenant.0).collect();
        let keys: Vec<_> = uses.iter().map(|used| used.key.as_str().to_owned()).collect();
        let ago: Vec<_> = uses.iter().map(|used| used.ago.as_secs_f64()).collect();
        let query = sqlx::query_scalar!(
            r#"SELECT note_api_key_use($1, $2, $3, $4) AS "written!""#,
            &tenants,
            &keys,
            &ago,
            gap.as_secs_f64()
        );
        let written = self.outside(async |connection| Ok(query.fetch_one(connection).await?)).await?;
        Ok(written.unsigned_abs())
    }
}
