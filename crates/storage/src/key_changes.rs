//! Which API keys were changed since a replica asked last, for replicas that remember some of them; and where such a
//! question begins, for tenants too.

use chrono::{DateTime, Utc};
use stagedoor_domain::{ApiKeyId, TenantId};

use crate::api_keys::row;
use crate::error::StoreError;
use crate::store::Store;

/// Where the next question about changes begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangesSince {
    /// What was seen by then, as PostgreSQL writes a snapshot: `xmin:xmax:xip`.
    snapshot: String,
    /// Its first number: the oldest transaction that was not over.
    oldest: u64,
    /// When the server was started: another server, or a restarted one, may have given numbers anew.
    era: DateTime<Utc>,
}

/// A key that was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedKey {
    /// Its tenant.
    pub tenant: TenantId,
    /// The key.
    pub key: ApiKeyId,
    /// Raised by each change.
    pub revision: i64,
    /// Whether it was revoked.
    pub revoked: bool,
}

/// What was changed.
#[derive(Debug)]
pub struct KeyChangesSeen {
    /// Each key once, as it is now.
    pub changed: Vec<ChangedKey>,
    /// Where the next question begins.
    pub next: ChangesSince,
    /// Whether nothing can have been missed since the last question. If not, nothing that is remembered counts any more.
    pub unbroken: bool,
}

impl ChangesSince {
    pub(crate) fn read(snapshot: String, era: DateTime<Utc>) -> Result<Self, StoreError> {
        let oldest = snapshot.split(':').next().and_then(|oldest| oldest.parse().ok());
        let oldest = oldest.ok_or_else(|| StoreError::not_understood("a snapshot", &snapshot))?;
        Ok(Self { snapshot, oldest, era })
    }

    pub(crate) fn snapshot(&self) -> &str {
        &self.snapshot
    }

    /// Whether nothing can have been missed between `since` and this.
    pub(crate) fn follows(&self, since: &Self) -> bool {
        since.era == self.era && since.oldest <= self.oldest
    }
}

impl Store {
    /// The keys that were changed since `since` by transactions that are over; without it, where to begin. Needs no tenant
    /// context.
    pub async fn key_changes(&self, since: Option<&ChangesSince>) -> Result<KeyChangesSeen, StoreError> {
        let from = since.map(ChangesSince::snapshot);
        let query = sqlx::query!(
            r#"SELECT next AS "next!", era AS "era!", tenants AS "tenants!", keys AS "keys!", revisions AS "revisions!",
                revoked AS "revoked!"
            FROM api_key_changes($1)"#,
            from
        );
        let row = self.outside(async |connection| Ok(query.fetch_one(connection).await?)).await?;
        let next = ChangesSince::read(row.next, row.era)?;
        let changed = std::iter::zip(row.tenants, row.keys).zip(std::iter::zip(row.revisions, row.revoked));
        let changed = changed.map(|((tenant, key), (revision, revoked))| {
            Ok(ChangedKey { tenant: tenant.into(), key: row::key_id(&key)?, revision, revoked })
        });
        Ok(KeyChangesSeen {
            changed: changed.collect::<Result<_, StoreError>>()?,
            unbroken: since.is_some_and(|since| next.follows(since)),
            next,
        })
    }
}
