//! Writing a backup as a stream: no more than one chunk is in memory, and the manifest comes last.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use prost::Message;
use stagedoor_crypto::digest::sha256;
use stagedoor_crypto::{DataKey, KekProvider, KeyOwner, SigningKey};
use stagedoor_domain::{Entropy, TenantId, TenantSlug};

use crate::chunk::{self, Place};
use crate::error::ArchiveError;
use crate::hash::Hash;
use crate::manifest::{
    AuditHead, BackupKey, ChunkEntry, Days, FORMAT, KeyIds, Manifest, RowCount, TableEntry,
};
use crate::place::{BackupId, Found};
use crate::records::{Record, RowDigest};
use crate::store::BackupStore;
use crate::{Class, LONGEST_ROW};

/// What is known of a backup before its first row.
#[derive(Debug, Clone)]
pub struct Opening {
    /// Whose.
    pub tenant: TenantId,
    /// The tenant's name in URLs.
    pub slug: TenantSlug,
    /// Of what.
    pub class: Class,
    /// Its id.
    pub id: BackupId,
    /// When it is begun.
    pub taken_at: DateTime<Utc>,
    /// The last migration that the database has.
    pub schema_version: i64,
    /// Of the audit trail: the days.
    pub days: Option<Days>,
    /// The plain bytes of a chunk; a longer row is a chunk by itself.
    pub chunk_bytes: usize,
}

/// What is known once all rows were read, of the same moment as these.
#[derive(Debug, Clone, Default)]
pub struct Closing {
    /// The end of the newest chain.
    pub audit_head: Option<AuditHead>,
    /// The keys that the rows need.
    pub key_ids: KeyIds,
    /// How many people had been erased.
    pub tombstones: u64,
}

/// A backup that is being written. Dropped before [`Self::finish`], it leaves chunks and no manifest: no backup.
pub struct ArchiveWriter {
    store: BackupStore,
    entropy: Arc<dyn Entropy>,
    opening: Opening,
    found: Found,
    key: DataKey,
    wrapped: BackupKey,
    tables: Vec<(TableEntry, RowDigest)>,
    chunks: Vec<ChunkEntry>,
    plain: Vec<u8>,
    rows: Vec<RowCount>,
}

impl ArchiveWriter {
    /// Begins a backup under a fresh key. Nothing is stored yet.
    pub async fn begin(
        store: BackupStore,
        opening: Opening,
        keys: &dyn KekProvider,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, ArchiveError> {
        let key = DataKey::generate(opening.id.0, KeyOwner::Tenant, entropy.as_ref());
        let wrap = keys.wrap(opening.tenant, &key, 1, entropy.as_ref()).await.map_err(ArchiveError::Key)?;
        Ok(Self {
            found: Found::new(opening.tenant, opening.class, opening.taken_at, opening.id),
            wrapped: BackupKey::new(&wrap),
            tables: Vec::new(),
            chunks: Vec::new(),
            plain: Vec::new(),
            rows: Vec::new(),
            store,
            entropy,
            opening,
            key,
        })
    }

    /// The place of the backup.
    pub fn found(&self) -> &Found {
        &self.found
    }

    /// The key-encryption key that wrapped the backup's key.
    pub fn wrapped_by(&self) -> uuid::Uuid {
        self.wrapped.wrapped_by
    }

    /// Begins a table; the rows that follow are its.
    pub fn table(&mut self, name: &str, columns: Vec<String>) {
        let entry = TableEntry { table: name.to_owned(), columns, rows: 0, sha256: Hash([0; 32]) };
        self.tables.push((entry, RowDigest::default()));
    }

    /// Adds a row of the present table: its text as `to_jsonb` renders it, in the order of the primary key. Stores a
    /// chunk whenever one is full.
    ///
    /// # Panics
    ///
    /// If no table was begun.
    pub async fn push(&mut self, row: String) -> Result<(), ArchiveError> {
        let (entry, digest) = self.tables.last_mut().expect("a row belongs to a table");
        if row.len() > LONGEST_ROW {
            return Err(ArchiveError::RowTooLong { table: entry.table.clone(), bytes: row.len() });
        }
        digest.push(&row);
        let table = entry.table.clone();
        let record = Record { table: table.clone(), row };
        let more = record.encoded_len() + prost::length_delimiter_len(record.encoded_len());
        if !self.plain.is_empty() && self.plain.len() + more > self.opening.chunk_bytes {
            self.flush(false).await?;
        }
        self.plain.reserve(more);
        // Nothing but a lack of room can fail, and a vector has room.
        record.encode_length_delimited(&mut self.plain).expect("a vector grows");
        match self.rows.last_mut() {
            Some(count) if count.table == table => count.rows += 1,
            _ => self.rows.push(RowCount { table, rows: 1 }),
        }
        Ok(())
    }

    /// Stores what is left and then, last of all, the manifest.
    pub async fn finish(mut self, closing: Closing, signing: &SigningKey) -> Result<Manifest, ArchiveError> {
        self.flush(true).await?;
        let tables = std::mem::take(&mut self.tables).into_iter();
        let manifest = Manifest {
            format: FORMAT.to_owned(),
            tenant_id: self.opening.tenant,
            tenant_slug: self.opening.slug.to_string(),
            class: self.opening.class,
            backup_id: self.opening.id,
            taken_at: self.opening.taken_at,
            schema_version: self.opening.schema_version,
            days: self.opening.days,
            tables: tables
                .map(|(entry, digest)| TableEntry { rows: digest.rows(), sha256: digest.finish(), ..entry })
                .collect(),
            chunks: self.chunks,
            audit_head: closing.audit_head,
            key_ids: closing.key_ids,
            tombstones: closing.tombstones,
            key: self.wrapped,
        };
        let file = manifest.sign(&self.key, signing, self.entropy.as_ref())?;
        self.store.put(&self.found.manifest(), file).await?;
        Ok(manifest)
    }

    async fn flush(&mut self, last: bool) -> Result<(), ArchiveError> {
        let number = u32::try_from(self.chunks.len()).expect("no store holds so many chunks");
        let place = Place { tenant: self.opening.tenant, backup: self.opening.id, number, last };
        let sealed = chunk::seal(&self.key, place, &self.plain, self.entropy.as_ref())?;
        self.chunks.push(ChunkEntry {
            sha256: Hash(sha256(&[&sealed])),
            bytes: sealed.len() as u64,
            plain_bytes: self.plain.len() as u64,
            rows: std::mem::take(&mut self.rows),
        });
        // A row that was longer than a chunk does not keep its room.
        self.plain.clear();
        self.plain.shrink_to(self.opening.chunk_bytes);
        self.store.put(&self.found.chunk(number), sealed).await
    }
}

impl fmt::Debug for ArchiveWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ArchiveWriter({}, {} chunks)", self.found, self.chunks.len())
    }
}
