//! Opening a version: its row and its pieces at one moment, then all that was sealed.

use std::collections::HashMap;

use secrecy::zeroize::Zeroizing;
use stagedoor_domain::{ErrorCode, ItemRef, LinkedAccountId, TenantContext};
use uuid::Uuid;

use super::append::head_place;
use super::head::SealedHead;
use super::{Row, Version, chunks, identity};
use crate::error::StoreError;
use crate::keys::KeyVault;
use crate::transaction::TenantTransaction;

/// The version of that number; `None` if there is none, or none any more, or if the context is bound to another person
/// than the account. [`StoreError::Damaged`] if it does not open or is not what was stored.
pub async fn load(
    vault: &KeyVault,
    context: &TenantContext,
    account: LinkedAccountId,
    playlist: &ItemRef,
    number: u32,
) -> Result<Option<Version>, StoreError> {
    let read = async |tx: &mut TenantTransaction| {
        let Some(stored) = read_version(tx, context, account, playlist, number).await? else {
            return Ok(None);
        };
        let chunks = read_chunks(tx, account, playlist, &stored.chunks).await?;
        Ok::<_, StoreError>(Some((stored, chunks)))
    };
    let Some((stored, sealed)) = vault.store().with_tenant(context, read).await? else { return Ok(None) };
    let opened = open(vault, context, &identity(account, playlist), number, stored, &sealed).await;
    opened.map(Some).map_err(StoreError::or_damaged("version of the playlist", ErrorCode::VersionUnknown))
}

struct Stored {
    row: Row,
    version_id: Uuid,
    head: Vec<u8>,
    chunks: Vec<Uuid>,
}

async fn read_version(
    transaction: &mut TenantTransaction,
    context: &TenantContext,
    account: LinkedAccountId,
    playlist: &ItemRef,
    number: u32,
) -> Result<Option<Stored>, StoreError> {
    let Ok(number) = i32::try_from(number) else { return Ok(None) };
    let row = sqlx::query!(
        "SELECT number, provider_version, cause, recorded_at, entries, call_id, version_id, head, chunks
        FROM playlist_versions WHERE tenant_id = $1 AND account_id = $2 AND playlist = $3 AND number = $4
            AND ($5::uuid IS NULL OR user_id = $5)",
        transaction.tenant_id().0,
        account.0,
        playlist.to_string(),
        number,
        context.user().map(|user| user.0)
    )
    .fetch_optional(transaction.connection())
    .await?;
    Ok(row.map(|row| Stored {
        row: Row {
            number: row.number,
            provider_version: row.provider_version,
            cause: row.cause,
            recorded_at: row.recorded_at,
            entries: row.entries,
            call_id: row.call_id,
        },
        version_id: row.version_id,
        head: row.head,
        chunks: row.chunks,
    }))
}

async fn read_chunks(
    transaction: &mut TenantTransaction,
    account: LinkedAccountId,
    playlist: &ItemRef,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, Vec<u8>>, StoreError> {
    let rows = sqlx::query!(
        "SELECT chunk_id, entries FROM playlist_chunks
        WHERE tenant_id = $1 AND account_id = $2 AND playlist = $3 AND chunk_id = ANY($4)",
        transaction.tenant_id().0,
        account.0,
        playlist.to_string(),
        ids
    )
    .fetch_all(transaction.connection())
    .await?;
    Ok(rows.into_iter().map(|row| (row.chunk_id, row.entries)).collect())
}

async fn open(
    vault: &KeyVault,
    context: &TenantContext,
    of: &str,
    number: u32,
    stored: Stored,
    sealed: &HashMap<Uuid, Vec<u8>>,
) -> Result<Version, StoreError> {
    let tenant = context.tenant_id();
    let place = head_place(tenant, stored.version_id, number);
    let head: Zeroizing<Vec<u8>> = vault.open(context, &place, &stored.head, "a playlist's head").await?;
    let head = SealedHead::from_bytes(&head)?;
    let mut pieces: HashMap<Uuid, Vec<Box<str>>> = HashMap::new();
    for (id, sealed) in sealed {
        let place = chunks::place(tenant, *id);
        let opened = vault.open(context, &place, sealed, "a piece of a playlist").await?;
        pieces.insert(*id, chunks::decode(&opened)?);
    }
    let mut entries = Vec::new();
    for id in &stored.chunks {
        entries.extend_from_slice(pieces.get(id).ok_or(StoreError::Missing("piece of a playlist"))?);
    }
    // Each piece is what it was, but whether they are this version's pieces only the sealed digest tells.
    if head.of != of || head.entries != chunks::digest_of(&entries)? {
        return Err(StoreError::not_understood("playlist_versions", "another version's entries"));
    }
    Ok(Version { summary: stored.row.into_summary()?, head: head.head, entries })
}
