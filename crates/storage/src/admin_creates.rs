//! What the admin API was asked to make: a request that comes again within a day makes nothing twice. A claim is written in
//! the transaction that makes the thing, so that one is there exactly if the other is.

use std::time::Duration;

use crate::error::StoreError;
use crate::transaction::TenantTransaction;

/// How long a request is remembered.
pub const REMEMBERED: Duration = Duration::from_hours(24);
/// Claims that are forgotten with a new one; the keeper forgets the rest.
const FORGOTTEN_AT_ONCE: i64 = 100;

/// A request to make something, as digests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CreateRequest {
    /// SHA-256 of the caller, the RPC and the caller's id of the request.
    pub request: [u8; 32],
    /// SHA-256 of all that was asked for.
    pub body: [u8; 32],
}

/// What is known of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claimed {
    /// Nothing: it is to be done now.
    New,
    /// It was done.
    Done,
    /// Another one was done under the same id.
    Otherwise,
}

/// Claims a request for the transaction; waits for whoever is at the same one now.
pub async fn claim(
    transaction: &mut TenantTransaction,
    request: &CreateRequest,
) -> Result<Claimed, StoreError> {
    let tenant = transaction.tenant_id().0;
    sqlx::query!(
        "DELETE FROM admin_creates WHERE tenant_id = $1 AND created_at < now() - make_interval(secs => $2)
            AND (request_digest = $3 OR request_digest IN (
                SELECT request_digest FROM admin_creates
                WHERE tenant_id = $1 AND created_at < now() - make_interval(secs => $2)
                ORDER BY created_at LIMIT $4))",
        tenant,
        REMEMBERED.as_secs_f64(),
        &request.request[..],
        FORGOTTEN_AT_ONCE
    )
    .execute(transaction.connection())
    .await?;
    let inserted = sqlx::query!(
        "INSERT INTO admin_creates (tenant_id, request_digest, body_digest) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        tenant,
        &request.request[..],
        &request.body[..]
    );
    if inserted.execute(transaction.connection()).await?.rows_affected() == 1 {
        return Ok(Claimed::New);
    }
    let body = sqlx::query_scalar!(
        "SELECT body_digest FROM admin_creates WHERE tenant_id = $1 AND request_digest = $2",
        tenant,
        &request.request[..]
    );
    let body = body.fetch_one(transaction.connection()).await?;
    Ok(if body == request.body { Claimed::Done } else { Claimed::Otherwise })
}
