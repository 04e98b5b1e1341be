//! What the database knows of its own state, for `stagedoor-keeper doctor`: the clock, the size, the schema, what waits.
//! What is too much is for whoever asks.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::error::StoreError;
use crate::migrate::known_migrations;
use crate::store::Store;

/// Unsealed chains that are looked at for the oldest record, the oldest days first.
const CHAINS: i32 = 10_000;

/// The database's state at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseFacts {
    /// Its clock.
    pub now: DateTime<Utc>,
    /// What it takes on disk, in bytes.
    pub bytes: u64,
    /// The connections of all clients of the server, and how many there may be.
    pub connections: (u64, u64),
    /// Chains of the audit trail with records that no checkpoint covers, and when the oldest of these was made.
    pub unsealed: (u64, Option<DateTime<Utc>>),
}

/// How the schema stands to the migrations of this build, by their versions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SchemaState {
    /// Those that were not applied, or not to their end.
    pub missing: Vec<i64>,
    /// Those that were another file when they were applied.
    pub changed: Vec<i64>,
    /// Those that were applied and that this build does not know: a newer release has migrated.
    pub newer: Vec<i64>,
}

impl Store {
    /// How the schema stands to the migrations of this build; needs the keeper's role.
    pub async fn schema_state(&self) -> Result<SchemaState, StoreError> {
        let applied = self
            .outside(async |connection| {
                let applied = sqlx::query!(
                    r#"SELECT version AS "version!", checksum AS "checksum!", success AS "success!" FROM applied_migrations()"#
                );
                Ok(applied.fetch_all(connection).await?)
            })
            .await?;
        let known: BTreeMap<i64, &[u8]> = known_migrations().collect();
        let done: BTreeMap<i64, &[u8]> =
            applied.iter().filter(|row| row.success).map(|row| (row.version, &*row.checksum)).collect();
        let differs = |(version, checksum): (&i64, &&[u8])| {
            done.get(version).filter(|there| *there != checksum).map(|_| *version)
        };
        Ok(SchemaState {
            missing: known.keys().filter(|version| !done.contains_key(version)).copied().collect(),
            changed: known.iter().filter_map(differs).collect(),
            newer: done.keys().filter(|version| !known.contains_key(version)).copied().collect(),
        })
    }

    /// What the database takes on disk, in bytes. Looks at every file of it: not for each second.
    pub async fn database_bytes(&self) -> Result<u64, StoreError> {
        self.outside(async |connection| {
            let bytes = sqlx::query_scalar!(r#"SELECT pg_database_size(current_database()) AS "bytes!""#);
            Ok(bytes.fetch_one(connection).await?.unsigned_abs())
        })
        .await
    }

    /// Asks the database about itself; needs the keeper's role.
    pub async fn database_facts(&self) -> Result<DatabaseFacts, StoreError> {
        self.outside(async |connection| {
            let row = sqlx::query!(
                r#"SELECT clock_timestamp() AS "now!",
                    pg_database_size(current_database()) AS "bytes!",
                    (SELECT sum(numbackends) FROM pg_stat_database)::bigint AS "connections!",
                    current_setting('max_connections')::bigint AS "most!""#
            )
            .fetch_one(&mut *connection)
            .await?;
            let tail =
                sqlx::query!(r#"SELECT chains AS "chains!", oldest FROM audit_unsealed_tail($1)"#, CHAINS)
                    .fetch_one(connection)
                    .await?;
            Ok(DatabaseFacts {
                now: row.now,
                bytes: row.bytes.unsigned_abs(),
                connections: (row.connections.unsigned_abs(), row.most.unsigned_abs()),
                unsealed: (tail.chains.unsigned_abs(), tail.oldest),
            })
        })
        .await
    }
}
