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
    /// Equal where the settings are equal that replicas must have in common.
    pub configuration_digest: [u8; 32],
    /// The time by its own clock.
    pub own_time: DateTime<Utc>,
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

impl Replica {
    /// How far its clock is before the database's (positive) or behind it (negative), and the way between them.
    pub fn clock_skew(&self) -> TimeDelta {
        self.report.own_time - self.seen_at
    }
}

impl Store {
    /// Says that a replica is there, and answers the time by the database's clock. Forgets those that went without a word
    /// a day ago.
    pub async fn report_replica(&self, report: &ReplicaReport) -> Result<DateTime<Utc>, StoreError> {
        let peppers: Vec<i32> = report.pepper_versions.iter().map(|version| i32::from(*version)).collect();
        self.outside(async |connection| {
            let seen_at = sqlx::query_scalar!(
                "INSERT INTO replicas AS r (replica_id, host, version, key_encryption_keys, wraps_with, pepper_versions,
                    configuration_digest, own_time)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
                ON CONFLICT (replica_id) DO UPDATE SET
                    key_encryption_keys = EXCLUDED.key_encryption_keys, wraps_with = EXCLUDED.wraps_with,
                    pepper_versions = EXCLUDED.pepper_versions,
                    configuration_digest = EXCLUDED.configuration_digest,
                    own_time = EXCLUDED.own_time, seen_at = now()
                RETURNING seen_at",
                report.id,
                report.host,
                report.version,
                &report.key_encryption_keys,
                report.wraps_with,
                &peppers,
                &report.configuration_digest[..],
                report.own_time
            )
            .fetch_one(&mut *connection)
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
            Ok(seen_at)
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
                        configuration_digest, own_time, started_at, seen_at
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
                    configuration_digest: digest.map_err(other)?,
                    own_time: row.own_time,
                },
                started_at: row.started_at,
                seen_at: row.seen_at,
            })
        });
        replicas.collect()
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
