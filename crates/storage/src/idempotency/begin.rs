//! The first statement of a call with an idempotency key: it takes the key, or finds how the key stands.

use stagedoor_crypto::digest::sha256;
use stagedoor_domain::ids::uuid_v7;
use stagedoor_domain::{ErrorCode, LinkedAccountId, TenantContext, UserId};
use uuid::Uuid;

use super::{Begun, Claim, Column, CutOff, REMEMBERED, Request, UNDERWAY};
use crate::error::StoreError;
use crate::keys::KeyVault;
use crate::packed;
use crate::transaction::TenantTransaction;

/// How many forgotten keys one call clears away at most.
const CLEARED: i64 = 20;

/// Begins the call, or finds how the first call of that key stands. The key is the principal's: another's equal key is
/// another key. `account` is the account that the call works on, whose unlinking forgets the key;
/// [`StoreError::Missing`] if there is none such, or if the context is bound to another person.
/// [`StoreError::Damaged`] if the answer or the note of the first call does not open.
pub async fn begin(
    vault: &KeyVault,
    context: &TenantContext,
    account: LinkedAccountId,
    request: &Request<'_>,
) -> Result<Begun, StoreError> {
    let asked = Asked::new(context, account, request);
    let record = uuid_v7(vault.clock(), vault.entropy());
    let ask = async |tx: &mut TenantTransaction| {
        clear(tx).await?;
        match asked.take(tx, record).await? {
            Some(claim) => Ok(Found::Taken(claim)),
            // The row that was in the way is locked by the attempt to take it, so it is still there.
            None => asked.find(tx).await,
        }
    };
    match vault.store().with_tenant(context, ask).await? {
        Found::Taken(claim) => Ok(Begun::First(claim)),
        Found::Mismatch => Ok(Begun::Mismatch),
        Found::Standing(standing) => asked.standing(vault, context, standing).await,
    }
}

enum Found {
    Taken(Claim),
    Mismatch,
    Standing(Standing),
}

/// What is stored of a call that was begun.
struct Standing {
    claim: Claim,
    underway: bool,
    revision: i64,
    note: Option<Vec<u8>>,
    answer: Option<Vec<u8>>,
}

/// A call as its row names it.
struct Asked<'a> {
    request: &'a Request<'a>,
    account: LinkedAccountId,
    user: Option<UserId>,
    principal: String,
    key_digest: [u8; 32],
    /// Bound to tenant and key, so that equal calls of others cannot be recognised.
    request_digest: [u8; 32],
}

impl<'a> Asked<'a> {
    fn new(context: &TenantContext, account: LinkedAccountId, request: &'a Request<'a>) -> Self {
        let key_digest = sha256(&[request.key.as_bytes()]);
        let tenant = context.tenant_id();
        Self {
            request,
            account,
            user: context.user(),
            principal: context.principal().label(),
            request_digest: sha256(&[tenant.0.as_bytes(), &key_digest, &request.digest]),
            key_digest,
        }
    }

    /// Takes a key that is free or forgotten.
    async fn take(
        &self,
        transaction: &mut TenantTransaction,
        record: Uuid,
    ) -> Result<Option<Claim>, StoreError> {
        let taken = sqlx::query!(
            "INSERT INTO idempotency_keys AS i (tenant_id, principal, key_digest, record_id, user_id, account_id, tool,
                request_digest, claim, claimed_until, expires_at)
            SELECT $1, $2, $3, $4, a.user_id, a.account_id, $5, $6, gen_random_uuid(),
                clock_timestamp() + make_interval(secs => $7), clock_timestamp() + make_interval(secs => $8)
            FROM linked_accounts a
            WHERE a.tenant_id = $1 AND a.account_id = $9 AND ($10::uuid IS NULL OR a.user_id = $10)
            ON CONFLICT (tenant_id, principal, key_digest) DO UPDATE
                SET record_id = excluded.record_id, user_id = excluded.user_id, account_id = excluded.account_id,
                    tool = excluded.tool, request_digest = excluded.request_digest, claim = excluded.claim,
                    claimed_until = excluded.claimed_until, expires_at = excluded.expires_at,
                    revision = excluded.revision, note = NULL, answer = NULL
                WHERE i.expires_at <= clock_timestamp()
            RETURNING record_id, claim, user_id",
            transaction.tenant_id().0,
            self.principal,
            &self.key_digest[..],
            record,
            self.request.tool.as_str(),
            &self.request_digest[..],
            UNDERWAY.as_secs_f64(),
            REMEMBERED.as_secs_f64(),
            self.account.0,
            self.user.map(|user| user.0)
        )
        .fetch_optional(transaction.connection())
        .await
        .map_err(StoreError::or_missing("account"))?;
        Ok(taken.map(|row| Claim { record: row.record_id, turn: row.claim, user: row.user_id.into() }))
    }

    async fn find(&self, transaction: &mut TenantTransaction) -> Result<Found, StoreError> {
        let row = sqlx::query!(
            r#"SELECT i.record_id, i.claim, i.user_id, i.revision, i.note, i.answer,
                i.claimed_until > clock_timestamp() AS "underway!",
                (i.tool = $4 AND i.account_id = $5 AND i.request_digest = $6) AS "same!"
            FROM idempotency_keys i JOIN linked_accounts a ON a.tenant_id = i.tenant_id AND a.account_id = $5
            WHERE i.tenant_id = $1 AND i.principal = $2 AND i.key_digest = $3
                AND ($7::uuid IS NULL OR a.user_id = $7)"#,
            transaction.tenant_id().0,
            self.principal,
            &self.key_digest[..],
            self.request.tool.as_str(),
            self.account.0,
            &self.request_digest[..],
            self.user.map(|user| user.0)
        )
        .fetch_optional(transaction.connection())
        .await?
        .ok_or(StoreError::Missing("account"))?;
        if !row.same {
            return Ok(Found::Mismatch);
        }
        Ok(Found::Standing(Standing {
            claim: Claim { record: row.record_id, turn: row.claim, user: row.user_id.into() },
            underway: row.underway,
            revision: row.revision,
            note: row.note,
            answer: row.answer,
        }))
    }

    async fn standing(
        &self,
        vault: &KeyVault,
        context: &TenantContext,
        standing: Standing,
    ) -> Result<Begun, StoreError> {
        let open = async |column: Column, sealed: Vec<u8>| {
            let place = standing.claim.place(context.tenant_id(), column, standing.revision);
            let what = "answer of the first call with this idempotency key";
            let open = async {
                let opened = vault.open(context, &place, &sealed, "an idempotent call").await?;
                packed::unpack(&opened, "idempotency_keys")
            };
            open.await.map_err(StoreError::or_damaged(what, ErrorCode::OutcomeUnknown))
        };
        if let Some(answer) = standing.answer {
            return Ok(Begun::Replay(open(Column::Answer, answer).await?));
        }
        if standing.underway {
            return Ok(Begun::Underway);
        }
        let note = match standing.note {
            Some(note) => Some(open(Column::Note, note).await?),
            None => None,
        };
        Ok(Begun::CutOff(CutOff { note, claim: standing.claim }))
    }
}

/// Clears some of the tenant's forgotten keys away.
async fn clear(transaction: &mut TenantTransaction) -> Result<(), StoreError> {
    sqlx::query!(
        "DELETE FROM idempotency_keys WHERE tenant_id = $1 AND record_id IN (
            SELECT record_id FROM idempotency_keys WHERE tenant_id = $1 AND expires_at <= clock_timestamp()
            ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)",
        transaction.tenant_id().0,
        CLEARED
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}
