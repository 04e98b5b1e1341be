//! A job's big contents, in parts that are sealed and written apart.

use std::ops::Range;

use stagedoor_domain::{JobId, TenantContext};

use super::Part;
use super::seal::{Sealer, open_part};
use crate::error::StoreError;
use crate::keys::KeyVault;
use crate::transaction::TenantTransaction;

/// The parts of a job with numbers in that range, ascending; `0..u32::MAX` for all. None if there is no such job of the
/// context's person. [`StoreError::Damaged`] if one does not open.
pub async fn load_parts(
    vault: &KeyVault,
    context: &TenantContext,
    id: JobId,
    numbers: Range<u32>,
) -> Result<Vec<Part>, StoreError> {
    let read = async |tx: &mut TenantTransaction| {
        let rows = sqlx::query!(
            "SELECT p.number, p.revision, p.content FROM job_parts p JOIN jobs j USING (tenant_id, job_id)
            WHERE p.tenant_id = $1 AND p.job_id = $2 AND p.number >= $3 AND p.number < $4
                AND ($5::uuid IS NULL OR j.user_id = $5) AND j.expires_at > clock_timestamp()
            ORDER BY p.number",
            tx.tenant_id().0,
            id.0,
            i64::from(numbers.start),
            i64::from(numbers.end),
            context.user().map(|user| user.0)
        );
        Ok::<_, StoreError>(rows.fetch_all(tx.connection()).await?)
    };
    let rows = vault.store().with_tenant(context, read).await?;
    let mut parts = Vec::with_capacity(rows.len());
    for row in rows {
        let number = u32::try_from(row.number)
            .map_err(|_| StoreError::not_understood("job_parts.number", row.number.to_string()))?;
        let content = open_part(vault, context, (id, row.revision, number), &row.content).await?;
        parts.push(Part { number, content });
    }
    Ok(parts)
}

/// Stores parts in place of those with the same numbers, as of the job's `revision`.
pub(super) async fn store(
    transaction: &mut TenantTransaction,
    sealer: Sealer<'_>,
    revision: i64,
    parts: &[Part],
) -> Result<(), StoreError> {
    if parts.is_empty() {
        return Ok(());
    }
    let (mut numbers, mut sealed) = (Vec::new(), Vec::new());
    for part in parts {
        numbers.push(i64::from(part.number));
        sealed.push(sealer.part(revision, part.number, &part.content)?);
    }
    sqlx::query!(
        "INSERT INTO job_parts (tenant_id, job_id, number, revision, content)
        SELECT $1, $2, n.number, $3, n.content FROM unnest($4::bigint[], $5::bytea[]) AS n (number, content)
        ON CONFLICT (tenant_id, job_id, number) DO UPDATE
            SET revision = excluded.revision, content = excluded.content",
        transaction.tenant_id().0,
        sealer.job.0,
        revision,
        &numbers,
        &sealed
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}
