//! Who was erased: known to the database, or told from outside of it, before anything comes back.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use stagedoor_crypto::digest::{SHA256_LENGTH, sha256};
use stagedoor_domain::{TenantId, UserId};
use uuid::Uuid;

use crate::error::StoreError;
use crate::privacy_requests::ANSWER_WITHIN;
use crate::transaction::TenantTransaction;

/// That someone was erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tombstone {
    /// [`subject_digest`] of the person.
    pub subject: [u8; SHA256_LENGTH],
    /// The request by which it was done.
    pub request: Uuid,
    /// When.
    pub erased_at: DateTime<Utc>,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// Until when it had to be done.
    pub due_by: DateTime<Utc>,
    /// The receipt, where it is known.
    pub receipt: Option<String>,
}

/// What stands for a person who is not to be named: SHA-256('stagedoor/subject/1' | tenant 16 | user 16).
pub fn subject_digest(tenant: TenantId, user: UserId) -> [u8; SHA256_LENGTH] {
    sha256(&[b"stagedoor/subject/1", tenant.0.as_bytes(), user.0.as_bytes()])
}

/// Notes who was erased; how many of them the database did not know.
pub async fn put_tombstones(
    transaction: &mut TenantTransaction,
    tombstones: &[Tombstone],
) -> Result<u64, StoreError> {
    let subjects: Vec<Vec<u8>> = tombstones.iter().map(|tombstone| tombstone.subject.to_vec()).collect();
    let requests: Vec<Uuid> = tombstones.iter().map(|tombstone| tombstone.request).collect();
    let erased: Vec<_> = tombstones.iter().map(|tombstone| tombstone.erased_at).collect();
    let asked: Vec<_> = tombstones.iter().map(|tombstone| tombstone.requested_at).collect();
    let due: Vec<_> = tombstones.iter().map(|tombstone| tombstone.due_by).collect();
    let receipts: Vec<_> = tombstones.iter().map(|tombstone| tombstone.receipt.clone()).collect();
    let added = sqlx::query_scalar!(
        r#"SELECT restore_tombstones($1, $2, $3, $4, $5, $6) AS "added!""#,
        &subjects,
        &requests,
        &erased,
        &asked,
        &due,
        &receipts as &[Option<String>]
    );
    Ok(added.fetch_one(transaction.connection()).await?.unsigned_abs())
}

/// Begins the erasure of everyone who is there although a tombstone says otherwise; how many.
pub async fn erase_again(transaction: &mut TenantTransaction) -> Result<u64, StoreError> {
    let seconds = ANSWER_WITHIN.as_secs_f64();
    let people = sqlx::query_scalar!(r#"SELECT restore_erase_again($1) AS "people!""#, seconds);
    Ok(people.fetch_one(transaction.connection()).await?.unsigned_abs())
}

/// Serves the tenant no more; `false` if it was not served.
pub async fn suspend(transaction: &mut TenantTransaction) -> Result<bool, StoreError> {
    let suspend = sqlx::query_scalar!(r#"SELECT restore_suspend() AS "suspended!""#);
    Ok(suspend.fetch_one(transaction.connection()).await?)
}

/// Digests of everyone who was erased.
pub async fn erased_subjects(
    transaction: &mut TenantTransaction,
) -> Result<HashSet<[u8; SHA256_LENGTH]>, StoreError> {
    let rows = sqlx::query_scalar!(
        "SELECT subject_digest FROM erasure_tombstones WHERE tenant_id = $1",
        transaction.tenant_id().0
    )
    .fetch_all(transaction.connection())
    .await?;
    rows.into_iter()
        .map(|digest| {
            digest.try_into().map_err(|_| StoreError::not_understood("erasure_tombstones", "no digest"))
        })
        .collect()
}

pub(super) async fn mark_erasing(
    transaction: &mut TenantTransaction,
    people: &[(UserId, DateTime<Utc>)],
) -> Result<(), StoreError> {
    let users: Vec<Uuid> = people.iter().map(|(user, _)| user.0).collect();
    let since: Vec<_> = people.iter().map(|(_, since)| *since).collect();
    let mark =
        sqlx::query!("SELECT restore_mark_erasing($1, $2, $3)", &users, &since, ANSWER_WITHIN.as_secs_f64());
    mark.execute(transaction.connection()).await?;
    Ok(())
}
