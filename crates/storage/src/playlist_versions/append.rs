//! Storing a version: what is new of it, under a lock of its account, and then without those that are too old.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use secrecy::zeroize::Zeroizing;
use stagedoor_crypto::{DataKey, KeyOwner, SealContext};
use stagedoor_domain::ids::uuid_v7;
use stagedoor_domain::{LinkedAccountId, TenantContext, TenantId, ToolName, UserId};
use uuid::Uuid;

use super::chunks::{self, Chunk};
use super::head::SealedHead;
use super::{Cause, KEPT, NewVersion, Row, Summary, identity};
use crate::error::StoreError;
use crate::keys::KeyVault;
use crate::transaction::TenantTransaction;

/// Stores what a playlist holds as its newest version. If the newest one holds the same already, only what the service
/// calls it is brought up to date. Numbers rise by one, however many store at once.
///
/// [`StoreError::Missing`] if the account is not that person's, or is unlinked meanwhile.
pub async fn append(
    vault: &KeyVault,
    context: &TenantContext,
    new: NewVersion<'_>,
) -> Result<Summary, StoreError> {
    let stored = store(vault, context, (new, None)).await?;
    stored
        .ok_or_else(|| StoreError::not_understood("playlist_versions", "a version that was not asked about"))
}

/// The same for what a write led to that began from version `seen`: `None` if a newer one was stored meanwhile that
/// holds something else, by another replica or of a change elsewhere. One that holds the same and was taken for a
/// change elsewhere is put down to the write.
pub async fn append_after(
    vault: &KeyVault,
    context: &TenantContext,
    new: NewVersion<'_>,
    seen: u32,
) -> Result<Option<Summary>, StoreError> {
    store(vault, context, (new, Some(seen))).await
}

async fn store(
    vault: &KeyVault,
    context: &TenantContext,
    (new, seen): (NewVersion<'_>, Option<u32>),
) -> Result<Option<Summary>, StoreError> {
    let key = vault.active_key(context, KeyOwner::Subject(new.user)).await?;
    let of = identity(new.account, new.playlist);
    let chunks = chunks::cut(&key, of.as_bytes(), new.entries)?;
    let head = SealedHead { of, head: new.head.clone(), entries: chunks::digest_of(new.entries)? };
    let head = Zeroizing::new(head.to_bytes());
    let writing = Writing {
        vault,
        key: &key,
        new,
        seen,
        playlist: new.playlist.to_string(),
        fingerprint: key.blind_index("playlist_versions.fingerprint", &head),
        head,
        chunks,
        version_id: uuid_v7(vault.clock(), vault.entropy()),
        now: vault.clock().now(),
    };
    vault.store().with_tenant(context, async |tx| writing.write(tx).await).await
}

/// What is about to be stored.
struct Writing<'a> {
    vault: &'a KeyVault,
    key: &'a DataKey,
    new: NewVersion<'a>,
    /// The version that it follows, if it may follow no other.
    seen: Option<u32>,
    playlist: String,
    fingerprint: [u8; 32],
    head: Zeroizing<Vec<u8>>,
    chunks: Vec<Chunk>,
    version_id: Uuid,
    now: DateTime<Utc>,
}

impl Writing<'_> {
    async fn write(&self, transaction: &mut TenantTransaction) -> Result<Option<Summary>, StoreError> {
        lock(transaction, self.new.account, self.new.user).await?;
        let newest = self.newest(transaction).await?;
        let stored = match newest {
            Some((summary, true)) if !self.is_another_event(&summary) => {
                self.touch(transaction, summary).await?
            }
            Some((summary, false)) if self.seen.is_some_and(|seen| seen < summary.number) => return Ok(None),
            Some((summary, _)) => {
                let replaced = self.takes_the_place_of(&summary).then_some(summary.number);
                self.insert(transaction, summary.number + 1, replaced).await?
            }
            None => self.insert(transaction, 1, None).await?,
        };
        Ok(Some(stored))
    }

    /// Whether a version is stored although nothing in it differs: a playlist was deleted, or is there again.
    fn is_another_event(&self, newest: &Summary) -> bool {
        let is_deletion = |cause| cause == Cause::After(ToolName::PlaylistDelete);
        let is_ours = !matches!(self.new.cause, Cause::Before | Cause::Elsewhere);
        is_ours && is_deletion(self.new.cause) != is_deletion(newest.cause)
    }

    /// Whether the newest version is the one that the same transfer led to before: a long one has very many, and they
    /// would leave nothing of what was before it. What made the playlist stays.
    fn takes_the_place_of(&self, newest: &Summary) -> bool {
        let is_transfer = |cause| cause == Cause::Transfer;
        is_transfer(self.new.cause)
            && is_transfer(newest.cause)
            && newest.number > 1
            && newest.call.is_some()
            && newest.call == self.new.call
    }

    /// The newest version, and whether it holds what is about to be stored.
    async fn newest(
        &self,
        transaction: &mut TenantTransaction,
    ) -> Result<Option<(Summary, bool)>, StoreError> {
        let row = sqlx::query!(
            r#"SELECT number, provider_version, cause, recorded_at, entries, call_id,
                fingerprint = $4 AS "equal!"
            FROM playlist_versions WHERE tenant_id = $1 AND account_id = $2 AND playlist = $3
            ORDER BY number DESC LIMIT 1"#,
            transaction.tenant_id().0,
            self.new.account.0,
            self.playlist,
            &self.fingerprint[..]
        )
        .fetch_optional(transaction.connection())
        .await?;
        let Some(row) = row else { return Ok(None) };
        let summary = Row {
            number: row.number,
            provider_version: row.provider_version,
            cause: row.cause,
            recorded_at: row.recorded_at,
            entries: row.entries,
            call_id: row.call_id,
        };
        Ok(Some((summary.into_summary()?, row.equal)))
    }

    /// The contents were stored before; the pieces are looked at all the same, because what is stored now must open.
    async fn touch(
        &self,
        transaction: &mut TenantTransaction,
        newest: Summary,
    ) -> Result<Summary, StoreError> {
        self.store_chunks(transaction).await?;
        let provider_version = self.new.provider_version.map(str::to_owned).or(newest.provider_version);
        let was_elsewhere = newest.cause == Cause::Elsewhere;
        let is_ours = was_elsewhere && self.seen.is_some_and(|seen| seen < newest.number);
        let (cause, call) =
            if is_ours { (self.new.cause, self.new.call) } else { (newest.cause, newest.call) };
        sqlx::query!(
            "UPDATE playlist_versions SET provider_version = $5, cause = $6, call_id = $7
            WHERE tenant_id = $1 AND account_id = $2 AND playlist = $3 AND number = $4",
            transaction.tenant_id().0,
            self.new.account.0,
            self.playlist,
            as_integer(newest.number)?,
            provider_version.as_deref(),
            cause.to_string(),
            call.map(|call| call.0)
        )
        .execute(transaction.connection())
        .await?;
        Ok(Summary { provider_version, cause, call, ..newest })
    }

    async fn insert(
        &self,
        transaction: &mut TenantTransaction,
        number: u32,
        replaced: Option<u32>,
    ) -> Result<Summary, StoreError> {
        self.store_chunks(transaction).await?;
        let entries = u32::try_from(self.new.entries.len())
            .map_err(|_| StoreError::not_understood("a playlist", "more entries than can be counted"))?;
        let place = head_place(transaction.tenant_id(), self.version_id, number);
        let head = self.key.seal(&place, &self.head, self.vault.entropy());
        let ids: Vec<Uuid> = self.chunks.iter().map(|chunk| chunk.id).collect();
        sqlx::query!(
            "INSERT INTO playlist_versions (tenant_id, account_id, playlist, number, version_id, user_id,
                provider_version, cause, call_id, recorded_at, entries, fingerprint, head, chunks)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
            transaction.tenant_id().0,
            self.new.account.0,
            self.playlist,
            as_integer(number)?,
            self.version_id,
            self.new.user.0,
            self.new.provider_version,
            self.new.cause.to_string(),
            self.new.call.map(|call| call.0),
            self.now,
            as_integer(entries)?,
            &self.fingerprint[..],
            head,
            &ids
        )
        .execute(transaction.connection())
        .await?;
        self.forget(transaction, replaced).await?;
        Ok(Summary {
            number,
            provider_version: self.new.provider_version.map(str::to_owned),
            cause: self.new.cause,
            recorded_at: self.now,
            entries,
            call: self.new.call,
        })
    }

    /// Stores the pieces that are not there. Those that are there are opened, and replaced if they are damaged, or under
    /// another key than the present one: one that this replica does not have open, in the middle of a rotation.
    async fn store_chunks(&self, transaction: &mut TenantTransaction) -> Result<(), StoreError> {
        let tenant = transaction.tenant_id();
        let wanted: Vec<Uuid> = self.chunks.iter().map(|chunk| chunk.id).collect();
        let stored = sqlx::query!(
            "SELECT chunk_id, entries FROM playlist_chunks
            WHERE tenant_id = $1 AND account_id = $2 AND playlist = $3 AND chunk_id = ANY($4)",
            tenant.0,
            self.new.account.0,
            self.playlist,
            &wanted
        )
        .fetch_all(transaction.connection())
        .await?;
        let stored: HashMap<Uuid, Vec<u8>> =
            stored.into_iter().map(|row| (row.chunk_id, row.entries)).collect();
        let mut seen = HashSet::new();
        let (mut ids, mut sealed) = (Vec::new(), Vec::new());
        let (mut replaced, mut damaged) = (Vec::new(), 0_usize);
        for chunk in self.chunks.iter().filter(|chunk| seen.insert(chunk.id)) {
            match stored.get(&chunk.id) {
                Some(entries) if chunk.is_sealed_in(self.key, tenant, entries) => continue,
                Some(entries) => {
                    damaged += usize::from(chunks::is_under(self.key, entries));
                    replaced.push(chunk.id);
                }
                None => {}
            }
            ids.push(chunk.id);
            sealed.push(chunk.seal(self.key, tenant, self.vault.entropy())?);
        }
        if damaged > 0 {
            tracing::warn!(tenant = %tenant, chunks = damaged, "damaged pieces of a playlist are replaced");
        }
        if !replaced.is_empty() {
            self.delete_chunks(transaction, &replaced).await?;
        }
        if !ids.is_empty() {
            sqlx::query!(
                "INSERT INTO playlist_chunks (tenant_id, account_id, playlist, chunk_id, entries)
                SELECT $1, $2, $3, n.chunk_id, n.entries
                FROM unnest($4::uuid[], $5::bytea[]) AS n (chunk_id, entries)",
                tenant.0,
                self.new.account.0,
                self.playlist,
                &ids,
                &sealed
            )
            .execute(transaction.connection())
            .await?;
        }
        Ok(())
    }

    async fn delete_chunks(
        &self,
        transaction: &mut TenantTransaction,
        ids: &[Uuid],
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "DELETE FROM playlist_chunks
            WHERE tenant_id = $1 AND account_id = $2 AND playlist = $3 AND chunk_id = ANY($4)",
            transaction.tenant_id().0,
            self.new.account.0,
            self.playlist,
            ids
        )
        .execute(transaction.connection())
        .await?;
        Ok(())
    }

    /// Drops the version that is replaced, those that are too old now, and the pieces that no other version has.
    async fn forget(
        &self,
        transaction: &mut TenantTransaction,
        replaced: Option<u32>,
    ) -> Result<(), StoreError> {
        let dropped: Vec<Vec<Uuid>> = sqlx::query_scalar!(
            "DELETE FROM playlist_versions
            WHERE tenant_id = $1 AND account_id = $2 AND playlist = $3 AND (number = $4 OR number <= (
                SELECT number FROM playlist_versions
                WHERE tenant_id = $1 AND account_id = $2 AND playlist = $3 AND number <> $4
                ORDER BY number DESC OFFSET $5 LIMIT 1)) RETURNING chunks",
            transaction.tenant_id().0,
            self.new.account.0,
            self.playlist,
            as_integer(replaced.unwrap_or(0))?,
            i64::from(KEPT)
        )
        .fetch_all(transaction.connection())
        .await?;
        if dropped.is_empty() {
            return Ok(());
        }
        let ids: HashSet<Uuid> = dropped.into_iter().flatten().collect();
        let ids: Vec<Uuid> = ids.into_iter().collect();
        sqlx::query!(
            "DELETE FROM playlist_chunks c
            WHERE c.tenant_id = $1 AND c.account_id = $2 AND c.playlist = $3 AND c.chunk_id = ANY($4)
                AND NOT EXISTS (SELECT FROM playlist_versions v WHERE v.tenant_id = c.tenant_id
                    AND v.account_id = c.account_id AND v.playlist = c.playlist AND c.chunk_id = ANY(v.chunks))",
            transaction.tenant_id().0,
            self.new.account.0,
            self.playlist,
            &ids
        )
        .execute(transaction.connection())
        .await?;
        Ok(())
    }
}

/// What the sealed head of a version is bound to.
pub(super) fn head_place(tenant: TenantId, version: Uuid, number: u32) -> SealContext {
    let revision = i64::from(number);
    SealContext { tenant, table: "playlist_versions", column: "head", row: version, revision }
}

/// All that store versions with an account take turns, and unlinking it waits for them.
async fn lock(
    transaction: &mut TenantTransaction,
    account: LinkedAccountId,
    user: UserId,
) -> Result<(), StoreError> {
    let found = sqlx::query!(
        "SELECT account_id FROM linked_accounts WHERE tenant_id = $1 AND account_id = $2 AND user_id = $3
        FOR NO KEY UPDATE",
        transaction.tenant_id().0,
        account.0,
        user.0
    )
    .fetch_optional(transaction.connection())
    .await?;
    found.map(drop).ok_or(StoreError::Missing("account"))
}

fn as_integer(number: u32) -> Result<i32, StoreError> {
    i32::try_from(number).map_err(|_| StoreError::not_understood("playlist_versions", number.to_string()))
}
