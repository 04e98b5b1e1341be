//! The gateway's replicas as they last said of themselves, by the database's clock. Who says it is the gateway's
//! heartbeat; who waits for them is the rotation of key-encryption keys.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::error::StoreError;
use crate::store::Store;

/// A replica that was not seen for so long is no more, or serves nobody.
pub const LIVE_WITHIN: Duration = Duration::from_secs(30);

/// After so long a replica that did not say good-bye is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_hours(24);

/// What a replica says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaReport {
    /// Its own from its start to its end.
    pub id: Uuid,
    /// The machine or pod; 255 characters at most.
    pub host: String,
    /// The release.
    pub version: String,
    /// The key-encryption keys that it unwraps with, but for retired ones.
    pub key_encryption_keys: Vec<Uuid>,
    /// The one that it wraps with.
    pub wraps_with: Option<Uuid>,
    /// The versions of the pepper that it verifies with.
    pub pepper_versions: Vec<u16>,
    /// For how long it uses a tenant's or person's key that it opened; whole seconds.
    pub opened_key: Duration,
    /// Equal where the settings are equal that replicas must have in common.
    pub configuration_digest: [u8; 32],
    /// How far its own clock is before the database's (positive) or behind it (negative), without the way between them.
    pub clock_skew: TimeDelta,
}

/// A replica as it was last seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// What it said.
    pub report: ReplicaReport,
    /// When it first said anything, by the database's clock.
    pub started_at: DateTime<Utc>,
    /// When it said it, by the database's clock.
    pub seen_at: DateTime<Utc>,
}

impl Store {
    /// The time by the database's clock.
    pub async fn database_time(&self) -> Result<DateTime<Utc>, StoreError> {
        self.outside(async |connection| {
            let time = sqlx::query_scalar!(r#"SELECT clock_timestamp() AS "time!""#);
            Ok(time.fetch_one(connection).await?)
        })
        .await
    }

    /// Says that a replica is there. Forgets those that went without a word a day ago.
    pub async fn report_replica(&self, report: &ReplicaReport) -> Result<(), StoreError> {
        let peppers: Vec<i32> = report.pepper_versions.iter().map(|version| i32::from(*version)).collect();
        self.outside(async |connection| {
            sqlx::query!(
                "INSERT INTO replicas AS r (replica_id, host, version, key_encryption_keys, wraps_with, pepper_versions,
                    opened_key_s, configuration_digest, own_time)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, now() + make_interval(secs => $9))
                ON CONFLICT (replica_id) DO UPDATE SET
                    key_encryption_keys = EXCLUDED.key_encryption_keys, wraps_with = EXCLUDED.wraps_with,
                    pepper_versions = EXCLUDED.pepper_versions, opened_key_s = EXCLUDED.opened_key_s,
                    configuration_digest = EXCLUDED.configuration_digest,
                    own_time = EXCLUDED.own_time, seen_at = now()",
                report.id,
                report.host,
                report.version,
                &report.key_encryption_keys,
                report.wraps_with,
                &peppers,
                i64::try_from(report.opened_key.as_secs()).unwrap_or(i64::MAX),
                &report.configuration_digest[..],
                report.clock_skew.as_seconds_f64()
            )
            .execute(&mut *connection)
            .await?;
            sqlx::query!(
                "INSERT INTO key_encryption_keys (key_id) SELECT $1::uuid WHERE $1 IS NOT NULL
                ON CONFLICT DO NOTHING",
                report.wraps_with
            )
            .execute(&mut *connection)
            .await?;
            sqlx::query!(
                "DELETE FROM replicas WHERE seen_at < now() - make_interval(secs => $1)",
                FORGOTTEN_AFTER.as_secs_f64()
            )
            .execute(connection)
            .await?;
            Ok(())
        })
        .await
    }

    /// Says that a replica has ended.
    pub async fn remove_replica(&self, id: Uuid) -> Result<(), StoreError> {
        self.outside(async |connection| {
            sqlx::query!("DELETE FROM replicas WHERE replica_id = $1", id).execute(connection).await?;
            Ok(())
        })
        .await
    }

    /// The replicas that were seen within this time, in the order of their starts.
    pub async fn live_replicas(&self, within: Duration) -> Result<Vec<Replica>, StoreError> {
        let rows = self
            .outside(async |connection| {
                let rows = sqlx::query!(
                    "SELECT replica_id, host, version, key_encryption_keys, wraps_with, pepper_versions,
                        opened_key_s, configuration_digest, own_time, started_at, seen_at
                    FROM replicas WHERE seen_at >= now() - make_interval(secs => $1)
                    ORDER BY started_at, replica_id",
                    within.as_secs_f64()
                );
                Ok(rows.fetch_all(connection).await?)
            })
            .await?;
        let replicas = rows.into_iter().map(|row| {
            let digest = <[u8; 32]>::try_from(row.configuration_digest);
            let pepper = |version: i32| {
                let other = |_| StoreError::not_understood("replicas.pepper_versions", version.to_string());
                u16::try_from(version).map_err(other)
            };
            let other =
                |_| StoreError::not_understood("replicas.configuration_digest", "another length".to_owned());
            Ok(Replica {
                report: ReplicaReport {
                    id: row.replica_id,
                    host: row.host,
                    version: row.version,
                    key_encryption_keys: row.key_encryption_keys,
                    wraps_with: row.wraps_with,
                    pepper_versions: row.pepper_versions.into_iter().map(pepper).collect::<Result<_, _>>()?,
                    opened_key: Duration::from_secs(row.opened_key_s.unsigned_abs()),
                    configuration_digest: digest.map_err(other)?,
                    clock_skew: row.own_time - row.seen_at,
                },
                started_at: row.started_at,
                seen_at: row.seen_at,
            })
        });
        replicas.collect()
    }

    /// The longest time for which any replica that may still write uses a key that it opened; zero without replicas.
    pub async fn longest_opened_key(&self) -> Result<Duration, StoreError> {
        self.outside(async |connection| {
            let longest = sqlx::query_scalar!("SELECT max(opened_key_s) FROM replicas");
            let longest = longest.fetch_one(connection).await?;
            Ok(Duration::from_secs(longest.unwrap_or_default().unsigned_abs()))
        })
        .await
    }

    /// Since when a key-encryption key wraps, by the database's clock; none if no replica ever said so.
    pub async fn wraps_since(&self, key: Uuid) -> Result<Option<DateTime<Utc>>, StoreError> {
        self.outside(async |connection| {
            let since =
                sqlx::query_scalar!("SELECT wraps_since FROM key_encryption_keys WHERE key_id = $1", key);
            Ok(since.fetch_optional(connection).await?)
        })
        .await
    }

    /// How many tenants' keys each key-encryption key wraps; needs the keeper's role.
    pub async fn key_encryption_keys_in_use(&self) -> Result<Vec<(Uuid, u64)>, StoreError> {
        self.outside(async |connection| {
            let rows = sqlx::query!(
                r#"SELECT wrapped_by AS "id!", tenant_keys AS "keys!" FROM key_encryption_keys_in_use()"#
            );
            let rows = rows.fetch_all(connection).await?;
            Ok(rows.into_iter().map(|row| (row.id, row.keys.unsigned_abs())).collect())
        })
        .await
    }
}
