//! What a backup says of itself. The file is one line of JSON:
//! `{"manifest":{…},"algorithm":"Ed25519","key_id":UUID,"signature":BASE64URL,"seal":BASE64URL}`.
//!
//! The signature is the tenant's, over `stagedoor/backup-manifest/1`, a line feed, and the manifest exactly as it stands
//! there. The seal is an envelope under the backup's own key that holds the SHA-256 of the same bytes, the signing key's
//! id and the signature: whoever has the key-encryption keys and nothing else, not even a database, knows it was ours.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use stagedoor_crypto::digest::sha256;
use stagedoor_crypto::{DataKey, SealContext, SigningKey, VerifyingKey};
use stagedoor_domain::{Entropy, TenantId};
use uuid::Uuid;

use crate::Class;
use crate::damage::{DamageKind, LostRows};
use crate::error::ArchiveError;
use crate::hash::Hash;
use crate::place::{BackupId, Found};

pub(crate) const FORMAT: &str = "stagedoor/backup/1";
const DOMAIN: &[u8] = b"stagedoor/backup-manifest/1\n";
const ALGORITHM: &str = "Ed25519";

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// `stagedoor/backup/1`.
    pub format: String,
    /// Whose.
    pub tenant_id: TenantId,
    /// The tenant's name in URLs at that time.
    pub tenant_slug: String,
    /// Of what.
    pub class: Class,
    /// Its id.
    pub backup_id: BackupId,
    /// When it was begun; what it holds is of a moment shortly after.
    pub taken_at: DateTime<Utc>,
    /// The last migration that the database had.
    pub schema_version: i64,
    /// Of the audit trail: the days (UTC) that it holds, both included. Earlier ones are in earlier backups.
    pub days: Option<Days>,
    /// What it holds, in the order in which rows can be inserted.
    pub tables: Vec<TableEntry>,
    /// Its chunks, at least one.
    pub chunks: Vec<ChunkEntry>,
    /// The end of the audit trail's newest chain at that moment.
    pub audit_head: Option<AuditHead>,
    /// The keys that are needed to open what is sealed in it.
    pub key_ids: KeyIds,
    /// How many people of the tenant had been erased.
    pub tombstones: u64,
    /// Its own key.
    pub key: BackupKey,
}

/// Days of the audit trail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Days {
    /// The first.
    pub first: NaiveDate,
    /// The last, which was not over.
    pub last: NaiveDate,
}

/// What a backup holds of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableEntry {
    /// Its name.
    pub table: String,
    /// Its columns, as the database had them.
    pub columns: Vec<String>,
    /// How many rows.
    pub rows: u64,
    /// Their digest, as [`crate::RowDigest`] makes it.
    pub sha256: Hash,
}

/// A chunk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChunkEntry {
    /// SHA-256 of the stored object.
    pub sha256: Hash,
    /// Its length in bytes.
    pub bytes: u64,
    /// The length of what it holds, opened and decompressed, in bytes.
    pub plain_bytes: u64,
    /// How many rows of which table, in this order.
    pub rows: Vec<RowCount>,
}

/// How many rows of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowCount {
    /// The table.
    pub table: String,
    /// How many.
    pub rows: u64,
}

/// The end of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditHead {
    /// The chain's day.
    pub day: NaiveDate,
    /// Its length.
    pub seq: i64,
    /// The hash of its last record.
    pub hash: Hash,
}

/// Keys that what is sealed in the rows needs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyIds {
    /// The key-encryption keys that wrapped the tenant's keys at that moment.
    pub key_encryption: Vec<Uuid>,
    /// The tenant's own keys that were not destroyed.
    pub tenant: Vec<Uuid>,
    /// How many keys of people that were not destroyed.
    pub subjects: u64,
}

/// The key that a backup is sealed under; its id is the backup's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupKey {
    /// The key, wrapped at revision 1, in base64url.
    pub wrapped: String,
    /// The key-encryption key that wrapped it.
    pub wrapped_by: Uuid,
}

/// On whose word a manifest is believed. The seal holds in both cases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// The signature of this key of the tenant's, which was at hand.
    Signed(Uuid),
    /// The seal alone: the key of the signature, which is named, was not at hand.
    Sealed(Uuid),
}

/// A manifest with what vouches for it.
#[derive(Debug, Clone)]
pub struct Signed {
    /// The manifest.
    pub manifest: Manifest,
    raw: Box<RawValue>,
    key_id: Uuid,
    signature: Vec<u8>,
    seal: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File<'a> {
    #[serde(borrow)]
    manifest: &'a RawValue,
    algorithm: Cow<'a, str>,
    key_id: Uuid,
    signature: Cow<'a, str>,
    seal: Cow<'a, str>,
}

impl Manifest {
    /// The backup's place.
    pub fn found(&self) -> Found {
        Found::new(self.tenant_id, self.class, self.taken_at, self.backup_id)
    }

    /// Rows of all tables.
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|table| table.rows).sum()
    }

    /// Bytes of all chunks as they are stored.
    pub fn bytes(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.bytes).sum()
    }

    /// What it says of a table.
    pub fn table(&self, name: &str) -> Option<&TableEntry> {
        self.tables.iter().find(|table| table.table == name)
    }

    /// The rows in a chunk, by their places.
    pub fn rows_in(&self, chunk: u32) -> Vec<LostRows> {
        let (before, from) = self.chunks.split_at((chunk as usize).min(self.chunks.len()));
        let Some(chunk) = from.first() else { return Vec::new() };
        let earlier = |table: &str| {
            let counts = before.iter().flat_map(|chunk| &chunk.rows).filter(|count| count.table == table);
            counts.map(|count| count.rows).sum::<u64>()
        };
        chunk
            .rows
            .iter()
            .map(|count| LostRows {
                table: count.table.clone(),
                first: earlier(&count.table) + 1,
                rows: count.rows,
            })
            .collect()
    }

    /// The file's bytes.
    pub(crate) fn sign(
        &self,
        key: &DataKey,
        signing: &SigningKey,
        entropy: &dyn Entropy,
    ) -> Result<Vec<u8>, ArchiveError> {
        let raw = serde_json::value::to_raw_value(self).map_err(ArchiveError::Rendering)?;
        let signature = signing.sign(&signed(&raw));
        let held = sealed(&raw, signing.id(), &signature);
        let seal = key.seal(&seal_context(self), &held, entropy);
        render(&raw, signing.id(), &signature, &seal).map_err(ArchiveError::Rendering)
    }
}

impl Signed {
    /// Reads a file. Nothing in it is to be believed before [`Self::check`] and [`Self::open`].
    pub(crate) fn read(file: &[u8]) -> Result<Self, DamageKind> {
        #[derive(Deserialize)]
        struct Format<'a> {
            #[serde(borrow)]
            format: Cow<'a, str>,
        }
        let unreadable = |error: serde_json::Error| DamageKind::Unreadable(error.to_string());
        let parts: File<'_> = serde_json::from_slice(file).map_err(unreadable)?;
        let format: Format<'_> = serde_json::from_str(parts.manifest.get()).map_err(unreadable)?;
        if format.format != FORMAT || parts.algorithm != ALGORITHM {
            return Err(DamageKind::UnknownFormat(format.format.into_owned()));
        }
        let bytes = |text: &str| {
            let decoded = URL_SAFE_NO_PAD.decode(text);
            decoded.map_err(|_| DamageKind::Unreadable("expected base64url".to_owned()))
        };
        let read = Self {
            manifest: serde_json::from_str(parts.manifest.get()).map_err(unreadable)?,
            raw: parts.manifest.to_owned(),
            key_id: parts.key_id,
            signature: bytes(&parts.signature)?,
            seal: bytes(&parts.seal)?,
        };
        // The frame is neither signed nor sealed: it must be the one that is written.
        if render(&read.raw, read.key_id, &read.signature, &read.seal).is_ok_and(|written| written == file) {
            Ok(read)
        } else {
            Err(DamageKind::Unreadable("bytes around the manifest were altered".to_owned()))
        }
    }

    /// Whether it is the manifest of that backup, and whose signature is on it.
    pub(crate) fn check(&self, found: &Found, keys: &[VerifyingKey]) -> Result<Trust, DamageKind> {
        let Manifest { tenant_id, class, backup_id, .. } = self.manifest;
        if (tenant_id, class, backup_id) != (found.tenant, found.class, found.id) {
            return Err(DamageKind::Elsewhere { tenant: tenant_id, class, backup: backup_id });
        }
        if self.manifest.found() != *found {
            return Err(DamageKind::OtherTime);
        }
        match keys.iter().find(|key| key.id() == self.key_id) {
            None => Ok(Trust::Sealed(self.key_id)),
            Some(key) if key.verify(&signed(&self.raw), &self.signature) => Ok(Trust::Signed(self.key_id)),
            Some(_) => Err(DamageKind::Signature),
        }
    }

    /// The wrapped key's bytes.
    pub(crate) fn wrapped_key(&self) -> Result<Vec<u8>, DamageKind> {
        URL_SAFE_NO_PAD.decode(&self.manifest.key.wrapped).map_err(|_| DamageKind::Key)
    }

    /// Whether the seal is over this manifest and signature.
    pub(crate) fn open(&self, key: &DataKey) -> Result<(), DamageKind> {
        let held = key.open(&seal_context(&self.manifest), &self.seal).map_err(|_| DamageKind::Seal)?;
        let expected = sealed(&self.raw, self.key_id, &self.signature);
        if held.as_slice() == expected { Ok(()) } else { Err(DamageKind::Seal) }
    }
}

impl BackupKey {
    pub(crate) fn new(wrap: &stagedoor_crypto::Wrap) -> Self {
        Self { wrapped: URL_SAFE_NO_PAD.encode(&wrap.bytes), wrapped_by: wrap.wrapped_by }
    }
}

fn signed(raw: &RawValue) -> Vec<u8> {
    [DOMAIN, raw.get().as_bytes()].concat()
}

fn sealed(raw: &RawValue, key: Uuid, signature: &[u8]) -> [u8; 32] {
    let digest = sha256(&[raw.get().as_bytes()]);
    sha256(&[DOMAIN, &digest, key.as_bytes(), signature])
}

fn seal_context(manifest: &Manifest) -> SealContext {
    SealContext {
        tenant: manifest.tenant_id,
        table: "backups",
        column: "manifest",
        row: manifest.backup_id.0,
        revision: 1,
    }
}

fn render(raw: &RawValue, key_id: Uuid, signature: &[u8], seal: &[u8]) -> serde_json::Result<Vec<u8>> {
    let file = File {
        manifest: raw,
        algorithm: Cow::Borrowed(ALGORITHM),
        key_id,
        signature: Cow::Owned(URL_SAFE_NO_PAD.encode(signature)),
        seal: Cow::Owned(URL_SAFE_NO_PAD.encode(seal)),
    };
    let mut bytes = serde_json::to_vec(&file)?;
    bytes.push(b'\n');
    Ok(bytes)
}
